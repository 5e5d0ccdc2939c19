//! New elements: where they go.

use std::collections::{HashMap, HashSet};

use roxmltree::{Node, NodeId};

use super::patch::Element;
use super::{MergeError, Merger, amounts, contents, keys, order};
use crate::document::{self, Edit, Parts, after_trailing_comments, indent_of, starts_line};

/// Something to be written below an element.
pub(super) struct New<'w, 'm> {
    pub(super) what: What<'w, 'm>,
    beside: Beside<'m>,
}

pub(super) enum What<'w, 'm> {
    /// An element of the patch.
    Element(&'w Element),
    /// One `<qemu:arg value=…/>`.
    Arg(String),
    /// A whole `<qemu:commandline>`: arguments, then environment.
    Commandline(Vec<New<'w, 'm>>),
}

/// The place of a new element, where the patch shows one.
enum Beside<'m> {
    /// Where libvirt's formatter would write it.
    Nothing,
    After(Node<'m, 'm>),
    Before(Node<'m, 'm>),
}

impl<'w, 'm> From<What<'w, 'm>> for New<'w, 'm> {
    fn from(what: What<'w, 'm>) -> Self {
        New {
            what,
            beside: Beside::Nothing,
        }
    }
}

impl<'w, 'm> New<'w, 'm> {
    /// Right behind `node`.
    pub(super) fn after(node: Node<'m, 'm>, what: What<'w, 'm>) -> Self {
        New {
            what,
            beside: Beside::After(node),
        }
    }
}

impl<'w> New<'w, '_> {
    /// The elements of the patch among these.
    pub(super) fn elements(all: &[New<'w, '_>]) -> impl Iterator<Item = &'w Element> {
        all.iter().filter_map(|one| match one.what {
            What::Element(element) => Some(element),
            _ => None,
        })
    }
}

impl New<'_, '_> {
    fn name(&self) -> &str {
        match &self.what {
            What::Element(element) => &element.name,
            What::Arg(_) => "arg",
            What::Commandline(_) => "commandline",
        }
    }

    /// The number by which libvirt sorts it among others of its name.
    fn number(&self, parent: &str) -> Option<u64> {
        let What::Element(element) = &self.what else {
            return None;
        };
        let key = order::number(parent, &element.name)?;
        element.attribute(key)?.trim().parse().ok()
    }

    /// Whether libvirt takes it as the first of its name only.
    fn leads(&self, parent: &str) -> bool {
        match &self.what {
            What::Element(element) => order::leads(parent, element),
            _ => false,
        }
    }
}

/// The elements of one parent that a patch has spoken of so far. Among those of one name a new one
/// takes the place it has in the patch: behind the one before it, or in front of the first.
#[derive(Default)]
pub(super) struct Siblings<'w, 'm> {
    /// The first and the last of each name.
    ends: Vec<(&'w str, Node<'m, 'm>, Node<'m, 'm>)>,
    /// Those that stand for one of the patch's that are to be appended.
    pub(super) appended: HashSet<NodeId>,
    /// Those of the patch that are not there, and are not made.
    pub(super) missed: Vec<&'w Element>,
    /// Those that go.
    pub(super) removed: HashSet<NodeId>,
    /// Those that move, each with the one whose place it takes.
    pub(super) places: HashMap<NodeId, Node<'m, 'm>>,
}

impl<'w, 'm> Siblings<'w, 'm> {
    /// `wanted` is there already.
    pub(super) fn there(&mut self, wanted: &'w Element, node: Node<'m, 'm>) {
        let node = self.places.get(&node.id()).copied().unwrap_or(node);
        let ends = self.ends.iter_mut();
        match ends.into_iter().find(|(name, ..)| *name == wanted.name) {
            Some((_, _, last)) => *last = node,
            None => self.ends.push((&wanted.name, node, node)),
        }
    }

    /// The first and the last of this name.
    fn ends(&self, name: &str) -> Option<(Node<'m, 'm>, Node<'m, 'm>)> {
        let mut ends = self.ends.iter();
        ends.find(|(other, ..)| *other == name)
            .map(|(_, first, last)| (*first, *last))
    }

    /// `wanted` is new.
    pub(super) fn new_element(&self, wanted: &'w Element) -> New<'w, 'm> {
        New {
            what: What::Element(wanted),
            beside: match self.ends(&wanted.name) {
                Some((_, last)) => Beside::After(last),
                None => Beside::Nothing,
            },
        }
    }

