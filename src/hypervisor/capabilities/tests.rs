#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::host::ImageFormat;

const DEBIAN_12: &str = include_str!("../../../fixtures/capabilities/libvirt-9.0-debian-12.xml");
const DEBIAN_12_Q35: &str =
    include_str!("../../../fixtures/capabilities/libvirt-9.0-debian-12-domain-q35-qemu.xml");
const DEBIAN_12_CPU: &str =
    include_str!("../../../fixtures/capabilities/libvirt-9.0-debian-12-expanded-cpu.xml");

fn known(code: &str) -> Option<Firmware> {
    (code == "/usr/share/OVMF/OVMF_CODE_4M.fd").then(|| Firmware {
        code: code.to_owned(),
        vars: "/usr/share/OVMF/OVMF_VARS_4M.fd".to_owned(),
        code_format: ImageFormat::Raw,
        source: "known place: Debian".to_owned(),
        ..Firmware::default()
    })
}

fn debian_12() -> Facts {
    facts(&Documents {
        capabilities: DEBIAN_12,
        domain_capabilities: Some(DEBIAN_12_Q35),
        expanded_cpu: Some(DEBIAN_12_CPU),
        libvirt: Some(Version::new(9, 0, 0)),
        hypervisor: Some(Version::new(7, 2, 22)),
        build_of: Some(&known),
        ..Documents::default()
    })
    .unwrap()
}

#[test]
fn a_real_document() {
    let facts = debian_12();
    assert_eq!(facts.cpu.vendor.as_deref(), Some("AuthenticAMD"));
    assert_eq!(facts.cpu.model.as_deref(), Some("kvm64"));
    let cpu = &facts.cpu;
    assert_eq!(
        (cpu.sockets, cpu.dies, cpu.cores, cpu.threads),
        (Some(1), Some(1), Some(2), Some(1))
    );
    assert_eq!(cpu.siblings, [[0], [1]]);
    assert_eq!(facts.memory_kib, Some(4_942_028));
    assert_eq!(facts.kvm, Some(true));
    assert_eq!(facts.libvirt, Some(Version::new(9, 0, 0)));
    let [emulator] = facts.emulators.as_slice() else {
        panic!("{:?}", facts.emulators)
    };
    assert_eq!(emulator.path, "/usr/bin/qemu-system-x86_64");
    assert_eq!(emulator.version, Some(Version::new(7, 2, 22)));
    let q35 = emulator
        .machines
        .iter()
        .find(|machine| machine.name == "q35")
        .unwrap();
    assert_eq!(q35.canonical.as_deref(), Some("pc-q35-7.2"));
    assert_eq!(q35.max_vcpus, Some(288));
    assert!(
        emulator
            .machines
            .iter()
            .any(|machine| machine.name == "pc-i440fx-1.7" && machine.deprecated)
    );
}

#[test]
fn processor_features_carry_linux_names() {
    let features = debian_12().cpu.features.unwrap();
    for flag in [
        "sse4_2",
        "avx2",
        "pclmulqdq",
        "constant_tsc",
        "avx512_vnni",
        "topoext",
        "fpu",
    ] {
        assert!(
            features.iter().any(|feature| feature == flag),
            "{flag} in {features:?}"
        );
    }
    assert!(
        !features.iter().any(|feature| feature.contains(['.', '-'])),
        "{features:?}"
    );
}

#[test]
fn cpu_models_and_loaders() {
    let facts = debian_12();
    let models = facts.cpu_models.unwrap();
    let usable = |name| {
        models
            .iter()
            .find(|model| model.name == name)
            .unwrap()
            .usable
    };
    assert_eq!(usable("Penryn"), Some(true));
    assert_eq!(usable("Skylake-Server"), Some(false));
    assert_eq!(facts.firmware_autoselection, Some(true));
    let [build] = facts.firmware.as_deref().unwrap() else {
        panic!("{:?}", facts.firmware)
    };
    assert_eq!(build.vars, "/usr/share/OVMF/OVMF_VARS_4M.fd");
    let passed_over: Vec<_> = facts
        .firmware_passed_over
        .iter()
        .map(|place| place.place.as_str())
        .collect();
    assert_eq!(
        passed_over,
        [
            "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
        ]
    );
}

#[test]
fn without_domain_capabilities_models_and_firmware_are_unknown() {
    let facts = facts(&Documents {
        capabilities: DEBIAN_12,
        build_of: Some(&known),
        ..Documents::default()
    })
    .unwrap();
    assert_eq!(
        (
            facts.cpu_models,
            facts.firmware,
            facts.firmware_autoselection
        ),
        (None, None, None)
    );
    assert_eq!(facts.cpu.features, None);
}

/// Capabilities with the given NUMA cells, each a list of `id socket die core siblings`.
fn machine_of(cells: &[&[&str]]) -> Facts {
    let cells: String = cells
        .iter()
        .map(|cpus| {
            let cpus: String = cpus.iter().map(|line| logical_processor(line)).collect();
            format!("<cell><memory unit='GiB'>2</memory><cpus>{cpus}</cpus></cell>")
        })
        .collect();
    let xml = format!(
        "<capabilities><host><cpu><vendor>Intel</vendor></cpu>\
         <topology><cells>{cells}</cells></topology></host></capabilities>"
    );
    facts(&Documents {
        capabilities: &xml,
        ..Documents::default()
    })
    .unwrap()
}

