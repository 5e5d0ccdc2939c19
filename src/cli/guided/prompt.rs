//! Questions on a terminal. Knows nothing of domains; every answer may be "back".

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use inquire::autocompletion::{Autocomplete, Replacement};
use inquire::error::InquireError;
use inquire::list_option::ListOption;
use inquire::validator::{ErrorMessage, Validation};
use inquire::{CustomUserError, MultiSelect, Select, Text};

/// Ctrl-C, or the terminal went away.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// What comes of a question: the answer, or `None` for Esc.
pub(super) type Asked<T> = anyhow::Result<Option<T>>;

/// Something to choose, with the line that shows it.
pub(super) struct Line<T> {
    pub(super) what: T,
    shown: String,
    is_cut: bool,
}

impl<T> Line<T> {
    /// Cut to the terminal: an option is one line, and what stands first in it tells it apart.
    pub(super) fn new(what: T, shown: &str) -> Line<T> {
        let cut = cut(shown, columns());
        Line {
            what,
            is_cut: cut != shown,
            shown: cut,
        }
    }

    /// Whether there is more to it than the line shows.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl<T> Display for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// One of several.
pub(super) fn select<T: Display>(message: &str, options: Vec<T>, start: usize) -> Asked<T> {
    let start = start.min(options.len().saturating_sub(1));
    let prompt = Select::new(message, options)
        .with_page_size(page())
        .with_starting_cursor(start)
        .with_help_message("↑↓ and Enter choose, typing narrows it down, Esc goes back");
    answer(prompt.prompt())
}

/// Any of several; `summary` says how many were chosen.
pub(super) fn toggle<T: Display>(
    message: &str,
    options: Vec<T>,
    selected: Vec<usize>,
    summary: &dyn Fn(usize) -> String,
) -> Asked<Vec<T>> {
    let shown = |chosen: &[ListOption<&T>]| summary(chosen.len());
    let prompt = MultiSelect::new(message, options)
        .with_page_size(page())
        .with_default(&selected)
        .with_formatter(&shown)
        .with_help_message("↑↓ move, Space toggles, → all, ← none, Enter goes on, Esc goes back");
    answer(prompt.prompt())
}

/// What a line of text is when nothing was typed yet.
pub(super) enum Begin<'t> {
    /// Nothing.
    Empty,
    /// This, to be edited.
    With(&'t str),
    /// Nothing, and Enter alone means this.
    Or(&'t str),
}

/// A line of text. `refuse` says why one cannot be.
pub(super) fn text(
    message: &str,
    begin: &Begin<'_>,
    help: &str,
    refuse: impl Fn(&str) -> Option<String> + Clone + 'static,
) -> Asked<String> {
    let prompt = Text::new(message);
    let prompt = match begin {
        Begin::Empty => prompt,
        Begin::With(initial) => prompt.with_initial_value(initial),
        Begin::Or(usual) => prompt.with_default(usual),
    };
    let prompt = prompt
        .with_help_message(help)
        .with_validator(move |line: &str| Ok::<_, CustomUserError>(judged(refuse(line.trim()))));
    Ok(answer(prompt.prompt())?.map(|line| line.trim().to_owned()))
}

/// A path, completed with Tab.
pub(super) fn path(
    message: &str,
    help: &str,
    refuse: impl Fn(&str) -> Option<String> + Clone + 'static,
) -> Asked<String> {
    let prompt = Text::new(message)
        .with_help_message(help)
        .with_autocomplete(Paths)
        .with_validator(move |line: &str| Ok::<_, CustomUserError>(judged(refuse(line.trim()))));
    Ok(answer(prompt.prompt())?.map(|line| line.trim().to_owned()))
}

/// The columns of the terminal that an option of a list may take.
pub(super) fn columns() -> usize {
    let columns = terminal_size::terminal_size().map_or(80, |(width, _)| width.0);
    usize::from(columns).saturating_sub(7).max(30)
}

/// A line cut to what fits.
fn cut(line: &str, columns: usize) -> String {
    match line.char_indices().nth(columns) {
        None => line.to_owned(),
        Some(_) => {
            let kept: String = line.chars().take(columns.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// The lines of a list that fit, with the question and the help around them.
fn page() -> usize {
    let lines = terminal_size::terminal_size().map_or(24, |(_, height)| height.0);
    usize::from(lines).saturating_sub(6).clamp(4, 40)
}

fn judged(refusal: Option<String>) -> Validation {
    match refusal {
        None => Validation::Valid,
        Some(reason) => Validation::Invalid(ErrorMessage::Custom(reason)),
    }
}

fn answer<T>(result: Result<T, InquireError>) -> Asked<T> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(InquireError::OperationCanceled) => Ok(None),
        Err(InquireError::OperationInterrupted) => Err(Interrupted.into()),
        Err(error) => Err(error.into()),
    }
}

/// Completes paths as a shell does.
#[derive(Debug, Clone, Copy)]
struct Paths;

impl Autocomplete for Paths {
    fn get_suggestions(&mut self, input: &str) -> Result<Vec<String>, CustomUserError> {
        Ok(beginning_with(input))
    }

    fn get_completion(
        &mut self,
        input: &str,
        highlighted: Option<String>,
    ) -> Result<Replacement, CustomUserError> {
        Ok(highlighted.or_else(|| common(&beginning_with(input))))
    }
}

/// The files and directories whose paths begin so; a directory ends in `/`.
fn beginning_with(input: &str) -> Vec<String> {
    let (typed, start) = match input.rfind('/') {
        Some(at) => input.split_at(at + 1),
        None => ("", input),
    };
    let directory = match typed.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((below, home)) => home.join(below),
        None if typed.is_empty() => PathBuf::from("."),
        None => PathBuf::from(typed),
    };
    let mut found: Vec<String> = entries(&directory)
        .filter(|name| {
            name.starts_with(start) && (!name.starts_with('.') || start.starts_with('.'))
        })
        .map(|name| format!("{typed}{name}"))
        .collect();
    found.sort();
    found
}

fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        // A link to a directory is one to walk into.
        Some(match entry.path().is_dir() {
            true => format!("{name}/"),
            false => name,
        })
    })
}

