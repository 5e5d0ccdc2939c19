//! What a real libvirt makes of definitions is no loss where nothing is lost, and is one where it
//! drops something in silence.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;

use std::path::Path;
use std::process::ExitCode;

use daemon::Daemon;
use virt_patch::derive::{Keep, derive};
use virt_patch::hypervisor::compare::{missing, same_meaning};

fn main() -> ExitCode {
    daemon::main(tests![
        nothing_is_lost_of_real_definitions,
        nothing_is_lost_of_other_notations,
        nothing_is_lost_of_a_live_definition,
        what_libvirt_drops_is_found,
        nothing_was_changed_by_a_define,
    ])
}

fn losses(ours: &str, stored: &str) -> Vec<String> {
    let found = missing(ours, stored).unwrap();
    found
        .iter()
        .map(|loss| format!("{loss} ({})", loss.path))
        .collect()
}

/// Definitions made by virt-install (fixtures/compare).
fn nothing_is_lost_of_real_definitions(libvirt: &Daemon) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compare");
    let mut seen = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let ours = std::fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&ours).unwrap();
        let name = document
            .descendants()
            .find(|node| node.has_tag_name("name"))
            .unwrap()
            .text()
            .unwrap();
        libvirt.define(&ours);
        let stored = libvirt.definition(name);
        assert_eq!(
            losses(&ours, &stored),
            [] as [&str; 0],
            "{}",
            path.display()
        );
        libvirt.define(&stored);
        let again = libvirt.definition(name);
        assert!(same_meaning(&stored, &again).unwrap(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 11, "only {seen} definitions");
}

fn nothing_is_lost_of_other_notations(libvirt: &Daemon) {
    let ours = "<domain type='qemu' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\
        <name>notations</name><uuid>C2EE9E6ED3BE4A52B1C18A4BD3FA13E5</uuid>\
        <memory unit='MB'>300</memory><currentMemory unit='b'>104857601</currentMemory>\
        <vcpu cpuset='0,1'>4</vcpu><cputune><vcpupin vcpu='1' cpuset='0,1'/>\
        <vcpusched vcpus='0-2,^1' scheduler='fifo' priority='1'/></cputune>\
        <os><type machine='q35'>hvm</type><boot dev='cdrom'/><boot dev='hd'/></os><features><acpi/></features>\
        <cpu mode='maximum' match='exact'><topology sockets='1' cores='4' threads='1'/></cpu>\
        <devices><disk type='file' device='disk'><source file='/srv/b'/><target dev='sdb'/></disk>\
        <disk type='file' device='disk'><source file='/srv/a'/><target dev='sda' bus='sata'/></disk>\
        <interface type='user'><mac address='52:54:00:AB:cd:01'/><model type='e1000e'/>\
        <address type='pci' bus='0' slot='9'/></interface>\
        <graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1'/>\
        <serial type='tcp'><source mode='bind' host='127.0.0.1' service='4555'/></serial><console type='pty'/>\
        <controller type='usb' model='qemu-xhci'/></devices>\
        <q:commandline><q:env name='A' value='1'/><q:arg value='-msg'/><q:arg value='timestamp=off'/></q:commandline>\
        </domain>";
    libvirt.define(ours);
    assert_eq!(
        losses(ours, &libvirt.definition("notations")),
        [] as [&str; 0]
    );
}

/// People keep `virsh dumpxml` of running machines as their backups.
fn nothing_is_lost_of_a_live_definition(libvirt: &Daemon) {
    libvirt.define(
        "<domain type='qemu'><name>living</name><memory unit='MiB'>64</memory>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>\
         <controller type='virtio-serial'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
         <interface type='user'><model type='virtio'/></interface><serial type='pty'/>\
         <graphics type='vnc'/><sound model='ich9'/></devices></domain>",
    );
    libvirt.virsh(["start", "--paused", "living"]);
    let live = libvirt.virsh(["dumpxml", "--security-info", "living"]);
    libvirt.virsh(["destroy", "living"]);
    assert!(
        live.contains("<alias name=") && live.contains(" id='"),
        "{live}"
    );
    let live = live.replace(
        "<graphics type='vnc' port='5900'",
        "<graphics type='vnc' port='-1'",
    );
    libvirt.define(&live);
    assert_eq!(
        losses(&live, &libvirt.definition("living")),
        [] as [&str; 0]
    );
}

