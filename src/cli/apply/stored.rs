//! What to say of what libvirt made of a definition, or of why it refused it.

use std::slice;

use crate::cli::plan::Job;
use crate::cli::source::Definition;
use crate::host::Facts;
use crate::hypervisor::compare;
use crate::passes::Context;
use crate::pipeline::{self, Plan, Step, Verdict};

/// What to do about a refusal, where libvirt's message alone does not tell.
pub(super) fn help_for(message: &str) -> Option<&'static str> {
    let has = |text: &str| message.contains(text);
    if has("does not support virt type 'kvm'") {
        return Some(
            "libvirt sees no hardware virtualization on that host: 'virt-host-validate qemu' says why (off in the firmware setup, kvm module not loaded, no /dev/kvm); type='qemu' emulates, slowly",
        );
    }
    // Addresses in a snippet are those of someone else's machine.
    let is_taken = has("double use of PCI Address") || has("is already occupied");
    if is_taken {
        return Some(
            "leave the <address> of the device out of the patch, and libvirt finds a free one",
        );
    }
    has("Found duplicate drive address").then_some(
        "another disk of that bus has this place by its name or its <address>: give the new one a <target dev=…> that is free (sda, sdb, …)",
    )
}

/// The passes that changed something and are not satisfied with what libvirt stored.
pub(super) fn unsatisfied(
    job: &Job,
    plan: &Plan,
    definition: &Definition,
    facts: &Facts,
    stored: &str,
) -> Vec<String> {
    let context = Context {
        facts,
        settings: &job.settings,
        // What completes a new machine says nothing of an existing one.
        template: definition.template,
    };
    let steps = job.steps(definition);
    // A patch that takes out what has to be there (remove!), or that could mean two elements now, does not fit
    // what it made itself, and has nothing to say of what became of that.
    let fits = |step: &Step| pipeline::run(&plan.after, slice::from_ref(step), &context).is_ok();
    let again = match pipeline::run(stored, steps, &context) {
        Ok(again) => Ok((again, plan.steps.iter().collect::<Vec<_>>())),
        Err(_) => {
            let fitting = steps.iter().zip(&plan.steps).filter(|(step, _)| fits(step));
            let (steps, first): (Vec<Step>, Vec<_>) =
                fitting.map(|(step, first)| (step.clone(), first)).unzip();
            pipeline::run(stored, &steps, &context).map(|again| (again, first))
        }
    };
    let (again, first) = match again {
        Ok(again) => again,
        Err(error) => return vec![format!("what libvirt stored does not fit: {error}")],
    };
    let mut before = stored;
    let mut problems = Vec::new();
    for (first, second) in first.into_iter().zip(&again.steps) {
        let after = second.after.as_deref().unwrap_or(before);
        let is_done = match second.verdict {
            Verdict::Satisfied => true,
            // It says what libvirt leaves out without anything being lost.
            Verdict::Changed => compare::same_meaning(after, before).unwrap_or(false),
            _ => false,
        };
        if first.verdict == Verdict::Changed && !is_done {
            problems.push(match second.verdict {
                Verdict::Changed => would_change(&second.name, before, after),
                verdict => format!(
                    "'{}' is {} afterwards: {}",
                    second.name,
                    verdict.word(),
                    second.reason
                ),
            });
        }
        before = after;
    }
    problems
}

/// What a step says that libvirt did not keep, or takes out and libvirt put back.
fn would_change(step: &str, stored: &str, after: &str) -> String {
    let missing = |ours, stored| compare::missing(ours, stored).unwrap_or_default();
    let mut what: Vec<String> = missing(after, stored)
        .into_iter()
        .map(|one| one.what)
        .collect();
    let back = missing(stored, after)
        .into_iter()
        .filter(|one| one.is_element);
    what.extend(back.filter_map(|one| {
        let element = one.what.strip_suffix(" is missing")?;
        Some(format!("{element} is there again"))
    }));
    match what.as_slice() {
        [] => format!("'{step}' would have to change it again"),
        what => format!(
            "'{step}' would have to change it again: {}",
            what.join("; ")
        ),
    }
}
