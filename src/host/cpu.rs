//! The host's processor: who it is and how its logical processors are laid out.
//!
//! The layout comes from sysfs, because /proc/cpuinfo knows neither dies nor offline nor
//! efficient processors; /proc/cpuinfo alone is the fallback (containers, fixture trees).
//! Cgroup limits are not looked at: guests do not run in this process's group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Cpu;
use super::cpuinfo::{CpuInfo, Processor};
use super::tree::Tree;

/// Larger than NR_CPUS of any kernel (8192 on x86), so that a broken list cannot eat memory.
const MAX_CPUS: u32 = 65536;

/// Looks at one host's processor. What cannot be read is unknown.
///
/// From /proc/cpuinfo alone, dies cannot be seen: each socket then counts as one die.
/// Offline processors are in no count, as Linux does not say where they sit.
pub(crate) fn probe(tree: &Tree) -> Cpu {
    let (info, layout) = match sysfs(tree) {
        Some(layout) => (CpuInfo::read_first(tree).unwrap_or_default(), Some(layout)),
        None => {
            let info = CpuInfo::read(tree).unwrap_or_default();
            let layout = from_cpuinfo(&info.processors);
            (info, layout)
        }
    };
    let mut cpu = Cpu {
        vendor: info.vendor,
        model: info.model,
        features: info.flags,
        ..Cpu::default()
    };
    if let Some(layout) = layout {
        layout.describe(&mut cpu);
    }
    cpu
}

/// Parses a kernel CPU list such as `0-3,8,10-11`; `None` when it is not one.
pub(crate) fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut ids = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MAX_CPUS {
            return None;
        }
        ids.extend(first..=last);
    }
    Some(ids.into_iter().collect())
}

/// Where a core sits. Package and die are the kernel's numbers, which may be any, even -1.
type Place = (i64, i64);

#[derive(Debug, Default)]
struct Layout {
    /// Online members of each core, and where the core sits.
    cores: Vec<(Place, Vec<u32>)>,
    offline: Vec<u32>,
    efficient: Vec<u32>,
}

impl Layout {
    fn describe(mut self, cpu: &mut Cpu) {
        let mut dies: BTreeMap<Place, usize> = BTreeMap::new();
        for (place, _) in &self.cores {
            *dies.entry(*place).or_default() += 1;
        }
        let mut packages: BTreeMap<i64, usize> = BTreeMap::new();
        for (package, _) in dies.keys() {
            *packages.entry(*package).or_default() += 1;
        }
        cpu.sockets = count(packages.len());
        cpu.dies = packages.into_values().max().and_then(count);
        cpu.cores = dies.into_values().max().and_then(count);
        cpu.threads = self
            .cores
            .iter()
            .map(|(_, members)| members.len())
            .max()
            .and_then(count);
        cpu.siblings = self.cores.drain(..).map(|(_, members)| members).collect();
        cpu.siblings.sort();
        cpu.offline = self.offline;
        cpu.efficient = self.efficient;
    }
}

