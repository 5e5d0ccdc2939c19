//! Which words changed inside changed lines.
//!
//! A removed line is paired with the added line that it became, if there is one that is like it,
//! and the two are compared word by word. Knows attributes, numbers and paths when it sees them,
//! and nothing about diffs, colours or terminals.

use std::ops::Range;

use super::diff::lines::{Change, compare, slide};

/// For each line of a block, the byte ranges of the words that changed. Lines without a partner
/// on the other side have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Ranges in the removed lines, in order.
    pub old: Vec<Vec<Range<usize>>>,
    /// Ranges in the added lines, in order.
    pub new: Vec<Vec<Range<usize>>>,
}

/// A larger block is a rewrite, in which marked words only flicker.
const MAX_LINES: usize = 64;
/// A longer line is data, not something to read word by word (in bytes).
const MAX_LINE: usize = 2048;
/// The share of words, in percent, that two lines must have in common to be the same line.
const ALIKE: usize = 40;

/// The changed words between the removed lines `old` and the added lines `new` of one block, both
/// without their line ends.
///
/// A word is a name, a number, a part of a path or an attribute's value; of a value that is a list
/// with commas, one item. Attributes are compared with those of the same name.
pub fn changed(old: &[&str], new: &[&str]) -> Changed {
    let mut changed = Changed {
        old: vec![Vec::new(); old.len()],
        new: vec![Vec::new(); new.len()],
    };
    for (i, j) in pairs(old, new) {
        let (before, after) = (old[i], new[j]);
        (changed.old[i], changed.new[j]) = between(&words(before), &words(after), |a, b| {
            inside(before, a, after, b)
        });
    }
    changed
}

/// Marked byte ranges in the old and in the new line.
type Marks = (Vec<Range<usize>>, Vec<Range<usize>>);

/// One word of a line, or an attribute, with the blanks before it.
struct Word<'t> {
    /// What it is compared by: an attribute's name, otherwise its text. Empty for blanks at the
    /// end of a line.
    key: &'t str,
    /// Its bytes in the line, without the blanks.
    range: Range<usize>,
    /// How many bytes of blanks are before it.
    blanks: usize,
    /// For an attribute, where its value is between the quotes.
    value: Option<Range<usize>>,
}

/// Marks the words that have no partner in the other line; `inside` looks into those that have.
fn between(before: &[Word], after: &[Word], inside: impl Fn(&Word, &Word) -> Marks) -> Marks {
    let keys = |words: &[Word]| words.iter().map(|word| word.key.to_owned()).collect();
    let (old_keys, new_keys): (Vec<String>, Vec<String>) = (keys(before), keys(after));
    let mut changes = compare(&old_keys, &new_keys, None);
    slide(&old_keys, &new_keys, &mut changes, |key| key != ",");
    changes.push(Change {
        old: before.len()..before.len(),
        new: after.len()..after.len(),
    });
    let (mut old, mut new) = Marks::default();
    let (mut i, mut j) = (0, 0);
    for change in changes {
        let same = before[i..change.old.start]
            .iter()
            .zip(&after[j..change.new.start]);
        for (old_marks, new_marks) in same.map(|(before, after)| inside(before, after)) {
            old.extend(old_marks);
            new.extend(new_marks);
        }
        (i, j) = (change.old.end, change.new.end);
        old.extend(span(&before[change.old]));
        new.extend(span(&after[change.new]));
    }
    for marks in [&mut old, &mut new] {
        marks.retain(|range| !range.is_empty());
    }
    (old, new)
}

/// The bytes of `words`, without the blanks around them.
fn span(words: &[Word]) -> Option<Range<usize>> {
    let end = words.last()?.range.end;
    let first = words.first()?;
    // Blanks at the end of a line are all there is to mark.
    let start = if first.range.start == end {
        first.range.start - first.blanks
    } else {
        first.range.start
    };
    Some(start..end)
}

