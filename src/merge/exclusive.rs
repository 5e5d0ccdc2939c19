//! Attributes of which libvirt takes one kind only: where a patch says another, the old ones go.
//!
//! A snippet that makes a file of a block device, or a bridge of a network, names the new attribute
//! and not the old one; with both libvirt refuses the definition or drops one of them in silence.
//! Source: libvirt's RELAX NG schema (domaincommon.rng), where these are choices.

use roxmltree::Node;

use super::{Attribute, Element};

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

/// The attributes of `target` that cannot stand beside those of `wanted`; what `wanted` names itself
/// is meant.
pub(super) fn surplus(target: Node<'_, '_>, wanted: &Element) -> Vec<Attribute> {
    if wanted.namespace.is_some() {
        return Vec::new();
    }
    let is_named = |name: &str| wanted.attributes.iter().any(|one| one.name == name);
    let mut gone: Vec<&str> = excluded(target, wanted);
    gone.extend(left_over(target, wanted));
    gone.retain(|name| target.has_attribute(*name) && !is_named(name));
    gone.into_iter().map(Attribute::unset).collect()
}

fn excluded(target: Node<'_, '_>, wanted: &Element) -> Vec<&'static str> {
    let parent = target.parent_element().map(|node| node.tag_name().name());
    let rule = KINDS.iter().find(|Kinds(parents, name, _)| {
        *name == wanted.name && parent.is_some_and(|parent| parents.contains(&parent))
    });
    let Some(Kinds(_, _, kinds)) = rule else {
        return Vec::new();
    };
    // A kind is told by its first attribute.
    let chosen = kinds.iter().find(|kind| {
        kind.first()
            .is_some_and(|first| sets(wanted, first).is_some())
    });
    let Some(chosen) = chosen else {
        return Vec::new();
    };
    let others = kinds.iter().filter(|kind| *kind != chosen);
    others
        .flat_map(|kind| kind.iter().copied())
        .filter(|name| !chosen.contains(name))
        .collect()
}

fn left_over(target: Node<'_, '_>, wanted: &Element) -> Vec<&'static str> {
    let rule = BY_VALUE
        .iter()
        .find(|ByValue(name, ..)| *name == wanted.name);
    let Some(ByValue(_, attribute, kinds)) = rule else {
        return Vec::new();
    };
    let Some(new) = sets(wanted, attribute) else {
        return Vec::new();
    };
    if target.attribute(*attribute) == Some(new) {
        return Vec::new();
    }
    let stays: Names = kinds
        .iter()
        .find(|(values, _)| values.contains(&new))
        .map_or(&[], |(_, names)| names);
    kinds
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .filter(|name| !stays.contains(name))
        .collect()
}

fn sets<'w>(wanted: &'w Element, name: &str) -> Option<&'w str> {
    wanted
        .attributes
        .iter()
        .find(|one| one.name == name && one.namespace.is_none())
        .and_then(|one| one.value.as_deref())
}
