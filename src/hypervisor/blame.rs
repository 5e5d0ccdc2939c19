//! Which line of a definition a refusal of libvirt speaks of.
//!
//! libvirt gives a line for text that is not well-formed; for everything else it names an element, an
//! attribute or a value. The line is then the changed one that says the most of those words.

use std::collections::HashSet;
use std::ops::Range;

use crate::document::{Document, Excerpt};

/// The line of `after` that `message` most likely speaks of.
pub fn line_of(message: &str, before: &str, after: &str) -> Option<Excerpt> {
    let offset = numbered(message, after).or_else(|| by_words(message, before, after))?;
    Some(Excerpt::of(after, offset))
}

/// `(domain_definition):12: …`.
fn numbered(message: &str, after: &str) -> Option<usize> {
    let rest = message.split("(domain_definition):").nth(1)?;
    let number: usize = rest.split(':').next()?.trim().parse().ok()?;
    after
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .nth(number.checked_sub(2)?)
}

fn by_words(message: &str, before: &str, after: &str) -> Option<usize> {
    let words = telling(message);
    let old: HashSet<&str> = before.lines().map(str::trim).collect();
    let mut best: Option<(usize, usize)> = None;
    let mut changes = Vec::new();
    let mut offset = 0;
    for line in after.split_inclusive('\n') {
        let said = words.iter().filter(|word| says(line, word)).count();
        let changed = !old.contains(line.trim());
        let indent = line.len() - line.trim_start().len();
        let score = if said == 0 {
            0
        } else {
            said * 2 + usize::from(changed) * 3
        };
        if score > best.map_or(0, |(score, _)| score) {
            best = Some((score, offset + indent));
        }
        if changed {
            changes.push(offset + indent);
        }
        offset += line.len();
    }
    let (_, named) = best?;
    if !message.contains("validate") {
        return Some(named);
    }
    // The schema blames the element around the wrong one; what was fine before is not to blame.
    let inside = extent(after, named).unwrap_or(named..named + 1);
    let to_blame = changes.into_iter().find(|change| inside.contains(change));
    to_blame.or(Some(named))
}

/// From begin to end of the element whose start tag is at `offset`.
fn extent(text: &str, offset: usize) -> Option<Range<usize>> {
    let document = Document::parse(text).ok()?;
    let mut nodes = document.root().descendants();
    nodes
        .find(|node| node.is_element() && node.range().start == offset)
        .map(|node| node.range())
}

/// The words of a message that name something: quoted ones, and what follows "element" or
/// "attribute".
fn telling(message: &str) -> Vec<&str> {
    // The schema's own path and libvirt's fixed words say nothing of the definition.
    let fixed = [
        "domain",
        "interleave",
        "element",
        "xml",
        "for",
        "in",
        "is",
        "not",
    ];
    let quoted = message.split(['\'', '"', '‘', '’']).skip(1).step_by(2);
    let after_kind = message
        .split_whitespace()
        .zip(message.split_whitespace().skip(1))
        .filter(|(kind, _)| {
            matches!(
                kind.to_lowercase().as_str(),
                "element" | "attribute" | "model" | "feature" | "type"
            )
        })
        .map(|(_, word)| word);
    quoted
        .chain(after_kind)
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/'))
        .filter(|word| word.len() > 1 && !fixed.contains(&word.to_lowercase().as_str()))
        .collect()
}

/// Whether the word stands in the line as a whole.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        edge(line.get(..at).and_then(|before| before.chars().last()))
            && edge(
                line.get(at + word.len()..)
                    .and_then(|after| after.chars().next()),
            )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_finds_its_line() {
        let before = "<domain>\n  <vcpu>4</vcpu>\n  <devices>\n    <watchdog model='i6300esb'/>\n  </devices>\n</domain>\n";
        let after = before.replace("i6300esb", "itco").replace(
            "<devices>",
            "<cpu>\n    <topology sockets='1' cores='3' threads='1'/>\n  </cpu>\n  <devices>",
        );
        for (message, line) in [
            ("XML error: unknown watchdog model 'itco'", Some(7)),
            // What it names may have been there before.
            (
                "XML error: the element 'vcpu' is not what it should be",
                Some(2),
            ),
            (
                "XML document failed to validate against schema: Unable to validate doc\nExtra element devices in interleave",
                Some(7),
            ),
            (
                "unsupported configuration: CPU topology doesn't match maximum vcpu count",
                None,
            ),
            (
                "(domain_definition):4: Opening and ending tag mismatch",
                Some(4),
            ),
            (
                "XML document failed to validate against schema: Unable to validate doc against /usr/share/libvirt/schemas/domain.rng\nExtra element cpu in interleave\nElement domain failed to validate content",
                Some(3),
            ),
        ] {
            let found = line_of(message, before, &after).map(|excerpt| excerpt.position.line);
            assert_eq!(found, line, "{message}");
        }
    }
}
