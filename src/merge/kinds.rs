//! What belongs to one kind of an element and to no other: where a patch makes another kind of it, that goes.
//!
//! A snippet that makes a file of a block device, or `host-passthrough` of a CPU model, names what is new
//! and not what was there before; with both libvirt refuses the definition, or drops one of them in silence.
//! The knowledge is in `table.rs`.

mod table;

use std::borrow::Cow;

use roxmltree::Node;

use super::patch::{Attribute, Element, Op};
use crate::document::{child, parent_name};
use table::{KINDS, Kinds, Names, OF_SEVERAL_HOSTS, OTHERS, SOURCES, Values::*};

/// Whether `wanted` makes of `target` what shares nothing with it.
pub(super) fn is_another(target: Node<'_, '_>, wanted: &Element) -> bool {
    let parent = parent_name(target);
    let is_rule = |rule: &&(&str, &str, &str, Option<&str>)| {
        rule.1 == wanted.name && (rule.0 == "*" || rule.0 == parent)
    };
    wanted.namespace.is_none()
        && OTHERS.iter().filter(is_rule).any(|(_, _, key, only)| {
            let (old, new) = (target.attribute(*key), wanted.attribute(key));
            let (Some(old), Some(new)) = (old, new) else {
                return false;
            };
            old != new && only.is_none_or(|only| only == old || only == new)
        })
}

/// What `wanted` says of this very `target`: with what goes because it makes another kind of it.
pub(super) fn complete<'w>(target: Node<'_, '_>, original: &'w Element) -> Cow<'w, Element> {
    let mut wanted = Cow::Borrowed(original);
    if original.namespace.is_some() {
        return wanted;
    }
    let (parent, name) = (parent_name(target), original.name.as_str());
    if (parent, name) == ("devices", "graphics") {
        listen(target, &mut wanted);
    }
    let is_rule = |rule: &&Kinds| rule.name == name && rule.parents.contains(&parent);
    for rule in KINDS.iter().filter(is_rule) {
        other_kind(rule, target, &mut wanted);
    }
    match (parent, name) {
        ("devices", "disk") => source(target, &mut wanted),
        ("disk", "source") => host(target, &mut wanted),
        ("devices", "interface") => addresses(target, &mut wanted),
        ("domain", "cpu") => cache(target, &mut wanted),
        _ => {}
    }
    wanted
}