fn logical_processor(line: &str) -> String {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [id, socket, die, core, siblings] => format!(
            "<cpu id='{id}' socket_id='{socket}' die_id='{die}' core_id='{core}' siblings='{siblings}'/>"
        ),
        [id] => format!("<cpu id='{id}'/>"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topologies() {
    for (what, cells, shape, siblings) in [
        (
            "two NUMA nodes are two sockets here",
            &[
                ["0 0 0 0 0-1", "1 0 0 0 0-1"].as_slice(),
                &["2 1 0 0 2-3", "3 1 0 0 2-3"],
            ][..],
            (2, 1, 1, 2),
            vec![vec![0, 1], vec![2, 3]],
        ),
        (
            "two NUMA nodes inside one socket",
            &[
                ["0 0 0 0 0,2", "2 0 0 0 0,2"].as_slice(),
                &["1 0 0 4 1,3", "3 0 0 4 1,3"],
            ],
            (1, 1, 2, 2),
            vec![vec![0, 2], vec![1, 3]],
        ),
        (
            "core numbers start again in every die",
            &[&["0 0 0 0 0", "1 0 1 0 1"]],
            (1, 2, 1, 1),
            vec![vec![0], vec![1]],
        ),
        (
            "hybrid: the larger number of threads counts",
            &[&["0 0 0 0 0-1", "1 0 0 0 0-1", "2 0 0 8 2"]],
            (1, 1, 2, 2),
            vec![vec![0, 1], vec![2]],
        ),
    ] {
        let facts = machine_of(cells);
        let cpu = facts.cpu;
        let (sockets, dies, cores, threads) = shape;
        assert_eq!(
            (cpu.sockets, cpu.dies),
            (Some(sockets), Some(dies)),
            "{what}"
        );
        assert_eq!(
            (cpu.cores, cpu.threads),
            (Some(cores), Some(threads)),
            "{what}"
        );
        assert_eq!(cpu.siblings, siblings, "{what}");
        assert_eq!(
            facts.memory_kib,
            Some(cells.len() as u64 * 2 * 1024 * 1024),
            "{what}"
        );
        assert_eq!(cpu.vendor.as_deref(), Some("GenuineIntel"), "{what}");
    }
}

#[test]
fn offline_processors_have_no_place() {
    let cpu = machine_of(&[&["0 0 0 0 0", "1"]]).cpu;
    assert_eq!((cpu.siblings, cpu.offline), (vec![vec![0]], vec![1]));
}

#[test]
fn the_marketing_name_comes_from_smbios() {
    let sysinfo = "<sysinfo type='smbios'><processor><entry name='family'>Zen</entry>\
                   <entry name='version'> AMD Ryzen 9 5950X </entry></processor></sysinfo>";
    let documents = Documents {
        capabilities: DEBIAN_12,
        system_information: Some(sysinfo),
        ..Documents::default()
    };
    assert_eq!(
        facts(&documents).unwrap().cpu.model.as_deref(),
        Some("AMD Ryzen 9 5950X")
    );
}

#[test]
fn other_documents_are_refused() {
    let refused = |capabilities| {
        facts(&Documents {
            capabilities,
            ..Documents::default()
        })
        .unwrap_err()
        .to_string()
    };
    assert_eq!(
        refused("<domain/>"),
        "cannot read libvirt's capabilities: the document is a 'domain', not a 'capabilities'"
    );
    assert!(refused("<capabilities>").starts_with("cannot read libvirt's capabilities: "));
}

#[test]
fn the_host_cpu_is_taken_verbatim() {
    let cpu = host_cpu(DEBIAN_12).unwrap();
    assert!(
        cpu.starts_with("<cpu>") && cpu.ends_with("</cpu>") && cpu.contains("<model>kvm64</model>")
    );
    assert_eq!(
        host_cpu("<capabilities><host><cpu><arch>i686</arch></cpu></host></capabilities>"),
        None
    );
}

#[test]
fn local_uris() {
    for (uri, local) in [
        ("qemu:///system", true),
        ("qemu:///session", true),
        ("qemu+unix:///system", true),
        (
            "qemu+unix:///system?socket=/run/libvirt/virtqemud-sock",
            true,
        ),
        ("test:///default", true),
        ("qemu+ssh://host/system", false),
        ("qemu+ssh://root@localhost/system", false),
        ("qemu+tcp:///system", false),
        ("qemu+ext:///system?command=/usr/bin/tunnel", false),
        ("qemu://host/system", false),
        ("my-alias", false),
    ] {
        assert_eq!(is_local(uri), local, "{uri}");
    }
}

#[test]
fn a_newer_libvirt_names_models_by_version() {
    let facts = facts(&Documents {
        capabilities: include_str!("../../../fixtures/capabilities/libvirt-11.3-debian-13.xml"),
        domain_capabilities: Some(include_str!(
            "../../../fixtures/capabilities/libvirt-11.3-debian-13-domain-q35-qemu.xml"
        )),
        ..Documents::default()
    })
    .unwrap();
    let cpu = &facts.cpu;
    assert_eq!(
        (cpu.sockets, cpu.cores, cpu.threads),
        (Some(1), Some(2), Some(1))
    );
    // QEMU announced no KVM there.
    assert_eq!(facts.kvm, Some(false));
    let q35 = facts.emulators[0]
        .machines
        .iter()
        .find(|machine| machine.name == "q35")
        .unwrap();
    assert_eq!(
        (q35.canonical.as_deref(), q35.max_vcpus),
        (Some("pc-q35-10.0"), Some(4096))
    );
    let models = facts.cpu_models.unwrap();
    let westmere = models
        .iter()
        .find(|model| model.name == "Westmere-IBRS")
        .unwrap();
    assert_eq!(westmere.canonical.as_deref(), Some("Westmere-v2"));
}
