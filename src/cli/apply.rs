//! `virt-patch apply`: diff, ask, back up, redefine, verify.

mod stored;

use std::io;

use anyhow::Context as _;
use serde_json::json;

use super::args::ApplyArgs;
use super::confirm::Answer;
use super::connection::{libvirt_message, must_be_stored, must_start_anew, takes_effect};
use super::errors::{Advice, InFile};
use super::plan::Job;
use super::source::{self, Definition, SourceName, quoted};
use super::{Exit, World, confirm, conflict, import, preflight, show};
use crate::document::Document;
use crate::hypervisor::backup::Store;
use crate::hypervisor::redefine::{self, Change, Means, RedefineError, Redefined};
use crate::hypervisor::{DomainInfo, Hypervisor, Mode, Secrets, blame};
use crate::merge::{self, Patch};
use crate::pipeline::{Plan, StepReport, Verdict};
use crate::report::diff::{DiffOptions, Labels, unified};
use crate::report::{mask, provenance, verdicts};
use stored::{help_for, unsatisfied};

/// Asks the question before a definition is written.
pub(crate) type Asks<'a> = &'a mut dyn FnMut(&str) -> anyhow::Result<Answer>;

pub(crate) fn run(args: &ApplyArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    run_asking(args, world, &mut confirm::ask)
}

/// The same, with the question asked by `ask`.
pub(crate) fn run_asking(
    args: &ApplyArgs,
    world: &mut World<'_>,
    ask: Asks<'_>,
) -> anyhow::Result<Exit> {
    let job = Job::explicit(&args.run)?;
    // `--pass ''` is a choice too: a file may be imported as it is.
    if job.is_empty() && args.run.profile.is_none() && args.run.pass.is_none() {
        return Err(Advice::new(
            "apply has no default profile: redefining asks for an explicit choice",
            "say what to apply, for example -p macpro7,1, --pass topology, --patch FILE or --memory 8GiB",
        )
        .into());
    }
    if !args.dry_run {
        confirm::can_ask(args.yes, "apply")?;
    }
    let mut worst = Exit::Done;
    let names = args.sources.names()?;
    if names.contains(&SourceName::Stdin) && !args.yes && !args.dry_run {
        return Err(Advice::new(
            "the definition comes from standard input, so nobody can be asked there",
            "look at it with --dry-run, then say apply --yes",
        )
        .into());
    }
    confirm::guard_signals()?;
    let connection = world.open(Mode::ReadWrite)?;
    let mut left = names.into_iter();
    while let Some(name) = left.next() {
        if !confirm::next() {
            let left: Vec<String> = std::iter::once(name)
                .chain(left)
                .map(|name| quoted(&name.to_string()))
                .collect();
            world
                .out
                .always(&format!("interrupted; not begun: {}", left.join(", ")));
            return Ok(Exit::Interrupted);
        }
        let applied = Target::of(&name, args, &*connection, world)
            .and_then(|target| target.apply(args, &job, &*connection, world, ask));
        worst = worst.max(super::check::or_report(applied, world));
    }
    Ok(worst)
}

/// A domain to be redefined, or a definition to become one.
struct Target {
    /// The domain that is there.
    info: Option<DomainInfo>,
    /// Its stored definition; empty for a new domain.
    stored: String,
    /// What the passes run over.
    definition: Definition,
    /// Of the connection, as it calls itself.
    uri: String,
}

