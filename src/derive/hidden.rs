//! What `virsh dumpxml` leaves out of a definition without `--security-info`.

use roxmltree::Node;

use crate::document::{Document, Edit, Parts};

/// The passwords of a definition, which the other one may have as well without showing them.
fn hidden<'a>(document: &'a Document<'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    let elements = document.root().descendants().filter(Node::is_element);
    elements.filter(|node| {
        (node.has_tag_name("graphics") && node.has_attribute("passwd"))
            || node.has_tag_name("cookies")
    })
}

/// `before` without its passwords, where `after` shows none at all: nobody took them out, as far as is known.
pub(super) fn without(before: &str, after: &str) -> Option<String> {
    let old = Document::parse_domain(before).ok()?;
    let new = Document::parse_domain(after).ok()?;
    if hidden(&new).next().is_some() {
        return None;
    }
    // With a device that goes its password goes.
    let is_there = |node: &Node<'_, '_>| {
        let kind = |node: Node<'_, '_>| node.attribute("type").map(str::to_owned);
        match node.has_tag_name("graphics") {
            true => new.devices("graphics").any(|one| kind(one) == kind(*node)),
            false => new
                .devices("disk")
                .any(|disk| kind(disk).as_deref() == Some("network")),
        }
    };
    let edit = |node: Node<'_, '_>| {
        if node.has_tag_name("cookies") {
            return Some(Edit::delete(node.range()));
        }
        let parts = Parts::of(before, node);
        let passwd = parts.attribute(before, "passwd")?;
        Some(Edit::delete(passwd.with_space.clone()))
    };
    let edits: Vec<Edit> = hidden(&old).filter(is_there).filter_map(edit).collect();
    match edits.is_empty() {
        true => None,
        false => old.splice(edits).ok(),
    }
}
