//! `virt-patch render`: the patched definition, and nothing else on stdout.

use std::fs;

use anyhow::Context as _;

use super::args::RenderArgs;
use super::connection::Purpose;
use super::errors::Advice;
use super::plan::{self, Job};
use super::{Exit, World, show};

pub(crate) fn run(args: &RenderArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    if args.sources.sources.len() > 1 {
        return Err(Advice::new(
            "render takes one SOURCE",
            "the output of several would be one text; run it once for each",
        )
        .into());
    }
    let job = Job::new(&args.run)?;
    let mut exit = Exit::Done;
    for definition in plan::definitions(&args.sources, Purpose::Complete, world)? {
        let definition = definition?;
        let plan = job.plan(&definition, world)?;
        show::warnings(&definition.name, &plan, &mut world.out);
        let blocked: Vec<_> = plan.blocked().collect();
        if !blocked.is_empty() {
            show::blocked(&blocked, &mut world.out);
            exit = Exit::Pending;
            continue;
        }
        let bytes = definition.encoding.encode(&plan.after);
        match &args.output {
            Some(path) => fs::write(path, bytes)
                .with_context(|| format!("cannot write '{}'", path.display()))?,
            None => world.out.bytes(&bytes)?,
        }
    }
    Ok(exit)
}
