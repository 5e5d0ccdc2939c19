//! From i440fx to q35.

use crate::run::{notes, pass};

const HEAD: &str =
    "<os>\n  <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>\n  <boot dev='hd'/>\n</os>";

fn domain(devices: &str) -> String {
    format!("{HEAD}\n<devices>\n{devices}\n</devices>")
}

fn disk(kind: &str, target: &str, rest: &str) -> String {
    format!("  <disk type='file' device='{kind}'>\n    <source file='/{target}'/>\n    {target}{rest}\n  </disk>")
        .replace(&format!("/{target}"), "/image")
}

#[test]
fn an_i440fx_machine_is_blocked_with_the_explanation() {
    for name in ["pc", "pc-i440fx-7.2", "pc-1.0"] {
        pass("machine").is_blocked_on(
            &format!("<os>\n  <type machine='{name}'>hvm</type>\n</os>"),
            &format!("'{name}' is an i440fx machine, and macOS expects the PCI Express of q35; a change of the name alone would leave PCI addresses and IDE disks that q35 has no place for; --set machine.convert=yes converts all of it"),
        );
    }
}

#[test]
fn an_i440fx_machine_becomes_q35_on_request() {
    let q35 = |text: String| text.replace("pc-i440fx-7.2", "pc-q35-7.2");
    let drive = "\n    <address type='drive' controller='0' bus='0' target='0' unit='0'/>";
    let pci = "\n    <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>";
    for (before, after) in [
        // Addresses go wherever they are, of host devices only the guest's.
        (
            format!("  <sound model='ich6'>{pci}\n  </sound>\n  <hostdev mode='subsystem' type='pci'>\n    <source>\n      <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n    </source>{pci}\n  </hostdev>\n  <rng model='virtio'>{pci}\n  </rng>\n  <rng model='virtio'>{pci}\n  </rng>"),
            "  <sound model='ich6'/>\n  <hostdev mode='subsystem' type='pci'>\n    <source>\n      <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n    </source>\n  </hostdev>\n  <rng model='virtio'/>\n  <rng model='virtio'/>".to_owned(),
        ),
        // Controllers of the i440fx go.
        (
            format!("  <controller type='pci' index='0' model='pci-root'/>\n  <controller type='pci' index='1' model='pci-bridge'>\n    <model name='pci-bridge'/>{pci}\n  </controller>\n  <controller type='ide' index='0'>{pci}\n  </controller>\n  <controller type='usb' index='0' model='piix3-uhci'>{pci}\n  </controller>\n  <controller type='virtio-serial' index='0'>{pci}\n  </controller>"),
            "  <controller type='virtio-serial' index='0'/>".to_owned(),
        ),
        // A second USB controller would be left without a first.
        (
            format!("  <controller type='usb' index='0' model='piix3-uhci'>{pci}\n  </controller>\n  <controller type='usb' index='1' model='nec-xhci'>{pci}\n  </controller>"),
            "  <controller type='usb' index='0' model='qemu-xhci'/>\n  <controller type='usb' index='1' model='nec-xhci'/>".to_owned(),
        ),
        // Targets do not collide.
        (
            [
                disk("disk", "<target dev='hda' bus='ide'/>", drive),
                disk("cdrom", "<target dev='hdc' bus='ide' tray='open'/>", drive),
                disk("disk", "<target dev='sdb' bus='scsi'/>", drive),
                disk("disk", "<target dev='vda' bus='virtio'/>", pci),
            ]
            .join("\n"),
            [
                disk("disk", "<target dev='sda' bus='sata'/>", ""),
                disk("cdrom", "<target dev='sdc' bus='sata' tray='open'/>", ""),
                disk("disk", "<target dev='sdb' bus='scsi'/>", drive),
                disk("disk", "<target dev='vda' bus='virtio'/>", ""),
            ]
            .join("\n"),
        ),
    ] {
        pass("machine")
            .with("machine.convert=yes")
            .makes(&domain(&before), &q35(domain(&after)));
    }
}

#[test]
fn what_changes_is_said() {
    let before = domain(
        &[
            disk("disk", "<target dev='hda' bus='ide'/>", ""),
            disk("floppy", "<target dev='fda' bus='fdc'/>", ""),
            "  <hostdev type='pci'>\n    <address type='pci' slot='0x05' function='0x1'/>\n  </hostdev>".to_owned(),
        ]
        .join("\n"),
    );
    let plan = pass("machine")
        .with("machine.convert=yes")
        .plan(&format!("<domain>\n{before}</domain>"));
    assert_eq!(
        plan.steps[0].reason,
        "pc-i440fx-7.2 becomes pc-q35-7.2: 1 PCI address is given anew and IDE disks become SATA (hda is now sda)"
    );
    assert_eq!(
        notes(&plan.steps[0]),
        "a guest that was installed on IDE disks needs an AHCI driver to boot from SATA; macOS has one|line 15: this host device was one of several functions of one slot, and gets a slot of its own|line 11: the floppy drive fda stays, on a controller that q35 gets for it; macOS has no driver for it"
    );
}

