//! What is worth a warning in a patch that does what it should.

use roxmltree::Node;

use super::noise::{self, Side};
use crate::document::{Document, child};

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
