#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use super::*;

const SYS: &str = "sys/devices/system/cpu";

/// A host as the kernel would show it; each CPU is (package, die, core).
struct Host {
    keep: tempfile::TempDir,
    cpus: BTreeMap<u32, (i64, i64, i64)>,
}

impl Host {
    fn new() -> Self {
        Host {
            keep: tempfile::tempdir().unwrap(),
            cpus: BTreeMap::new(),
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.keep.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// Writes ids and lists as Linux 5.10 and later do, all CPUs online.
    fn with(cpus: impl IntoIterator<Item = (u32, (i64, i64, i64))>) -> Self {
        let host = Host {
            cpus: cpus.into_iter().collect(),
            ..Host::new()
        };
        let like = |wanted: &dyn Fn(&(i64, i64, i64)) -> bool| {
            let same = host.cpus.iter().filter(|(_, place)| wanted(place));
            same.map(|(id, _)| id.to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        for (id, (package, die, core)) in &host.cpus {
            let base = format!("{SYS}/cpu{id}/topology");
            host.write(&format!("{base}/physical_package_id"), &package.to_string());
            host.write(&format!("{base}/die_id"), &die.to_string());
            host.write(&format!("{base}/core_id"), &core.to_string());
            let die_list = like(&|other| (other.0, other.1) == (*package, *die));
            host.write(&format!("{base}/die_cpus_list"), &die_list);
            let core_list = like(&|other| *other == (*package, *die, *core));
            host.write(&format!("{base}/thread_siblings_list"), &core_list);
        }
        let all = like(&|_| true);
        host.write(&format!("{SYS}/online"), &all);
        host.write(&format!("{SYS}/present"), &all);
        host
    }

    fn without(self, file: &str) -> Self {
        for id in self.cpus.keys() {
            fs::remove_file(
                self.keep
                    .path()
                    .join(format!("{SYS}/cpu{id}/topology/{file}")),
            )
            .unwrap();
        }
        self
    }

    fn probe(&self) -> Cpu {
        probe(&Tree::at(self.keep.path()).unwrap())
    }
}

fn counts(cpu: &Cpu) -> [Option<u32>; 4] {
    [cpu.sockets, cpu.dies, cpu.cores, cpu.threads]
}

/// AMD's order: all first threads, then all second threads.
fn second_half(cores: u32) -> Host {
    Host::with((0..cores * 2).map(|id| (id, (0, 0, i64::from(id % cores)))))
}

#[test]
fn layouts() {
    let two_sockets = (0..16).map(|id| (id, (i64::from(id / 8), 0, i64::from(id % 4))));
    // Core ids 0 and 1 on each of two dies on each of two sockets.
    let dies = (0..16).map(|id| {
        let core = id % 8;
        (
            id,
            (
                i64::from(core / 4),
                i64::from(core / 2 % 2),
                i64::from(core % 2),
            ),
        )
    });
    let strange_numbers = (0..4).map(|id| (id, (-1, 65535, i64::from(id) * 1000)));
    let lopsided = [
        (0, (0, 0, 0)),
        (1, (0, 0, 0)),
        (2, (0, 0, 1)),
        (3, (1, 0, 0)),
    ];
    for (name, host, expected, first_two) in [
        (
            "ryzen",
            second_half(16),
            [1, 1, 16, 2],
            vec![vec![0, 16], vec![1, 17]],
        ),
        (
            "adjacent siblings",
            Host::with((0..8).map(|id| (id, (0, 0, i64::from(id / 2))))),
            [1, 1, 4, 2],
            vec![vec![0, 1], vec![2, 3]],
        ),
        (
            "no smt",
            Host::with((0..6).map(|id| (id, (0, 0, i64::from(id))))),
            [1, 1, 6, 1],
            vec![vec![0], vec![1]],
        ),
        (
            "one thread",
            Host::with([(0, (0, 0, 0))]),
            [1, 1, 1, 1],
            vec![vec![0]],
        ),
        (
            "two sockets",
            Host::with(two_sockets),
            [2, 1, 4, 2],
            vec![vec![0, 4], vec![1, 5]],
        ),
        (
            "dies",
            Host::with(dies),
            [2, 2, 2, 2],
            vec![vec![0, 8], vec![1, 9]],
        ),
        (
            "strange numbers",
            Host::with(strange_numbers),
            [1, 1, 4, 1],
            vec![vec![0], vec![1]],
        ),
        (
            "lopsided",
            Host::with(lopsided),
            [2, 1, 2, 2],
            vec![vec![0, 1], vec![2]],
        ),
    ] {
        let cpu = host.probe();
        assert_eq!(counts(&cpu), expected.map(Some), "{name}");
        assert!(
            cpu.siblings.starts_with(&first_two),
            "{name}: {:?}",
            cpu.siblings
        );
        let listed: usize = cpu.siblings.iter().map(Vec::len).sum();
        assert_eq!(listed, host.cpus.len(), "{name}");
        assert!(cpu.offline.is_empty() && cpu.efficient.is_empty(), "{name}");
    }
}

#[test]
fn older_and_poorer_kernels() {
    let dies = || (0..8).map(|id| (id, (0, i64::from(id % 4 / 2), i64::from(id % 2))));
    let expected = Host::with(dies()).probe();
    assert_eq!(counts(&expected), [1, 2, 2, 2].map(Some));
    for (name, host) in [
        (
            "ids only",
            Host::with(dies())
                .without("thread_siblings_list")
                .without("die_cpus_list"),
        ),
        ("no die list", Host::with(dies()).without("die_cpus_list")),
        ("no core id", Host::with(dies()).without("core_id")),
    ] {
        assert_eq!(host.probe(), expected, "{name}");
    }
    let no_dies = Host::with(dies())
        .without("die_id")
        .without("die_cpus_list");
    assert_eq!(counts(&no_dies.probe()), [1, 1, 4, 2].map(Some));
    let bare = second_half(2)
        .without("core_id")
        .without("thread_siblings_list");
    assert_eq!(counts(&bare.probe()), [1, 1, 4, 1].map(Some));
    let no_online = second_half(2);
    fs::remove_file(no_online.keep.path().join(format!("{SYS}/online"))).unwrap();
    assert_eq!(no_online.probe().siblings, [[0, 2], [1, 3]]);
}

#[test]
fn offline_processors_are_listed_and_not_counted() {
    let host = second_half(2);
    host.write(&format!("{SYS}/online"), "0-1");
    host.write(&format!("{SYS}/present"), "0-3");
    host.write(&format!("{SYS}/offline"), "2-239");
    for id in 2..4 {
        fs::remove_dir_all(host.keep.path().join(format!("{SYS}/cpu{id}/topology"))).unwrap();
    }
    let cpu = host.probe();
    assert_eq!(cpu.offline, [2, 3]);
    assert_eq!(cpu.siblings, [[0], [1]]);
    assert_eq!(counts(&cpu), [1, 1, 2, 1].map(Some));
}

#[test]
fn hybrid_processors_name_their_efficient_cores() {
    let cpus = (0..24).map(|id| (id, (0, 0, i64::from(if id < 16 { id / 2 } else { id }))));
    let host = Host::with(cpus);
    host.write("sys/devices/cpu_atom/cpus", "16-23");
    assert!(
        host.probe().efficient.is_empty(),
        "cpu_atom alone is not hybrid"
    );
    host.write("sys/devices/cpu_core/cpus", "0-15");
    let cpu = host.probe();
    assert_eq!(cpu.efficient, (16..24).collect::<Vec<_>>());
    assert_eq!(counts(&cpu), [1, 1, 16, 2].map(Some));
}

#[test]
fn contradictions_neither_panic_nor_lose_a_processor() {
    let host = second_half(2);
    // 0 claims 1, which claims 0 and an absent 77; 2 claims nobody; 3 claims everybody.
    for (id, claims) in [(0, "0-1"), (1, "0-1,77"), (2, ""), (3, "0-3")] {
        host.write(
            &format!("{SYS}/cpu{id}/topology/thread_siblings_list"),
            claims,
        );
    }
    assert_eq!(host.probe().siblings, vec![vec![0, 1], vec![2], vec![3]]);
    host.write(&format!("{SYS}/online"), "0-4294967295");
    assert_eq!(
        host.probe().siblings.len(),
        3,
        "an absurd list is as good as none"
    );
}

#[test]
fn cpuinfo_alone() {
    let record = |id: u32, package: u32, core: u32, siblings: u32, cores: u32| {
        format!(
            "processor\t: {id}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nphysical id\t: \
             {package}\nsiblings\t: {siblings}\ncore id\t\t: {core}\ncpu cores\t: {cores}\n\
             flags\t\t: fpu vmx\n\n"
        )
    };
    let host = Host::new();
    let text: String = (0..8).map(|id| record(id, id / 4, id % 2, 4, 2)).collect();
    host.write("proc/cpuinfo", &text);
    let cpu = host.probe();
    assert_eq!(cpu.vendor.as_deref(), Some("GenuineIntel"));
    assert_eq!(cpu.model.as_deref(), Some("Xeon"));
    assert_eq!(cpu.features.as_deref().unwrap(), ["fpu", "vmx"]);
    assert_eq!(counts(&cpu), [2, 1, 2, 2].map(Some));
    assert_eq!(cpu.siblings, [[0, 2], [1, 3], [4, 6], [5, 7]]);

    // Two dies that both have cores 0 and 1: four threads seem to share a core.
    let text: String = (0..8).map(|id| record(id, 0, id % 2, 8, 4)).collect();
    host.write("proc/cpuinfo", &text);
    let cpu = host.probe();
    assert_eq!((counts(&cpu), cpu.siblings.len()), ([None; 4], 0));
    assert_eq!(cpu.vendor.as_deref(), Some("GenuineIntel"));
}

#[test]
fn arm_and_nothing_at_all() {
    let host = Host::new();
    assert_eq!(host.probe(), Cpu::default());
    host.write(
        "proc/cpuinfo",
        "processor\t: 0\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n",
    );
    assert_eq!(host.probe(), Cpu::default());
    let host = Host::with((0..4).map(|id| (id, (0, 0, i64::from(id)))));
    host.write(
        "proc/cpuinfo",
        "processor\t: 0\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n",
    );
    let cpu = host.probe();
    assert_eq!(
        (cpu.vendor.clone(), counts(&cpu)),
        (None, [1, 1, 4, 1].map(Some))
    );
}

#[test]
fn lists() {
    for (text, expected) in [
        ("", Some(vec![])),
        ("\n", Some(vec![])),
        ("0", Some(vec![0])),
        ("0-3,8,10-11\n", Some(vec![0, 1, 2, 3, 8, 10, 11])),
        ("3-1", Some(vec![])),
        ("1,1", Some(vec![1])),
        ("a", None),
        ("0-", None),
        ("0-99999999", None),
        ("-1", None),
    ] {
        assert_eq!(parse_list(text), expected, "{text}");
    }
}

/// The machine that runs the tests is a fixture as well.
#[test]
fn the_live_machine_makes_sense() {
    let cpu = probe(&Tree::machine());
    let online = std::thread::available_parallelism().unwrap().get();
    let listed: usize = cpu.siblings.iter().map(Vec::len).sum();
    assert!(cpu.siblings.is_empty() || listed >= online, "{cpu:?}");
    assert!(cpu.siblings.is_sorted());
}
