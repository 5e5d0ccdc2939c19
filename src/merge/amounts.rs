//! Amounts with a unit: the same amount can be written in many ways, and libvirt stores one of them.

use roxmltree::Node;

use super::{Attribute, Element};
use crate::document::{self, parent_name};
use crate::numbers;

/// The attributes that are amounts, with a unit beside them.
const AMOUNTS: &[&str] = &["memory", "size", "value"];

/// What an amount without a unit is in, where that is not KiB (libvirt 11.3: conf/domain_conf.c).
const OTHER_UNITS: &[(&str, &str, &str)] = &[
    ("shmem", "size", "B"),
    ("cache", "line", "B"),
    ("filesystem", "space_hard_limit", "B"),
    ("filesystem", "space_soft_limit", "B"),
    ("smm", "tseg", "MiB"),
];

fn default_unit(parent: &str, name: &str) -> &'static str {
    let mut others = OTHER_UNITS.iter();
    let other = others.find(|(around, its, _)| *around == parent && *its == name);
    other.map_or("KiB", |(_, _, unit)| *unit)
}

/// The unit that an amount of the patch has by saying none, where the definition has another one.
pub(super) fn unit_to_follow(target: Node<'_, '_>, wanted: &Element) -> Option<Attribute> {
    let there = target.attribute("unit")?;
    let is_said = |name: &str| wanted.attributes.iter().any(|one| one.name == name);
    let is_amount = wanted.text.is_some() || AMOUNTS.iter().any(|name| is_said(name));
    if !is_amount || is_said("unit") || wanted.namespace.is_some() {
        return None;
    }
    let unit = default_unit(parent_name(target), &wanted.name);
    (numbers::unit_bytes(there) != numbers::unit_bytes(unit)).then(|| Attribute {
        value: Some(unit.to_owned()),
        ..Attribute::unset("unit")
    })
}

/// Whether both say the same amount, each in its own unit.
pub(super) fn are_same(node: Node<'_, '_>, wanted: &Element) -> bool {
    let has_unit = |one: &Attribute| one.name == "unit" && one.namespace.is_none();
    if !node.has_attribute("unit") && !wanted.attributes.iter().any(has_unit) {
        return false;
    }
    let parent = parent_name(node);
    let have = in_document(node, parent);
    have.is_some() && have == in_patch(wanted, parent)
}

/// The same, for an amount that is the text.
pub(super) fn are_same_texts(node: Node<'_, '_>, wanted: &Element) -> bool {
    let is_amount = |one: &Attribute| AMOUNTS.contains(&one.name.as_str());
    are_same(node, wanted) && !wanted.attributes.iter().any(is_amount)
}

/// The amount of an element of a patch below `parent`, in bytes; libvirt rounds up to KiB.
fn in_patch(wanted: &Element, parent: &str) -> Option<u64> {
    if wanted.namespace.is_some() {
        return None;
    }
    let attribute = |name: &str| {
        let mut all = wanted.attributes.iter();
        all.find(|one| one.name == name && one.namespace.is_none())
    };
    if attribute("unit").is_some_and(|unit| unit.value.is_none()) {
        return None;
    }
    let said = |name: &str| attribute(name)?.value.as_deref();
    let mut names = AMOUNTS.iter();
    let number = names
        .find_map(|name| said(name))
        .or(wanted.text.as_deref())?;
    bytes(number, said("unit"), parent, &wanted.name)
}

/// The amount of an element of a definition, in bytes.
fn in_document(node: Node<'_, '_>, parent: &str) -> Option<u64> {
    let mut names = AMOUNTS.iter();
    let number = names
        .find_map(|name| node.attribute(*name))
        .or_else(|| document::text_of(node))?;
    bytes(
        number,
        node.attribute("unit"),
        parent,
        node.tag_name().name(),
    )
}

/// Whether an attribute is a part of an amount.
pub(super) fn is_part(attribute: &Attribute) -> bool {
    let name = attribute.name.as_str();
    attribute.namespace.is_none() && (name == "unit" || AMOUNTS.contains(&name))
}

/// Only what has a unit, or may have one, is an amount: elsewhere a number is just that.
fn bytes(number: &str, unit: Option<&str>, parent: &str, name: &str) -> Option<u64> {
    let default = default_unit(parent, name);
    let number: u64 = number.trim().parse().ok()?;
    let bytes = number.checked_mul(numbers::unit_bytes(unit.unwrap_or(default))?)?;
    Some(match default {
        "B" => bytes,
        _ => bytes.div_ceil(1024).checked_mul(1024)?,
    })
}
