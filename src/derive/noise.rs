//! What libvirt adds to a definition by itself, and what makes a domain this one and no other:
//! nothing that anybody changed by hand, so not worth recording.

use roxmltree::Node;

use super::equal;
use crate::document::{Document, DocumentError, Edit, child, children, qemu};
use crate::hypervisor::compare::noise as compare;

/// What else is to be recorded, and how strictly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Addresses of devices in the guest (`<address>` of a device).
    pub addresses: bool,
    /// Names libvirt gives to devices (`<alias name='net0'>`; names of the user's own always count).
    pub aliases: bool,
    /// Controllers that come and go with the devices that need them.
    pub controllers: bool,
    /// What libvirt fills in where the old definition says nothing, and how it spells what one says.
    pub defaults: bool,
    /// The UUID, and what else is as unique: the generation ID, the UUID in the SMBIOS, and the IDs that libvirt
    /// makes for ports of a virtual switch.
    pub uuid: bool,
    /// MAC addresses.
    pub mac: bool,
    /// The name.
    pub name: bool,
    /// The order of elements where libvirt reads any.
    pub order: bool,
    /// That passwords go, where the definition after shows none at all.
    pub passwords: bool,
}

impl Keep {
    /// Everything.
    pub const ALL: Keep = Keep {
        addresses: true,
        aliases: true,
        controllers: true,
        defaults: true,
        uuid: true,
        mac: true,
        name: true,
        order: true,
        passwords: true,
    };

    /// What is left out of an element of this name at this depth, or of what is in it: a patch that replaced
    /// the element would take that out of the domain.
    pub(super) fn leaves_out_of(&self, parents: &[&str], name: &str) -> Vec<&'static str> {
        let of_device = |name: &str| match name {
            "interface" => vec![
                (self.mac, "mac"),
                (self.addresses, "addresses"),
                (self.aliases, "aliases"),
                (self.uuid, "uuid"),
            ],
            "controller" => vec![
                (self.controllers, "controllers"),
                (self.addresses, "addresses"),
                (self.aliases, "aliases"),
            ],
            _ => vec![(self.addresses, "addresses"), (self.aliases, "aliases")],
        };
        let of_devices = [
            (self.mac, "mac"),
            (self.addresses, "addresses"),
            (self.aliases, "aliases"),
            (self.controllers, "controllers"),
        ];
        let kinds = match (parents, name) {
            ([], _) => [(self.name, "name"), (self.uuid, "uuid")]
                .into_iter()
                .chain(of_devices)
                .collect(),
            (["domain"], "devices") => of_devices
                .into_iter()
                .chain([(self.uuid, "uuid")])
                .collect(),
            (["domain", "devices"], "emulator") => Vec::new(),
            (["domain", "devices"], name) => of_device(name),
            (["domain", "devices", "interface"], "virtualport") => vec![(self.uuid, "uuid")],
            (["domain"], "os") => vec![(self.name, "name")],
            _ => Vec::new(),
        };
        let left_out = kinds.into_iter().filter(|(kept, _)| !kept);
        left_out.map(|(_, word)| word).collect()
    }

    /// The words for it.
    pub const WORDS: [&str; 10] = [
        "addresses",
        "aliases",
        "controllers",
        "defaults",
        "uuid",
        "mac",
        "name",
        "order",
        "passwords",
        "all",
    ];

    /// Adds what one word stands for; `false` for a word that is none.
    pub fn add(&mut self, word: &str) -> bool {
        match word {
            "addresses" => self.addresses = true,
            "aliases" => self.aliases = true,
            "controllers" => self.controllers = true,
            "defaults" => self.defaults = true,
            "uuid" => self.uuid = true,
            "mac" => self.mac = true,
            "name" => self.name = true,
            "order" => self.order = true,
            "passwords" => self.passwords = true,
            "all" => *self = Keep::ALL,
            _ => return false,
        }
        true
    }
}

/// Types of a `<virtualport>`, and the ID that libvirt makes for one of that type, or of none.
const GENERATED_IDS: [(&str, &str); 2] =
    [("openvswitch", "interfaceid"), ("802.1Qbg", "instanceid")];

/// Whether it is the definition of a running domain, as `virsh dumpxml` gives it.
pub(super) fn is_live(document: &Document<'_>) -> bool {
    document.root().attribute("id").is_some()
}

/// Which of two definitions one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As it was.
    Before,
    /// As it became.
    After,
}

/// `text` without what is not kept. `other` is the definition it is compared with.
///
/// # Errors
/// One of the two cannot be read.
pub fn without(text: &str, side: Side, other: &str, keep: &Keep) -> Result<String, DocumentError> {
    let document = Document::parse_domain(text)?;
    let other = Document::parse_domain(other)?;
    // The other one is compared with it, and does not have what is left out of this one.
    let mut cut = Cut {
        document: &document,
        is_live: is_live(&document) || is_live(&other),
        side,
        other: &other,
        keep,
        edits: Vec::new(),
    };
    cut.domain();
    let edits = cut.edits;
    // Edits of different elements cannot overlap, and each element is cut once.
    Ok(document.splice(edits).unwrap_or_else(|_| text.to_owned()))
}

