//! What libvirt does to definitions by itself. Each rule was seen with a real daemon (9.0; the
//! watchdog and the clusters with 11.3). Whatever is not here is a change that somebody made.
//!
//! A rule holds also between what the patch makes of the old definition and the new one: it asks
//! the old one for nothing that the patch may change.

use roxmltree::Node;

use crate::derive::equal::{elements, text};
use crate::document::{child, children, namespace_of, parent_name};
use crate::numbers;

/// Elements that are amounts of memory, written in KiB by libvirt.
const AMOUNTS: [&str; 7] = [
    "memory",
    "currentMemory",
    "maxMemory",
    "hard_limit",
    "soft_limit",
    "min_guarantee",
    "swap_hard_limit",
];

/// Elements whose content is not libvirt's.
pub(super) fn is_foreign(node: Node<'_, '_>) -> bool {
    node.tag_name().name() == "metadata"
}

pub(super) fn is_devices(node: Node<'_, '_>) -> bool {
    (parent_name(node), node.tag_name().name()) == ("domain", "devices")
}

/// Whether libvirt adds `b` to a definition that has only `ours` of this name in `a`, which is the
/// element around it as it was.
pub(super) fn adds(a: Option<Node<'_, '_>>, ours: &[Node<'_, '_>], b: Node<'_, '_>) -> bool {
    if namespace_of(b).is_some() {
        return false;
    }
    let at = (parent_name(b), b.tag_name().name());
    if at == ("devices", "input") {
        return is_ps2(b) && !ours.iter().any(|other| is_ps2_like(*other, b));
    }
    let Some(parent) = b.parent_element() else {
        return false;
    };
    // One of several is somebody's.
    if !ours.is_empty() || children(parent, at.1).count() > 1 {
        return false;
    }
    let domain = b.document().root_element();
    match at {
        ("domain", "currentMemory") => {
            let was = a.and_then(|domain| child(domain, "memory")).and_then(kib);
            let memory = child(domain, "memory").and_then(kib);
            kib(b).is_some() && memory == kib(b) && memory == was
        }
        ("domain", "vcpu") => is_just(b, &[("placement", "static")], "1"),
        ("domain", "cpu") => {
            let custom = [("mode", "custom"), ("match", "exact"), ("check", "none")];
            has_just(b, &custom, "")
                && matches!(elements(b).as_slice(), [model] if is_default_cpu(*model))
        }
        ("domain", "clock") => is_just(b, &[("offset", "utc")], ""),
        ("domain", "on_poweroff" | "on_crash") => is_just(b, &[], "destroy"),
        ("domain", "on_reboot") => is_just(b, &[], "restart"),
        ("domain", "numatune") => match elements(b).as_slice() {
            [memory] => {
                let automatic = [("mode", "strict"), ("placement", "auto")];
                let placement = child(domain, "vcpu").and_then(|vcpu| vcpu.attribute("placement"));
                has_just(b, &[], "")
                    && is_just(*memory, &automatic, "")
                    && placement == Some("auto")
            }
            _ => false,
        },
        ("os", "boot") => {
            let was = a.map(|os| os.document().root_element());
            is_just(b, &[("dev", "hd")], "")
                && !boots_by_device(domain)
                && !was.is_some_and(boots_by_device)
        }
        ("cpu", "model") => is_default_cpu(b) && is_custom(parent) && a.is_some_and(is_custom),
        ("devices", "emulator") => is_just(b, &[], "/usr/bin/qemu-system-x86_64"),
        ("devices", "memballoon") => is_just(b, &[("model", "virtio")], ""),
        ("devices", "watchdog") => is_just(b, &[("model", "itco"), ("action", "reset")], ""),
        ("devices", "audio") => {
            let spice =
                children(parent, "graphics").any(|one| one.attribute("type") == Some("spice"));
            let kind = if spice { "spice" } else { "none" };
            is_just(b, &[("id", "1"), ("type", kind)], "")
        }
        ("devices", "video") => {
            child(parent, "graphics").is_some()
                && has_just(b, &[], "")
                && elements(b)
                    .iter()
                    .all(|part| is_default_video(*part) || is_place(*part))
                && child(b, "model").is_some()
        }
        ("devices", "serial") => {
            let names_it = |console: Node<'_, '_>| {
                is_serial_console(console) && same_attribute(console, b, "type")
            };
            has_just(b, &[("type", "pty")], "")
                && elements(b)
                    .iter()
                    .all(|part| is_place(*part) || is_default_target(*part))
                && child(parent, "console").is_some_and(names_it)
                && a.and_then(|devices| child(devices, "console"))
                    .is_some_and(names_it)
        }
        ("devices", "console") => is_mirror(b),
        ("disk", "driver") => is_just(b, &[("name", "qemu"), ("type", "raw")], ""),
        ("disk", "readonly") => parent.attribute("device") == Some("cdrom") && is_just(b, &[], ""),
        ("interface", "model") => is_just(b, &[("type", "rtl8139")], ""),
        ("video", "model") => is_default_video(b),
        ("serial" | "console" | "parallel", "target") => is_default_target(b),
        ("serial" | "console", "protocol") => is_just(b, &[("type", "raw")], ""),
        ("target", "model") => is_just(b, &[("name", "isa-serial")], ""),
        ("graphics", "listen") => a.is_some_and(|graphics| listens(graphics, parent, b)),
        _ => false,
    }
}

