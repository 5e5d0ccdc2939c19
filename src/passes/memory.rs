//! Give the guest the memory that is asked for.
//!
//! **Ensures** `<memory>`, and `<currentMemory>` with it: `memory.size` (option `--memory`) on any
//! domain, a quarter of the host's on the template. `memory.current` sets a smaller
//! `<currentMemory>`.
//! **Why.** libvirt refuses a current amount above the maximum, and takes the sum of the NUMA cells
//! where there are any, whatever `<memory>` says; so all of them change together.
//! **Applies when** an amount is asked for, or the machine is made from the template.
//! **Leaves alone** the memory of an existing domain otherwise; the unit it is written in, where
//! the amount is a whole number of it.
//! **Blocked** when several NUMA cells or memory devices share the memory, or `<maxMemory>` is
//! smaller.
//!
//! ```xml,before
//! <memory unit='GiB'>4</memory>
//! <currentMemory unit='GiB'>4</currentMemory>
//! ```
//! ```xml,after
//! <memory unit='GiB'>8</memory>
//! <currentMemory unit='GiB'>8</currentMemory>
//! ```

mod amount;

use roxmltree::Node;

use super::settings::Setting;
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, children, text_of};
use crate::merge::Patch;
use amount::Amount;

/// The pass.
pub const PASS: Pass = Pass {
    name: "memory",
    summary: "the memory that is asked for; a quarter of the host's on the template",
    source: include_str!("memory.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: true,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "memory.size",
        values: "AMOUNT",
        about: "the guest's memory in any unit of libvirt: 8GiB, 8192MiB (option --memory)",
        check: size,
    },
    Setting {
        key: "memory.current",
        values: "AMOUNT",
        about: "what the guest has of it at first; needs a balloon",
        check: size,
    },
];

/// What the guest has, and what it is to have.
struct Wanted {
    memory: Amount,
    current: Amount,
    why: String,
}

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let present = match Present::read(document) {
        Ok(present) => present,
        Err(reason) => return Outcome::blocked(reason),
    };
    let wanted = match wanted(&present, context) {
        Ok(Some(wanted)) => wanted,
        Ok(None) if context.template => {
            return Outcome::NotApplicable(format!(
                "the host's memory is not known; the template's {} stay, and --memory asks for more",
                present.memory
            ));
        }
        Ok(None) => {
            return Outcome::NotApplicable(
                "the memory of an existing domain stays; --memory asks for another amount"
                    .to_owned(),
            );
        }
        Err(reason) => return Outcome::blocked(reason),
    };
    let mut patch = elements(document, &wanted);
    if let Err(reason) = change(document, &present, &wanted, &mut patch) {
        return Outcome::blocked(reason);
    }
    let shown = match wanted.current == wanted.memory {
        true => wanted.memory.to_string(),
        false => format!("{}, of which {} at first", wanted.memory, wanted.current),
    };
    Ensure::new(
        patch,
        format!("{} → {shown}; {}", present.memory, wanted.why),
        format!("the guest has {shown}"),
    )
    .noting(notes(document, context, &wanted))
    .into()
}

/// The amounts a definition gives.
struct Present<'d> {
    memory: Amount,
    current: Option<Amount>,
    cells: Vec<(Node<'d, 'd>, Amount)>,
}

impl<'d> Present<'d> {
    fn read(document: &'d Document<'_>) -> Result<Present<'d>, String> {
        let of = |name: &str| document.find(&[name]).map(|node| read(node, text_of(node)));
        let mut cells = Vec::new();
        if let Some(numa) = document.find(&["cpu", "numa"]) {
            for cell in children(numa, "cell").filter(|cell| cell.has_attribute("memory")) {
                cells.push((cell, read(cell, cell.attribute("memory"))?));
            }
        }
        let stated = of("memory").transpose()?.unwrap_or(Amount(0));
        let memory = match cells.as_slice() {
            [] => stated,
            // Whatever <memory> says.
            cells => Amount(cells.iter().map(|(_, amount)| amount.0).sum()),
        };
        Ok(Present {
            memory,
            current: of("currentMemory").transpose()?,
            cells,
        })
    }
}

fn read(node: Node<'_, '_>, number: Option<&str>) -> Result<Amount, String> {
    Amount::with_unit(number.unwrap_or_default(), node.attribute("unit")).map_err(|why| {
        format!(
            "the amount of <{}> cannot be read: {why}",
            node.tag_name().name()
        )
    })
}