impl Target {
    fn of(
        name: &SourceName,
        args: &ApplyArgs,
        connection: &dyn Hypervisor,
        world: &mut World<'_>,
    ) -> anyhow::Result<Target> {
        let uri = connection.uri()?;
        if let SourceName::Domain(name) = name {
            if args.run.name.is_some() {
                return Err(Advice::new(
                    format!("--name is for a new domain, and '{name}' is one that is there"),
                    format!(
                        "rename it with virsh domrename {} NEW, which keeps everything else",
                        source::shell_word(name)
                    ),
                )
                .into());
            }
            let info = world.find(connection, name)?;
            must_be_stored(&info)?;
            let definition = world.definition_of(connection, &info, Secrets::Included)?;
            return Ok(Target {
                stored: definition.text.clone(),
                info: Some(info),
                definition,
                uri,
            });
        }
        let mut definition = source::read(name)?;
        let document = Document::parse_domain(&definition.text)
            .map_err(|error| InFile::document(&definition.name, error))
            .with_context(|| format!("cannot read {}", source::quoted(&definition.name)))?;
        let its_name = args
            .run
            .name
            .clone()
            .or_else(|| document.text_at(&["name"]).map(str::to_owned));
        let its_uuid = document.text_at(&["uuid"]).map(str::to_owned);
        drop(document);
        let Some(its_name) = its_name else {
            return Err(Advice::new(
                format!("{} names no domain", source::quoted(&definition.name)),
                "give it a <name>",
            )
            .into());
        };
        if definition.template && args.run.name.is_none() {
            return Err(Advice::new(
                "a new machine needs a name",
                "say apply --template --name NAME",
            )
            .into());
        }
        definition.host = Some(world.host_of(connection, &definition.text)?);
        match taken_by(connection, &its_name, its_uuid.as_deref(), args.replace)? {
            Some(info) => {
                must_be_stored(&info)?;
                // Name and UUID are what makes it this domain; libvirt refuses a change of one.
                let text = identified(&definition, &info.name, Some(&info.uuid))?;
                let stored = connection.definition(&info.uuid, Secrets::Included)?;
                definition.text = import::in_the_place_of(&stored, text, world)?;
                Ok(Target {
                    stored,
                    info: Some(info),
                    definition,
                    uri,
                })
            }
            None => {
                definition.is_new = true;
                let text = identified(&definition, &its_name, None)?;
                let renamed = text != definition.text;
                definition.text = import::on_its_own(text, renamed, connection, world)?;
                Ok(Target {
                    info: None,
                    stored: String::new(),
                    definition,
                    uri,
                })
            }
        }
    }

    fn apply(
        mut self,
        args: &ApplyArgs,
        job: &Job,
        connection: &dyn Hypervisor,
        world: &mut World<'_>,
        ask: Asks<'_>,
    ) -> anyhow::Result<Exit> {
        let mut plan = job.plan(&self.definition, world)?;
        if self.info.is_none() {
            let (text, from_template) = (&self.definition.text, self.definition.template);
            let fresh =
                import::with_a_fresh_nvram(&plan.after, text, from_template, connection, world)?;
            if let Some(fresh) = fresh {
                self.definition.text = fresh;
                plan = job.plan(&self.definition, world)?;
            }
        }
        let definition = &self.definition;
        let (uri, name) = (self.uri.clone(), self.name());
        let asks = !args.yes && !args.dry_run;
        if args.json && asks {
            // Nobody should have to answer for what he has not seen.
            let diff = self.diff(&plan, DiffOptions::default());
            world.out.always(diff.trim_end());
        }
        if !args.json {
            self.show_diff(&plan, world)?;
            let is_done = self.info.is_some() && plan.after == self.stored;
            match plan.changed() || is_done {
                true => show::summary(&definition.name, &plan, &mut world.out),
                // As it is, but it is not there yet.
                false => show::warnings(&definition.name, &plan, &mut world.out),
            }
        }
        let blocked: Vec<_> = plan.blocked().collect();
        if !blocked.is_empty() {
            show::blocked(&blocked, &mut world.out);
            return self.report(args, job, &plan, "pending", None, world, Exit::Pending);
        }
        if self.info.is_some() && plan.after == self.stored {
            return self.report(args, job, &plan, "unchanged", None, world, Exit::Done);
        }
        if let Some(info) = self.info.as_ref().filter(|_| !args.dry_run) {
            must_start_anew(info, args.force)?;
        }
        let is_good = !args.preflight || preflight::try_out(connection, &plan.after, world)?;
        if args.dry_run || !is_good {
            return self.report(args, job, &plan, "pending", None, world, Exit::Pending);
        }
        let question = match &self.info {
            Some(_) => format!("Redefine '{name}' on {uri}?"),
            None => format!("Define the new domain '{name}' on {uri}?"),
        };
        loop {
            let answer = match args.yes {
                true => Answer::Yes,
                false => ask(&question)?,
            };
            match answer {
                Answer::Yes => break,
                Answer::Preflight => {
                    if let Err(error) = preflight::try_out(connection, &plan.after, world) {
                        world.out.error(&error);
                    }
                    continue;
                }
                Answer::No => world.out.always("Nothing was changed."),
                Answer::Back => {}
            }
            return self.report(args, job, &plan, "declined", None, world, Exit::Pending);
        }
        if let Some(info) = &mut self.info {
            match conflict::look_again(info, connection, args.force, world)? {
                Some(now) => *info = now,
                None => {
                    return self.report(args, job, &plan, "conflict", None, world, Exit::Pending);
                }
            }
        }
        self.write(args, job, &plan, connection, world)
    }

