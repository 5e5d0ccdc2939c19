//! Secrets in one QEMU argument, as it is written in an XML attribute.

use std::ops::Range;

/// The ranges of secret values in `raw`, an attribute's value with its references unresolved.
///
/// Reads option lists (`secret,id=s,data=…`, `,,` being a comma in a value) and JSON, and both also
/// behind an option name when several words were put into one argument.
pub(super) fn secrets(raw: &str) -> Vec<Range<usize>> {
    // Neither word can be there without its last letter or a reference to it.
    if !raw.contains(['=', '{', '&']) {
        return Vec::new();
    }
    let text = Decoded::new(raw);
    let all = 0..text.chars.len();
    let mut found = Vec::new();
    if text.chars.contains(&'{') {
        found.extend(in_json(&text.chars));
    }
    for list in lists(&text.chars, all) {
        found.extend(in_list(&text.chars, list));
    }
    found.into_iter().map(|range| text.raw(range)).collect()
}

/// An attribute's value as QEMU gets it, and where each character was written.
struct Decoded {
    chars: Vec<char>,
    /// The byte each character starts at, and the end of the text.
    starts: Vec<usize>,
}

impl Decoded {
    fn new(raw: &str) -> Self {
        let (mut chars, mut starts) =
            (Vec::with_capacity(raw.len()), Vec::with_capacity(raw.len()));
        let mut at = 0;
        while let Some(first) = raw[at..].chars().next() {
            let (c, length) = reference(&raw[at..]).unwrap_or((first, first.len_utf8()));
            chars.push(c);
            starts.push(at);
            at += length;
        }
        starts.push(at);
        Self { chars, starts }
    }

    fn raw(&self, range: Range<usize>) -> Range<usize> {
        let start = |index: usize| self.starts.get(index).copied().unwrap_or_default();
        start(range.start)..start(range.end)
    }
}

/// The character that the reference at the start of `text` stands for, and the reference's length.
fn reference(text: &str) -> Option<(char, usize)> {
    let name = text.strip_prefix('&')?;
    let name = &name[..name.find(';')?];
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            char::from_u32(match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            })?
        }
    };
    Some((c, name.len() + 2))
}

/// The option lists in an argument: all of it, or what follows each option name in it.
fn lists(chars: &[char], all: Range<usize>) -> Vec<Range<usize>> {
    if chars.iter().find(|c| !c.is_whitespace()) != Some(&'-') {
        return vec![all];
    }
    let option = |&at: &usize| chars[at] == '-' && (at == 0 || chars[at - 1].is_whitespace());
    let options: Vec<usize> = all.clone().filter(option).collect();
    let ends = options.iter().skip(1).copied().chain([all.end]);
    let list = |(start, end): (&usize, usize)| {
        let name = chars[*start..end]
            .iter()
            .take_while(|c| !c.is_whitespace())
            .count();
        let ignored = |c: &&char| c.is_whitespace() || matches!(c, '\'' | '"');
        let blank = chars[start + name..end].iter().take_while(ignored).count();
        let list = start + name + blank..end;
        let trail = chars[list.clone()].iter().rev().take_while(ignored).count();
        list.start..list.end - trail
    };
    options.iter().zip(ends).map(list).collect()
}

fn in_list(chars: &[char], list: Range<usize>) -> Vec<Range<usize>> {
    let items: Vec<Item> = items(chars, list)
        .map(|range| Item::new(chars, range))
        .collect();
    let secret_object = items.iter().enumerate().any(|(index, item)| {
        (item.key == "qom-type" || (index == 0 && item.key.is_empty())) && item.value == "secret"
    });
    items
        .into_iter()
        .filter(|item| is_secret(&item.key, &item.value, secret_object))
        .map(|item| item.range)
        .collect()
}

fn is_secret(key: &str, value: &str, secret_object: bool) -> bool {
    match key {
        "data" => secret_object,
        "password" => !matches!(value, "on" | "off"),
        _ => false,
    }
}

/// One `key=value` of an option list; the key is empty where there is none.
struct Item {
    key: String,
    value: String,
    /// Where the value is.
    range: Range<usize>,
}

impl Item {
    fn new(chars: &[char], range: Range<usize>) -> Self {
        let text = &chars[range.clone()];
        let (key, start) = match text.iter().position(|&c| c == '=') {
            Some(equals) => (text[..equals].iter().collect(), range.start + equals + 1),
            None => (String::new(), range.start),
        };
        Self {
            key,
            value: chars[start..range.end].iter().collect(),
            range: start..range.end,
        }
    }
}

/// Splits a list at commas that are not doubled.
fn items(chars: &[char], list: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut at = Some(list.start);
    std::iter::from_fn(move || {
        let start = at?;
        let mut end = start;
        while end < list.end {
            let comma = chars[end] == ',';
            let doubled = comma && end + 1 < list.end && chars[end + 1] == ',';
            match (comma, doubled) {
                (true, false) => break,
                (_, true) => end += 2,
                _ => end += 1,
            }
        }
        at = (end < list.end).then_some(end + 1);
        Some(start..end)
    })
}

/// Keys and values in JSON (QEMU's, which knows single quotes), wherever objects begin and end.
fn in_json(chars: &[char]) -> Vec<Range<usize>> {
    let mut pairs = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let Some((key, after)) = string(chars, at) else {
            at += 1;
            continue;
        };
        let colon = blanks(chars, after);
        if chars.get(colon) != Some(&':') {
            at = after;
            continue;
        }
        let start = blanks(chars, colon + 1);
        at = match string(chars, start) {
            Some((value, end)) => {
                let closed = end > start + 1 && chars[end - 1] == chars[start];
                pairs.push((key, value, start + 1..if closed { end - 1 } else { end }));
                end
            }
            None => {
                let scalar = |c: &&char| !matches!(c, ',' | '{' | '}' | '[' | ']');
                let end = start + chars[start..].iter().take_while(scalar).count();
                let value: String = chars[start..end].iter().collect();
                pairs.push((key, value.trim_end().to_owned(), start..end));
                end
            }
        };
    }
    let secret_object = pairs
        .iter()
        .any(|(key, value, _)| key == "qom-type" && value == "secret");
    let secret = |(key, value, _): &(String, String, _)| {
        is_secret(key, value, secret_object) && !matches!(value.as_str(), "true" | "false" | "null")
    };
    pairs
        .into_iter()
        .filter(secret)
        .map(|(_, _, range)| range)
        .collect()
}

fn blanks(chars: &[char], at: usize) -> usize {
    at + chars
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take_while(|c| c.is_whitespace())
        .count()
}

/// The string literal that begins at `at`, and where it has ended.
fn string(chars: &[char], at: usize) -> Option<(String, usize)> {
    let quote = *chars.get(at).filter(|c| matches!(c, '"' | '\''))?;
    let mut text = String::new();
    let mut end = at + 1;
    while let Some(&c) = chars.get(end) {
        end += 1;
        if c == quote {
            break;
        } else if c != '\\' {
            text.push(c);
            continue;
        }
        let digits: String = chars.iter().skip(end + 1).take(4).collect();
        let code = u32::from_str_radix(&digits, 16)
            .ok()
            .and_then(char::from_u32);
        match (chars.get(end), code) {
            (Some('u'), Some(code)) => {
                text.push(code);
                end += 5;
            }
            (escaped, _) => {
                text.extend(escaped);
                end += 1;
            }
        }
    }
    Some((text, end.min(chars.len())))
}
