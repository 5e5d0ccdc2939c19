//! Hosts as facts, built here so that a table of expectations shows all it depends on.

use std::collections::BTreeMap;

use virt_patch::host::{
    Cpu, Emulator, Facts, FileFact, Firmware, ImageFormat, PassedOver, Version,
};

pub const TWO_MIB_VARS: u64 = 131_072;
pub const FOUR_MIB_VARS: u64 = 540_672;
pub const QEMU: &str = "/usr/bin/qemu-system-x86_64";

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A processor of one socket: `cores` with `threads` each, siblings numbered as Linux does.
pub fn cpu(vendor: &str, cores: u32, threads: u32) -> Cpu {
    Cpu {
        vendor: Some(vendor.to_owned()),
        model: Some(format!("{vendor} with {cores} cores")),
        sockets: Some(1),
        dies: Some(1),
        cores: Some(cores),
        threads: Some(threads),
        siblings: (0..cores)
            .map(|core| (0..threads).map(|thread| core + thread * cores).collect())
            .collect(),
        ..Cpu::default()
    }
}

pub fn amd(cores: u32, threads: u32) -> Cpu {
    cpu("AuthenticAMD", cores, threads)
}

pub fn intel(cores: u32, threads: u32) -> Cpu {
    cpu("GenuineIntel", cores, threads)
}

/// A plain raw build of this flash size, as a descriptor would name it.
pub fn build(code: &str, vars: &str, mib: u32) -> Firmware {
    let (code_size, vars_size) = match mib {
        2 => (1_966_080, TWO_MIB_VARS),
        _ => (3_653_632, FOUR_MIB_VARS),
    };
    Firmware {
        code: code.to_owned(),
        vars: vars.to_owned(),
        code_size: Some(code_size),
        vars_size: Some(vars_size),
        machines: vec!["pc-i440fx-*".to_owned(), "pc-q35-*".to_owned()],
        source: "60-edk2-x86_64.json".to_owned(),
        ..Firmware::default()
    }
}

pub fn qcow2(build: Firmware) -> Firmware {
    Firmware {
        code_format: ImageFormat::Qcow2,
        vars_format: ImageFormat::Qcow2,
        ..build
    }
}

pub fn secure(build: Firmware, enrolled_keys: bool) -> Firmware {
    Firmware {
        secure_boot: true,
        enrolled_keys,
        smm: true,
        machines: vec!["pc-q35-*".to_owned()],
        source: "50-edk2-x86_64-secure.json".to_owned(),
        ..build
    }
}

pub fn debian_13_firmware() -> Vec<Firmware> {
    let at = |name: &str| format!("/usr/share/OVMF/{name}");
    vec![
        secure(
            build(&at("OVMF_CODE_4M.ms.fd"), &at("OVMF_VARS_4M.ms.fd"), 4),
            true,
        ),
        secure(
            build(&at("OVMF_CODE_4M.secboot.fd"), &at("OVMF_VARS_4M.fd"), 4),
            false,
        ),
        build(&at("OVMF_CODE_4M.fd"), &at("OVMF_VARS_4M.fd"), 4),
    ]
}

pub fn debian_12_firmware() -> Vec<Firmware> {
    let mut builds = debian_13_firmware();
    let (code, vars) = (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    );
    builds.push(build(code, vars, 2));
    builds
}

pub fn fedora_firmware() -> Vec<Firmware> {
    let at = |name: &str| format!("/usr/share/edk2/ovmf/{name}");
    vec![
        secure(
            qcow2(build(
                &at("OVMF_CODE_4M.secboot.qcow2"),
                &at("OVMF_VARS_4M.secboot.qcow2"),
                4,
            )),
            true,
        ),
        qcow2(build(
            &at("OVMF_CODE_4M.qcow2"),
            &at("OVMF_VARS_4M.qcow2"),
            4,
        )),
        build(&at("OVMF_CODE.fd"), &at("OVMF_VARS.fd"), 2),
    ]
}

pub fn arch_firmware() -> Vec<Firmware> {
    let at = |name: &str| format!("/usr/share/edk2/x64/{name}");
    vec![
        secure(
            build(&at("OVMF_CODE.secboot.4m.fd"), &at("OVMF_VARS.4m.fd"), 4),
            false,
        ),
        build(&at("OVMF_CODE.4m.fd"), &at("OVMF_VARS.4m.fd"), 4),
    ]
}

