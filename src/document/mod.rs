//! A domain definition as text and tree at once.
//!
//! The text is never reprinted: a change is an [`Edit`] (byte range → replacement), edits are
//! spliced in by [`Document::splice`], and what no edit touches stays byte for byte. This module
//! knows XML and nothing about libvirt, apart from the name of the root element; what should
//! change is decided in [`crate::merge`].

mod edit;
mod error;
mod input;
pub(crate) mod json;
pub mod qemu;
mod style;
mod write;

use std::cell::OnceCell;
use std::ops::Range;

use roxmltree::Node;

pub use edit::{Edit, Overlap, splice};
pub use error::{DocumentError, Excerpt, Position};
pub use input::{Encoding, Input, InputError};
pub use style::Style;
pub(crate) use style::{after_trailing_comments, indent_of, starts_line, with_line};
pub use write::{escape_attribute, escape_text};

/// Elements below `<domain>` that hold elements and never text.
pub const SECTIONS: [&str; 14] = [
    "os",
    "sysinfo",
    "features",
    "cpu",
    "clock",
    "pm",
    "devices",
    "cputune",
    "numatune",
    "blkiotune",
    "memtune",
    "memoryBacking",
    "vcpus",
    "iothreadids",
];

/// Elements below `<domain>` of which a definition has one.
pub const SINGLETONS: [&str; 14] = [
    "name",
    "uuid",
    "memory",
    "currentMemory",
    "maxMemory",
    "memoryBacking",
    "vcpu",
    "vcpus",
    "cputune",
    "os",
    "features",
    "cpu",
    "clock",
    "devices",
];

/// A parsed definition, borrowed from its text.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    tree: roxmltree::Document<'t>,
    style: OnceCell<Style>,
    /// Where each line begins: a definition may have a problem in every line.
    lines: OnceCell<Vec<usize>>,
}

impl<'t> Document<'t> {
    /// Parses well-formed XML without a DTD, whatever its root is.
    ///
    /// # Errors
    /// The first place where the text is not well-formed, in a user's words.
    pub fn parse(text: &'t str) -> Result<Self, DocumentError> {
        let options = roxmltree::ParsingOptions {
            allow_dtd: false,
            ..Default::default()
        };
        let tree = roxmltree::Document::parse_with_options(text, options)
            .map_err(|error| DocumentError::from_parser(text, &error))?;
        Ok(Document {
            text,
            tree,
            style: OnceCell::new(),
            lines: OnceCell::new(),
        })
    }

    /// Parses a domain definition: as [`Document::parse`], and the root is `<domain>`.
    ///
    /// # Errors
    /// Not well-formed, or another root; a network, a snapshot or a capabilities dump is named.
    pub fn parse_domain(text: &'t str) -> Result<Self, DocumentError> {
        let document = Self::parse(text)?;
        let root = document.root();
        let name = root.tag_name();
        if name.name() != "domain" || namespace_of(root).is_some() {
            return Err(DocumentError::wrong_root(text, root));
        }
        Ok(document)
    }

    /// The text, as given.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The root element.
    pub fn root(&self) -> Node<'_, 't> {
        self.tree.root_element()
    }

    /// The elements at a path of un-namespaced names below the root, e.g. `["os", "loader"]`.
    /// Only the first element of each name on the way is followed, as libvirt does.
    pub fn find(&self, path: &[&str]) -> Option<Node<'_, 't>> {
        path.iter()
            .try_fold(self.root(), |node, name| child(node, name))
    }

    /// An attribute of the element at `path`.
    pub fn attribute(&self, path: &[&str], name: &str) -> Option<&str> {
        self.find(path)?.attribute(name)
    }

    /// The trimmed text of the element at `path`; `None` when it is absent or blank.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.find(path).and_then(text_of)
    }

    /// The devices called `name`.
    pub fn devices<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Node<'a, 't>> + 'a {
        self.find(&["devices"])
            .into_iter()
            .flat_map(move |devices| children(devices, name))
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let starts = || {
            let ends = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends).collect()
        };
        let lines = self.lines.get_or_init(starts);
        let line = lines.partition_point(|start| *start <= offset);
        let start = lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let text = self.text.get(start..).unwrap_or_default();
        Position {
            line,
            ..Position::of(text, offset - start)
        }
    }

    /// How this document writes indentation, line ends and quotes.
    pub fn style(&self) -> &Style {
        self.style.get_or_init(|| Style::of(self.text, self.root()))
    }

    /// The text with `edits` applied.
    ///
    /// # Errors
    /// Two edits that overlap: a bug in whoever made them, never resolved in silence.
    pub fn splice(&self, edits: Vec<Edit>) -> Result<String, Overlap> {
        splice(self.text, edits)
    }

    /// The first singleton below the root that stands there twice. libvirt takes the first of
    /// some and merges others, and only `--validate` objects; a change to one of two is a guess.
    pub fn duplicate(&self) -> Option<DocumentError> {
        let mut seen: [Option<Node<'_, '_>>; SINGLETONS.len()] = [None; SINGLETONS.len()];
        for element in self.root().children().filter(Node::is_element) {
            let name = element.tag_name();
            let index = SINGLETONS.iter().position(|one| *one == name.name());
            let Some(slot) = index.and_then(|index| seen.get_mut(index)) else {
                continue;
            };
            match slot {
                Some(first) if namespace_of(element).is_none() => {
                    return Some(DocumentError::duplicate(self.text, *first, element));
                }
                _ => *slot = Some(element),
            }
        }
        None
    }
}

