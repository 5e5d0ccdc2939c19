//! `virt-patch` alone, on a terminal: leads from a domain to its new definition.
//!
//! Every question adds to the [`Choices`], and whatever runs is the command line made of them, through
//! the very commands that are there without questions. So nothing can be done here that cannot be
//! typed, and what is printed at the end is what was run.

mod choices;
mod hub;
mod prompt;
mod steps;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context as _;
use clap::Parser;

use self::choices::{Choices, Sink, Subject, expanded, file_source, line, source_of};
use self::prompt::{Begin, Interrupted, Line, path, select, text};
use super::args::{Cli, Command};
use super::source::quoted;
use super::{Exit, World, choice, confirm};
use crate::hypervisor::Mode;
use crate::macos::{Mac, Release};
use crate::passes::machine_name;
use crate::passes::settings::{self, Settings};
use crate::patches::{Kind, Library};
use crate::profile::{self, Profile};

/// What comes after a question.
enum Turn {
    /// The next one.
    On,
    /// The one before.
    Back,
    /// The same once more.
    Again,
    /// It does not arise here: on in the direction one came from.
    Skip,
    /// Nothing more.
    End(Exit),
}

type Question = fn(&mut Guide, &mut World<'_>) -> anyhow::Result<Turn>;

/// The questions in their order; each may ask for what those before it chose.
const QUESTIONS: &[Question] = &[
    Guide::subject,
    Guide::sink,
    Guide::profile,
    Guide::macos,
    Guide::name,
    Guide::disks,
    Guide::passes,
    Guide::hub,
];

/// The way so far.
struct Guide {
    choices: Choices,
    library: Library,
    /// The domains of the connection, once they were read.
    reachable: bool,
    taken: Vec<String>,
}

/// Whether there is somebody to lead: questions are read from stdin and asked on stderr, and the diff is on
/// stdout.
pub(crate) fn can_lead() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

pub(crate) fn run(world: &mut World<'_>) -> anyhow::Result<Exit> {
    confirm::guard_signals()?;
    if !world.out.stderr_color {
        inquire::set_global_render_config(inquire::ui::RenderConfig::empty());
    }
    world.out.always(
        "virt-patch retrofits libvirt domains. Nothing is changed before you have seen the diff and said yes.\n\
         Esc goes back, Ctrl-C leaves; 'virt-patch --help' tells how to do without questions.\n",
    );
    let mut guide = Guide {
        choices: Choices {
            connect: world.uri.clone(),
            profile: profile::DEFAULT.to_owned(),
            ..Choices::default()
        },
        library: Library::standard(),
        reachable: false,
        taken: Vec::new(),
    };
    match guide.lead(world) {
        Err(error) if error.is::<Interrupted>() => {
            world.out.always("interrupted; nothing was changed");
            Ok(Exit::Interrupted)
        }
        ended => ended,
    }
}

impl Guide {
    fn lead(&mut self, world: &mut World<'_>) -> anyhow::Result<Exit> {
        let mut at = 0;
        let mut on = true;
        while let Some(question) = QUESTIONS.get(at) {
            on = match question(self, world)? {
                Turn::On => true,
                Turn::Back => false,
                Turn::Again => continue,
                Turn::Skip => on,
                Turn::End(exit) => return Ok(exit),
            };
            at = match on {
                true => at + 1,
                false => match at.checked_sub(1) {
                    Some(before) => before,
                    None => break,
                },
            };
        }
        world.out.always("Nothing was changed.");
        Ok(Exit::Pending)
    }

    fn subject(&mut self, world: &mut World<'_>) -> anyhow::Result<Turn> {
        enum Pick {
            Domain(String),
            New,
            File,
            Elsewhere,
        }
        let mut picks = Vec::new();
        let mut place = String::new();
        self.taken.clear();
        self.reachable = false;
        match world.connector.is_some().then(|| domains(world)) {
            None => world
                .out
                .always("This virt-patch was installed without libvirt support: files and new machines only.\n"),
            Some(Err(error)) => {
                world.out.error(&error);
                world.out.always("");
            }
            Some(Ok((uri, domains))) => {
                self.reachable = true;
                let width = domains.iter().map(|domain| domain.name.chars().count()).max();
                for domain in &domains {
                    let label = format!("{:<1$}  {2}", domain.name, width.unwrap_or(0), domain.state);
                    picks.push(Line::new(Pick::Domain(source_of(domain)), &label));
                    self.taken.push(domain.name.clone());
                }
                place = format!(" (domains are those of {uri})");
            }
        }
        picks.push(Line::new(Pick::New, "A new machine"));
        picks.push(Line::new(Pick::File, "A file"));
        if world.connector.is_some() {
            let shown = "Domains of another libvirt connection";
            picks.push(Line::new(Pick::Elsewhere, shown));
        }
        let message = format!("What is to be patched?{place}");
        let picked = select(&message, picks, 0)?.map(|line| line.what);
        let subject = match picked {
            None => return Ok(Turn::Back),
            Some(Pick::Domain(source)) => Subject::Domain(source),
            Some(Pick::New) => Subject::New,
            Some(Pick::File) => {
                let help = "a domain definition; Tab completes";
                match path("Which file?", help, is_no_file)? {
                    None => return Ok(Turn::Again),
                    Some(file) => Subject::File(file_source(&file)),
                }
            }
            Some(Pick::Elsewhere) => {
                let help =
                    "as in virsh -c: qemu:///system, qemu:///session, qemu+ssh://user@host/system";
                if let Some(uri) = text("Which connection?", &Begin::Empty, help, is_empty)? {
                    self.choices.connect = Some(uri.clone());
                    world.uri = Some(uri);
                }
                return Ok(Turn::Again);
            }
        };
        // Names and images belong to one machine.
        if self.choices.subject != subject {
            self.choices = Choices {
                connect: self.choices.connect.take(),
                profile: std::mem::take(&mut self.choices.profile),
                subject,
                ..Choices::default()
            };
        }
        Ok(Turn::On)
    }

    fn sink(&mut self, _: &mut World<'_>) -> anyhow::Result<Turn> {
        let define = |shown: &str| self.reachable.then(|| Line::new(Sink::Define, shown));
        let in_place = Line::new(Sink::InPlace, "the file itself is changed");
        let output = Line::new(Sink::Output(String::new()), "it is written to another file");
        let picks: Vec<Line<Sink>> = match self.choices.subject {
            Subject::Domain(_) => {
                self.choices.sink = Sink::Define;
                return Ok(Turn::Skip);
            }
            Subject::New => define("libvirt defines it")
                .into_iter()
                .chain([output])
                .collect(),
            Subject::File(_) => [in_place, output]
                .into_iter()
                .chain(define("libvirt defines it as a domain"))
                .collect(),
        };
        let Some(picked) = select("What becomes of the result?", picks, 0)? else {
            return Ok(Turn::Back);
        };
        self.choices.sink = match picked.what {
            Sink::Output(_) => match path("To which file?", "Tab completes", is_there)? {
                None => return Ok(Turn::Again),
                Some(file) => Sink::Output(expanded(&file)),
            },
            sink => sink,
        };
        Ok(Turn::On)
    }

    fn profile(&mut self, world: &mut World<'_>) -> anyhow::Result<Turn> {
        let (items, errors) = self.library.all(Kind::Profile);
        for error in errors {
            world.out.error(&error.into());
        }
        let mut picks = Vec::new();
        for item in &items {
            match Profile::load(item, &self.library).map_err(choice::profile_error) {
                Ok(Profile { name, summary, .. }) => {
                    let shown = format!("{name:<15} {summary}");
                    picks.push(Line::new(name, &shown));
                }
                Err(error) => world.out.error(&error),
            }
        }
        let present = picks
            .iter()
            .position(|pick| pick.what == self.choices.profile);
        let Some(Line { what: name, .. }) = select("Which profile?", picks, present.unwrap_or(0))?
        else {
            return Ok(Turn::Back);
        };
        if name != self.choices.profile {
            // They were choices among that profile's.
            self.choices.skip.clear();
            self.choices.macos = None;
            self.choices.profile = name;
        }
        Ok(Turn::On)
    }

    fn macos(&mut self, _: &mut World<'_>) -> anyhow::Result<Turn> {
        let Some(mac) = self.mac()? else {
            return Ok(Turn::Skip);
        };
        let newest = mac.newest();
        let label = |release: &Release| match release == newest {
            true => format!("{release}, the newest for a {}", mac.model),
            false => release.to_string(),
        };
        let releases = mac.releases().iter().rev();
        let picks: Vec<Line<&Release>> = releases.map(|one| Line::new(one, &label(one))).collect();
        let present = picks
            .iter()
            .position(|pick| Some(pick.what.name) == self.choices.macos.as_deref());
        match select("Which macOS is it to run?", picks, present.unwrap_or(0))? {
            None => Ok(Turn::Back),
            Some(Line { what: release, .. }) => {
                self.choices.macos = (release != newest).then(|| release.name.to_owned());
                Ok(Turn::On)
            }
        }
    }

    /// The Mac that the profile's guest stands for.
    fn mac(&self) -> anyhow::Result<Option<&'static Mac>> {
        let profile = choice::profile(&self.choices.profile, &self.library)?;
        let model = profile
            .settings
            .iter()
            .rev()
            .find(|(key, _)| key == "mac.model");
        Ok(model.and_then(|(_, model)| Mac::find(model)))
    }

    fn name(&mut self, _: &mut World<'_>) -> anyhow::Result<Turn> {
        if self.choices.subject != Subject::New {
            return Ok(Turn::Skip);
        }
        let taken = self.taken.clone();
        let refuse = move |name: &str| match Settings::default().set("machine-name.name", name) {
            Err(settings::SettingError::Value { reason, .. }) => Some(reason),
            _ if taken.iter().any(|one| one == name) => {
                Some(format!("there is a domain {} already", quoted(name)))
            }
            _ => None,
        };
        let usual = self.mac()?.map(machine_name::usual_name);
        let usual = self.choices.name.clone().or(usual);
        let begin = usual.as_deref().map_or(Begin::Empty, Begin::Or);
        let help = "the domain's name, as virsh will show it";
        let Some(name) = text("What is it called?", &begin, help, refuse)? else {
            return Ok(Turn::Back);
        };
        self.choices.name = Some(name);
        Ok(Turn::On)
    }

    fn disks(&mut self, _: &mut World<'_>) -> anyhow::Result<Turn> {
        if self.choices.subject != Subject::New {
            return Ok(Turn::Skip);
        }
        let which = match self.mac()? {
            Some(_) => "OpenCore's first, then that of macOS",
            None => "the one it boots from first",
        };
        let mut disks = Vec::new();
        loop {
            let message = match disks.len() {
                0 => "An image for a disk?".to_owned(),
                n => format!("And an image for disk {}?", n + 1),
            };
            let help = format!("{which}; Tab completes, Enter alone when there is no more");
            match path(&message, &help, is_no_image)? {
                None => return Ok(Turn::Back),
                Some(image) if image.is_empty() => break,
                Some(image) => disks.push(expanded(&image)),
            }
        }
        self.choices.disks = disks;
        Ok(Turn::On)
    }

    /// The command that the choices make, as its arguments.
    fn parsed(&self, words: &[String]) -> anyhow::Result<Command> {
        let cli =
            Cli::try_parse_from(words).with_context(|| format!("cannot run '{}'", line(words)))?;
        cli.command.context("a command line without a command")
    }
}

/// Where libvirt was asked, and the domains it has.
fn domains(world: &World<'_>) -> anyhow::Result<(String, Vec<crate::hypervisor::DomainInfo>)> {
    let connection = world.open(Mode::ReadOnly)?;
    let domains = connection.domains().context("cannot list the domains")?;
    let stored = domains.into_iter().filter(|domain| domain.persistent);
    Ok((connection.uri()?, stored.collect()))
}

fn is_empty(text: &str) -> Option<String> {
    text.is_empty().then(|| "Esc goes back".to_owned())
}

fn is_no_file(path: &str) -> Option<String> {
    is_empty(path).or_else(|| why_no_file(path))
}

/// A disk may also be a block device.
fn is_no_image(path: &str) -> Option<String> {
    match path {
        "" => None,
        path => why_no_file(path),
    }
}

fn why_no_file(path: &str) -> Option<String> {
    match fs::metadata(expanded(path)) {
        Ok(file) if file.is_dir() => Some("this is a directory".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn is_there(path: &str) -> Option<String> {
    is_empty(path).or_else(|| {
        let is_there = Path::new(&expanded(path)).exists();
        is_there.then(|| "it is there already, and would be lost".to_owned())
    })
}
