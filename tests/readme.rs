//! README.md is true: its first screen is what the demo prints, and every command in it is one.
//!
//! `UPDATE_README=1 cargo test --test readme` writes the demo's output anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::process::Command;

use clap::Parser;
use virt_patch::cli::Cli;

const README: &str = "README.md";
/// The machine the README was written on, as `virt-patch host --json` saw it.
const HOST: &str = "fixtures/readme-host.json";

#[test]
fn the_first_screen_is_what_the_demo_prints() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once("```console\n").unwrap();
    let (block, after) = rest.split_once("```\n").unwrap();
    let command = block.lines().next().unwrap();
    let arguments = command.strip_prefix("$ virt-patch ").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_virt-patch"))
        .args(shlex::split(arguments).unwrap())
        .args(["--host", HOST])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let printed = format!(
        "{command}\n{}{}",
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap()
    );
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(README, format!("{before}```console\n{printed}```\n{after}")).unwrap();
    } else {
        assert_eq!(
            block, printed,
            "UPDATE_README=1 cargo test --test readme writes it anew"
        );
    }
}

#[test]
fn every_command_is_one() {
    let mut count = 0;
    for file in [
        README,
        "docs/coverage.md",
        "docs/patches.md",
        "docs/testing.md",
    ] {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        for line in shell_lines(&text) {
            for command in line.split(['|', ';', '>', '&']) {
                let Some(at) = command.find("virt-patch ") else {
                    continue;
                };
                // `sudo virt-patch`, `xargs virt-patch`: what stands before is not ours.
                let words = shlex::split(&command[at..]).unwrap();
                if words[1..]
                    .iter()
                    .any(|word| word.starts_with('…') || word == "...")
                {
                    continue;
                }
                count += 1;
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{file}: {line}\n{error}");
                }
            }
        }
    }
    assert!(count > 15, "only {count} commands were found");
}

/// The lines of ```sh blocks, without their comments.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line.split(" #").next().unwrap().to_owned()),
            _ => {}
        }
    }
    lines
}
