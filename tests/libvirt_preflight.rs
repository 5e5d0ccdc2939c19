//! Trying a definition with a real libvirt and a real QEMU, and leaving no trace of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../src/bin/virt-patch-libvirt/libvirt.rs"]
mod libvirt;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use daemon::Daemon;
use virt_patch::hypervisor::preflight::{self, PreflightError, Report};
use virt_patch::hypervisor::{Connector, Mode};

fn main() -> ExitCode {
    daemon::main_one_at_a_time(tests![
        a_retrofitted_mac_is_what_it_says,
        without_a_place_for_files_it_starts_too,
        a_wrong_key_is_found,
        a_hotplug_property_that_is_not_there_is_found,
        an_unknown_processor_does_not_start,
        what_needs_kvm_of_an_iommu_is_no_fault,
        what_hangs_on_something_left_out_is_no_fault,
        a_missing_nvram_template_is_found,
        the_copy_runs_beside_the_real_machine,
        files_of_the_real_machine_stay_as_they_are,
    ])
}

/// A machine with a hand on everything of the host, none of which exists here.
const MAC: &str = include_str!("../fixtures/preflight/mac.xml");

fn try_out(libvirt: &Daemon, definition: &str, with_files: bool) -> Result<Report, PreflightError> {
    let hypervisor = libvirt::Libvirt
        .open(Some(Daemon::URI), Mode::ReadWrite)
        .unwrap();
    let before = hypervisor.domains().unwrap();
    let files = || std::fs::read_dir(libvirt.images()).unwrap().count();
    let files_before = files();
    let report = preflight::run(
        &*hypervisor,
        definition,
        with_files.then(|| libvirt.images()),
    );
    assert_eq!(
        hypervisor.domains().unwrap(),
        before,
        "a domain is left behind"
    );
    assert_eq!(files(), files_before, "files are left behind");
    let nvram = std::fs::read_dir("/var/lib/libvirt/qemu/nvram").unwrap();
    assert_eq!(nvram.count(), 0, "an NVRAM file is left behind");
    report
}

fn wrong(report: &Report) -> Vec<&str> {
    let wrong = report.checks.iter().filter(|check| check.ok == Some(false));
    wrong.map(|check| check.what.as_str()).collect()
}

fn a_retrofitted_mac_is_what_it_says(libvirt: &Daemon) {
    let report = try_out(libvirt, MAC, true).unwrap();
    assert!(report.is_good(), "{report:?}");
    let checked: Vec<_> = report
        .checks
        .iter()
        .map(|check| (check.what.as_str(), check.ok.is_some()))
        .collect();
    assert_eq!(
        checked,
        [
            ("vcpus", true),
            ("topology", true),
            ("CPU model", true),
            ("CPU vendor", true),
            // Emulation does not show it.
            ("topoext", false),
            ("Apple SMC", true),
            ("ACPI PCI hotplug", true),
        ]
    );
    assert!(!report.kvm);
    for left_out in [
        "devices of the host (hostdev)",
        "the TPM",
        "the QEMU option -object input-linux",
    ] {
        assert!(
            report.left_out.iter().any(|left| left == left_out),
            "{:?}",
            report.left_out
        );
    }
}

fn without_a_place_for_files_it_starts_too(libvirt: &Daemon) {
    assert!(try_out(libvirt, MAC, false).unwrap().is_good());
}

fn a_wrong_key_is_found(libvirt: &Daemon) {
    let definition = MAC.replace("isa-applesmc,osk=", "isa-applesmc,osk=x");
    assert_eq!(
        wrong(&try_out(libvirt, &definition, true).unwrap()),
        ["Apple SMC"]
    );
}

fn a_hotplug_property_that_is_not_there_is_found(libvirt: &Daemon) {
    // QEMU ignores it on the wrong machine without a word.
    let definition = "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\
        <name>pc</name><memory>1</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>\
        <qemu:commandline><qemu:arg value='-global'/>\
        <qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></qemu:commandline></domain>";
    let report = try_out(libvirt, definition, true).unwrap();
    assert_eq!(wrong(&report), ["ACPI PCI hotplug"]);
    assert_eq!(report.checks[0].found, "no such property of ICH9-LPC");
    let right = definition.replace("ICH9-LPC", "PIIX4_PM");
    let report = try_out(libvirt, &right, true).unwrap();
    assert!(report.is_good(), "{report:?}");
}

fn an_unknown_processor_does_not_start(libvirt: &Daemon) {
    let definition = MAC.replace("value='host,", "value='NoSuchProcessor,");
    assert_ne!(definition, MAC);
    let Err(PreflightError::DoesNotStart { source, .. }) = try_out(libvirt, &definition, true)
    else {
        panic!("it started")
    };
    let message = &source.libvirt().unwrap().message;
    assert!(
        message.contains("unable to find CPU model 'NoSuchProcessor'"),
        "{message}"
    );
}