    fn write(
        &self,
        args: &ApplyArgs,
        job: &Job,
        plan: &Plan,
        connection: &dyn Hypervisor,
        world: &mut World<'_>,
    ) -> anyhow::Result<Exit> {
        let name = self.name();
        let store = Store::in_environment(|name| std::env::var_os(name))?;
        let facts = job.facts(&self.definition, world)?;
        let verify = |stored: &str| unsatisfied(job, plan, &self.definition, &facts, stored);
        let reconnect = || {
            let connector =
                world
                    .connector
                    .ok_or(crate::hypervisor::HypervisorError::ReadOnly {
                        doing: "connect again".to_owned(),
                    })?;
            connector.open(
                connection.uri().ok().as_deref().or(world.uri.as_deref()),
                Mode::ReadWrite,
            )
        };
        let change = Change {
            uuid: self.info.as_ref().map(|info| info.uuid.as_str()),
            before: &self.stored,
            after: &plan.after,
            is_printed: false,
        };
        let means = Means {
            hypervisor: connection,
            reconnect: &reconnect,
            store: &store,
            patience: redefine::PATIENCE,
            verify: &verify,
            critical: &confirm::critical,
        };
        match redefine::redefine(&change, &means) {
            Ok(Redefined::Applied {
                is_as_before: true, ..
            }) => {
                world.out.say(&format!(
                    "Domain '{name}' is as it was: libvirt makes the same definition of this one."
                ));
                let without_effect = self.without_effect(plan);
                for step in &without_effect {
                    world.out.warn(&format!(
                        "libvirt leaves out what '{step}' says here, or works it out itself; 'check' will call it changed again"
                    ));
                }
                let exit = match without_effect.is_empty() {
                    true => Exit::Done,
                    false => Exit::Pending,
                };
                self.report(args, job, plan, "unchanged", None, world, exit)
            }
            Ok(Redefined::Applied {
                uuid,
                backup,
                closed,
                ..
            }) => {
                for directory in closed {
                    world.out.warn(&format!(
                        "'{}' could be read by others and is closed to them now",
                        directory.display()
                    ));
                }
                world.out.say(&match &self.info {
                    Some(info) => format!("Domain '{name}' redefined; {}.", takes_effect(info)),
                    None => format!("Domain '{name}' defined."),
                });
                if let Some(backup) = &backup {
                    world.out.say(&format!(
                        "'virt-patch {}undo {}' puts the old definition back, from {}",
                        world.connect_option(),
                        // A name may be another domain's UUID.
                        match name.len() == uuid.len() && name.contains('-') {
                            true => uuid.as_str().into(),
                            false => source::shell_word(&name),
                        },
                        backup.display()
                    ));
                }
                let backup = backup.map(|path| path.display().to_string());
                self.report(args, job, plan, "applied", backup, world, Exit::Done)
            }
            Ok(Redefined::Conflict { now }) => {
                conflict::tell(&name, &self.stored, &now, world);
                self.report(args, job, plan, "conflict", None, world, Exit::Pending)
            }
            Ok(Redefined::RolledBack {
                problems,
                backup,
                aside,
            }) => {
                let now = match &self.info {
                    Some(_) => format!("the old definition of '{name}' is back"),
                    None => format!("'{name}' is not defined"),
                };
                world.out.always(&format!(
                    "libvirt did not store what it was given, so {now}. What was lost:"
                ));
                for problem in problems {
                    world.out.always(&format!("  {problem}"));
                }
                conflict::tell_aside(aside.as_deref(), world);
                let backup = backup.map(|path| path.display().to_string());
                self.report(args, job, plan, "rolled-back", backup, world, Exit::Pending)
            }
            Err(error) => Err(self.explained(error, plan)),
        }
    }

