//! Secrets in text that is not well-formed: by what it looks like, without structure.

use std::ops::Range;

use super::{arg, within};

/// What looks like the value of a `passwd` attribute, the text of a `<cookie>` or a secret in some
/// `value` attribute. Not sorted; may overlap.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let landmarks = Landmarks::new(text);
    let mut found: Vec<Range<usize>> = landmarks.values("passwd").collect();
    let mut covered = 0;
    for value in landmarks.values("value") {
        // A value inside a value: the quotes are in disorder. Both readings count, within reason.
        if value.start >= covered || value.len() < NESTED {
            let inner = arg::secrets(text.get(value.clone()).unwrap_or_default());
            found.extend(within(&value, inner));
        }
        covered = covered.max(value.end);
    }
    found.extend(landmarks.cookies());
    found
}

/// How long a value inside a value may be (in bytes), so that thousands of them stay affordable.
const NESTED: usize = 4096;

/// A text and where things are in it, so that a search from anywhere costs next to nothing.
struct Landmarks<'t> {
    text: &'t str,
    line_ends: Vec<usize>,
    tags: Vec<usize>,
    /// Quotes that an attribute can end with: followed by a blank, the tag's end or nothing.
    apostrophes: Vec<usize>,
    quotes: Vec<usize>,
    tag_ends: Vec<usize>,
    cookie_ends: Vec<usize>,
}

impl<'t> Landmarks<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let closes = |&at: &usize| match bytes.get(at + 1) {
            Some(next) => next.is_ascii_whitespace() || matches!(next, b'/' | b'>' | b'?'),
            None => true,
        };
        let all = |c: char| text.match_indices(c).map(|(at, _)| at);
        let ends_cookie = |&at: &usize| {
            let name = text[at..].strip_prefix("</").unwrap_or_default();
            let name = name
                .split(|c| !in_name(c) && c != ':')
                .next()
                .unwrap_or_default();
            name.rsplit(':')
                .next()
                .is_some_and(|name| name.starts_with("cookie"))
        };
        Self {
            text,
            line_ends: text.match_indices(['\n', '\r']).map(|(at, _)| at).collect(),
            tags: all('<').collect(),
            apostrophes: all('\'').filter(closes).collect(),
            quotes: all('"').filter(closes).collect(),
            tag_ends: all('>').collect(),
            cookie_ends: all('<').filter(ends_cookie).collect(),
        }
    }

    /// The values of everything that looks like an attribute called `name`.
    fn values(&self, name: &str) -> impl Iterator<Item = Range<usize>> {
        self.text
            .match_indices(name)
            .filter_map(move |(start, name)| {
                let end = start + name.len();
                let whole = !self.text[..start].ends_with(in_name)
                    && !self.text[end..].starts_with(in_name);
                whole.then(|| self.value(end)).flatten()
            })
    }

    /// The value after an attribute's name that ends at `at`. The equals sign or the quotes may be
    /// missing, not both.
    fn value(&self, at: usize) -> Option<Range<usize>> {
        let rest = self.text[at..].trim_start();
        let (rest, equals) = match rest.strip_prefix('=') {
            Some(rest) => (rest.trim_start(), true),
            None => (rest, false),
        };
        let start = self.text.len() - rest.len();
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>');
        match rest.chars().next()? {
            '\'' => Some(start + 1..self.quoted_end(start + 1, &self.apostrophes)),
            '"' => Some(start + 1..self.quoted_end(start + 1, &self.quotes)),
            _ if !equals => None,
            // Typographic quotes, or quotes written as references: the end may be anywhere.
            first if first == '&' || !first.is_ascii() => Some(start..self.line_end(start)),
            _ => Some(
                start
                    ..rest
                        .find(ends)
                        .map_or(self.text.len(), |length| start + length),
            ),
        }
    }

    /// Where the value that began at `start` ends: at the first of the quotes `closing` on the same
    /// line or before the next markup; else with the line.
    fn quoted_end(&self, start: usize, closing: &[usize]) -> usize {
        let line_end = self.line_end(start);
        let limit = next(&self.tags, line_end).unwrap_or(self.text.len());
        next(closing, start)
            .filter(|&end| end < limit)
            .unwrap_or(line_end)
    }

    /// The texts of everything that looks like a `<cookie>`, without the blanks around them.
    fn cookies(&self) -> impl Iterator<Item = Range<usize>> {
        self.text
            .match_indices("cookie")
            .filter_map(|(start, name)| {
                let end = start + name.len();
                let before = self.text[..start].trim_end_matches(|c| in_name(c) || c == ':');
                if !before.ends_with('<') || self.text[end..].starts_with(in_name) {
                    return None;
                }
                let start = next(&self.tag_ends, end)? + 1;
                if self.text[end..start].ends_with("/>") {
                    return None;
                }
                let end = next(&self.cookie_ends, start).unwrap_or_else(|| self.line_end(start));
                let content = &self.text[start..end];
                let start = end - content.trim_start().len();
                Some(start..start + content.trim().len())
            })
    }

    fn line_end(&self, at: usize) -> usize {
        next(&self.line_ends, at).unwrap_or(self.text.len())
    }
}

/// The first of the sorted `places` that is not before `at`.
fn next(places: &[usize], at: usize) -> Option<usize> {
    places
        .get(places.partition_point(|&place| place < at))
        .copied()
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}
