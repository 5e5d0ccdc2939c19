//! Runs passes and patches over a definition, one after the other.
//!
//! Text in, [`Plan`] out: the new text, and for each step a verdict with its reason. Nothing is
//! read or written here; a blocked step changes nothing and leaves the others their turn, so that
//! a dry run shows everything.

mod patch_step;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::document::qemu::{self, Problem};
use crate::document::{Document, DocumentError};
use crate::host::local::WantedBuilds;
use crate::host::{Facts, FileFact};
use crate::merge::{self, MergeError, Patch};
use crate::passes::settings::Settings;
use crate::passes::{self, Context, Needs, Outcome, PASSES, Pass, guest};
use crate::patches::facts;

/// One thing to run.
#[derive(Debug, Clone)]
pub enum Step {
    /// A pass.
    Pass(&'static Pass),
    /// A merge patch of the user's, or a shipped one.
    Patch(Patch),
}

impl Step {
    /// Its name, as in reports.
    pub fn name(&self) -> &str {
        match self {
            Step::Pass(pass) => pass.name,
            Step::Patch(patch) => &patch.name,
        }
    }
}

/// The facts a run reads.
pub fn needs(steps: &[Step]) -> Needs {
    steps
        .iter()
        .fold(Needs::default(), |needs, step| match step {
            Step::Pass(pass) => needs.and(pass.needs),
            Step::Patch(patch) => needs.and(facts::needs(patch)),
        })
}

/// Which firmware builds a run asks about.
pub fn builds(steps: &[Step], document: &Document<'_>, settings: &Settings) -> WantedBuilds {
    if !needs(steps).firmware {
        return WantedBuilds::None;
    }
    // A patch may name a loader before the pass has its turn.
    let is_patch = |step: &Step| matches!(step, Step::Patch(_));
    match !steps.iter().any(is_patch) && passes::takes_the_first_fit(document, settings) {
        true => WantedBuilds::FirstFit,
        false => WantedBuilds::All,
    }
}

/// Adds to `facts` what `look` says of the files a run asks about: see [`Pass::files`].
pub fn look_at_files(
    steps: &[Step],
    document: &Document<'_>,
    settings: &Settings,
    facts: &mut Facts,
    look: impl Fn(&str) -> Option<FileFact>,
) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    loop {
        let there = |path: &str| facts.files.get(path).is_some_and(|file| file.exists);
        let mut paths = files(steps, document, settings, &there);
        paths.retain(|path| seen.insert(path.clone()));
        if paths.is_empty() {
            return;
        }
        let mut found = false;
        for path in paths {
            if let Some(fact) = look(&path) {
                found |= fact.exists;
                facts.files.insert(path, fact);
            }
        }
        // What a pass asks for depends on what there is, and nothing more is.
        if !found {
            return;
        }
    }
}

fn files(
    steps: &[Step],
    document: &Document<'_>,
    settings: &Settings,
    there: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let passes = steps.iter().filter_map(|step| match step {
        Step::Pass(pass) => Some(pass),
        Step::Patch(_) => None,
    });
    passes
        .flat_map(|pass| (pass.files)(document, settings, there))
        .collect()
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It changes the definition.
    Changed,
    /// Everything it ensures holds already.
    Satisfied,
    /// It has nothing to say here.
    NotApplicable,
    /// It cannot decide or cannot have what it must have; nothing may be applied.
    Blocked,
}

impl Verdict {
    /// The word for it, the same in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Changed => "changed",
            Verdict::Satisfied => "satisfied",
            Verdict::NotApplicable => "not-applicable",
            Verdict::Blocked => "blocked",
        }
    }
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A pass.
    Pass,
    /// A merge patch.
    Patch,
}

