//! What is wrong with a text, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use roxmltree::Node;

use super::qemu;

/// A place in a text, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    /// The place of a byte offset (or of the end, when it lies beyond).
    pub fn of(text: &str, offset: usize) -> Position {
        let (before, _) = split(text, offset);
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1,
            column: before.get(line..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// The text up to a byte offset, at the nearest character before it, and the rest.
fn split(text: &str, offset: usize) -> (&str, &str) {
    let end = (0..=offset.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.split_at(end.unwrap_or(0))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The line an error speaks of, for showing it with a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Where.
    pub position: Position,
    /// The whole line, without its end.
    pub line: String,
}

impl Excerpt {
    /// The line around a byte offset.
    pub fn of(text: &str, offset: usize) -> Excerpt {
        let (before, rest) = split(text, offset);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = rest.find('\n').map_or(text.len(), |end| before.len() + end);
        let line = text.get(start..end).unwrap_or_default();
        Excerpt {
            position: Position::of(text, offset),
            line: line.trim_end_matches('\r').to_owned(),
        }
    }
}

/// A definition that cannot be read: not well-formed, or not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    /// The failure, in lower case.
    pub message: String,
    /// The next step, where it is known.
    pub help: Option<String>,
    /// The place.
    pub excerpt: Excerpt,
}

impl DocumentError {
    fn new(text: &str, offset: usize, message: impl Into<String>, help: Option<&str>) -> Self {
        DocumentError {
            message: message.into(),
            help: help.map(str::to_owned),
            excerpt: Excerpt::of(text, offset),
        }
    }

    /// A parser's error in the words of someone who wrote XML by hand.
    pub(super) fn from_parser(text: &str, error: &roxmltree::Error) -> DocumentError {
        use roxmltree::Error as E;
        let pos = error.pos();
        let offset = offset_of(text, pos.row, pos.col);
        let plain = |message: &str| Self::new(text, offset, message, None);
        let helped = |message: &str, help: &str| Self::new(text, offset, message, Some(help));
        let doctype = |offset| {
            let message = "it has a document type declaration (<!DOCTYPE …>), which is refused";
            Self::new(text, offset, message, Some("remove it; libvirt needs none"))
        };
        if let Some(error) = not_from_the_start(text) {
            return error;
        }
        if let E::InvalidChar(..) | E::InvalidChar2(..) | E::InvalidAttributeValue(_) = error
            && let Some((offset, quote)) = typographic_quote(text, offset)
        {
            return Self::new(
                text,
                offset,
                format!("a typographic quote, {quote}, around the value of an attribute"),
                Some("write ' or \" instead"),
            );
        }
        match error {
            E::UnknownNamespace(prefix, _)
                if prefix == "qemu" || text.contains(&format!("<{prefix}:commandline")) =>
            {
                helped(
                    &format!(
                        "the prefix '{prefix}' is not declared; libvirt drops such a block without a word"
                    ),
                    &format!("write <domain … xmlns:{prefix}='{}'>", qemu::NAMESPACE),
                )
            }
            E::UnknownNamespace(prefix, _) => helped(
                &format!("the prefix '{prefix}' is not declared"),
                &format!("add xmlns:{prefix}='…' to the element or to <domain>"),
            ),
            E::UnexpectedCloseTag(expected, actual, _) => plain(&format!(
                "</{actual}> ends an element that <{expected}> began"
            )),
            E::DuplicatedAttribute(name, _) => plain(&format!(
                "the attribute '{name}' stands twice in one element"
            )),
            E::DuplicatedNamespace(name, _) => plain(&format!(
                "the namespace prefix '{name}' is declared twice in one element"
            )),
            E::UnknownEntityReference(name, _) => helped(
                &format!("the entity '&{name};' is not defined"),
                "a domain definition knows &amp; &lt; &gt; &quot; &apos; and &#…; only",
            ),
            E::MalformedEntityReference(_) => helped(
                "a '&' that begins no entity, or one for a character that XML does not have",
                "write &amp; for a literal '&'; control characters have no place in a definition",
            ),
            E::EntityReferenceLoop(_) | E::UnexpectedEntityCloseTag(_) => {
                plain("entities that refer to entities are refused")
            }
            E::InvalidAttributeValue(_) => helped(
                "a '<' inside an attribute value",
                "write &lt;, or close the quote before it",
            ),
            E::DtdDetected => doctype(text.find("<!DOCTYPE").unwrap_or(offset)),
            // In the pieces of a patch one is no declaration any more.
            E::UnknownToken(_) if starts_with(text, offset, "<!DOCTYPE") => doctype(offset),
            E::NoRootNode => plain("there is no element in it"),
            E::UnclosedRootNode => {
                Self::new(text, text.len(), "it ends before <domain> is closed", None)
            }
            E::UnexpectedEndOfStream => Self::new(
                text,
                text.len(),
                "it ends in the middle of an element",
                None,
            ),
            E::UnexpectedDeclaration(_) => helped(
                "an XML declaration that is not at the very start",
                "remove what stands before '<?xml'",
            ),
            E::NonXmlChar(c, _) => plain(&format!(
                "the character U+{:04X} is not allowed in XML",
                u32::from(*c)
            )),
            E::InvalidName(_) => plain("an invalid name"),
            E::UnknownToken(_) if second_root(text, offset) => helped(
                "a second root element",
                "one definition at a time: give them as separate files. virt-install prints one for each step of an installation; --print-xml 2 prints the installed machine alone",
            ),
            E::UnknownToken(_) if is_after_the_root(text, offset) => helped(
                "text after </domain>",
                "a definition ends there; take out what follows",
            ),
            E::UnknownToken(_)
                if text
                    .get(offset..)
                    .is_some_and(|rest| !rest.starts_with('<')) =>
            {
                helped("text before <domain>", "take it out")
            }
            E::InvalidChar(b'\'' | b'"', b'<', _) => helped(
                "a '<' in the value of an attribute",
                "write &lt; there; or the quote at the end of the value is missing",
            ),
            E::InvalidComment(_) => helped(
                "a comment with '--' in it, or with '-' at its end",
                "XML allows neither inside a comment",
            ),
            E::InvalidCharacterData(_) => helped(
                "']]>' in a text",
                "write ]]&gt; where it does not end a CDATA section",
            ),
            other => plain(&lower(&without_position(&other.to_string()))),
        }
    }

    pub(super) fn wrong_root(text: &str, root: Node<'_, '_>) -> DocumentError {
        let name = root.tag_name().name();
        let help = match name {
            "domain" => "a domain's root has no namespace: write <domain type='kvm'>",
            "domainsnapshot" | "domaincheckpoint" | "domstatus" => {
                "give the <domain> inside it, or 'virsh dumpxml --inactive DOMAIN'"
            }
            "network" | "pool" | "volume" | "interface" | "nwfilter" | "secret" | "nodedev"
            | "device" => "virt-patch works on domains: 'virsh dumpxml --inactive DOMAIN'",
            "domainCapabilities" | "capabilities" => {
                "these are the host's capabilities; a definition comes from 'virsh dumpxml --inactive DOMAIN'"
            }
            _ => "a definition comes from 'virsh dumpxml --inactive DOMAIN'",
        };
        Self::new(
            text,
            root.range().start,
            match super::namespace_of(root) {
                Some(namespace) => format!(
                    "the root is <{name}> in the namespace '{namespace}', not a libvirt <domain>"
                ),
                None => format!("the root is <{name}>, not <domain>"),
            },
            Some(help),
        )
    }

    pub(super) fn duplicate(
        text: &str,
        first: Node<'_, '_>,
        second: Node<'_, '_>,
    ) -> DocumentError {
        let name = second.tag_name().name();
        let line = Position::of(text, first.range().start).line;
        Self::new(
            text,
            second.range().start,
            format!("a second <{name}>; the first is in line {line}"),
            Some("keep one of them: libvirt would take what it likes"),
        )
    }
}

/// Something in front of the first `<`: the usual cause is a whole terminal copied into a file.
fn not_from_the_start(text: &str) -> Option<DocumentError> {
    let body = text.trim_start_matches('\u{feff}');
    let trimmed = body.trim_start();
    let offset = text.len() - trimmed.len();
    if trimmed.is_empty() {
        return Some(DocumentError::new(text, 0, "it is empty", None));
    }
    if trimmed.starts_with('<') {
        return None;
    }
    let help = match text.find("<domain") {
        Some(domain) => format!(
            "remove what stands before <domain> in line {}",
            Position::of(text, domain).line
        ),
        None => "a definition comes from 'virsh dumpxml --inactive DOMAIN'".to_owned(),
    };
    Some(DocumentError::new(
        text,
        offset,
        "it is not XML: it does not begin with '<'",
        Some(&help),
    ))
}

/// The first quote of a word processor or wiki that stands for one of XML's in the tag that is wrong at
/// `offset`: behind `=`, or at the end of a value.
fn typographic_quote(text: &str, offset: usize) -> Option<(usize, char)> {
    let start = text.get(..offset)?.rfind('<')?;
    let tag = text.get(start..)?.char_indices().skip(1);
    tag.take_while(|(_, c)| *c != '<')
        .map(|(at, c)| (start + at, c))
        .filter(|(_, c)| {
            matches!(
                c,
                '\u{2018}'..='\u{201f}' | '\u{2032}' | '\u{2033}' | '«' | '»'
            )
        })
        .find(|(at, c)| {
            let before = text.get(..*at).unwrap_or_default().trim_end();
            let behind = text.get(at + c.len_utf8()..).unwrap_or_default();
            before.ends_with('=')
                || behind
                    .starts_with(|next: char| next.is_whitespace() || matches!(next, '/' | '>'))
        })
}

/// Whether the parser stopped at an element after the root.
fn second_root(text: &str, offset: usize) -> bool {
    let rest = text.get(offset..).unwrap_or_default();
    let name = rest.strip_prefix('<').unwrap_or_default();
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Text where only comments and instructions may stand.
fn is_after_the_root(text: &str, offset: usize) -> bool {
    let (before, rest) = text.split_at_checked(offset).unwrap_or((text, ""));
    let has_element = before.contains("</") || before.contains("/>");
    has_element && !rest.trim_start().starts_with('<')
}

/// The byte offset of the parser's row and column (which counts characters).
fn starts_with(text: &str, offset: usize, what: &str) -> bool {
    text.get(offset..)
        .is_some_and(|rest| rest.starts_with(what))
}

fn offset_of(text: &str, row: u32, col: u32) -> usize {
    let line: Range<usize> = {
        let mut start = 0;
        for _ in 1..row {
            match text.get(start..).and_then(|rest| rest.find('\n')) {
                Some(newline) => start += newline + 1,
                None => break,
            }
        }
        start..text.len()
    };
    let rest = text.get(line.clone()).unwrap_or_default();
    let column = (col as usize).saturating_sub(1);
    line.start
        + rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(at, _)| at)
}

fn without_position(message: &str) -> String {
    match message.rfind(" at ") {
        Some(at) if message.get(at + 4..).is_some_and(|rest| rest.contains(':')) => {
            message.get(..at).unwrap_or(message).to_owned()
        }
        _ => message.to_owned(),
    }
}

fn lower(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
