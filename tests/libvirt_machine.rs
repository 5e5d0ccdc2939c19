//! Whole machines with a real libvirt and QEMU: each definition is accepted with validation on,
//! starts, and is satisfied as libvirt stored it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use daemon::Daemon;

fn main() -> ExitCode {
    daemon::main(tests![
        every_mac_is_accepted_and_starts,
        literal_input_is_accepted_and_starts,
        desktops_are_accepted_and_start,
        virtiofs_runs_with_shared_memory_only,
        a_converted_i440fx_machine_is_accepted_and_starts,
        a_converted_machine_boots_from_the_same_disk,
        balloons_of_every_model_start,
        the_native_style_keeps_a_passed_through_address_size,
    ])
}

const MACS: [&str; 5] = [
    "macpro7,1",
    "macpro5,1",
    "macpro4,1",
    "macpro3,1",
    "macpro2,1",
];

/// What completes a machine and can be asked of a stored definition; the six run besides.
const COMPLETING: &str =
    "emulator,machine,memory-backing,boot,features,cpu,clock,lifecycle,memballoon,usb-input";

fn every_mac_is_accepted_and_starts(libvirt: &Daemon) {
    for profile in MACS {
        let name = format!("mac-{}", profile.replace(',', "-"));
        let definition = made(&["-p", profile, "--name", &name]);
        starts(libvirt, &name, &definition);
        let tree = libvirt.virsh(["qemu-monitor-command", &name, "--hmp", "info qtree"]);
        for device in ["isa-applesmc", "usb-tablet", "usb-kbd"] {
            assert!(tree.contains(device), "no {device} in {name}");
        }
        let stored = libvirt.definition(&name);
        satisfied(&stored, &["-p", profile]);
        satisfied(&stored, &["-p", profile, "--pass", COMPLETING]);
        end(libvirt, &name);
    }
}

fn literal_input_is_accepted_and_starts(libvirt: &Daemon) {
    let style = ["--set", "usb-input.style=literal"];
    let definition = made(&[&["--name", "literal"], &style[..]].concat());
    assert!(definition.contains("value=\"usb-kbd\""), "{definition}");
    starts(libvirt, "literal", &definition);
    let usb = libvirt.virsh(["qemu-monitor-command", "literal", "--hmp", "info usb"]);
    for device in ["QEMU USB Tablet", "QEMU USB Keyboard"] {
        assert_eq!(usb.matches(device).count(), 1, "{usb}");
    }
    satisfied(
        &libvirt.definition("literal"),
        &[&["--pass", "usb-input"], &style[..]].concat(),
    );
    end(libvirt, "literal");
}

fn desktops_are_accepted_and_start(libvirt: &Daemon) {
    for profile in ["linux-desktop", "windows-desktop"] {
        let definition = made(&["-p", profile, "--name", profile]);
        starts(libvirt, profile, &definition);
        satisfied(&libvirt.definition(profile), &["-p", profile]);
        end(libvirt, profile);
        // There is no KVM here, and libvirt takes the enlightenments without.
        let with = [
            "-p",
            profile,
            "--name",
            profile,
            "--set",
            "domain-type.type=kvm",
        ];
        let for_kvm = made(&with);
        assert_eq!(for_kvm.contains("<hyperv>"), profile == "windows-desktop");
        libvirt.define(&for_kvm.replacen("type=\"kvm\"", "type=\"qemu\"", 1));
        end(libvirt, profile);
    }
}