pub fn suse_firmware() -> Vec<Firmware> {
    let at = |name: &str| format!("/usr/share/qemu/{name}");
    vec![
        build(
            &at("ovmf-x86_64-4m-code.bin"),
            &at("ovmf-x86_64-4m-vars.bin"),
            4,
        ),
        build(&at("ovmf-x86_64-code.bin"), &at("ovmf-x86_64-vars.bin"), 2),
    ]
}

pub fn nixos_firmware() -> Vec<Firmware> {
    let at = |name: &str| format!("/run/libvirt/nix-ovmf/{name}");
    vec![build(
        &at("edk2-x86_64-code.fd"),
        &at("edk2-i386-vars.fd"),
        4,
    )]
}

pub fn emulator(path: &str, qemu: &str) -> Emulator {
    Emulator {
        path: path.to_owned(),
        arch: "x86_64".to_owned(),
        version: Some(version(qemu)),
        ..Emulator::default()
    }
}

/// A host with everything known.
pub fn host(cpu: Cpu, firmware: Vec<Firmware>, qemu: &str, libvirt: &str) -> Facts {
    Facts {
        cpu,
        memory_kib: Some(32 * 1024 * 1024),
        kvm: Some(true),
        firmware: Some(firmware),
        emulators: vec![emulator(QEMU, qemu)],
        libvirt: Some(version(libvirt)),
        ..Facts::default()
    }
}

/// Debian 12 on an AMD processor with SMT: 8 threads.
pub fn debian_12() -> Facts {
    host(amd(4, 2), debian_12_firmware(), "7.2.22", "9.0.0")
}

/// Debian 13 on an Intel processor with SMT: 16 threads.
pub fn debian_13() -> Facts {
    host(intel(8, 2), debian_13_firmware(), "10.0.2", "11.3.0")
}

/// Fedora on a large AMD workstation: 128 threads.
pub fn fedora() -> Facts {
    host(amd(64, 2), fedora_firmware(), "9.1.0", "10.10.0")
}

/// RHEL: another emulator, without the SMC, one core, no SMT.
pub fn rhel() -> Facts {
    let mut facts = host(intel(1, 1), fedora_firmware(), "9.0.0", "10.0.0");
    facts.emulators = vec![Emulator {
        missing_devices: vec!["isa-applesmc".to_owned()],
        ..emulator("/usr/libexec/qemu-kvm", "9.0.0")
    }];
    facts
}

/// An old machine: four cores without SMT, QEMU before the hotplug property, libvirt before
/// automatic firmware was stored, DarwinUDK beside the distribution's build.
pub fn old() -> Facts {
    let mut firmware = vec![build(
        "/usr/share/DarwinUDK/x64/DUDK_CODE.fd",
        "/usr/share/DarwinUDK/x64/DUDK_VARS.fd",
        4,
    )];
    firmware.extend(debian_12_firmware());
    host(amd(4, 1), firmware, "5.2.0", "7.0.0")
}

/// Nobody knows anything.
pub fn unknown() -> Facts {
    Facts::default()
}

/// No firmware, and where it was looked for.
pub fn without_firmware() -> Facts {
    let mut facts = host(intel(6, 2), Vec::new(), "8.2.2", "10.0.0");
    facts.firmware_passed_over = vec![PassedOver {
        place: "/usr/share/qemu/firmware".to_owned(),
        reason: "does not exist".to_owned(),
    }];
    facts
}

/// The hosts that general laws are tried on.
pub fn all() -> Vec<(&'static str, Facts)> {
    vec![
        ("debian 12, amd", debian_12()),
        ("debian 13, intel", debian_13()),
        ("fedora, 128 threads", fedora()),
        ("rhel, one thread", rhel()),
        ("old", old()),
        ("unknown", unknown()),
        ("no firmware", without_firmware()),
    ]
}

pub fn file(size: u64, format: ImageFormat) -> FileFact {
    FileFact {
        exists: true,
        size: Some(size),
        format: Some(format),
        ..FileFact::default()
    }
}

/// `facts` with what is known of the files a domain names.
pub fn with_files(mut facts: Facts, files: &[(&str, FileFact)]) -> Facts {
    let files = files.iter().map(|(path, fact)| ((*path).to_owned(), *fact));
    facts.files = BTreeMap::from_iter(files);
    facts
}
