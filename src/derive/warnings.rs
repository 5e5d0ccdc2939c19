//! What is worth a warning in a patch that does what it should.

use roxmltree::Node;

use super::made::Made;
use super::noise::{self, Side};
use crate::document::{Document, child};
use crate::merge::{Op, keys};
use crate::text;

/// The one of the two that is of a running domain, where the other is not: it has what libvirt adds at
/// the start of a domain.
pub(super) fn live(before: &Document<'_>, after: &Document<'_>) -> Option<Side> {
    match (noise::is_live(before), noise::is_live(after)) {
        (true, false) => Some(Side::Before),
        (false, true) => Some(Side::After),
        _ => None,
    }
}

/// A disk has no other name in a patch than its target: with another one it goes, and comes back with
/// the image that this domain has.
pub(super) fn moved_disks(a: &Document<'_>, b: &Document<'_>) -> Vec<(String, String)> {
    let name = |disk: Node<'_, '_>| {
        let target = child(disk, "target")?;
        target.attribute("dev").map(str::to_owned)
    };
    let image = |disk: Node<'_, '_>| {
        let source = child(disk, "source")?;
        let keys = ["file", "dev", "name", "volume", "dir"];
        keys.iter()
            .find_map(|key| source.attribute(*key))
            .map(str::to_owned)
    };
    let has = |document: &Document<'_>, wanted: &Option<String>| {
        document.devices("disk").any(|disk| name(disk) == *wanted)
    };
    let moved = |disk: Node<'_, '_>| {
        let (own_name, own_image) = (name(disk)?, image(disk)?);
        let was = |other: Node<'_, '_>| {
            image(other).as_ref() == Some(&own_image) && !has(b, &name(other))
        };
        let is_new = !has(a, &Some(own_name.clone()));
        (is_new && a.devices("disk").any(was)).then_some((own_name, own_image))
    };
    b.devices("disk").filter_map(moved).collect()
}

fn devices_of(patch: &Made) -> impl Iterator<Item = &Made> {
    let sections = patch.children.iter().filter(|one| one.name == "devices");
    sections.flat_map(|section| &section.children)
}

/// The names of devices of which there can be several, and the patch takes out without saying which.
pub(super) fn every(patch: &Made) -> Vec<String> {
    let says_nothing = |one: &&Made| {
        one.op == Op::Remove
            && one.attributes.is_empty()
            && one.children.is_empty()
            && !keys::is_single("devices", &one.name)
    };
    let all = devices_of(patch).filter(says_nothing);
    let mut names: Vec<String> = all.map(|one| one.name.clone()).collect();
    names.dedup();
    names
}

/// Devices that go where others of their name come, as one does whose key changed: the patch names the one by
/// what the other is not. Those of a name are one pair; `moved` disks are none.
pub(super) fn exchanged(patch: &Made, moved: &[(String, String)]) -> Vec<(String, String)> {
    let devices: Vec<&Made> = devices_of(patch).collect();
    let is_moved = |one: &Made| {
        let target = one.children.iter().find(|part| part.name == "target");
        let mut attributes = target.iter().flat_map(|target| &target.attributes);
        one.name == "disk"
            && attributes.any(|attribute| {
                let mut names = moved.iter().map(|(name, _)| Some(name));
                attribute.name == "dev" && names.any(|name| name == attribute.value.as_ref())
            })
    };
    let described = |name: &str, ops: &[Op]| {
        let is_it = |one: &&&Made| one.name == name && ops.contains(&one.op) && !is_moved(one);
        let all = devices.iter().filter(is_it);
        let mut all: Vec<String> = all
            .map(|one| keys::described("devices", &one.element()))
            .collect();
        all.dedup();
        text::list(&all)
    };
    let mut names: Vec<&str> = devices.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    // What is changed is updated; what is merged is new.
    let pairs = names.iter().map(|name| {
        let gone = described(name, &[Op::Remove]);
        (gone, described(name, &[Op::Append, Op::Merge]))
    });
    pairs
        .filter(|(gone, came)| !gone.is_empty() && !came.is_empty())
        .collect()
}
