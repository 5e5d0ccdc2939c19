//! `virt-patch host`: what is known of the host.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::args::HostArgs;
use super::{Exit, World, plan};
use crate::host::{Facts, Firmware};
use crate::text;

pub(crate) fn run(args: &HostArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let facts = plan::all_facts(args.host.as_deref(), world)?;
    if args.json {
        world.out.print(&facts.to_json()?)?;
    } else {
        world.out.print(&table(&facts))?;
    }
    Ok(Exit::Done)
}

/// The facts that passes decided from, for `--verbose`.
pub(crate) fn decisive(facts: &Facts) -> Vec<String> {
    let mut lines: Vec<String> = table(facts)
        .lines()
        .filter(|line| !line.ends_with("unknown"))
        .map(|line| format!("host: {line}"))
        .collect();
    let (there, absent): (Vec<_>, Vec<_>) = facts.files.iter().partition(|(_, file)| file.exists);
    lines.extend(there.into_iter().map(|(path, file)| {
        let what = match file.size {
            Some(size) => format!("{size} bytes"),
            None => "exists".to_owned(),
        };
        format!("host: file         {path}: {what}")
    }));
    // The names that a new file could get are many.
    let mut directories: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, _) in absent {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path.as_str()));
        directories.entry(directory).or_default().push(name);
    }
    lines.extend(directories.into_iter().map(|(directory, names)| {
        format!("host: no file      in {directory}/: {}", names.join(", "))
    }));
    lines.extend(
        facts
            .firmware_passed_over
            .iter()
            .map(|over| format!("host: passed over  {}: {}", over.place, over.reason)),
    );
    lines
}

fn table(facts: &Facts) -> String {
    let mut out = String::new();
    let unknown = || "unknown".to_owned();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    let cpu = &facts.cpu;
    row(
        "cpu",
        match (&cpu.model, &cpu.vendor) {
            (Some(model), Some(vendor)) => format!("{model} ({vendor})"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => unknown(),
        },
    );
    row("topology", topology(facts).unwrap_or_else(unknown));
    row(
        "memory",
        facts.memory_kib.map_or_else(unknown, |kib| {
            format!("{:.1} GiB ({kib} KiB)", kib as f64 / 1_048_576.0)
        }),
    );
    row(
        "kvm",
        match facts.kvm {
            Some(true) => "works".to_owned(),
            Some(false) => "not available: guests run under TCG, slowly".to_owned(),
            None => unknown(),
        },
    );
    row(
        "libvirt",
        facts
            .libvirt
            .map_or_else(unknown, |version| version.to_string()),
    );
    if facts.emulators.is_empty() {
        row("emulator", "none found".to_owned());
    }
    for emulator in &facts.emulators {
        let version = emulator
            .version
            .map_or_else(unknown, |version| version.to_string());
        let mut line = format!("{} ({}, QEMU {version})", emulator.path, emulator.arch);
        if !emulator.missing_devices.is_empty() {
            let _ = write!(line, ", without {}", text::list(&emulator.missing_devices));
        }
        row("emulator", line);
    }
    match &facts.firmware {
        None => row("firmware", unknown()),
        Some(builds) if builds.is_empty() => row("firmware", "none found".to_owned()),
        Some(builds) => builds
            .iter()
            .for_each(|build| row("firmware", firmware(build))),
    }
    out
}

fn topology(facts: &Facts) -> Option<String> {
    let cpu = &facts.cpu;
    let mut line = format!(
        "{}, {} of {}, {}",
        text::count(cpu.sockets? as usize, "socket"),
        text::count(cpu.dies? as usize, "die"),
        text::count(cpu.cores? as usize, "core"),
        match cpu.threads? {
            1 => "1 thread each".to_owned(),
            threads => format!("{threads} threads each"),
        }
    );
    if !cpu.efficient.is_empty() {
        let _ = write!(
            line,
            "; {} on efficient cores",
            text::count(cpu.efficient.len(), "thread")
        );
    }
    if !cpu.offline.is_empty() {
        let _ = write!(
            line,
            "; {} offline",
            text::count(cpu.offline.len(), "thread")
        );
    }
    Some(line)
}

fn firmware(build: &Firmware) -> String {
    let mut line = format!("{} + {}", build.code, build.vars);
    let flags: Vec<&str> = [
        (build.secure_boot, "secure boot"),
        (build.enrolled_keys, "keys enrolled"),
        (build.smm, "needs SMM"),
    ]
    .into_iter()
    .filter_map(|(set, word)| set.then_some(word))
    .collect();
    if !flags.is_empty() {
        let _ = write!(line, " ({})", text::list(&flags));
    }
    let _ = write!(line, " [{}]", build.source);
    line
}
