//! The diff, and what comes of it.

use std::fmt;

use super::choices::{Sink, Subject, line};
use super::prompt::{Asked, select};
use super::{Guide, Turn};
use crate::cli::args::Command;
use crate::cli::confirm::Answer;
use crate::cli::{Exit, World, apply, diff, render};

/// What can be done once the diff is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    Leave,
    /// With the words for it.
    Write(String),
    Try,
    Passes,
    More,
    Setting,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Move::Leave => "Nothing: leave everything as it is",
            Move::Write(what) => what,
            Move::Try => "Start a throw-away copy first, and ask QEMU what it has",
            Move::Passes => "Choose among the passes again",
            Move::More => "Add passes and patches",
            Move::Setting => "Change a setting",
        })
    }
}

impl Guide {
    /// Shows what would change, asks what to do, and does it. Enter alone changes nothing.
    pub(super) fn hub(&mut self, world: &mut World<'_>) -> anyhow::Result<Turn> {
        loop {
            world.out.always("");
            let (made, shown) = match self.choices.sink {
                Sink::Define => self.define(world)?,
                Sink::InPlace | Sink::Output(_) => self.write(world)?,
            };
            let next = match made {
                Some(next) => next,
                // There was nothing to ask, or something stands in the way.
                None => match menu(None, false)? {
                    Some(next) => next,
                    None => return Ok(Turn::Back),
                },
            };
            match next {
                Move::Write(_) | Move::Leave => {
                    self.print_command(world)?;
                    return Ok(Turn::End(shown));
                }
                Move::Passes => return Ok(Turn::Back),
                Move::Try => {}
                Move::More => self.more(world)?,
                Move::Setting => self.setting(world)?,
            }
        }
    }

    /// `apply`, with a menu for its question. What was chosen there, if it came to that.
    fn define(&self, world: &mut World<'_>) -> anyhow::Result<(Option<Move>, Exit)> {
        let Command::Apply(args) = self.parsed(&self.choices.command())? else {
            anyhow::bail!("'apply' is not apply");
        };
        let mut made = None;
        let exit = apply::run_asking(&args, world, &mut |question| {
            let chosen = menu(Some(question.trim_end_matches('?').to_owned()), true);
            let answer = match &chosen {
                Ok(Some(Move::Write(_))) => Answer::Yes,
                Ok(Some(Move::Try)) => Answer::Preflight,
                Ok(Some(Move::Leave)) => Answer::No,
                Ok(Some(Move::Passes | Move::More | Move::Setting) | None) | Err(_) => Answer::Back,
            };
            made = Some(chosen);
            Ok(answer)
        });
        if let Some(made) = made {
            return Ok((Some(made?.unwrap_or(Move::Passes)), exit?));
        }
        let exit = exit.unwrap_or_else(|error| {
            world.out.error(&error);
            Exit::Error
        });
        Ok((None, exit))
    }

    /// `diff`, then `render` where that is chosen.
    fn write(&self, world: &mut World<'_>) -> anyhow::Result<(Option<Move>, Exit)> {
        let Command::Diff(args) = self.parsed(&self.choices.words("diff"))? else {
            anyhow::bail!("'diff' is not diff");
        };
        let shown = diff::run(&args, world)?;
        let file = match (&self.choices.sink, &self.choices.subject) {
            (Sink::Output(file), _) => format!("Write '{file}'"),
            // As it should be: there is nothing to write.
            (_, _) if shown != Exit::Pending => return Ok((None, shown)),
            (_, Subject::File(file)) => format!("Change '{file}'"),
            (_, Subject::New | Subject::Domain(_)) => anyhow::bail!("no file to change"),
        };
        let made = menu(Some(file), false)?;
        if !matches!(made, Some(Move::Write(_))) {
            if made == Some(Move::Leave) {
                world.out.always("Nothing was changed.");
            }
            return Ok((made.or(Some(Move::Passes)), shown));
        }
        let Command::Render(args) = self.parsed(&self.choices.command())? else {
            anyhow::bail!("'render' is not render");
        };
        match render::run(&args, world)? {
            Exit::Done => {
                if let Sink::Output(file) = &self.choices.sink {
                    world.out.say(&format!("'{file}' is written"));
                }
                Ok((made, Exit::Done))
            }
            // Something is blocked, and was told.
            exit => Ok((None, exit)),
        }
    }

    fn print_command(&self, world: &mut World<'_>) -> anyhow::Result<()> {
        let command = line(&self.choices.command());
        world
            .out
            .print(&format!("\nThe same from a command line:\n  {command}\n"))?;
        Ok(())
    }
}

/// Leaving is first: Enter alone is no yes.
fn menu(write: Option<String>, can_try: bool) -> Asked<Move> {
    let mut moves = vec![Move::Leave];
    moves.extend(write.map(Move::Write));
    if can_try {
        moves.push(Move::Try);
    }
    moves.extend([Move::Passes, Move::More, Move::Setting]);
    select("What now?", moves, 0)
}
