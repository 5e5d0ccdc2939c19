//! Which passes and patches run, and with which settings.

use std::path::Path;

use anyhow::Context as _;

use super::choices::{Sink, Subject};
use super::prompt::{Begin, Line, columns, select, text, toggle};
use super::{Guide, Turn, is_empty};
use crate::cli::args::Command;
use crate::cli::connection::Purpose;
use crate::cli::errors::InFile;
use crate::cli::plan::{self, Job};
use crate::cli::{World, choice, list};
use crate::merge::{Declared, Patch};
use crate::passes::settings::{Setting, SettingError, Settings};
use crate::passes::{PASSES, Pass};
use crate::patches::Kind;
use crate::pipeline::Plan;
use crate::report::verdicts;

/// Where a setting's key comes from, and how it is checked.
enum Key {
    Pass(&'static Pass, &'static Setting),
    Patch(String, Declared),
}

impl Key {
    fn name(&self) -> String {
        match self {
            Key::Pass(_, setting) => setting.key.to_owned(),
            Key::Patch(patch, declared) => format!("{patch}.{}", declared.name),
        }
    }
}

impl Guide {
    /// The passes and patches of the profile, to be toggled, with what each would do and why.
    pub(super) fn passes(&mut self, world: &mut World<'_>) -> anyhow::Result<Turn> {
        let plan = match self.plan(world) {
            Ok(plan) => plan,
            Err(error) => {
                world.out.error(&error);
                return Ok(Turn::Back);
            }
        };
        let names = plan.steps.iter().map(|step| step.name.chars().count());
        let names = names.max().unwrap_or(0);
        let lines: Vec<Line<String>> = plan
            .steps
            .iter()
            .map(|step| {
                let verdict = step.verdict.word();
                let shown = format!("{:<names$}  {verdict:<14}  {}", step.name, step.reason);
                Line::new(step.name.clone(), &shown)
            })
            .collect();
        if lines.is_empty() {
            return Ok(Turn::Skip);
        }
        // A list has one line for each; the end of a long reason is not to be missed.
        for (step, line) in plan.steps.iter().zip(&lines) {
            if line.is_cut() {
                let reason = verdicts::below(&step.reason, names + 2, Some(columns()));
                world
                    .out
                    .always(&format!("{:<names$}  {reason}", step.name));
            }
        }
        let count = lines.len();
        let all: Vec<String> = lines.iter().map(|line| line.what.clone()).collect();
        let selected = (0..count)
            .filter(|&at| !self.choices.skip.contains(&all[at]))
            .collect();
        let message = "What is to run?";
        let summary = move |chosen: usize| format!("{chosen} of {count}");
        let Some(chosen) = toggle(message, lines, selected, &summary)? else {
            return Ok(Turn::Back);
        };
        for name in &all {
            let wanted = chosen.iter().any(|line| line.what == *name);
            self.choices.run(name, wanted);
        }
        Ok(Turn::On)
    }

    /// What would be done if nothing were left out.
    fn plan(&self, world: &mut World<'_>) -> anyhow::Result<Plan> {
        // What stays unknown is said with the diff, by a connection that may ask for more.
        let quiet = world.out.hush(true);
        let plan = self.quiet_plan(world);
        world.out.hush(quiet);
        plan
    }

    fn quiet_plan(&self, world: &mut World<'_>) -> anyhow::Result<Plan> {
        let mut all = self.choices.clone();
        all.skip.clear();
        let mut words = all.words("check");
        let is_new = self.choices.sink == Sink::Define && self.reachable;
        if is_new && !matches!(self.choices.subject, Subject::Domain(_)) {
            // As apply does: the host that is to run it, which need not be this one.
            words.extend(["--host".to_owned(), "libvirt".to_owned()]);
        }
        let Command::Check(args) = self.parsed(&words)? else {
            anyhow::bail!("'check' is not check");
        };
        let job = Job::new(&args.run)?;
        let mut definitions = plan::definitions(&args.sources, Purpose::Look, world)?;
        let definition = definitions.pop().context("nothing to look at")??;
        job.plan(&definition, world)
    }

    /// More passes and patches than the profile has.
    pub(super) fn more(&mut self, world: &mut World<'_>) -> anyhow::Result<()> {
        let present = self.names(world)?;
        let (entries, errors) = list::entries(&self.library);
        for error in &errors {
            world.out.error(error);
        }
        let lines: Vec<Line<list::Entry>> = entries
            .into_iter()
            .filter(|entry| entry.kind != Kind::Profile.word() && !present.contains(&entry.name))
            .map(|entry| {
                let shown = format!("{:<5}  {:<15}  {}", entry.kind, entry.name, entry.summary);
                Line::new(entry, &shown)
            })
            .collect();
        let summary = |chosen: usize| format!("{chosen} more");
        let message = "What is to run besides?";
        let Some(chosen) = toggle(message, lines, Vec::new(), &summary)? else {
            return Ok(());
        };
        for Line { what: entry, .. } in chosen {
            if self.choices.skip.contains(&entry.name) {
                self.choices.run(&entry.name, true);
            } else if entry.kind == Kind::Patch.word() {
                if self.give_values(&entry.name)? {
                    self.choices.patches.push(entry.name);
                }
            } else {
                self.choices.also.push(entry.name);
            }
        }
        Ok(())
    }