    /// The steps that change what libvirt had, where it has the same again.
    fn without_effect<'p>(&self, plan: &'p Plan) -> Vec<&'p str> {
        if plan.before != self.stored {
            return Vec::new();
        }
        let changed = |step: &&StepReport| step.verdict == Verdict::Changed;
        let steps = plan.steps.iter().filter(changed);
        steps.map(|step| step.name.as_str()).collect()
    }

    /// A refusal with the line of our definition it speaks of.
    fn explained(&self, error: RedefineError, plan: &Plan) -> anyhow::Error {
        let line = match &error {
            RedefineError::Refused(source) => libvirt_message(source)
                .and_then(|message| blame::line_of(message, &self.stored, &plan.after)),
            _ => None,
        };
        let help = match &error {
            RedefineError::Refused(source) => libvirt_message(source).and_then(help_for),
            _ => None,
        };
        let name = self.name();
        let cannot = match &self.info {
            Some(_) => "cannot redefine",
            None => "cannot define",
        };
        match line {
            Some(excerpt) => anyhow::Error::new(error).context(InFile {
                file: format!("{name}, as it would be"),
                message: format!("{cannot} '{name}'"),
                excerpt,
                help: help.map(str::to_owned),
            }),
            None => anyhow::Error::new(error).context(format!("{cannot} '{name}'")),
        }
    }

    fn name(&self) -> String {
        match &self.info {
            Some(info) => info.name.clone(),
            None => Document::parse(&self.definition.text)
                .ok()
                .and_then(|document| document.text_at(&["name"]).map(str::to_owned))
                .unwrap_or_default(),
        }
    }

    fn show_diff(&self, plan: &Plan, world: &mut World<'_>) -> io::Result<()> {
        let options = DiffOptions {
            color: world.out.color,
            terminal: world.out.terminal,
            ..DiffOptions::default()
        };
        let diff = self.diff(plan, options);
        world.out.print(&diff)
    }

    fn diff(&self, plan: &Plan, options: DiffOptions) -> String {
        let masked = mask::mask_pair(&self.stored, &plan.after);
        let labels = Labels::domain(&self.name(), &self.uri);
        unified(&masked.before, &masked.after, &labels, &options)
    }

    #[allow(clippy::too_many_arguments)]
    fn report(
        &self,
        args: &ApplyArgs,
        job: &Job,
        plan: &Plan,
        outcome: &str,
        backup: Option<String>,
        world: &mut World<'_>,
        exit: Exit,
    ) -> anyhow::Result<Exit> {
        if args.json {
            let diff = self.diff(plan, DiffOptions::default());
            let mut object =
                verdicts::object(&self.definition.name, &job.profile, plan, Some(&diff));
            verdicts::add_edits(&mut object, provenance::edits(plan, false));
            if let Some(object) = object.as_object_mut() {
                object.insert("outcome".to_owned(), json!(outcome));
                object.insert("backup".to_owned(), json!(backup));
            }
            world.out.print(&format!("{object}\n"))?;
        }
        Ok(exit)
    }
}

/// The domain that a definition from a file is to take the place of; an error where it may not.
fn taken_by(
    connection: &dyn Hypervisor,
    name: &str,
    uuid: Option<&str>,
    replace: bool,
) -> anyhow::Result<Option<DomainInfo>> {
    let mut of_name = None;
    let mut of_uuid = None;
    for domain in connection.domains()? {
        if uuid.is_some_and(|uuid| same_uuid(uuid, &domain.uuid)) {
            of_uuid = Some(domain.clone());
        }
        if domain.name == name {
            of_name = Some(domain);
        }
    }
    match (of_name, of_uuid) {
        (None, None) => Ok(None),
        (of_name, Some(other)) if other.name != name => Err(Advice::new(
            format!(
                "its UUID {} belongs to the domain '{}', and its name is '{name}'",
                other.uuid, other.name
            ),
            match of_name {
                Some(_) => "there are domains of both names: correct <name> or remove <uuid>, then say --replace".to_owned(),
                None => format!(
                    "remove <uuid> for a machine of its own; or, if it is that domain, rename that first: virsh domrename {} {name}",
                    other.name
                ),
            },
        )
        .into()),
        (Some(info), _) | (None, Some(info)) if replace => Ok(Some(info)),
        (Some(info), _) | (None, Some(info)) => Err(Advice::new(
            format!(
                "there is a domain '{}' already (UUID {})",
                info.name, info.uuid
            ),
            "say --replace to redefine that domain; or choose another name (--name) and remove <uuid>",
        )
        .into()),
    }
}

fn same_uuid(a: &str, b: &str) -> bool {
    let plain = |uuid: &str| uuid.replace('-', "").to_lowercase();
    plain(a) == plain(b)
}

/// The definition with this name, and with this UUID where one is given.
fn identified(definition: &Definition, name: &str, uuid: Option<&str>) -> anyhow::Result<String> {
    let document = Document::parse_domain(&definition.text)
        .map_err(|error| InFile::document(&definition.name, error))?;
    let text = match uuid {
        Some(_) => "<domain><name>${name}</name><uuid>${uuid}</uuid></domain>",
        None => "<domain><name>${name}</name></domain>",
    };
    let patch = Patch::new("identity", text)
        .with("name", name)
        .with_option("uuid", uuid);
    let merged = merge::merged(&document, &patch).map_err(InFile::merge)?;
    Ok(merged.unwrap_or_else(|| definition.text.clone()))
}
