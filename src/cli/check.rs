//! `virt-patch check`: one line per pass, verdict and reason.

use super::args::CheckArgs;
use super::connection::Purpose;
use super::plan::{self, Job};
use super::{Exit, World, show};
use crate::pipeline::Plan;
use crate::report::verdicts;

pub(crate) fn run(args: &CheckArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let job = Job::new(&args.run)?;
    let several = args.sources.sources.len() > 1;
    let mut worst = Exit::Done;
    let purpose = match job.says_secrets() {
        true => Purpose::Complete,
        false => Purpose::Look,
    };
    for definition in plan::definitions(&args.sources, purpose, world)? {
        let shown = definition.and_then(|definition| {
            let mut plan = job.plan(&definition, world)?;
            if args.json {
                let report = verdicts::json(&definition.name, &job.profile, &plan, None);
                world.out.print(&format!("{report}\n"))?;
            } else {
                if world.out.is_quiet() {
                    plan.steps.iter_mut().for_each(|step| step.notes.clear());
                }
                let name = several.then_some(definition.name.as_str());
                let out = &world.out;
                let table = verdicts::table(name, &plan, out.columns(true), |verdict| {
                    out.verdict(verdict, true)
                });
                world.out.print(&table)?;
                show::warnings(&definition.name, &plan, &mut world.out);
            }
            Ok(exit(&plan))
        });
        worst = worst.max(or_report(shown, world));
    }
    Ok(worst)
}

/// Changes due or a pass blocked: 1.
pub(crate) fn exit(plan: &Plan) -> Exit {
    if plan.changed() || plan.blocked().next().is_some() {
        Exit::Pending
    } else {
        Exit::Done
    }
}

/// With several sources one failure is told and the others go on.
pub(crate) fn or_report(result: anyhow::Result<Exit>, world: &mut World<'_>) -> Exit {
    result.unwrap_or_else(|error| {
        world.out.error(&error);
        Exit::Error
    })
}