/// The namespace of an element; `xmlns=''` means none.
pub fn namespace_of<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.tag_name().namespace().filter(|uri| !uri.is_empty())
}

/// The first child element of `node` with this un-namespaced name.
pub fn child<'a, 't>(node: Node<'a, 't>, name: &str) -> Option<Node<'a, 't>> {
    node.children()
        .find(|child| child.tag_name().name() == name && namespace_of(*child).is_none())
}

/// The child elements of `node` with this un-namespaced name.
pub fn children<'a, 't: 'a>(
    node: Node<'a, 't>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 't>> + 'a {
    node.children().filter(move |child| {
        child.is_element() && child.tag_name().name() == name && namespace_of(*child).is_none()
    })
}

/// The name of the element around this one; empty for the root.
pub fn parent_name<'a>(node: Node<'a, '_>) -> &'a str {
    node.parent_element()
        .map_or("", |parent| parent.tag_name().name())
}

/// The trimmed text of an element, comments before and after it left out. `None` when it has no
/// text, or a comment cuts the text in two: then it is nothing a decision should be built on.
pub fn text_of<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let mut pieces = node
        .children()
        .filter(Node::is_text)
        .filter_map(|piece| piece.text().map(str::trim))
        .filter(|piece| !piece.is_empty());
    let text = pieces.next()?;
    pieces.next().is_none().then_some(text)
}

/// Where the parts of an element lie in the text. The parser's own ranges for attributes give up
/// on unusual white space (more than 255 spaces around `=`), so the tag is read again here: it
/// is known to be well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The start tag, from `<` to after `>` or `/>`.
    pub start_tag: Range<usize>,
    /// The qualified name in the start tag.
    pub name: Range<usize>,
    /// Every attribute and namespace declaration, in order.
    pub attributes: Vec<AttributeParts>,
    /// Between the tags; `None` for `<empty/>`.
    pub content: Option<Range<usize>>,
}

/// Where one attribute lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeParts {
    /// The qualified name.
    pub name: Range<usize>,
    /// The raw value, without its quotes.
    pub value: Range<usize>,
    /// From the white space before the name to after the closing quote: what goes when it goes.
    pub with_space: Range<usize>,
}

impl Parts {
    /// Reads the tags of `element` again.
    pub fn of(text: &str, element: Node<'_, '_>) -> Parts {
        let bytes = text.as_bytes();
        let whole = element.range();
        let at = |offset: usize| bytes.get(offset).copied().unwrap_or(b'>');
        let is_name = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'>' | b'=');
        let skip = |mut offset: usize, want: &dyn Fn(u8) -> bool| {
            while offset < whole.end && want(at(offset)) {
                offset += 1;
            }
            offset
        };
        let space = |byte: u8| byte.is_ascii_whitespace();

        let name = whole.start + 1..skip(whole.start + 1, &is_name);
        let mut attributes = Vec::new();
        let mut offset = name.end;
        loop {
            let before = offset;
            offset = skip(offset, &space);
            if offset >= whole.end || matches!(at(offset), b'/' | b'>') {
                break;
            }
            let attribute = offset..skip(offset, &is_name);
            let quote_at = skip(attribute.end, &|byte| space(byte) || byte == b'=');
            let quote = at(quote_at);
            let value_end = skip(quote_at + 1, &|byte| byte != quote);
            offset = value_end + 1;
            attributes.push(AttributeParts {
                name: attribute,
                value: quote_at + 1..value_end,
                with_space: before..offset,
            });
        }
        let empty = at(offset) == b'/';
        let start_tag = whole.start..offset + if empty { 2 } else { 1 };
        let content = (!empty).then(|| {
            // `</name  >`: the last `<` of the element opens its end tag.
            let end = text
                .get(whole.clone())
                .and_then(|element| element.rfind("</"))
                .map_or(whole.end, |end| whole.start + end);
            start_tag.end..end
        });
        Parts {
            start_tag,
            name,
            attributes,
            content,
        }
    }

    /// The attribute with this qualified name.
    pub fn attribute(&self, text: &str, name: &str) -> Option<&AttributeParts> {
        self.attributes
            .iter()
            .find(|attribute| text.get(attribute.name.clone()) == Some(name))
    }

    /// Where a further attribute goes: after the last one, or after the name.
    pub fn end_of_attributes(&self) -> usize {
        self.attributes
            .last()
            .map_or(self.name.end, |last| last.with_space.end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn comments_are_no_text_and_none_is_half_a_text() {
        for (inside, text) in [
            ("6", Some("6")),
            (" <!-- was 8 -->\n 6 <?x?> ", Some("6")),
            ("<![CDATA[ 6 ]]>", Some("6")),
            ("<!-- 6 -->", None),
            ("1<!-- -->6", None),
        ] {
            let xml = format!("<domain><vcpu>{inside}</vcpu></domain>");
            let document = Document::parse_domain(&xml).unwrap();
            assert_eq!(document.text_at(&["vcpu"]), text, "{inside}");
        }
    }
}