    /// The names of what runs, and of files also without directory and ending.
    fn names(&self, world: &mut World<'_>) -> anyhow::Result<Vec<String>> {
        let steps = self.plan(world)?.steps;
        let steps = steps
            .into_iter()
            .map(|step| step.name)
            .filter(|name| !self.choices.skip.contains(name));
        Ok(steps
            .flat_map(|name| {
                let stem = Path::new(&name).file_stem();
                let stem = stem.map(|stem| stem.to_string_lossy().into_owned());
                std::iter::once(name).chain(stem)
            })
            .collect())
    }

    /// Asks for what a patch has to be told. Esc takes the patch back.
    fn give_values(&mut self, patch: &str) -> anyhow::Result<bool> {
        for declared in self.declared(patch)? {
            let key = format!("{patch}.{}", declared.name);
            let is_given = self.choices.set.iter().any(|(given, _)| *given == key);
            if is_given || declared.default.is_some() {
                continue;
            }
            match text(&format!("{key}?"), &Begin::Empty, &declared.about, is_empty)? {
                None => return Ok(false),
                Some(value) => self.choices.set(&key, &value),
            }
        }
        Ok(true)
    }

    fn declared(&self, patch: &str) -> anyhow::Result<Vec<Declared>> {
        let item = self.library.find(Kind::Patch, patch, Path::new(""));
        let item = item.map_err(choice::not_found)?;
        let patch = Patch::new(item.shown(), item.text);
        patch.declared().map_err(InFile::merge)
    }

    /// One setting of what runs.
    pub(super) fn setting(&mut self, world: &mut World<'_>) -> anyhow::Result<()> {
        let names = self.names(world)?;
        let runs = |pass: &&'static Pass| names.iter().any(|name| name == pass.name);
        let keys_of = |pass: &'static Pass| {
            let settings = pass.settings.iter();
            // A key of one's own does not belong on a command line that is printed.
            settings
                .filter(|setting| setting.key != "applesmc.osk")
                .map(move |setting| Key::Pass(pass, setting))
        };
        let mut keys: Vec<Key> = PASSES.iter().filter(runs).flat_map(keys_of).collect();
        for patch in &self.choices.patches {
            let declared = self.declared(patch)?.into_iter();
            keys.extend(declared.map(|declared| Key::Patch(patch.clone(), declared)));
        }
        // A setting of another pass has that pass run: what machine.convert is there for.
        let others = PASSES
            .iter()
            .filter(|pass| !runs(pass) && !self.choices.skip.iter().any(|name| name == pass.name));
        keys.extend(others.flat_map(keys_of));
        let lines = keys
            .into_iter()
            .map(|key| {
                let (values, about) = match &key {
                    Key::Pass(_, setting) => (setting.values, setting.about),
                    Key::Patch(_, declared) => ("TEXT", declared.about.as_str()),
                };
                let shown = match self.given(&key.name()) {
                    Some(value) => format!("{}={value}  {about}", key.name()),
                    None => format!("{}={values}  {about}", key.name()),
                };
                Line::new(key, &shown)
            })
            .collect();
        let Some(Line { what: key, .. }) = select("Which setting?", lines, 0)? else {
            return Ok(());
        };
        let name = key.name();
        let present = self.given(&name).unwrap_or_default().to_owned();
        let (help, check) = match &key {
            Key::Pass(pass, setting) => (
                format!(
                    "{}: {}{}; empty for the usual",
                    setting.values,
                    setting.about,
                    match runs(pass) {
                        true => String::new(),
                        false => format!("; pass {} runs then", pass.name),
                    }
                ),
                Some(setting.key),
            ),
            Key::Patch(_, declared) => (declared.about.clone(), None),
        };
        let refuse = move |value: &str| match check {
            Some(key) if !value.is_empty() => match Settings::default().set(key, value) {
                Err(SettingError::Value { reason, .. }) => Some(reason),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = text(&format!("{name}?"), &Begin::With(&present), &help, refuse)? {
            self.choices.set(&name, &value);
        }
        Ok(())
    }

    fn given(&self, key: &str) -> Option<&str> {
        let mut set = self.choices.set.iter();
        set.find(|(given, _)| given == key)
            .map(|(_, value)| value.as_str())
    }
}
