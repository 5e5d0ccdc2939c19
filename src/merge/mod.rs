//! The merge engine: the only thing that makes edits.
//!
//! A [`Patch`] is a partial `<domain>`. [`merge`] compares it with a document and answers with
//! the edits that make the document say what the patch says; no edit means it says so already.
//! The rules are in docs/patches.md. The engine knows what libvirt calls the same element
//! ([`keys`]) and where it would write a new one ([`order`]); it knows nothing of hosts and passes.

mod amounts;
mod claims;
pub mod condition;
mod contents;
mod error;
mod insert;
pub mod keys;
mod kinds;
pub mod options;
pub mod order;
mod patch;
mod places;
mod qemu;
mod remove;
mod resolve;
mod source;
mod write;

use std::collections::{HashMap, HashSet};

use roxmltree::{Node, NodeId};

pub use error::MergeError;
pub use patch::{
    Addition, Attribute, Change, DIRECTIVES, Element, Facts, Here, Op, Patch, Values, Wanted,
};
pub use resolve::Declared;
pub(crate) use source::is_dots;
pub(crate) use write::is_completed;

use crate::document::{self, Document, Edit, Parts, qemu::NAMESPACE};
use claims::{Claims, goes, stays};
use insert::{New, Siblings, element_matches};
use keys::{Children, Match};

/// The edits that make `document` say what `patch` says; none when it does already.
///
/// # Errors
/// A patch that cannot be read, or that does not fit the document: nothing is half done.
pub fn merge(document: &Document<'_>, patch: &Patch) -> Result<Vec<Edit>, MergeError> {
    Ok(merge_wanted(document, patch, &patch.resolve()?)?.0)
}

/// As [`merge`], and the text with the edits applied; `None` when there are none.
///
/// # Errors
/// As [`merge`].
pub fn merged(document: &Document<'_>, patch: &Patch) -> Result<Option<String>, MergeError> {
    Ok(merged_wanted(document, patch, &patch.resolve()?)?.text)
}

/// What a merge makes of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text with the edits applied; `None` when there are none.
    pub text: Option<String>,
    /// What the user should know of it, readable: what is not there to be updated, and what goes unasked.
    pub notes: Vec<String>,
}

/// As [`merged`], with what [`Patch::resolve`] made of the patch.
///
/// # Errors
/// A patch that does not fit the document.
pub fn merged_wanted(
    document: &Document<'_>,
    patch: &Patch,
    wanted: &Wanted,
) -> Result<Merged, MergeError> {
    let (edits, notes) = merge_wanted(document, patch, wanted)?;
    let text = match edits.is_empty() {
        true => None,
        false => Some(document.splice(edits).map_err(|source| {
            let patch = patch.name.clone();
            MergeError::Overlap { patch, source }
        })?),
    };
    // What the patch removes and adds again may have been just so.
    let text = text.filter(|text| text != document.text());
    Ok(Merged { text, notes })
}

/// Whether an element of a document says all that an element of a patch says.
pub fn says(node: Node<'_, '_>, wanted: &Element) -> bool {
    element_matches(node, wanted, false)
}

fn merge_wanted(
    document: &Document<'_>,
    patch: &Patch,
    wanted: &Wanted,
) -> Result<(Vec<Edit>, Vec<String>), MergeError> {
    let mut merger = Merger {
        document,
        text: document.text(),
        patch,
        edits: Vec::new(),
        notes: Vec::new(),
        unordered: Vec::new(),
        qemu_prefix: None,
    };
    match wanted.root.op {
        Op::Replace => merger.replace_root(&wanted.root)?,
        _ => merger.element(document.root(), &wanted.root)?,
    }
    merger.no_text_for_elements(&wanted.root)?;
    merger.single_elements()?;
    merger.declare_qemu();
    settle(merger.text, &mut merger.edits);
    Ok((merger.edits, merger.notes))
}

struct Merger<'m> {
    document: &'m Document<'m>,
    text: &'m str,
    patch: &'m Patch,
    edits: Vec<Edit>,
    /// See [`Merged::notes`].
    notes: Vec<String>,
    /// Devices that were to get a boot order and are not there.
    unordered: Vec<Element>,
    /// The prefix to declare on the root for new `qemu:` elements.
    qemu_prefix: Option<String>,
}

