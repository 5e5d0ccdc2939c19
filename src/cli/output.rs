//! Standard output and error: who may write what where, and in which colours.

use std::io::{self, IsTerminal, Write};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;

use super::args::{Global, When};
use super::errors::{self, Styles};
use crate::pipeline::Verdict;

/// The two streams. stdout carries the asked-for thing and nothing else.
pub(crate) struct Output {
    /// stdout is coloured.
    pub(crate) color: bool,
    /// stdout is a terminal.
    pub(crate) terminal: bool,
    /// stderr is coloured.
    pub(crate) stderr_color: bool,
    quiet: bool,
    verbose: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Output {
        let decide = |auto: ColorChoice| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => auto != ColorChoice::Never,
        };
        Output {
            color: decide(anstream::AutoStream::choice(&io::stdout())),
            stderr_color: decide(anstream::AutoStream::choice(&io::stderr())),
            terminal: io::stdout().is_terminal(),
            quiet: global.quiet,
            verbose: global.verbose,
        }
    }

    /// Whether only errors are said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says no more than errors from here on, or more again; what it was before.
    pub(crate) fn hush(&mut self, quiet: bool) -> bool {
        std::mem::replace(&mut self.quiet, quiet)
    }

    /// Writes to stdout. A reader that has gone (`| head`) is not an error.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes to stdout.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes a line to stderr, unless `--quiet`.
    pub(crate) fn say(&mut self, line: &str) {
        if !self.quiet {
            self.stderr(&format!("{line}\n"));
        }
    }

    /// Writes a line to stderr with `--verbose`.
    pub(crate) fn detail(&mut self, line: &str) {
        if self.verbose {
            self.stderr(&format!("{line}\n"));
        }
    }

    /// Writes lines to stderr with `--verbose`; they are not made otherwise.
    pub(crate) fn details(&mut self, lines: impl FnOnce() -> Vec<String>) {
        if self.verbose {
            for line in lines() {
                self.detail(&line);
            }
        }
    }

    /// Writes a line to stderr even with `--quiet`: the reason why there is no output.
    pub(crate) fn always(&mut self, line: &str) {
        self.stderr(&format!("{line}\n"));
    }

    /// Writes a warning to stderr, unless `--quiet`.
    pub(crate) fn warn(&mut self, sentence: &str) {
        let yellow = self.style(AnsiColor::Yellow);
        self.say(&format!("{yellow}warning{yellow:#}: {sentence}"));
    }

    /// Writes an error report to stderr, always.
    pub(crate) fn error(&mut self, error: &anyhow::Error) {
        let styles = Styles {
            error: self.style(AnsiColor::Red),
            place: self.style(AnsiColor::Blue),
        };
        let report = errors::format(error, &styles);
        self.stderr(&report);
    }

    /// The columns of the terminal that stdout or stderr is; what goes elsewhere is not broken.
    pub(crate) fn columns(&self, stdout: bool) -> Option<usize> {
        let size = match stdout {
            true => terminal_size_of(io::stdout()),
            false => terminal_size_of(io::stderr()),
        };
        size.map(|(width, _)| usize::from(width.0))
    }

    /// The style of a verdict on stdout or stderr.
    pub(crate) fn verdict(&self, verdict: Verdict, stdout: bool) -> Style {
        let colored = if stdout {
            self.color
        } else {
            self.stderr_color
        };
        if !colored {
            return Style::new();
        }
        match verdict {
            Verdict::Changed => AnsiColor::Yellow.on_default().bold(),
            Verdict::Satisfied => AnsiColor::Green.on_default(),
            Verdict::NotApplicable => Style::new().dimmed(),
            Verdict::Blocked => AnsiColor::Red.on_default().bold(),
        }
    }

    fn style(&self, color: AnsiColor) -> Style {
        match self.stderr_color {
            true => color.on_default().bold(),
            false => Style::new(),
        }
    }

    fn stderr(&mut self, text: &str) {
        // There is nowhere left to report that stderr cannot be written.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
