//! Which ports devices keep when their controller changes.
//!
//! libvirt gives a port to every device without one, and where there are more devices than ports it adds
//! hubs of eight; but such a hub needs a free port itself, or there is "No free USB ports" (measured
//! with 9.0).

use std::collections::BTreeMap;

use roxmltree::Node;

use super::super::elements::{element, removed, with};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};
use crate::text;

/// Ports of a hub.
const HUB_PORTS: usize = 8;

/// A device whose port the controllers have.
struct Placed<'a> {
    device: Node<'a, 'a>,
    /// The port of the controller.
    first: u32,
    /// It is behind a hub.
    is_behind: bool,
}

/// Takes the USB addresses away that no controller has any more, and one more where libvirt would find
/// no room for a hub; says so. A port behind a hub is good as long as the hub's own is.
///
/// `ports`: how many the controller of each index has; `is_new`: one of them has been replaced; `coming`:
/// how many devices without a port are to be added.
pub(super) fn free_lost(
    document: &Document<'_>,
    ports: &BTreeMap<u32, u32>,
    is_new: bool,
    coming: usize,
    patch: &mut Patch,
) -> Vec<String> {
    let mut placed = Vec::new();
    let mut lost = Vec::new();
    let mut without = coming;
    for device in document
        .find(&["devices"])
        .into_iter()
        .flat_map(|devices| devices.children().filter(Node::is_element))
    {
        let Some((bus, port)) = port_of(device) else {
            without += usize::from(is_usb(device));
            continue;
        };
        let mut parts = port.split('.');
        let Some(first) = parts.next().and_then(|first| first.parse::<u32>().ok()) else {
            continue;
        };
        let has = bus.and_then(|bus| ports.get(&bus));
        match has.is_some_and(|count| first <= *count) {
            true => placed.push(Placed {
                device,
                first,
                is_behind: parts.next().is_some(),
            }),
            false => lost.push(device),
        }
    }
    let full = free(&placed, ports) == 0;
    let is_ours = is_new || coming > 0 || !lost.is_empty();
    let for_a_hub = (is_ours && full && lost.len() + without > 0)
        .then(|| {
            placed
                .iter()
                .filter(|one| !is_hub(one.device))
                .max_by_key(|one| (!one.is_behind, one.first))
        })
        .flatten();
    for device in lost.iter().chain(for_a_hub.map(|one| &one.device)) {
        let freed = with(element(device.tag_name().name(), &[]), [removed("address")]);
        patch.change(&["devices"], *device, Op::Merge, freed);
    }
    let mut notes = Vec::new();
    if !lost.is_empty() {
        notes.push(format!(
            "{} to be given another port by libvirt: the new controller does not have the old one",
            text::count(lost.len(), "USB device")
        ));
    }
    if for_a_hub.is_some() {
        notes.push(
            "one USB device leaves its port to the hub that libvirt adds: there are more devices than ports"
                .to_owned(),
        );
    }
    notes
}

/// How many ports no device has.
fn free(placed: &[Placed<'_>], ports: &BTreeMap<u32, u32>) -> usize {
    let own: usize = ports.values().map(|count| *count as usize).sum();
    let hubs = placed.iter().filter(|one| is_hub(one.device)).count();
    (own + hubs * HUB_PORTS).saturating_sub(placed.len())
}

/// Bus and port of a USB address; the bus is `None` when it is no number.
fn port_of<'a>(device: Node<'a, '_>) -> Option<(Option<u32>, &'a str)> {
    let address = child(device, "address")?;
    if address.attribute("type") != Some("usb") {
        return None;
    }
    let bus = address
        .attribute("bus")
        .map_or(Some(0), |bus| bus.parse().ok());
    Some((bus, address.attribute("port")?))
}

fn is_hub(device: Node<'_, '_>) -> bool {
    device.has_tag_name("hub")
}

/// Whether a device without an address gets a port.
fn is_usb(device: Node<'_, '_>) -> bool {
    let kind = device.attribute("type");
    let bus = device.attribute("bus");
    let of = |name: &str, attribute: &str| {
        child(device, name).is_some_and(|inner| {
            inner
                .attribute(attribute)
                .is_some_and(|value| value.starts_with("usb"))
        })
    };
    match device.tag_name().name() {
        "hub" => true,
        "redirdev" => matches!(bus, None | Some("usb")),
        // A tablet without a bus is on USB.
        "input" => bus == Some("usb") || (bus.is_none() && kind == Some("tablet")),
        "hostdev" => kind == Some("usb"),
        "controller" => kind == Some("ccid"),
        "sound" => device.attribute("model") == Some("usb"),
        "disk" => of("target", "bus"),
        "serial" => of("target", "type"),
        "interface" => of("model", "type"),
        _ => false,
    }
}
