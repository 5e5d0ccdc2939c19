//! Every law on every domain of a directory of real ones: VIRT_PATCH_CORPUS=DIR. The files are
//! test input only and no part of the project.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use common::laws;
use virt_patch::document::Input;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match std::env::var_os("VIRT_PATCH_CORPUS") {
        Some(directory) => trials(Path::new(&directory)),
        // Counted as ignored, so that nobody takes it for passed.
        None => {
            vec![Trial::test("VIRT_PATCH_CORPUS is not set", || Ok(())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(directory: &Path) -> Vec<Trial> {
    let files = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("VIRT_PATCH_CORPUS={}: {error}", directory.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    assert!(!paths.is_empty(), "no .xml in {}", directory.display());
    paths.sort();
    let trial = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Trial::test(name, move || check(&fs::read(&path).unwrap()))
    };
    paths.into_iter().map(trial).collect()
}

fn check(bytes: &[u8]) -> Result<(), Failed> {
    let input = Input::decode(bytes)?;
    laws::nothing_asked_nothing_changed(&input.text)?;
    for (name, job) in laws::jobs() {
        laws::a_run_keeps_its_promises(&job, &input.text)
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}