#[test]
fn the_version_is_kept_where_the_host_has_it() {
    for (before, after, note) in [
        ("pc-i440fx-6.2", "pc-q35-6.2", ""),
        ("pc", "q35", ""),
        ("pc-1.0", "q35", ""),
        (
            "pc-i440fx-8.1",
            "pc-q35-7.2",
            "QEMU 7.2.22 does not know pc-q35-8.1; pc-q35-7.2 is the nearest",
        ),
        (
            "pc-i440fx-rhel7.6.0",
            "q35",
            "QEMU 7.2.22 does not know pc-q35-rhel7.6.0; q35 is the nearest",
        ),
    ] {
        let os = |name: &str| format!("<os>\n  <type machine='{name}'>hvm</type>\n</os>");
        let report = pass("machine")
            .with("machine.convert=yes")
            .makes(&os(before), &os(after));
        assert_eq!(notes(&report), note);
        assert_eq!(
            report.reason,
            format!("{before} becomes {after}: libvirt adds its controllers")
        );
    }
}

#[test]
fn without_a_list_only_qemus_own_types_keep_their_version() {
    for (before, after, note) in [
        ("pc-i440fx-6.2", "pc-q35-6.2", ""),
        (
            "pc-i440fx-8.1",
            "pc-q35-7.2",
            "QEMU 7.2.22 does not know pc-q35-8.1; pc-q35-7.2 is the nearest",
        ),
        ("pc", "q35", ""),
        (
            "pc-i440fx-jammy",
            "q35",
            "it is not known whether QEMU 7.2.22 has pc-q35-jammy; the host's libvirt tells (--host libvirt), and q35 is there in any case",
        ),
    ] {
        let os = |name: &str| format!("<os>\n  <type machine='{name}'>hvm</type>\n</os>");
        let report = pass("machine")
            .facts(|facts| facts.emulators[0].machines.clear())
            .with("machine.convert=yes")
            .makes(&os(before), &os(after));
        assert_eq!(notes(&report), note);
    }
    // Who runs one of QEMU's own has the other as well.
    let report = pass("machine")
        .facts(|facts| facts.emulators.clear())
        .with("machine.convert=yes")
        .makes(
            "<os>\n  <type machine='pc-i440fx-6.2'>hvm</type>\n</os>",
            "<os>\n  <type machine='pc-q35-6.2'>hvm</type>\n</os>",
        );
    assert_eq!(
        notes(&report),
        "it is not known whether the host's QEMU has pc-q35-6.2; the host's libvirt tells (--host libvirt)"
    );
}

#[test]
fn the_boot_order_stays() {
    let ide = disk("disk", "<target dev='hda' bus='ide'/>", "");
    let sata = disk("disk", "<target dev='sda' bus='sata'/>", "");
    let network =
        "  <interface type='user'>\n    <mac address='52:54:00:00:00:01'/>\n  </interface>";
    // By its new target alone the first disk would come second.
    let before = domain(&[ide.as_str(), &sata, network].join("\n")).replace(
        "<boot dev='hd'/>",
        "<boot dev='network'/>\n  <boot dev='hd'/>",
    );
    let after = domain(
        &[
            &disk(
                "disk",
                "<target dev='sdb' bus='sata'/>",
                "\n    <boot order='2'/>",
            ),
            &sata,
            &network.replace("</interface>", "  <boot order='1'/>\n  </interface>"),
        ]
        .map(String::as_str)
        .join("\n"),
    )
    .replace("\n  <boot dev='hd'/>", "")
    .replace("pc-i440fx-7.2", "pc-q35-7.2");
    let report = pass("machine")
        .with("machine.convert=yes")
        .makes(&before, &after);
    assert!(
        notes(&report).contains("the boot order stands with the devices now"),
        "{report:?}"
    );
    // Where the devices say it, or nothing changes, it stays as it is.
    for (first, second) in [
        (
            disk(
                "disk",
                "<target dev='hda' bus='ide'/>",
                "\n    <boot order='1'/>",
            ),
            sata.clone(),
        ),
        (
            ide.clone(),
            disk("disk", "<target dev='vda' bus='virtio'/>", ""),
        ),
    ] {
        let plan = pass("machine").with("machine.convert=yes").plan(&format!(
            "<domain>\n{}</domain>",
            domain(&[first, second].join("\n"))
        ));
        assert!(plan.after.contains("<boot dev='hd'/>"), "{}", plan.after);
    }
}

#[test]
fn arguments_for_the_i440fx_go_or_block() {
    let with = |arguments: &[&str]| {
        let arguments: String = arguments
            .iter()
            .map(|argument| format!("    <qemu:arg value='{argument}'/>\n"))
            .collect();
        format!(
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  <os>\n    <type machine='pc-i440fx-7.2'>hvm</type>\n  </os>\n  <qemu:commandline>\n{arguments}  </qemu:commandline>\n</domain>"
        )
    };
    let convert = || pass("machine").with("machine.convert=yes");
    let off = "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off";
    convert().makes(
        &with(&["-global", off, "-usb"]),
        &with(&["-usb"]).replace("i440fx", "q35"),
    );
    convert().is_blocked_on(
        &with(&["-device", "e1000,bus=pci.0,addr=0x10"]),
        "the QEMU argument '-device e1000,bus=pci.0,addr=0x10' names a bus that only i440fx has (q35's is pcie.0); change or remove it first",
    );
}
