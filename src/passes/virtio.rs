//! Give the guest virtio devices wherever there are any.
//!
//! **Ensures** virtio for network and video, for tablet and keyboard, and a virtio source of
//! random numbers.
//! **Why.** Guests with virtio drivers (Linux has them, Windows gets them from virtio-win) lose less
//! on these than on emulated hardware.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** disks: a guest that was installed without the driver does not boot from virtio;
//! host devices; a switched-off display; PS/2 input.
//!
//! ```xml,before
//! <devices>
//!   <interface type='network'>
//!     <mac address='52:54:00:11:22:33'/>
//!     <source network='default'/>
//!     <model type='e1000e'/>
//!   </interface>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <interface type='network'>
//!     <mac address='52:54:00:11:22:33'/>
//!     <source network='default'/>
//!     <model type='virtio'/>
//!   </interface>
//!   <input type='tablet' bus='virtio'/>
//!   <input type='keyboard' bus='virtio'/>
//!   <rng model='virtio'>
//!     <backend model='random'>/dev/urandom</backend>
//!   </rng>
//! </devices>
//! ```

use roxmltree::Node;

use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "virtio",
    summary: "virtio for network, video, input and random numbers",
    source: include_str!("virtio.rs"),
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
    let text = match document.devices("rng").next() {
        Some(_) => "<domain/>",
        None => include_str!("../../patches/virtio.xml"),
    };
    let mut patch = Patch::new("virtio", text);
    for kind in ["tablet", "keyboard"] {
        input(document, kind, &mut patch);
    }
    let mut were = Vec::new();
    for interface in document
        .devices("interface")
        .filter(|one| is_emulated(*one))
    {
        were.extend(set_model(&mut patch, interface, &["virtio"]));
    }
    for video in document.devices("video") {
        // A virtio GPU in any guise; 'none' is a decision.
        were.extend(set_model(&mut patch, video, &["virtio", "none"]));
    }
    let reason = match were.as_slice() {
        [] => "a guest with virtio drivers loses less on virtio devices".to_owned(),
        were => format!("{} became virtio, which costs less", text::list(were)),
    };
    Ensure::new(
        patch,
        reason,
        "network, video, input and random numbers are virtio",
    )
    .into()
}

/// One input device on virtio: that of USB moves there.
fn input(document: &Document<'_>, kind: &str, patch: &mut Patch) {
    let on = |bus: &str| {
        document
            .devices("input")
            .find(|one| one.attribute("type") == Some(kind) && one.attribute("bus") == Some(bus))
    };
    if on("virtio").is_some() {
        return;
    }
    let mut element = xmltree::Element::new("input");
    for (name, value) in [("type", kind), ("bus", "virtio")] {
        element.attributes.insert(name.to_owned(), value.to_owned());
    }
    let Some(usb) = on("usb") else {
        patch.add(&["devices"], Op::Merge, element);
        return;
    };
    patch.merge_at(usb, element);
    if let Some(address) = child(usb, "address") {
        patch.remove_at(address);
    }
}

/// Sets `<model type='virtio'>`, unless it is one of `fine`; answers with what it was.
fn set_model(patch: &mut Patch, device: Node<'_, '_>, fine: &[&str]) -> Option<String> {
    let model = child(device, "model");
    let was = model.and_then(|model| model.attribute("type"));
    if was.is_some_and(|was| fine.contains(&was) || was.starts_with("virtio-")) {
        return None;
    }
    let mut element = xmltree::Element::new("model");
    element
        .attributes
        .insert("type".to_owned(), "virtio".to_owned());
    match model {
        Some(model) => patch.merge_at(model, element),
        None => {
            let mut parent = xmltree::Element::new(device.tag_name().name());
            parent.children.push(xmltree::XMLNode::Element(element));
            patch.merge_at(device, parent);
        }
    }
    Some(was.map_or_else(|| format!("<{}>", device.tag_name().name()), str::to_owned))
}

/// Interfaces that QEMU emulates a card for.
fn is_emulated(interface: Node<'_, '_>) -> bool {
    !matches!(interface.attribute("type"), Some("hostdev" | "vdpa"))
}
