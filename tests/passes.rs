//! Tables of domain → verdict and change, one file for each pass in tests/passes.
//!
//! A case names the host, then shows the verdict, its notes and the whole domain as a diff:
//!
//! ```text
//! ## what it shows
//! host: ryzen-5950x
//! set: topology.threads=1
//! => changed: 6 → 4 vCPUs: 4 cores, one thread each; macOS does not boot with 6 vCPUs; …
//!   <domain type='kvm'>
//! -   <vcpu>6</vcpu>
//! +   <vcpu>4</vcpu>
//!   </domain>
//! ```
//!
//! Every case also keeps the laws for all domains: a second run changes nothing.
//! `UPDATE=1 cargo test --test passes` writes what came out into the files, for a look at the diff.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/trees.rs"]
mod trees;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use similar::{ChangeTag, TextDiff};
use virt_patch::document::Document;
use virt_patch::host::local::{Local, Wanted};
use virt_patch::host::{CpuModel, Emulator, Facts, FileFact, Firmware, ImageFormat};
use virt_patch::passes::{self, settings::Settings};
use virt_patch::pipeline::Step;
use virt_patch::profile::Profile;

use common::{Job, hosts, laws, verdict};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let update = std::env::var_os("UPDATE").is_some();
    let mut trials = Vec::new();
    for path in tables() {
        let pass = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let cases = Case::all(&text);
        if update {
            let mut new = text.split("## ").next().unwrap().to_owned();
            for case in &cases {
                // What breaks a law stays as it is, and fails below.
                new.push_str(&case.outcome(&pass).unwrap_or_else(|_| case.text.clone()));
            }
            fs::write(&path, format!("{}\n", new.trim_end())).unwrap();
        }
        for case in cases {
            let pass = pass.clone();
            trials.push(Trial::test(format!("{pass}: {}", case.name), move || {
                case.check(&pass, update)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn tables() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

struct Case {
    name: String,
    /// `key: value` lines, in order.
    given: Vec<(String, String)>,
    before: String,
    /// `# …` lines: the head of the section that follows.
    section: String,
    /// The whole case as it stands in the file.
    text: String,
}

impl Case {
    fn all(text: &str) -> Vec<Case> {
        text.split("## ").skip(1).map(Case::parse).collect()
    }

    fn parse(text: &str) -> Case {
        let mut lines = text.lines();
        let mut case = Case {
            name: lines.next().unwrap().to_owned(),
            given: Vec::new(),
            before: String::new(),
            section: String::new(),
            text: format!("## {}\n\n", text.trim_end()),
        };
        for line in lines {
            match line.split_at_checked(2) {
                Some(("  " | "- ", xml)) => {
                    case.before.push_str(xml);
                    case.before.push('\n');
                }
                Some(("+ " | "=>", _)) | None => {}
                Some(("# ", _)) => case.section.push_str(&format!("{line}\n\n")),
                Some(_) => {
                    let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
                    case.given.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        case
    }

    fn check(&self, pass: &str, update: bool) -> Result<(), Failed> {
        let outcome = self.outcome(pass)?;
        if !update && outcome != self.text {
            let diff = TextDiff::from_lines(&self.text, &outcome);
            let diff = diff.unified_diff().header("expected", "got").to_string();
            return Err(format!("{diff}\nwhole outcome:\n{outcome}").into());
        }
        Ok(())
    }

    /// The case as it should stand in the file.
    fn outcome(&self, pass: &str) -> Result<String, String> {
        let (job, _tree) = self.job(pass);
        let plan = laws::a_run_keeps_its_promises(&job, &self.before)?;
        let mut out = format!("## {}\n", self.name);
        for (key, value) in &self.given {
            writeln!(out, "{key}: {value}").unwrap();
        }
        for step in &plan.steps {
            let name = match plan.steps.len() {
                1 => String::new(),
                _ => format!("{} ", step.name),
            };
            writeln!(out, "=> {name}{}", verdict(step)).unwrap();
            for note in &step.notes {
                writeln!(out, "=>   note: {note}").unwrap();
            }
            for warning in &step.warnings {
                writeln!(out, "=>   warning: {warning}").unwrap();
            }
        }
        for change in TextDiff::from_lines(&plan.before, &plan.after).iter_all_changes() {
            let mark = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            writeln!(out, "{mark} {}", change.value().trim_end_matches('\n')).unwrap();
        }
        out.push('\n');
        out.push_str(&self.section);
        Ok(out)
    }

    /// The run that the `key: value` lines describe, and the directory it looks at.
    fn job(&self, pass: &str) -> (Job, Option<tempfile::TempDir>) {
        let mut job = Job {
            steps: vec![step(pass).unwrap_or_else(|| step("firmware").unwrap())],
            ..Job::pass("firmware", Facts::default())
        };
        let mut tree: Option<tempfile::TempDir> = None;
        for (key, value) in &self.given {
            match key.as_str() {
                "host" => job.facts = fixture(value),
                "tree" => {
                    let directory = trees::build(value);
                    job.facts = Local::root(directory.path()).unwrap().probe(&Wanted::ALL);
                    tree = Some(directory);
                }
                // A file of the tree, which a pass has to ask about.
                "there" => {
                    let (path, size) = value.split_once(' ').unwrap();
                    let root = tree.as_ref().unwrap().path();
                    let path = root.join(path.trim_start_matches('/'));
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    let file = fs::File::create(path).unwrap();
                    file.set_len(size.parse().unwrap()).unwrap();
                }
                "profile" => job.settings = profile(value),
                "passes" => job.steps = value.split(',').map(|name| step(name).unwrap()).collect(),
                "set" => {
                    let (key, value) = value.split_once('=').unwrap();
                    job.settings
                        .set(key, value)
                        .unwrap_or_else(|error| panic!("{error}"));
                }
                "template" => job.template = value == "yes",
                key => known(&mut job.facts, key, value),
            }
        }
        if let Some(tree) = &tree {
            let local = Local::root(tree.path()).unwrap();
            let document = Document::parse_domain(&self.before).unwrap();
            let given = job.facts.files.clone();
            let look = |path: &str| given.get(path).cloned().or_else(|| local.file(path));
            virt_patch::pipeline::look_at_files(
                &job.steps,
                &document,
                &job.settings,
                &mut job.facts,
                look,
            );
        }
        (job, tree)
    }
}

fn step(name: &str) -> Option<Step> {
    passes::find(name.trim()).map(Step::Pass)
}

/// fixtures/hosts/NAME.json.
fn fixture(name: &str) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/hosts/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    Facts::from_json(&text, name).unwrap()
}

fn profile(name: &str) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in &Profile::shipped(name).unwrap().settings {
        settings.set(key, value).unwrap();
    }
    settings
}

/// A fact that differs from the named host's.
fn known(facts: &mut Facts, key: &str, value: &str) {
    let words: Vec<&str> = value.split_whitespace().collect();
    match (key, words.as_slice()) {
        ("cpu", [vendor, shape]) => {
            let (cores, threads) = shape.split_once('x').unwrap();
            facts.cpu = hosts::cpu(vendor, cores.parse().unwrap(), threads.parse().unwrap());
        }
        ("vendor", ["unknown"]) => facts.cpu.vendor = None,
        ("vendor", [vendor]) => facts.cpu.vendor = Some((*vendor).to_owned()),
        ("libvirt", ["unknown"]) => facts.libvirt = None,
        ("libvirt", [version]) => facts.libvirt = Some(hosts::version(version)),
        ("models", names) => {
            let model = |name: &&str| CpuModel {
                name: (*name).to_owned(),
                ..CpuModel::default()
            };
            facts.cpu_models = Some(names.iter().map(model).collect());
        }
        ("emulators", ["unknown"]) => facts.emulators.clear(),
        ("emulator", [path, version]) => facts.emulators.push(hosts::emulator(path, version)),
        ("emulator", [path, version, "without", device]) => facts.emulators.push(Emulator {
            missing_devices: vec![(*device).to_owned()],
            ..hosts::emulator(path, version)
        }),
        ("firmware", ["unknown"]) => facts.firmware = None,
        ("firmware", ["autoselected"]) => facts.firmware_autoselection = Some(true),
        ("build", [code, vars, mib, kind]) => {
            let build = hosts::build(code, vars, mib.parse().unwrap());
            facts.firmware.get_or_insert_default().push(match *kind {
                "secure" => hosts::secure(build, true),
                "qcow2" => hosts::qcow2(build),
                machines => Firmware {
                    machines: vec![machines.to_owned()],
                    ..build
                },
            });
        }
        ("file", [path, "missing"]) => {
            facts.files.insert((*path).to_owned(), FileFact::default());
        }
        ("file", [path, size, format]) => {
            let format = match *format {
                "qcow2" => ImageFormat::Qcow2,
                _ => ImageFormat::Raw,
            };
            facts.files.insert(
                (*path).to_owned(),
                hosts::file(size.parse().unwrap(), format),
            );
        }
        _ => panic!("what is '{key}: {value}'?"),
    }
}
