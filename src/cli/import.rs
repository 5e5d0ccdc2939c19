//! A definition that becomes a new domain: what it must not share with those that are there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use roxmltree::Node;

use super::World;
use super::source::quoted;
use crate::document::{self, Document};
use crate::hypervisor::{Hypervisor, Secrets, capabilities};
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
/// them. Passwords stay as well where it has none: what virsh dumpxml prints without --security-info
/// lacks them.
///
/// # Errors
/// The definition cannot be merged into.
pub(super) fn in_the_place_of(
    stored: &str,
    text: String,
    world: &mut World<'_>,
) -> anyhow::Result<String> {
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
    let mut kept = 0;
    for (was, is) in old.devices("graphics").zip(new.devices("graphics")) {
        let same_kind = was.attribute("type") == is.attribute("type");
        if let Some(password) = was.attribute("passwd")
            && same_kind
            && is.attribute("passwd").is_none()
        {
            let mut graphics = xmltree::Element::new("graphics");
            let attributes = [
                ("passwd", Some(password)),
                ("passwdValidTo", was.attribute("passwdValidTo")),
            ];
            for (name, value) in attributes {
                if let Some(value) = value {
                    graphics
                        .attributes
                        .insert(name.to_owned(), value.to_owned());
                }
            }
            patch.merge_at(is, graphics);
            kept += 1;
        }
    }
    if kept > 0 {
        world.out.say(&format!(
            "note: the definition has no password where the domain has {}, which stays; virsh edit takes it out",
            if kept == 1 { "one" } else { "some" }
        ));
    }
    Ok(merge::merged(&new, &patch)?.unwrap_or(text))
}

/// An nvram file for a new domain whose own would be one that is there: that of a domain which once
/// had this name, or what such a domain left behind.
///
/// # Errors
/// The domains that are there cannot be listed, or the definition cannot be merged into.
pub(super) fn with_a_fresh_nvram(
    planned: &str,
    text: &str,
    from_template: bool,
    connection: &dyn Hypervisor,
    world: &mut World<'_>,
) -> anyhow::Result<Option<String>> {
    let (Ok(planned), Ok(document)) = (Document::parse(planned), Document::parse(text)) else {
        return Ok(None);
    };
    let loader = planned.attribute(&["os", "loader"], "type");
    let is_uefi = loader == Some("pflash") || planned.attribute(&["os"], "firmware") == Some("efi");
    let has_path = planned.find(&["os", "nvram"]).is_some_and(|nvram| {
        nvram_path(nvram).is_some() || document::child(nvram, "source").is_some()
    });
    let Some(name) = planned.text_at(&["name"]).filter(|_| is_uefi && !has_path) else {
        return Ok(None);
    };
    let directory = nvram_directory(&connection.uri()?);
    let is_its = |path: &Path| {
        let file = path.file_name().and_then(|file| file.to_str());
        ["fd", "qcow2"]
            .iter()
            .any(|kind| file == Some(format!("{name}_VARS.{kind}").as_str()))
    };
    let mut used: HashMap<PathBuf, String> = HashMap::new();
    for domain in connection.domains()? {
        if let Ok(definition) = connection.definition(&domain.uuid, Secrets::Omitted)
            && let Ok(other) = Document::parse(&definition)
            && let Some(nvram) = Own::of(&other).nvram
        {
            used.insert(nvram.into(), domain.name);
        }
    }
    let taken = used
        .iter()
        .find(|(path, _)| is_its(path))
        .map(|(path, user)| {
            (
                path.clone(),
                format!("is the nvram file of {}", quoted(user)),
            )
        });
    let left = || {
        let directory = directory.as_ref()?;
        let files = ["fd", "qcow2"].map(|kind| directory.join(format!("{name}_VARS.{kind}")));
        let there = files.into_iter().find(|path| path.exists())?;
        Some((
            there,
            "was left behind by a machine of that name".to_owned(),
        ))
    };
    let Some((path, why)) = taken.clone().or_else(left) else {
        return Ok(None);
    };
    let shown = quoted(&path.display().to_string());
    if taken.is_none() && !from_template {
        // Whoever brings a machine back may have kept it on purpose.
        world.out.warn(&format!(
            "{shown} {why}, and the new domain starts with what is in it; remove it first, or name another file in <nvram>"
        ));
        return Ok(None);
    }
    world.out.say(&format!(
        "{shown} {why}; the new domain gets one of its own"
    ));
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let fresh = (2u32..)
        .map(|n| path.with_file_name(format!("{name}_VARS-{n}.{extension}")))
        .find(|fresh| !used.contains_key(fresh) && !fresh.exists())
        .unwrap_or(path.clone());
    let patch = Patch::new("nvram", "<domain><os><nvram>${path}</nvram></os></domain>")
        .with("path", fresh.display().to_string());
    Ok(merge::merged(&document, &patch)?)
}

/// Where libvirt of this machine puts the nvram files of domains that name none.
fn nvram_directory(uri: &str) -> Option<PathBuf> {
    if !capabilities::is_local(uri) {
        return None;
    }
    if uri.ends_with("/system") {
        return Some("/var/lib/libvirt/qemu/nvram".into());
    }
    let of_user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(of_user.join("libvirt/qemu/nvram"))
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
