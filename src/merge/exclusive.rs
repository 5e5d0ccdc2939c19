//! Attributes of which libvirt takes one kind only: where a patch says another, the old ones go.
//!
//! A snippet that makes a file of a block device, or a bridge of a network, names the new attribute
//! and not the old one; with both libvirt refuses the definition or drops one of them in silence.
//! Source: libvirt's RELAX NG schema (domaincommon.rng), where these are choices.

use roxmltree::Node;

use super::{Attribute, Element, Op};

type Names = &'static [&'static str];

/// Attributes of an element inside one of these parents, in kinds that exclude each other.
struct Kinds(Names, &'static str, &'static [Names]);

/// An attribute of an element, and what stands beside it for these values of it.
struct ByValue(&'static str, &'static str, &'static [(Names, Names)]);

const KINDS: &[Kinds] = &[
    Kinds(
        &["disk"],
        "source",
        &[
            &["file"],
            &["dev"],
            &["dir"],
            &["protocol", "name", "query", "tls", "tlsHostname"],
            &["pool", "volume", "mode"],
        ],
    ),
    Kinds(
        &["interface"],
        "source",
        &[
            &["network", "portgroup"],
            &["bridge"],
            &["dev", "mode"],
            &["type", "path", "mode"],
        ],
    ),
    Kinds(
        &["filesystem"],
        "source",
        &[
            &["dir"],
            &["file"],
            &["dev"],
            &["name"],
            &["usage", "units"],
            &["pool", "volume"],
        ],
    ),
    Kinds(
        &["serial", "console", "parallel", "channel"],
        "source",
        &[&["path", "mode"], &["host", "service", "mode"]],
    ),
];

const BY_VALUE: &[ByValue] = &[
    ByValue(
        "clock",
        "offset",
        &[
            (&["utc", "localtime"], &["adjustment"]),
            (&["timezone"], &["timezone"]),
            (&["variable"], &["adjustment", "basis"]),
            (&["absolute"], &["start"]),
        ],
    ),
    ByValue(
        "model",
        "type",
        &[(&["qxl"], &["ram", "vram", "vram64", "vgamem"])],
    ),
];

/// Takes out, below every device of the patch that says its `type`, the attributes of other kinds. One
/// that does not say it leaves the old type, and what belongs to that.
pub(super) fn complete(root: &mut Element) {
    let devices = root.children.iter_mut().filter(|one| one.name == "devices");
    for device in devices.flat_map(|devices| &mut devices.children) {
        let says_type = sets(device, "type").is_some();
        if !says_type || device.op == Op::Replace {
            continue;
        }
        let name = device.name.clone();
        let parts = device.children.iter_mut();
        for part in parts.filter(|part| part.op != Op::Replace && part.namespace.is_none()) {
            let others = others(&name, part);
            part.attributes.extend(others);
        }
    }
}

fn others(device: &str, part: &Element) -> Vec<Attribute> {
    let is_rule = |rule: &&Kinds| rule.1 == part.name && rule.0.contains(&device);
    let Some(Kinds(_, _, kinds)) = KINDS.iter().find(is_rule) else {
        return Vec::new();
    };
    // A kind is told by its first attribute.
    let is_said = |kind: &&Names| {
        kind.first()
            .is_some_and(|first| sets(part, first).is_some())
    };
    let Some(chosen) = kinds.iter().find(is_said) else {
        return Vec::new();
    };
    let is_named = |name: &str| part.attributes.iter().any(|one| one.name == name);
    let mut others: Vec<&str> = kinds.iter().flat_map(|kind| kind.iter().copied()).collect();
    others.retain(|name| !chosen.contains(name) && !is_named(name));
    others.sort_unstable();
    others.dedup();
    others.into_iter().map(Attribute::unset).collect()
}

/// The attributes of `target` that stand there for a value that `wanted` replaces by one of another
/// kind; what `wanted` names itself is meant.
pub(super) fn surplus(target: Node<'_, '_>, wanted: &Element) -> Vec<Attribute> {
    let mut rules = BY_VALUE.iter();
    let Some(ByValue(_, attribute, kinds)) = rules.find(|rule| rule.0 == wanted.name) else {
        return Vec::new();
    };
    let kind_of = |value: &str| kinds.iter().position(|(values, _)| values.contains(&value));
    let (Some(new), Some(old)) = (sets(wanted, attribute), target.attribute(*attribute)) else {
        return Vec::new();
    };
    let old = kind_of(old);
    if wanted.namespace.is_some() || old == kind_of(new) {
        return Vec::new();
    }
    let its = old
        .and_then(|old| kinds.get(old))
        .map_or(&[] as Names, |kind| kind.1);
    let is_named = |name: &str| wanted.attributes.iter().any(|one| one.name == name);
    its.iter()
        .filter(|name| target.has_attribute(**name) && !is_named(name))
        .map(|name| Attribute::unset(name))
        .collect()
}

fn sets<'w>(wanted: &'w Element, name: &str) -> Option<&'w str> {
    wanted
        .attributes
        .iter()
        .find(|one| one.name == name && one.namespace.is_none())
        .and_then(|one| one.value.as_deref())
}
