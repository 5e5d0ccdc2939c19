//! What passes ask of a domain, in one place.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::Context;
use crate::document::qemu::Problem;
use crate::document::{self, Document, child, children, qemu};
use crate::host::{Emulator, Facts, Version};

/// The machine types a pass tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Intel Q35 chipset, PCI Express.
    Q35,
    /// Intel 440FX chipset, PCI.
    I440fx,
    /// Anything else (`microvm`, `isapc`, …).
    Other,
}

/// What is known of the QEMU that will run a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QemuVersion {
    /// The emulator's own version.
    Exactly(Version),
    /// The machine type exists since this version, so QEMU is no older.
    AtLeast(Version),
    /// Nothing.
    Unknown,
}

/// Why a domain is none of the passes' business; `None` when it is a QEMU guest for x86_64.
pub fn not_ours(document: &Document<'_>) -> Option<String> {
    let kind = document.root().attribute("type").unwrap_or("kvm");
    if !matches!(kind, "kvm" | "qemu") {
        return Some(format!("the domain type is '{kind}', not 'kvm' or 'qemu'"));
    }
    let os = document.text_at(&["os", "type"]).unwrap_or("hvm");
    if os != "hvm" {
        return Some(format!("the guest type is '{os}', not 'hvm'"));
    }
    let arch = document
        .attribute(&["os", "type"], "arch")
        .unwrap_or("x86_64");
    (arch != "x86_64").then(|| format!("the guest is for '{arch}', not 'x86_64'"))
}

/// The machine type as written; libvirt takes `pc` where there is none.
pub fn machine_name<'d>(document: &'d Document<'_>) -> &'d str {
    document
        .attribute(&["os", "type"], "machine")
        .unwrap_or("pc")
}

/// The family of the machine type.
pub fn machine(document: &Document<'_>) -> Machine {
    family(machine_name(document))
}

/// The family of a machine type name.
pub fn family(name: &str) -> Machine {
    if name == "q35" || name.starts_with("pc-q35-") {
        Machine::Q35
    } else if name == "pc"
        || ["pc-i440fx-", "pc-0.", "pc-1."]
            .iter()
            .any(|old| name.starts_with(old))
    {
        Machine::I440fx
    } else {
        Machine::Other
    }
}

/// The emulator that will run the domain: the one it names, else the first for x86_64.
pub fn emulator<'f>(document: &Document<'_>, facts: &'f Facts) -> Option<&'f Emulator> {
    let named = document.text_at(&["devices", "emulator"]);
    let of_name = facts
        .emulators
        .iter()
        .find(|emulator| Some(emulator.path.as_str()) == named);
    of_name.or_else(|| {
        facts
            .emulators
            .iter()
            .find(|emulator| emulator.arch == "x86_64" || emulator.arch.is_empty())
    })
}

/// The version of that emulator, or what the machine type says about it.
pub fn qemu_version(document: &Document<'_>, facts: &Facts) -> QemuVersion {
    let named = document.text_at(&["devices", "emulator"]);
    // Of one of that name only: another on this host says nothing of it.
    let it = emulator(document, facts)
        .filter(|emulator| named.is_none_or(|named| named == emulator.path));
    if let Some(version) = it.and_then(|emulator| emulator.version) {
        return QemuVersion::Exactly(version);
    }
    let versioned = machine_name(document)
        .strip_prefix("pc-q35-")
        .or_else(|| machine_name(document).strip_prefix("pc-i440fx-"));
    match versioned.and_then(|version| version.parse().ok()) {
        Some(version) => QemuVersion::AtLeast(version),
        None => QemuVersion::Unknown,
    }
}

/// The version of libvirt to plan for: the one that was set, else the host's.
pub fn libvirt(context: &Context<'_>) -> Option<Version> {
    context.settings.libvirt().or(context.facts.libvirt)
}

/// Whether the domain runs under TCG: QEMU computes the processor.
pub fn is_emulated(document: &Document<'_>) -> bool {
    document.root().attribute("type") == Some("qemu")
}

/// Maximum number of vCPUs: the text of `<vcpu>`, 1 where there is none; `None` when unreadable.
pub fn vcpus(document: &Document<'_>) -> Option<u32> {
    match document.find(&["vcpu"]) {
        Some(vcpu) => document::text_of(vcpu)?.parse().ok(),
        None => Some(1),
    }
}

