//! Unified diffs that `patch` and `git apply` accept, or that a person likes to read.
//!
//! A line ends at `\n` and nowhere else, as for diff(1): a lone carriage return, a form feed or
//! U+2028 is part of its line. Uncoloured output for a pipe carries every byte of both texts;
//! coloured output marks the changed words and shows control characters instead of sending them.
//! This module knows nothing about XML (but for a hint where a block begins), secrets or terminals.

mod labels;
pub(crate) mod lines;
mod visible;

use std::fmt::{Display, Write};
use std::ops::Range;

use anstyle::{AnsiColor, Style};

pub use labels::Labels;
use lines::Change;
use visible::visible;

use super::provenance::Provenance;
use super::words;

/// How a diff is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffOptions {
    /// Unchanged lines around each change (`-U`).
    pub context: usize,
    /// Colours and marked words, by ANSI escape sequences. Implies [`terminal`](Self::terminal):
    /// a coloured diff is for eyes, even through `less -R`.
    pub color: bool,
    /// Show characters that a terminal would act on (escape, C1 controls, bidirectional
    /// overrides, lone carriage returns …) instead of writing them. Such a diff may not apply.
    pub terminal: bool,
}

impl Default for DiffOptions {
    /// Three lines of context, no colour, for a pipe.
    fn default() -> Self {
        Self {
            context: 3,
            color: false,
            terminal: false,
        }
    }
}

/// The unified diff from `before` to `after`; empty when they are equal.
///
/// With `color` and `terminal` off, `patch` and `git apply` turn `before` into `after` with it byte
/// for byte, whatever the texts contain (git wants `--unidiff-zero` for a context of 0). With
/// `color` on, what remains without the escape sequences is exactly the uncoloured diff for a
/// terminal.
pub fn unified(before: &str, after: &str, labels: &Labels, options: &DiffOptions) -> String {
    written(before, after, labels, options, None)
}

/// Who made which line, for a diff that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The names of the steps.
    pub names: Vec<String>,
    /// Which of them made which line.
    pub provenance: Provenance,
}

/// As [`unified`], with the name of its maker in front of every changed line. For reading: no tool
/// applies such a diff.
pub fn annotated(
    before: &str,
    after: &str,
    labels: &Labels,
    options: &DiffOptions,
    marks: &Marks,
) -> String {
    written(before, after, labels, options, Some(marks))
}

fn written(
    before: &str,
    after: &str,
    labels: &Labels,
    options: &DiffOptions,
    marks: Option<&Marks>,
) -> String {
    if before == after {
        return String::new();
    }
    let (old, new) = (lines::split(before), lines::split(after));
    let changes = lines::changes(&old, &new);
    let mut writer = Writer {
        out: String::new(),
        color: options.color,
        terminal: options.terminal || options.color,
        crlf: lines::all_crlf(&old) && lines::all_crlf(&new),
        marks,
        gutter: None,
    };
    writer.header(labels);
    for hunk in hunks(&changes, options.context) {
        writer.hunk(&old, &new, hunk, options.context);
    }
    writer.out
}

/// Splits `changes` where more than twice `context` unchanged lines lie between two of them.
fn hunks(changes: &[Change], context: usize) -> impl Iterator<Item = &[Change]> {
    changes.chunk_by(move |a, b| b.old.start - a.old.end <= context.saturating_mul(2))
}

const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const UNCHANGED: Style = Style::new();
const MAKER: Style = Style::new().dimmed();

struct Writer<'m> {
    out: String,
    color: bool,
    terminal: bool,
    /// Every line of both texts ends in CRLF, so the CR tells a reader nothing.
    crlf: bool,
    marks: Option<&'m Marks>,
    /// Whose line is written next.
    gutter: Option<usize>,
}

