//! Give every core of the guest a core of the host.
//!
//! **Ensures** a `<vcpupin>` for every enabled vCPU: the threads of one guest core on the threads of
//! one host core, from the host's own list of siblings. The first host core stays free, for the
//! host, the emulator and the iothread.
//! **Why.** macOS schedules as if its two threads shared a core. Where the host spreads them over two
//! cores, or lets them wander, caches are lost on every move. Which threads are siblings differs:
//! `0,8`, `0,1`, or neither on hybrid processors, so counting up is wrong on most hosts.
//! **Chooses** cores with as many threads as a guest core has first, performance before efficient
//! ones; a guest with one thread per core gets a thread of every core, and the second threads only
//! when there are not enough cores. What is left over gets single threads, and a note says so.
//! **Replaces** pins that are there: the pass runs only when it is asked for.
//! **Leaves alone** `emulatorpin` and `iothreadpin` (pass iothread), `<vcpu cpuset>` and schedulers.
//! **Blocked** when the guest has more vCPUs than the host has threads besides its first core.
//!
//! ```xml,before
//! <vcpu>4</vcpu>
//! <cpu>
//!   <topology sockets='1' cores='2' threads='2'/>
//! </cpu>
//! ```
//! ```xml,after
//! <vcpu>4</vcpu>
//! <cputune>
//!   <vcpupin vcpu='0' cpuset='1'/>
//!   <vcpupin vcpu='1' cpuset='9'/>
//!   <vcpupin vcpu='2' cpuset='2'/>
//!   <vcpupin vcpu='3' cpuset='10'/>
//! </cputune>
//! <cpu>
//!   <topology sockets='1' cores='2' threads='2'/>
//! </cpu>
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::elements::element;
use super::settings::Settings;
use super::{Context, Ensure, Needs, Outcome, Pass, fake_core_count, guest};
use crate::document::{Document, children};
use crate::host::Cpu;
use crate::idset;
use crate::merge::{Op, Patch};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "pinning",
    summary: "each guest core has a host core of its own, and the first stays the host's",
    source: include_str!("pinning.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: &[],
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    if guest::vcpus(document).is_none() {
        return Outcome::blocked("the text of <vcpu> is not a number");
    }
    let cpu = &context.facts.cpu;
    let Some((first, others)) = cpu.siblings.split_first() else {
        return Outcome::blocked(
            "which threads of the host share a core is unknown; run this on the host, or give its facts with --host FILE",
        );
    };
    let vcpus = guest::enabled_vcpus(document);
    let threads = guest::threads(document).max(1);
    let Some(pins) = assign(&vcpus, threads, others, cpu) else {
        let left: usize = others.iter().map(Vec::len).sum();
        return Outcome::blocked(format!(
            "{} have no place: the host has {}, the first stays free, and the others have {}; {}",
            text::count(vcpus.len(), "vCPU"),
            text::count(cpu.siblings.len(), "core"),
            text::count(left, "thread"),
            fewer(vcpus.len(), threads as usize, left, context.settings),
        ));
    };
    let cores = vcpus.len().div_ceil(threads as usize);
    Ensure::new(
        patch(document, &pins.of),
        format!(
            "{} on {} of the host; its first core ({}) stays free",
            text::count(vcpus.len(), "vCPU"),
            text::count(pins.cores, "core"),
            ids(first)
        ),
        format!(
            "{} have host cores of their own",
            text::count(cores, "guest core")
        ),
    )
    .noting(pins.notes)
    .into()
}

/// How to ask for fewer vCPUs than there are, when `left` threads are left for them.
fn fewer(vcpus: usize, threads: usize, left: usize, settings: &Settings) -> String {
    let asked = fake_core_count::asked(settings).is_some();
    // topology gives a power of two; another number is fake-core-count's, which refuses --vcpus.
    if !asked && vcpus.is_power_of_two() {
        return "ask for fewer with --vcpus".to_owned();
    }
    let fits =
        |count: &usize| *count > 2 && !count.is_power_of_two() && count.is_multiple_of(threads);
    match (1..=left.min(vcpus)).rev().find(fits) {
        Some(count) if asked => {
            format!("ask for fewer with --set fake-core-count.vcpus={count}")
        }
        Some(count) => format!(
            "ask for fewer with --set fake-core-count.vcpus={count} where that pass runs, and with --vcpus where it does not"
        ),
        None => "ask for fewer with --vcpus, without fake-core-count".to_owned(),
    }
}

