//! The text of a patch as people have it: a partial `<domain>`, or the fragments a wiki shows,
//! with dots for what is left out.
//!
//! Whatever is done to make a text readable keeps every byte where it was, so that messages name
//! the place in the text the user has before him.

use std::borrow::Cow;

use memchr::{memchr2, memmem};

use super::patch::DIRECTIVES;
use crate::document::{Document, DocumentError, Excerpt, qemu};

/// A name nobody gives to an element of a patch.
const WRAPPER: &str = "virt-patch";

/// A text that can be parsed, and how far its bytes have moved.
pub(super) struct Source<'p> {
    original: &'p str,
    text: Cow<'p, str>,
    /// Bytes before the original text.
    pub(super) shift: usize,
}

impl<'p> Source<'p> {
    /// A text that has a `<domain>` as root, taken as it is.
    pub(super) fn whole(original: &'p str) -> Option<Source<'p>> {
        let text = without_dots_in_tags(original);
        (first_element(&text) == Some("domain")).then_some(Source {
            original,
            text,
            shift: 0,
        })
    }

    /// Anything else, put into an element that declares the prefixes snippets use without declaring
    /// them.
    pub(super) fn wrapped(original: &'p str) -> Source<'p> {
        let text = without_dots_in_tags(original);
        let start = format!(
            "<{WRAPPER} xmlns:qemu='{}' xmlns:patch='{DIRECTIVES}'>",
            qemu::NAMESPACE
        );
        let body = without_declaration(&text);
        Source {
            original,
            shift: start.len(),
            text: Cow::Owned(format!("{start}{body}</{WRAPPER}>")),
        }
    }

    /// The tree of a whole `<domain>`, where it is one and can be parsed without help.
    pub(super) fn parse_whole(&self) -> Option<Document<'_>> {
        Document::parse(&self.text).ok()
    }

    /// The tree. Its root is the `<domain>`, or an element around whatever stands in the text.
    ///
    /// # Errors
    /// Not well-formed, or nothing in it.
    pub(super) fn parse(&self) -> Result<Document<'_>, DocumentError> {
        let document = Document::parse(&self.text).map_err(|error| self.explain(error))?;
        if self.is_wrapped() && !document.root().children().any(|node| node.is_element()) {
            let trimmed = self.original.trim();
            return Err(DocumentError {
                message: match trimmed.is_empty() {
                    true => "the patch is empty".to_owned(),
                    false => "there is no element in the patch".to_owned(),
                },
                help: Some("a patch is a partial <domain>, or an element of one".to_owned()),
                excerpt: Excerpt::of(self.original, 0),
            });
        }
        Ok(document)
    }

    /// Whether the root is not the patch's own.
    pub(super) fn is_wrapped(&self) -> bool {
        self.shift > 0
    }

    /// A parser's error in terms of the original text.
    fn explain(&self, error: DocumentError) -> DocumentError {
        // A whole <domain> is better explained without the element around it, unless what is
        // wrong there is only that it needs one.
        if first_element(self.original) == Some("domain")
            && let Err(error) = Document::parse(&without_dots_in_tags(self.original))
            && !error.message.starts_with("the prefix 'qemu'")
            && !error.message.starts_with("the prefix 'patch'")
        {
            return error;
        }
        let mut position = error.excerpt.position;
        if position.line == 1 {
            position.column = position.column.saturating_sub(self.shift).max(1);
        }
        let line = self
            .original
            .split('\n')
            .nth(position.line - 1)
            .unwrap_or_default()
            .trim_end_matches('\r');
        position.column = position.column.min(line.chars().count() + 1);
        let message = error.message;
        let message = if let Some(open) = message
            .strip_prefix(&format!("</{WRAPPER}> ends an element that <"))
            .and_then(|rest| rest.strip_suffix("> began"))
        {
            format!("it ends before <{open}> is closed")
        } else if let Some(closed) =
            message.strip_suffix(&format!(" ends an element that <{WRAPPER}> began"))
        {
            format!("{closed} closes nothing")
        } else {
            message
        };
        DocumentError {
            message,
            help: error.help,
            excerpt: Excerpt {
                position,
                line: line.to_owned(),
            },
        }
    }
}

