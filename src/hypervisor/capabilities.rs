//! libvirt's capabilities XML → [`Facts`].
//!
//! Pure: text in, facts out, so a plan for a machine elsewhere can be tested with a saved
//! document. What the documents do not tell stays unknown.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};

use super::xml::{at, number, text};
use crate::document::children;
use crate::host::{Cpu, CpuModel, Emulator, Facts, Firmware, Machine, PassedOver, Version};
use crate::idset;
use crate::numbers::kib;

/// What belongs to the CODE image at a path, by a table of known places.
pub type BuildOf = dyn Fn(&str) -> Option<Firmware>;

/// What was read from a connection.
#[derive(Clone, Copy, Default)]
pub struct Documents<'a> {
    /// `virConnectGetCapabilities`.
    pub capabilities: &'a str,
    /// `virConnectGetDomainCapabilities` for the machine in question.
    pub domain_capabilities: Option<&'a str>,
    /// [`host_cpu`] with its features spelled out by libvirt.
    pub expanded_cpu: Option<&'a str>,
    /// `virConnectGetSysinfo`.
    pub system_information: Option<&'a str>,
    /// Version of the daemon.
    pub libvirt: Option<Version>,
    /// Version of the hypervisor.
    pub hypervisor: Option<Version>,
    /// What belongs to a loader, by the path of its CODE image: domain capabilities list
    /// loaders without their NVRAM templates. `None` leaves the firmware unknown, for the caller
    /// who can read the host's own descriptors.
    pub build_of: Option<&'a BuildOf>,
}

/// One of libvirt's documents is not XML, or not the document it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read libvirt's {what}: {problem}")]
pub struct CapabilitiesError {
    what: &'static str,
    problem: String,
}

/// The facts these documents tell.
pub fn facts(documents: &Documents<'_>) -> Result<Facts, CapabilitiesError> {
    let parsed = parse(documents.capabilities, "capabilities", "capabilities")?;
    let root = parsed.root_element();
    let mut facts = Facts {
        libvirt: documents.libvirt,
        ..Facts::default()
    };
    if let Some(host) = at(root, &["host"]) {
        facts.cpu = processor(host);
        facts.memory_kib = memory(host);
    }
    if let Some(expanded) = documents.expanded_cpu {
        let parsed = parse(expanded, "processor features", "cpu")?;
        facts.cpu.features = Some(features(parsed.root_element()));
    }
    if let Some(information) = documents.system_information {
        let parsed = parse(information, "SMBIOS information", "sysinfo")?;
        if let Some(name) = processor_name(parsed.root_element()) {
            facts.cpu.model = Some(name);
        }
    }
    let guests: Vec<_> = x86_64_guests(root).collect();
    facts.kvm = Some(guests.iter().any(|arch| offers(*arch, "kvm")));
    facts.emulators = emulators(&guests, documents.hypervisor);
    if let Some(capabilities) = documents.domain_capabilities {
        let parsed = parse(capabilities, "domain capabilities", "domainCapabilities")?;
        let root = parsed.root_element();
        facts.cpu_models = Some(cpu_models(root));
        facts.firmware_autoselection = Some(autoselects(root));
        if let Some(build_of) = documents.build_of {
            let (firmware, passed_over) = loaders(root, build_of);
            facts.firmware = Some(firmware);
            facts.firmware_passed_over = passed_over;
        }
    }
    Ok(facts)
}

/// The host's `<cpu>` as it stands in capabilities, for libvirt to expand; `None` when the
/// driver does not describe it (the test driver) or has no model for it.
pub fn host_cpu(capabilities: &str) -> Option<&str> {
    let parsed = Document::parse(capabilities).ok()?;
    let cpu = at(parsed.root_element(), &["host", "cpu"])?;
    at(cpu, &["model"])?;
    capabilities.get(cpu.range())
}

/// Whether a connection URI speaks of this machine: no host and no transport that could lead
/// away (`qemu:///system`, `qemu+unix:///session`). A host name, even `localhost`, may be a
/// tunnel, and counts as another machine.
pub fn is_local(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let transport = scheme
        .split_once('+')
        .map_or("unix", |(_, transport)| transport);
    rest.starts_with('/') && transport == "unix"
}

