//! Secrets in domain XML, and texts without them.
//!
//! | place | why it is a secret |
//! |---|---|
//! | `passwd` of `<graphics>` (vnc, spice; rdp in newer libvirt), here of any element | libvirt leaves it out of a dump without `VIR_DOMAIN_XML_SECURE` (`virsh dumpxml --security-info`) |
//! | `<cookies><cookie>…</cookie>` of an http(s) disk source, wherever it is nested | the same, since CVE-2020-14301 |
//! | `data=` of `-object secret,…` in a `<qemu:arg>`, as options or JSON | QEMU's user manual, "Providing secret data"; libvirt shows every argument as it is |
//! | `password=` in a `<qemu:arg>`, as options or JSON, unless `on` or `off` | `-spice password=…`, `-iscsi password=…`; in `-vnc` it is a switch |
//!
//! The first two rows are all that libvirt 9.0 hides (measured; it drops `passwd` of rdp), and no
//! release note from 10.7 to 12.5 names another place. Disk encryption, ceph, iscsi and ssh
//! passwords and vTPM keys are references to libvirt secrets (a UUID or usage name), hence nothing to
//! hide. Not hidden here either, for neither libvirt nor QEMU says what is in them: environment
//! variables, kernel command lines, SMBIOS and fw_cfg strings, metadata, and a URL's `query`.
//!
//! **Lines.** A masked text has as many lines as the original: line breaks inside a secret stay.
//! Nothing else of it does, not even its length. An empty value is no secret and stays.
//!
//! **The same text elsewhere** (a comment, a description, another element) is left alone: hunting
//! it down would tell where it occurs and mangle innocent text when the password is `1`.

mod arg;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use roxmltree::{Attribute, Document, Node};

/// What stands for a secret.
const MASK: &str = "*****";

/// Two texts to compare in which no secret can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text before the change, masked.
    pub before: String,
    /// The text after the change, masked.
    pub after: String,
    /// Secret places in the text that has more of them. Whether any of them shows up in a diff is
    /// another question: the masked diff equals the unmasked one when none does.
    pub hidden: usize,
}

/// The byte ranges of all secret values as they are written in `xml` (references unresolved), in
/// order, none empty, none overlapping.
///
/// Text that is not well-formed is searched by [`mask_malformed`]'s rules.
pub fn secrets(xml: &str) -> Vec<Range<usize>> {
    if !may_hold_secrets(xml) {
        return Vec::new();
    }
    let mut found = match Document::parse(xml) {
        Ok(document) => document
            .descendants()
            .filter(Node::is_element)
            .flat_map(|element| in_element(xml, element))
            .collect(),
        Err(_) => scan::secrets(xml),
    };
    disjoint(&mut found);
    found
}

/// Masks two versions of a document such that their diff still tells the truth: it is empty exactly
/// when the documents are equal.
///
/// A value that both have becomes `*****`, one that only `before` has `***** (before)`, one that
/// only `after` has `***** (after)`. Where values only changed places, or several are shared
/// and do not come in the same order, the shared ones are numbered: `***** (1)`, `***** (2)`.
/// Values are compared as they are written: `a` and `&#97;` differ, as they do in a diff.
pub fn mask_pair(before: &str, after: &str) -> Masked {
    let (old, new) = (secrets(before), secrets(after));
    let values = |text, ranges: &[Range<usize>]| -> Vec<&str> {
        ranges.iter().map(|range| slice(text, range)).collect()
    };
    let (old_values, new_values) = (values(before, &old), values(after, &new));
    let (old_set, new_set): (BTreeSet<&str>, BTreeSet<&str>) = (
        old_values.iter().copied().collect(),
        new_values.iter().copied().collect(),
    );
    let shared = |values: &[&'_ str]| -> Vec<String> {
        let both = |value: &&&str| old_set.contains(**value) && new_set.contains(**value);
        values
            .iter()
            .filter(both)
            .map(|value| value.to_string())
            .collect()
    };
    let (old_shared, new_shared) = (shared(&old_values), shared(&new_values));
    let mut numbers = BTreeMap::new();
    if old_shared != new_shared {
        for value in &old_shared {
            let next = numbers.len() + 1;
            numbers.entry(value.as_str()).or_insert(next);
        }
    }
    let mask = |value: &str, other: &BTreeSet<&str>, side: &str| match numbers.get(value) {
        _ if !other.contains(value) => format!("{MASK} ({side})"),
        Some(number) if numbers.len() > 1 => format!("{MASK} ({number})"),
        _ => MASK.to_owned(),
    };
    Masked {
        before: replace(before, &old, |value| mask(value, &new_set, "before")),
        after: replace(after, &new, |value| mask(value, &old_set, "after")),
        hidden: old.len().max(new.len()),
    }
}

