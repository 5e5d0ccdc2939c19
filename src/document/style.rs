//! How a document writes white space and quotes, so that new elements look like the old ones.

use std::ops::Range;

use roxmltree::Node;

/// The habits of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// `\n` or `\r\n`: what ends the first line; `\n` for a document of one line.
    pub newline: &'static str,
    /// One level of indentation; two spaces where the document shows none.
    pub indent: String,
    /// The quote around attribute values: the one of the first attribute.
    pub quote: char,
}

impl Style {
    /// Reads the habits of a document from its root, the root's first children and first attribute.
    pub fn of(text: &str, root: Node<'_, '_>) -> Style {
        let newline = match text.find('\n') {
            Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
            _ => "\n",
        };
        let own = indent_of(text, root.range().start).unwrap_or_default();
        let indent = root
            .children()
            .filter(Node::is_element)
            .find_map(|child| indent_of(text, child.range().start))
            .map(|indent| indent.strip_prefix(own).unwrap_or(indent).to_owned())
            .unwrap_or_else(|| "  ".to_owned());
        Style {
            newline,
            indent,
            quote: first_quote(text, root).unwrap_or('\''),
        }
    }
}

/// The white space before `offset` on its line; `None` when something else stands there too.
pub(crate) fn indent_of(text: &str, offset: usize) -> Option<&str> {
    let before = text.get(..offset)?;
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let indent = before.get(line..)?;
    indent
        .bytes()
        .all(|byte| matches!(byte, b' ' | b'\t'))
        .then_some(indent)
}

/// Whether a line begins at `offset`, counting white space before it, and is not the first one.
pub(crate) fn starts_line(text: &str, offset: usize) -> bool {
    indent_of(text, offset).is_some_and(|indent| offset > indent.len())
}

/// `offset` moved past comments that end the same line: they speak of what stands before them.
pub(crate) fn after_trailing_comments(text: &str, mut offset: usize) -> usize {
    while let Some(rest) = text.get(offset..) {
        let body = rest.trim_start_matches([' ', '\t']);
        let Some(length) = body.strip_prefix("<!--").and_then(|body| body.find("-->")) else {
            break;
        };
        let end = offset + (rest.len() - body.len()) + 4 + length + 3;
        let after = text
            .get(end..)
            .unwrap_or_default()
            .trim_start_matches([' ', '\t']);
        let ends_line = after.is_empty() || after.starts_with(['\n', '\r']);
        if !(ends_line || after.starts_with("<!--")) {
            break;
        }
        offset = end;
    }
    offset
}

/// `range` with the rest of its line, when it has its line (or lines) to itself: from the `\n`
/// before it to the one after it, so that removing it leaves no blank line behind, and the line
/// before keeps its own line end also where those of a document are mixed.
pub(crate) fn with_line(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(indent) = indent_of(text, range.start) else {
        return range;
    };
    let after = text.get(range.end..).unwrap_or_default();
    let rest = after.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix('\r').unwrap_or(rest);
    let line = range.start - indent.len();
    match line.checked_sub(1) {
        Some(start) if rest.starts_with('\n') => start..range.end + (after.len() - rest.len()),
        _ => range,
    }
}

fn first_quote(text: &str, root: Node<'_, '_>) -> Option<char> {
    let with_attribute = root
        .descendants()
        .find(|node| node.is_element() && node.attributes().len() > 0)?;
    let attribute = with_attribute.attributes().next()?;
    text.get(attribute.range())?.chars().last()
}
