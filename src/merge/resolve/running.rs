//! What only the XML of a running domain has: people copy from `virsh dumpxml` as it is.

use crate::merge::keys;
use crate::merge::patch::{Element, Op};

/// Leaves out what libvirt makes up at every start and never stores: the names it gives to devices, and in the
/// definition of a running domain, which has an `id`, its state. With a directive of its own a name is meant.
pub(super) fn leave_out(root: &mut Element) {
    if root.op == Op::Replace {
        return;
    }
    let is_running = root.attribute("id").is_some();
    if is_running {
        drop_attributes(root, &["id"]);
    }
    for section in root.children.iter_mut().filter(|one| is_merged(one)) {
        match section.name.as_str() {
            "devices" => {
                for device in section.children.iter_mut().filter(|one| is_merged(one)) {
                    device.children.retain(|part| {
                        let name = part.attribute("name").unwrap_or("ua-");
                        part.name != "alias" || part.op != Op::Merge || keys::is_own_alias(name)
                    });
                    if is_running {
                        state(device);
                    }
                }
            }
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

/// What a device is while the domain runs, and for this run only.
fn state(device: &mut Element) {
    let is_pty = device.attribute("type") == Some("pty");
    match device.name.as_str() {
        "graphics" if device.attribute("autoport") == Some("yes") => {
            drop_attributes(device, &["port", "tlsPort"]);
        }
        "serial" | "parallel" | "console" | "channel" => {
            drop_attributes(device, &["tty"]);
            drop_children(device, |part| {
                let path = part.attribute("path").unwrap_or_default();
                part.name == "source" && (is_pty || path.contains("/channel/target/"))
            });
            parts(device, "target", |target| {
                drop_attributes(target, &["state"])
            });
        }
        "disk" => {
            parts(device, "source", |source| {
                drop_attributes(source, &["index"])
            });
            drop_children(device, |part| {
                matches!(part.name.as_str(), "backingStore" | "mirror")
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

fn parts(device: &mut Element, name: &str, change: impl Fn(&mut Element)) {
    let parts = device.children.iter_mut();
    parts.filter(|part| part.name == name).for_each(change);
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