struct Cut<'d> {
    document: &'d Document<'d>,
    /// One of the two is the definition of a running domain.
    is_live: bool,
    side: Side,
    other: &'d Document<'d>,
    keep: &'d Keep,
    edits: Vec<Edit>,
}

impl<'d> Cut<'d> {
    fn domain(&mut self) {
        let root = self.document.root();
        if *self.keep == Keep::ALL {
            return;
        }
        // The number of a running domain.
        self.attribute(root, "id");
        for element in root.children().filter(Node::is_element) {
            match element.tag_name().name() {
                "name" if !self.keep.name => self.element(element),
                "uuid" if !self.keep.uuid => self.element(element),
                // That there is one is the user's word.
                "genid" if !self.keep.uuid => self.text_of(element),
                "sysinfo" if !self.keep.uuid => self.own_uuid(element),
                "devices" => self.devices(element),
                "os" if !self.keep.name => self.nvram(element),
                "resource" if self.is_live => self.resource(element),
                _ => {}
            }
        }
    }

    /// libvirt refuses another UUID in the SMBIOS than that of the domain, which is there without.
    fn own_uuid(&mut self, sysinfo: Node<'d, 'd>) {
        for system in children(sysinfo, "system") {
            let first = self.edits.len();
            for entry in children(system, "entry") {
                if entry.attribute("name") == Some("uuid") {
                    self.element(entry);
                }
            }
            self.emptied(system, first);
        }
    }

    /// libvirt makes an ID for a port of a virtual switch where none is said.
    fn port(&mut self, virtualport: Node<'d, 'd>) {
        let kind = virtualport.attribute("type");
        for parameters in children(virtualport, "parameters") {
            let first = self.edits.len();
            for (of, name) in GENERATED_IDS {
                if kind.is_none_or(|kind| kind == of) {
                    self.attribute(parameters, name);
                }
            }
            self.emptied(parameters, first);
        }
    }

    /// libvirt makes up the path of the variables' file from the domain's name.
    fn nvram(&mut self, os: Node<'d, 'd>) {
        let name = self.document.text_at(&["name"]).unwrap_or_default();
        let Some(nvram) = child(os, "nvram") else {
            return;
        };
        let path = nvram.text().unwrap_or_default().trim();
        let file = path.rsplit('/').next().unwrap_or_default();
        let made_up = ["_VARS.fd", "_VARS.qcow2"]
            .iter()
            .any(|ending| file.strip_suffix(ending) == Some(name));
        if made_up && path.starts_with('/') {
            self.text_of(nvram);
        }
    }

    /// libvirt puts each domain that it starts into one partition where nothing is said.
    fn resource(&mut self, resource: Node<'d, 'd>) {
        let first = self.edits.len();
        for partition in children(resource, "partition") {
            if equal::text(partition) == "/machine" {
                self.element(partition);
            }
        }
        self.emptied(resource, first);
    }

    /// The text of an element with nothing else in it.
    fn text_of(&mut self, node: Node<'d, 'd>) {
        let text = node.first_child();
        if let Some(text) = text.filter(|one| one.is_text() && one.next_sibling().is_none()) {
            self.edits.push(Edit::delete(text.range()));
        }
    }

    fn devices(&mut self, devices: Node<'d, 'd>) {
        for device in devices.children().filter(Node::is_element) {
            if device.tag_name().name() == "controller" && !self.keep.controllers {
                if self.is_generated(device) {
                    self.element(device);
                    continue;
                }
                self.numbers_of(device);
            }
            for part in device.children().filter(Node::is_element) {
                let own_alias = || {
                    part.attribute("name")
                        .is_some_and(|name| name.starts_with("ua-"))
                };
                let noise = match part.tag_name().name() {
                    "address" => !self.keep.addresses,
                    "alias" => !self.keep.aliases && !own_alias(),
                    "mac" => {
                        !self.keep.mac
                            && device.tag_name().name() == "interface"
                            && !self.is_known(device)
                    }
                    // What the image has below it is in the image; libvirt looks there at every start.
                    "backingStore" => self.is_live && device.has_tag_name("disk"),
                    _ => false,
                };
                if noise {
                    self.element(part);
                } else if part.has_tag_name("virtualport") && !self.keep.uuid {
                    self.port(part);
                } else {
                    self.state(part);
                }
            }
            self.state_of(device);
        }
    }

