//! Places on the guest's PCI buses: what is taken, and what is free.

use std::collections::BTreeSet;
use std::fmt;

use roxmltree::Node;

use super::elements::element;
use super::guest::Machine;
use crate::document::{Document, child};

/// An address, of the guest or the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Domain (0 in guests).
    pub domain: u32,
    /// Bus; in guests the index of the controller that makes it.
    pub bus: u32,
    /// Slot, also called device.
    pub slot: u32,
    /// Function, 0 to 7.
    pub function: u32,
}

impl Address {
    /// As the kernel and lspci write it: `0000:01:00.0` or `01:00.0`.
    pub fn parse(text: &str) -> Option<Address> {
        let (rest, function) = text.split_once('.')?;
        let parts: Vec<&str> = rest.split(':').collect();
        let (domain, bus, slot) = match parts.as_slice() {
            [bus, slot] => ("0", *bus, *slot),
            [domain, bus, slot] => (*domain, *bus, *slot),
            _ => return None,
        };
        let hex = |digits: &str, most: u32| {
            let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok()?;
            (good && number <= most).then_some(number)
        };
        Some(Address {
            domain: hex(domain, 0xffff)?,
            bus: hex(bus, 0xff)?,
            slot: hex(slot, 0x1f)?,
            function: hex(function, 7)?,
        })
    }

    /// Reads the attributes of an `<address>`.
    pub fn of(address: Node<'_, '_>) -> Option<Address> {
        address.attribute("bus").or(address.attribute("slot"))?;
        let number = |name: &str, default: Option<u32>| match address.attribute(name) {
            None => default,
            Some(text) => match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
        };
        Some(Address {
            domain: number("domain", Some(0))?,
            // libvirt reads what is left out as 0.
            bus: number("bus", Some(0))?,
            slot: number("slot", Some(0))?,
            function: number("function", Some(0))?,
        })
    }

    /// Where a device of the definition sits in the guest, when that is written down.
    pub fn of_device(device: Node<'_, '_>) -> Option<Address> {
        let address = child(device, "address")?;
        (address.attribute("type") == Some("pci"))
            .then(|| Address::of(address))
            .flatten()
    }

    /// The `<address>` that places a device in the guest.
    pub fn to_place(self, multifunction: bool) -> xmltree::Element {
        let mut place = element("address", &[("type", "pci")]);
        place.attributes.extend(self.to_source().attributes);
        if multifunction {
            let on = ("multifunction".to_owned(), "on".to_owned());
            place.attributes.extend([on]);
        }
        place
    }

    /// The `<address>` that names a device of the host.
    pub fn to_source(self) -> xmltree::Element {
        let mut source = element("address", &[]);
        source.attributes.extend(
            [
                ("domain", format!("0x{:04x}", self.domain)),
                ("bus", format!("0x{:02x}", self.bus)),
                ("slot", format!("0x{:02x}", self.slot)),
                ("function", format!("0x{:x}", self.function)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        source
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address {
            domain,
            bus,
            slot,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
    }
}

/// The slots that devices of a definition have.
#[derive(Debug)]
pub struct Slots {
    taken: BTreeSet<(u32, u32)>,
}

impl Slots {
    /// Those of all devices but `moving`.
    pub fn of(document: &Document<'_>, moving: &[Node<'_, '_>]) -> Slots {
        let devices = document.find(&["devices"]);
        let devices = devices.into_iter().flat_map(|devices| devices.children());
        Slots {
            taken: devices
                .filter(|device| !moving.contains(device))
                .filter_map(Address::of_device)
                .map(|address| (address.bus, address.slot))
                .collect(),
        }
    }

    /// Whether no device has this slot.
    pub fn is_free(&self, bus: u32, slot: u32) -> bool {
        !self.taken.contains(&(bus, slot))
    }

    /// Whether no device sits on this bus.
    pub fn is_empty(&self, bus: u32) -> bool {
        self.taken
            .range((bus, 0)..=(bus, u32::MAX))
            .next()
            .is_none()
    }

    /// Takes a slot.
    pub fn take(&mut self, bus: u32, slot: u32) {
        self.taken.insert((bus, slot));
    }

    /// A free slot on the root bus, which is taken then. libvirt fills the bus from slot 1 on and keeps
    /// 0, 1, 2, 0x1a, 0x1b and 0x1d to 0x1f for chipset, video, sound and USB; devices without an
    /// address make room for those with one.
    pub fn take_on_root(&mut self, machine: Machine) -> Option<u32> {
        let slots = match machine {
            Machine::Q35 | Machine::I440fx => (0x10..=0x19).chain(0x03..=0x0f),
            Machine::Other => return None,
        };
        let free = slots.into_iter().find(|slot| self.is_free(0, *slot))?;
        self.take(0, free);
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_as_lspci_writes_them() {
        for (text, expected) in [
            ("0000:01:00.0", Some("0000:01:00.0")),
            ("01:00.1", Some("0000:01:00.1")),
            ("1:0.1", Some("0000:01:00.1")),
            ("0001:0A:1f.7", Some("0001:0a:1f.7")),
            ("01:20.0", None),
            ("01:00.8", None),
            ("01:00", None),
            ("0x01:00.0", None),
            ("+1:00.0", None),
            ("", None),
        ] {
            let parsed = Address::parse(text).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_root_bus_has_free_slots() {
        let text = "<domain><devices><a><address type='pci' bus='0x00' slot='0x10'/></a><b><address type='pci' bus='0' slot='17' function='1'/></b><c><address type='drive' bus='0' slot='0x12'/></c></devices></domain>";
        let document = Document::parse(text).unwrap();
        let mut slots = Slots::of(&document, &[]);
        assert_eq!(slots.take_on_root(Machine::Q35), Some(0x12));
        assert_eq!(slots.take_on_root(Machine::I440fx), Some(0x13));
        assert_eq!(slots.take_on_root(Machine::Other), None);
        let all: Vec<u32> = std::iter::from_fn(|| slots.take_on_root(Machine::Q35)).collect();
        assert_eq!(all.len(), 19);
        assert!(!all.contains(&1) && !all.contains(&0x1f));
    }
}
