//! Plans as tables and JSON. Takes a finished [`Plan`] and decides nothing.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::Style;
use serde_json::{Value, json};

use crate::pipeline::{Plan, StepReport, Verdict};

/// One line for each step, its notes below it. A `name` comes first on a line of its own. Sentences
/// longer than `columns` go on below where they began.
pub fn table(
    name: Option<&str>,
    plan: &Plan,
    columns: Option<usize>,
    style: impl Fn(Verdict) -> Style,
) -> String {
    let mut out = String::new();
    if let Some(name) = name {
        let _ = writeln!(out, "{name}:");
    }
    let width = |of: fn(&StepReport) -> usize| plan.steps.iter().map(of).max().unwrap_or(0);
    let names = width(|step| step.name.chars().count());
    let verdicts = width(|step| step.verdict.word().len());
    let reasons = names + verdicts + 4;
    for step in &plan.steps {
        let style = style(step.verdict);
        let word = step.verdict.word();
        let _ = writeln!(
            out,
            "{:<names$}  {style}{word}{style:#}{}  {}",
            step.name,
            " ".repeat(verdicts - word.len()),
            below(&step.reason, reasons, columns),
        );
        for note in &step.notes {
            let note = below(note, names + 8, columns);
            let _ = writeln!(out, "{:names$}  note: {note}", "");
        }
    }
    out
}

/// Breaks a sentence that begins in the column `at` so that it goes on in the same column.
pub fn below<'s>(sentence: &'s str, at: usize, columns: Option<usize>) -> Cow<'s, str> {
    let width = columns.and_then(|columns| columns.checked_sub(at));
    match width.filter(|width| *width >= LEGIBLE) {
        None => Cow::from(sentence),
        Some(width) => {
            let options = textwrap::Options::new(width).break_words(false);
            let lines = textwrap::wrap(sentence, options);
            Cow::from(lines.join(&format!("\n{:at$}", "")))
        }
    }
}

/// A column narrower than this is worse to read than lines that the terminal breaks.
const LEGIBLE: usize = 20;

/// One JSON object on one line.
pub fn json(source: &str, profile: &str, plan: &Plan, diff: Option<&str>) -> String {
    object(source, profile, plan, diff).to_string()
}

/// The object of [`json()`], for commands that add to it.
pub fn object(source: &str, profile: &str, plan: &Plan, diff: Option<&str>) -> Value {
    let changed = plan.changed();
    let outcome = match (plan.blocked().next(), changed) {
        (None, false) => "unchanged",
        _ => "pending",
    };
    let warnings: Vec<Value> = plan
        .problems
        .iter()
        .map(|problem| {
            json!({
                "line": problem.position.line,
                "column": problem.position.column,
                "message": problem.message,
            })
        })
        .collect();
    let mut object = json!({
        "format": 1,
        "source": source,
        "profile": profile,
        "changed": changed,
        "outcome": outcome,
        "passes": plan.steps,
        "warnings": warnings,
    });
    if let (Some(diff), Some(object)) = (diff, object.as_object_mut()) {
        object.insert("diff".to_owned(), Value::from(diff));
    }
    object
}

/// Adds to the object what each step changed, see [`edits`](super::provenance::edits).
pub fn add_edits(object: &mut Value, edits: Vec<Vec<Value>>) {
    let Some(passes) = object.get_mut("passes").and_then(Value::as_array_mut) else {
        return;
    };
    for (pass, edits) in passes.iter_mut().zip(edits) {
        if let Some(pass) = pass.as_object_mut() {
            pass.insert("edits".to_owned(), Value::from(edits));
        }
    }
}

/// What libvirt would drop and QEMU refuse in the definition, as sentences with their places, and
/// what a patch does that is probably not meant.
pub fn warnings(source: &str, plan: &Plan) -> Vec<String> {
    let problems = plan
        .problems
        .iter()
        .map(|problem| format!("{source}:{}: {}", problem.position, problem.message));
    let doubts = plan.steps.iter().flat_map(|step| {
        let named = |warning| format!("{}: {warning}", step.name);
        step.warnings.iter().map(named)
    });
    problems.chain(doubts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_goes_on_where_it_began() {
        for (columns, expected) in [
            (None, "one two three four five six"),
            (Some(34), "one two three four five\n          six"),
            // Too narrow for another column.
            (Some(29), "one two three four five six"),
            (Some(5), "one two three four five six"),
        ] {
            assert_eq!(below("one two three four five six", 10, columns), expected);
        }
        // A path is no word to be broken.
        let path = "/usr/share/OVMF/OVMF_CODE_4M.fd";
        assert_eq!(below(path, 10, Some(30)), path);
    }
}
