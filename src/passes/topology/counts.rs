//! What else counts vCPUs: `current`, `<vcpus>`, pins, schedulers and NUMA cells follow the count.

use roxmltree::Node;

use super::super::elements::element;
use crate::document::{Document, child, children};
use crate::idset;
use crate::merge::{Op, Patch};

/// What counts vCPUs that a valid topology does not have, and that libvirt refuses for it.
pub(super) fn counts_more(document: &Document<'_>, count: u32) -> Option<String> {
    let current = document.attribute(&["vcpu"], "current");
    let current = current.and_then(|current| current.trim().parse::<u32>().ok());
    let names = ["vcpusched", "cachetune", "memorytune"];
    let tuned = names
        .into_iter()
        .find(|name| beyond(document, name, "vcpus", count).next().is_some());
    let listed = document.find(&["vcpus"]).is_some_and(|list| {
        let mut ids = children(list, "vcpu").filter_map(|vcpu| vcpu.attribute("id")?.parse().ok());
        ids.any(|id: u32| id >= count)
    });
    let in_cells = document.find(&["cpu", "numa"]).is_some_and(|numa| {
        let mut sets =
            children(numa, "cell").filter_map(|cell| idset::parse(cell.attribute("cpus")?));
        sets.any(|set| set.iter().any(|id| *id >= count))
    });
    let what = match (tuned, listed, in_cells) {
        _ if current.is_some_and(|current| current > count) => "current",
        (Some(name), ..) => name,
        (None, true, _) => "<vcpus>",
        (None, false, true) => "<numa>",
        (None, false, false) => return None,
    };
    Some(format!("{what} counts vCPUs that are not there"))
}

/// `<vcpus>` gets entries for exactly the new count; the new `current` is what is enabled then.
pub(super) fn follow_vcpus(
    document: &Document<'_>,
    patch: &mut Patch,
    present: u32,
    count: u32,
) -> Result<Option<String>, String> {
    let current = document
        .attribute(&["vcpu"], "current")
        .and_then(|current| current.trim().parse::<u32>().ok());
    let kept = |current: u32| (current < count).then(|| current.to_string());
    let Some(list) = document.find(&["vcpus"]) else {
        return Ok(current.and_then(kept));
    };
    let entries: Vec<Node<'_, '_>> = children(list, "vcpu").collect();
    if count > present
        && entries
            .iter()
            .any(|entry| entry.attribute("order").is_some())
    {
        return Err(format!(
            "<vcpus> orders its vCPUs by hand; add the vCPUs {present} to {} to it first",
            count - 1
        ));
    }
    let number = |entry: &Node<'_, '_>, name: &str| {
        let text = entry.attribute(name)?;
        text.parse::<u32>().ok()
    };
    let id = |entry: &Node<'_, '_>| number(entry, "id");
    let stays = |entry: &&Node<'_, '_>| id(entry).is_some_and(|id| id < count);
    if entries
        .iter()
        .filter(stays)
        .any(|entry| number(entry, "order") > Some(count))
    {
        return Err(format!(
            "<vcpus> orders its vCPUs by hand, and libvirt refuses to start with an order beyond {count}; change it first"
        ));
    }
    // libvirt starts the vCPUs that cannot be unplugged first, and refuses one of them behind one that
    // can (measured); what a short list leaves out is off, and can be plugged.
    let hotpluggable = entries.iter().filter(stays).any(|entry| {
        entry.attribute("hotpluggable") == Some("yes") || entry.attribute("enabled") == Some("no")
    }) || entries.iter().filter(stays).count()
        < usize::try_from(present.min(count)).unwrap_or(0);
    let enabled = entries
        .iter()
        .filter(stays)
        .filter(|entry| entry.attribute("enabled") != Some("no"))
        .count();
    for entry in entries
        .iter()
        .filter(|entry| id(entry).is_some_and(|id| id >= count))
    {
        let id = entry.attribute("id").unwrap_or_default();
        patch.add(&["vcpus"], Op::Remove, element("vcpu", &[("id", id)]));
    }
    for id in present..count {
        let id = id.to_string();
        let attributes = [
            ("id", id.as_str()),
            ("enabled", "yes"),
            ("hotpluggable", if hotpluggable { "yes" } else { "no" }),
        ];
        patch.add(&["vcpus"], Op::Merge, element("vcpu", &attributes));
    }
    let enabled = enabled + (present..count).len();
    Ok(u32::try_from(enabled).ok().and_then(kept))
}