fn other_kind(rule: &Kinds, target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let Some((part, attribute)) = rule.key.split_once('@') else {
        return;
    };
    let (old, new) = match part {
        "" => (target.attribute(attribute), wanted.attribute(attribute)),
        part => (
            child(target, part).and_then(|part| part.attribute(attribute)),
            wanted
                .child(part)
                .and_then(|part| part.attribute(attribute)),
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
fn unset(name: &str, target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let is_it = |one: &Attribute| one.name == name && one.namespace.is_none();
    if target.has_attribute(name) && !wanted.attributes.iter().any(is_it) {
        wanted.to_mut().attributes.push(Attribute::unset(name));
    }
}

/// Makes the parts of this name exactly what `wanted` says of them; nothing where it says nothing.
fn replace(name: &str, target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let is_it = |one: &Element| one.name == name && one.namespace.is_none();
    let offset = wanted.offset;
    if wanted.children.iter().any(is_it) {
        let parts = wanted.to_mut().children.iter_mut();
        for part in parts.filter(|part| is_it(part) && is_merged(part)) {
            part.op = Op::Replace;
        }
    } else if child(target, name).is_some() {
        let mut gone = Element::new(name);
        gone.op = Op::Remove;
        gone.offset = offset;
        wanted.to_mut().children.push(gone);
    }
}

fn is_merged(part: &Element) -> bool {
    matches!(part.op, Op::Merge | Op::Update | Op::Default)
}

/// The place of an image on a disk that becomes one of another type.
fn source(target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let (old, new) = (target.attribute("type"), wanted.attribute("type"));
    let (old, Some(new)) = (old.unwrap_or("file"), new) else {
        return;
    };
    let of = |value: &str| SOURCES.iter().find(|(name, ..)| *name == value);
    let (Some(was), Some(there)) = (of(old), child(target, "source")) else {
        return;
    };
    if old == new {
        return;
    }
    let (its_attributes, its_parts) =
        of(new).map_or((&[] as Names, &[] as Names), |one| (one.1, one.2));
    let goes = |name: &str| was.1.contains(&name) && !its_attributes.contains(&name);
    let part_goes = |name: &str| was.2.contains(&name) && !its_parts.contains(&name);
    let offset = wanted.offset;
    let is_it = |one: &Element| one.name == "source" && one.namespace.is_none();
    if !wanted.children.iter().any(is_it) {
        let mut said = Element::new("source");
        said.offset = offset;
        let all_goes = there.attributes().all(|one| goes(one.name()))
            && there
                .children()
                .filter(Node::is_element)
                .all(|part| part_goes(part.tag_name().name()));
        if all_goes {
            said.op = Op::Remove;
        }
        wanted.to_mut().children.push(said);
    }
    let parts = wanted.to_mut().children.iter_mut();
    for part in parts.filter(|part| is_it(part) && is_merged(part)) {
        let mut said = Cow::Borrowed(&*part);
        for name in was.1.iter().filter(|name| goes(name)) {
            unset(name, there, &mut said);
        }
        for name in was.2.iter().filter(|name| part_goes(name)) {
            if said.child(name).is_none() {
                replace(name, there, &mut said);
            }
        }
        let said = said.into_owned();
        *part = said;
    }
}

/// The host of an image that has one only: another name is another host, and not one more.
fn host(target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let protocol = wanted
        .attribute("protocol")
        .or_else(|| target.attribute("protocol"));
    if protocol.is_some_and(|protocol| !OF_SEVERAL_HOSTS.contains(&protocol)) {
        one_and_the_same(target, wanted, |_| true, |host| host.name == "host");
    }
}

/// The addresses of a user's network, of which there is one of each family.
fn addresses(target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let kind = wanted
        .attribute("type")
        .or_else(|| target.attribute("type"));
    if kind != Some("user") {
        return;
    }
    for family in ["ipv4", "ipv6"] {
        let is_of = |said: Option<&str>| said.unwrap_or("ipv4") == family;
        one_and_the_same(
            target,
            wanted,
            |ip| is_of(ip.attribute("family")),
            |ip| ip.name == "ip" && is_of(ip.attribute("family")),
        );
    }
}

/// Lets the one part of `wanted` mean the one of `target`, whatever tells such apart elsewhere.
fn one_and_the_same(
    target: Node<'_, '_>,
    wanted: &mut Cow<'_, Element>,
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
    if one.op != Op::Merge || one.at.is_some() {
        return;
    }
    let at = first.range().start;
    if let Some(one) = wanted.to_mut().children.get_mut(index) {
        one.at = Some(at);
    }
}

/// A cache that is passed through is one of a CPU that is.
fn cache(target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let new = wanted.attribute("mode");
    let is_passed =
        child(target, "cache").is_some_and(|cache| cache.attribute("mode") == Some("passthrough"));
    if is_passed && new.is_some_and(|mode| !matches!(mode, "host-passthrough" | "maximum")) {
        replace("cache", target, wanted);
    }
}

/// `listen='…'` and the address of the first `<listen>`, which libvirt writes both and wants to be the same.
fn listen(target: Node<'_, '_>, wanted: &mut Cow<'_, Element>) {
    let Some(there) = child(target, "listen") else {
        return;
    };
    let said = |name: &str| {
        let mut all = wanted.attributes.iter();
        all.find(|one| one.name == name && one.namespace.is_none())
    };
    match (said("listen"), wanted.child("listen")) {
        (Some(attribute), None) => {
            let Some(address) = attribute.value.clone() else {
                return;
            };
            let mut part = Element::new("listen");
            part.offset = wanted.offset;
            for (name, value) in [("type", "address"), ("address", &address)] {
                part.attributes.push(Attribute {
                    value: Some(value.to_owned()),
                    ..Attribute::unset(name)
                });
            }
            part.at = Some(there.range().start);
            wanted.to_mut().children.push(part);
        }
        (None, Some(part)) if is_merged(part) && target.has_attribute("listen") => {
            let address = part.attribute("address").map(str::to_owned);
            if let Some(address) = address {
                wanted.to_mut().attributes.push(Attribute {
                    value: Some(address),
                    ..Attribute::unset("listen")
                });
            }
        }
        _ => {}
    }
}
