//! Give macOS a processor topology it boots with.
//!
//! **Ensures** one socket, one die, a power of two of cores and one or two threads per core, with
//! `<vcpu>` as their product. Whatever else counts vCPUs follows: `current`, `<vcpus>`, pins,
//! schedulers and the only NUMA cell; what cannot follow blocks the pass.
//! **Why.** XNU takes the cores of a package from CPUID leaf 4, where QEMU rounds up to a power
//! of two: with 6, 10 or 12 cores macOS hangs early. libvirt refuses a topology whose product is
//! not `<vcpu>`, and drops pins of vCPUs that are not there in silence.
//! **How many.** A valid topology stays. Otherwise the valid count closest to the present one
//! (the smaller of two) that leaves the host two threads, never less than two; on the template
//! the most of those, up to the 64 that XNU knows. `--vcpus` asks for a count.
//! With `fake-core-count.vcpus` it is the next power of two, of which that pass enables as many.
//! **Leaves alone** a valid topology, and `cpuset`.
//! **Blocked** by a `-smp` argument, or `smp.…` of `-machine`, that says something else: QEMU obeys it.
//!
//! ```xml,before
//! <vcpu placement='static'>6</vcpu>
//! <cputune>
//!   <vcpupin vcpu='0' cpuset='0'/>
//!   <vcpupin vcpu='5' cpuset='5'/>
//! </cputune>
//! ```
//! ```xml,after
//! <vcpu placement='static'>4</vcpu>
//! <cputune>
//!   <vcpupin vcpu='0' cpuset='0'/>
//! </cputune>
//! <cpu>
//!   <topology sockets='1' dies='1' cores='2' threads='2'/>
//! </cpu>
//! ```

pub(super) mod argument;
mod counts;

use roxmltree::Node;

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, fake_core_count, guest};
use crate::document::Document;
use crate::host::Cpu;
use crate::merge::Patch;
use crate::text;
use counts::{
    beyond, contradicted, counts_more, fewer_start, follow_numa, follow_tuning, follow_vcpus,
    stray_pin,
};

/// The pass.
pub const PASS: Pass = Pass {
    name: "topology",
    summary: "a count and topology of vCPUs that macOS boots and the host can carry",
    source: include_str!("topology.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "topology.vcpus",
        values: "N",
        about: "ask for this many vCPUs (option --vcpus)",
        check: bootable,
    },
    Setting {
        key: "topology.threads",
        values: "1|2",
        about: "threads per core",
        check: |value| one_of(value, &["1", "2"]),
    },
];

/// `MAX_CPUS` of XNU on x86_64.
pub(super) const XNU_MAX: u32 = 64;

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let Some(present) = guest::vcpus(document) else {
        return Outcome::blocked("the text of <vcpu> is not a number".to_owned());
    };
    let topology = document.find(&["cpu", "topology"]);
    let valid = topology.and_then(|topology| valid_threads(topology, present));
    let settings = context.settings;

    let host = host_threads(&context.facts.cpu);
    let enabled = fake_core_count::asked(settings);
    let (count, why) = match (settings.number("topology.vcpus"), valid, host) {
        (Some(count), ..) => (count, "as asked for".to_owned()),
        _ if let Some(enabled) = enabled => (
            enabled.next_power_of_two(),
            format!("of these, fake-core-count enables {enabled}"),
        ),
        (None, Some(_), _) if !context.template => (present, String::new()),
        (None, _, None) => {
            return Outcome::blocked(
                "the number of host threads is unknown; ask for a count with --vcpus".to_owned(),
            );
        }
        (None, _, Some(host)) if context.template => (largest(host), own_threads(host)),
        (None, _, Some(host)) => closest(present, host, topology),
    };
    let threads = threads_per_core(count, topology, valid, context);
    let of_list = u32::try_from(guest::enabled_vcpus(document).len()).ok();
    let some = of_list.filter(|some| *some < present);
    let started = enabled.or(some).unwrap_or(count).min(count);
    if let Some(reason) = argument::contradicts(document, count, threads, started) {
        return Outcome::blocked(reason);
    }
    if let Some(threads) = valid
        && count == present
        && settings
            .number("topology.threads")
            .is_none_or(|wanted| wanted == threads)
    {
        return match counts_more(document, present) {
            Some(why) => change(document, present, count, threads, why, Vec::new()),
            None => satisfied(document, present, threads),
        };
    }
    // Only what is enabled needs a thread of the host.
    let busy = enabled.unwrap_or(count);
    let mut notes = Vec::new();
    let asked = enabled.is_some() || settings.get("topology.vcpus").is_some();
    // An odd count would not fill cores of two threads.
    let whole = present.is_multiple_of(2) && (3..XNU_MAX).contains(&present);
    if !asked && !context.template && whole && !present.is_power_of_two() {
        notes.push(format!(
            "all {present} stay with --set fake-core-count.vcpus={present}, which enables {present} vCPUs of {}",
            present.next_power_of_two()
        ));
    }
    if let Some(host) = host.filter(|host| busy > *host) {
        notes.push(format!(
            "the host has {}; {count} vCPUs will share {}",
            threads_of(host),
            if host == 1 { "it" } else { "them" },
        ));
    }
    change(document, present, count, threads, why, notes)
}