/// Whether libvirt gives `b` the attribute `name`, which `a` lacks, by itself.
pub(super) fn fills_in(a: Node<'_, '_>, b: Node<'_, '_>, name: &str) -> bool {
    let own = |name: &str| b.attribute(name);
    let value = own(name).unwrap_or_default();
    let of_parent = |name: &str| b.parent_element().and_then(|parent| parent.attribute(name));
    let was_of_parent = |name: &str| a.parent_element().and_then(|parent| parent.attribute(name));
    // What follows from something that was changed is a part of the change.
    let as_before = |name: &str, default: &str| {
        a.attribute(name).unwrap_or(default) == own(name).unwrap_or(default)
    };
    match (parent_name(b), b.tag_name().name(), name) {
        ("domain", "vcpu", "placement") => value == "static",
        ("os", "type", "arch") => value == "x86_64",
        ("os", "type", "machine") => value.starts_with("pc-i440fx-"),
        ("domain", "cpu", "mode") => value == "custom",
        ("domain", "cpu", "match") => value == "exact" && is_custom(b),
        ("domain", "cpu", "check" | "migratable") if !as_before("mode", "custom") => false,
        ("domain", "cpu", "check") => match own("mode") {
            Some("host-passthrough" | "maximum") => value == "none",
            Some("host-model") => value == "partial",
            // There is nothing to compare it with where QEMU computes it.
            _ => value == "partial" || (value == "none" && of_parent("type") == Some("qemu")),
        },
        ("domain", "cpu", "migratable") => value == "on" && own("mode") == Some("host-passthrough"),
        ("cpu", "model", "fallback") => value == "allow",
        ("cpu", "topology", "dies" | "clusters") => value == "1",
        ("cpu", "feature", "policy") => value == "require",
        ("numa", "cell", "id") => value == place_of(b),
        // A number alone would be another amount where the unit is another one.
        ("numa", "cell", "unit") => value == "KiB" && same_attribute(a, b, "memory"),
        ("hugepages", "page", "unit") => value == "KiB" && same_attribute(a, b, "size"),
        ("domain", "clock", "offset") => value == "utc",
        ("features", "hyperv", "mode") => value == "custom",
        ("devices", "disk", "type") => value == "file",
        ("devices", "disk", "device") => value == "disk",
        ("disk", "driver", "name") => value == "qemu",
        ("disk", "driver", "type") => value == "raw",
        ("disk", "target", "bus") => own("dev").and_then(bus_of) == Some(value),
        ("source", "host", "port") => {
            of_parent("protocol") == was_of_parent("protocol")
                && of_parent("protocol").and_then(port_of) == Some(value)
        }
        // libvirt counts them as they stand.
        ("devices", "controller", "index") => {
            let is_same = a
                .attribute("model")
                .is_none_or(|model| own("model") == Some(model));
            // Those of an ich9 share one.
            let is_next = match own("type") {
                Some("pci") => true,
                Some("usb") if value == "0" => true,
                _ => value == place_in_type(b),
            };
            is_same && is_next
        }
        ("devices", "controller", "model") => match own("type") {
            Some("usb") => value == "piix3-uhci",
            Some("scsi") => value == "lsilogic",
            _ => false,
        },
        ("devices", "input", "bus") => match own("type") {
            Some("tablet") => value == "usb",
            Some("mouse" | "keyboard") => value == "ps2",
            _ => false,
        },
        ("devices", "graphics", "port") => value == "-1",
        ("devices", "graphics", "autoport") => match own("port") {
            _ if !as_before("port", "-1") => false,
            None | Some("-1") => value == "yes" && own("type") == Some("vnc"),
            Some(_) => value == "no",
        },
        ("devices", "graphics", "listen") => [a, b].iter().all(|graphics| {
            child(*graphics, "listen").and_then(|listen| listen.attribute("address")) == Some(value)
        }),
        ("video", "model", _) => {
            same_attribute(a, b, "type")
                && own("type").and_then(|kind| of_video(kind, name)) == Some(value)
        }
        ("devices", "watchdog", "action") => value == "reset",
        ("devices", "tpm", "model") => value == "tpm-tis",
        ("tpm", "backend", "version") => {
            let was = was_of_parent("model").unwrap_or("tpm-tis");
            of_parent("model") == Some(was)
                && matches!((was, value), ("tpm-tis", "1.2") | ("tpm-crb", "2.0"))
        }
        ("devices", "filesystem", "type") => value == "mount",
        ("devices", "filesystem", "accessmode") => value == "passthrough",
        ("devices", "hostdev", "managed") => value == "no",
        ("source", "address", "domain") => value == "0x0000",
        ("serial" | "parallel", "target", "port") => b
            .parent_element()
            .is_some_and(|device| value == place_of(device)),
        ("serial", "target", "type") => value == "isa-serial",
        ("console", "target", "type") => value == "serial",
        _ => false,
    }
}

