//! What is rendered is allowed by libvirt's own RELAX NG schema.
//!
//! Without `xmllint` or the schema the tests count as ignored; where `CI` is set that is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/rng.rs"]
mod rng;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use roxmltree::Node;
use virt_patch::document::Document;
use virt_patch::merge::order;

use common::domains::domain;
use common::{Job, laws};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        (
            "every fixture, rendered",
            fixtures as fn() -> Result<(), Failed>,
        ),
        ("generated domains stay valid", generated),
        ("the corpus stays valid", corpus),
    ];
    let missing = missing();
    if std::env::var_os("CI").is_some() {
        assert!(missing.is_none(), "{}", missing.unwrap_or_default());
    }
    let trial = |(name, run): (&str, fn() -> Result<(), Failed>)| {
        let skipped = missing.clone().or_else(|| {
            let unset = std::env::var_os("VIRT_PATCH_CORPUS").is_none();
            (name.contains("corpus") && unset).then(|| "VIRT_PATCH_CORPUS is not set".to_owned())
        });
        let name = match &skipped {
            Some(why) => format!("{name} ({why})"),
            None => name.to_owned(),
        };
        Trial::test(name, run).with_ignored_flag(skipped.is_some())
    };
    libtest_mimic::run(&arguments, trials.into_iter().map(trial).collect()).exit_code()
}

/// What is not on this machine.
fn missing() -> Option<String> {
    let schema = std::env::var("VIRT_PATCH_SCHEMA")
        .unwrap_or_else(|_| "/usr/share/libvirt/schemas/domain.rng".to_owned());
    if Command::new("xmllint").arg("--version").output().is_err() {
        return Some("xmllint is not installed".to_owned());
    }
    (!Path::new(&schema).exists()).then(|| format!("there is no schema '{schema}'"))
}

/// Fixtures as libvirt 10.1 and later write them: not valid for an older schema themselves.
const NEWER_THAN_9: [&str; 2] = ["dump-11.3-linux.xml", "dump-11.3-mac.xml"];

fn fixtures() -> Result<(), Failed> {
    let mut inputs: Vec<(String, String)> = xml_files(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/domains"
    )));
    inputs.push((
        "template.xml".to_owned(),
        include_str!("../patches/template.xml").to_owned(),
    ));
    let (valid, invalid) = by_validity(inputs);
    for name in invalid {
        if !NEWER_THAN_9.contains(&name.as_str()) {
            return Err(format!("the fixture {name} is not valid itself").into());
        }
    }
    stay_valid(&valid, usize::MAX)
}

fn generated() -> Result<(), Failed> {
    let mut runner = TestRunner::deterministic();
    let mut inputs = Vec::new();
    for number in 0..100 {
        let domain = domain().new_tree(&mut runner)?.current();
        inputs.push((format!("generated {number}, plain"), domain.plain));
        inputs.push((format!("generated {number}, hostile"), domain.hostile));
    }
    inputs.retain(|(_, text)| in_order(text));
    let (valid, _) = by_validity(inputs);
    if valid.len() < 60 {
        return Err(format!("only {} of 200 generated domains are valid", valid.len()).into());
    }
    stay_valid(&valid, 3)
}

/// Whether the children of the root stand in libvirt's order. Where they do not, one more can be
/// the one that libxml2 cannot tell from a violation (two groups of an interleave that alternate).
fn in_order(text: &str) -> bool {
    let document = Document::parse_domain(text).unwrap();
    document
        .root()
        .children()
        .filter(Node::is_element)
        .map(|child| order::rank("domain", child.tag_name().name()))
        .is_sorted()
}

fn corpus() -> Result<(), Failed> {
    let directory = std::env::var("VIRT_PATCH_CORPUS")?;
    let (valid, _) = by_validity(xml_files(Path::new(&directory)));
    stay_valid(&valid, 3)
}

/// Everything that profiles make of these is valid; `most` runs of each, others of the next.
fn stay_valid(inputs: &[(String, String)], most: usize) -> Result<(), Failed> {
    // By content: many runs end in the same text.
    let mut rendered: BTreeMap<String, String> = BTreeMap::new();
    let jobs = jobs();
    for (number, (name, text)) in inputs.iter().enumerate() {
        let chosen = jobs.iter().cycle().skip(number * most.min(jobs.len()));
        for (run, job) in chosen.take(most.min(jobs.len())) {
            let Ok(plan) = job.run(text) else { continue };
            if plan.changed() {
                rendered
                    .entry(plan.after)
                    .or_insert_with(|| format!("{name}, {run}"));
            }
        }
    }
    let failures = rng::failures(rendered.iter().map(|(text, name)| (name, text)));
    if failures.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = failures.iter().take(5).cloned().collect();
    let first = rendered
        .iter()
        .find(|(_, name)| shown[0].starts_with(name.as_str()));
    let text = first.map_or("", |(text, _)| text.as_str());
    Err(format!(
        "{} of {}:\n{}\n{text}",
        failures.len(),
        rendered.len(),
        shown.join("\n")
    )
    .into())
}

/// All runs, for the libvirt that the schema is of.
fn jobs() -> Vec<(String, Job)> {
    let newer = std::env::var_os("VIRT_PATCH_SCHEMA").is_some();
    let mut jobs = laws::jobs();
    if !newer {
        for (_, job) in &mut jobs {
            job.settings.set("host.libvirt", "9.0.0").unwrap();
        }
    }
    jobs
}

fn by_validity(inputs: Vec<(String, String)>) -> (Vec<(String, String)>, Vec<String>) {
    let failures = rng::failures(inputs.iter().map(|(name, text)| (name, text)));
    let fails = |name: &str| {
        failures
            .iter()
            .any(|failure| failure.starts_with(&format!("{name}:")))
    };
    let (invalid, valid): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(name, _)| fails(name));
    (valid, invalid.into_iter().map(|(name, _)| name).collect())
}

fn xml_files(directory: &Path) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}
