//! Name an emulator that exists on the host.
//!
//! **Ensures** that `<emulator>` is a QEMU of the host.
//! **Why.** Distributions install it in different places (`/usr/bin/qemu-system-x86_64`,
//! `/usr/libexec/qemu-kvm`, `/run/libvirt/nix-emulators/…`); libvirt refuses a domain whose
//! emulator it cannot run ("Cannot check QEMU binary").
//! **Applies when** the guest is x86_64 and the domain names an emulator.
//! **Leaves alone** an emulator that exists, wherever it is; a domain without `<emulator>`, where
//! libvirt chooses.
//! **Blocked** when no QEMU is known on the host.
//!
//! ```xml,before
//! <devices>
//!   <emulator>/opt/gone/qemu-system-x86_64</emulator>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <emulator>/usr/bin/qemu-system-x86_64</emulator>
//! </devices>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "emulator",
    summary: "an emulator that exists on the host",
    source: include_str!("emulator.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: true,
        machine: false,
    },
    settings: &[],
    files: super::no_files,
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let Some(named) = document.text_at(&["devices", "emulator"]) else {
        return Outcome::NotApplicable("the domain names no emulator; libvirt chooses".to_owned());
    };
    let facts = context.facts;
    // A QEMU that somebody built lies where no list of emulators has it.
    let exists = facts.files.get(named).is_some_and(|file| file.exists)
        || facts.emulators.iter().any(|one| one.path == named);
    if exists {
        let satisfied = format!("'{named}' exists on the host");
        return Ensure::new(Patch::new("emulator", "<domain/>"), "", satisfied).into();
    }
    let Some(emulator) = guest::emulator(document, facts) else {
        return Outcome::blocked(format!(
            "no QEMU for x86_64 is known on the host, and '{named}' is not there: install one (the package qemu-system-x86 or qemu-kvm)"
        ));
    };
    let patch = Patch::new("emulator", include_str!("../../patches/emulator.xml"))
        .with("emulator", emulator.path.as_str());
    let reason = format!("'{named}' is not on the host, '{}' is", emulator.path);
    Ensure::new(patch, reason, "").into()
}