/// `text` with every secret as `*****`.
pub fn mask_one(text: &str) -> String {
    replace(text, &secrets(text), |_| MASK.to_owned())
}

/// `text` with everything that looks like a secret as `*****`, for excerpts in error messages about
/// text that does not parse.
///
/// Give it the whole text and take the line afterwards: line numbers stay. It works without
/// structure (in comments too) and rather hides too much: a value whose quote is never closed
/// ends with its line, one with a stray quote inside at the next quote that can end an attribute.
pub fn mask_malformed(text: &str) -> String {
    let mut found = scan::secrets(text);
    disjoint(&mut found);
    replace(text, &found, |_| MASK.to_owned())
}

/// Whether it is worth parsing `xml`. A name cannot be written with references and every secret
/// argument has one of these words in it, or letters written as references or JSON escapes.
pub fn may_hold_secrets(xml: &str) -> bool {
    ["passwd", "cookie", "secret", "password", "&#", "\\u"]
        .iter()
        .any(|hint| memchr::memmem::find(xml.as_bytes(), hint.as_bytes()).is_some())
}

fn in_element(xml: &str, element: Node) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for attribute in element.attributes() {
        match (element.tag_name().name(), attribute.name()) {
            (_, "passwd") => found.push(value_range(xml, &attribute)),
            ("arg", "value") => {
                let value = value_range(xml, &attribute);
                found.extend(within(&value, arg::secrets(slice(xml, &value))));
            }
            _ => {}
        }
    }
    if element.tag_name().name() == "cookie" {
        found.extend(content_range(xml, element));
    }
    found
}

/// An attribute's value between its quotes. (roxmltree's own range is off where a name or the blanks
/// around `=` are very long.)
fn value_range(xml: &str, attribute: &Attribute) -> Range<usize> {
    let range = attribute.range();
    let text = slice(xml, &range);
    let equals = text.find('=').unwrap_or(0);
    let quote = text[equals..].find(['"', '\'']).unwrap_or(0);
    range.start + equals + quote + 1..range.end.saturating_sub(1)
}

/// Everything between an element's tags, markup included, without the blanks around it.
fn content_range(xml: &str, element: Node) -> Option<Range<usize>> {
    let range = element.range();
    let text = slice(xml, &range);
    let last_attribute = element
        .attributes()
        .map(|attribute| attribute.range().end)
        .max();
    let tag = last_attribute.map_or(0, |end| end - range.start);
    let start = tag + text[tag..].find('>')? + 1;
    let end = text.rfind("</").filter(|&end| end >= start)?;
    let content = &text[start..end];
    let lead = content.len() - content.trim_start().len();
    let start = range.start + start + lead;
    Some(start..start + content.trim().len())
}

/// Moves ranges relative to the start of `outer` to where `outer` is.
fn within(outer: &Range<usize>, inner: Vec<Range<usize>>) -> impl Iterator<Item = Range<usize>> {
    let start = outer.start;
    inner
        .into_iter()
        .map(move |range| range.start + start..range.end + start)
}

/// Sorts, drops what is empty and unites what overlaps.
fn disjoint(ranges: &mut Vec<Range<usize>>) {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, previous| {
        let overlaps = next.start < previous.end;
        if overlaps {
            previous.end = previous.end.max(next.end);
        }
        overlaps
    });
}

fn replace(text: &str, ranges: &[Range<usize>], mask: impl Fn(&str) -> String) -> String {
    let mut masked = String::with_capacity(text.len() + ranges.len() * MASK.len());
    let mut at = 0;
    for range in ranges {
        let secret = slice(text, range);
        masked.push_str(slice(text, &(at..range.start)));
        masked.push_str(&mask(secret));
        for line in secret
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            masked.push_str(if line.ends_with("\r\n") { "\r\n" } else { "\n" });
        }
        at = range.end;
    }
    masked.push_str(slice(text, &(at..text.len())));
    masked
}

/// Ranges come from the parser or from searches in this very text, so they are always inside it.
fn slice<'t>(text: &'t str, range: &Range<usize>) -> &'t str {
    text.get(range.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
