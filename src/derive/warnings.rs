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

/// What has to be kept besides where the machine type is of another chipset: the PCI root is another one, and
/// that of `pc` has one bus, on which addresses of q35 have no place.
pub(super) fn of_another_chipset(before: &str, after: &str) -> Vec<&'static str> {
    let is_q35 = |text: &str| {
        let document = Document::parse_domain(text).ok()?;
        let machine = document.attribute(&["os", "type"], "machine")?;
        Some(machine == "q35" || machine.starts_with("pc-q35-"))
    };
    match (is_q35(before), is_q35(after)) {
        (Some(false), Some(true)) => vec!["controllers"],
        (Some(true), Some(false)) => vec!["controllers", "addresses"],
        _ => Vec::new(),
    }
}

fn name_of(disk: Node<'_, '_>) -> Option<String> {
    let target = child(disk, "target")?;
    target.attribute("dev").map(str::to_owned)
}

fn image_of(disk: Node<'_, '_>) -> Option<String> {
    let source = child(disk, "source")?;
    if let (Some(pool), Some(volume)) = (source.attribute("pool"), source.attribute("volume")) {
        return Some(format!("{pool}/{volume}"));
    }
    let keys = ["file", "dev", "name", "dir"];
    let named = keys.iter().find_map(|key| source.attribute(*key));
    named.map(str::to_owned).or_else(|| {
        // A whole NVMe drive of the host.
        let address = child(source, "address")?;
        let parts = ["domain", "bus", "slot", "function"].map(|key| address.attribute(key));
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        Some(format!("the PCI device {}", parts.join(" ")))
    })
}

/// Disks whose image is another one, or that are new, with that image. Media of drives are none: many read one.
pub(super) fn other_images(a: &Document<'_>, b: &Document<'_>) -> Vec<(String, String)> {
    let is_disk = |disk: &Node<'_, '_>| {
        matches!(disk.attribute("device"), None | Some("disk" | "lun"))
            && child(*disk, "shareable").is_none()
            && child(*disk, "readonly").is_none()
    };
    let other = |disk: Node<'_, '_>| {
        let (name, image) = (name_of(disk)?, image_of(disk)?);
        let mut old = a.devices("disk");
        let was = old.find(|old| name_of(*old).as_ref() == Some(&name));
        let had = was.and_then(image_of);
        (had.as_ref() != Some(&image)).then_some((name, image))
    };
    b.devices("disk")
        .filter(is_disk)
        .filter_map(other)
        .collect()
}

/// A disk has no other name in a patch than its target: with another one it goes, and comes back with
/// the image that this domain has.
pub(super) fn moved_disks(a: &Document<'_>, b: &Document<'_>) -> Vec<(String, String)> {
    let has = |document: &Document<'_>, wanted: &Option<String>| {
        document
            .devices("disk")
            .any(|disk| name_of(disk) == *wanted)
    };
    let moved = |disk: Node<'_, '_>| {
        let (own_name, own_image) = (name_of(disk)?, image_of(disk)?);
        let was = |other: Node<'_, '_>| {
            image_of(other).as_ref() == Some(&own_image) && !has(b, &name_of(other))
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