fn what_libvirt_drops_is_found(libvirt: &Daemon) {
    for (name, inside, lost) in [
        (
            "drop-pin",
            "<vcpu>2</vcpu><cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='9' cpuset='0'/></cputune>",
            "<vcpupin vcpu='9' cpuset='0'> is missing",
        ),
        (
            "drop-element",
            "<devices><tvpm model='x'/></devices>",
            "<tvpm model='x'> is missing",
        ),
        (
            "drop-attribute",
            "<features><acpi colour='red'/></features>",
            "colour='red' of <acpi> is missing",
        ),
        (
            "drop-vendor",
            "<cpu mode='maximum'><model vendor_id='GenuineIntel'>Penryn</model></cpu>",
            "<model vendor_id='GenuineIntel'>Penryn is missing",
        ),
        (
            "drop-metadata",
            "<metadata><a xmlns='urn:x'>1</a><a xmlns='urn:x'>2</a></metadata>",
            "<a>2 is missing",
        ),
        (
            "drop-namespace",
            "<commandline xmlns='urn:not-qemu'><arg value='-usb'/></commandline>",
            "<commandline> is missing",
        ),
    ] {
        let ours = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os>{inside}</domain>"
        );
        let file = libvirt.images().join(name);
        std::fs::write(&file, &ours).unwrap();
        // Without --validate, as many tools define.
        libvirt.virsh(["define".as_ref(), file.as_os_str()]);
        let found = missing(&ours, &libvirt.definition(name)).unwrap();
        assert!(
            found.iter().any(|loss| loss.what == lost),
            "{name}: {found:?}"
        );
    }
}

/// What libvirt fills in is nothing that `derive` records.
fn nothing_was_changed_by_a_define(libvirt: &Daemon) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compare");
    let mut definitions: Vec<(String, String)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect();
    assert!(definitions.len() >= 11);
    for (name, inside) in [
        ("tiny", "<os><type>hvm</type></os>"),
        (
            "small",
            "<vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>\
             <features><acpi/></features><cpu mode='host-model'/><clock offset='utc'/><devices>\
             <disk type='file'><source file='/srv/a.img'/><target dev='vda'/></disk>\
             <disk device='cdrom'><target dev='sda' bus='sata'/></disk>\
             <disk type='network'><source protocol='nbd' name='x'><host name='h'/></source><target dev='vdc'/></disk>\
             <controller type='usb' model='qemu-xhci'/><interface type='user'/><serial type='pty'/>\
             <graphics type='vnc'/><input type='tablet'/><watchdog model='i6300esb'/>\
             <filesystem><source dir='/srv'/><target dir='x'/></filesystem>\
             <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x1'/></source></hostdev>\
             </devices>",
        ),
    ] {
        let text = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>{inside}</domain>"
        );
        definitions.push((name.to_owned(), text));
    }
    for (name, text) in definitions {
        let name = format!("defined-{name}");
        let ours = in_the_name_of(&name, &text);
        libvirt.define(&ours);
        let stored = libvirt.definition(&name);
        let derived = derive(&ours, &stored, &Keep::default()).unwrap();
        assert!(derived.empty, "{name}\n{}\n{stored}", derived.patch);
        // A change by hand is all there is then.
        let edited = stored.replace("<on_crash>", "<on_crash>coredump-");
        let derived = derive(&ours, &edited, &Keep::default()).unwrap();
        let body: Vec<&str> = derived.patch.lines().skip(1).collect();
        assert_eq!(body.len(), 2, "{name}\n{}", derived.patch);
        assert!(body[0].starts_with("  <on_crash>coredump-"), "{body:?}");
        let all = derive(&ours, &stored, &Keep::ALL).unwrap();
        assert!(!all.empty, "{name}");
    }
}

/// The definition as another domain, beside the one that another test defines.
fn in_the_name_of(name: &str, text: &str) -> String {
    let (before, rest) = text.split_once("<name>").unwrap();
    let (_, after) = rest.split_once("</name>").unwrap();
    let text = format!("{before}<name>{name}</name>{after}");
    let uuid = |text: &str| {
        Some(
            text.split_once("<uuid>")?
                .1
                .split_once("</uuid>")?
                .0
                .to_owned(),
        )
    };
    match uuid(&text) {
        // It may stand in <sysinfo> as well.
        Some(uuid) => text.replace(&uuid, &format!("{}dddd", &uuid[..uuid.len() - 4])),
        None => text,
    }
}