/// Pins of vCPUs that go, go; scheduler sets shrink.
pub(super) fn follow_tuning(
    document: &Document<'_>,
    patch: &mut Patch,
    count: u32,
) -> Result<(), String> {
    for pin in beyond(document, "vcpupin", "vcpu", count) {
        let vcpu = pin.attribute("vcpu").unwrap_or_default();
        patch.add(
            &["cputune"],
            Op::Remove,
            element("vcpupin", &[("vcpu", vcpu)]),
        );
    }
    for name in ["vcpusched", "cachetune", "memorytune"] {
        for tune in beyond(document, name, "vcpus", count) {
            let line = document.position(tune.range().start).line;
            let vcpus = tune.attribute("vcpus").unwrap_or_default();
            if name != "vcpusched" {
                return Err(format!(
                    "<{name} vcpus='{vcpus}'> in line {line} names vCPUs beyond {}; change it first",
                    count - 1
                ));
            }
            patch.add(&["cputune"], Op::Remove, element(name, &[("vcpus", vcpus)]));
            let mut set = idset::parse(vcpus).unwrap_or_default();
            set.retain(|id| *id < count);
            if !set.is_empty() {
                let mut kept = element(name, &[("vcpus", &idset::format(&set))]);
                for attribute in tune.attributes().filter(|one| one.name() != "vcpus") {
                    let (name, value) = (attribute.name().to_owned(), attribute.value().to_owned());
                    kept.attributes.insert(name, value);
                }
                patch.add(&["cputune"], Op::Append, kept);
            }
        }
    }
    Ok(())
}

/// The only NUMA cell has all vCPUs; of several, each keeps those that stay.
pub(super) fn follow_numa(
    document: &Document<'_>,
    patch: &mut Patch,
    present: u32,
    count: u32,
) -> Result<(), String> {
    let Some(numa) = document.find(&["cpu", "numa"]) else {
        return Ok(());
    };
    let cells: Vec<Node<'_, '_>> = children(numa, "cell").collect();
    for (index, cell) in cells.iter().enumerate() {
        let Some(mut set) = cell.attribute("cpus").and_then(idset::parse) else {
            continue;
        };
        if count > present && cells.len() > 1 {
            return Err(format!(
                "{} NUMA cells share the vCPUs; say in <numa> which gets the vCPUs {present} to {}",
                cells.len(),
                count - 1
            ));
        }
        if count > present {
            set.extend(present..count);
        }
        set.retain(|id| *id < count);
        let id = cell.attribute("id");
        if set.is_empty() {
            return Err(format!(
                "the NUMA cell {} would have no vCPU left; change <numa> first",
                id.map_or(index.to_string(), str::to_owned)
            ));
        }
        if Some(&set) == cell.attribute("cpus").and_then(idset::parse).as_ref() {
            continue;
        }
        let set = idset::format(&set);
        let mut attributes = vec![("cpus", set.as_str())];
        match id {
            Some(id) => attributes.insert(0, ("id", id)),
            None if cells.len() == 1 => {}
            None => {
                return Err(
                    "the NUMA cells have no id to tell them apart; add id='0', id='1', … first"
                        .to_owned(),
                );
            }
        }
        patch.add(&["cpu", "numa"], Op::Merge, element("cell", &attributes));
    }
    Ok(())
}

/// The children of `<cputune>` called `name` whose `attribute` names a vCPU at or beyond `count`.
pub(super) fn beyond<'a>(
    document: &'a Document<'_>,
    name: &'a str,
    attribute: &'a str,
    count: u32,
) -> impl Iterator<Item = Node<'a, 'a>> + 'a {
    let tuning = child(document.root(), "cputune");
    tuning
        .into_iter()
        .flat_map(move |tuning| children(tuning, name))
        .filter(move |node| {
            node.attribute(attribute)
                .and_then(idset::parse)
                .is_some_and(|set| set.range(count..).next().is_some())
        })
}

pub(super) fn stray_pin(document: &Document<'_>, count: u32) -> Option<String> {
    let pin = beyond(document, "vcpupin", "vcpu", count).next()?;
    Some(format!(
        "line {}: libvirt drops this vcpupin in silence, there is no vCPU {}",
        document.position(pin.range().start).line,
        pin.attribute("vcpu").unwrap_or_default(),
    ))
}

/// Where vCPUs that go were on and fewer start than could.
pub(super) fn fewer_start(document: &Document<'_>, count: u32) -> Option<String> {
    let list = document.find(&["vcpus"])?;
    let on = |beyond: bool| {
        let entries = children(list, "vcpu").filter(|one| one.attribute("enabled") == Some("yes"));
        let ids = entries.filter_map(|one| one.attribute("id")?.parse::<u32>().ok());
        ids.filter(|id| (*id >= count) == beyond).count()
    };
    let (stays, goes) = (on(false), on(true));
    let possible = usize::try_from(count).ok()?.min(stays + goes);
    (stays < possible).then(|| {
        format!(
            "the machine starts with {stays} of {count} vCPUs, where {} were on; enable others in <vcpus>",
            stays + goes
        )
    })
}

/// Where `<vcpus>` enables another count than `current` says, libvirt goes by the list and writes its
/// count back (measured).
pub(super) fn contradicted(document: &Document<'_>, count: u32) -> Option<String> {
    let list = document.find(&["vcpus"])?;
    let vcpu = document.find(&["vcpu"])?;
    let current = vcpu.attribute("current")?.trim().parse().unwrap_or(count);
    let entries = children(list, "vcpu");
    let enabled = entries
        .filter(|vcpu| vcpu.attribute("enabled") == Some("yes"))
        .count();
    (usize::try_from(current) != Ok(enabled)).then(|| {
        format!(
            "line {}: libvirt drops this current='{current}' in silence, <vcpus> enables {enabled}",
            document.position(vcpu.range().start).line,
        )
    })
}