fn parse<'a>(
    xml: &'a str,
    what: &'static str,
    root: &str,
) -> Result<Document<'a>, CapabilitiesError> {
    let parsed = Document::parse(xml).map_err(|error| CapabilitiesError {
        what,
        problem: error.to_string(),
    })?;
    let found = parsed.root_element().tag_name().name();
    if found != root {
        let problem = format!("the document is a '{found}', not a '{root}'");
        return Err(CapabilitiesError { what, problem });
    }
    Ok(parsed)
}

/// `host/cpu/topology` counts sockets per NUMA node and gives up on odd machines, so the
/// numbers come from the list of logical processors.
fn processor(host: Node<'_, '_>) -> Cpu {
    let mut cpu = Cpu {
        vendor: text(host, &["cpu", "vendor"]).map(cpuid_vendor),
        model: text(host, &["cpu", "model"]).map(str::to_owned),
        ..Cpu::default()
    };
    // socket → die → core → logical processors
    let mut sockets: BTreeMap<u32, BTreeMap<u32, BTreeMap<u32, BTreeSet<u32>>>> = BTreeMap::new();
    let mut groups: BTreeSet<Vec<u32>> = BTreeSet::new();
    for (id, logical) in logical_processors(host) {
        let (Some(socket), Some(core)) = (number(logical, "socket_id"), number(logical, "core_id"))
        else {
            // libvirt knows the place of online processors only.
            cpu.offline.push(id);
            continue;
        };
        let die = number(logical, "die_id").unwrap_or(0);
        sockets
            .entry(socket)
            .or_default()
            .entry(die)
            .or_default()
            .entry(core)
            .or_default()
            .insert(id);
        let siblings = logical
            .attribute("siblings")
            .and_then(idset::parse)
            .unwrap_or_else(|| BTreeSet::from([id]));
        groups.insert(siblings.into_iter().collect());
    }
    cpu.offline.sort_unstable();
    if sockets.is_empty() {
        return cpu;
    }
    let dies = || sockets.values();
    let cores = || dies().flat_map(BTreeMap::values);
    cpu.sockets = count(sockets.len());
    cpu.dies = dies().map(BTreeMap::len).max().and_then(count);
    cpu.cores = cores().map(BTreeMap::len).max().and_then(count);
    cpu.threads = groups.iter().map(Vec::len).max().and_then(count);
    cpu.siblings = groups.into_iter().collect();
    cpu
}

fn logical_processors<'a, 'i: 'a>(host: Node<'a, 'i>) -> impl Iterator<Item = (u32, Node<'a, 'i>)> {
    cells(host)
        .filter_map(|cell| at(cell, &["cpus"]))
        .flat_map(|cpus| children(cpus, "cpu"))
        .filter_map(|cpu| Some((number(cpu, "id")?, cpu)))
}

fn cells<'a, 'i: 'a>(host: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    at(host, &["topology", "cells"])
        .into_iter()
        .flat_map(|cells| children(cells, "cell"))
}

fn count(number: usize) -> Option<u32> {
    u32::try_from(number).ok()
}

/// The sum of the NUMA cells; `None` when a cell does not tell.
fn memory(host: Node<'_, '_>) -> Option<u64> {
    let sizes: Option<Vec<u64>> = cells(host)
        .map(|cell| {
            let memory = at(cell, &["memory"])?;
            kib(memory.text()?, memory.attribute("unit"))
        })
        .collect();
    sizes
        .filter(|sizes| !sizes.is_empty())
        .map(|sizes| sizes.into_iter().sum())
}

/// libvirt's names for vendors → what CPUID answers.
fn cpuid_vendor(name: &str) -> String {
    match name {
        "AMD" => "AuthenticAMD",
        "Intel" => "GenuineIntel",
        "Hygon" => "HygonGenuine",
        other => other,
    }
    .to_owned()
}