/// The vCPUs the guest starts with. As libvirt reads it: `<vcpus>` decides where it stands, and what
/// it does not list is disabled; otherwise the first `current` ones.
pub fn enabled_vcpus(document: &Document<'_>) -> BTreeSet<u32> {
    let count = vcpus(document).unwrap_or(1);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(list) = document.find(&["vcpus"]) {
        return children(list, "vcpu")
            .filter(|vcpu| vcpu.attribute("enabled") != Some("no"))
            .filter_map(|vcpu| number(vcpu.attribute("id")))
            .filter(|id| *id < count)
            .collect();
    }
    let current = number(document.attribute(&["vcpu"], "current"));
    (0..current.unwrap_or(count).min(count)).collect()
}

/// Threads per core of the guest: 1 where no topology says otherwise.
pub fn threads(document: &Document<'_>) -> u32 {
    document
        .attribute(&["cpu", "topology"], "threads")
        .and_then(|threads| threads.parse().ok())
        .unwrap_or(1)
}

/// The value of the `-cpu` argument QEMU obeys, when there is one.
pub fn cpu_argument<'d>(document: &'d Document<'_>) -> Option<&'d str> {
    qemu::last(document.root(), "cpu").map(|group| group.value())
}

/// Whether a CPU vendor's processors need `topoext` to show threads (Hygon makes AMD designs).
pub fn is_amd(vendor: &str) -> bool {
    matches!(vendor, "AuthenticAMD" | "HygonGenuine")
}

/// The `<cpu mode>` for a domain that has none: what runs under its domain type.
pub fn default_cpu_mode(document: &Document<'_>) -> &'static str {
    // host-passthrough needs KVM; under TCG QEMU offers 'max' (libvirt 7.1).
    if is_emulated(document) {
        "maximum"
    } else {
        "host-passthrough"
    }
}

/// What makes all of the guest's memory shared: the backing, where no NUMA cell says otherwise, or
/// cells that all say so.
pub fn sharing<'a>(document: &'a Document<'_>) -> Option<Node<'a, 'a>> {
    let backing = document
        .find(&["memoryBacking", "access"])
        .filter(|access| access.attribute("mode") == Some("shared"));
    let mut cells = cells(document);
    let is_shared = |cell: Node<'_, '_>| match cell.attribute("memAccess") {
        Some(access) => access == "shared",
        None => backing.is_some(),
    };
    match cells.next() {
        None => backing,
        Some(first) => (is_shared(first) && cells.all(is_shared)).then(|| backing.unwrap_or(first)),
    }
}

/// A NUMA cell that keeps its memory to itself, whatever the backing says.
pub fn private_cell<'a>(document: &'a Document<'_>) -> Option<Node<'a, 'a>> {
    cells(document).find(|cell| cell.attribute("memAccess") == Some("private"))
}

fn cells<'a>(document: &'a Document<'_>) -> impl Iterator<Item = Node<'a, 'a>> {
    let numa = document.find(&["cpu", "numa"]);
    numa.into_iter().flat_map(|numa| children(numa, "cell"))
}

/// The guest has no USB, and libvirt refuses every USB device.
pub fn lacks_usb(document: &Document<'_>) -> bool {
    document
        .devices("controller")
        .any(|it| it.attribute("type") == Some("usb") && it.attribute("model") == Some("none"))
}

/// The file systems of the host that QEMU shares by virtiofs.
pub fn virtiofs<'a>(document: &'a Document<'_>) -> impl Iterator<Item = Node<'a, 'a>> {
    document.devices("filesystem").filter(|filesystem| {
        child(*filesystem, "driver").and_then(|driver| driver.attribute("type")) == Some("virtiofs")
    })
}

/// What libvirt refuses or QEMU does not start with although each part of it is right.
pub fn advice(document: &Document<'_>) -> Vec<Problem> {
    let alone = virtiofs(document).filter(|_| sharing(document).is_none());
    alone
        .map(|filesystem| Problem {
            position: document.position(filesystem.range().start),
            message: "virtiofs needs shared memory, which the domain does not have; --set memory-backing.shared=yes adds it".to_owned(),
        })
        .collect()
}

/// Why two things that a definition says contradict each other, when they do.
pub fn contradiction(document: &Document<'_>) -> Option<String> {
    let unmerged = document.find(&["memoryBacking", "nosharepages"])?;
    let shared = sharing(document)?;
    let line = |node: Node<'_, '_>| document.position(node.range().start).line;
    Some(format!(
        "<nosharepages/> (line {}) and shared memory (line {}) would stand side by side, and the host never merges shared pages: who writes both meant one of them; --skip memory-backing, or take <nosharepages/> out first",
        line(unmerged),
        line(shared)
    ))
}
