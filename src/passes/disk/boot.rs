//! The boot order, when images come to its beginning.

use roxmltree::Node;

use super::super::elements::{element, with};
use super::image::{Image, is_opencore, source};
use crate::document::{Document, child, children};
use crate::host::Facts;
use crate::merge::{Op, Patch};

/// Who boots when.
pub(super) struct Orders<'a> {
    /// The order of each image, as they were given.
    pub(super) of_images: Vec<u32>,
    /// Other devices, with the order they are to have.
    others: Vec<(Node<'a, 'a>, u32)>,
    /// The first order that is free.
    next: u32,
}

impl<'a> Orders<'a> {
    /// The images come first, in their order; only an OpenCore that is in the definition already stays
    /// before images that are none. Other devices keep their order among themselves.
    pub(super) fn of(
        document: &'a Document<'_>,
        images: &[Image<'_>],
        facts: &Facts,
    ) -> Orders<'a> {
        let is_given =
            |node: &Node<'_, '_>| images.iter().any(|image| image.is_source_of(*node, facts));
        let mut others: Vec<(Node<'a, 'a>, Option<u32>)> = booting(document);
        others.retain(|(node, _)| !is_given(node));
        let (opencore, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(node, _)| source(*node).is_some_and(is_opencore));

        let first = images.iter().filter(|image| image.is_opencore).count();
        let mut orders = Orders {
            of_images: Vec::new(),
            others: Vec::new(),
            next: 1,
        };
        orders.add_images(first);
        orders.add_others(opencore);
        orders.add_images(images.len() - first);
        orders.add_others(others);
        orders
    }

    fn add_images(&mut self, count: usize) {
        for _ in 0..count {
            self.of_images.push(self.next);
            self.next += 1;
        }
    }

    /// An order that is late enough stays.
    fn add_others(&mut self, others: Vec<(Node<'a, 'a>, Option<u32>)>) {
        for (node, own) in others {
            let order = own.unwrap_or_default().max(self.next);
            self.others.push((node, order));
            self.next = order + 1;
        }
    }

    /// Gives the other devices their order.
    pub(super) fn move_others(&self, patch: &mut Patch) {
        for (node, order) in &self.others {
            let boot = element("boot", &[("order", &order.to_string())]);
            let device = with(element(node.tag_name().name(), &[]), [boot]);
            patch.change(&["devices"], *node, Op::Merge, device);
        }
    }
}

/// The devices that boot, first to last, with the order they have: by their own orders, otherwise by
/// `<boot dev>` in `<os>`, for which libvirt takes the first device of each kind.
fn booting<'a>(document: &'a Document<'_>) -> Vec<(Node<'a, 'a>, Option<u32>)> {
    let devices = document.find(&["devices"]);
    let mut with_order: Vec<(Node<'_, '_>, Option<u32>)> = devices
        .into_iter()
        .flat_map(|devices| devices.children().filter(Node::is_element))
        .filter_map(|device| {
            let order = child(device, "boot")?
                .attribute("order")?
                .trim()
                .parse()
                .ok();
            Some((device, order))
        })
        .collect();
    if !with_order.is_empty() {
        with_order.sort_by_key(|(_, order)| *order);
        return with_order;
    }
    let named: Vec<&str> = document
        .find(&["os"])
        .into_iter()
        .flat_map(|os| children(os, "boot"))
        .filter_map(|boot| boot.attribute("dev"))
        .collect();
    // Where nothing is said, libvirt adds <boot dev='hd'/>.
    let named = if named.is_empty() { vec!["hd"] } else { named };
    let disk = |kind: &str| {
        document
            .devices("disk")
            .find(|disk| disk.attribute("device").unwrap_or("disk") == kind)
    };
    let mut found: Vec<(Node<'_, '_>, Option<u32>)> = Vec::new();
    for device in named.into_iter().filter_map(|named| match named {
        "hd" => disk("disk"),
        "cdrom" => disk("cdrom"),
        "fd" => disk("floppy"),
        "network" => document.devices("interface").next(),
        _ => None,
    }) {
        if !found.iter().any(|(there, _)| *there == device) {
            found.push((device, None));
        }
    }
    found
}
