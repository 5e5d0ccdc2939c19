//! The host facts in fixtures/hosts that tests of the passes rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/trees.rs"]
mod trees;

use std::fs;
use std::path::Path;

use virt_patch::host::local::{Local, Wanted, WantedBuilds};
use virt_patch::host::{Facts, Firmware};

fn load(name: &str) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/hosts/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    Facts::from_json(&text, name).unwrap()
}

fn all() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts");
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Host, sockets, dies, cores, threads; processors; QEMU and libvirt.
const HOSTS: &[(&str, [u32; 4], usize, &str, &str)] = &[
    ("atom-1t", [1, 1, 1, 1], 1, "7.2.22", "9.0.0"),
    ("core-12900k", [1, 1, 16, 2], 24, "7.2.22", "9.0.0"),
    ("epyc-2socket", [2, 4, 4, 2], 64, "7.2.22", "9.0.0"),
    ("fedora", [1, 1, 8, 2], 16, "8.2.9", "10.1.0"),
    ("i3-2c4t", [1, 1, 2, 2], 4, "7.2.22", "9.0.0"),
    ("i5-no-smt", [1, 1, 6, 1], 6, "7.2.22", "9.0.0"),
    ("no-firmware", [1, 1, 16, 2], 32, "7.2.22", "9.0.0"),
    ("old-qemu", [1, 1, 6, 2], 12, "6.0.0", "7.4.0"),
    ("rhel", [1, 1, 16, 2], 32, "9.1.0", "10.10.0"),
    ("ryzen-5950x", [1, 1, 16, 2], 32, "7.2.22", "9.0.0"),
    (
        "ryzen-5950x-debian-13",
        [1, 1, 16, 2],
        32,
        "10.0.8",
        "11.3.0",
    ),
    ("ryzen-adjacent", [1, 1, 6, 2], 12, "7.2.22", "9.0.0"),
    ("threadripper-3990x", [1, 1, 64, 2], 128, "7.2.22", "9.0.0"),
    ("vendor-null", [1, 1, 8, 2], 16, "7.2.22", "9.0.0"),
    ("xeon-w3175x", [1, 1, 28, 2], 56, "7.2.22", "9.0.0"),
];

#[test]
fn every_host_is_what_its_name_says() {
    let mut names = all();
    names.sort();
    assert_eq!(names, HOSTS.iter().map(|host| host.0).collect::<Vec<_>>());
    for (name, counts, processors, qemu, libvirt) in HOSTS {
        let facts = load(name);
        let cpu = &facts.cpu;
        assert_eq!(
            [cpu.sockets, cpu.dies, cpu.cores, cpu.threads],
            counts.map(Some),
            "{name}"
        );
        let mut listed: Vec<u32> = cpu.siblings.concat();
        listed.sort_unstable();
        assert_eq!(
            listed,
            (0..u32::try_from(*processors).unwrap()).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(
            facts.emulators[0].version.unwrap().to_string(),
            *qemu,
            "{name}"
        );
        assert_eq!(facts.libvirt.unwrap().to_string(), *libvirt, "{name}");
        assert_eq!(
            Facts::from_json(&facts.to_json().unwrap(), name).unwrap(),
            facts,
            "{name}"
        );
    }
    assert_eq!(load("vendor-null").cpu.vendor, None);
    assert_eq!(
        load("core-12900k").cpu.efficient,
        (16..24).collect::<Vec<_>>()
    );
    assert_eq!(load("ryzen-5950x").cpu.siblings[1], [1, 17]);
    assert_eq!(load("ryzen-adjacent").cpu.siblings[1], [2, 3]);
}

#[test]
fn their_firmware_is_what_the_distributions_tree_has() {
    let probed = |name: &str| -> Vec<Firmware> {
        let tree = trees::build(name);
        let wanted = Wanted {
            firmware: WantedBuilds::All,
            ..Wanted::NONE
        };
        Local::root(tree.path())
            .unwrap()
            .probe(&wanted)
            .firmware
            .unwrap()
    };
    let debian_12 = probed("debian-12");
    for (name, ..) in HOSTS {
        let expected = match *name {
            "no-firmware" => Vec::new(),
            "fedora" | "rhel" => probed(name),
            "ryzen-5950x-debian-13" => probed("debian-13"),
            _ => debian_12.clone(),
        };
        assert_eq!(load(name).firmware.unwrap(), expected, "{name}");
    }
}