/// The patch for this topology, without what enables single vCPUs (`current`, `<vcpus>`).
pub(super) fn patch(
    document: &Document<'_>,
    present: u32,
    count: u32,
    threads: u32,
) -> Result<Patch, String> {
    let topology = document.find(&["cpu", "topology"]);
    let has = |name: &str| topology.is_some_and(|topology| topology.attribute(name).is_some());
    let mut patch = Patch::new("topology", include_str!("../../patches/topology.xml"))
        .with("vcpus", count.to_string())
        .with("cores", (count / threads).to_string())
        .with("threads", threads.to_string())
        .with_option("dies", (topology.is_none() || has("dies")).then_some("1"))
        .with_option("clusters", has("clusters").then_some("1"));
    follow_tuning(document, &mut patch, count)?;
    follow_numa(document, &mut patch, present, count)?;
    Ok(patch)
}

/// Threads per core for this count of vCPUs: what was asked for, what a valid topology has, or
/// what the host has.
pub(super) fn threads_for(document: &Document<'_>, context: &Context<'_>, count: u32) -> u32 {
    let topology = document.find(&["cpu", "topology"]);
    let valid = guest::vcpus(document)
        .zip(topology)
        .and_then(|(present, topology)| valid_threads(topology, present));
    threads_per_core(count, topology, valid, context)
}

/// The power-of-two counts a host carries: two threads stay the host's own, a guest gets two.
fn carried(host: u32) -> u32 {
    host.saturating_sub(2).clamp(2, XNU_MAX)
}

fn largest(host: u32) -> u32 {
    // At least 2, so there is a highest bit.
    1 << carried(host).ilog2()
}

fn closest(present: u32, host: u32, topology: Option<Node<'_, '_>>) -> (u32, String) {
    let nearest = |limit: u32| {
        (1..=XNU_MAX.ilog2())
            .map(|bit| 1u32 << bit)
            .filter(|count| *count <= limit)
            .min_by_key(|count| count.abs_diff(present))
            .unwrap_or(2)
    };
    let best = nearest(carried(host));
    let why = if present > XNU_MAX {
        format!("macOS knows at most {XNU_MAX} processors")
    } else if !present.is_power_of_two() && best == nearest(XNU_MAX) {
        format!("macOS does not boot with {present} vCPUs; {best} is the closest count")
    } else if !present.is_power_of_two() {
        format!(
            "macOS does not boot with {present} vCPUs; {best} is the closest count that the host carries: {}",
            own_threads(host)
        )
    } else if best < present {
        own_threads(host)
    } else if best > present {
        "a guest gets at least 2".to_owned()
    } else if let Some(product) = topology
        .and_then(bootable_product)
        .filter(|product| *product != present)
    {
        format!("the topology has {product} vCPUs, and <vcpu> says {present}")
    } else if topology.is_some() {
        "macOS boots on one socket and one die, with a power of two of cores".to_owned()
    } else {
        "without a topology every vCPU is a socket of its own; macOS boots on one".to_owned()
    };
    (best, why)
}

/// The vCPUs of a topology that macOS would boot with, whatever `<vcpu>` says.
fn bootable_product(topology: Node<'_, '_>) -> Option<u32> {
    let number = |name: &str| topology.attribute(name)?.parse::<u32>().ok();
    let product = number("cores")?.checked_mul(number("threads")?)?;
    valid_threads(topology, product).map(|_| product)
}

fn own_threads(host: u32) -> String {
    match host {
        ..=3 => format!("the host has {}", threads_of(host)),
        _ => format!("the host has {host} threads, and 2 stay its own"),
    }
}

fn threads_of(host: u32) -> String {
    text::count(host as usize, "thread")
}

