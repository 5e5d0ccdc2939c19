//! What was chosen so far. All that the guided mode does is the command line made of it, so what it
//! prints at the end is what it ran.

use std::path::Path;

use super::super::source::{SourceName, shell_word};
use crate::hypervisor::DomainInfo;

/// The choices, in the order they are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Choices {
    /// `--connect`.
    pub(super) connect: Option<String>,
    pub(super) subject: Subject,
    pub(super) sink: Sink,
    /// Name of a profile.
    pub(super) profile: String,
    /// A release; the Mac's newest where it is absent.
    pub(super) macos: Option<String>,
    /// Name of the new machine.
    pub(super) name: Option<String>,
    /// Images for its disks.
    pub(super) disks: Vec<String>,
    /// Passes and patches of the profile that are left out.
    pub(super) skip: Vec<String>,
    /// Passes beyond the profile's.
    pub(super) also: Vec<String>,
    /// Patches beyond the profile's.
    pub(super) patches: Vec<String>,
    /// Settings, each key once.
    pub(super) set: Vec<(String, String)>,
}

/// What is to be patched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Subject {
    /// A machine made from virt-manager's default.
    #[default]
    New,
    /// A domain, as SOURCE names it.
    Domain(String),
    /// A file.
    File(String),
}

/// What becomes of the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Sink {
    /// libvirt gets it.
    #[default]
    Define,
    /// The file itself is changed.
    InPlace,
    /// Another file is written.
    Output(String),
}

impl Choices {
    /// The command that writes, as one types it.
    pub(super) fn command(&self) -> Vec<String> {
        let (command, mut end) = match &self.sink {
            Sink::Define => ("apply", vec![]),
            Sink::InPlace => ("render", vec!["--in-place".to_owned()]),
            Sink::Output(path) => ("render", vec!["--output".to_owned(), path.clone()]),
        };
        let mut words = self.words(command);
        words.append(&mut end);
        words
    }

    /// The same choices for another command.
    pub(super) fn words(&self, command: &str) -> Vec<String> {
        let mut words = vec!["virt-patch".to_owned()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        if let Some(uri) = &self.connect {
            add(&["-c", uri]);
        }
        add(&[command]);
        match &self.subject {
            Subject::New => add(&["--template"]),
            Subject::Domain(source) | Subject::File(source) => add(&[source]),
        }
        add(&["-p", &self.profile]);
        let options = [("--name", &self.name), ("--macos", &self.macos)];
        for (option, value) in options {
            if let Some(value) = value {
                add(&[option, value]);
            }
        }
        for disk in &self.disks {
            add(&["--disk", disk]);
        }
        for (option, names) in [("--skip", &self.skip), ("--also", &self.also)] {
            if !names.is_empty() {
                add(&[option, &names.join(",")]);
            }
        }
        for patch in &self.patches {
            add(&["--patch", patch]);
        }
        for (key, value) in &self.set {
            add(&["--set", &format!("{key}={value}")]);
        }
        words
    }

    /// Takes a pass or patch in again, or leaves it out.
    pub(super) fn run(&mut self, name: &str, wanted: bool) {
        self.skip.retain(|skipped| skipped != name);
        if wanted {
            return;
        }
        // What was asked for on top of the profile is not asked for any more.
        let beyond = self.also.len() + self.patches.len();
        self.also.retain(|one| one != name);
        self.patches.retain(|one| one != name);
        if beyond == self.also.len() + self.patches.len() {
            self.skip.push(name.to_owned());
        }
    }

    /// Gives a setting; an empty value takes it back.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.set.retain(|(given, _)| given != key);
        if !value.is_empty() {
            self.set.push((key.to_owned(), value.to_owned()));
        }
    }
}

/// How a SOURCE names this domain for certain: a name that looks like a file, an option or an ID is
/// taken for one.
pub(super) fn source_of(domain: &DomainInfo) -> String {
    let name = &domain.name;
    let is_taken_for_it = name
        .parse::<SourceName>()
        .is_ok_and(|source| source == SourceName::Domain(name.clone()));
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    match is_taken_for_it && !is_number && !name.starts_with('-') {
        true => name.clone(),
        false => domain.uuid.clone(),
    }
}

/// A path as SOURCE takes it for a file.
pub(super) fn file_source(path: &str) -> String {
    let path = expanded(path);
    let is_file = |path: &str| matches!(path.parse(), Ok(SourceName::File(_)));
    match is_file(&path) && !path.starts_with('-') {
        true => path,
        false => Path::new(".").join(path).to_string_lossy().into_owned(),
    }
}