impl Writer<'_> {
    fn header(&mut self, labels: &Labels) {
        for (sign, label) in [("---", &labels.old), ("+++", &labels.new)] {
            // A tab ends the name where it has spaces, as git and diff write it, or the
            // end of the name would be taken for a timestamp.
            let tab = if label.contains(' ') { "\t" } else { "" };
            let label = if self.terminal {
                visible(label)
            } else {
                label.into()
            };
            self.styled(HEADER, format_args!("{sign} {label}{tab}"));
            self.out.push('\n');
        }
    }

    fn hunk(&mut self, old: &[&str], new: &[&str], changes: &[Change], context: usize) {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return;
        };
        let lead = first.old.start.min(context);
        let trail = (old.len() - last.old.end).min(context);
        let old_range = first.old.start - lead..last.old.end + trail;
        let new_range = first.new.start - lead..last.new.end + trail;
        let (from, to) = (position(&old_range), position(&new_range));
        self.styled(HUNK, format_args!("@@ -{from} +{to} @@"));
        self.out.push('\n');

        let mut at = old_range.start;
        for change in changes {
            self.unchanged(&old[at..change.old.start]);
            self.change(change, &old[change.old.clone()], &new[change.new.clone()]);
            at = change.old.end;
        }
        self.unchanged(&old[at..old_range.end]);
    }

    fn unchanged(&mut self, lines: &[&str]) {
        for line in lines {
            self.line(' ', UNCHANGED, line, &[]);
        }
    }

    fn change(&mut self, change: &Change, old: &[&str], new: &[&str]) {
        let changed = match self.color {
            true => words::changed(&self.bodies(old), &self.bodies(new)),
            false => words::Changed::default(),
        };
        let maker = |is_old: bool, line: usize| {
            let marks = self.marks?;
            marks.provenance.step(change, is_old, line)
        };
        let old_makers: Vec<_> = change.old.clone().map(|line| maker(true, line)).collect();
        let new_makers: Vec<_> = change.new.clone().map(|line| maker(false, line)).collect();
        for (index, line) in old.iter().enumerate() {
            self.gutter = old_makers.get(index).copied().flatten();
            self.line(
                '-',
                REMOVED,
                line,
                changed.old.get(index).map_or(&[], Vec::as_slice),
            );
        }
        for (index, line) in new.iter().enumerate() {
            self.gutter = new_makers.get(index).copied().flatten();
            self.line(
                '+',
                ADDED,
                line,
                changed.new.get(index).map_or(&[], Vec::as_slice),
            );
        }
        self.gutter = None;
    }

    /// One line of a hunk, the byte ranges `words` of it marked as changed.
    fn line(&mut self, sign: char, style: Style, line: &str, words: &[Range<usize>]) {
        self.margin();
        let body = self.body(line);
        let mut at = 0;
        let mut lead = String::from(sign);
        for word in words {
            lead.push_str(&self.shown(&body[at..word.start]));
            self.styled(style, std::mem::take(&mut lead));
            let changed = self.shown(&body[word.clone()]).into_owned();
            self.styled(style.bold().underline(), changed);
            at = word.end;
        }
        if self.color || self.terminal {
            lead.push_str(&self.shown(&body[at..]));
            self.styled(style, lead);
        } else {
            self.out.push(sign);
            self.out.push_str(body);
        }
        self.out.push('\n');
        if !line.ends_with('\n') {
            self.out.push_str("\\ No newline at end of file\n");
        }
    }

    /// The name of the line's maker, or as much room.
    fn margin(&mut self) {
        let Some(marks) = self.marks else {
            return;
        };
        let length = |name: &String| name.chars().count();
        let width = marks.names.iter().map(length).max().unwrap_or(0);
        let name = self.gutter.and_then(|step| marks.names.get(step));
        let name = name.map_or("", String::as_str).to_owned();
        self.styled(MAKER, format_args!("{name:<width$}"));
        self.out.push_str("  ");
    }

    fn bodies<'t>(&self, lines: &[&'t str]) -> Vec<&'t str> {
        lines.iter().map(|line| self.body(line)).collect()
    }

    /// The line without its end: `\n`, and on a terminal the CR that every line has.
    fn body<'t>(&self, line: &'t str) -> &'t str {
        match line.strip_suffix('\n') {
            Some(body) if self.terminal && self.crlf => body.strip_suffix('\r').unwrap_or(body),
            Some(body) => body,
            None => line,
        }
    }

    fn shown<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.terminal {
            visible(text)
        } else {
            text.into()
        }
    }

    fn styled(&mut self, style: Style, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = match self.color {
            true => write!(self.out, "{style}{text}{style:#}"),
            false => write!(self.out, "{text}"),
        };
    }
}

/// A hunk header's `start,count`; an empty range names the line it follows, a count of 1 is left
/// out.
fn position(range: &Range<usize>) -> impl Display {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        count => format!("{},{count}", range.start + 1),
    }
}

#[cfg(test)]
mod tests;
