//! `virt-patch diff`: what would change.

use super::args::DiffArgs;
use super::plan::{self, Job};
use super::show;
use super::source::Definition;
use super::{Exit, World};
use crate::pipeline::Plan;
use crate::report::diff::{DiffOptions, unified};
use crate::report::{mask, verdicts};

pub(crate) fn run(args: &DiffArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let job = Job::new(&args.run)?;
    let mut worst = Exit::Done;
    for definition in plan::definitions(&args.sources)? {
        let shown = definition.and_then(|definition| {
            let plan = job.plan(&definition, world)?;
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
