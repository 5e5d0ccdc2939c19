//! Which lines changed.

use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffTag, capture_diff_slices_deadline};

/// Lines `old` of the one text became lines `new` of the other. One of the two may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

/// After this, what has not been compared yet is reported as replaced. Real documents take a few
/// milliseconds, and the algorithm bounds its own work; this is the belt to those braces.
const PATIENCE: Duration = Duration::from_secs(2);

/// The lines of `text` with their `\n`; no other character ends a line.
pub(crate) fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Whether every line that ends, ends in CRLF (and there is one).
pub(super) fn all_crlf(lines: &[&str]) -> bool {
    let mut ended = lines.iter().filter(|line| line.ends_with('\n')).peekable();
    ended.peek().is_some() && ended.all(|line| line.ends_with("\r\n"))
}

/// The changes from `old` to `new`, in order, with at least one unchanged line between any two.
pub(crate) fn changes(old: &[&str], new: &[&str]) -> Vec<Change> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut changes = compare(
        &old_rest[..old_rest.len() - tail],
        &new_rest[..new_rest.len() - tail],
        Instant::now().checked_add(PATIENCE),
    );
    for change in &mut changes {
        change.old = change.old.start + head..change.old.end + head;
        change.new = change.new.start + head..change.new.end + head;
    }
    slide(old, new, &mut changes, rank);
    changes
}

/// The changes between two sequences. `deadline` bounds the search, never the correctness.
pub(crate) fn compare<T: Eq + std::hash::Hash>(
    old: &[T],
    new: &[T],
    deadline: Option<Instant>,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for op in capture_diff_slices_deadline(Algorithm::Myers, old, new, deadline) {
        let (tag, old, new) = op.as_tag_tuple();
        match changes.last_mut() {
            _ if tag == DiffTag::Equal => {}
            Some(last) if last.old.end == old.start && last.new.end == new.start => {
                (last.old.end, last.new.end) = (old.end, new.end);
            }
            _ => changes.push(Change { old, new }),
        }
    }
    changes
}

/// Moves every pure insertion and deletion to the place where it reads best.
///
/// Where the item before a block equals the block's last one, the block can be shown one item
/// earlier and the diff says the same; likewise at its other end. Of all such places the one whose
/// first item has the least `rank` is taken, the last one among equals.
pub(crate) fn slide<T: PartialEq, R: Ord>(
    old: &[T],
    new: &[T],
    changes: &mut [Change],
    rank: impl Fn(&T) -> R,
) {
    for index in 0..changes.len() {
        let change = changes[index].clone();
        let (items, block) = match (change.old.is_empty(), change.new.is_empty()) {
            (true, false) => (new, change.new.clone()),
            (false, true) => (old, change.old.clone()),
            _ => continue,
        };
        // One unchanged item stays between two changes.
        let above = match index.checked_sub(1) {
            Some(previous) => change.old.start - changes[previous].old.end - 1,
            None => change.old.start,
        };
        let below = match changes.get(index + 1) {
            Some(next) => next.old.start - change.old.end - 1,
            None => old.len() - change.old.end,
        };
        let up = (0..above)
            .take_while(|step| items[block.start - 1 - step] == items[block.end - 1 - step])
            .count();
        let down = (0..below)
            .take_while(|step| items[block.start + step] == items[block.end + step])
            .count();
        let best = (block.start - up..=block.start + down)
            .rev()
            .min_by_key(|&start| rank(&items[start]))
            .unwrap_or(block.start);
        let moved = |range: &Range<usize>| {
            let start = range.start + best - block.start;
            start..start + range.len()
        };
        changes[index] = Change {
            old: moved(&change.old),
            new: moved(&change.new),
        };
    }
}

/// How badly a block of XML lines begins with `line`: an element or an option is best shown
/// whole, from its first line on, and outer elements are better borders than inner ones.
fn rank(line: &&str) -> (u8, usize) {
    let text = line.trim_start();
    let kind = match text {
        "" => 2,
        _ if text.starts_with("</") => 2,
        // The value of a command-line option, whose name is the argument before it.
        _ if text.contains(":arg ") && !text.contains("='-") && !text.contains("=\"-") => 1,
        _ => 0,
    };
    (kind, line.len() - text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str) -> Vec<(Range<usize>, Range<usize>)> {
        let changes = changes(&split(old), &split(new));
        changes
            .into_iter()
            .map(|change| (change.old, change.new))
            .collect()
    }

    #[test]
    fn lines_end_at_line_feeds_only() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(
            split("a\rb\x0c\u{2028}\u{85}c\r\nd"),
            ["a\rb\x0c\u{2028}\u{85}c\r\n", "d"]
        );
        assert_eq!(split("\n\n"), ["\n", "\n"]);
    }

    #[test]
    fn changes_name_both_sides() {
        assert_eq!(diff("a\nb\nc\n", "a\nB\nc\n"), [(1..2, 1..2)]);
        assert_eq!(diff("a\nb\nc\n", "a\nc\n"), [(1..2, 1..1)]);
        assert_eq!(diff("a", "a\n"), [(0..1, 0..1)]);
        assert_eq!(diff("", "a\nb\n"), [(0..0, 0..2)]);
        assert_eq!(
            diff("a\nb\nc\nd\ne\n", "A\nb\nc\nd\nE\n"),
            [(0..1, 0..1), (4..5, 4..5)]
        );
    }

    #[test]
    fn a_block_is_shown_from_its_opening_line() {
        let one = "<d>\n  <x/>\n</d>\n";
        // Without sliding this reads "</d>, <e>, <x/>" or worse.
        assert_eq!(
            diff(one, &format!("{one}<e>\n  <x/>\n</d>\n")),
            [(3..3, 3..6)]
        );
        assert_eq!(
            diff(&format!("{one}{one}<z/>\n"), &format!("{one}<z/>\n")),
            [(3..6, 3..3)]
        );
    }

    #[test]
    fn an_option_is_shown_with_its_value() {
        let arg = |value: &str| format!("<qemu:arg value='{value}'/>\n");
        let (option, a, b, c) = (arg("-device"), arg("a"), arg("b"), arg("c"));
        let old = [&*option, &a, &option, &c].concat();
        let new = [&*option, &a, &option, &b, &option, &c].concat();
        assert_eq!(diff(&old, &new), [(2..2, 2..4)]);
    }

    #[test]
    fn sliding_never_reaches_the_neighbour() {
        let (old, new) = (["x", "y", "x"], ["x", "y", "x", "y", "x", "y", "x"]);
        let mut changes = vec![
            Change {
                old: 1..1,
                new: 1..3,
            },
            Change {
                old: 3..3,
                new: 5..7,
            },
        ];
        // Both blocks read "y, x" and would rather begin with "x".
        slide(&old, &new, &mut changes, |item| *item != "x");
        let moved = vec![
            Change {
                old: 2..2,
                new: 2..4,
            },
            Change {
                old: 3..3,
                new: 5..7,
            },
        ];
        assert_eq!(changes, moved);
    }
}
