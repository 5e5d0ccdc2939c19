//! What is said on stderr beside a command's own output.

use super::output::Output;
use crate::pipeline::{Plan, StepReport, Verdict};
use crate::report::verdicts;

/// After a diff: what each pass did, and what the definition has that does not work.
pub(crate) fn summary(name: &str, plan: &Plan, out: &mut Output) {
    let table = verdicts::table(None, plan, out.columns(false), |verdict| {
        out.verdict(verdict, false)
    });
    if !table.is_empty() {
        out.say(table.trim_end());
    }
    if !plan.changed() && plan.blocked().next().is_none() {
        out.say("nothing to change");
    }
    warnings(name, plan, out);
}

/// What libvirt would drop and QEMU refuse.
pub(crate) fn warnings(name: &str, plan: &Plan, out: &mut Output) {
    for warning in verdicts::warnings(name, plan) {
        out.warn(&warning);
    }
}

/// Why nothing is printed or applied, and the ways on.
pub(crate) fn blocked(steps: &[&StepReport], out: &mut Output) {
    let style = out.verdict(Verdict::Blocked, false);
    for step in steps {
        out.always(&format!(
            "{}: {style}blocked{style:#}: {}",
            step.name, step.reason
        ));
        for note in &step.notes {
            out.always(&format!("  note: {note}"));
        }
    }
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    out.always(&format!(
        "nothing was changed; to go on without: --skip {}",
        names.join(",")
    ));
}
