//! Disks of a machine that changes its buses: new targets, and the order they boot in.

use std::collections::BTreeSet;

use roxmltree::Node;

use crate::document::{Document, child, children};

/// One `<disk>`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk<'a> {
    pub(super) node: Node<'a, 'a>,
    /// Its `<target>`.
    pub(super) target: Node<'a, 'a>,
    pub(super) bus: &'a str,
    pub(super) dev: &'a str,
}

/// The disks of a definition that have a target.
pub(super) fn read<'a>(document: &'a Document<'_>) -> Vec<Disk<'a>> {
    document
        .devices("disk")
        .filter_map(|node| {
            let target = child(node, "target")?;
            let dev = target.attribute("dev")?;
            Some(Disk {
                node,
                target,
                bus: target.attribute("bus").unwrap_or_else(|| usual_bus(dev)),
                dev,
            })
        })
        .collect()
}

impl<'a> Disk<'a> {
    /// `disk`, `cdrom`, `floppy` or `lun`.
    pub(super) fn kind(&self) -> &'a str {
        self.node.attribute("device").unwrap_or("disk")
    }
}

/// The bus libvirt takes for a target that names none.
fn usual_bus(dev: &str) -> &'static str {
    match dev.get(..2) {
        Some("fd") => "fdc",
        Some("sd") => "scsi",
        Some("vd") => "virtio",
        Some("xv") => "xen",
        _ => "ide",
    }
}

/// New names for the IDE disks, in their order: `sd` names that no disk has.
pub(super) fn new_targets<'a>(disks: &[Disk<'a>]) -> Vec<(Disk<'a>, String)> {
    let taken: BTreeSet<&str> = disks.iter().map(|disk| disk.dev).collect();
    let mut free = (0..)
        .map(name)
        .filter(|name| !taken.contains(name.as_str()));
    let mut ide: Vec<Disk<'a>> = disks
        .iter()
        .filter(|disk| disk.bus == "ide")
        .copied()
        .collect();
    ide.sort_by_key(|disk| index(disk.dev));
    ide.into_iter().zip(&mut free).collect()
}

/// `sda`, …, `sdz`, `sdaa`, …
fn name(mut number: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(
            b'a' + u8::try_from(number % 26).unwrap_or_default(),
        ));
        if number < 26 {
            break;
        }
        number = number / 26 - 1;
    }
    letters.push('d');
    letters.push('s');
    letters.iter().rev().collect()
}

/// The number in a target's name: `hdc` is 2.
fn index(dev: &str) -> usize {
    let letters = dev.strip_prefix("xvd").or_else(|| dev.get(2..));
    letters
        .unwrap_or_default()
        .bytes()
        .take_while(u8::is_ascii_lowercase)
        .fold(0, |index, byte| index * 26 + usize::from(byte - b'a') + 1)
}

/// The first disk of each kind, which `<boot dev=…>` means, in libvirt's order: that of the
/// definition, with those of one bus sorted by target. `buses` gives bus and target of each disk.
pub(super) fn first_of_kinds<'a>(
    disks: &[Disk<'a>],
    buses: impl Fn(&Disk<'a>) -> (String, String),
) -> Vec<(&'static str, Option<usize>)> {
    let mut order: Vec<usize> = Vec::new();
    for (at, disk) in disks.iter().enumerate() {
        let (bus, dev) = buses(disk);
        let mut place = order.len();
        for (position, other) in order.iter().enumerate().rev() {
            let Some(other) = disks.get(*other).map(&buses) else {
                continue;
            };
            if other.0 == bus && index(&other.1) < index(&dev) {
                place = position + 1;
                break;
            }
            if other.0 == bus {
                place = position;
            }
        }
        order.insert(place, at);
    }
    [
        ("hd", &["disk", "lun"][..]),
        ("cdrom", &["cdrom"]),
        ("fd", &["floppy"]),
    ]
    .into_iter()
    .map(|(boot, kinds)| {
        let is = |at: &&usize| {
            disks
                .get(**at)
                .is_some_and(|disk| kinds.contains(&disk.kind()))
        };
        (boot, order.iter().find(is).copied())
    })
    .collect()
}

/// The devices in `<boot dev=…>`; libvirt boots from the disk where there is none.
pub(super) fn boot_devices<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    let os = document.find(&["os"]);
    let named: Vec<&str> = os
        .into_iter()
        .flat_map(|os| children(os, "boot"))
        .filter_map(|boot| boot.attribute("dev"))
        .collect();
    match named.as_slice() {
        [] => vec!["hd"],
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_targets() {
        for (number, target) in [
            (0, "sda"),
            (25, "sdz"),
            (26, "sdaa"),
            (27, "sdab"),
            (701, "sdzz"),
            (702, "sdaaa"),
        ] {
            assert_eq!(name(number), target);
            assert_eq!(index(target), number + 1);
        }
        assert_eq!(index("hdc"), 3);
        assert_eq!(index("xvdb"), 2);
    }
}
