//! Which step of a run made which change.
//!
//! A run leaves the text after each step. Each line of the first text is followed until a step
//! takes it out, each line of the last one back to the step that put it in.

use std::ops::Range;

use serde_json::{Value, json};

use super::diff::lines::{self, Change};
use super::mask;
use crate::pipeline::Plan;

/// The steps that changed lines, by their index among the steps that changed anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// For each line of the first text, the step that took it out.
    pub removed: Vec<Option<usize>>,
    /// For each line of the last text, the step that put it in.
    pub added: Vec<Option<usize>>,
}

impl Provenance {
    /// Follows the lines through the texts of a run, the one before it first.
    pub fn of(texts: &[&str]) -> Provenance {
        let first: Vec<&str> = texts.first().map_or(Vec::new(), |text| lines::split(text));
        let mut removed = vec![None; first.len()];
        // For each line of the present text: where it comes from, or who put it in.
        let mut origins: Vec<Result<usize, usize>> = (0..first.len()).map(Ok).collect();
        let mut old = first;
        for (step, text) in texts.iter().skip(1).enumerate() {
            let new = lines::split(text);
            let mut next = Vec::with_capacity(new.len());
            let mut at = 0;
            for change in lines::changes(&old, &new) {
                next.extend_from_slice(origins.get(at..change.old.start).unwrap_or_default());
                for origin in origins.get(change.old.clone()).unwrap_or_default() {
                    if let Ok(line) = origin
                        && let Some(slot) = removed.get_mut(*line)
                    {
                        *slot = Some(step);
                    }
                }
                next.extend(change.new.clone().map(|_| Err(step)));
                at = change.old.end;
            }
            next.extend_from_slice(origins.get(at..).unwrap_or_default());
            origins = next;
            old = new;
        }
        Provenance {
            removed,
            added: origins.into_iter().map(Result::err).collect(),
        }
    }

    /// The step that made a line of a change, and of a line that looks unchanged on the way (it
    /// was taken out and put in again) the step of its neighbours.
    pub(super) fn step(&self, change: &Change, old: bool, line: usize) -> Option<usize> {
        let (own, own_range, other, other_range) = match old {
            true => (&self.removed, &change.old, &self.added, &change.new),
            false => (&self.added, &change.new, &self.removed, &change.old),
        };
        let at = |steps: &[Option<usize>], line: usize| steps.get(line).copied().flatten();
        let any = |steps: &[Option<usize>], range: &Range<usize>| {
            range.clone().find_map(|line| at(steps, line))
        };
        at(own, line)
            .or_else(|| any(own, own_range))
            .or_else(|| any(other, other_range))
    }
}

/// What each step changed, line by line, for JSON: steps that changed nothing have nothing. With
/// secrets masked unless `show_secrets`.
pub fn edits(plan: &Plan, show_secrets: bool) -> Vec<Vec<Value>> {
    let mut before = plan.before.as_str();
    plan.steps
        .iter()
        .map(|step| match &step.after {
            Some(after) => {
                let edits = edits_between(before, after, show_secrets);
                before = after;
                edits
            }
            None => Vec::new(),
        })
        .collect()
}

fn edits_between(before: &str, after: &str, show_secrets: bool) -> Vec<Value> {
    let masked = match show_secrets {
        true => mask::Masked {
            before: before.to_owned(),
            after: after.to_owned(),
            hidden: 0,
        },
        false => mask::mask_pair(before, after),
    };
    let (old, new) = (lines::split(&masked.before), lines::split(&masked.after));
    let texts = |lines: &[&str], range: Range<usize>| -> Vec<String> {
        let lines = lines.get(range).unwrap_or_default();
        lines
            .iter()
            .map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
            .collect()
    };
    lines::changes(&old, &new)
        .into_iter()
        .map(|change| {
            json!({
                "old_line": change.old.start + 1,
                "removed": texts(&old, change.old),
                "new_line": change.new.start + 1,
                "added": texts(&new, change.new),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> (String, String) {
        let texts: Vec<String> = texts
            .iter()
            .map(|text| text.chars().map(|line| format!("{line}\n")).collect())
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let provenance = Provenance::of(&texts);
        let shown = |steps: &[Option<usize>]| {
            steps
                .iter()
                .map(|step| step.map_or(".".to_owned(), |step| step.to_string()))
                .collect()
        };
        (shown(&provenance.removed), shown(&provenance.added))
    }

    #[test]
    fn lines_are_followed_through_all_steps() {
        for (texts, removed, added) in [
            (&["abc"][..], "...", "..."),
            (&["abc", "aBc"], ".0.", ".0."),
            (&["abc", "aBc", "aBcd"], ".0.", ".0.1"),
            (&["abc", "abcd", "bcd"], "1..", "..0"),
            // Put in by one, changed by another: the last one counts.
            (&["ab", "axb", "ayb"], "..", ".1."),
            // Put in and taken out again: nobody did anything.
            (&["ab", "axb", "ab"], "..", ".."),
            (&["", "a", "ab"], "", "01"),
            (&["ab", "", "b"], "00", "1"),
        ] {
            let expected = (removed.to_owned(), added.to_owned());
            assert_eq!(of(texts), expected, "{texts:?}");
        }
    }
}
