//! Give the guest a q35 machine.
//!
//! **Ensures** a machine type of the q35 family that the host's QEMU knows.
//! **Why.** macOS expects the PCI Express chipset that Macs have; i440fx has none. A versioned type
//! that QEMU does not know (too new after a move, dropped after an upgrade) does not start.
//! **Applies when** the machine is made from the template; on an existing domain when it is named
//! with `--pass` or `machine.convert` is set.
//! **Leaves alone** a q35 machine whose version the host knows, and with a note a distribution's own
//! type (`pc-q35-jammy`), of which only libvirt knows whether it is there.
//! **Blocked** on an i440fx machine, because nothing of it fits: PCI addresses, IDE disks and
//! controllers have no place on q35, and libvirt refuses a mere change of the name.
//! `machine.convert=yes` converts all of it: addresses and i440fx controllers go, libvirt gives new
//! ones; IDE disks become SATA disks with targets of their own; the boot order stays.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='pc-q35-99.0'>hvm</type>
//! </os>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
//! </os>
//! ```

mod convert;
mod disks;
mod known;

use super::guest::Machine;
use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, text_of};
use crate::merge::{Op, Patch};
use known::Known;

/// The pass.
pub const PASS: Pass = Pass {
    name: "machine",
    summary: "a q35 machine of a version the host knows; i440fx is converted on request",
    source: include_str!("machine.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: true,
        machine: false,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "machine.convert",
    values: "yes|no",
    about: "make a q35 machine of an i440fx one, disks and addresses included",
    check: |value| one_of(value, &["yes", "no"]),
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let name = guest::machine_name(document);
    let known = Known::new(document, context.facts);
    let convert = context.settings.get("machine.convert") == Some("yes") || context.template;
    match guest::machine(document) {
        Machine::Q35 => version(document, name, &known),
        Machine::I440fx if convert => match convert::patch(document, name, &known) {
            Ok(ensure) => ensure.into(),
            Err(reason) => Outcome::blocked(reason),
        },
        Machine::I440fx => Outcome::blocked(format!(
            "'{name}' is an i440fx machine, and macOS expects the PCI Express of q35; a change of the name alone would leave PCI addresses and IDE disks that q35 has no place for; --set machine.convert=yes converts all of it"
        )),
        Machine::Other => Outcome::blocked(format!(
            "'{name}' is neither a q35 nor an i440fx machine, and cannot be made one; begin a new one with --template"
        )),
    }
}

/// What is wrong with a machine type that the host's QEMU does not know, for a run without this pass.
pub(super) fn doubt(document: &Document<'_>, context: &Context<'_>) -> Option<String> {
    let name = guest::machine_name(document);
    let known = Known::new(document, context.facts);
    (known.knows(name) == Some(false)).then(|| {
        let help = match guest::machine(document) {
            Machine::Q35 => format!("--also machine takes {}", known.nearest(name)),
            _ => "--set machine.convert=yes makes a q35 machine of it".to_owned(),
        };
        format!(
            "{} does not know the machine type '{name}', and the domain does not start; {help}",
            known.qemu()
        )
    })
}

/// A q35 machine stays, and so does its version where the host knows it.
fn version(document: &Document<'_>, name: &str, known: &Known<'_>) -> Outcome {
    let deprecated = known
        .is_deprecated(name)
        .then(|| format!("QEMU has announced that it will drop '{name}'"));
    if known.knows(name) != Some(false) {
        let satisfied = format!("the machine type is {name}");
        return Ensure::new(Patch::new("machine", "<domain/>"), "", satisfied)
            .noting(deprecated)
            .noting(known.doubt(name))
            .into();
    }
    let nearest = known.nearest(name);
    let reason = format!(
        "{} does not know {name}; {nearest} is the nearest",
        known.qemu()
    );
    Ensure::new(exactly(document, &nearest), reason, "").into()
}

/// The machine type to the letter: merged, `q35` would be the version that is there.
fn exactly(document: &Document<'_>, machine: &str) -> Patch {
    let Some(there) = document.find(&["os", "type"]) else {
        return patch(machine);
    };
    let mut element = xmltree::Element::new("type");
    for attribute in there.attributes() {
        let value = match attribute.name() {
            "machine" => machine,
            _ => attribute.value(),
        };
        let name = attribute.name().to_owned();
        element.attributes.insert(name, value.to_owned());
    }
    let text = text_of(there).unwrap_or_default();
    element
        .children
        .push(xmltree::XMLNode::Text(text.to_owned()));
    let mut patch = Patch::new("machine", "<domain/>");
    patch.add(&["os"], Op::Replace, element);
    patch
}

fn patch(machine: &str) -> Patch {
    Patch::new("machine", include_str!("../../patches/machine.xml")).with("machine", machine)
}
