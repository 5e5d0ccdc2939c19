//! What only the XML of a running domain has: people copy from `virsh dumpxml` as it is.

use crate::merge::keys;
use crate::merge::patch::{Element, Op};

/// Leaves out what libvirt numbers at every start and never stores: the `id` of the domain, and the names it
/// gives to devices. With a directive of its own a name is meant.
pub(super) fn leave_out(root: &mut Element) {
    if root.op == Op::Replace {
        return;
    }
    root.attributes.retain(|one| {
        let is_number = one.name == "id" && one.namespace.is_none();
        !(is_number && one.value.is_some())
    });
    let sections = root.children.iter_mut();
    for devices in sections.filter(|one| one.name == "devices" && one.op != Op::Replace) {
        let made = |device: &&mut Element| {
            matches!(device.op, Op::Merge | Op::Update | Op::Default | Op::Append)
        };
        for device in devices.children.iter_mut().filter(made) {
            device.children.retain(|part| {
                let name = part.attribute("name").unwrap_or("ua-");
                part.name != "alias" || part.op != Op::Merge || keys::is_own_alias(name)
            });
        }
    }
}