    /// Puts those that came before any that is there in front of it.
    pub(super) fn place(&self, new: &mut [New<'w, 'm>]) {
        for one in new {
            if let (What::Element(wanted), Beside::Nothing) = (&one.what, &one.beside)
                && let Some((first, _)) = self.ends(&wanted.name)
            {
                one.beside = Beside::Before(first);
            }
        }
    }
}

/// Bytes that a new element usually takes.
const LINE: usize = 256;

/// How to write below one parent: each on a line of its own with this indentation, or in a row.
enum Layout {
    Lines(String),
    Row,
}

impl<'m> Merger<'m> {
    /// Writes `new` below `target`.
    pub(super) fn insert(
        &mut self,
        target: Node<'m, 'm>,
        wanted: &Element,
        mut new: Vec<New<'_, 'm>>,
    ) -> Result<(), MergeError> {
        let parent = target.tag_name().name();
        let text_inside = target
            .children()
            .find(|node| node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty()));
        if let Some(text) = text_inside
            && !target.children().any(|node| node.is_element())
        {
            let message = format!("the patch has elements for <{parent}>, which holds text");
            return Err(self
                .error(wanted, message)
                .at(self.document.position(text.range().start)));
        }
        new.sort_by_key(|one| {
            let rank = order::rank(parent, one.name()).unwrap_or(usize::MAX);
            (rank, !one.leads(parent), one.number(parent))
        });
        let parts = Parts::of(self.text, target);
        let layout = self.layout(target, &parts);
        let empty = !target
            .children()
            .any(|node| node.is_element() || node.is_comment() || node.is_pi());
        if empty {
            self.fill_empty(target, &parts, &layout, &new);
        } else {
            let places = Places::of(self.text, target, &parts);
            for one in &new {
                let settled = places.of_number(parent, one);
                let settled = settled.or_else(|| places.of_leading(parent, one));
                let at = match (settled, &one.beside) {
                    (Some(at), _) => at,
                    (None, Beside::Nothing) => places.of_rank(order::rank(parent, one.name())),
                    (None, Beside::After(node)) => places.after(*node),
                    (None, Beside::Before(node)) => places.before(*node),
                };
                let written = self.line(target, &layout, one, at);
                self.edits.push(Edit::insert(at, written));
            }
        }
        Ok(())
    }

    /// `<os/>`, `<os></os>` and `<os>  </os>` become `<os>`, the new elements, `</os>`.
    fn fill_empty(
        &mut self,
        target: Node<'m, 'm>,
        parts: &Parts,
        layout: &Layout,
        new: &[New<'_, 'm>],
    ) {
        let at = parts.start_tag.end;
        let mut body: String = new
            .iter()
            .map(|one| self.line(target, layout, one, at))
            .collect();
        if let Layout::Lines(_) = layout {
            body.push_str(self.newline_at(at));
            body.push_str(indent_of(self.text, target.range().start).unwrap_or_default());
        }
        let edit = match &parts.content {
            Some(content) => Edit::replace(content.clone(), body),
            None => {
                let name = self.text.get(parts.name.clone()).unwrap_or_default();
                Edit::replace(
                    parts.end_of_attributes()..parts.start_tag.end,
                    format!(">{body}</{name}>"),
                )
            }
        };
        self.edits.push(edit);
    }

    /// Below elements that stand on lines of their own, new ones do as well.
    fn layout(&self, target: Node<'m, 'm>, parts: &Parts) -> Layout {
        let style = self.document.style();
        let children = || target.children().filter(|node| !node.is_text());
        let first_on_a_line = children()
            .map(|node| node.range().start)
            .find(|start| starts_line(self.text, *start));
        if let Some(start) = first_on_a_line {
            return Layout::Lines(indent_of(self.text, start).unwrap_or_default().to_owned());
        }
        let has_line = indent_of(self.text, parts.start_tag.start);
        match has_line {
            Some(indent) if children().next().is_none() => {
                Layout::Lines(format!("{indent}{}", style.indent))
            }
            _ => Layout::Row,
        }
    }

    fn line(
        &mut self,
        target: Node<'m, 'm>,
        layout: &Layout,
        new: &New<'_, 'm>,
        at: usize,
    ) -> String {
        let mut out = String::with_capacity(LINE);
        match layout {
            Layout::Lines(indent) => {
                out.push_str(self.newline_at(at));
                out.push_str(indent);
                self.write(&mut out, target, new, Some(indent));
            }
            Layout::Row => self.write(&mut out, target, new, None),
        }
        out
    }

    /// How the line ends that `at` is the end of: where line ends are mixed, it keeps its own, and
    /// the new line takes the same.
    fn newline_at(&self, at: usize) -> &'static str {
        let rest = self.text.get(at..).unwrap_or_default();
        match rest.trim_start_matches([' ', '\t']) {
            rest if rest.starts_with("\r\n") => "\r\n",
            rest if rest.starts_with('\n') => "\n",
            _ => self.document.style().newline,
        }
    }
}

/// The places between the children of one element. Found once: there may be thousands.
struct Places<'m> {
    text: &'m str,
    content: std::ops::Range<usize>,
    /// The elements with their ranks, in order.
    elements: Vec<(Option<usize>, Node<'m, 'm>)>,
    /// Where the last of anything ends, when there are no elements.
    end_of_others: Option<usize>,
}