impl<'m> Merger<'m> {
    /// Makes `target` say what `wanted` says.
    fn element(&mut self, target: Node<'m, 'm>, wanted: &Element) -> Result<(), MergeError> {
        if let Some((message, help)) = kinds::refused(target, wanted) {
            let place = self.document.position(target.range().start);
            return Err(self.error(wanted, message).helped(help).at(place));
        }
        let wanted = &*kinds::complete(target, wanted);
        self.notes.extend(kinds::note_kept(target, wanted));
        if !wanted.attributes.is_empty() || wanted.text.is_some() {
            self.attributes(target, wanted)?;
        }
        if let Some(text) = &wanted.text {
            self.set_text(target, wanted, text)?;
        }
        let mut new = Vec::new();
        let before = self.edits.len();
        let is_root = target == self.document.root();
        let children = Children::expecting(target, wanted.children.len());
        let mut siblings = Siblings::default();
        let alike = claims::alike(wanted);
        let indices = || 0..wanted.children.len();
        // What goes is known before it is asked whether something is there already.
        for (index, child) in wanted.children.iter().enumerate() {
            if goes(child) && !alike.contains(&index) {
                let removed = self.remove(&children, child, &siblings.removed)?;
                siblings.removed.extend(removed.iter().map(Node::id));
            }
        }
        let speaks = |index: &usize| stays(&wanted.children[*index]) || alike.contains(index);
        let claims = Claims::of(
            wanted,
            indices().filter(speaks),
            &children,
            &siblings.removed,
            |index| alike.contains(&index),
        );
        siblings.places = self.reorder(&claims.ordered(wanted));
        for (index, child) in wanted.children.iter().enumerate() {
            if goes(child) {
                if alike.contains(&index) {
                    let removed = self.remove_claimed(&children, child, claims.of_child(index))?;
                    siblings.removed.extend(removed.iter().map(Node::id));
                }
            } else if is_root
                && child.name == "commandline"
                && child.namespace.as_deref() == Some(NAMESPACE)
                && matches!(child.op, Op::Merge | Op::Append | Op::Update)
            {
                self.commandline(child, &mut new)?;
            } else {
                let claim = match claims.of_child(index) {
                    Match::One(node) if is_of_another_device(node, child) => Match::None,
                    claim => claim,
                };
                if let (Op::Update, Match::None) = (child.op, claim) {
                    self.note_absent(&claims::absent(wanted, index));
                    if child.child("boot").is_some_and(stays) {
                        self.unordered.push(child.clone());
                    }
                } else {
                    self.child(&children, child, claim, &mut siblings, &mut new)?;
                }
            }
        }
        siblings.place(&mut new);
        if !new.is_empty() {
            self.insert(target, wanted, new)?;
        } else if !siblings.removed.is_empty() && !is_root {
            self.close_emptied(target, &siblings.removed, before);
        }
        if is_root {
            let superseded = kinds::superseded(target, wanted, &self.edits);
            let going = superseded.iter().filter(|node| !self.is_gone(**node));
            self.boots_all_the_same(wanted, going.clone().copied())?;
            self.notes.extend(kinds::note_superseded(going.copied()));
            for node in superseded {
                if !self.is_gone(node) {
                    let range = node.range();
                    let is_inside =
                        |edit: &Edit| range.start < edit.range.start && edit.range.end < range.end;
                    self.edits.retain(|edit| !is_inside(edit));
                    self.remove_node(node);
                }
            }
        }
        Ok(())
    }

    /// Puts elements in this order in the places they have among them: which one comes to stand where.
    fn reorder(&mut self, wanted: &[Node<'m, 'm>]) -> HashMap<NodeId, Node<'m, 'm>> {
        if wanted.len() < 2 {
            return HashMap::new();
        }
        let mut places = wanted.to_vec();
        places.sort_by_key(|node| node.range().start);
        let pairs = wanted.iter().zip(places);
        let moved = pairs.filter(|(node, place)| *node != place);
        let moved: HashMap<NodeId, Node<'m, 'm>> =
            moved.map(|(node, place)| (node.id(), place)).collect();
        for node in wanted {
            if let Some(place) = moved.get(&node.id()) {
                let text = self.text.get(node.range()).unwrap_or_default();
                let edit = Edit::replace(place.range(), text.to_owned());
                self.edits.push(edit);
            }
        }
        moved
    }

