//! A definition that becomes a new domain: what it must not share with those that are there.

use std::collections::HashMap;

use roxmltree::Node;

use super::World;
use super::source::quoted;
use crate::document::{self, Document};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::merge::{self, Op, Patch};

/// What one machine writes to, or is known by on its network.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    nvram: Option<String>,
    macs: Vec<String>,
    disks: Vec<String>,
}

impl Own {
    fn of(document: &Document<'_>) -> Own {
        let root = document.root();
        let nvram = document::child(root, "os").and_then(|os| document::child(os, "nvram"));
        let devices: Vec<Node<'_, '_>> = document::child(root, "devices")
            .into_iter()
            .flat_map(|devices| devices.children().filter(Node::is_element))
            .collect();
        let of_name =
            |name: &'static str| devices.iter().filter(move |node| node.has_tag_name(name));
        let source = |disk: &Node<'_, '_>| {
            let may_be_shared = ["readonly", "shareable"];
            let source = document::child(*disk, "source")?;
            let path = source.attribute("file").or(source.attribute("dev"))?;
            let is_shared = may_be_shared
                .iter()
                .any(|name| document::child(*disk, name).is_some());
            (!is_shared && disk.attribute("device") != Some("cdrom")).then(|| path.to_owned())
        };
        let mac = |nic: &Node<'_, '_>| {
            let mac = document::child(*nic, "mac")?.attribute("address")?;
            Some(mac.to_lowercase())
        };
        Own {
            nvram: nvram.and_then(nvram_path).map(str::to_owned),
            macs: of_name("interface").filter_map(mac).collect(),
            disks: of_name("disk").filter_map(source).collect(),
        }
    }
}

fn nvram_path<'a>(nvram: Node<'a, '_>) -> Option<&'a str> {
    document::text_of(nvram).or_else(|| document::child(nvram, "source")?.attribute("file"))
}

/// The definition of a new domain, with an nvram file of its own. Two machines on one file overwrite
/// each other's boot entries; what else they would share is the user's to decide, and is said.
///
/// # Errors
/// The domains that are there cannot be listed.
pub(super) fn on_its_own(
    text: String,
    renamed: bool,
    connection: &dyn Hypervisor,
    world: &mut World<'_>,
) -> anyhow::Result<String> {
    let Ok(document) = Document::parse(&text) else {
        return Ok(text);
    };
    let own = Own::of(&document);
    if own == Own::default() {
        return Ok(text);
    }
    let mut users: HashMap<String, String> = HashMap::new();
    for domain in connection.domains()? {
        // One that went away meanwhile uses nothing.
        let Ok(definition) = connection.definition(&domain.uuid, Secrets::Omitted) else {
            continue;
        };
        let Ok(other) = Document::parse(&definition) else {
            continue;
        };
        let other = Own::of(&other);
        let used = other.nvram.into_iter().chain(other.macs).chain(other.disks);
        users.extend(used.map(|used| (used, domain.name.clone())));
    }
    let used = |what: &String| users.get(what).map(|name| quoted(name));
    for mac in &own.macs {
        if let Some(user) = used(mac) {
            world.out.warn(&format!("{user} has the MAC address {mac} too: when both run, the network of neither works; without its <mac> the new domain gets one of its own"));
        }
    }
    for disk in &own.disks {
        if let Some(user) = used(disk) {
            world.out.warn(&format!(
                "{user} writes to {} too: only one of them can run",
                quoted(disk)
            ));
        }
    }
    let Some(nvram) = &own.nvram else {
        return Ok(text);
    };
    let reason = match used(nvram) {
        Some(user) => format!("{} is the nvram file of {user}", quoted(nvram)),
        None if renamed => format!("{} is the nvram file of the machine it was", quoted(nvram)),
        None => return Ok(text),
    };
    world
        .out
        .say(&format!("{reason}; the new domain gets one of its own"));
    Ok(merge::merged(&document, &without_path(&document))?.unwrap_or(text))
}

/// The definition in the place of `stored`, whose network interfaces keep their MAC addresses where it
/// names none: libvirt would make up new ones at every define, and the guest's network would not know
/// them.
///
/// # Errors
/// The definition cannot be merged into.
pub(super) fn in_the_place_of(stored: &str, text: String) -> anyhow::Result<String> {
    let (Ok(old), Ok(new)) = (Document::parse(stored), Document::parse(&text)) else {
        return Ok(text);
    };
    let taken = Own::of(&new).macs;
    let mut patch = Patch::new("the domain that is there", "<domain/>");
    for (was, is) in old.devices("interface").zip(new.devices("interface")) {
        let mac = document::child(was, "mac").and_then(|mac| mac.attribute("address"));
        let same_kind = was.attribute("type") == is.attribute("type");
        if let Some(mac) = mac.filter(|mac| !taken.contains(&mac.to_lowercase()))
            && same_kind
            && document::child(is, "mac").is_none()
        {
            let mut element = xmltree::Element::new("mac");
            element
                .attributes
                .insert("address".to_owned(), mac.to_owned());
            let mut interface = xmltree::Element::new("interface");
            interface.children.push(xmltree::XMLNode::Element(element));
            patch.merge_at(is, interface);
        }
    }
    Ok(merge::merged(&new, &patch)?.unwrap_or(text))
}

/// `<nvram>` with nothing but where its contents come from.
fn without_path(document: &Document<'_>) -> Patch {
    let mut element = xmltree::Element::new("nvram");
    for name in ["template", "templateFormat", "format"] {
        if let Some(value) = document.attribute(&["os", "nvram"], name) {
            element.attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    let mut patch = Patch::new("nvram", "<domain/>");
    patch.add(&["os"], Op::Replace, element);
    patch
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_nvram_element_loses_its_path_and_nothing_else() {
        for (before, after) in [
            (
                "<nvram template='/t'>/a/vm_VARS.fd</nvram>",
                "<nvram template='/t'/>",
            ),
            (
                "<nvram type='file' template='/t' templateFormat='raw' format='raw'><source file='/a'/></nvram>",
                "<nvram template='/t' templateFormat='raw' format='raw'/>",
            ),
            ("<nvram>/a/vm_VARS.fd</nvram>", "<nvram/>"),
        ] {
            let domain =
                |nvram: &str| format!("<domain><os><loader>/c</loader>{nvram}</os></domain>");
            let text = domain(before);
            let document = Document::parse(&text).unwrap();
            assert!(Own::of(&document).nvram.is_some());
            let merged = merge::merged(&document, &without_path(&document)).unwrap();
            assert_eq!(merged, Some(domain(after)));
        }
    }
}
