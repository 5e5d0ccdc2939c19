//! One merge patch as a step of a run: what it asks for, what it makes, and what is odd about that.

use super::{Kind, StepReport, Verdict};
use crate::document::Document;
use crate::merge::condition::{self, Fact};
use crate::merge::{self, MergeError, Patch};
use crate::passes::{Context, guest};
use crate::patches::facts;

/// A patch that makes no sense is an error; one that asks for what is not known here is blocked, as
/// a pass is.
pub(super) fn run(
    document: &Document<'_>,
    patch: &Patch,
    context: &Context<'_>,
) -> Result<StepReport, MergeError> {
    let report = |verdict, reason: String| StepReport {
        kind: Kind::Patch,
        ..StepReport::new(&patch.name, verdict, reason)
    };
    let patch = Patch {
        facts: facts::facts(document, context),
        ..patch.clone()
    };
    let wanted = match patch.resolve_for(document) {
        Ok(wanted) => wanted,
        Err(error @ MergeError::Unknown { .. }) => {
            return Ok(report(Verdict::Blocked, error.to_string()));
        }
        Err(error) => return Err(error),
    };
    if let Some(condition) = wanted.unmet {
        return Ok(report(Verdict::NotApplicable, unmet(&condition, &patch)));
    }
    let explanation = patch.explanation();
    let reason = explanation
        .lines()
        .next()
        .map(|line| line.trim_end_matches('.').to_owned());
    let merged = merge::merged_wanted(document, &patch, &wanted)?;
    if let Some(after) = merged.text.as_deref() {
        settles(&patch, context, after)?;
    }
    let notes = merged.notes;
    if let Some(reason) = merged
        .text
        .as_deref()
        .and_then(|after| contradiction(document, after))
    {
        return Ok(report(Verdict::Blocked, reason));
    }
    Ok(match merged.text {
        None => StepReport {
            notes,
            ..report(
                Verdict::Satisfied,
                "the definition says all of it".to_owned(),
            )
        },
        Some(after) => StepReport {
            warnings: identity_changes(document, &after),
            after: Some(after),
            notes,
            ..report(
                Verdict::Changed,
                reason.unwrap_or_else(|| "as the patch says".to_owned()),
            )
        },
    })
}

/// What a patch is for, and what there is instead.
fn unmet(condition: &str, patch: &Patch) -> String {
    let there: Vec<String> = condition::names(condition)
        .into_iter()
        .filter_map(|name| match patch.facts.get(&name)? {
            Fact::Is(value) => Some(format!("{name} is '{value}'")),
            Fact::Unknown(_) | Fact::Unset(_) => None,
        })
        .collect();
    match there.as_slice() {
        [] => format!("it is for {condition}"),
        there => format!("it is for {condition}, and {}", there.join(", ")),
    }
}

/// Refuses a patch whose second run would change more: for it asks what it changes itself, or one part
/// of it changes what another one speaks of.
fn settles(patch: &Patch, context: &Context<'_>, after: &str) -> Result<(), MergeError> {
    let Ok(after) = Document::parse(after) else {
        return Ok(());
    };
    let facts = facts::facts(&after, context);
    let mut asked = facts
        .iter()
        .filter(|(name, fact)| patch.facts.get(*name) != Some(*fact) && patch.mentions(name));
    let asked = asked.next().map(|(name, _)| name.clone());
    let again = Patch {
        facts: facts.clone(),
        ..patch.clone()
    };
    let merged = again
        .resolve_for(&after)
        .and_then(|wanted| merge::merged_wanted(&after, &again, &wanted));
    // What a second run refuses (`remove!` of what is gone) it does not change.
    if merged.map_or(true, |merged| merged.text.is_none()) {
        return Ok(());
    }
    let Some(name) = asked else {
        let message =
            "a second run of this patch would change more: two parts of it speak of one element";
        let error = MergeError::in_patch(patch, 0, message.to_owned());
        return Err(error
            .helped("make two patches of it, or name what tells the elements apart".to_owned()));
    };
    let offset = patch.text.find(name.as_str()).unwrap_or_default();
    let message =
        format!("the patch asks for {name} and changes it, so a second run would change more");
    Err(MergeError::in_patch(patch, offset, message).helped(
        "make two patches of it: the first changes this, the second asks for it".to_owned(),
    ))
}

/// What the patch makes contradict each other, which was no contradiction before.
fn contradiction(before: &Document<'_>, after: &str) -> Option<String> {
    let after = Document::parse(after).ok()?;
    let reason = guest::contradiction(&after)?;
    guest::contradiction(before).is_none().then_some(reason)
}

/// A patch that is the dump of another domain changes what this one is called: libvirt then takes
/// it for another domain, or refuses it.
fn identity_changes(before: &Document<'_>, after: &str) -> Vec<String> {
    let Ok(after) = Document::parse(after) else {
        return Vec::new();
    };
    ["name", "uuid"]
        .into_iter()
        .filter_map(|element| {
            let old = before.text_at(&[element])?;
            let new = after.text_at(&[element]).unwrap_or_default();
            (old != new).then(|| {
                format!("it changes the {element} from '{old}' to '{new}', which makes it another domain; if that is not meant, take <{element}> out of the patch")
            })
        })
        .collect()
}
