//! The text of a patch, and the dots that stand for what is left out.

use roxmltree::Node;

use super::Resolver;
use crate::merge::error::MergeError;
use crate::merge::patch::Element;
use crate::merge::source;

impl Resolver<'_> {
    /// Whether an element that says nothing has dots in it, or in its tag: it says that one may be there.
    pub(super) fn is_only_dots(&self, node: Node<'_, '_>) -> bool {
        let raw = self.raw(node).unwrap_or_default();
        let tag = match node.first_child() {
            Some(first) => raw.get(..first.range().start - node.range().start),
            None => Some(raw),
        };
        let mut texts = node.children().filter(Node::is_text);
        tag.is_some_and(source::has_dots)
            || texts.any(|text| self.raw(text).is_some_and(source::has_dots))
    }

    pub(super) fn text(
        &self,
        element: &mut Element,
        text: &str,
        offset: usize,
    ) -> Result<(), MergeError> {
        let text = source::without_dots(text);
        if text.trim().is_empty() {
            return Ok(());
        }
        let text = self.expand(&text, offset)?;
        element.text = match (element.text.take(), text) {
            (Some(before), Some(text)) => Some(before + &text),
            (before, text) => before.or(text),
        };
        Ok(())
    }

    /// Text between fragments: dots, or a mistake.
    pub(super) fn no_text(&self, node: Node<'_, '_>) -> Result<(), MergeError> {
        match self.text_of(node) {
            Some((offset, shown)) => {
                Err(self.error(offset, format!("text where elements are: '{shown}'")))
            }
            None => Ok(()),
        }
    }

    /// Where the text of a text node begins that is more than dots, and its first line.
    pub(super) fn text_of(&self, node: Node<'_, '_>) -> Option<(usize, String)> {
        node.text()
            .filter(|text| node.is_text() && !text.trim().is_empty())?;
        // As it is written: the parser makes one character of CRLF.
        let raw = node.document().input_text().get(node.range())?;
        let mut at = 0;
        loop {
            let rest = raw.get(at..)?;
            at += rest.find(|c: char| !c.is_whitespace())?;
            let rest = raw.get(at..)?;
            let word = rest.split_whitespace().next()?;
            if !source::is_dots(word) {
                let line = rest.lines().next().unwrap_or_default().trim_end();
                return Some((self.offset(node) + at, line.chars().take(30).collect()));
            }
            at += word.len();
        }
    }

    /// What stands in the patch for a node, with dots in tags.
    fn raw(&self, node: Node<'_, '_>) -> Option<&str> {
        let range = node.range();
        self.patch
            .text
            .get(self.at(range.start)..self.at(range.end))
    }
}
