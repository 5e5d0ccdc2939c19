//! Kinds of devices that no table can tell.

use std::borrow::Cow;

use roxmltree::Node;

use super::table::{NAMES_THE_IMAGE, Names, OF_PROTOCOL, OF_SEVERAL_HOSTS, OF_VIRTIO, SOURCES};
use super::{
    Said, is_merged, one_and_the_same, part, remove, replace, said, said_part, say, unset,
};
use crate::document::{child, parent_name};
use crate::merge::patch::{Attribute, Element};

/// Why a device cannot become what `wanted` makes of it, with what to do.
pub(in crate::merge) fn refused(
    target: Node<'_, '_>,
    wanted: &Element,
) -> Option<(String, String)> {
    if (parent_name(target), wanted.name.as_str()) != ("devices", "disk") {
        return None;
    }
    let name = child(target, "target").and_then(|target| target.attribute("dev"));
    let name = name.unwrap_or("?");
    let was = target.attribute("device").unwrap_or("disk");
    let is_drive = |device: &str| matches!(device, "cdrom" | "floppy");
    if let Some(becomes) = wanted.attribute("device").filter(|device| *device != was)
        && (is_drive(becomes) || is_drive(was))
    {
        let message =
            format!("'{name}' is of device='{was}' here, and the patch says device='{becomes}'");
        let help = "give the new one a <target dev=…> that is free, or take the old one out first, with patch:op='remove' in a patch of its own";
        return Some((message, help.to_owned()));
    }
    let old = target.attribute("type").unwrap_or("file");
    let new = wanted.attribute("type").filter(|new| *new != old)?;
    let there = child(target, "source").filter(|source| source.attributes().len() > 0);
    if there.is_some() && wanted.child("source").is_none() {
        let message = format!(
            "'{name}' is of type='{old}' here, and the patch says type='{new}' without a <source>"
        );
        let help = "leave type= out for the image that is there, or name the new one; <source patch:op='remove'/> ejects it";
        return Some((message, help.to_owned()));
    }
    None
}

/// The image of a disk, and what the disk has for its bus.
pub(super) fn disk(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    source(target, wanted);
    let bus = child(target, "target").and_then(|target| target.attribute("bus"));
    let becomes = said_part(wanted, "target").and_then(|one| one.attribute("bus"));
    let (Some(bus), Some(becomes)) = (bus, becomes.map(str::to_owned)) else {
        return;
    };
    if bus == becomes {
        return;
    }
    let is_plain = |bus: &str| matches!(bus, "scsi" | "sata" | "ide");
    match bus {
        "virtio" => {
            unset_in("driver", OF_VIRTIO, target, wanted);
            unset("model", target, wanted);
        }
        "usb" => unset_in("target", &["removable"], target, wanted),
        "scsi" => {
            for name in ["vendor", "product"] {
                remove_unsaid(name, target, wanted);
            }
        }
        _ => {}
    }
    if is_plain(bus) && !is_plain(&becomes) {
        unset_in("target", &["rotation_rate"], target, wanted);
        remove_unsaid("wwn", target, wanted);
    }
}

/// Takes out the parts of this name where `wanted` says nothing of them.
fn remove_unsaid(name: &str, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    if wanted.child(name).is_none() {
        remove(name, target, wanted);
    }
}

/// Takes attributes of a part of `target` out.
pub(super) fn unset_in(name: &str, attributes: Names, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let Some(there) = child(target, name) else {
        return;
    };
    if !attributes.iter().any(|name| there.has_attribute(*name)) {
        return;
    }
    if wanted.child(name).is_none() {
        let said = part(name, wanted);
        wanted.to_mut().children.push(said);
    }
    amend(name, wanted, |said| {
        attributes.iter().for_each(|name| unset(name, there, said));
    });
}

/// Changes what `wanted` says of its parts of this name that keep what is not said.
fn amend(name: &str, wanted: &mut Said<'_>, change: impl Fn(&mut Said<'_>)) {
    let is_it = |part: &Element| part.name == name && part.namespace.is_none() && is_merged(part);
    if !wanted.children.iter().any(is_it) {
        return;
    }
    let parts = wanted.to_mut().children.iter_mut();
    for part in parts.filter(|part| is_it(part)) {
        let mut said = Cow::Borrowed(&*part);
        change(&mut said);
        let said = said.into_owned();
        *part = said;
    }
}

/// Where an image is, on a disk that becomes one of another type or gets another image.
fn source(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let Some(there) = child(target, "source") else {
        return;
    };
    let new = said_part(wanted, "source");
    let is_another_image = new.is_some_and(|new| {
        let mut names = NAMES_THE_IMAGE.iter();
        names.any(|name| {
            let value = new.attribute(name);
            value.is_some() && value != there.attribute(*name)
        })
    });
    let opens = |name: &str| new.is_some_and(|new| said_part(new, name).is_some());
    let (has_auth, has_encryption) = (opens("auth"), opens("encryption"));
    // The chain of the old image is not that of the new one.
    if is_another_image {
        replace("backingStore", target, wanted);
    }
    let old = target.attribute("type").unwrap_or("file");
    let new = wanted.attribute("type").filter(|new| *new != old);
    let changed = new.map(str::to_owned);
    // Both may stand in <source> or beside it.
    if has_auth || (old == "network" && changed.is_some()) {
        remove_unsaid("auth", target, wanted);
    }
    if has_encryption {
        remove_unsaid("encryption", target, wanted);
    }
    if is_another_image {
        amend("source", wanted, |said| {
            remove_unsaid("slices", there, said)
        });
    }
    let of = |value: &str| SOURCES.iter().find(|(name, ..)| *name == value);
    let (Some(was), Some(new)) = (of(old), changed.as_deref()) else {
        return;
    };
    let (its_attributes, its_parts) =
        of(new).map_or((&[] as Names, &[] as Names), |one| (one.1, one.2));
    amend("source", wanted, |said| {
        for name in was.1.iter().filter(|name| !its_attributes.contains(name)) {
            unset(name, there, said);
        }
        for name in was.2.iter().filter(|name| !its_parts.contains(name)) {
            remove_unsaid(name, there, said);
        }
    });
}

