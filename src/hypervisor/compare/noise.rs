//! What libvirt leaves out or rearranges without anything being lost. Each entry was seen with a
//! real daemon (9.0, 11.3); whatever is not here counts as lost.

use roxmltree::Node;

use crate::document::{child, children, parent_name, qemu, text_of};
use crate::numbers::kib;

/// Elements whose order is what they mean.
pub(super) fn is_sequence(node: Node<'_, '_>) -> bool {
    match node.tag_name().name() {
        "arg" => qemu::is(node, "arg"),
        "boot" | "initarg" => parent_name(node) == "os",
        _ => false,
    }
}

/// Elements of which libvirt reads several as if they were one.
pub(super) fn is_read_as_one(node: Node<'_, '_>) -> bool {
    let name = node.tag_name();
    match name.namespace() {
        Some(qemu::NAMESPACE) => name.name() == "commandline",
        None => {
            parent_name(node) == "domain"
                && matches!(
                    name.name(),
                    "features" | "cputune" | "memoryBacking" | "devices"
                )
        }
        Some(_) => false,
    }
}

/// Schedulers of several vcpus or iothreads, which libvirt writes one by one; the attribute
/// that lists them.
pub(super) fn split_by(node: Node<'_, '_>) -> Option<&'static str> {
    match (parent_name(node), node.tag_name().name()) {
        ("cputune", "vcpusched") => Some("vcpus"),
        ("cputune", "iothreadsched") => Some("iothreads"),
        _ => None,
    }
}

/// An attribute of `ours` that means nothing where it stands.
pub(super) fn attribute(ours: Node<'_, '_>, name: &str) -> bool {
    let value = ours.attribute(name).unwrap_or_default();
    match (parent_name(ours), ours.tag_name().name(), name) {
        // Defaults.
        ("disk", "target", "tray") => value == "closed",
        // Of a drive without a medium libvirt makes one for files.
        ("devices", "disk", "type") => !ours.children().any(|part| is_medium(part)),
        ("devices", "graphics", "port" | "tlsPort" | "websocket") if value == "-1" => true,
        ("domain", "vcpu", "current") => text_of(ours) == Some(value),
        // Says something for mode='custom' only.
        ("domain", "cpu", "match") => ours.attribute("mode").is_some_and(|mode| mode != "custom"),
        ("cpu", "model", "fallback") => text_of(ours).is_none(),
        _ => state_attribute(ours, name),
    }
}

/// An attribute that tells the state of a running domain, from a live XML, or that libvirt works out.
pub(crate) fn state_attribute(ours: Node<'_, '_>, name: &str) -> bool {
    let value = ours.attribute(name).unwrap_or_default();
    match (parent_name(ours), ours.tag_name().name(), name) {
        ("", "domain", "id") => true,
        ("devices", "console", "tty") => true,
        // libvirt numbers consoles as they stand, at times only when it reads its own output again.
        ("console", "target", "port") => true,
        ("disk" | "mirror" | "backingStore", "source" | "mirror" | "backingStore", "index") => true,
        ("channel", "target", "state") => true,
        ("interface", "source", "portid" | "bridge") => ours.attribute("network").is_some(),
        ("interface", "target", "dev") => is_automatic_interface(value),
        ("serial" | "console" | "parallel" | "channel", "source", "path") => is_pty(ours),
        ("devices", "graphics", "port" | "tlsPort") => ours.attribute("autoport") == Some("yes"),
        _ => false,
    }
}

/// An element that means nothing where it stands.
pub(super) fn element(ours: Node<'_, '_>) -> bool {
    match (parent_name(ours), ours.tag_name().name()) {
        // Only names that begin so are the user's own; libvirt numbers the others at every start.
        (_, "alias") => ours
            .attribute("name")
            .is_some_and(|name| !name.starts_with("ua-")),
        // A drive without a medium.
        ("disk", "source") => !is_medium(ours),
        ("interface", "coalesce") => !ours
            .descendants()
            .any(|node| node.attribute("max").is_some_and(|max| max != "0")),
        ("cpu", "model") => text_of(ours).is_none() && ours.attribute("vendor_id").is_none(),
        (_, "protocol") => ours.attribute("type") == Some("raw"),
        ("devices", "console") => is_mirror(ours),
        _ => state_element(ours),
    }
}