/// The report of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Name of the pass or patch.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Sentences to read in any case.
    pub notes: Vec<String>,
    /// The whole text after this step, when it changed it.
    #[serde(skip)]
    pub after: Option<String>,
    /// What kind of step it was.
    pub kind: Kind,
    /// What is probably not meant, as clauses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a run would do to a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The definition as it was.
    pub before: String,
    /// The definition after every step; equal to `before` when nothing is to be done.
    pub after: String,
    /// The steps in their order.
    pub steps: Vec<StepReport>,
    /// What libvirt would drop and what libvirt or QEMU would refuse, found in `before`.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Whether the definition changes.
    pub fn changed(&self) -> bool {
        self.before != self.after
    }

    /// This plan and one for its result, as one. What changed in the first stays a change.
    fn then(self, next: Plan) -> Plan {
        let steps = self.steps.into_iter().zip(next.steps);
        Plan {
            after: next.after,
            steps: steps
                .map(|(first, second)| match (first.verdict, second.verdict) {
                    (_, Verdict::Blocked) => second,
                    (Verdict::Changed, _) => first,
                    _ => second,
                })
                .collect(),
            ..self
        }
    }

    /// The steps that stop the run.
    pub fn blocked(&self) -> impl Iterator<Item = &StepReport> {
        self.steps
            .iter()
            .filter(|step| step.verdict == Verdict::Blocked)
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The definition cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A patch does not fit.
    #[error(transparent)]
    Patch(#[from] MergeError),
    /// A step made a text that is no definition any more: a bug.
    #[error("'{step}' made a definition that cannot be read; please report this")]
    Broken {
        /// The step.
        step: String,
        /// What is wrong with its text.
        source: DocumentError,
    },
}

/// Runs `steps` over the definition `text`, in their order. Where that is another order than that
/// of [`PASSES`], a pass may have decided from what a later one changed: then all run again, until
/// nothing changes any more.
///
/// # Errors
/// A definition that cannot be read, or a user's patch that cannot be merged.
pub fn run(text: &str, steps: &[Step], context: &Context<'_>) -> Result<Plan, PlanError> {
    run_on(Document::parse_domain(text)?, steps, context)
}

/// As [`run`], on a definition that was read already, and is let go once it has become another.
///
/// # Errors
/// An element that is there twice and may not be, or a user's patch that cannot be merged.
pub fn run_on(
    document: Document<'_>,
    steps: &[Step],
    context: &Context<'_>,
) -> Result<Plan, PlanError> {
    let mut plan = once(document, steps, context)?;
    if in_usual_order(steps) {
        return Ok(plan);
    }
    for _ in 1..steps.len() {
        if !plan.changed() {
            break;
        }
        let next = once(Document::parse_domain(&plan.after)?, steps, context)?;
        if !next.changed() {
            break;
        }
        plan = plan.then(next);
    }
    Ok(plan)
}

fn in_usual_order(steps: &[Step]) -> bool {
    let place = |pass: &Pass| PASSES.iter().position(|known| known.name == pass.name);
    steps
        .iter()
        .filter_map(|step| match step {
            Step::Pass(pass) => place(pass),
            Step::Patch(_) => None,
        })
        .is_sorted()
}

fn once(document: Document<'_>, steps: &[Step], context: &Context<'_>) -> Result<Plan, PlanError> {
    let text = document.text();
    let mut problems = qemu::problems(&document);
    let advice = guest::advice(&document);
    problems.extend_from_slice(&advice);
    if steps.is_empty() {
        return Ok(Plan {
            before: text.to_owned(),
            after: text.to_owned(),
            steps: Vec::new(),
            problems,
        });
    }
    if let Some(error) = document.duplicate() {
        return Err(error.into());
    }
    let mut reports: Vec<StepReport> = Vec::with_capacity(steps.len());
    let mut remaining = steps.iter();
    let mut new = run_until_change(&document, &mut remaining, context, &mut reports)?;
    // The next one takes the room it had.
    drop(document);
    let mut after = None;
    while let Some(text) = new.take() {
        let changed = reports.len() - 1;
        // Nobody reads the last text again; that it can be read is the merge engine's law.
        if !remaining.as_slice().is_empty() || !advice.is_empty() {
            let document = Document::parse_domain(&text).map_err(|source| PlanError::Broken {
                step: reports[changed].name.clone(),
                source,
            })?;
            new = run_until_change(&document, &mut remaining, context, &mut reports)?;
            if new.is_none() && guest::advice(&document).is_empty() {
                // What was wrong and is not any more needs no advice.
                problems.retain(|problem| !advice.contains(problem));
            }
        }
        if new.is_none() {
            after = Some(text.clone());
        }
        reports[changed].after = Some(text);
    }
    Ok(Plan {
        before: text.to_owned(),
        after: after.unwrap_or_else(|| text.to_owned()),
        steps: reports,
        problems,
    })
}

/// Runs steps on one parsed text until one of them makes another, whose report is the last then.
fn run_until_change(
    document: &Document<'_>,
    steps: &mut std::slice::Iter<'_, Step>,
    context: &Context<'_>,
    reports: &mut Vec<StepReport>,
) -> Result<Option<String>, PlanError> {
    for step in steps {
        let mut report = one(document, step, context).map_err(|error| {
            let has_changed = |report: &StepReport| report.verdict == Verdict::Changed;
            match reports.iter().any(has_changed) {
                true => error.after_changes(),
                false => error,
            }
        })?;
        let new = report.after.take();
        reports.push(report);
        if new.is_some() {
            return Ok(new);
        }
    }
    Ok(None)
}

fn one(
    document: &Document<'_>,
    step: &Step,
    context: &Context<'_>,
) -> Result<StepReport, MergeError> {
    match step {
        Step::Pass(pass) => Ok(run_pass(document, pass, context)),
        Step::Patch(patch) => patch_step::run(document, patch, context),
    }
}

fn run_pass(document: &Document<'_>, pass: &Pass, context: &Context<'_>) -> StepReport {
    let report = |verdict, reason: String, notes| StepReport {
        notes,
        ..StepReport::new(pass.name, verdict, reason)
    };
    let ensure = match (pass.run)(document, context) {
        Outcome::NotApplicable(reason) => {
            return report(Verdict::NotApplicable, reason, Vec::new());
        }
        Outcome::Blocked { reason, notes } => {
            return report(Verdict::Blocked, reason, notes);
        }
        Outcome::Ensure(ensure) => ensure,
    };
    match merge::merged(document, &ensure.patch) {
        Ok(None) => StepReport {
            warnings: ensure.warnings,
            ..report(Verdict::Satisfied, ensure.satisfied, ensure.notes)
        },
        Ok(after) => StepReport {
            warnings: ensure.warnings,
            after,
            ..report(Verdict::Changed, ensure.reason, ensure.notes)
        },
        // The definition is of a shape the pass's patch does not fit.
        Err(error) => report(Verdict::Blocked, error.to_string(), Vec::new()),
    }
}

impl StepReport {
    fn new(name: &str, verdict: Verdict, reason: String) -> StepReport {
        StepReport {
            name: name.to_owned(),
            verdict,
            reason,
            notes: Vec::new(),
            after: None,
            kind: Kind::Pass,
            warnings: Vec::new(),
        }
    }
}
