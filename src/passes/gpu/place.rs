//! Slots for cards in the guest.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::super::elements::element;
use super::super::guest::{self, Machine};
use super::super::pci::{Address, Slots};
use crate::document::Document;
use crate::merge::{Op, Patch};

/// What is free.
pub(super) struct Places {
    machine: Machine,
    machine_name: String,
    slots: Slots,
    /// Buses of root ports, by controller index.
    ports: BTreeSet<u32>,
    /// Indexes of all PCI controllers.
    taken: BTreeSet<u32>,
    /// Root ports that have to be added.
    new: Vec<u32>,
}

impl Places {
    /// What is free without the devices `moving`.
    pub(super) fn of(document: &Document<'_>, moving: &[Node<'_, '_>]) -> Places {
        let mut places = Places {
            machine: guest::machine(document),
            machine_name: guest::machine_name(document).to_owned(),
            slots: Slots::of(document, moving),
            ports: BTreeSet::new(),
            // pcie-root or pci-root, which libvirt adds where nobody wrote it.
            taken: BTreeSet::from([0]),
            new: Vec::new(),
        };
        let controllers: Vec<Node<'_, '_>> = document
            .devices("controller")
            .filter(|controller| controller.attribute("type") == Some("pci"))
            .collect();
        let mut bridges: Vec<u32> = Vec::new();
        let index = |controller: &Node<'_, '_>| -> Option<u32> {
            controller.attribute("index")?.parse().ok()
        };
        places.taken.extend(controllers.iter().filter_map(index));
        for controller in &controllers {
            let model = controller.attribute("model");
            let index = match (index(controller), model) {
                (Some(index), _) => index,
                (None, Some("pcie-root" | "pci-root")) => 0,
                // libvirt gives those without an index the lowest that is free, one after the other.
                (None, _) => places.next_index(),
            };
            places.taken.insert(index);
            match model {
                Some("pcie-root-port") => {
                    places.ports.insert(index);
                }
                Some("pcie-to-pci-bridge" | "pcie-switch-upstream-port")
                    if Address::of_device(*controller).is_none() =>
                {
                    bridges.push(index);
                }
                _ => {}
            }
        }
        // A bridge without an address sits on a port of a lower index, and libvirt adds none where
        // those indexes are taken: "Cannot automatically add a new PCI bus" (measured).
        bridges.sort_unstable();
        for bridge in bridges {
            let free = |port: &&u32| places.slots.is_empty(**port);
            if let Some(port) = places.ports.range(..bridge).find(free).copied() {
                places.slots.take(port, 0);
            }
        }
        places
    }

    /// The slot for a card: the one it has, when no other device is in it; otherwise one that is free.
    pub(super) fn slot_for(&mut self, present: Option<Address>) -> Result<Address, String> {
        let slot = match present {
            Some(present) if self.slots.is_free(present.bus, present.slot) => present,
            _ => self.free()?,
        };
        self.slots.take(slot.bus, slot.slot);
        Ok(Address {
            function: 0,
            ..slot
        })
    }

    fn free(&mut self) -> Result<Address, String> {
        let at = |bus, slot| Address {
            domain: 0,
            bus,
            slot,
            function: 0,
        };
        if self.machine == Machine::Q35 {
            let free = self.ports.iter().find(|bus| self.slots.is_empty(**bus));
            let bus = match free {
                Some(bus) => *bus,
                None => {
                    let index = self.next_index();
                    self.taken.insert(index);
                    self.new.push(index);
                    index
                }
            };
            return Ok(at(bus, 0));
        }
        let slot = self.slots.take_on_root(self.machine);
        slot.map(|slot| at(0, slot)).ok_or_else(|| {
            format!(
                "the machine type '{}' has no free PCI slot for the card",
                self.machine_name
            )
        })
    }

    fn next_index(&self) -> u32 {
        (1..).find(|index| !self.taken.contains(index)).unwrap_or(1)
    }

    /// Adds the root ports that were missing.
    pub(super) fn add_new_ports(&self, patch: &mut Patch) {
        for index in &self.new {
            let port = [
                ("type", "pci"),
                ("index", &index.to_string()),
                ("model", "pcie-root-port"),
            ];
            patch.add(&["devices"], Op::Merge, element("controller", &port));
        }
    }
}