fn what_needs_kvm_of_an_iommu_is_no_fault(libvirt: &Daemon) {
    let definition = "<domain type='kvm'><name>iommu</name><memory>1</memory>\
        <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/><apic/><ioapic driver='qemu'/></features>\
        <devices><iommu model='intel'><driver intremap='on' eim='on' caching_mode='on'/></iommu></devices></domain>";
    let report = try_out(libvirt, definition, true).unwrap();
    assert!(!report.kvm);
    let left_out = "the extended interrupt mode of the IOMMU (eim), which needs KVM".to_owned();
    assert!(report.left_out.contains(&left_out), "{report:?}");
}

fn what_hangs_on_something_left_out_is_no_fault(libvirt: &Daemon) {
    let args = "-blockdev driver=null-co,node-name=X1 -device ide-hd,drive=X1 \
        -object cryptodev-backend-builtin,id=c0 -device virtio-crypto-pci,cryptodev=c0 \
        -object can-bus,id=cb0 -device kvaser_pci,canbus=cb0";
    let args: String = args
        .split_whitespace()
        .map(|arg| format!("<qemu:arg value='{arg}'/>"))
        .collect();
    let definition = format!(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\
         <name>hanging</name><memory>1</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>\
         <qemu:commandline>{args}</qemu:commandline></domain>"
    );
    let report = try_out(libvirt, &definition, true).unwrap();
    let left_out = "the QEMU option -device kvaser_pci".to_owned();
    assert!(report.left_out.contains(&left_out), "{report:?}");
}

fn a_missing_nvram_template_is_found(libvirt: &Daemon) {
    let definition = MAC.replace("OVMF_VARS_4M.fd'", "NOT_THERE.fd'");
    let error = try_out(libvirt, &definition, true).unwrap_err();
    assert!(
        matches!(error, PreflightError::DoesNotStart { .. }),
        "{error:?}"
    );
}

fn the_copy_runs_beside_the_real_machine(libvirt: &Daemon) {
    let real = "<domain type='qemu'><name>mac</name><uuid>5a6b0000-1111-2222-3333-444455556666</uuid>\
        <memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>";
    libvirt.define(real);
    libvirt.virsh(["start", "--paused", "mac"]);
    let before = (libvirt.definition("mac"), libvirt.virsh(["domid", "mac"]));
    assert!(try_out(libvirt, MAC, true).unwrap().is_good());
    assert_eq!(
        (libvirt.definition("mac"), libvirt.virsh(["domid", "mac"])),
        before
    );
    libvirt.virsh(["destroy", "mac"]);
    libvirt.virsh(["undefine", "mac"]);
}

/// Everything the machine names is really there, and none of it is written, chowned or even opened
/// for writing.
fn files_of_the_real_machine_stay_as_they_are(libvirt: &Daemon) {
    let place = libvirt.images().join("real machine");
    fs::create_dir(&place).unwrap();
    let at = |name: &str| place.join(name).display().to_string();
    for (name, size) in [
        ("mac.raw", 1 << 20),
        ("vars.fd", 540_672),
        ("floppy.img", 1_474_560),
    ] {
        fs::write(at(name), vec![7; size]).unwrap();
    }
    fs::write(at("serial.log"), "the last boot\n").unwrap();
    fs::write(at("firmware.log"), "the last boot\n").unwrap();
    let looks = || -> Vec<(String, Vec<u8>, u32, u32, i64, i64)> {
        let mut all: Vec<_> = fs::read_dir(&place)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let about = fs::metadata(&path).unwrap();
                let changed = (about.mtime(), about.ctime_nsec());
                let name = path.display().to_string();
                (
                    name,
                    fs::read(&path).unwrap(),
                    about.uid(),
                    about.mode(),
                    changed.0,
                    changed.1,
                )
            })
            .collect();
        all.sort();
        all
    };
    let before = looks();
    let definition = format!(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>real</name><memory unit='MiB'>64</memory>\
         <os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
         <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{}</nvram></os><features><acpi/></features><devices>\
         <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>\
         <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{}'/><target dev='sda' bus='sata'/></disk>\
         <serial type='file'><source path='{}'/></serial></devices>\
         <qemu:commandline><qemu:arg value='-debugcon'/><qemu:arg value='file:{}'/></qemu:commandline></domain>",
        at("vars.fd"),
        at("mac.raw"),
        at("floppy.img"),
        at("serial.log"),
        at("firmware.log")
    );
    for with_files in [true, false] {
        let report = try_out(libvirt, &definition, with_files).unwrap();
        assert!(report.is_good(), "{report:#?}");
        assert_eq!(looks(), before);
    }
    fs::remove_dir_all(&place).unwrap();
}