/// Where each vCPU goes.
#[derive(Debug, Default)]
struct Pins {
    /// vCPU → thread of the host.
    of: BTreeMap<u32, u32>,
    /// How many host cores are in use.
    cores: usize,
    notes: Vec<String>,
}

/// Guest cores get host cores with as many threads, as long as there are any; then each vCPU gets
/// one of the threads that are left. `None` when there are not enough.
fn assign(vcpus: &BTreeSet<u32>, threads: u32, cores: &[Vec<u32>], cpu: &Cpu) -> Option<Pins> {
    let is_efficient = |core: &[u32]| core.iter().any(|id| cpu.efficient.contains(id));
    let mut cores: Vec<&[u32]> = cores.iter().map(Vec::as_slice).collect();
    // Stable: among alike ones the host's order stays.
    cores.sort_by_key(|core| is_efficient(core));

    // QEMU numbers vCPUs core by core, so the threads of a core follow each other.
    let mut guest_cores: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for vcpu in vcpus {
        guest_cores.entry(vcpu / threads).or_default().push(*vcpu);
    }
    let mut pins = Pins::default();
    let mut single = Vec::new();
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    let whole = |core: &[u32]| core.len() >= threads as usize;
    let mut fitting = cores.iter().enumerate().filter(|(_, core)| whole(core));
    for members in guest_cores.into_values() {
        match fitting.next() {
            Some((index, core)) => {
                used.insert(index, members.len());
                pins.of
                    .extend(members.into_iter().zip(core.iter().copied()));
            }
            None => single.extend(members),
        }
    }
    let mut left = cores.iter().enumerate().flat_map(|(index, core)| {
        let taken = used.get(&index).copied().unwrap_or_default();
        core.iter().skip(taken).map(move |id| (index, *id))
    });
    let mut also = BTreeSet::new();
    for vcpu in &single {
        let (index, id) = left.next()?;
        pins.of.insert(*vcpu, id);
        also.insert(index);
    }
    pins.cores = used.keys().chain(&also).collect::<BTreeSet<_>>().len();
    pins.notes = notes(&single, threads, &pins.of, cpu);
    Some(pins)
}

fn notes(single: &[u32], threads: u32, pins: &BTreeMap<u32, u32>, cpu: &Cpu) -> Vec<String> {
    let mut notes = Vec::new();
    if !single.is_empty() {
        let vcpus = vcpus(single.iter().copied());
        notes.push(match threads {
            1 => format!("no host core of its own for {vcpus}: there are more vCPUs than cores"),
            _ => format!(
                "no siblings on the host for {vcpus}: it has no more cores of {threads} threads"
            ),
        });
    }
    let efficient: Vec<u32> = pins
        .iter()
        .filter(|(_, id)| cpu.efficient.contains(id))
        .map(|(vcpu, _)| *vcpu)
        .collect();
    if !efficient.is_empty() {
        notes.push(format!(
            "efficient cores for {}",
            vcpus(efficient.into_iter())
        ));
    }
    if cpu.sockets.is_some_and(|sockets| sockets > 1) {
        notes.push(
            "the host has several sockets; look whether the pins stay on one (lscpu -e)".to_owned(),
        );
    }
    notes
}

fn vcpus(ids: impl Iterator<Item = u32>) -> String {
    let ids: BTreeSet<u32> = ids.collect();
    let noun = if ids.len() == 1 { "vCPU" } else { "vCPUs" };
    format!("the {noun} {}", idset::format(&ids))
}

fn ids(core: &[u32]) -> String {
    idset::format(&core.iter().copied().collect())
}

/// One pin for each vCPU; pins of others go, and those that say the same in other words stay.
fn patch(document: &Document<'_>, pins: &BTreeMap<u32, u32>) -> Patch {
    let mut patch = Patch::new("pinning", "<domain/>");
    let there: Vec<_> = document
        .find(&["cputune"])
        .map(|tuning| children(tuning, "vcpupin").collect())
        .unwrap_or_default();
    for pin in there {
        let vcpu = pin
            .attribute("vcpu")
            .and_then(|vcpu| vcpu.trim().parse::<u32>().ok());
        if vcpu.is_none_or(|vcpu| !pins.contains_key(&vcpu)) {
            patch.change(&["cputune"], pin, Op::Remove, element("vcpupin", &[]));
        }
    }
    for (vcpu, id) in pins {
        let attributes = [("vcpu", vcpu.to_string()), ("cpuset", id.to_string())];
        let attributes = attributes
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        patch.add(&["cputune"], Op::Merge, element("vcpupin", &attributes));
    }
    patch
}
