//! What stays with a device that gets another source, and may belong to the old one.
//!
//! Whether it does, nobody can tell: another image may be encrypted with the same secret. A domain that is not
//! told of it does not start, so the user is.

use roxmltree::Node;

use super::super::keys;
use super::super::patch::{Element, Op};
use super::table::Names;
use crate::document::{child, parent_name};
use crate::text;

struct Kept {
    device: &'static str,
    /// The attributes of its source that say which one it is.
    source: Names,
    /// That source, in words.
    what: &'static str,
    /// The parts that may be of the old one, as paths.
    parts: &'static [Names],
}

const KEPT: &[Kept] = &[
    Kept {
        device: "disk",
        source: &["file", "dev", "name", "pool", "volume"],
        what: "image",
        parts: &[&["source", "encryption"], &["encryption"]],
    },
    // It tells an Open vSwitch bridge from one of Linux.
    Kept {
        device: "interface",
        source: &["bridge"],
        what: "bridge",
        parts: &[&["virtualport"], &["vlan"]],
    },
];

/// What to say of a device whose source becomes another one of its kind.
pub(in crate::merge) fn note_kept(device: Node<'_, '_>, wanted: &Element) -> Option<String> {
    if parent_name(device) != "devices" || wanted.namespace.is_some() {
        return None;
    }
    let rule = KEPT.iter().find(|rule| rule.device == wanted.name)?;
    let said = wanted.child("source")?;
    if !matches!(said.op, Op::Merge | Op::Update) {
        return None;
    }
    let source = child(device, "source")?;
    let is_another = |name: &&&str| {
        let new = said.attribute(name);
        new.is_some() && source.attribute(**name) != new
    };
    rule.source.iter().find(is_another)?;
    let is_there = |path: &&Names| {
        path.iter()
            .try_fold(device, |at, name| child(at, name))
            .is_some()
    };
    let is_said = |path: &Names| {
        path.iter()
            .try_fold(wanted, |at, name| at.child(name))
            .is_some()
    };
    let kept = rule
        .parts
        .iter()
        .copied()
        .filter(|path| is_there(&path) && !is_said(path));
    let kept: Vec<String> = kept
        .filter_map(|path| path.last().map(|name| format!("<{name}>")))
        .collect();
    if kept.is_empty() {
        return None;
    }
    Some(format!(
        "{} gets another {} and keeps {} of the old one; where the new one has none, take that out with patch:op='remove'",
        keys::described("devices", wanted),
        rule.what,
        text::list(&kept)
    ))
}
