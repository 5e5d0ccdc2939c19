//! From i440fx to q35: what has no place there goes, so that libvirt gives new places.

use roxmltree::Node;

use super::disks::{self, Disk};
use super::known::{self, Known};
use crate::document::{Document, child, children, qemu};
use crate::merge::{Patch, options};
use crate::passes::Ensure;
use crate::text;

/// The patch that makes a q35 machine of an i440fx one.
pub(super) fn patch(
    document: &Document<'_>,
    name: &str,
    known: &Known<'_>,
) -> Result<Ensure, String> {
    if let Some(argument) = argument_for_i440fx(document) {
        return Err(format!(
            "the QEMU argument '{argument}' names a bus that only i440fx has (q35's is pcie.0); change or remove it first"
        ));
    }
    let (machine, mut notes) = machine_for(name, known);
    let mut conversion = Conversion {
        document,
        patch: super::patch(&machine),
        notes: Vec::new(),
        addresses: 0,
    };
    conversion.devices();
    let moved = conversion.disks();
    conversion.arguments();

    let mut what = match conversion.addresses {
        0 => vec!["libvirt adds its controllers".to_owned()],
        1 => vec!["1 PCI address is given anew".to_owned()],
        count => vec![format!("{count} PCI addresses are given anew")],
    };
    if !moved.is_empty() {
        what.push(format!("IDE disks become SATA ({})", moved.join(", ")));
        notes.push("a guest that was installed on IDE disks needs an AHCI driver to boot from SATA; macOS has one".to_owned());
    }
    notes.extend(conversion.notes);
    let reason = format!("{name} becomes {machine}: {}", text::list(&what));
    Ok(Ensure::new(conversion.patch, reason, "").noting(notes))
}

/// The q35 type of the same version, where the host has it. QEMU's own types come in pairs; of a
/// distribution's nothing is known without a list.
fn machine_for(name: &str, known: &Known<'_>) -> (String, Vec<String>) {
    let Some(version) = name.strip_prefix("pc-i440fx-") else {
        return ("q35".to_owned(), Vec::new());
    };
    let same = format!("pc-q35-{version}");
    let knows = known.knows(&same);
    if knows == Some(true) || (knows.is_none() && known::version(&same).is_some()) {
        let note = known.doubt(&same);
        return (same, note.into_iter().collect());
    }
    let nearest = known.nearest(&same);
    if let Some(doubt) = known.doubt(&same) {
        let note = format!("{doubt}, and {nearest} is there in any case");
        return (nearest, vec![note]);
    }
    let note = format!(
        "{} does not know {same}; {nearest} is the nearest",
        known.qemu()
    );
    (nearest, vec![note])
}

struct Conversion<'a> {
    document: &'a Document<'a>,
    patch: Patch,
    notes: Vec<String>,
    addresses: usize,
}

impl<'a> Conversion<'a> {
    fn devices(&mut self) {
        let Some(devices) = self.document.find(&["devices"]) else {
            return;
        };
        let usb =
            children(devices, "controller").filter(|one| one.attribute("type") == Some("usb"));
        let usb = usb.count();
        for device in devices.children().filter(Node::is_element) {
            let kind = device.attribute("type");
            let piix = device
                .attribute("model")
                .is_some_and(|model| model.starts_with("piix"));
            match (device.tag_name().name(), kind) {
                // q35 has others, which libvirt adds.
                ("controller", Some("pci" | "ide")) => self.patch.remove_at(device),
                ("controller", Some("usb")) if piix && usb == 1 => self.patch.remove_at(device),
                ("controller", Some("usb")) if piix => {
                    self.set(device, &[("model", "qemu-xhci")]);
                    self.drop_address(device);
                }
                _ => self.drop_address(device),
            }
        }
    }

    /// Takes out the guest's PCI address; those of host devices are inside of `<source>`.
    fn drop_address(&mut self, device: Node<'a, 'a>) {
        let Some(address) = child(device, "address") else {
            return;
        };
        if address.attribute("type") != Some("pci") {
            return;
        }
        self.addresses += 1;
        self.patch.remove_at(address);
        let one_of_several = address.attribute("multifunction") == Some("on")
            || address
                .attribute("function")
                .is_some_and(|function| !matches!(function, "0x0" | "0"));
        if device.tag_name().name() == "hostdev" && one_of_several {
            self.notes.push(format!(
                "line {}: this host device was one of several functions of one slot, and gets a slot of its own",
                self.line(device)
            ));
        }
    }

