//! `virt-patch derive`: the merge patch between two definitions.

use std::fs;

use anyhow::Context as _;

use super::args::DeriveArgs;
use super::connection::Purpose;
use super::errors::{Advice, InFile};
use super::source::{self, Definition, SourceName, quoted};
use super::{Exit, World};
use crate::derive::{DeriveError, Keep, Side, derive, left_out};
use crate::report::mask;

pub(crate) fn run(args: &DeriveArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    if (&args.before, &args.after) == (&SourceName::Stdin, &SourceName::Stdin) {
        return Err(Advice::new(
            "both definitions cannot be read from standard input",
            "write one of them to a file",
        )
        .into());
    }
    let mut keep = Keep::default();
    for word in &args.keep {
        // clap has let only the words through that there are.
        keep.add(word);
    }
    let before = read(&args.before, world)?;
    let after = read(&args.after, world)?;
    keep.passwords |= after.has_passwords;
    let derived = derive(&before.text, &after.text, &keep).map_err(|error| {
        let (message, place) = match error {
            DeriveError::Before(error) => (
                format!("cannot read {}", quoted(&before.name)),
                InFile::document(&before.name, error),
            ),
            DeriveError::After(error) => (
                format!("cannot read {}", quoted(&after.name)),
                InFile::document(&after.name, error),
            ),
            DeriveError::Unsayable {
                message, excerpt, ..
            } => (
                "there is no patch between these definitions".to_owned(),
                InFile::unsayable(&after.name, message, excerpt),
            ),
        };
        anyhow::Error::new(place).context(message)
    })?;
    if derived.empty && derived.unordered.is_empty() {
        let words = left_out(&before.text, &after.text, &keep);
        world.out.say(&match words.as_slice() {
            [] => "no difference, so this patch does nothing".to_owned(),
            words => format!(
                "nothing to record, so this patch does nothing: what differs is left out; --keep {} records it",
                words.join(",")
            ),
        });
    }
    if let Some(side) = derived.live {
        let name = match side {
            Side::Before => &before.name,
            Side::After => &after.name,
        };
        world.out.warn(&format!(
            "only {} is of a running domain, and has what libvirt added at its start (the features of the CPU, say); better compare two of virsh dumpxml --inactive",
            quoted(name)
        ));
    }
    if derived.by_mac {
        world.out.warn(
            "the patch tells interfaces apart by their MAC addresses, so it fits this domain only",
        );
    }
    if derived.by_order {
        world.out.warn(
            "the patch tells interfaces apart by their order: the first of another domain is taken for the first of this one",
        );
    }
    for name in &derived.counted {
        world.out.warn(&format!(
            "the patch counts <{name}> elements that are alike: a domain that has fewer of them than the first one had gets more than one"
        ));
    }
    for name in &derived.emptied {
        world.out.warn(&format!(
            "the patch takes <{name}> out as a whole; what other domains have in it goes as well"
        ));
    }
    for name in &derived.every {
        world.out.warn(&format!(
            "the patch takes out every <{name}>, however many another domain has"
        ));
    }
    for (disk, image) in &derived.moved {
        world.out.warn(&format!(
            "the patch adds the disk {disk} with the image of this domain, '{image}': other domains lose the disk it was and get that image"
        ));
    }
    for (disk, image) in &derived.images {
        world.out.warn(&format!(
            "the patch gives the disk {disk} the image '{image}': so it does on every domain, and two that write to one image destroy it"
        ));
    }
    if !derived.chipset.is_empty() {
        world.out.warn(&format!(
            "the machine type is of another chipset, so the patch has the {} of this domain as well",
            crate::text::list(&derived.chipset)
        ));
    }
    if derived.hidden {
        world.out.warn(&format!(
            "{} has passwords and {} shows none, as a dump without --security-info does: that they go is not recorded; --keep passwords records it",
            quoted(&before.name),
            quoted(&after.name)
        ));
    }
    for (gone, came) in &derived.exchanged {
        world.out.warn(&format!(
            "the patch takes out {gone}, and adds {came}: a domain that does not have what goes gets what comes all the same"
        ));
    }
    for (name, left_out) in &derived.unordered {
        world.out.warn(&format!(
            "the patch leaves out the order of elements: <{name}> would be replaced as a whole, and what is not recorded of it ({}) would go; --keep all records it",
            crate::text::list(left_out)
        ));
    }
    for name in &derived.replaced {
        world.out.warn(&format!(
            "the patch replaces <{name}> as a whole; what other domains have in it gets lost"
        ));
    }
    if !mask::secrets(&derived.patch).is_empty() {
        world.out.warn("the patch has passwords in it");
    }
    let names = format!("{} into {}", before.name, after.name).replace("--", "- -");
    let patch = format!("<!-- What turned {names}. -->\n{}", derived.patch);
    match &args.output {
        Some(path) => {
            fs::write(path, patch).with_context(|| format!("cannot write '{}'", path.display()))?
        }
        None => world.out.print(&patch)?,
    }
    Ok(Exit::Done)
}

/// With secrets: a definition that lacks them would look as if they had been taken out.
fn read(source: &SourceName, world: &mut World<'_>) -> anyhow::Result<Definition> {
    match source {
        SourceName::Domain(name) => world.domain(name, Purpose::Complete),
        other => source::read(other),
    }
}
