//! Errors as people read them: what, where, why, and what to do next.

use std::fmt::Write;

use crate::document::{DocumentError, Excerpt};
use crate::merge::MergeError;
use crate::profile::Place;
use crate::report::mask;

/// A message with the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Advice {
    message: String,
    help: String,
}

impl Advice {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Advice {
        Advice {
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A definition or patch that cannot be read, with its file's name for the arrow line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct InFile {
    pub(crate) file: String,
    pub(crate) message: String,
    pub(crate) excerpt: Excerpt,
    pub(crate) help: Option<String>,
}

impl InFile {
    pub(crate) fn document(file: &str, error: DocumentError) -> InFile {
        InFile {
            file: file.to_owned(),
            message: error.message,
            excerpt: error.excerpt,
            help: error.help,
        }
    }

    pub(crate) fn unsayable(file: &str, message: String, excerpt: Excerpt) -> InFile {
        InFile {
            file: file.to_owned(),
            message,
            excerpt,
            help: None,
        }
    }

    pub(crate) fn profile(place: &Place, message: String, help: Option<String>) -> InFile {
        InFile {
            file: place.file.clone(),
            message,
            excerpt: place.excerpt.clone(),
            help,
        }
    }

    /// The place of a merge error in its patch, or the error itself where it has none.
    pub(crate) fn merge(error: MergeError) -> anyhow::Error {
        match error {
            MergeError::Malformed { patch, source } => InFile::document(&patch, source).into(),
            MergeError::Unfit {
                ref patch,
                ref excerpt,
                ref help,
                ..
            } => InFile {
                file: patch.clone(),
                message: error.to_string(),
                excerpt: excerpt.clone(),
                help: help.clone(),
            }
            .into(),
            other => other.into(),
        }
    }
}

/// The styles of an error report.
pub(crate) struct Styles {
    pub(crate) error: anstyle::Style,
    pub(crate) place: anstyle::Style,
}

/// The whole report, several lines, with a final newline.
pub(crate) fn format(error: &anyhow::Error, styles: &Styles) -> String {
    let mut out = String::new();
    let (red, blue) = (styles.error, styles.place);
    // anyhow finds them also where they were attached as a context, which the chain does not show.
    let at = error.downcast_ref::<InFile>().or_else(|| in_chain(error));
    let advice = error.downcast_ref::<Advice>().or_else(|| in_chain(error));
    let mut said = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let message = cause.to_string();
        let message = message.trim_end();
        if message == said {
            continue;
        }
        let label = if depth == 0 { "error" } else { "caused by" };
        let _ = writeln!(
            out,
            "{red}{label}{red:#}: {}",
            message.replace('\n', "\n  ")
        );
        if let Some(at) = at.filter(|at| at.message == message) {
            place(&mut out, at, blue);
        }
        said = message.to_owned();
    }
    let help = at
        .and_then(|at| at.help.as_deref())
        .or(advice.map(|advice| advice.help.as_str()));
    if let Some(help) = help {
        let _ = writeln!(out, "{blue}help{blue:#}: {help}");
    }
    out
}

fn in_chain<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref::<E>())
}

/// `--> vm.xml:12:7` and the line with a caret.
fn place(out: &mut String, at: &InFile, blue: anstyle::Style) {
    let position = at.excerpt.position;
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    let (line, column) = shown(&at.excerpt.line, position.column);
    let _ = writeln!(out, "{margin}{blue}-->{blue:#} {}:{position}", at.file);
    let _ = writeln!(out, "{blue}{number} |{blue:#} {line}");
    let _ = writeln!(out, "{margin} {blue}|{blue:#} {}^", " ".repeat(column));
}

/// At most a terminal's width of the line around the column, passwords masked, control
/// characters visible; and the caret's offset in that.
fn shown(line: &str, column: usize) -> (String, usize) {
    const BEFORE: usize = 50;
    const WIDTH: usize = 100;
    let masked = mask::mask_malformed(line);
    // A mask moves what stands behind it: the caret then points at the start of the line.
    let caret = if masked == line {
        column.saturating_sub(1)
    } else {
        0
    };
    let start = caret.saturating_sub(BEFORE);
    let text: String = masked
        .chars()
        .skip(start)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (text, caret - start)
}
