//! The command line: arguments in, exit status out.
//!
//! clap's types stay in this room; below it nothing knows how an option is spelled. Everything
//! that reads files, standard input or a terminal happens here.

mod apply;
mod args;
mod check;
mod choice;
mod confirm;
mod conflict;
mod connection;
mod deferred;
mod derive;
mod diff;
mod errors;
mod guided;
mod host;
mod import;
mod in_place;
mod list;
mod output;
mod plan;
mod preflight;
mod render;
mod show;
mod source;
mod undo;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use args::Cli;
use args::Command;
use errors::Advice;
use output::Output;

use crate::hypervisor::{Connector, sibling};

/// The exit status: one meaning everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Nothing is left to do: no change due, applied and verified, rendered, listed.
    Done = 0,
    /// A "no" and nothing broken: changes are due, a pass is blocked, declined.
    Pending = 1,
    /// An error: usage, bad input, something that cannot be read.
    Error = 2,
    /// Ctrl-C at a question: nothing was written.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What the commands work with.
pub(crate) struct World<'w> {
    /// Standard output and error with their colours.
    pub(crate) out: Output,
    /// Opens libvirt connections, in the program that has libvirt linked in.
    pub(crate) connector: Option<&'w dyn Connector>,
    /// `--connect`; libvirt's own choice where it is absent.
    pub(crate) uri: Option<String>,
    /// What is not known of the hosts asked so far, and was said.
    pub(crate) unknown: Vec<String>,
}

/// Runs the command line of this process.
pub fn main(connector: Option<&dyn Connector>) -> ExitCode {
    // Never taken apart: that would take longer than many a run, and the process ends anyway.
    let command = Box::leak(Box::new(Cli::command()));
    let mut matches = command
        .try_get_matches_from_mut(std::env::args_os())
        .unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches_mut(&mut matches)
        .unwrap_or_else(|error| error.format(&mut Cli::command()).exit());
    if cli.command.is_none() && !guided::can_lead() {
        // clap's own words and exit status for a command that is missing.
        Cli::command()
            .subcommand_required(true)
            .arg_required_else_help(true)
            .get_matches();
    }
    if connector.is_none() && cli.needs_libvirt() {
        // On success the process is another program by now, with the same arguments.
        let error = sibling::become_sibling(std::env::args_os().skip(1));
        // Guided, there is enough to do without libvirt, and it is said there.
        if cli.command.is_some() {
            let mut out = Output::new(&cli.global);
            out.error(&without_libvirt(&cli, error));
            return Exit::Error.into();
        }
    }
    let mut world = World {
        out: Output::new(&cli.global),
        connector,
        uri: cli.global.connect.clone(),
        unknown: Vec::new(),
    };
    match run(&cli, &mut world) {
        Ok(exit) => exit.into(),
        Err(error) => {
            world.out.error(&error);
            Exit::Error.into()
        }
    }
}

fn run(cli: &Cli, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let Some(command) = &cli.command else {
        return guided::run(world);
    };
    match command {
        Command::Diff(args) => diff::run(args, world),
        Command::Render(args) => render::run(args, world),
        Command::Check(args) => check::run(args, world),
        Command::Apply(args) => apply::run(args, world),
        Command::Preflight(args) => preflight::run(args, world),
        Command::Undo(args) => undo::run(args, world),
        Command::Host(args) => host::run(args, world),
        Command::Derive(args) => derive::run(args, world),
        Command::List(args) => list::run(args, world),
        Command::Template => {
            world.out.print(source::TEMPLATE)?;
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "virt-patch", &mut script);
            world.out.bytes(&script)?;
            Ok(Exit::Done)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            world.out.bytes(&page)?;
            Ok(Exit::Done)
        }
    }
}

fn without_libvirt(cli: &Cli, error: sibling::SiblingError) -> anyhow::Error {
    let help = match cli.first_domain() {
        Some(name) => format!(
            "a file is named with a '/' or '.xml': ./{name}; or pipe it: virsh dumpxml --inactive --security-info {name} | virt-patch diff"
        ),
        None => "build it with its default features, or use a file or standard input".to_owned(),
    };
    match cli.first_domain() {
        Some(name) => anyhow::Error::new(error).context(Advice::new(
            format!("cannot ask libvirt for the domain '{name}'"),
            help,
        )),
        None => anyhow::Error::new(error).context(Advice::new("cannot reach libvirt", help)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
