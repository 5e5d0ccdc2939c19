//! What belongs to one kind of an element and to no other: where a patch makes another kind of it, that goes.
//!
//! A snippet that makes a file of a block device, or `host-passthrough` of a CPU model, names what is new
//! and not what was there before; with both libvirt refuses the definition, or drops one of them in silence.
//! The knowledge is in `table.rs`; what no table says is in `devices.rs` and `sections.rs`. `kept.rs` tells of what may belong to the old one and stays.

mod devices;
mod kept;
mod sections;
mod table;

use std::borrow::Cow;

use roxmltree::Node;

use super::keys;
use super::patch::{Attribute, Element, Op};
use crate::document::{child, parent_name};
pub(super) use devices::refused;
pub(super) use kept::note_kept;
pub(super) use sections::{note_superseded, superseded};
use table::{KINDS, Kinds, OTHERS, Other, Values::*};

/// What an element of a patch says of this very one of a document, copied where that is more.
type Said<'w> = Cow<'w, Element>;

/// All that `target` is to be where `wanted` makes another of it, which shares no more with it than what tells
/// it apart from its like.
pub(super) fn other(target: Node<'_, '_>, wanted: &Element) -> Option<Element> {
    let parent = parent_name(target);
    let is_rule =
        |rule: &&Other| rule.name == wanted.name && (rule.parent == "*" || rule.parent == parent);
    let is_another = |rule: &Other| {
        let old = target.attribute(rule.key).or(rule.default);
        let (Some(old), Some(new)) = (old, wanted.attribute(rule.key)) else {
            return false;
        };
        old != new && rule.only.is_none_or(|only| only == old || only == new)
    };
    let mut rules = OTHERS.iter().filter(is_rule);
    if wanted.namespace.is_some() || !rules.any(is_another) {
        return None;
    }
    let keys = target.attributes().filter(|one| {
        one.namespace().is_none()
            && keys::is_own_key(parent, &wanted.name, one.name())
            && said(wanted, one.name()).is_none()
    });
    let keys = keys.map(|one| Attribute {
        value: Some(one.value().to_owned()),
        ..Attribute::unset(one.name())
    });
    Some(Element {
        attributes: keys.chain(wanted.attributes.iter().cloned()).collect(),
        ..wanted.clone()
    })
}

/// What `wanted` says of this very `target`: with what goes because it makes another kind of it.
pub(super) fn complete<'w>(target: Node<'_, '_>, original: &'w Element) -> Said<'w> {
    let mut wanted = Cow::Borrowed(original);
    if original.namespace.is_some() {
        return wanted;
    }
    let (parent, name) = (parent_name(target), original.name.as_str());
    match (parent, name) {
        ("devices", "graphics") => devices::graphics(target, &mut wanted),
        ("domain", "cpu") => sections::cpu(target, &mut wanted),
        _ => {}
    }
    let is_rule = |rule: &&Kinds| rule.name == name && rule.parents.contains(&parent);
    for rule in KINDS.iter().filter(is_rule) {
        other_kind(rule, target, &mut wanted);
    }
    match (parent, name) {
        ("devices", "disk") => devices::disk(target, &mut wanted),
        ("disk", "source") => devices::place(target, &mut wanted),
        ("devices", "interface") => devices::addresses(target, &mut wanted),
        ("domain", "os") => sections::firmware(target, &mut wanted),
        ("os", "loader") => sections::loader(target, &mut wanted),
        ("memoryBacking", "hugepages") => sections::page(target, &mut wanted),
        ("domain", "cputune") => sections::schedulers(target, &mut wanted),
        _ => {}
    }
    wanted
}

