//! Leave the memory balloon out.
//!
//! **Ensures** `<memballoon model='none'/>`, or the model that `memballoon.model` names.
//! **Why.** macOS has no driver for it, and libvirt adds one where nothing is said.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** what a balloon that stays says of itself (statistics, address).
//! **Blocked** when a model is asked for and the machine type has no PCI bus: libvirt refuses it.
//!
//! ```xml,before
//! <devices>
//!   <memballoon model='virtio'>
//!     <stats period='10'/>
//!   </memballoon>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <memballoon model='none'/>
//! </devices>
//! ```

use super::guest::Machine;
use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "memballoon",
    summary: "no memory balloon, or the model that is asked for",
    source: include_str!("memballoon.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "memballoon.model",
    values: "none|virtio|virtio-transitional|virtio-non-transitional",
    about: "the model of the memory balloon",
    check: |value| {
        one_of(
            value,
            &[
                "none",
                "virtio",
                "virtio-transitional",
                "virtio-non-transitional",
            ],
        )
    },
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let model = context.settings.get("memballoon.model").unwrap_or("none");
    if model == "none" {
        return Ensure::new(
            Patch::new(
                "memballoon",
                include_str!("../../patches/memballoon-none.xml"),
            ),
            "macOS has no driver for a balloon, and libvirt adds one where nothing is said",
            "there is no balloon",
        )
        .into();
    }
    if guest::machine(document) == Machine::Other {
        return Outcome::blocked(format!(
            "the machine type '{}' has no PCI bus, so libvirt refuses a balloon of any model; --set memballoon.model=none",
            guest::machine_name(document)
        ));
    }
    // Measured with libvirt 9.0: it lands on a pcie-to-pci-bridge that libvirt adds.
    let bridged = model == "virtio-transitional" && guest::machine(document) == Machine::Q35;
    let note = bridged.then(|| {
        "virtio-transitional is a conventional PCI device, for which libvirt adds a bridge to q35; virtio-non-transitional needs none".to_owned()
    });
    Ensure::new(
        Patch::new("memballoon", include_str!("../../patches/memballoon.xml")).with("model", model),
        format!("a balloon of the model {model} was asked for"),
        format!("the balloon is of the model {model}"),
    )
    .noting(note)
    .into()
}