    /// Refuses text for what holds elements in every definition, be it empty in this one.
    fn no_text_for_elements(&self, root: &Element) -> Result<(), MergeError> {
        let has_text = |one: &&Element| one.text.is_some() && one.namespace.is_none();
        let below_root = |one: &&Element| document::SECTIONS.contains(&one.name.as_str());
        let is_device = |one: &&Element| one.name != "emulator";
        let refuse = |parent: Node<'_, '_>, one: &Element| {
            let message = format!(
                "the patch has text for <{}>, which holds elements",
                one.name
            );
            let there = document::child(parent, &one.name).unwrap_or(parent);
            let place = self.document.position(there.range().start);
            Err(self.error(one, message).at(place))
        };
        let top = self.document.root();
        let mut all = root.children.iter();
        if let Some(one) = all.find(|one| has_text(one) && below_root(one)) {
            return refuse(top, one);
        }
        let devices = root.children.iter().filter(|one| one.name == "devices");
        let devices = devices.flat_map(|devices| &devices.children);
        let there = document::child(top, "devices").unwrap_or(top);
        if let Some(one) = devices.clone().find(|one| has_text(one) && is_device(one)) {
            return refuse(there, one);
        }
        // What they have inside of attributes and parts only.
        let is_empty = |one: &&Element| {
            matches!(
                one.name.as_str(),
                "source" | "target" | "driver" | "address" | "mac" | "alias" | "boot"
            )
        };
        let mut parts = devices.flat_map(|device| &device.children);
        match parts.find(|one| has_text(one) && is_empty(one)) {
            Some(one) => Err(self.error(
                one,
                format!(
                    "the patch has text for <{}>, which holds attributes and elements",
                    one.name
                ),
            )),
            None => Ok(()),
        }
    }

    /// The changes that name their element by its place.
    fn single_elements(&mut self) -> Result<(), MergeError> {
        if self.patch.here.is_empty() {
            return Ok(());
        }
        let mut by_offset: HashMap<usize, Vec<&Here>> = HashMap::new();
        for here in &self.patch.here {
            by_offset.entry(here.offset).or_default().push(here);
        }
        let elements = self.document.root().descendants();
        for node in elements.filter(Node::is_element) {
            let Some(changes) = by_offset.get(&node.range().start) else {
                continue;
            };
            for here in changes {
                match &here.change {
                    Change::Merge(element) => self.element(node, &Element::from_tree(element))?,
                    Change::Remove if self.is_gone(node) => {}
                    Change::Remove => self.remove_or_close(node),
                }
            }
        }
        Ok(())
    }