/// The longest beginning that all have.
fn common(paths: &[String]) -> Option<String> {
    let first = paths.first()?;
    let shared = |path: &String| {
        let same = first.chars().zip(path.chars()).take_while(|(a, b)| a == b);
        same.map(|(c, _)| c.len_utf8()).sum::<usize>()
    };
    let length = paths.iter().map(shared).min()?;
    first.get(..length).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_completed() {
        let place = tempfile::tempdir().unwrap();
        for name in ["mac.qcow2", "mac.xml", "other", ".hidden"] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        std::fs::create_dir(place.path().join("images")).unwrap();
        let at = |end: &str| format!("{}/{end}", place.path().display());
        for (typed, suggested, completed) in [
            ("ma", vec!["mac.qcow2", "mac.xml"], Some("mac.")),
            ("im", vec!["images/"], Some("images/")),
            (
                "",
                vec!["images/", "mac.qcow2", "mac.xml", "other"],
                Some(""),
            ),
            (".", vec![".hidden"], Some(".hidden")),
            ("x", vec![], None),
        ] {
            let found = beginning_with(&at(typed));
            assert_eq!(found, suggested.into_iter().map(at).collect::<Vec<_>>());
            assert_eq!(common(&found), completed.map(at));
        }
        assert!(beginning_with("/no/such/directory/").is_empty());
    }

    #[test]
    fn a_line_is_cut_where_it_does_not_fit() {
        assert_eq!(cut("as it is", 8), "as it is");
        assert_eq!(cut("as it is not", 8), "as it i…");
        assert_eq!(cut("as it is", 7), "as it…");
    }
}
