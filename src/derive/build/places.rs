//! Where the source of a device is. A patch that says another place says all of it, for elsewhere the device may
//! be of another kind, or have no source.

use roxmltree::Node;

use crate::derive::equal::elements;
use crate::derive::made::Made;
use crate::document::{self, children};
use crate::merge::{Element, Op};

type Names = &'static [&'static str];

/// The `<source>` of some devices.
struct Place {
    devices: Names,
    /// Its attributes that name a place.
    attributes: Names,
    /// Its parts that do.
    parts: Names,
    /// What stands beside it and belongs to the place.
    beside: Names,
}

const PLACES: &[Place] = &[
    Place {
        devices: &["disk"],
        attributes: &[
            "file",
            "dev",
            "dir",
            "protocol",
            "name",
            "query",
            "pool",
            "volume",
            "type",
            "namespace",
            "path",
        ],
        parts: &["host", "snapshot", "config", "address"],
        beside: &[],
    },
    Place {
        devices: &["interface"],
        attributes: &[
            "network",
            "bridge",
            "dev",
            "name",
            "address",
            "port",
            "type",
            "path",
            "switchid",
            "portid",
            "portgroupid",
            "connectionid",
        ],
        parts: &["address", "local"],
        beside: &["virtualport"],
    },
    Place {
        devices: &["filesystem"],
        attributes: &[
            "dir", "file", "dev", "name", "usage", "pool", "volume", "socket",
        ],
        parts: &[],
        beside: &[],
    },
    Place {
        devices: &["serial", "parallel", "console", "channel"],
        attributes: &["path", "host", "service", "channel", "master", "slave"],
        parts: &[],
        beside: &["protocol"],
    },
];

/// What a place is not whole without, and is none by itself.
const WITH_A_PLACE: Names = &["mode", "managed", "units"];

/// The parts that say how what is there is read.
const HOW_IT_IS_READ: Names = &["encryption", "auth"];

/// Completes the change of a device that has another source, or is of another kind.
pub(super) fn complete(made: &mut Made, device: Node<'_, '_>) {
    let is_its = |place: &&Place| place.devices.contains(&made.name.as_str());
    let Some(place) = PLACES.iter().find(is_its) else {
        return;
    };
    let Some(kind) = device.attribute("type") else {
        return;
    };
    let is_named = |source: &Made| {
        let mut said = source.attributes.iter().filter(|one| one.value.is_some());
        let mut inside = source.children.iter().filter(|part| part.op != Op::Keep);
        said.any(|one| place.attributes.contains(&one.name.as_str()))
            || inside.any(|part| place.parts.contains(&part.name.as_str()))
    };
    let is_ejected = |part: &Made| part.name == "source" && part.op == Op::Remove;
    if made.name == "disk" && made.children.iter().any(is_ejected) && !made.says("type") {
        // Without a medium libvirt takes no drive that is one of the network.
        made.say("type", kind);
        return;
    }
    let is_another = made.says("type");
    let mut sources = made.children.iter().filter(|part| is_source(part));
    if !is_another && !sources.any(is_named) {
        return;
    }
    if !is_another {
        made.say("type", kind);
    }
    // One that is named for its place only is said like the others.
    let is_stub = |part: &Made| part.name == "source" && part.op == Op::Keep;
    made.children.retain(|part| !is_stub(part));
    for source in children(device, "source") {
        let all = Made::full(source, source.range().start);
        let is_it = |part: &Made| {
            let said = Element {
                op: Op::Merge,
                ..part.element()
            };
            is_source(part) && (part.origin == all.origin || said == all.element())
        };
        let there = made.children.iter().position(is_it);
        let at = there.unwrap_or(made.children.len());
        if there.is_none() {
            made.children.push(Made::named(source, all.origin));
        }
        if let Some(said) = made.children.get_mut(at) {
            stand_alone(said, all, place);
        }
    }
    if made.name == "disk" {
        say_format(made, device);
    }
    let all = elements(device).into_iter();
    let all = all.map(|part| Made::full(part, part.range().start));
    say_whole(&mut made.children, all.collect(), place.beside);
}

/// Says the format of an image: one that is read as another is lost with the first write.
fn say_format(made: &mut Made, device: Node<'_, '_>) {
    let Some(driver) = document::child(device, "driver") else {
        return;
    };
    let Some(format) = driver.attribute("type") else {
        return;
    };
    let is_it = |part: &Made| part.name == "driver" && part.op != Op::Remove;
    let there = made.children.iter().position(is_it);
    let at = there.unwrap_or_else(|| {
        // In front of the source, as libvirt writes it.
        let mut driver = Made::named(driver, driver.range().start);
        driver.op = Op::Merge;
        made.children.insert(0, driver);
        0
    });
    if let Some(said) = made.children.get_mut(at) {
        if matches!(said.op, Op::Update | Op::Keep) {
            said.op = Op::Merge;
        }
        if !said.says("type") {
            said.say("type", format);
        }
    }
}

/// Whether it is a source that comes or changes.
fn is_source(part: &Made) -> bool {
    part.name == "source" && !matches!(part.op, Op::Remove | Op::Keep)
}

/// Says of a source all that names its place.
fn stand_alone(said: &mut Made, all: Made, place: &Place) {
    if said.op == Op::Update {
        said.op = Op::Merge;
    }
    let is_place = |name: &str| place.attributes.contains(&name) || WITH_A_PLACE.contains(&name);
    let (gone, changed): (Vec<_>, Vec<_>) = std::mem::take(&mut said.attributes)
        .into_iter()
        .partition(|one| one.value.is_none());
    let whole = all.attributes.into_iter();
    said.attributes = whole
        .filter(|one| is_place(&one.name) || changed.contains(one))
        .chain(gone)
        .collect();
    let parts = [place.parts, HOW_IT_IS_READ].concat();
    say_whole(&mut said.children, all.children, &parts);
}

/// Says all there is of the parts of these names.
fn say_whole(said: &mut Vec<Made>, all: Vec<Made>, names: &[&str]) {
    let is_one = |part: &Made| names.contains(&part.name.as_str());
    said.retain(|part| part.op == Op::Remove || !is_one(part));
    said.extend(all.into_iter().filter(is_one));
}
