//! What no definition has, though it stands in XML that people copy: the state of a running domain in
//! the output of `virsh dumpxml`, and what libvirt leaves out of a definition (measured with 9.0).

use crate::merge::keys;
use crate::merge::patch::{Element, Op};

/// Leaves out what libvirt makes up at every start and never stores: the names it gives to devices, and
/// their state. In the definition of a running domain, which has an `id`, that is more: a backing chain may be
/// the user's own. With a directive of its own an element is meant.
pub(super) fn leave_out(root: &mut Element) {
    if root.op == Op::Replace {
        return;
    }
    let is_running = root.attribute("id").is_some();
    if is_running {
        drop_attributes(root, &["id"]);
        // libvirt's own, which every running domain is in.
        let is_own =
            |part: &Element| part.name == "partition" && part.text.as_deref() == Some("/machine");
        root.children.retain(|section| {
            section.name != "resource"
                || !is_merged(section)
                || !section.children.iter().all(is_own)
        });
    }
    for section in root.children.iter_mut().filter(|one| is_merged(one)) {
        match section.name.as_str() {
            "devices" => {
                for device in section.children.iter_mut().filter(|one| is_merged(one)) {
                    device.children.retain(|part| {
                        let name = part.attribute("name").unwrap_or("ua-");
                        part.name != "alias" || part.op != Op::Merge || keys::is_own_alias(name)
                    });
                    state(device, is_running);
                }
            }
            "vcpu" => all_at_once(section),
            "cpu" => no_model(section),
            "seclabel" if is_running && section.attribute("type") == Some("dynamic") => {
                drop_children(section, |part| {
                    matches!(part.name.as_str(), "label" | "imagelabel")
                });
            }
            _ => {}
        }
    }
}

fn is_merged(element: &Element) -> bool {
    matches!(
        element.op,
        Op::Merge | Op::Update | Op::Default | Op::Append
    )
}

/// All vcpus are there from the start where nothing else is said, and libvirt says nothing then.
fn all_at_once(vcpu: &mut Element) {
    let all = vcpu.text.clone();
    for current in vcpu.attributes.iter_mut() {
        let is_it = current.name == "current" && current.namespace.is_none();
        if is_it && current.value.is_some() && current.value == all {
            current.value = None;
        }
    }
}

/// Of a host's own processor there is no model to name, nor what to do where that is missing.
fn no_model(cpu: &mut Element) {
    let is_host = cpu
        .attribute("mode")
        .is_some_and(|mode| mode.starts_with("host-") || mode == "maximum");
    if is_host {
        drop_attributes(cpu, &["match"]);
        drop_children(cpu, |part| {
            let mut attributes = part.attributes.iter();
            part.name == "model"
                && part.text.is_none()
                && attributes.all(|one| one.name == "fallback")
        });
    }
}

/// What a device is while the domain runs, and for this run only.
fn state(device: &mut Element, is_running: bool) {
    let is_pty = device.attribute("type") == Some("pty");
    match device.name.as_str() {
        // There is no port where nobody listens, and none of a socket.
        "graphics" if device.child("listen").is_some_and(has_no_port) => {
            device.attributes.retain(|one| {
                let is_of_port = matches!(one.name.as_str(), "port" | "tlsPort" | "autoport");
                !is_of_port || one.value.is_none()
            });
        }
        "graphics" if device.attribute("autoport") == Some("yes") => {
            drop_attributes(device, &["port", "tlsPort"]);
            // Of these libvirt stores no -1 either.
            if device.attribute("type") == Some("spice") {
                device.attributes.retain(|one| {
                    let is_port = matches!(one.name.as_str(), "port" | "tlsPort");
                    !is_port || one.value.is_none()
                });
            }
        }
        "serial" | "parallel" | "console" | "channel" => {
            drop_attributes(device, &["tty"]);
            drop_children(device, |part| {
                let path = part.attribute("path").unwrap_or_default();
                part.name == "source" && (is_pty || path.contains("/channel/target/"))
            });
            // libvirt numbers consoles as they stand.
            let of_target: &[&str] = match device.name.as_str() {
                "console" => &["state", "port"],
                _ => &["state"],
            };
            parts(device, "target", |target| {
                drop_attributes(target, of_target)
            });
        }
        "hostdev" if is_running && device.attribute("type") == Some("usb") => {
            // Where the device of this vendor was found.
            parts(device, "source", |source| {
                if source.child("vendor").is_some() {
                    drop_children(source, |part| part.name == "address");
                }
            });
        }
        "disk" => {
            parts(device, "source", |source| {
                drop_attributes(source, &["index"])
            });
            drop_children(device, |part| {
                part.name == "mirror" || (part.name == "backingStore" && is_running)
            });
        }
        "interface" => {
            drop_children(device, |part| {
                let dev = part.attribute("dev").unwrap_or_default();
                part.name == "target"
                    && ["vnet", "macvtap"].iter().any(|name| dev.starts_with(name))
            });
            parts(device, "source", |source| {
                if source.attribute("network").is_some() {
                    drop_attributes(source, &["portid", "bridge"]);
                }
            });
        }
        _ => {}
    }
}

fn has_no_port(listen: &Element) -> bool {
    is_merged(listen) && matches!(listen.attribute("type"), Some("none" | "socket"))
}

fn parts(device: &mut Element, name: &str, change: impl Fn(&mut Element)) {
    let parts = device.children.iter_mut();
    let meant = |part: &&mut Element| part.name == name && is_merged(part);
    parts.filter(meant).for_each(change);
}

fn drop_children(element: &mut Element, is_state: impl Fn(&Element) -> bool) {
    let children = &mut element.children;
    children.retain(|part| part.op != Op::Merge || !is_state(part));
}

/// Those that are set; one that is to go is meant.
fn drop_attributes(element: &mut Element, names: &[&str]) {
    element.attributes.retain(|one| {
        let is_one = one.namespace.is_none() && names.contains(&one.name.as_str());
        !is_one || one.value.as_deref().is_none_or(|value| value == "-1")
    });
}
