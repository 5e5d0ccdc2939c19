//! The example at the head of every pass is what the pass does, and what `list` shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use assert_cmd::Command;
use virt_patch::passes::{PASSES, Pass, explanation};

use common::{Job, hosts, laws};

/// What an example is about, where that is a setting.
const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    (
        "cpu-override",
        &[("cpu-override.model", "Cascadelake-Server")],
    ),
    (
        "disk",
        &[
            ("disk.paths", "/images/OpenCore.qcow2"),
            ("disk.format", "qcow2"),
        ],
    ),
    (
        "evdev",
        &[
            ("evdev.keyboard", "usb-Keyboard-event-kbd"),
            ("evdev.mouse", "usb-Mouse-event-mouse"),
        ],
    ),
    ("gpu", &[("gpu.devices", "0000:01:00.0,0000:01:00.1")]),
    ("fake-core-count", &[("fake-core-count.vcpus", "6")]),
    ("memory", &[("memory.size", "8GiB")]),
    ("watchdog", &[("host.libvirt", "11.3.0")]),
    (
        "machine-name",
        &[
            ("mac.model", "MacPro7,1"),
            ("cpu-override.model", "Cascadelake-Server"),
            ("machine-name.uuid", "6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55"),
        ],
    ),
];

/// Passes whose example is a new machine.
const ON_THE_TEMPLATE: &[&str] = &["machine-name"];

#[test]
fn every_example_is_what_happens() {
    let wrong: Vec<String> = PASSES.iter().filter_map(|pass| wrong(pass)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(pass: &Pass) -> Option<String> {
    let explanation = explanation(pass.source);
    let block = |which: &str| {
        let (_, rest) = explanation.split_once(&format!("```xml,{which}\n"))?;
        Some(rest.split_once("\n```")?.0.to_owned())
    };
    let Some((before, after)) = block("before").zip(block("after")) else {
        return Some(format!("{} has no example", pass.name));
    };
    // An AMD processor with threads, Debian 12: what the examples assume.
    let host = hosts::host(
        hosts::amd(8, 2),
        hosts::debian_12_firmware(),
        "7.2.22",
        "9.0.0",
    );
    let mut job = Job::pass(pass.name, host);
    job.template = ON_THE_TEMPLATE.contains(&pass.name);
    let about = SETTINGS.iter().find(|(name, _)| *name == pass.name);
    for (key, value) in about.map_or(&[][..], |(_, settings)| settings) {
        job = job.set(key, value);
    }
    match laws::a_run_keeps_its_promises(&job, &domain(&before)) {
        Ok(plan) if inside(&plan.after) == after => None,
        Ok(plan) => Some(format!(
            "{}: {:?}\n{}",
            pass.name,
            plan.steps.first().map(|step| &step.reason),
            inside(&plan.after)
        )),
        Err(error) => Some(format!("{}: {error}", pass.name)),
    }
}

/// An example shows the inside of a domain, or the whole of one.
fn domain(example: &str) -> String {
    if example.starts_with("<domain") {
        return format!("{example}\n");
    }
    let body: String = example.lines().map(|line| format!("  {line}\n")).collect();
    let namespace = match example.contains("qemu:") {
        true => " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
        false => "",
    };
    format!("<!-- inside -->\n<domain type='kvm'{namespace}>\n{body}</domain>\n")
}

fn inside(domain: &str) -> String {
    let Some(domain) = domain.strip_prefix("<!-- inside -->\n") else {
        return domain.trim_end().to_owned();
    };
    let lines: Vec<&str> = domain.lines().collect();
    let body = &lines[1..lines.len() - 1];
    let body: Vec<&str> = body
        .iter()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    body.join("\n")
}

#[test]
fn list_prints_the_same_text() {
    for pass in PASSES {
        let output = Command::cargo_bin("virt-patch")
            .unwrap()
            .args(["list", pass.name])
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", pass.name);
        assert!(
            shown.contains(&explanation(pass.source)),
            "{}:\n{shown}",
            pass.name
        );
        assert!(
            shown.starts_with(&format!("pass {}: {}\n", pass.name, pass.summary)),
            "{shown}"
        );
        for setting in pass.settings {
            assert!(
                shown.contains(setting.key) && shown.contains(setting.about),
                "{shown}"
            );
        }
    }
}