fn virtiofs_runs_with_shared_memory_only(libvirt: &Daemon) {
    let directory = tempfile::tempdir().unwrap();
    let share = format!(
        "<filesystem type=\"mount\"><driver type=\"virtiofs\"/><source dir=\"{}\"/><target dir=\"share\"/></filesystem>",
        directory.path().display()
    );
    let with_share = |definition: String| {
        definition.replacen("<console type", &format!("{share}<console type"), 1)
    };
    let alone = with_share(made(&["--name", "virtiofs"]));
    let refused = libvirt.try_define(&alone).unwrap_err();
    assert!(
        refused.contains("'virtiofs' requires shared memory"),
        "{refused}"
    );
    let report = virt_patch(&["check", "-"], &alone);
    assert!(
        report.1.contains("virtiofs needs shared memory"),
        "{report:?}"
    );

    let shared = ["--name", "virtiofs", "--set", "memory-backing.shared=yes"];
    let definition = with_share(made(&shared));
    let programs = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
    if programs.iter().any(|program| Path::new(program).exists()) {
        starts(libvirt, "virtiofs", &definition);
        let tree = libvirt.virsh(["qemu-monitor-command", "virtiofs", "--hmp", "info qtree"]);
        assert!(tree.contains("dev: vhost-user-fs-pci,"), "{tree}");
    } else {
        eprintln!("SKIPPED: the start of a virtiofs machine: virtiofsd is not installed");
        libvirt.define(&definition);
    }
    end(libvirt, "virtiofs");
}

/// What libvirt 9.0 stores of `virt-install --osinfo macosx10.7 --machine pc` with some more devices.
const I440FX: &str = include_str!("../fixtures/machine/i440fx.xml");

fn a_converted_i440fx_machine_is_accepted_and_starts(libvirt: &Daemon) {
    for image in ["system", "data", "cdrom", "floppy"] {
        let path = libvirt.images().join(format!("i440fx-{image}.img"));
        fs::write(path, [0; 4096]).unwrap();
    }
    starts(libvirt, "i440fx", I440FX);
    libvirt.virsh(["destroy", "i440fx"]);
    let convert = ["--pass", "emulator,machine", "--set", "machine.convert=yes"];
    let converted = render(&convert, &libvirt.definition("i440fx"));
    starts(libvirt, "i440fx", &converted);
    let stored = libvirt.definition("i440fx");
    assert!(
        stored.contains("<controller type='pci' index='0' model='pcie-root'/>"),
        "{stored}"
    );
    assert!(!stored.contains("bus='ide'"), "{stored}");
    satisfied(&stored, &convert);
    // As the profile goes on from there.
    libvirt.virsh(["destroy", "i440fx"]);
    starts(libvirt, "i440fx", &render(&[], &stored));
    end(libvirt, "i440fx");
}

fn a_converted_machine_boots_from_the_same_disk(libvirt: &Daemon) {
    let disk = |name: &str, target: &str, bus: &str| {
        let path = libvirt.images().join(format!("order-{name}.img"));
        fs::write(&path, [0; 4096]).unwrap();
        format!(
            "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/><target dev='{target}' bus='{bus}'/></disk>",
            path.display()
        )
    };
    let sata = disk("sata", "sda", "sata");
    let virtio = disk("virtio", "vda", "virtio");
    for (name, disks) in [
        ("before-sata", [disk("ide", "hda", "ide"), sata.clone()]),
        ("after-sata", [sata, disk("ide", "hda", "ide")]),
        ("before-virtio", [disk("ide", "hda", "ide"), virtio.clone()]),
        ("after-virtio", [virtio, disk("ide", "hda", "ide")]),
    ] {
        let name = format!("order-{name}");
        let definition = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><devices>{}</devices></domain>",
            disks.concat()
        );
        libvirt.define(&definition);
        let stored = libvirt.definition(&name);
        let first = boots_from(libvirt, &stored);
        let converted = render(
            &["--pass", "machine", "--set", "machine.convert=yes"],
            &stored,
        );
        libvirt.define(&converted);
        assert_eq!(
            boots_from(libvirt, &libvirt.definition(&name)),
            first,
            "{name}:\n{converted}"
        );
        end(libvirt, &name);
    }
}

