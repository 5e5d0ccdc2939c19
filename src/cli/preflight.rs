//! `virt-patch preflight`, and the same before `apply`: a throw-away copy of the patched domain is started and
//! QEMU is asked what it really has.

use std::fmt::Write;

use super::args::PreflightArgs;
use super::connection::Purpose;
use super::errors::Advice;
use super::plan::{self, Job};
use super::{Exit, World, confirm, show};
use crate::hypervisor::preflight::{self, PreflightError, Report};
use crate::hypervisor::{Hypervisor, Mode};
use crate::pipeline::Verdict;

pub(crate) fn run(args: &PreflightArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let job = Job::new(&args.run)?;
    confirm::guard_signals()?;
    let connection = world.open(Mode::ReadWrite)?;
    let mut worst = Exit::Done;
    for definition in plan::definitions(&args.sources, Purpose::Complete, world)? {
        let tried = definition.and_then(|definition| {
            let plan = job.plan(&definition, world)?;
            show::warnings(&definition.name, &plan, &mut world.out);
            let blocked: Vec<_> = plan.blocked().collect();
            if !blocked.is_empty() {
                show::blocked(&blocked, &mut world.out);
                return Ok(Exit::Pending);
            }
            let report = attempt(&*connection, &plan.after)?;
            if args.json {
                let object = serde_json::json!({
                    "format": 1,
                    "source": definition.name,
                    "profile": job.profile,
                    "good": report.is_good(),
                    "preflight": report,
                });
                world.out.print(&format!("{object}\n"))?;
            } else {
                let text = text(&report, |verdict| world.out.verdict(verdict, true));
                world.out.print(&text)?;
            }
            Ok(match report.is_good() {
                true => Exit::Done,
                false => Exit::Pending,
            })
        });
        worst = worst.max(super::check::or_report(tried, world));
    }
    Ok(worst)
}

/// Tries a definition.
pub(crate) fn attempt(connection: &dyn Hypervisor, definition: &str) -> anyhow::Result<Report> {
    let scratch = preflight::scratch_parent(&connection.uri()?);
    preflight::run(connection, definition, scratch.as_deref()).map_err(|error| {
        let help = match &error {
            PreflightError::DoesNotStart { .. } => {
                "nothing was changed: this is what the next start of the domain would have said"
            }
            PreflightError::NotQemu { .. } => "leave the preflight out for this domain",
            _ => return error.into(),
        };
        let message = error.to_string();
        anyhow::Error::new(error).context(Advice::new(message, help))
    })
}

/// Tries a definition before it is written, and says what came of it; whether it is good.
pub(crate) fn try_out(
    connection: &dyn Hypervisor,
    definition: &str,
    world: &mut World<'_>,
) -> anyhow::Result<bool> {
    let report = attempt(connection, definition)?;
    let text = text(&report, |verdict| world.out.verdict(verdict, false));
    world.out.say(text.trim_end());
    if !report.is_good() {
        world
            .out
            .always("QEMU has not what the definition says; nothing was changed");
    }
    Ok(report.is_good())
}

/// One line for each check, then what was not tried.
pub(crate) fn text(report: &Report, style: impl Fn(Verdict) -> anstyle::Style) -> String {
    let mut out = String::new();
    let width = report
        .checks
        .iter()
        .map(|check| check.what.chars().count())
        .max()
        .unwrap_or(0);
    for check in &report.checks {
        let (verdict, word) = match check.ok {
            Some(true) => (Verdict::Satisfied, "ok       "),
            Some(false) => (Verdict::Blocked, "wrong    "),
            None => (Verdict::NotApplicable, "unknown  "),
        };
        let style = style(verdict);
        let _ = write!(out, "{:<width$}  {style}{word}{style:#}  ", check.what);
        let _ = match check.ok {
            Some(true) => writeln!(out, "{}", check.found),
            _ => writeln!(out, "{} (expected {})", check.found, check.expected),
        };
    }
    if !report.kvm {
        let _ = writeln!(
            out,
            "{:<width$}  QEMU emulated the processor (TCG): what depends on the host's own was not tried",
            "note"
        );
    }
    for left_out in &report.left_out {
        let _ = writeln!(out, "{:<width$}  not tried: {left_out}", "note");
    }
    out
}