    /// What only a running domain has, in an element and what is inside.
    fn state(&mut self, part: Node<'d, 'd>) {
        if compare::state_element(part) {
            self.element(part);
            return;
        }
        let first = self.edits.len();
        self.state_of(part);
        for inner in part.children().filter(Node::is_element) {
            self.state(inner);
        }
        self.emptied(part, first);
    }

    /// An element is left out with all that it holds: libvirt's schema refuses many without. The
    /// edits of it are those from `first` on.
    fn emptied(&mut self, element: Node<'d, 'd>, first: usize) {
        let cuts = self.edits.get(first..).unwrap_or_default();
        if cuts.is_empty() {
            return;
        }
        let parts = crate::document::Parts::of(self.document.text(), element);
        let is_cut = |place: usize| cuts.iter().any(|edit| edit.range.contains(&place));
        let attributes = element.attributes().all(|one| {
            let there = parts.attribute(self.document.text(), one.name());
            one.namespace().is_none() && there.is_some_and(|there| is_cut(there.with_space.start))
        });
        let elements = element.children().filter(Node::is_element);
        let inside = elements.map(|inner| inner.range().start).all(is_cut);
        if attributes && inside && equal::text(element).is_empty() {
            self.edits.truncate(first);
            self.element(element);
        }
    }

    fn state_of(&mut self, element: Node<'d, 'd>) {
        for attribute in element.attributes() {
            if attribute.namespace().is_none()
                && compare::state_attribute(element, attribute.name())
            {
                self.attribute(element, attribute.name());
            }
        }
    }

    /// Whether the MAC address of this interface tells it apart: the other definition has it too,
    /// or it is gone there and nothing new can be what became of it.
    fn is_known(&self, interface: Node<'_, '_>) -> bool {
        let in_other = |mac: &Option<String>| {
            self.other
                .devices("interface")
                .any(|other| mac_of(other) == *mac)
        };
        let all_of_other = || {
            self.other.devices("interface").all(|other| {
                let mac = mac_of(other);
                self.document
                    .devices("interface")
                    .any(|own| mac_of(own) == mac)
            })
        };
        in_other(&mac_of(interface)) || (self.side == Side::Before && all_of_other())
    }

    /// Whether libvirt adds such a controller by itself and takes it away again.
    fn is_generated(&self, controller: Node<'_, '_>) -> bool {
        let attribute = |name| controller.attribute(name);
        let of_type = |other: &Node<'_, '_>| other.attribute("type") == attribute("type");
        let alone = || {
            self.other
                .devices("controller")
                .filter(of_type)
                .all(|other| other.attribute("index") != attribute("index"))
        };
        let none = || {
            !self
                .other
                .devices("controller")
                .any(|other| of_type(&other))
        };
        let plain = child(controller, "driver").is_none();
        match attribute("type") {
            Some("pci") => {
                plain
                    && children(controller, "target").all(|target| {
                        target.attribute("hotplug").is_none() && target.attribute("busNr").is_none()
                    })
            }
            Some("sata" | "ide" | "fdc" | "virtio-serial" | "ccid") => plain && alone(),
            Some("usb") => plain && none(),
            Some("scsi") => plain && none() && attribute("model") != Some("virtio-scsi"),
            _ => false,
        }
    }

    /// The numbers libvirt gives to a PCI controller that is of interest for something else.
    fn numbers_of(&mut self, controller: Node<'d, 'd>) {
        if controller.attribute("type") != Some("pci") {
            return;
        }
        for part in controller.children().filter(Node::is_element) {
            match part.tag_name().name() {
                "model" => self.element(part),
                "target" => {
                    let first = self.edits.len();
                    self.attribute(part, "chassis");
                    self.attribute(part, "chassisNr");
                    self.attribute(part, "port");
                    self.emptied(part, first);
                }
                _ => {}
            }
        }
    }

    fn element(&mut self, node: Node<'d, 'd>) {
        let range = crate::document::with_line(self.document.text(), node.range());
        self.edits.push(Edit::delete(range));
    }

    fn attribute(&mut self, node: Node<'d, 'd>, name: &str) {
        let text = self.document.text();
        let parts = crate::document::Parts::of(text, node);
        if let Some(there) = parts.attribute(text, name) {
            self.edits.push(Edit::delete(there.with_space.clone()));
        }
    }
}

fn mac_of(interface: Node<'_, '_>) -> Option<String> {
    let mac = child(interface, "mac")?;
    mac.attribute("address").map(str::to_lowercase)
}

/// Elements whose order is what they mean, whatever is kept.
pub(super) fn is_sequence(node: Node<'_, '_>) -> bool {
    let parent = node
        .parent_element()
        .map_or("", |parent| parent.tag_name().name());
    match node.tag_name().name() {
        "arg" => qemu::is(node, "arg"),
        "boot" | "initarg" => parent == "os",
        _ => false,
    }
}