fn count(number: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn sysfs(tree: &Tree) -> Option<Layout> {
    let base = Path::new("/sys/devices/system/cpu");
    let online = match list(tree, &base.join("online")) {
        Some(online) => online,
        None => with_topology(tree, base)?,
    };
    let online: BTreeSet<u32> = online.into_iter().collect();
    let topology = |cpu: u32| base.join(format!("cpu{cpu}/topology"));
    if !online
        .iter()
        .any(|cpu| tree.metadata(&topology(*cpu)).is_ok())
    {
        return None;
    }

    let mut layout = Layout::default();
    let mut waiting = online.clone();
    let mut places: BTreeMap<u32, Place> = BTreeMap::new();
    let mut by_core_id: BTreeMap<(Place, i64), usize> = BTreeMap::new();
    while let Some(cpu) = waiting.pop_first() {
        let directory = topology(cpu);
        let place = match places.get(&cpu) {
            Some(place) => *place,
            None => {
                let place = place(tree, &directory);
                let die = list(tree, &directory.join("die_cpus_list")).unwrap_or_default();
                places.extend(die.into_iter().map(|member| (member, place)));
                place
            }
        };
        let siblings = list(tree, &directory.join("thread_siblings_list"))
            .or_else(|| list(tree, &directory.join("core_cpus_list")));
        if let Some(siblings) = siblings {
            let others = siblings
                .into_iter()
                .filter(|sibling| waiting.remove(sibling));
            let mut members: Vec<u32> = others.collect();
            members.push(cpu);
            members.sort_unstable();
            layout.cores.push((place, members));
        } else if let Some(core) = number(tree, &directory.join("core_id")) {
            let index = *by_core_id
                .entry((place, core))
                .or_insert(layout.cores.len());
            match layout.cores.get_mut(index) {
                Some((_, members)) => members.push(cpu),
                None => layout.cores.push((place, vec![cpu])),
            }
        } else {
            layout.cores.push((place, vec![cpu]));
        }
    }
    // `offline` also lists processors that could be plugged in but are not there.
    let present = list(tree, &base.join("present")).unwrap_or_default();
    layout.offline = present
        .into_iter()
        .filter(|cpu| !online.contains(cpu))
        .collect();
    layout.efficient = efficient(tree);
    layout.efficient.retain(|cpu| online.contains(cpu));
    Some(layout)
}

/// The processors that have a topology directory, for trees without `online`: an offline one
/// loses its directory.
fn with_topology(tree: &Tree, base: &Path) -> Option<Vec<u32>> {
    let names = tree.names(base).ok()?;
    let ids = names
        .iter()
        .filter_map(|name| name.to_str()?.strip_prefix("cpu")?.parse().ok());
    Some(
        ids.filter(|id| {
            tree.metadata(&base.join(format!("cpu{id}/topology")))
                .is_ok()
        })
        .collect(),
    )
}

fn place(tree: &Tree, topology: &Path) -> Place {
    let package = number(tree, &topology.join("physical_package_id"));
    let die = number(tree, &topology.join("die_id"));
    (package.unwrap_or(0), die.unwrap_or(0))
}

/// Linux makes one perf device per kind of core on hybrid processors, and only there.
fn efficient(tree: &Tree) -> Vec<u32> {
    let device = |name: &str| PathBuf::from(format!("/sys/devices/{name}/cpus"));
    if tree.metadata(&device("cpu_core")).is_err() {
        return Vec::new();
    }
    let kinds = ["cpu_atom", "cpu_lowpower"];
    let mut cpus: Vec<u32> = kinds
        .iter()
        .filter_map(|kind| list(tree, &device(kind)))
        .flatten()
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

fn list(tree: &Tree, path: &Path) -> Option<Vec<u32>> {
    parse_list(&tree.word(path)?)
}

fn number(tree: &Tree, path: &Path) -> Option<i64> {
    tree.word(path)?.parse().ok()
}

fn from_cpuinfo(processors: &[Processor]) -> Option<Layout> {
    let mut cores: BTreeMap<(i64, i64), Vec<u32>> = BTreeMap::new();
    for processor in processors {
        let key = (processor.package?, processor.core?);
        cores.entry(key).or_default().push(processor.id);
    }
    // Core ids may repeat on each die, which only sysfs can tell apart.
    let threads = cores.values().map(Vec::len).max()?;
    let first = processors.first()?;
    if let (Some(siblings), Some(in_socket)) = (first.siblings, first.cores) {
        let expected = siblings.div_ceil(in_socket.max(1)).max(1);
        if threads > expected as usize {
            return None;
        }
    }
    let cores = cores
        .into_iter()
        .map(|((package, _), members)| ((package, 0), members))
        .collect();
    Some(Layout {
        cores,
        ..Layout::default()
    })
}

#[cfg(test)]
mod tests;
