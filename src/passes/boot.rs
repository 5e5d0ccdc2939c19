//! Boot from the disk, and offer the firmware's menu.
//!
//! **Ensures** that the first disk is in the boot order, and the boot menu on.
//! **Why.** OpenCore is on a disk; the firmware's menu (Esc) is the way out when its entry is lost.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** an order that devices give themselves (`<boot order=…>`), which libvirt
//! refuses beside one in `<os>`; other boot devices.
//! **Blocked** when both kinds of order are there.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//!   <boot dev='hd'/>
//!   <bootmenu enable='yes'/>
//! </os>
//! ```

use roxmltree::Node;

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child};
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "boot",
    summary: "the disk is in the boot order, and the firmware offers its menu",
    source: include_str!("boot.rs"),
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
    let of_os = document.find(&["os", "boot"]);
    let of_device = ordered_device(document);
    if let (Some(os), Some(device)) = (of_os, of_device) {
        let line = |node: Node<'_, '_>| document.position(node.range().start).line;
        return Outcome::blocked(format!(
            "<boot dev=…> in line {} and <boot order=…> in line {} are two ways to say the boot order, and libvirt refuses both together; remove one",
            line(os),
            line(device)
        ));
    }
    let text = match of_device {
        Some(_) => include_str!("../../patches/boot-menu.xml"),
        None => include_str!("../../patches/boot.xml"),
    };
    Ensure::new(
        Patch::new("boot", text),
        "the machine boots from its disk, and the firmware's menu is the way out when that fails",
        "the boot order is there, and the menu on",
    )
    .into()
}

/// The first `<boot order=…>` of a device.
fn ordered_device<'a>(document: &'a Document<'_>) -> Option<Node<'a, 'a>> {
    let devices = document.find(&["devices"])?;
    devices
        .children()
        .filter_map(|device| child(device, "boot"))
        .next()
}
