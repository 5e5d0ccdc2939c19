//! Say what becomes of the machine when the guest ends.
//!
//! **Ensures** `on_poweroff` destroy, `on_reboot` restart, `on_crash` restart.
//! **Why.** A macOS installer reboots several times, and each time the machine has to come back.
//! Without `on_crash` libvirt leaves a machine off that its guest reported as crashed.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** `on_lockfailure`.
//!
//! ```xml,before
//! <on_crash>destroy</on_crash>
//! ```
//! ```xml,after
//! <on_poweroff>destroy</on_poweroff>
//! <on_reboot>restart</on_reboot>
//! <on_crash>restart</on_crash>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "lifecycle",
    summary: "the machine comes back after a reboot and a crash, and ends with a power-off",
    source: include_str!("lifecycle.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    settings: &[],
    files: super::no_files,
    run,
};

fn run(document: &Document<'_>, _context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    Ensure::new(
        Patch::new("lifecycle", include_str!("../../patches/lifecycle.xml")),
        "the installer reboots several times, and the machine has to come back",
        "off after a power-off, back after a reboot or crash",
    )
    .into()
}
