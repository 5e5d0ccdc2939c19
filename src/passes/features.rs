//! Give the guest ACPI and an APIC.
//!
//! **Ensures** `<acpi/>` and `<apic/>`.
//! **Why.** macOS finds its devices in the ACPI tables and its processors through the APIC; UEFI
//! does not start without ACPI either.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** every other feature.
//!
//! ```xml,before
//! <features>
//!   <vmport state='off'/>
//! </features>
//! ```
//! ```xml,after
//! <features>
//!   <acpi/>
//!   <apic/>
//!   <vmport state='off'/>
//! </features>
//! ```

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "features",
    summary: "ACPI and an APIC",
    source: include_str!("features.rs"),
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
        Patch::new("features", include_str!("../../patches/features.xml")),
        "macOS finds devices through ACPI and processors through the APIC",
        "ACPI and APIC are on",
    )
    .into()
}
