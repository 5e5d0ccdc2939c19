//! Tell Windows that it runs on a hypervisor.
//!
//! **Ensures** the Hyper-V enlightenments and the clock that goes with them.
//! **Why.** Windows then spares itself timers, locks and interrupts that cost much in a guest.
//! **Applies when** the guest is x86_64 and runs on KVM: QEMU does not start an emulated one with them
//! ("kernel doesn't allow setting HyperV VP_INDEX", QEMU 7.2).
//! **Leaves alone** further enlightenments, and `mode='passthrough'`, which has all of them.
//!
//! ```xml,before
//! <features>
//!   <acpi/>
//! </features>
//! <clock offset='localtime'/>
//! ```
//! ```xml,after
//! <features>
//!   <acpi/>
//!   <hyperv>
//!     <relaxed state='on'/>
//!     <vapic state='on'/>
//!     <spinlocks state='on' retries='8191'/>
//!     <vpindex state='on'/>
//!     <runtime state='on'/>
//!     <synic state='on'/>
//!     <stimer state='on'/>
//!     <frequencies state='on'/>
//!     <tlbflush state='on'/>
//!     <ipi state='on'/>
//!   </hyperv>
//! </features>
//! <clock offset='localtime'>
//!   <timer name='hypervclock' present='yes'/>
//! </clock>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "enlightenments",
    summary: "the Hyper-V enlightenments, for Windows guests on KVM",
    source: include_str!("enlightenments.rs"),
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
    if guest::is_emulated(document) {
        return Outcome::NotApplicable(
            "the enlightenments need KVM, and QEMU does not start an emulated guest with them"
                .to_owned(),
        );
    }
    if document.attribute(&["features", "hyperv"], "mode") == Some("passthrough") {
        return Outcome::NotApplicable("the guest has every enlightenment the host has".to_owned());
    }
    // libvirt's default.
    let offset = document.attribute(&["clock"], "offset").unwrap_or("utc");
    Ensure::new(
        Patch::new(
            "enlightenments",
            include_str!("../../patches/enlightenments.xml"),
        )
        .with("offset", offset),
        "Windows spares itself timers, locks and interrupts that cost much in a guest",
        "the guest has the enlightenments",
    )
    .into()
}
