//! Attributes and text of an element that is there.

use std::ops::Range;

use roxmltree::Node;

use super::{Attribute, Element, MergeError, Merger, amounts, keys};
use crate::document::{
    self, AttributeParts, Edit, Parts, escape_attribute, escape_text, parent_name,
};

impl<'m> Merger<'m> {
    pub(super) fn attributes(
        &mut self,
        target: Node<'m, 'm>,
        wanted: &Element,
    ) -> Result<(), MergeError> {
        let differs = |attribute: &Attribute| match (attribute.find(target), &attribute.value) {
            (None, None) => false,
            (Some(have), Some(want)) => {
                !keys::same_attribute(&wanted.name, &attribute.name, have, want)
            }
            _ => true,
        };
        let unit = amounts::unit_to_follow(target, wanted);
        let same = amounts::are_same(target, wanted);
        let is_meant = |attribute: &&Attribute| !(same && amounts::is_part(attribute));
        let all = || wanted.attributes.iter().chain(&unit).filter(is_meant);
        if !all().any(differs) {
            return Ok(());
        }
        let parts = Parts::of(self.text, target);
        let mut added = String::new();
        for attribute in all().filter(|attribute| differs(attribute)) {
            let name = self.attribute_name(target, wanted, attribute)?;
            match (parts.attribute(self.text, &name), &attribute.value) {
                (Some(there), Some(value)) => {
                    let quote = self.quote_of(there);
                    self.edits.push(Edit::replace(
                        there.value.clone(),
                        escape_attribute(value, quote),
                    ));
                }
                (Some(there), None) => self.edits.push(Edit::delete(there.with_space.clone())),
                (None, Some(value)) => {
                    let quote = parts
                        .attributes
                        .last()
                        .map_or(self.document.style().quote, |last| self.quote_of(last));
                    let value = escape_attribute(value, quote);
                    added.push_str(&format!(" {name}={quote}{value}{quote}"));
                }
                (None, None) => {}
            }
        }
        if !added.is_empty() {
            self.edits
                .push(Edit::insert(parts.end_of_attributes(), added));
        }
        Ok(())
    }

    fn attribute_name(
        &self,
        target: Node<'_, '_>,
        wanted: &Element,
        attribute: &Attribute,
    ) -> Result<String, MergeError> {
        let Some(uri) = &attribute.namespace else {
            return Ok(attribute.name.clone());
        };
        if uri == "http://www.w3.org/XML/1998/namespace" {
            return Ok(format!("xml:{}", attribute.name));
        }
        match attribute_prefix(target, uri) {
            Some(prefix) => Ok(format!("{prefix}:{}", attribute.name)),
            _ => Err(self
                .error(
                    wanted,
                    format!(
                        "the namespace '{uri}' of the attribute '{}' has no prefix there",
                        attribute.name
                    ),
                )
                .at(self.document.position(target.range().start))),
        }
    }

    pub(super) fn quote_of(&self, attribute: &AttributeParts) -> char {
        match self.text.as_bytes().get(attribute.value.end) {
            Some(b'"') => '"',
            _ => '\'',
        }
    }

    /// Sets the text of an element without elements in it. Comments inside stay, and so does the
    /// white space around the old text.
    pub(super) fn set_text(
        &mut self,
        target: Node<'m, 'm>,
        wanted: &Element,
        text: &str,
    ) -> Result<(), MergeError> {
        let around = parent_name(target);
        if amounts::are_same_texts(target, wanted) {
            return Ok(());
        }
        if keys::same_text(
            &wanted.name,
            trimmed(around, &wanted.name, &whole_text(target)),
            text,
        ) {
            return Ok(());
        }
        if let Some(element) = target.children().find(Node::is_element) {
            let message = format!(
                "the patch has text for <{}>, which holds <{}>",
                wanted.name,
                element.tag_name().name()
            );
            return Err(self
                .error(wanted, message)
                .at(self.document.position(target.range().start)));
        }
        let parts = Parts::of(self.text, target);
        let new = self.text_in_lines(text);
        let Some(content) = parts.content.clone() else {
            let name = self.text.get(parts.name.clone()).unwrap_or_default();
            self.edits.push(Edit::replace(
                parts.end_of_attributes()..parts.start_tag.end,
                format!(">{new}</{name}>"),
            ));
            return Ok(());
        };
        let whole = keeps_blanks(around, &wanted.name);
        let mut pieces = self.text_pieces(target, content.clone(), whole);
        match pieces.next() {
            Some(first) => self.edits.push(Edit::replace(first, new)),
            None => self.edits.push(Edit::replace(content, new)),
        }
        self.edits.extend(pieces.map(Edit::delete));
        Ok(())
    }

    /// The text as it is written here, in lines that end as the document's do.
    pub(super) fn text_in_lines(&self, text: &str) -> String {
        escape_text(text).replace('\n', self.document.style().newline)
    }

    /// The stretches of `content` between comments and instructions: trimmed and not blank, or `whole`.
    fn text_pieces(
        &self,
        target: Node<'m, 'm>,
        content: Range<usize>,
        whole: bool,
    ) -> std::vec::IntoIter<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = content.start;
        let others = target
            .children()
            .filter(|node| node.is_comment() || node.is_pi())
            .map(|node| node.range());
        for gap in others.chain(std::iter::once(content.end..content.end)) {
            let piece = self.text.get(start..gap.start).unwrap_or_default();
            let trimmed = piece.trim();
            if whole && !piece.is_empty() {
                pieces.push(start..gap.start);
            } else if !trimmed.is_empty() {
                let from = start + (piece.len() - piece.trim_start().len());
                pieces.push(from..from + trimmed.len());
            }
            start = gap.end;
        }
        pieces.into_iter()
    }
}

/// All text of an element, comments left out.
fn whole_text(node: Node<'_, '_>) -> String {
    let texts = node.children().filter(Node::is_text);
    texts.filter_map(|text| text.text()).collect()
}

/// Whether blanks around the text are a part of it, which the guest sees (libvirt 9.0, measured).
fn keeps_blanks(parent: &str, name: &str) -> bool {
    parent == "disk" && matches!(name, "serial" | "vendor" | "product")
}

/// The text of an element without what is layout. A line break is always: libvirt refuses it where it
/// keeps blanks.
pub(super) fn trimmed<'t>(parent: &str, name: &str, text: &'t str) -> &'t str {
    match keeps_blanks(parent, name) && !text.contains('\n') {
        true => text,
        false => text.trim(),
    }
}

/// Whether an element has the text that one of a patch has; `exactly`: to the letter.
pub(super) fn has_text(node: Node<'_, '_>, wanted: &Element, text: &str, exactly: bool) -> bool {
    let around = parent_name(node);
    if keeps_blanks(around, &wanted.name) {
        return trimmed(around, &wanted.name, &whole_text(node)) == text;
    }
    document::text_of(node).is_some_and(|have| match exactly {
        true => have == text,
        false => keys::same_text(&wanted.name, have, text),
    })
}

/// A prefix that stands for `uri` at `node`; the default namespace is not one for attributes.
fn attribute_prefix<'a>(node: Node<'a, '_>, uri: &str) -> Option<&'a str> {
    node.namespaces()
        .filter(|namespace| namespace.uri() == uri)
        .find_map(|namespace| namespace.name())
}