/// Whether the text of `b` is libvirt's, where `a` has none.
pub(super) fn fills_in_text(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    (parent_name(b), b.tag_name().name()) == ("rng", "backend")
        && text(a).is_empty()
        && text(b) == "/dev/random"
        && elements(b).is_empty()
}

/// Whether libvirt leaves out such an attribute of `b`.
pub(super) fn leaves_out(b: Node<'_, '_>, name: &str, value: &str) -> bool {
    (parent_name(b), b.tag_name().name()) == ("devices", "graphics")
        && matches!(name, "port" | "tlsPort" | "websocket")
        && value == "-1"
        && b.attribute("autoport") == Some("yes")
}

/// Whether libvirt drops such an element of `b`.
pub(super) fn drops(gone: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    // Without a path it makes one up at every start.
    (b.tag_name().name(), gone.tag_name().name()) == ("channel", "source")
        && b.attribute("type") == Some("unix")
        && is_just(gone, &[("mode", "bind")], "")
}

/// Whether `new` is what libvirt makes of `old`: a machine type by its full name.
pub(super) fn is_resolved(b: Node<'_, '_>, name: &str, old: &str, new: &str) -> bool {
    let prefix = match old {
        "pc" => "pc-i440fx-",
        "q35" => "pc-q35-",
        _ => return false,
    };
    (parent_name(b), b.tag_name().name(), name) == ("os", "type", "machine")
        && new.starts_with(prefix)
}