/// What changed between two words with the same key: items of an attribute's value, or blanks.
fn inside(old: &str, before: &Word, new: &str, after: &Word) -> Marks {
    let (mut old_marks, mut new_marks) = match (&before.value, &after.value) {
        (Some(a), Some(b)) if old[a.clone()] != new[b.clone()] => {
            between(&items(old, a), &items(new, b), |_, _| Marks::default())
        }
        // The same value in other quotes.
        _ if old[before.range.clone()] != new[after.range.clone()] => {
            let rest = |word: &Word| word.range.start + word.key.len()..word.range.end;
            (vec![rest(before)], vec![rest(after)])
        }
        _ => Marks::default(),
    };
    let blanks = |word: &Word| word.range.start - word.blanks..word.range.start;
    if old[blanks(before)] != new[blanks(after)] {
        old_marks.insert(0, blanks(before));
        new_marks.insert(0, blanks(after));
    }
    (old_marks, new_marks)
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let blanks = run(&line[at..], char::is_whitespace);
        let start = at + blanks;
        let first = line[start..].chars().next();
        let length = match first {
            Some(first) if in_word(first) => run(&line[start..], in_word),
            first => first.map_or(0, char::len_utf8),
        };
        let end = start + length;
        let value = first.filter(|&c| in_word(c)).and_then(|_| value(line, end));
        at = value.as_ref().map_or(end, |value| value.end + 1);
        words.push(Word {
            key: &line[start..end],
            range: start..at,
            blanks,
            value,
        });
    }
    words
}

/// The quoted value after an attribute's name that ends at `at`.
fn value(line: &str, at: usize) -> Option<Range<usize>> {
    let rest = line[at..].trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let start = line.len() - rest.len() + 1;
    Some(start..start + line[start..].find(quote)?)
}

/// A value's items and the commas between them.
fn items<'t>(line: &'t str, value: &Range<usize>) -> Vec<Word<'t>> {
    let mut items = Vec::new();
    let mut at = value.start;
    for item in line[value.clone()].split_inclusive(',') {
        let (item, comma) = item.split_at(item.trim_end_matches(',').len());
        for key in [item, comma].into_iter().filter(|key| !key.is_empty()) {
            items.push(Word {
                key,
                range: at..at + key.len(),
                blanks: 0,
                value: None,
            });
            at += key.len();
        }
    }
    items
}

fn run(text: &str, inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !inside(c)).unwrap_or(text.len())
}

/// Names (`qemu:arg`), numbers (`-1.5`, `0x1f`) and the parts of a path are whole words.
fn in_word(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | ':')
        || c.is_ascii_alphanumeric()
        || (!c.is_ascii() && !c.is_whitespace())
}

/// Pairs of lines, in order on both sides, such that the pairs together are most alike.
fn pairs(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        return Vec::new();
    }
    let (before, after) = (bags(old), bags(new));
    let width = new.len() + 1;
    // best[i * width + j]: the most that lines i.. and j.. can have in common.
    let mut best = vec![0; (old.len() + 1) * width];
    let gain = |i: usize, j: usize| match likeness(&before[i], &after[j]) {
        percent if percent >= ALIKE => percent,
        _ => 0,
    };
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let apart = best[(i + 1) * width + j].max(best[i * width + j + 1]);
            best[i * width + j] = apart.max(gain(i, j) + best[(i + 1) * width + j + 1]);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        let here = best[i * width + j];
        let gain = gain(i, j);
        // The first of several equally good partners: additions usually follow.
        if gain > 0 && here == gain + best[(i + 1) * width + j + 1] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if here == best[(i + 1) * width + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Each line's words, sorted; empty for a line that is not to be compared.
fn bags<'t>(lines: &[&'t str]) -> Vec<Vec<&'t str>> {
    let bag = |line: &&'t str| {
        if line.len() > MAX_LINE {
            return Vec::new();
        }
        let value = |word: &Word| word.value.as_ref().map(|value| &line[value.clone()]);
        let texts = |word: Word<'t>| [Some(word.key), value(&word)];
        let texts = words(line).into_iter().flat_map(texts).flatten();
        let mut bag: Vec<&str> = texts.filter(|text| text.contains(in_word)).collect();
        bag.sort_unstable();
        bag
    };
    lines.iter().map(bag).collect()
}

/// How much two bags of words have in common, in percent.
fn likeness(a: &[&str], b: &[&str]) -> usize {
    let (mut i, mut j, mut common) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, common) = (i + 1, j + 1, common + 1),
        }
    }
    (200 * common).checked_div(a.len() + b.len()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