/// What is left of a text when the dots that stand for "and so on" are taken out: `...`, `…` and
/// either of them in brackets. Nothing else may stand between elements.
pub(super) fn without_dots(text: &str) -> Cow<'_, str> {
    if !has_dots(text) {
        return Cow::Borrowed(text);
    }
    let kept: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !is_dots(word))
        .collect();
    match kept.is_empty() {
        true => Cow::Borrowed(""),
        false => Cow::Borrowed(text),
    }
}

pub(super) fn has_dots(text: &str) -> bool {
    let has = |dots: &str| memmem::find(text.as_bytes(), dots.as_bytes()).is_some();
    // The first byte of either, of which short texts have none.
    memchr2(b'.', 0xe2, text.as_bytes()).is_some() && (has("...") || has("…"))
}

/// `...`, `…`, `[...]`, `(…)`.
pub(crate) fn is_dots(word: &str) -> bool {
    let inner = word
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .or_else(|| {
            word.strip_prefix('(')
                .and_then(|inner| inner.strip_suffix(')'))
        })
        .unwrap_or(word);
    inner == "…" || (inner.len() >= 3 && inner.bytes().all(|byte| byte == b'.'))
}

/// `<disk type='file' ...>` with spaces for the dots.
fn without_dots_in_tags(text: &str) -> Cow<'_, str> {
    if !has_dots(text) {
        return Cow::Borrowed(text);
    }
    let mut out = text.to_owned();
    for tag in tags(text) {
        let Some(inside) = text.get(tag.clone()) else {
            continue;
        };
        let mut quote = None;
        let mut word_start = None;
        let end = inside.char_indices().chain([(inside.len(), ' ')]);
        for (at, c) in end {
            let is_part = quote.is_none() && !c.is_whitespace() && !matches!(c, '<' | '/' | '>');
            match (is_part, word_start) {
                (true, None) => word_start = Some(at),
                (false, Some(start)) => {
                    if inside.get(start..at).is_some_and(is_dots) {
                        let range = tag.start + start..tag.start + at;
                        out.replace_range(range.clone(), &" ".repeat(range.len()));
                    }
                    word_start = None;
                }
                _ => {}
            }
            match quote {
                None if matches!(c, '\'' | '"') => quote = Some(c),
                Some(open) if open == c => quote = None,
                _ => {}
            }
        }
    }
    Cow::Owned(out)
}

/// The start tags of a text that need not be well-formed.
fn tags(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next_tag(text, at)?;
        at = start + length_of_tag(text.get(start..)?);
        Some(start..at)
    })
}

/// Where the next tag begins, comments and the like passed over.
fn next_tag(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let start = at + text.get(at..)?.find('<')?;
        let rest = text.get(start..)?;
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")]
            .into_iter()
            .find(|(begin, _)| rest.starts_with(begin));
        let Some((_, end)) = skipped else {
            return Some(start);
        };
        let found = memmem::find(rest.as_bytes(), end.as_bytes());
        at = start + found.map_or(rest.len(), |found| found + end.len());
    }
}

/// The bytes up to and with the `>` that is in no quotes.
fn length_of_tag(text: &str) -> usize {
    let mut quote = None;
    let end = text.char_indices().find(|(_, c)| match quote {
        None if matches!(c, '\'' | '"') => {
            quote = Some(*c);
            false
        }
        Some(open) if open == *c => {
            quote = None;
            false
        }
        None => *c == '>',
        Some(_) => false,
    });
    end.map_or(text.len(), |(end, _)| end + 1)
}

/// The name of the first element.
fn first_element(text: &str) -> Option<&str> {
    let name = text.get(next_tag(text, 0)? + 1..)?;
    name.split(|c: char| c.is_whitespace() || matches!(c, '/' | '>'))
        .next()
}

/// An XML declaration may stand at the very start only, which is not where the text will stand.
fn without_declaration(text: &str) -> Cow<'_, str> {
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let declaration = text
        .get(mark..)
        .filter(|rest| rest.starts_with("<?xml "))
        .and_then(|rest| rest.find("?>"));
    let blank = match declaration {
        Some(end) => mark + end + 2,
        None => mark,
    };
    if blank == 0 {
        return Cow::Borrowed(text);
    }
    let rest = text.get(blank..).unwrap_or_default();
    Cow::Owned(format!("{}{rest}", " ".repeat(blank)))
}