fn wanted(present: &Present<'_>, context: &Context<'_>) -> Result<Option<Wanted>, String> {
    let asked = |key: &str| context.settings.get(key).map(Amount::parse).transpose();
    let (size, current) = (asked("memory.size")?, asked("memory.current")?);
    let quarter = context
        .facts
        .memory_kib
        .filter(|_| context.template)
        .map(|kib| Amount(kib / 4));
    let memory = match (size, quarter, current) {
        (Some(size), ..) => size,
        (None, Some(quarter), _) => quarter,
        (None, None, Some(_)) => present.memory,
        (None, None, None) => return Ok(None),
    };
    let why = match (context.settings.get("memory.size"), size) {
        (Some(text), Some(size)) if amount::is_decimal(amount::unit_of(text)) => {
            format!(
                "{} was asked for, which libvirt stores as {} KiB",
                text.trim(),
                size.0
            )
        }
        (Some(text), _) => format!("{} was asked for", text.trim()),
        (None, _) if quarter.is_some() => "a quarter of the host's".to_owned(),
        (None, _) => "less of it at first was asked for".to_owned(),
    };
    let follows = present
        .current
        .is_none_or(|now| now == present.memory || now > memory);
    let current = match (current, present.current) {
        (Some(current), _) if current > memory => {
            return Err(format!(
                "memory.current ({current}) is more than the guest's memory ({memory})"
            ));
        }
        (Some(current), _) => current,
        (None, Some(now)) if !follows && !context.template => now,
        (None, _) => memory,
    };
    Ok(Some(Wanted {
        memory,
        current,
        why,
    }))
}

fn change(
    document: &Document<'_>,
    present: &Present<'_>,
    wanted: &Wanted,
    patch: &mut Patch,
) -> Result<(), String> {
    if present.memory != wanted.memory {
        if let Some(device) = document.devices("memory").next() {
            return Err(format!(
                "a memory device (line {}) adds to <memory>; change both by hand",
                document.position(device.range().start).line
            ));
        }
        if let Some(max) = document.find(&["maxMemory"])
            && read(max, text_of(max))? < wanted.memory
        {
            return Err(format!(
                "<maxMemory> in line {} is smaller; raise it first",
                document.position(max.range().start).line
            ));
        }
    }
    match present.cells.as_slice() {
        [(cell, have)] if *have != wanted.memory => {
            let (unit, number) = written(wanted.memory, Some(*cell));
            let mut element = xmltree::Element::new("cell");
            element.attributes.insert("memory".to_owned(), number);
            element
                .attributes
                .extend(unit.map(|unit| ("unit".to_owned(), unit)));
            patch.merge_at(*cell, element);
        }
        [_, _, ..] if present.memory != wanted.memory => {
            return Err(format!(
                "{} NUMA cells share the memory; say in <numa> how much each has",
                present.cells.len()
            ));
        }
        _ => {}
    }
    Ok(())
}

/// `<memory>` and, where it says something, `<currentMemory>`.
fn elements(document: &Document<'_>, wanted: &Wanted) -> Patch {
    let current = document.find(&["currentMemory"]);
    let text = match current {
        None if wanted.current == wanted.memory => include_str!("../../patches/memory.xml"),
        _ => include_str!("../../patches/memory-current.xml"),
    };
    let mut patch = Patch::new("memory", text);
    for (name, amount, node) in [
        ("memory", wanted.memory, document.find(&["memory"])),
        ("current", wanted.current, current),
    ] {
        let same = node.filter(|node| read(*node, text_of(*node)) == Ok(amount));
        let (unit, number) = match same {
            Some(node) => (
                node.attribute("unit").map(str::to_owned),
                text_of(node).unwrap_or_default().to_owned(),
            ),
            None => written(amount, node),
        };
        patch = patch
            .with(name, number)
            .with_option(&format!("{name}-unit"), unit);
    }
    patch
}

/// Unit and number: in the unit that is there, or in KiB where it is no whole number of that.
fn written(amount: Amount, there: Option<Node<'_, '_>>) -> (Option<String>, String) {
    let unit = there.and_then(|node| node.attribute("unit"));
    match amount.in_unit(unit).filter(|_| there.is_some()) {
        Some(number) => (unit.map(str::to_owned), number),
        None => (Some("KiB".to_owned()), amount.0.to_string()),
    }
}

fn notes(document: &Document<'_>, context: &Context<'_>, wanted: &Wanted) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(text) = context.settings.get("memory.size") {
        let unit = amount::unit_of(text);
        if amount::is_decimal(unit) {
            let binary = unit.to_ascii_uppercase().replace('B', "iB");
            notes.push(format!(
                "{unit} counts in thousands; {binary} is the unit of 1024 that memory comes in"
            ));
        }
    }
    if let Some(host) = context.facts.memory_kib.map(Amount)
        && wanted.memory > host
    {
        notes.push(format!("the host has {host} in all"));
    }
    let balloon = document.attribute(&["devices", "memballoon"], "model");
    // On a new Mac the pass memballoon takes it out.
    let is_new_mac = context.template
        && context.settings.get("mac.model").is_some()
        && matches!(
            context.settings.get("memballoon.model"),
            None | Some("none")
        );
    if wanted.current < wanted.memory && (balloon == Some("none") || is_new_mac) {
        notes.push(
            "without a memory balloon the guest has all of it from the start; --set memballoon.model=virtio gives it one"
                .to_owned(),
        );
    }
    notes
}

/// A machine with less does not even show its firmware.
const LEAST: Amount = Amount(1024);

fn size(value: &str) -> Result<(), String> {
    let amount = Amount::parse(value)?;
    if amount >= LEAST {
        return Ok(());
    }
    let unit = match amount::unit_of(value) {
        "" => " (without a unit it is KiB)",
        _ => "",
    };
    Err(format!("{amount} is less than any guest starts with{unit}"))
}