fn features(cpu: Node<'_, '_>) -> Vec<String> {
    let mut found: Vec<String> = children(cpu, "feature")
        .filter(|feature| feature.attribute("policy") != Some("disable"))
        .filter_map(|feature| feature.attribute("name"))
        .flat_map(linux_flags)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// libvirt's name of a CPU feature → Linux's flags in /proc/cpuinfo. Most differ in dots and
/// dashes only; the exceptions are from comparing both on real hosts.
fn linux_flags(feature: &str) -> Vec<String> {
    let flags: &[&str] = match feature {
        "avx512bitalg" => &["avx512_bitalg"],
        "avx512vbmi2" => &["avx512_vbmi2"],
        "avx512vnni" => &["avx512_vnni"],
        "cr8legacy" => &["cr8_legacy"],
        "ds" => &["dts"],
        "invtsc" => &["constant_tsc", "nonstop_tsc"],
        "pclmuldq" => &["pclmulqdq"],
        "tsc-deadline" => &["tsc_deadline_timer"],
        other => return vec![other.replace(['.', '-'], "_")],
    };
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn processor_name(sysinfo: Node<'_, '_>) -> Option<String> {
    let processor = at(sysinfo, &["processor"])?;
    let version =
        children(processor, "entry").find(|entry| entry.attribute("name") == Some("version"))?;
    version
        .text()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

fn x86_64_guests<'a, 'i: 'a>(root: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    children(root, "guest")
        .filter(|guest| text(*guest, &["os_type"]) == Some("hvm"))
        .flat_map(|guest| children(guest, "arch"))
        .filter(|arch| arch.attribute("name") == Some("x86_64"))
}

fn offers(arch: Node<'_, '_>, domain_type: &str) -> bool {
    children(arch, "domain").any(|domain| domain.attribute("type") == Some(domain_type))
}

/// The version is that of the first emulator: libvirt tells one version per connection.
fn emulators(guests: &[Node<'_, '_>], hypervisor: Option<Version>) -> Vec<Emulator> {
    let mut found: Vec<Emulator> = Vec::new();
    for arch in guests {
        let machines: Vec<Machine> = children(*arch, "machine").filter_map(machine).collect();
        let own = children(*arch, "domain").filter_map(|domain| text(domain, &["emulator"]));
        for path in text(*arch, &["emulator"]).into_iter().chain(own) {
            if found.iter().any(|emulator| emulator.path == path) {
                continue;
            }
            found.push(Emulator {
                path: path.to_owned(),
                arch: "x86_64".to_owned(),
                version: hypervisor.filter(|_| found.is_empty()),
                missing_devices: Vec::new(),
                machines: machines.clone(),
            });
        }
    }
    found
}

fn machine(node: Node<'_, '_>) -> Option<Machine> {
    Some(Machine {
        name: node.text()?.trim().to_owned(),
        canonical: node.attribute("canonical").map(str::to_owned),
        max_vcpus: number(node, "maxCpus"),
        deprecated: node.attribute("deprecated") == Some("yes"),
    })
}

fn cpu_models(root: Node<'_, '_>) -> Vec<CpuModel> {
    let Some(custom) = at(root, &["cpu"]).and_then(|cpu| {
        children(cpu, "mode").find(|mode| mode.attribute("name") == Some("custom"))
    }) else {
        return Vec::new();
    };
    children(custom, "model")
        .filter_map(|model| {
            Some(CpuModel {
                name: model.text()?.trim().to_owned(),
                usable: match model.attribute("usable") {
                    Some("yes") => Some(true),
                    Some("no") => Some(false),
                    _ => None,
                },
                canonical: model.attribute("canonical").map(str::to_owned),
            })
        })
        .collect()
}

fn autoselects(root: Node<'_, '_>) -> bool {
    at(root, &["os"])
        .and_then(|os| {
            children(os, "enum").find(|choice| choice.attribute("name") == Some("firmware"))
        })
        .is_some_and(|choice| children(choice, "value").any(|value| value.text() == Some("efi")))
}

fn loaders(root: Node<'_, '_>, build_of: &BuildOf) -> (Vec<Firmware>, Vec<PassedOver>) {
    let (mut firmware, mut passed_over) = (Vec::new(), Vec::new());
    let values = at(root, &["os", "loader"])
        .into_iter()
        .flat_map(|loader| children(loader, "value"));
    for code in values.filter_map(|value| value.text()).map(str::trim) {
        match build_of(code) {
            Some(build) => firmware.push(build),
            None => passed_over.push(PassedOver {
                place: code.to_owned(),
                reason:
                    "is on another host and not a known place, so its NVRAM template is unknown"
                        .to_owned(),
            }),
        }
    }
    (firmware, passed_over)
}

#[cfg(test)]
mod tests;