/// Whether `b` is how libvirt writes `a`: an amount in KiB, or a first console that is the first
/// serial port whatever it says.
pub(super) fn says_the_same(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    let name = b.tag_name().name();
    // It is written out where another prefix may be none.
    let is_plain = |node: Node<'_, '_>| {
        namespace_of(node).is_none() && node.attributes().all(|one| one.namespace().is_none())
    };
    if !a.descendants().all(is_plain) {
        return false;
    }
    match parent_name(b) {
        "domain" | "memtune" if AMOUNTS.contains(&name) => {
            let others = |node: Node<'_, '_>| {
                let mut others: Vec<(String, String)> = node
                    .attributes()
                    .filter(|one| one.name() != "unit")
                    .map(|one| (one.name().to_owned(), one.value().to_owned()))
                    .collect();
                others.sort();
                others
            };
            b.attribute("unit") == Some("KiB")
                && kib(a).is_some()
                && kib(a) == kib(b)
                && others(a) == others(b)
        }
        "devices" if name == "console" => {
            place_of(a) == "0"
                && is_serial_console(a)
                && is_mirror(b)
                // In what libvirt wrote they are one already.
                && serial_of(a).is_some_and(|serial| !same_attribute(serial, a, "type"))
        }
        _ => false,
    }
}

fn same_attribute(a: Node<'_, '_>, b: Node<'_, '_>, name: &str) -> bool {
    a.attribute(name) == b.attribute(name)
}

/// Has these attributes, this text, and nothing inside but what libvirt says of its place.
fn is_just(node: Node<'_, '_>, attributes: &[(&str, &str)], inside: &str) -> bool {
    has_just(node, attributes, inside) && elements(node).iter().all(|part| is_place(*part))
}

fn has_just(node: Node<'_, '_>, attributes: &[(&str, &str)], inside: &str) -> bool {
    node.attributes().len() == attributes.len()
        && attributes
            .iter()
            .all(|(name, value)| node.attribute(*name) == Some(*value))
        && text(node) == inside
}

fn is_place(part: Node<'_, '_>) -> bool {
    matches!(part.tag_name().name(), "address" | "alias")
}

/// The how manieth of its name it is, from 0.
fn place_of(node: Node<'_, '_>) -> String {
    let before = node.prev_siblings().skip(1);
    let like = before
        .filter(|other| other.is_element() && other.tag_name().name() == node.tag_name().name());
    like.count().to_string()
}

/// The how manieth controller of its type it is, from 0.
fn place_in_type(node: Node<'_, '_>) -> String {
    let before = node.prev_siblings().skip(1);
    let like = before
        .filter(|other| other.has_tag_name("controller") && same_attribute(*other, node, "type"));
    like.count().to_string()
}

fn is_ps2(input: Node<'_, '_>) -> bool {
    ["mouse", "keyboard"]
        .into_iter()
        .any(|kind| is_just(input, &[("type", kind), ("bus", "ps2")], ""))
}

/// The same device for the same port; libvirt adds them beside those of other ports.
fn is_ps2_like(other: Node<'_, '_>, input: Node<'_, '_>) -> bool {
    same_attribute(other, input, "type") && other.attribute("bus").is_none_or(|bus| bus == "ps2")
}

fn is_custom(cpu: Node<'_, '_>) -> bool {
    cpu.attribute("mode").is_none_or(|mode| mode == "custom")
}

fn is_default_cpu(model: Node<'_, '_>) -> bool {
    is_just(model, &[("fallback", "forbid")], "qemu64") && model.tag_name().name() == "model"
}

fn is_default_video(model: Node<'_, '_>) -> bool {
    let cirrus = [
        ("type", "cirrus"),
        ("vram", "16384"),
        ("heads", "1"),
        ("primary", "yes"),
    ];
    model.tag_name().name() == "model" && is_just(model, &cirrus, "")
}

/// What a video device of this kind has where nothing is said.
fn of_video(kind: &str, name: &str) -> Option<&'static str> {
    match (kind, name) {
        ("qxl", "ram" | "vram") => Some("65536"),
        ("qxl", "vgamem") | ("vga" | "cirrus" | "bochs" | "vmvga", "vram") => Some("16384"),
        ("none", _) => None,
        (_, "heads") => Some("1"),
        (_, "primary") => Some("yes"),
        _ => None,
    }
}

