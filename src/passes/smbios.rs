//! Give the guest a board record in its SMBIOS tables.
//!
//! **Ensures** the argument `-smbios type=2`.
//! **Why.** QEMU describes the board (SMBIOS type 2) only when something is said about it. macOS looks
//! for it, and guests without one freeze at the second stage of the boot (kholia/OSX-KVM#93).
//! **Leaves alone** what a `-smbios type=2,…` says already, and definitions in which libvirt describes
//! the board: `<smbios mode='sysinfo'/>` with a `<baseBoard>`.
//!
//! ```xml,before
//! <devices/>
//! ```
//! ```xml,after
//! <devices/>
//! <qemu:commandline>
//!   <qemu:arg value='-smbios'/>
//!   <qemu:arg value='type=2'/>
//! </qemu:commandline>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child, children};
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "smbios",
    summary: "the SMBIOS tables describe a board",
    source: include_str!("smbios.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: &[],
    run,
};

fn run(document: &Document<'_>, _: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let (patch, satisfied) = match describes_board(document) {
        true => ("<domain/>", "<sysinfo> describes a board"),
        false => (
            include_str!("../../patches/smbios.xml"),
            "-smbios type=2 describes a board",
        ),
    };
    Ensure::new(
        Patch::new("smbios", patch),
        "macOS freezes at the second stage of the boot without a board record",
        satisfied,
    )
    .into()
}

/// libvirt passes the boards of `<sysinfo>` on when `<os>` asks for it.
fn describes_board(document: &Document<'_>) -> bool {
    let asked_for = document.attribute(&["os", "smbios"], "mode") == Some("sysinfo");
    asked_for
        && children(document.root(), "sysinfo")
            .filter(|sysinfo| sysinfo.attribute("type") == Some("smbios"))
            .any(|sysinfo| child(sysinfo, "baseBoard").is_some())
}