/// The host's online threads.
fn host_threads(cpu: &Cpu) -> Option<u32> {
    let listed: usize = cpu.siblings.iter().map(Vec::len).sum();
    if listed > 0 {
        return u32::try_from(listed).ok();
    }
    [cpu.sockets, cpu.dies.or(Some(1)), cpu.cores, cpu.threads]
        .into_iter()
        .try_fold(1u32, |product, factor| product.checked_mul(factor?))
        .filter(|threads| *threads > 0)
}

/// Threads per core of a topology XNU boots with; `None` when it is none.
fn valid_threads(topology: Node<'_, '_>, vcpus: u32) -> Option<u32> {
    let number = |name: &str, default: Option<u32>| match topology.attribute(name) {
        Some(text) => text.parse::<u32>().ok(),
        None => default,
    };
    let one_package = number("sockets", None)? == 1
        && number("dies", Some(1))? == 1
        && number("clusters", Some(1))? == 1;
    let (cores, threads) = (number("cores", None)?, number("threads", None)?);
    let fits = vcpus <= XNU_MAX
        && cores.is_power_of_two()
        && matches!(threads, 1 | 2)
        && cores.checked_mul(threads) == Some(vcpus);
    (one_package && fits).then_some(threads)
}

/// What was asked for, what the domain has, or what the host has.
fn threads_per_core(
    count: u32,
    topology: Option<Node<'_, '_>>,
    valid: Option<u32>,
    context: &Context<'_>,
) -> u32 {
    let own = topology.filter(|topology| topology.attribute("cores") != Some("1"));
    let stated = own
        .and_then(|topology| topology.attribute("threads"))
        .and_then(|threads| threads.parse().ok())
        .filter(|threads| matches!(threads, 1 | 2));
    let host = || context.facts.cpu.threads.map(|threads| threads.clamp(1, 2));
    let threads = context
        .settings
        .number("topology.threads")
        .or(if context.template {
            None
        } else {
            valid.or(stated)
        })
        .or_else(host)
        .unwrap_or(1);
    threads.min(count)
}

fn satisfied(document: &Document<'_>, count: u32, threads: u32) -> Outcome {
    let patch = Patch::new("topology", "<domain/>");
    let ensure = Ensure::new(patch, "", shape(count, threads));
    let dropped = [stray_pin(document, count), contradicted(document, count)];
    ensure.noting(dropped.into_iter().flatten()).into()
}

fn shape(count: u32, threads: u32) -> String {
    match (count / threads.max(1), threads) {
        (1, 1) => "1 core, one thread".to_owned(),
        (1, _) => "1 core with 2 threads".to_owned(),
        (cores, 1) => format!("{cores} cores, one thread each"),
        (cores, _) => format!("{cores} cores with 2 threads each"),
    }
}

fn change(
    document: &Document<'_>,
    present: u32,
    count: u32,
    threads: u32,
    why: String,
    mut notes: Vec<String>,
) -> Outcome {
    let built = patch(document, present, count, threads).and_then(|mut patch| {
        let current = follow_vcpus(document, &mut patch, present, count)?;
        Ok(patch.with_option("current", current))
    });
    let patch = match built {
        Ok(patch) => patch,
        Err(reason) => return Outcome::blocked(reason),
    };
    if count > present && beyond(document, "vcpupin", "vcpu", 0).next().is_some() {
        notes.push(format!("the vCPUs {present} to {} have no pin", count - 1));
    }
    notes.extend(fewer_start(document, count));
    let change = match present == count {
        true => shape(count, threads),
        false => format!(
            "{present} → {}: {}",
            text::count(count as usize, "vCPU"),
            shape(count, threads)
        ),
    };
    let reason = if why.is_empty() {
        change
    } else {
        format!("{change}; {why}")
    };
    Ensure::new(patch, reason, shape(count, threads))
        .noting(notes)
        .into()
}

/// XNU takes the cores of a package from CPUID leaf 4, where QEMU rounds up to a power of two.
fn bootable(value: &str) -> Result<(), String> {
    match value.trim().parse::<u32>() {
        Err(_) => Err("it is a number".to_owned()),
        Ok(0) => Err("a guest has at least 1 vCPU; the nearest are 1 and 2".to_owned()),
        Ok(count) if count > XNU_MAX => Err(format!(
            "macOS knows at most {XNU_MAX} processors; the nearest is {XNU_MAX}"
        )),
        Ok(count) if count.is_power_of_two() => Ok(()),
        Ok(count) => {
            let above = count.next_power_of_two();
            Err(format!(
                "macOS boots with a power of two only; the nearest are {} and {above}; for {count}: --set fake-core-count.vcpus={count}",
                above / 2
            ))
        }
    }
}