/// A path with the user's home in the place of `~`, as a shell would take it.
pub(super) fn expanded(path: &str) -> String {
    match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((below, home)) => home.join(below).to_string_lossy().into_owned(),
        None => path.to_owned(),
    }
}

/// The command as one line for a shell, with no more quotes than a person would type.
pub(super) fn line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| match word.starts_with('-') {
        true => word.into(),
        false => shell_word(word),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::hypervisor::State;

    fn choices() -> Choices {
        Choices {
            subject: Subject::Domain("vm".to_owned()),
            profile: "macpro7,1".to_owned(),
            ..Choices::default()
        }
    }

    #[test]
    fn every_choice_is_a_part_of_the_command_line() {
        let all = Choices {
            connect: Some("qemu:///session".to_owned()),
            subject: Subject::New,
            macos: Some("ventura".to_owned()),
            name: Some("my mac".to_owned()),
            disks: vec!["/a/OpenCore.qcow2".to_owned(), "/a/mac.qcow2".to_owned()],
            skip: vec!["watchdog".to_owned(), "clock".to_owned()],
            also: vec!["pinning".to_owned()],
            patches: vec!["rng".to_owned(), "virtiofs".to_owned()],
            set: vec![("virtiofs.source".to_owned(), "/srv".to_owned())],
            ..choices()
        };
        let in_place = Choices {
            subject: Subject::File("./vm.xml".to_owned()),
            sink: Sink::InPlace,
            ..choices()
        };
        let output = Choices {
            subject: Subject::New,
            sink: Sink::Output("mac.xml".to_owned()),
            ..choices()
        };
        for (choices, expected) in [
            (choices(), "virt-patch apply vm -p macpro7,1"),
            (
                all,
                "virt-patch -c qemu:///session apply --template -p macpro7,1 --name 'my mac' --macos ventura \
                 --disk /a/OpenCore.qcow2 --disk /a/mac.qcow2 --skip watchdog,clock --also pinning \
                 --patch rng --patch virtiofs --set virtiofs.source=/srv",
            ),
            (
                in_place,
                "virt-patch render ./vm.xml -p macpro7,1 --in-place",
            ),
            (
                output,
                "virt-patch render --template -p macpro7,1 --output mac.xml",
            ),
        ] {
            let words = choices.command();
            assert_eq!(line(&words), expected);
            Cli::try_parse_from(&words).unwrap();
        }
    }

    #[test]
    fn what_is_left_out_and_taken_in_again_leaves_nothing_behind() {
        let mut choices = choices();
        choices.also.push("pinning".to_owned());
        choices.patches.push("rng".to_owned());
        for name in ["pinning", "rng", "topology"] {
            choices.run(name, false);
        }
        assert_eq!(choices.skip, ["topology"]);
        assert!(choices.also.is_empty() && choices.patches.is_empty());
        choices.run("topology", true);
        assert!(choices.skip.is_empty());
        choices.set("topology.vcpus", "4");
        choices.set("topology.vcpus", "8");
        assert_eq!(choices.set, [("topology.vcpus".to_owned(), "8".to_owned())]);
        choices.set("topology.vcpus", "");
        assert!(choices.set.is_empty());
    }

    #[test]
    fn a_domain_whose_name_means_something_else_is_named_by_its_uuid() {
        for (name, by_name) in [
            ("vm", true),
            ("my vm", true),
            ("vm.xml", false),
            ("17", false),
            ("-vm", false),
        ] {
            let domain = DomainInfo {
                name: name.to_owned(),
                uuid: "6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55".to_owned(),
                id: None,
                state: State::Shutoff,
                persistent: true,
                autostart: false,
                has_managed_save: false,
                snapshots: 0,
            };
            let expected = if by_name { name } else { &domain.uuid };
            assert_eq!(source_of(&domain), expected);
        }
    }

    #[test]
    fn a_path_is_a_file_whatever_it_looks_like() {
        for (path, source) in [
            ("vm.xml", "vm.xml"),
            ("vm", "./vm"),
            ("-vm.xml", "./-vm.xml"),
            ("a/vm", "a/vm"),
            ("/a/vm", "/a/vm"),
        ] {
            assert_eq!(file_source(path), source);
        }
    }
}
