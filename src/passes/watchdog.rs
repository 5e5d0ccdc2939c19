//! Quiet the chipset's watchdog.
//!
//! **Ensures** `<watchdog model='itco' action='none'/>`.
//! **Why.** From 9.1 on libvirt gives every q35 machine this watchdog with the action `reset`, and
//! puts it back when it is taken out; `none` is the only way to keep it from resetting a macOS
//! that stops petting it.
//! **Applies when** the machine is q35 and libvirt is 9.1 or later. An older libvirt refuses a
//! definition with `itco`, so there the pass takes it out.
//! **Other watchdogs** stay, and the action follows them: libvirt wants one action for all.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! <devices>
//!   <watchdog model='itco' action='reset'/>
//! </devices>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! <devices>
//!   <watchdog model='itco' action='none'/>
//! </devices>
//! ```

use super::guest::Machine;
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::host::Version;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "watchdog",
    summary: "the chipset's watchdog does nothing",
    source: include_str!("watchdog.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: true,
    },
    settings: &[],
    files: super::no_files,
    run,
};

/// The first libvirt that knows the model, and adds it to every q35 machine.
const SINCE: Version = Version::new(9, 1, 0);

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let there = document
        .devices("watchdog")
        .any(|watchdog| watchdog.attribute("model") == Some("itco"));
    match guest::libvirt(context) {
        None => {
            return Outcome::NotApplicable(
                "the version of libvirt is not known, and one before 9.1 refuses this watchdog; --set host.libvirt=VERSION says it".to_owned(),
            );
        }
        Some(version) if version < SINCE && there => {
            let text = include_str!("../../patches/watchdog-remove.xml");
            let reason = format!("libvirt {version} refuses the model itco (9.1 knows it)");
            return Ensure::new(Patch::new("watchdog", text), reason, "").into();
        }
        Some(version) if version < SINCE => {
            return Outcome::NotApplicable(format!(
                "libvirt {version} does not know the itco watchdog (9.1 does), and adds none"
            ));
        }
        Some(_) => {}
    }
    if guest::machine(document) != Machine::Q35 {
        return Outcome::NotApplicable("only q35 machines have this watchdog".to_owned());
    }
    // The default action of libvirt.
    let other = document
        .devices("watchdog")
        .find(|watchdog| watchdog.attribute("model") != Some("itco"))
        .map(|watchdog| watchdog.attribute("action").unwrap_or("reset"));
    let action = other.unwrap_or("none");
    let note = other.filter(|action| *action != "none").map(|action| {
        format!("the domain has a watchdog of its own with the action {action}, and libvirt wants one action for all")
    });
    let reason = match note {
        Some(_) => "libvirt adds this watchdog to q35; its action has to be that of the other one",
        None => "libvirt adds this watchdog to q35 with the action reset",
    };
    Ensure::new(
        Patch::new("watchdog", include_str!("../../patches/watchdog.xml")).with("action", action),
        reason,
        format!("the action of the itco watchdog is {action}"),
    )
    .noting(note)
    .into()
}