fn bus_of(dev: &str) -> Option<&'static str> {
    match dev.get(..2)? {
        "vd" => Some("virtio"),
        "sd" => Some("scsi"),
        "hd" => Some("ide"),
        "fd" => Some("fdc"),
        _ => None,
    }
}

fn port_of(protocol: &str) -> Option<&'static str> {
    match protocol {
        "nbd" => Some("10809"),
        "http" => Some("80"),
        "https" => Some("443"),
        "ftp" => Some("21"),
        "gluster" => Some("24007"),
        "iscsi" => Some("3260"),
        "ssh" => Some("22"),
        _ => None,
    }
}

fn boots_by_device(domain: Node<'_, '_>) -> bool {
    child(domain, "devices").is_some_and(|devices| {
        elements(devices)
            .iter()
            .any(|device| child(*device, "boot").is_some())
    })
}

/// The target of the serial port, console or parallel port that stands there as the first, second …
fn is_default_target(target: Node<'_, '_>) -> bool {
    let Some(device) = target
        .parent_element()
        .filter(|_| target.tag_name().name() == "target")
    else {
        return false;
    };
    let place = place_of(device);
    let port = ("port", place.as_str());
    match device.tag_name().name() {
        "serial" => {
            has_just(target, &[("type", "isa-serial"), port], "")
                && elements(target).iter().all(|model| {
                    model.tag_name().name() == "model"
                        && is_just(*model, &[("name", "isa-serial")], "")
                })
        }
        // Its number is noise, and was left out.
        "console" => is_just(target, &[("type", "serial")], ""),
        _ => is_just(target, &[port], ""),
    }
}

fn is_serial_console(console: Node<'_, '_>) -> bool {
    child(console, "target")
        .and_then(|target| target.attribute("type"))
        .is_none_or(|target| target == "serial")
}

/// The first serial port beside a console.
fn serial_of<'a, 't>(console: Node<'a, 't>) -> Option<Node<'a, 't>> {
    child(console.parent_element()?, "serial")
}

/// A first console that repeats the first serial port.
fn is_mirror(console: Node<'_, '_>) -> bool {
    let said = |device: Node<'_, '_>, name: &str| -> Vec<(String, String)> {
        let part = child(device, name);
        part.iter()
            .flat_map(|part| part.attributes())
            .map(|one| (one.name().to_owned(), one.value().to_owned()))
            .collect()
    };
    place_of(console) == "0"
        && is_serial_console(console)
        && serial_of(console).is_some_and(|serial| {
            same_attribute(serial, console, "type")
                && ["source", "protocol"]
                    .into_iter()
                    .all(|name| said(serial, name) == said(console, name))
        })
        && elements(console).iter().all(|part| {
            is_place(*part) || matches!(part.tag_name().name(), "source" | "protocol" | "target")
        })
}

/// Where a graphics device listens, when nothing says so or the device itself does.
fn listens(a: Node<'_, '_>, b: Node<'_, '_>, listen: Node<'_, '_>) -> bool {
    let said = |name: &str| b.attribute(name).filter(|_| same_attribute(a, b, name));
    match listen.attribute("type") {
        Some("address") => match listen.attribute("address") {
            Some(address) => {
                said("listen") == Some(address)
                    && is_just(listen, &[("type", "address"), ("address", address)], "")
            }
            None => b.attribute("listen").is_none() && is_just(listen, &[("type", "address")], ""),
        },
        Some("socket") => said("socket")
            .is_some_and(|path| is_just(listen, &[("type", "socket"), ("socket", path)], "")),
        Some("none") => {
            let ports = ["port", "tlsPort", "autoport"];
            b.attribute("type") == Some("spice")
                && ports.iter().all(|name| b.attribute(*name).is_none())
                && is_just(listen, &[("type", "none")], "")
        }
        _ => false,
    }
}

/// An amount of memory in KiB.
fn kib(node: Node<'_, '_>) -> Option<u64> {
    numbers::kib(text(node).as_ref(), node.attribute("unit"))
}