    fn child<'w>(
        &mut self,
        children: &Children<'m, 'm>,
        wanted: &'w Element,
        claim: Match<'m, 'm>,
        siblings: &mut Siblings<'w, 'm>,
        new: &mut Vec<New<'w, 'm>>,
    ) -> Result<(), MergeError> {
        match wanted.op {
            Op::Remove | Op::RemoveExisting => {
                let removed = self.remove(children, wanted, &siblings.removed)?;
                siblings.removed.extend(removed.iter().map(Node::id));
                return Ok(());
            }
            Op::Append => {
                let is_single = children.parent() == self.document.root()
                    && wanted.namespace.is_none()
                    && document::SINGLETONS.contains(&wanted.name.as_str());
                let remains = |node: &Node<'_, '_>| !siblings.removed.contains(&node.id());
                if is_single
                    && let Some(other) = children.named(wanted).into_iter().find(remains)
                    && !element_matches(other, wanted, false)
                {
                    let message = format!(
                        "patch:op='append' would make a second <{}>, and a definition has one",
                        wanted.name
                    );
                    let place = self.document.position(other.range().start);
                    return Err(self.error(wanted, message).at(place));
                }
                // Of several that are appended each needs one of its own.
                let there = children.with_key(wanted).into_iter().find(|node| {
                    !siblings.appended.contains(&node.id())
                        && !siblings.removed.contains(&node.id())
                        && element_matches(*node, wanted, false)
                });
                if there.is_none() {
                    self.takes_no_ones_place(children, wanted, &siblings.removed)?;
                }
                siblings.appended.extend(there.map(|node| node.id()));
                return self.there_or_new(children, wanted, there, siblings, new);
            }
            Op::Default if wanted.at.is_none() => {
                let there = children.any(wanted, &siblings.removed);
                return self.there_or_new(children, wanted, there, siblings, new);
            }
            Op::Keep => {
                match claim {
                    Match::One(node) => {
                        siblings.there(wanted, node);
                        siblings.appended.insert(node.id());
                    }
                    _ => siblings.missed.push(wanted),
                }
                return Ok(());
            }
            Op::Merge | Op::Default | Op::Replace | Op::Update => {}
        }
        match claim {
            Match::None => return self.there_or_new(children, wanted, None, siblings, new),
            Match::Ambiguous(first, second) => return Err(self.ambiguous(wanted, first, second)),
            Match::One(node) => {
                siblings.there(wanted, node);
                let other = kinds::other(node, wanted).filter(|_| wanted.op != Op::Replace);
                match (wanted.op, &other) {
                    (Op::Merge | Op::Update, None) => self.element(node, wanted)?,
                    (Op::Merge | Op::Update | Op::Replace, _) => {
                        let exact = other.as_ref().unwrap_or(wanted);
                        if !element_matches(node, exact, true) {
                            let text = self.render_in_place(node, exact);
                            self.edits.push(Edit::replace(node.range(), text));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Refuses one more element with a key that libvirt wants to be another for each.
    fn takes_no_ones_place(
        &self,
        children: &Children<'m, 'm>,
        wanted: &Element,
        gone: &HashSet<NodeId>,
    ) -> Result<(), MergeError> {
        let parent = children.parent().tag_name().name();
        if keys::unique_key(parent, wanted).is_none() {
            return Ok(());
        }
        match children.exact(wanted, gone, true) {
            Match::One(other) => {
                let message = format!(
                    "patch:op='append' would make a second {}",
                    keys::described(parent, wanted)
                );
                let place = self.document.position(other.range().start);
                Err(self.error(wanted, message).at(place))
            }
            _ => Ok(()),
        }
    }

    /// Leaves `there` as it is, or writes a new element. One in which things are only taken away
    /// takes nothing away from what is not there, and is not written for it.
    fn there_or_new<'w>(
        &mut self,
        children: &Children<'m, 'm>,
        wanted: &'w Element,
        there: Option<Node<'m, 'm>>,
        siblings: &mut Siblings<'w, 'm>,
        new: &mut Vec<New<'w, 'm>>,
    ) -> Result<(), MergeError> {
        if let Some(node) = there {
            siblings.there(wanted, node);
            return Ok(());
        }
        if let Some(missing) = wanted.first_to_exist() {
            return Err(self.nothing_to_remove(missing, children.parent()));
        }
        let parent = children.parent().tag_name().name();
        self.note_updates(parent, wanted);
        if !wanted.is_written(parent) {
            siblings.missed.push(wanted);
        } else if !wanted.only_removes(parent) {
            let rival = claims::rival(parent, wanted, New::elements(new), &siblings.missed);
            let rivals = rival.map(|other| (other, wanted));
            if let Some((other, one)) = rivals.or_else(|| claims::rivals_in(wanted)) {
                return Err(self.two_of_one(one, other));
            }
            new.push(siblings.new_element(wanted));
        }
        Ok(())
    }

    fn two_of_one(&self, wanted: &Element, other: &Element) -> MergeError {
        let message = format!(
            "<{}> would be new, and nothing tells it from the one in line {} of the patch, which says something else",
            wanted.name,
            self.patch.line(other.offset)
        );
        self.error(wanted, message)
    }

    /// Refuses an order for a disk or NIC that is not there, where the domain's own boot device of that kind would go
    /// for the order of others: what it boots from is perhaps that one, by another name.
    fn boots_all_the_same(
        &self,
        wanted: &Element,
        going: impl Iterator<Item = Node<'m, 'm>>,
    ) -> Result<(), MergeError> {
        let kind = |device: &Element| match (device.name.as_str(), device.attribute("device")) {
            ("disk", None | Some("disk" | "lun")) => Some("hd"),
            ("interface", _) => Some("network"),
            _ => None,
        };
        let goes: Vec<&str> = going.filter_map(|boot| boot.attribute("dev")).collect();
        let is_missing =
            |device: &Element| self.unordered.iter().any(|one| one.offset == device.offset);
        let devices = wanted.child("devices").into_iter();
        let mut ordered = devices
            .flat_map(|devices| &devices.children)
            .filter(|device| {
                device.child("boot").is_some_and(stays) && stays(device) && !is_missing(device)
            });
        let is_lost = |missing: &&Element| kind(missing).is_some_and(|kind| goes.contains(&kind));
        let Some(missing) = self.unordered.iter().find(is_lost) else {
            return Ok(());
        };
        let dev = kind(missing).unwrap_or_default();
        if ordered.any(|device| kind(device) == Some(dev)) {
            return Ok(());
        }
        let message = format!(
            "{} is to get a boot order and is not there, and <boot dev='{dev}'> of <os> would go for the order of the others",
            keys::described("devices", missing)
        );
        let help =
            "give the order to a device that this domain has, or leave the orders out of the patch";
        Err(self.error(missing, message).helped(help.to_owned()))
    }

    fn note_absent(&mut self, what: &str) {
        self.notes.push(format!("there is no {what} to update"));
    }

    /// Of what is inside a new element nothing is there to update.
    fn note_updates(&mut self, parent: &str, wanted: &Element) {
        let is_update = |op: Op| op == Op::Update;
        if is_update(wanted.op) || keys::op_of_key(parent, wanted).is_some_and(is_update) {
            self.note_absent(&keys::described(parent, wanted));
            return;
        }
        for child in &wanted.children {
            self.note_updates(&wanted.name, child);
        }
    }

    /// Makes the whole definition exactly this. The root's namespace declarations stay.
    fn replace_root(&mut self, wanted: &Element) -> Result<(), MergeError> {
        let root = self.document.root();
        if element_matches(root, wanted, true) {
            return Ok(());
        }
        let surplus = root.attributes().filter(|there| {
            wanted.attributes.iter().all(|attribute| {
                attribute.name != there.name()
                    || attribute.namespace.as_deref() != there.namespace()
            })
        });
        let mut exact = Element {
            attributes: wanted.attributes.clone(),
            ..wanted.clone()
        };
        exact.attributes.extend(surplus.map(|there| Attribute {
            namespace: there.namespace().map(str::to_owned),
            prefix: None,
            name: there.name().to_owned(),
            value: None,
        }));
        self.attributes(root, &exact)?;
        let parts = Parts::of(self.text, root);
        let body = self.render_inside(root, wanted);
        self.edits.push(match parts.content {
            Some(content) => Edit::replace(content, body),
            None => {
                let name = self.text.get(parts.name.clone()).unwrap_or_default();
                Edit::replace(
                    parts.end_of_attributes()..parts.start_tag.end,
                    format!(">{body}</{name}>"),
                )
            }
        });
        Ok(())
    }

    fn ambiguous(&self, wanted: &Element, first: Node<'_, '_>, second: Node<'_, '_>) -> MergeError {
        let how = keys::how_to_choose(wanted, first, second);
        let lines: Vec<String> = [first, second]
            .iter()
            .map(|node| self.document.position(node.range().start).line.to_string())
            .collect();
        self.error(
            wanted,
            format!(
                "<{}> could be the one in line {} or in line {}; {how}",
                wanted.name, lines[0], lines[1],
            ),
        )
        .at(self.document.position(first.range().start))
    }

    /// Declares the QEMU namespace on the root when a new element needs it.
    fn declare_qemu(&mut self) {
        if let Some(prefix) = self.qemu_prefix.take() {
            let parts = Parts::of(self.text, self.document.root());
            let quote = self.document.style().quote;
            self.edits.push(Edit::insert(
                parts.end_of_attributes(),
                format!(" xmlns:{prefix}={quote}{NAMESPACE}{quote}"),
            ));
        }
    }

    fn error(&self, wanted: &Element, message: String) -> MergeError {
        MergeError::in_patch(self.patch, wanted.offset, message)
    }
}

/// What is inserted beside an element whose line goes takes over that line, with the end it has: the
/// element a new one was to follow may be removed by the same patch.
fn settle(text: &str, edits: &mut [Edit]) {
    let mut gone: Vec<usize> = (0..edits.len())
        .filter(|&index| edits[index].text.is_empty() && !edits[index].range.is_empty())
        .collect();
    if gone.is_empty() {
        return;
    }
    gone.sort_by_key(|&index| edits[index].range.start);
    for index in 0..edits.len() {
        if !edits[index].range.is_empty() {
            continue;
        }
        let at = edits[index].range.start;
        let before = gone.partition_point(|&one| edits[one].range.start < at);
        let Some(&line) = before.checked_sub(1).and_then(|last| gone.get(last)) else {
            continue;
        };
        let range = edits[line].range.clone();
        if at > range.end {
            continue;
        }
        let removed = text.get(range.clone()).unwrap_or_default();
        let mut place = range.end;
        let is_element = !edits[index].text.starts_with(' ');
        if let Some(content) = removed.strip_prefix('\n').filter(|_| is_element) {
            // The first to come here; one after it finds the line without its ends.
            place -= usize::from(content.ends_with('\r'));
            edits[line].range = range.start + 1..place;
            let own = &mut edits[index].text;
            let ends = own.len() - own.trim_start_matches('\r').trim_start_matches('\n').len();
            own.drain(..ends);
        }
        edits[index].range = place..place;
    }
}

/// Whether a disk to be updated, of which the patch says what it is to the guest, is something else here:
/// `sda` is a CD-ROM in one domain and the system disk of another.
fn is_of_another_device(node: Node<'_, '_>, wanted: &Element) -> bool {
    let device = wanted.attribute("device");
    wanted.op == Op::Update
        && wanted.name == "disk"
        && device.is_some_and(|device| node.attribute("device").unwrap_or("disk") != device)
}

#[cfg(test)]
mod tests;