fn other_kind(rule: &Kinds, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let Some((part, attribute)) = rule.key.split_once('@') else {
        return;
    };
    let (old, new) = match part {
        "" => (target.attribute(attribute), wanted.attribute(attribute)),
        part => (
            child(target, part).and_then(|part| part.attribute(attribute)),
            said_part(wanted, part).and_then(|part| part.attribute(attribute)),
        ),
    };
    let (Some(old), Some(new)) = (old.or(rule.default), new) else {
        return;
    };
    let of = |value: &str| {
        rule.kinds.iter().position(|kind| match kind.values {
            These(values) => values.contains(&value),
            Others | Each => true,
        })
    };
    let (was, becomes) = (of(old), of(new));
    let Some(its) = was.and_then(|was| rule.kinds.get(was)) else {
        return;
    };
    if old == new || (was == becomes && !matches!(its.values, Each)) {
        return;
    }
    for name in its.attributes {
        unset(name, target, wanted);
    }
    for name in its.parts {
        replace(name, target, wanted);
    }
}

/// Takes out an attribute of `target` that `wanted` does not speak of.
fn unset(name: &str, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    if target.has_attribute(name) && said(wanted, name).is_none() {
        wanted.to_mut().attributes.push(Attribute::unset(name));
    }
}

/// What `wanted` says of an attribute.
fn said<'e>(wanted: &'e Element, name: &str) -> Option<&'e Attribute> {
    let mut all = wanted.attributes.iter();
    all.find(|one| one.name == name && one.namespace.is_none())
}

/// Says an attribute.
fn say(name: &str, value: &str, wanted: &mut Element) {
    wanted.attributes.push(Attribute {
        value: Some(value.to_owned()),
        ..Attribute::unset(name)
    });
}

/// Makes the parts of this name exactly what `wanted` says of them; nothing where it says nothing.
fn replace(name: &str, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    let is_it = |one: &Element| one.name == name && one.namespace.is_none();
    if wanted.children.iter().any(is_it) {
        // An update makes none where there is none.
        let is_there = child(target, name).is_some();
        let parts = wanted.to_mut().children.iter_mut();
        for part in parts.filter(|part| is_it(part)) {
            if part.op == Op::Merge || (part.op == Op::Update && is_there) {
                part.op = Op::Replace;
            }
        }
    } else {
        remove(name, target, wanted);
    }
}

/// Takes out the parts of this name.
fn remove(name: &str, target: Node<'_, '_>, wanted: &mut Said<'_>) {
    if child(target, name).is_some() {
        let gone = Element {
            op: Op::Remove,
            ..part(name, wanted)
        };
        wanted.to_mut().children.push(gone);
    }
}

/// A further part of `wanted`.
fn part(name: &str, wanted: &Element) -> Element {
    Element {
        offset: wanted.offset,
        ..Element::new(name)
    }
}

/// Whether a part that is there becomes what is said of it, and keeps what is not.
fn is_merged(part: &Element) -> bool {
    matches!(part.op, Op::Merge | Op::Update)
}

/// The part that becomes, of one that is there, what `wanted` says: no default, and nothing that is to stay or go.
fn said_part<'e>(wanted: &'e Element, name: &str) -> Option<&'e Element> {
    let part = wanted.child(name)?;
    (is_merged(part) || part.op == Op::Replace).then_some(part)
}

/// Lets the one part of `wanted` mean the one of `target`, whatever tells such apart elsewhere.
fn one_and_the_same(
    target: Node<'_, '_>,
    wanted: &mut Said<'_>,
    is_there: impl Fn(Node<'_, '_>) -> bool,
    is_said: impl Fn(&Element) -> bool,
) {
    let children = wanted.children.iter().enumerate();
    let mut said = children.filter(|(_, one)| is_said(one));
    let (Some((index, one)), None) = (said.next(), said.next()) else {
        return;
    };
    let like = target.children().filter(|node| one.names(*node));
    let mut like = like.filter(|node| is_there(*node));
    let (Some(first), None) = (like.next(), like.next()) else {
        return;
    };
    let is_the_one = matches!(one.op, Op::Merge | Op::Update | Op::Replace | Op::Default);
    if !is_the_one || one.at.is_some() {
        return;
    }
    let at = first.range().start;
    if let Some(one) = wanted.to_mut().children.get_mut(index) {
        one.at = Some(at);
    }
}