fn balloons_of_every_model_start(libvirt: &Daemon) {
    for machine in ["pc", "q35"] {
        for model in [
            "none",
            "virtio",
            "virtio-transitional",
            "virtio-non-transitional",
        ] {
            let name = format!("balloon-{machine}-{model}");
            let definition = format!(
                "<domain type='qemu'>\n  <name>{name}</name>\n  <memory unit='MiB'>64</memory>\n  <os>\n    <type arch='x86_64' machine='{machine}'>hvm</type>\n  </os>\n  <devices/>\n</domain>"
            );
            let setting = format!("memballoon.model={model}");
            let with = ["--pass", "memballoon", "--set", &setting];
            starts(libvirt, &name, &render(&with, &definition));
            satisfied(&libvirt.definition(&name), &with);
            end(libvirt, &name);
        }
    }
}

fn the_native_style_keeps_a_passed_through_address_size(libvirt: &Daemon) {
    let name = "address-size";
    let definition = format!(
        "<domain type='qemu'>\n  <name>{name}</name>\n  <memory unit='MiB'>64</memory>\n  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n  <cpu mode='maximum' check='none' migratable='on'>\n    <cache mode='passthrough'/>\n    <maxphysaddr mode='passthrough'/>\n  </cpu>\n  <devices/>\n</domain>"
    );
    let with = [
        "--pass",
        "cpu-override",
        "--cpu-model",
        "Penryn",
        "--set",
        "cpu-override.style=native",
    ];
    let native = render(&with, &definition);
    assert!(!native.contains("<cache"), "{native}");
    starts(libvirt, name, &native);
    let stored = libvirt.definition(name);
    assert!(
        stored.contains("<maxphysaddr mode='passthrough'/>"),
        "{stored}"
    );
    end(libvirt, name);
}

/// The image QEMU's firmware looks at first.
fn boots_from(libvirt: &Daemon, definition: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, definition).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let arguments = libvirt.virsh(["domxml-to-native", "qemu-argv", "--xml", &path]);
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let device = words
        .iter()
        .find(|word| word.contains("\"bootindex\":1"))
        .unwrap();
    let of = |word: &str, key: &str| {
        let (_, rest) = word.split_once(&format!("\"{key}\":\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let drive = of(device, "drive").unwrap();
    let format = words
        .iter()
        .find(|word| word.contains(&format!("\"node-name\":\"{drive}\"")))
        .unwrap();
    let node = of(format, "file").unwrap_or(drive);
    let storage = words
        .iter()
        .find(|word| word.contains(&format!("\"node-name\":\"{node}\"")))
        .unwrap();
    of(storage, "filename").unwrap()
}

/// A machine made from the template, small, and on a network that needs nothing of the host.
fn made(more: &[&str]) -> String {
    let (definition, said) = virt_patch(
        &[&["render", "--template", "--memory", "256MiB"], more].concat(),
        "",
    );
    assert!(!definition.is_empty(), "{said}");
    definition
        .replace("<interface type=\"network\">", "<interface type=\"user\">")
        .replace("<source network=\"default\"/>", "")
}

fn render(more: &[&str], definition: &str) -> String {
    let (rendered, said) = virt_patch(&[&["render", "-"], more].concat(), definition);
    assert!(!rendered.is_empty(), "{said}");
    rendered
}

#[track_caller]
fn satisfied(definition: &str, more: &[&str]) {
    let (table, said) = virt_patch(&[&["check", "-"], more].concat(), definition);
    let due = table
        .lines()
        .any(|line| line.contains(" changed ") || line.contains(" blocked "));
    assert!(!due && !table.is_empty(), "{table}{said}");
}

/// Standard output and standard error.
fn virt_patch(arguments: &[&str], input: &str) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_virt-patch"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may well end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn starts(libvirt: &Daemon, name: &str, definition: &str) {
    libvirt.define(definition);
    libvirt.virsh(["start", name]);
    assert_eq!(libvirt.virsh(["domstate", name]).trim(), "running");
}

fn end(libvirt: &Daemon, name: &str) {
    let _ = libvirt.try_virsh(["destroy", name]);
    libvirt.virsh(["undefine", "--nvram", name]);
}
