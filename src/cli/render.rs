//! `virt-patch render`: the patched definition, and nothing else on stdout.

use std::fs;

use anyhow::Context as _;

use super::args::RenderArgs;
use super::connection::Purpose;
use super::errors::Advice;
use super::in_place::InPlace;
use super::plan::{self, Job};
use super::source::{self, Definition, SourceName};
use super::{Exit, World, check, show};
use crate::pipeline::Plan;

pub(crate) fn run(args: &RenderArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    if args.in_place {
        return in_place(args, world);
    }
    if args.sources.sources.len() > 1 {
        return Err(Advice::new(
            "render takes one SOURCE",
            "the output of several would be one text; run it once for each, or change files in place: render -i FILE…",
        )
        .into());
    }
    let job = Job::new(&args.run)?;
    let mut exit = Exit::Done;
    for definition in plan::definitions(&args.sources, Purpose::Complete, world)? {
        let definition = definition?;
        let Some(plan) = planned(&job, &definition, false, world)? else {
            exit = Exit::Pending;
            continue;
        };
        let bytes = definition.encoding.encode(&plan.after);
        match &args.output {
            Some(path) => fs::write(path, bytes)
                .with_context(|| format!("cannot write '{}'", path.display()))?,
            None => world.out.bytes(&bytes)?,
        }
    }
    Ok(exit)
}

/// The plan; `None`, with the reasons said, when something is blocked.
fn planned(
    job: &Job,
    definition: &Definition,
    several: bool,
    world: &mut World<'_>,
) -> anyhow::Result<Option<Plan>> {
    let plan = job.plan(definition, world)?;
    show::warnings(&definition.name, &plan, &mut world.out);
    let blocked: Vec<_> = plan.blocked().collect();
    if !blocked.is_empty() {
        if several {
            world.out.always(&format!("{}:", definition.name));
        }
        show::blocked(&blocked, &mut world.out);
        return Ok(None);
    }
    Ok(Some(plan))
}

/// Files are changed one by one; a failure does not keep the others from it.
fn in_place(args: &RenderArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for source in args.sources.names()? {
        match source {
            SourceName::File(path) => files.push(path),
            SourceName::Domain(name) => {
                return Err(Advice::new(
                    format!("'{name}' is no file that could be changed in place"),
                    format!("for a file of that name write ./{name}; a domain is changed by: virt-patch apply {name}"),
                )
                .into());
            }
            SourceName::Stdin | SourceName::Template => {
                return Err(Advice::new(
                    "there is no file to change in place",
                    "name one: render -i FILE…",
                )
                .into());
            }
        }
    }
    let job = Job::new(&args.run)?;
    let several = files.len() > 1;
    let mut worst = Exit::Done;
    for path in files {
        let shown = path.display().to_string();
        let done = InPlace::open(&path).and_then(|file| {
            let definition = source::from_bytes(&shown, file.bytes())?;
            let Some(plan) = planned(&job, &definition, several, world)? else {
                return Ok(Exit::Pending);
            };
            let new = definition.encoding.encode(&plan.after);
            match file.replace(&new)? {
                true => world.out.say(&format!("'{shown}' is changed")),
                false => world.out.say(&format!("'{shown}' is as it should be")),
            }
            Ok(Exit::Done)
        });
        worst = worst.max(check::or_report(done, world));
    }
    Ok(worst)
}
