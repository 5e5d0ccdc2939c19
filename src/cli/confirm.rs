//! The question before a definition is written, and what Ctrl-C means at which moment.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::errors::Advice;
use crate::hypervisor::preflight;

/// Where the run is: what a signal may do depends on it.
static MOMENT: AtomicU8 = AtomicU8::new(READING);
/// Nothing of this domain is written yet: a signal ends the program.
const READING: u8 = 0;
/// A definition is being written: a signal has to wait.
const WRITING: u8 = 1;
/// It is written, and how it ended is being said: a signal is too late.
const WRITTEN: u8 = 2;

/// A signal came while it had to wait.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Something was written in this run, to this domain or one before it.
static WROTE: AtomicBool = AtomicBool::new(false);

/// What comes of the question before a definition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Write it.
    Yes,
    /// Leave it.
    No,
    /// Start a throw-away copy, then ask again.
    Preflight,
    /// Neither: whoever asked goes on in another way.
    Back,
}

/// From here on Ctrl-C and SIGTERM end the program only where nothing is half done.
pub(crate) fn guard_signals() -> anyhow::Result<()> {
    static GUARDED: AtomicBool = AtomicBool::new(false);
    if GUARDED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        let mut stderr = io::stderr().lock();
        match MOMENT.load(Ordering::SeqCst) {
            WRITING if INTERRUPTED.swap(true, Ordering::SeqCst) => {
                let _ = writeln!(
                    stderr,
                    "\ninterrupted again: it is not known which definition the domain has; 'virt-patch undo --list' shows the backup of the old one"
                );
                std::process::exit(130);
            }
            WRITING => {
                let _ = writeln!(
                    stderr,
                    "\ninterrupted while the definition is written: it is finished first (once more ends at once)"
                );
            }
            WRITTEN => INTERRUPTED.store(true, Ordering::SeqCst),
            _ => {
                let more = if WROTE.load(Ordering::SeqCst) {
                    " more"
                } else {
                    ""
                };
                let _ = writeln!(stderr, "\ninterrupted; nothing{more} was changed");
                preflight::clean_up();
                std::process::exit(130);
            }
        }
    })?;
    Ok(())
}

/// Marks the moments in which a signal has to wait.
pub(crate) fn critical(begins: bool) {
    if begins {
        WROTE.store(true, Ordering::SeqCst);
    }
    MOMENT.store(if begins { WRITING } else { WRITTEN }, Ordering::SeqCst);
}

/// The next domain begins: from here a signal finds nothing half done again. `false` when one came
/// meanwhile: then it does not begin.
pub(crate) fn next() -> bool {
    MOMENT.store(READING, Ordering::SeqCst);
    !INTERRUPTED.load(Ordering::SeqCst)
}

/// Refuses early where nobody could be asked.
pub(crate) fn can_ask(yes: bool, command: &str) -> anyhow::Result<()> {
    if yes || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Advice::new(
        "there is no terminal to ask on",
        format!("look at it with --dry-run, then say {command} --yes"),
    )
    .into())
}

/// Asks on stderr; only `y` and `yes` mean yes.
pub(crate) fn ask(question: &str) -> anyhow::Result<Answer> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    drop(stderr);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(match answer.as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    })
}
