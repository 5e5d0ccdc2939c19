//! Kinds of what is no device: CPU, firmware, boot order, huge pages, schedulers.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::devices::unset_in;
use super::{Said, one_and_the_same, part, remove, replace, said_part, say, unset};
use crate::document::{Edit, child, children, text_of};
use crate::idset;
use crate::merge::patch::{Element, Op};
use crate::text;

/// A model without a mode is a model of one's own, and not one beside the host's. A cache that is passed
/// through is one of a CPU that is.
pub(super) fn cpu(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let is_named =
        |model: &Element| model.text.is_some() && matches!(model.op, Op::Merge | Op::Replace);
    let of_host = target
        .attribute("mode")
        .is_some_and(|mode| mode != "custom");
    if of_host
        && super::said(wanted, "mode").is_none()
        && wanted.child("model").is_some_and(is_named)
    {
        say("mode", "custom", wanted.to_mut());
    }
    // Of a model of the host's own the guest may still be told another vendor.
    let vendor = child(target, "model").and_then(|model| model.attribute("vendor_id"));
    if wanted.attribute("mode") == Some("host-model")
        && wanted.child("model").is_none()
        && let Some(vendor) = vendor.filter(|_| target.attribute("mode") != Some("host-model"))
    {
        let mut model = part("model", wanted);
        say("vendor_id", vendor, &mut model);
        wanted.to_mut().children.push(model);
    }
    let new = wanted.attribute("mode");
    let is_passed =
        child(target, "cache").is_some_and(|cache| cache.attribute("mode") == Some("passthrough"));
    if is_passed && new.is_some_and(|mode| !matches!(mode, "host-passthrough" | "maximum")) {
        replace("cache", target, wanted);
    }
}

/// Firmware that libvirt is to find, or the one that is named.
pub(super) fn firmware(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let there = child(target, "loader");
    let path = there.and_then(text_of);
    // An update of a loader makes none.
    let loader = said_part(wanted, "loader").filter(|one| one.op != Op::Update || there.is_some());
    let named = loader.and_then(|loader| loader.text.clone());
    let is_another = named.is_some() && named.as_deref() != path;
    if is_another && wanted.child("nvram").is_some() {
        unset_in("nvram", &["template"], target, wanted);
    }
    match (wanted.attribute("firmware").map(str::to_owned), named) {
        (None, Some(_)) if is_another && target.has_attribute("firmware") => {
            unset("firmware", target, wanted);
            if wanted.child("firmware").is_none() {
                remove("firmware", target, wanted);
            }
        }
        (Some(kind), None) if path.is_some() && !target.has_attribute("firmware") => {
            replace("loader", target, wanted);
            if kind != "bios" {
                // The guest's own variables stay with it.
                unset_in("nvram", &["template"], target, wanted);
            } else if wanted.child("nvram").is_none() {
                remove("nvram", target, wanted);
            }
        }
        _ => {}
    }
}

/// What is said of one image says nothing of another.
pub(super) fn loader(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    if wanted.text.is_some() && wanted.text.as_deref() != text_of(target) {
        for name in ["secure", "format", "stateless"] {
            unset(name, target, wanted);
        }
    }
}

/// Of pages for the same nodes, or for no node, there is one size.
pub(super) fn page(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let pages = wanted.children.iter().filter(|one| one.name == "page");
    let mut nodesets: Vec<Option<String>> = pages
        .map(|page| page.attribute("nodeset").map(str::to_owned))
        .collect();
    nodesets.dedup();
    for nodeset in nodesets {
        one_and_the_same(
            target,
            wanted,
            |page| page.attribute("nodeset") == nodeset.as_deref(),
            |page| page.name == "page" && page.attribute("nodeset") == nodeset.as_deref(),
        );
    }
}

