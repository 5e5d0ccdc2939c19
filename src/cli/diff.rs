//! `virt-patch diff`: what would change.

use anyhow::Context as _;

use super::args::DiffArgs;
use super::connection::Purpose;
use super::plan::{self, Job};
use super::show;
use super::source::Definition;
use super::{Exit, World};
use crate::hypervisor::Mode;
use crate::pipeline::Plan;
use crate::report::diff::{DiffOptions, Labels, unified};
use crate::report::{mask, verdicts};

pub(crate) fn run(args: &DiffArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let job = Job::new(&args.run)?;
    let mut worst = Exit::Done;
    let purpose = match args.show_secrets {
        true => Purpose::Complete,
        false => Purpose::Look,
    };
    for definition in plan::definitions(&args.sources, purpose, world)? {
        let shown = definition.and_then(|definition| {
            let plan = job.plan(&definition, world)?;
            if args.qemu {
                return qemu(&definition, &plan, world);
            }
            show(args, &job, &definition, &plan, world)
        });
        worst = worst.max(super::check::or_report(shown, world));
    }
    Ok(worst)
}

fn show(
    args: &DiffArgs,
    job: &Job,
    definition: &Definition,
    plan: &Plan,
    world: &mut World<'_>,
) -> anyhow::Result<Exit> {
    let masked = match args.show_secrets {
        true => mask::Masked {
            before: plan.before.clone(),
            after: plan.after.clone(),
            hidden: 0,
        },
        false => mask::mask_pair(&plan.before, &plan.after),
    };
    let options = DiffOptions {
        context: args.unified,
        color: world.out.color && !args.json,
        terminal: world.out.terminal && !args.json,
    };
    let diff = unified(&masked.before, &masked.after, &definition.labels, &options);
    if args.json {
        let report = verdicts::json(&definition.name, &job.profile, plan, Some(&diff));
        world.out.print(&format!("{report}\n"))?;
    } else {
        world.out.print(&diff)?;
        show::summary(&definition.name, plan, &mut world.out);
        // Only a diff that shows a mask does not apply.
        if masked.hidden > 0 && diff.contains("*****") {
            world.out.say(
                "passwords are masked, so this diff does not apply as a patch; --show-secrets shows them",
            );
        }
    }
    Ok(super::check::exit(plan))
}

/// The command line libvirt would run before and after, one argument on each line: this is what shows
/// that a `-cpu` argument hides `<cpu>`.
fn qemu(definition: &Definition, plan: &Plan, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let connection = world.open(Mode::ReadWrite)?;
    let native = |text: &str, which: &str| -> anyhow::Result<String> {
        let line = connection
            .to_native(text)
            .with_context(|| format!("libvirt makes no command line of {which} definition"))?;
        Ok(one_on_each_line(&line))
    };
    let before = native(&plan.before, "the present")?;
    let after = native(&plan.after, "the new")?;
    let labels = Labels::domain(&definition.name, "QEMU command line");
    let options = DiffOptions {
        color: world.out.color,
        terminal: world.out.terminal,
        ..DiffOptions::default()
    };
    world
        .out
        .print(&unified(&before, &after, &labels, &options))?;
    show::summary(&definition.name, plan, &mut world.out);
    Ok(super::check::exit(plan))
}

/// libvirt writes a shell command with continued lines; an option and its value share one.
fn one_on_each_line(command: &str) -> String {
    let mut out = String::new();
    for line in command.lines() {
        let line = line.trim().trim_end_matches('\\').trim_end();
        match line.split_once(' ') {
            Some((option, value)) if option.starts_with('-') => {
                out.push_str(&format!("{option}\n  {value}\n"));
            }
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}