/// Whether it is the source of a disk, and names something.
fn is_medium(source: Node<'_, '_>) -> bool {
    source.has_tag_name("source")
        && (source.attributes().len() > 0 || source.children().any(|part| part.is_element()))
}

/// An element that tells the state of a running domain, from a live XML, or that libvirt works out.
pub(crate) fn state_element(ours: Node<'_, '_>) -> bool {
    match (parent_name(ours), ours.tag_name().name()) {
        ("disk", "mirror") => true,
        ("channel", "source") => {
            // Without a path libvirt makes one up at every start.
            is_pty(ours)
                || match ours.attribute("path") {
                    Some(path) => is_automatic_channel(path),
                    None => ours
                        .attributes()
                        .all(|attribute| attribute.name() == "mode"),
                }
        }
        ("serial" | "console" | "parallel", "source") => is_pty(ours),
        _ => false,
    }
}

/// Whether `stored` is what libvirt works out of the rest of our definition, whatever it says itself:
/// all memory is that of the NUMA cells and modules, and no more of it is there at the start.
pub(super) fn worked_out(ours: Node<'_, '_>, stored: Node<'_, '_>) -> bool {
    if parent_name(ours) != "domain" {
        return false;
    }
    let Some(domain) = ours.parent_element() else {
        return false;
    };
    let size = |node: Node<'_, '_>| kib(text_of(node)?, node.attribute("unit"));
    let there = size(stored);
    match ours.tag_name().name() {
        "currentMemory" => {
            let all = stored
                .parent_element()
                .and_then(|domain| child(domain, "memory"));
            let all = all.and_then(size);
            all.is_some() && there == all && size(ours) > all
        }
        "memory" => {
            let cells = child(domain, "cpu").and_then(|cpu| child(cpu, "numa"));
            let Some(cells) = cells else {
                return false;
            };
            let modules = child(domain, "devices")
                .into_iter()
                .flat_map(|devices| children(devices, "memory"))
                .map(|module| size(child(child(module, "target")?, "size")?));
            let cells = children(cells, "cell")
                .map(|cell| kib(cell.attribute("memory")?, cell.attribute("unit")));
            let sum: Option<u64> = cells.chain(modules).sum();
            sum.is_some() && there == sum
        }
        _ => false,
    }
}

/// Names libvirt gives to the host side of interfaces.
fn is_automatic_interface(name: &str) -> bool {
    ["vnet", "macvtap", "macvlan", "vif"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Sockets libvirt makes up for channels: `/…/qemu/channel/target/domain-7-name/org.…`.
fn is_automatic_channel(path: &str) -> bool {
    path.contains("/channel/") && path.contains("/domain-")
}

/// The path of a pty is the host's to give.
fn is_pty(source: Node<'_, '_>) -> bool {
    source
        .parent_element()
        .and_then(|device| device.attribute("type"))
        == Some("pty")
}

/// The first console is another name for the first serial port, whatever it says itself.
pub(super) fn is_mirror(console: Node<'_, '_>) -> bool {
    if (parent_name(console), console.tag_name().name()) != ("devices", "console") {
        return false;
    }
    let first = console
        .prev_siblings()
        .skip(1)
        .all(|node| node.tag_name().name() != "console");
    let serial_target = child(console, "target")
        .and_then(|target| target.attribute("type"))
        .is_none_or(|target| target == "serial");
    let has_serial = console
        .parent_element()
        .is_some_and(|devices| children(devices, "serial").next().is_some());
    first && serial_target && has_serial
}