    /// Moves the IDE disks; answers with what became of each.
    fn disks(&mut self) -> Vec<String> {
        let disks = disks::read(self.document);
        let targets = disks::new_targets(&disks);
        let new = |disk: &Disk<'_>| {
            let found = targets.iter().find(|(one, _)| one.node == disk.node);
            found.map(|(_, name)| name.as_str())
        };
        for disk in &disks {
            if disk.bus == "fdc" {
                self.notes.push(format!(
                    "line {}: the floppy drive {} stays, on a controller that q35 gets for it; macOS has no driver for it",
                    self.line(disk.node),
                    disk.dev
                ));
            }
            if let Some(name) = new(disk) {
                self.set(disk.target, &[("dev", name), ("bus", "sata")]);
                // libvirt takes these for IDE and not for SATA.
                for name in ["wwn", "geometry"] {
                    if let Some(gone) = child(disk.node, name) {
                        self.patch.remove_at(gone);
                        self.notes.push(format!(
                            "line {}: <{name}> goes, libvirt takes none for a SATA disk",
                            self.line(disk.node)
                        ));
                    }
                }
            }
            // Places on SATA controllers follow from the targets, and two may not be the same.
            if matches!(disk.bus, "ide" | "sata")
                && let Some(address) = child(disk.node, "address")
            {
                self.patch.remove_at(address);
            }
        }
        let before = disks::first_of_kinds(&disks, |disk| (disk.bus.into(), disk.dev.into()));
        let after = disks::first_of_kinds(&disks, |disk| match new(disk) {
            Some(name) => ("sata".into(), name.into()),
            None => (disk.bus.into(), disk.dev.into()),
        });
        if before != after {
            self.keep_boot_order(&disks, &before);
        }
        let moved = targets.iter();
        moved
            .map(|(disk, name)| format!("{} is now {name}", disk.dev))
            .collect()
    }

    /// Says of each device in `<boot dev=…>` which one it was: libvirt would take another now.
    fn keep_boot_order(&mut self, disks: &[Disk<'a>], first: &[(&str, Option<usize>)]) {
        let Some(devices) = self.document.find(&["devices"]) else {
            return;
        };
        let ordered = devices
            .children()
            .any(|device| child(device, "boot").is_some());
        if ordered {
            return;
        }
        let mut order = 0;
        for boot in disks::boot_devices(self.document) {
            let device = match boot {
                "network" => children(devices, "interface").next(),
                boot => {
                    let of = first.iter().find(|(kind, _)| *kind == boot);
                    of.and_then(|(_, at)| disks.get((*at)?))
                        .map(|disk| disk.node)
                }
            };
            let Some(device) = device else { continue };
            order += 1;
            let mut element = xmltree::Element::new("boot");
            element
                .attributes
                .insert("order".to_owned(), order.to_string());
            let mut parent = xmltree::Element::new(device.tag_name().name());
            parent.children.push(xmltree::XMLNode::Element(element));
            self.patch.merge_at(device, parent);
        }
        for boot in self
            .document
            .find(&["os"])
            .into_iter()
            .flat_map(|os| children(os, "boot"))
        {
            self.patch.remove_at(boot);
        }
        self.notes.push("the boot order stands with the devices now: by target names alone another disk would come first".to_owned());
    }

    /// Arguments for the i440fx chipset do nothing on q35.
    fn arguments(&mut self) {
        for group in qemu::groups(self.document.root()) {
            let property = options::property(group.value()).unwrap_or_default();
            if group.option == "global" && property.starts_with("PIIX") {
                self.patch.remove_at(group.option_arg);
                if let Some(value) = group.value_arg {
                    self.patch.remove_at(value);
                }
            }
        }
    }

    fn set(&mut self, node: Node<'a, 'a>, attributes: &[(&str, &str)]) {
        let mut element = xmltree::Element::new(node.tag_name().name());
        for (name, value) in attributes {
            element
                .attributes
                .insert((*name).to_owned(), (*value).to_owned());
        }
        self.patch.merge_at(node, element);
    }

    fn line(&self, node: Node<'_, '_>) -> usize {
        self.document.position(node.range().start).line
    }
}

/// A `-device` on a bus of the i440fx.
fn argument_for_i440fx(document: &Document<'_>) -> Option<String> {
    qemu::groups(document.root())
        .iter()
        .filter(|group| group.option == "device")
        .find(|group| options::get(group.value(), "bus").is_some_and(|bus| bus.starts_with("pci.")))
        .map(|group| format!("-device {}", group.value()))
}