/// What a patch says of several vcpus or I/O threads at once, and libvirt wrote for each by itself.
pub(super) fn schedulers(target: Node<'_, '_>, wanted: &mut Said<'_>) {
    for (name, list) in [("vcpusched", "vcpus"), ("iothreadsched", "iothreads")] {
        let of = |set: Option<&str>| set.and_then(idset::parse).unwrap_or_default();
        let there: Vec<(&str, BTreeSet<u32>)> = children(target, name)
            .filter_map(|node| Some((node.attribute(list)?, of(node.attribute(list)))))
            .collect();
        let is_split = |one: &Element| {
            let all = of(one.attribute(list));
            let inside = || there.iter().filter(|(_, set)| set.is_subset(&all));
            one.name == name
                && one.op == Op::Merge
                && !there.iter().any(|(_, set)| *set == all)
                && inside().next().is_some()
                && there
                    .iter()
                    .all(|(_, set)| set.is_subset(&all) || set.is_disjoint(&all))
        };
        if !wanted.children.iter().any(is_split) {
            continue;
        }
        let said = std::mem::take(&mut wanted.to_mut().children);
        for one in said {
            if !is_split(&one) {
                wanted.to_mut().children.push(one);
                continue;
            }
            let mut left = of(one.attribute(list));
            let with = |set: &str| {
                let mut one = one.clone();
                for attribute in one.attributes.iter_mut().filter(|its| its.name == list) {
                    attribute.value = Some(set.to_owned());
                }
                one
            };
            let all = left.clone();
            for (its, set) in there.iter().filter(|(_, set)| set.is_subset(&all)) {
                left.retain(|id| !set.contains(id));
                wanted.to_mut().children.push(with(its));
            }
            if !left.is_empty() {
                let rest = idset::format(&left);
                wanted.to_mut().children.push(with(&rest));
            }
        }
    }
}

/// What says the boot order in the way that the patch does not, where `edits` make one: of devices, or of `<os>`.
/// libvirt refuses both together, and adds `<boot dev='hd'/>` itself where nothing is said.
pub(in crate::merge) fn superseded<'a>(
    root: Node<'a, 'a>,
    wanted: &Element,
    edits: &[Edit],
) -> Vec<Node<'a, 'a>> {
    // No value has a '<' in it.
    let makes = |key: &str| {
        let boots = edits
            .iter()
            .flat_map(|edit| edit.text.split("<boot ").skip(1));
        let mut tags = boots.filter_map(|boot| boot.split('>').next());
        tags.any(|tag| tag.contains(key))
    };
    let is_kept = |os: &Element| {
        os.op == Op::Keep
            || os
                .children
                .iter()
                .any(|one| one.name == "boot" && one.op == Op::Keep)
    };
    match (makes("dev="), makes("order=")) {
        (false, true) if !wanted.child("os").is_some_and(is_kept) => {
            let os = child(root, "os").into_iter();
            os.flat_map(|os| children(os, "boot")).collect()
        }
        (true, false) => {
            let devices = child(root, "devices").into_iter();
            let devices = devices.flat_map(|devices| devices.children());
            let boots = devices.flat_map(|device| children(device, "boot"));
            boots.filter(|boot| boot.has_attribute("order")).collect()
        }
        _ => Vec::new(),
    }
}

/// What to say of those that go: what has no order then does not boot.
pub(in crate::merge) fn note_superseded<'a>(
    gone: impl Iterator<Item = Node<'a, 'a>>,
) -> Option<String> {
    let gone: Vec<Node<'_, '_>> = gone.collect();
    let devices = gone.iter().filter_map(|boot| boot.attribute("dev"));
    let devices: Vec<String> = devices.map(|dev| format!("<boot dev='{dev}'>")).collect();
    match (gone.as_slice(), devices.as_slice()) {
        ([], _) => None,
        (_, []) => Some(
            "the boot order of the devices goes, since <os> gets a <boot dev=…>: name there all that are to boot"
                .to_owned(),
        ),
        (_, devices) => Some(format!(
            "{} of <os> {}, since a device gets an order: give one to each that is to boot",
            text::list(devices),
            if devices.len() == 1 { "goes" } else { "go" }
        )),
    }
}
