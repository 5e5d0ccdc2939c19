//! Names of disks that are free.
//!
//! A name has to be unique in the definition, and its number (`sdb`: 1) on its bus as well: libvirt
//! makes the id of a virtio disk and the place of a SATA disk from it (measured with 9.0: `vda` and
//! `sda`, both on virtio, are accepted and do not start).

use std::collections::BTreeSet;

use roxmltree::Node;

use crate::document::{Document, child};

/// Ports of the AHCI controller that libvirt adds.
const SATA_PORTS: u32 = 6;

/// The names for disks on one bus.
pub(super) struct Targets {
    prefix: &'static str,
    names: BTreeSet<String>,
    numbers: BTreeSet<u32>,
}

impl Targets {
    /// What a definition has.
    pub(super) fn of(document: &Document<'_>, bus_wanted: &str) -> Targets {
        let mut targets = Targets {
            prefix: if bus_wanted == "virtio" { "vd" } else { "sd" },
            names: BTreeSet::new(),
            numbers: BTreeSet::new(),
        };
        for disk in document.devices("disk") {
            let Some(name) = dev(disk) else {
                continue;
            };
            targets.names.insert(name.to_owned());
            if bus(disk) == Some(bus_wanted) {
                let place = child(disk, "address").and_then(drive_number);
                targets
                    .numbers
                    .extend(number(name).into_iter().chain(place));
            }
        }
        targets
    }

    /// The next free name, which is taken then.
    pub(super) fn next(&mut self) -> String {
        let free = (0..).find(|number| {
            !self.numbers.contains(number) && !self.names.contains(&self.name(*number))
        });
        let number = free.unwrap_or_default();
        let name = self.name(number);
        self.numbers.insert(number);
        self.names.insert(name.clone());
        name
    }

    /// `vda` … `vdz`, `vdaa` …
    fn name(&self, number: u32) -> String {
        let mut letters = String::new();
        let mut rest = number + 1;
        while rest > 0 {
            rest -= 1;
            letters.insert(0, char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
        }
        format!("{}{letters}", self.prefix)
    }
}

/// The bus of a disk; where none is given, libvirt tells it by the name.
pub(super) fn bus<'a>(disk: Node<'a, '_>) -> Option<&'a str> {
    let target = child(disk, "target")?;
    target.attribute("bus").or_else(|| {
        Some(match target.attribute("dev")?.get(..2)? {
            "vd" => "virtio",
            "sd" => "scsi",
            "hd" => "ide",
            "xv" => "xen",
            "fd" => "fdc",
            _ => return None,
        })
    })
}

fn dev<'a>(disk: Node<'a, '_>) -> Option<&'a str> {
    child(disk, "target")?.attribute("dev")
}

/// `vda` → 0, `sdab` → 27.
fn number(name: &str) -> Option<u32> {
    let letters = name.get(2..).filter(|letters| !letters.is_empty())?;
    let number = letters.bytes().try_fold(0u32, |number, letter| {
        let digit = letter
            .is_ascii_lowercase()
            .then(|| u32::from(letter - b'a') + 1)?;
        number.checked_mul(26)?.checked_add(digit)
    })?;
    number.checked_sub(1)
}

/// The number whose name has this place.
fn drive_number(address: Node<'_, '_>) -> Option<u32> {
    let part = |name: &str| {
        address
            .attribute(name)
            .map_or(Some(0), |text| text.parse::<u32>().ok())
    };
    if address.attribute("type") != Some("drive") {
        return None;
    }
    part("controller")?
        .checked_mul(SATA_PORTS)?
        .checked_add(part("unit")?)
}