/// Where in the network an image is. The host of one that has one only is another by another name, and not one more.
pub(super) fn place(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let (old, new) = (target.attribute("protocol"), wanted.attribute("protocol"));
    let (Some(old), new) = (old, new.or(old).map(str::to_owned)) else {
        return;
    };
    if new.as_deref() != Some(old) {
        let (attributes, parts) = OF_PROTOCOL;
        for name in attributes {
            unset(name, target, wanted);
        }
        for name in parts {
            replace(name, target, wanted);
        }
    }
    if new.is_some_and(|protocol| OF_SEVERAL_HOSTS.contains(&protocol.as_str())) {
        return;
    }
    one_and_the_same(target, wanted, |_| true, |host| host.name == "host");
    // A socket is no name and port.
    let is_socket = |transport: Option<&str>| transport == Some("unix");
    let was = child(target, "host").map(|host| is_socket(host.attribute("transport")));
    let hosts = said_part(wanted, "host");
    let names = hosts.filter(|host| {
        ["name", "socket", "transport"]
            .iter()
            .any(|key| host.attribute(key).is_some())
    });
    let becomes = names
        .map(|host| is_socket(host.attribute("transport")) || host.attribute("socket").is_some());
    if was.is_some() && becomes.is_some() && was != becomes {
        replace("host", target, wanted);
    }
}

/// The addresses of a user's network, of which there is one of each family.
pub(super) fn addresses(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let kind = wanted
        .attribute("type")
        .or_else(|| target.attribute("type"));
    if kind != Some("user") {
        return;
    }
    for family in ["ipv4", "ipv6"] {
        let is_of = |said: Option<&str>| said.unwrap_or("ipv4") == family;
        one_and_the_same(
            target,
            wanted,
            |ip| is_of(ip.attribute("family")),
            |ip| ip.name == "ip" && is_of(ip.attribute("family")),
        );
    }
}

/// Where graphics listen, and on which port: libvirt writes both twice, and wants them to agree.
pub(super) fn graphics(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    ports(target, wanted);
    let Some(there) = child(target, "listen") else {
        return;
    };
    let is_said = |name: &str| said(wanted, name).is_some_and(|one| one.value.is_some());
    let says_port = is_said("port") || is_said("autoport");
    let says_where = is_said("listen") || is_said("socket") || wanted.child("listen").is_some();
    if says_port && !says_where && there.attribute("type") == Some("socket") {
        unset("socket", target, wanted);
        remove("listen", target, wanted);
        return;
    }
    let value = |name: &str| said(wanted, name).and_then(|one| one.value.clone());
    let kind = match (value("listen"), value("socket")) {
        (Some(address), None) => Some(("address", "address", address)),
        (None, Some(socket)) => Some(("socket", "socket", socket)),
        _ => None,
    };
    match (kind, wanted.child("listen")) {
        (Some((kind, attribute, value)), None) => {
            let mut said = part("listen", wanted);
            say("type", kind, &mut said);
            say(attribute, &value, &mut said);
            said.at = Some(there.range().start);
            wanted.to_mut().children.push(said);
        }
        (None, Some(_)) => {
            for (of_part, own) in [("address", "listen"), ("socket", "socket")] {
                let Some(part) = said_part(wanted, "listen") else {
                    return;
                };
                let new = part.attribute(of_part).map(str::to_owned);
                if let Some(new) = new.filter(|_| target.has_attribute(own))
                    && said(wanted, own).is_none()
                {
                    say(own, &new, wanted.to_mut());
                }
            }
        }
        _ => {}
    }
}

/// A port that is given is none that libvirt chooses, and the other way round.
fn ports(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    // What libvirt stores for a port that it chooses is none to take out: it would be there again.
    let chooses = match said(wanted, "autoport") {
        Some(said) => said.value.as_deref() == Some("yes"),
        None => target.attribute("autoport") == Some("yes"),
    };
    let is_none = |one: &Attribute| {
        one.value.is_none()
            && matches!(one.name.as_str(), "port" | "tlsPort")
            && target.attribute(one.name.as_str()) == Some("-1")
    };
    if chooses && wanted.attributes.iter().any(is_none) {
        wanted.to_mut().attributes.retain(|one| !is_none(one));
    }
    let was_chosen = target.attribute("autoport") == Some("yes");
    let port = wanted.attribute("port").map(str::to_owned);
    let autoport = said(wanted, "autoport").map(|one| one.value.as_deref().unwrap_or_default());
    match (port.as_deref(), autoport) {
        (Some("-1"), None) if !was_chosen && target.has_attribute("autoport") => {
            say("autoport", "yes", wanted.to_mut());
        }
        (Some("-1") | None, None) => {}
        (Some(_), None) if was_chosen => say("autoport", "no", wanted.to_mut()),
        (_, Some("yes")) if !was_chosen => {
            for name in ["port", "tlsPort"] {
                if target.attribute(name) != Some("-1") {
                    unset(name, target, wanted);
                }
            }
        }
        _ => {}
    }
}
