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
    let guest = Instructions::of_model(model).map(|has| has.max(added(features)));
    if let Some(has) = guest.filter(|has| *has < choice.release.minimum) {
        notes.push(lacking(&choice, &format!("a {model} does not have"), has));
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

/// What features given besides the model add to it.
fn added(features: &str) -> Instructions {
    let names = features
        .split(',')
        .filter_map(|feature| feature.strip_prefix('+'));
    Instructions::of_features(names)
}
