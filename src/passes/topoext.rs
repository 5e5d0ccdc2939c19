//! Let the guest see SMT threads on AMD hosts.
//!
//! **Ensures** that the guest CPU has `topoext`: as `<feature>` in `<cpu>` and, where a `-cpu`
//! argument hides `<cpu>`, in that argument as well.
//! **Why.** QEMU describes threads to an AMD guest only when its CPU has `topoext`; without it
//! QEMU warns "This family of AMD CPU doesn't support hyperthreading" and the guest sees cores.
//! **Applies when** the host is AMD (or Hygon) and the topology has more than one thread per core.
//! **Leaves alone** Intel hosts, and domains with one thread per core.
//! **In the guest** the change shows at the next start; nothing to reinstall.
//!
//! ```xml,before
//! <cpu mode='host-passthrough'>
//!   <topology sockets='1' dies='1' cores='4' threads='2'/>
//! </cpu>
//! ```
//! ```xml,after
//! <cpu mode='host-passthrough'>
//!   <topology sockets='1' dies='1' cores='4' threads='2'/>
//!   <feature policy='require' name='topoext'/>
//! </cpu>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "topoext",
    summary: "topoext reaches the guest CPU, so that SMT works on AMD hosts",
    source: include_str!("topoext.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: &[],
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let vendor = context.facts.cpu.vendor.as_deref();
    match vendor {
        Some("GenuineIntel") => return Outcome::NotApplicable("Intel host".to_owned()),
        Some(other) if !guest::is_amd(other) => {
            return Outcome::NotApplicable(format!("{other} host"));
        }
        _ => {}
    }
    if guest::threads(document) < 2 {
        return Outcome::NotApplicable("one thread per core".to_owned());
    }
    if vendor.is_none() {
        return Outcome::blocked("the CPU vendor of the host is unknown");
    }

    let overridden = guest::cpu_argument(document).is_some();
    let text = if overridden {
        include_str!("../../patches/topoext-override.xml")
    } else {
        include_str!("../../patches/topoext.xml")
    };
    // libvirt refuses features in a <cpu> that names neither a mode nor a model.
    let has_model = document.find(&["cpu", "model"]).is_some();
    let mode = match document.attribute(&["cpu"], "mode") {
        // The mode that a <cpu> with nothing but a topology has.
        Some("custom") | None if !has_model => Some(guest::default_cpu_mode(document)),
        mode => mode,
    };
    let sets_the_mode = document.attribute(&["cpu"], "mode").is_none();
    let note = mode.filter(|_| sets_the_mode).map(|mode| {
        format!("<cpu> gets mode='{mode}', without which libvirt takes no feature there")
    });
    Ensure::new(
        Patch::new("topoext", text).with_option("mode", mode),
        "AMD shows threads to a guest only with topoext",
        "the guest CPU requires topoext",
    )
    .noting(note)
    .into()
}
