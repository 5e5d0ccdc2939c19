//! Whether a CPU has the instructions a macOS release is built for.

use crate::document::Document;
use crate::macos::{Choice, Instructions, RELEASES, Release};
use crate::passes::{Context, guest};

/// What to say when the model the guest sees, or the host that runs it, lacks something.
pub(super) fn notes(
    document: &Document<'_>,
    context: &Context<'_>,
    model: &str,
    features: &str,
) -> Vec<String> {
    let choice = context.settings.macos();
    let mut notes: Vec<String> = choice.note.clone().into_iter().collect();
    let guest = Instructions::of_model(model).map(|has| {
        let has = has.max(added(features));
        taken(features).map_or(has, |left| has.min(left))
    });
    if let Some(has) = guest.filter(|has| *has < choice.release.minimum) {
        notes.push(lacking(
            &choice,
            &format!("{} does not have", with_taken(model, features)),
            has,
        ));
        return notes;
    }
    // Under TCG QEMU computes what the host's processor lacks.
    if let Some(features) = &context.facts.cpu.features
        && !guest::is_emulated(document)
    {
        let has = Instructions::of_features(features.iter().map(String::as_str));
        if has < choice.release.minimum {
            notes.push(lacking(&choice, "the host's processor does not have", has));
        }
    }
    notes
}

fn lacking(choice: &Choice, who: &str, has: Instructions) -> String {
    let enough_for = |release: &&Release| release.minimum <= has;
    let newest = RELEASES.iter().rev().find(enough_for);
    let so = newest.map_or_else(String::new, |release| {
        format!("; it is enough for {release}")
    });
    format!("{choice} needs {}, which {who}{so}", choice.release.minimum)
}

/// The model, with what is taken from it.
fn with_taken(model: &str, features: &str) -> String {
    match taken(features) {
        Some(_) => format!("a {model} with {features}"),
        None => format!("a {model}"),
    }
}

/// What is left without the features that are taken from the model.
fn taken(features: &str) -> Option<Instructions> {
    let is_off = |name: &str| {
        let spelt = name.replace('_', ".");
        features.split(',').any(|feature| {
            let feature = feature.replace('_', ".");
            let off = feature
                .strip_prefix('-')
                .or_else(|| feature.strip_suffix("=off"));
            off == Some(spelt.as_str())
        })
    };
    let all = [
        Instructions::Ssse3,
        Instructions::Sse41,
        Instructions::Sse42,
        Instructions::Avx2,
    ];
    let first = all.iter().position(|one| is_off(one.feature()))?;
    match first {
        0 => Some(Instructions::Sse3),
        first => all.get(first - 1).copied(),
    }
}

/// What features given besides the model add to it.
fn added(features: &str) -> Instructions {
    let names = features
        .split(',')
        .filter_map(|feature| feature.strip_prefix('+'));
    match Instructions::of_features(names.clone()) {
        // What is said of a whole processor.
        Instructions::Ssse3 if !names.clone().any(|name| name == "ssse3") => Instructions::Sse3,
        set => set,
    }
}