impl<'m> Places<'m> {
    fn of(text: &'m str, target: Node<'m, 'm>, parts: &Parts) -> Places<'m> {
        let parent = target.tag_name().name();
        let elements = target
            .children()
            .filter(Node::is_element)
            .map(|node| (order::rank(parent, node.tag_name().name()), node))
            .collect();
        Places {
            text,
            content: parts
                .content
                .clone()
                .unwrap_or(parts.start_tag.end..parts.start_tag.end),
            elements,
            end_of_others: target
                .children()
                .rfind(|node| !node.is_text())
                .map(|node| node.range().end),
        }
    }

    /// Among those that libvirt sorts by a number: after the last that has a smaller one, or before
    /// the first.
    fn of_number(&self, parent: &str, new: &New<'_, 'm>) -> Option<usize> {
        let number = new.number(parent)?;
        let key = order::number(parent, new.name())?;
        let name = new.name();
        let mut numbered = self.elements.iter().filter_map(|(_, node)| {
            let is_one = node.tag_name().name() == name && document::namespace_of(*node).is_none();
            let number: u64 = node.attribute(key)?.trim().parse().ok()?;
            is_one.then_some((number, *node))
        });
        let mut all = numbered.clone();
        match numbered.rfind(|(other, _)| *other < number) {
            Some((_, node)) => Some(self.after(node)),
            None => all.next().map(|(_, node)| self.before(node)),
        }
    }

    /// One that has to be the first of its name, before those that are there.
    fn of_leading(&self, parent: &str, new: &New<'_, 'm>) -> Option<usize> {
        let name = new.name();
        let is_one = |node: &Node<'_, '_>| {
            node.tag_name().name() == name && document::namespace_of(*node).is_none()
        };
        let mut there = self.elements.iter().map(|(_, node)| *node);
        let first = there.find(is_one).filter(|_| new.leads(parent))?;
        (!order::is_leading(first)).then(|| self.before(first))
    }

    /// After the last sibling that libvirt writes no later than this one; at the start otherwise.
    fn of_rank(&self, rank: Option<usize>) -> usize {
        let anchor = match rank {
            Some(rank) => self
                .elements
                .iter()
                .rfind(|(other, _)| other.is_some_and(|other| other <= rank)),
            None => self.elements.last(),
        };
        match anchor {
            Some((_, node)) => self.after(*node),
            None if !self.elements.is_empty() => {
                after_trailing_comments(self.text, self.content.start).min(self.content.end)
            }
            // Only comments inside: after them, whatever they say.
            None => self.end_of_others.unwrap_or(self.content.start),
        }
    }

    fn after(&self, node: Node<'m, 'm>) -> usize {
        after_trailing_comments(self.text, node.range().end).min(self.content.end)
    }

    /// Before the line of `node`, or right before it where it shares one.
    fn before(&self, node: Node<'m, 'm>) -> usize {
        let start = node.range().start;
        if !starts_line(self.text, start) {
            return start;
        }
        let line = start - indent_of(self.text, start).map_or(0, str::len);
        let before = self.text.get(..line).unwrap_or_default();
        before
            .strip_suffix("\r\n")
            .or_else(|| before.strip_suffix('\n'))
            .map_or(start, str::len)
            .max(self.content.start)
    }
}

/// Whether `node` says all that `wanted` says; `exactly`: and nothing more, to the letter.
pub(super) fn element_matches(node: Node<'_, '_>, wanted: &Element, exactly: bool) -> bool {
    if !wanted.names(node) {
        return false;
    }
    let same_amount = !exactly && amounts::are_same(node, wanted);
    let is_meant = |attribute: &&super::Attribute| !(same_amount && amounts::is_part(attribute));
    let attributes = wanted.attributes.iter().filter(is_meant).all(|attribute| {
        match (attribute.find(node), &attribute.value) {
            (Some(have), Some(want)) if exactly => have == want,
            (Some(have), Some(want)) => {
                keys::same_attribute(&wanted.name, &attribute.name, have, want)
            }
            (None, None) => true,
            _ => false,
        }
    });
    let text = match &wanted.text {
        Some(text) => {
            (same_amount && amounts::are_same_texts(node, wanted))
                || contents::has_text(node, wanted, text, exactly)
        }
        None => !exactly || document::text_of(node).is_none(),
    };
    if !(attributes && text) {
        return false;
    }
    let have: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    if exactly {
        let wanted_attributes = wanted
            .attributes
            .iter()
            .filter(|one| one.value.is_some())
            .count();
        return wanted_attributes == node.attributes().len()
            && have.len() == wanted.written_children().count()
            && have
                .iter()
                .zip(wanted.written_children())
                .all(|(node, child)| element_matches(*node, child, true));
    }
    wanted
        .written_children()
        .all(|child| have.iter().any(|node| element_matches(*node, child, false)))
}
