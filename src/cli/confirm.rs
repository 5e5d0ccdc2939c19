//! The question before a definition is written, and what Ctrl-C means at which moment.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::errors::Advice;
use crate::hypervisor::preflight;

/// Set while a definition is being written: a signal must wait for the end of it.
static CRITICAL: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C and SIGTERM end the program only where nothing is half done.
pub(crate) fn guard_signals() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        let mut stderr = io::stderr().lock();
        if CRITICAL.load(Ordering::SeqCst) {
            let _ = writeln!(
                stderr,
                "\ninterrupted while the definition is written: it is finished first"
            );
        } else {
            let _ = writeln!(stderr, "\ninterrupted; nothing was changed");
            preflight::clean_up();
            std::process::exit(130);
        }
    })?;
    Ok(())
}

/// Marks the moments in which a signal has to wait.
pub(crate) fn critical(begins: bool) {
    CRITICAL.store(begins, Ordering::SeqCst);
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
pub(crate) fn ask(question: &str) -> anyhow::Result<bool> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    drop(stderr);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(answer == "y" || answer == "yes")
}
