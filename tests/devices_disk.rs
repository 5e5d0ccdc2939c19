//! The pass disk.

#![allow(clippy::unwrap_used)]

#[path = "common/table.rs"]
mod table;

use table::{devices, given};
use virt_patch::host::ImageFormat::{Qcow2, Raw};
use virt_patch::host::{Device, FileFact, Foreign};

const OPENCORE: &str = "/images/OpenCore.qcow2";
const MAC: &str = "/images/mac.img";

fn disk(kind: &str, path: &str, target: &str, bus: &str, order: u32) -> String {
    format!(
        "    <disk type='file' device='disk'>\n      <driver name='qemu' type='{kind}' cache='none' discard='unmap'/>\n      <source file='{path}'/>\n      <target dev='{target}' bus='{bus}'/>\n      <boot order='{order}'/>\n    </disk>\n"
    )
}

/// With both images there.
fn with_images(given: table::Given) -> table::Given {
    given
        .image(OPENCORE, Some(Qcow2))
        .image(MAC, Some(Raw))
        .image("/images/a,b.qcow2", Some(Qcow2))
}

#[test]
fn images_become_disks_of_their_release() {
    for (settings, expected) in [
        (
            "macos=tahoe disk.paths=/images/OpenCore.qcow2,/images/mac.img",
            disk("qcow2", OPENCORE, "vda", "virtio", 1) + &disk("raw", MAC, "vdb", "virtio", 2),
        ),
        // OpenCore comes first whatever the order it is given in.
        (
            "macos=11 disk.paths=/images/mac.img,/images/OpenCore.qcow2",
            disk("qcow2", OPENCORE, "vda", "virtio", 1) + &disk("raw", MAC, "vdb", "virtio", 2),
        ),
        (
            "macos=10.15 disk.paths=/images/OpenCore.qcow2,/images/mac.img",
            disk("qcow2", OPENCORE, "sda", "sata", 1) + &disk("raw", MAC, "sdb", "sata", 2),
        ),
        (
            "macos=10.15 disk.bus=virtio disk.paths=/images/a,,b.qcow2,/images/a,,b.qcow2",
            disk("qcow2", "/images/a,b.qcow2", "vda", "virtio", 1),
        ),
    ] {
        with_images(devices(""))
            .set(settings)
            .run("disk")
            .becomes_devices(&expected);
    }
}

#[test]
fn names_and_places_of_disks_never_collide() {
    let other = |target: &str, bus: &str, rest: &str| {
        format!(
            "    <disk type='file' device='cdrom'>\n      <target dev='{target}' bus='{bus}'/>{rest}\n    </disk>\n"
        )
    };
    for (release, before, target) in [
        ("tahoe", other("vda", "virtio", ""), "vdb"),
        ("tahoe", other("sda", "sata", ""), "vda"),
        // Two names of one number on virtio would be one id.
        ("tahoe", other("sda", "virtio", ""), "vdb"),
        ("tahoe", other("vda", "sata", ""), "vdb"),
        ("mojave", other("hda", "sata", ""), "sdb"),
        ("mojave", other("sda", "usb", ""), "sdb"),
        // The place of sdb is taken by an address.
        (
            "mojave",
            other(
                "sda",
                "sata",
                "<address type='drive' controller='0' unit='1'/>",
            ),
            "sdc",
        ),
        (
            "mojave",
            other(
                "sdx",
                "sata",
                "<address type='drive' controller='1' unit='0'/>",
            ) + &(b'a'..b'g')
                .map(|letter| other(&format!("sd{}", char::from(letter)), "sata", ""))
                .collect::<String>(),
            "sdh",
        ),
        (
            "tahoe",
            (b'a'..=b'z')
                .map(|letter| other(&format!("vd{}", char::from(letter)), "virtio", ""))
                .collect(),
            "vdaa",
        ),
    ] {
        let bus = if release == "tahoe" { "virtio" } else { "sata" };
        with_images(devices(&before))
            .set(&format!("macos={release} disk.paths={MAC}"))
            .run("disk")
            .becomes_devices(&format!("{before}{}", disk("raw", MAC, target, bus, 1)));
    }
}

#[test]
fn a_disk_that_is_there_is_changed_not_added() {
    // On SATA, with what only virtio takes gone, and its place free to be chosen.
    with_images(devices(
        "    <disk type='file' device='disk'>\n      <driver name='qemu' type='qcow2' cache='writeback' iothread='1'/>\n      <source file='/images/mac.img'/> <!-- mine -->\n      <target dev='vda' bus='virtio'/>\n      <serial>S1</serial>\n      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>\n    </disk>\n",
    ))
    .set("macos=mojave disk.paths=/images/mac.img")
    .run("disk")
    .becomes_devices(
        "    <disk type='file' device='disk'>\n      <driver name='qemu' type='raw' cache='none' discard='unmap'/>\n      <source file='/images/mac.img'/> <!-- mine -->\n      <target dev='sda' bus='sata'/>\n      <serial>S1</serial>\n      <boot order='1'/>\n    </disk>\n",
    );
    // Two disks change their names, and do not get in each other's way.
    let two = |bus: &str, prefix: &str| {
        disk("qcow2", OPENCORE, &format!("{prefix}a"), bus, 1)
            + &disk("raw", MAC, &format!("{prefix}b"), bus, 2)
    };
    for (macos, from, to) in [
        ("tahoe", two("sata", "sd"), two("virtio", "vd")),
        ("mojave", two("virtio", "vd"), two("sata", "sd")),
    ] {
        with_images(devices(&from))
            .set(&format!("macos={macos} disk.paths={OPENCORE},{MAC}"))
            .run("disk")
            .becomes_devices(&to);
    }
    // A CD-ROM stays one, where it is.
    with_images(devices(
        "    <disk type='file' device='cdrom'>\n      <source file='/images/OpenCore.qcow2'/>\n      <target dev='sda' bus='sata'/>\n    </disk>\n",
    ))
    .set("macos=tahoe disk.paths=/images/OpenCore.qcow2")
    .run("disk")
    .becomes_devices(
        "    <disk type='file' device='cdrom'>\n      <driver name='qemu' type='qcow2'/>\n      <source file='/images/OpenCore.qcow2'/>\n      <target dev='sda' bus='sata'/>\n      <boot order='1'/>\n    </disk>\n",
    );
}

/// The boot orders of a definition, as `what=order …`.
fn boot_orders(text: &str) -> String {
    let document = virt_patch::document::Document::parse(text).unwrap();
    assert!(document.find(&["os", "boot"]).is_none(), "{text}");
    let mut orders: Vec<(u32, String)> = document
        .find(&["devices"])
        .unwrap()
        .children()
        .filter_map(|device| {
            let boot = device.children().find(|child| child.has_tag_name("boot"))?;
            let target = device.children().find(|child| child.has_tag_name("target"));
            let name = target
                .and_then(|target| target.attribute("dev"))
                .unwrap_or(device.tag_name().name());
            Some((boot.attribute("order")?.parse().unwrap(), name.to_owned()))
        })
        .collect();
    orders.sort();
    let orders: Vec<String> = orders
        .into_iter()
        .map(|(order, name)| format!("{name}={order}"))
        .collect();
    orders.join(" ")
}

#[test]
fn one_boot_order() {
    let given = |os: &str, devices: &str| {
        with_images(given(&format!(
            "<domain>\n  <os>\n    <type machine='q35'>hvm</type>\n{os}  </os>\n  <devices>\n{devices}  </devices>\n</domain>\n"
        )))
        .set("macos=tahoe")
    };
    let old = |target: &str, boot: &str| {
        format!(
            "    <disk type='file' device='disk'>\n      <source file='/old/{target}.img'/>\n      <target dev='{target}' bus='usb'/>\n{boot}    </disk>\n"
        )
    };
    let order = |order: u32| format!("      <boot order='{order}'/>\n");
    let cdrom = "    <disk type='file' device='cdrom'>\n      <target dev='sdz' bus='sata'/>\n    </disk>\n";
    let nic = |boot: &str| format!("    <interface type='user'>\n{boot}    </interface>\n");
    let old_opencore = format!(
        "    <disk type='file' device='disk'>\n      <source file='/old/OpenCore-v21.iso'/>\n      <target dev='sdo' bus='usb'/>\n{}    </disk>\n",
        order(4)
    );
    let both = format!("disk.paths={OPENCORE},{MAC}");
    let one = format!("disk.paths={MAC}");
    for (os, devices, settings, expected) in [
        ("", String::new(), &both, "vda=1 vdb=2"),
        (
            "    <boot dev='hd'/>\n",
            String::new(),
            &both,
            "vda=1 vdb=2",
        ),
        // What <os> named keeps its turn.
        (
            "    <boot dev='network'/>\n    <boot dev='hd'/>\n    <boot dev='cdrom'/>\n    <bootmenu enable='yes'/>\n",
            format!("{}{}{cdrom}{}", old("sda", ""), old("sdb", ""), nic("")),
            &both,
            "vda=1 vdb=2 interface=3 sda=4 sdz=5",
        ),
        // Nothing named: libvirt means the first disk.
        ("", old("sda", ""), &both, "vda=1 vdb=2 sda=3"),
        // Orders that are late enough stay.
        (
            "",
            format!("{}{}", old("sda", &order(1)), nic(&order(7))),
            &both,
            "vda=1 vdb=2 sda=3 interface=7",
        ),
        (
            "",
            format!("{}{}", old("sda", &order(2)), nic(&order(3))),
            &both,
            "vda=1 vdb=2 sda=3 interface=4",
        ),
        // An OpenCore of the definition's own stays first.
        (
            "",
            format!("{}{old_opencore}", old("sda", &order(1))),
            &one,
            "sdo=4 vda=5 sda=6",
        ),
        (
            "",
            format!("{}{old_opencore}", old("sda", &order(1))),
            &both,
            "vda=1 sdo=4 vdb=5 sda=6",
        ),
    ] {
        let ran = given(os, &devices).set(settings).run("disk").went_through();
        assert_eq!(boot_orders(&ran.0.after), expected, "{os}{devices}");
        assert_eq!(ran.0.after.contains("<bootmenu"), os.contains("<bootmenu"));
    }
}

#[test]
fn images_that_cannot_be_disks() {
    let there = FileFact {
        exists: true,
        ..FileFact::default()
    };
    for (fact, settings, said) in [
        (
            None,
            "",
            "blocked: nothing is known of the image '/x'; run this on its host, or say --set disk.format=raw or qcow2",
        ),
        (
            Some(FileFact::default()),
            "disk.format=raw",
            "blocked: there is no image file '/x'; check the path, or create one: qemu-img create -f qcow2 /x 128G",
        ),
        (
            Some(FileFact {
                device: Some(Device::Character),
                ..FileFact::default()
            }),
            "",
            "blocked: '/x' is a character device and holds no image",
        ),
        (
            Some(FileFact {
                device: Some(Device::Directory),
                ..FileFact::default()
            }),
            "disk.format=raw",
            "blocked: '/x' is a directory; name an image in it",
        ),
        (
            Some(FileFact {
                device: Some(Device::Special),
                ..FileFact::default()
            }),
            "",
            "blocked: '/x' is a FIFO or socket and holds no image",
        ),
        (
            Some(FileFact {
                foreign: Some(Foreign::Unknown),
                ..there
            }),
            "",
            "blocked: '/x' begins like a qcow2 image, but of a version that there is not (QEMU knows 2 and 3); it is damaged, or no image",
        ),
        (
            Some(there),
            "",
            "blocked: the image '/x' cannot be read, so its format is unknown; run this as a user who may, or say --set disk.format=raw or qcow2",
        ),
        (
            Some(FileFact {
                foreign: Some(Foreign::Vmdk),
                ..there
            }),
            "disk.format=raw",
            "blocked: '/x' is a VMDK image; convert it first: qemu-img convert -O qcow2 /x /x.qcow2",
        ),
        (
            Some(FileFact {
                foreign: Some(Foreign::Gzip),
                ..there
            }),
            "",
            "blocked: '/x' is a gzip file; unpack it first",
        ),
    ] {
        let given = devices("").set("disk.paths=/x").set(settings);
        let given = match fact {
            Some(fact) => given.file("/x", fact),
            None => given,
        };
        given.run("disk").unchanged().says(said);
    }
    devices("")
        .file("/dev/sdq", FileFact::default())
        .set("disk.paths=/dev/sdq")
        .run("disk")
        .unchanged()
        .says("blocked: there is no device '/dev/sdq'; lsblk -p lists those that the host has");
    devices("")
        .run("disk")
        .unchanged()
        .says("not-applicable: no image was given; --disk PATH adds one");
}

#[test]
fn encrypted_images_need_their_secret() {
    let encrypted = FileFact {
        exists: true,
        format: Some(Raw),
        encrypted: true,
        ..FileFact::default()
    };
    let given = |there: &str| {
        devices(there)
            .file("/images/mac.img", encrypted)
            .set("disk.paths=/images/mac.img macos=tahoe")
    };
    let plain = disk("raw", MAC, "vda", "virtio", 1);
    for there in ["", plain.as_str()] {
        given(there).run("disk").unchanged().says(
            "blocked: '/images/mac.img' is encrypted, and without an <encryption> that names a secret of libvirt's the guest would see ciphertext, or not start; add this disk by hand (virsh secret-define), and give --disk images that are not encrypted",
        );
    }
    let secret = "<encryption format='luks'>\n        <secret type='passphrase' uuid='6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55'/>\n      </encryption>";
    for with_secret in [
        plain.replace("      <boot", &format!("      {secret}\n      <boot")),
        plain.replace(
            "<source file='/images/mac.img'/>",
            &format!("<source file='/images/mac.img'>\n        {secret}\n      </source>"),
        ),
    ] {
        given(&with_secret)
            .run("disk")
            .unchanged()
            .says("satisfied: 1 disk there, in this boot order");
    }
}

#[test]
fn what_there_is_no_place_for_on_sata() {
    let there = |kind: &str, target: &str, bus: &str, more: &str| {
        format!(
            "    <disk type='file' device='{kind}'>\n      <driver name='qemu' type='raw'/>\n      <source file='/images/mac.img'/>\n      <target dev='{target}' bus='{bus}'/>\n      {more}\n    </disk>\n"
        )
    };
    let readonly = "blocked: the disk in line 6 is read-only, which libvirt refuses on SATA; --set disk.bus=virtio has it on virtio, where the firmware sees it and macOS from 11 on, or take <readonly/> out, if the guest may write to '/images/mac.img'";
    let of =
        |size: u32| format!("<blockio logical_block_size='{size}' physical_block_size='4096'/>");
    let (large, usual) = (of(4096), of(512));
    let blocks = "blocked: the disk in line 6 has blocks of 4096 bytes (<blockio>), and QEMU's SATA disks have 512, with which a guest does not find its partitions; --set disk.bus=virtio has it on virtio, which macOS from 11 on drives, or take <blockio> out, if nothing is on it yet";
    for (kind, target, bus, more, said) in [
        ("disk", "vda", "virtio", "<readonly/>", Some(readonly)),
        ("disk", "sda", "scsi", "<readonly/>", Some(readonly)),
        ("cdrom", "sda", "sata", "<readonly/>", None),
        ("disk", "vda", "virtio", large.as_str(), Some(blocks)),
        ("disk", "sda", "sata", large.as_str(), Some(blocks)),
        ("disk", "vda", "virtio", usual.as_str(), None),
        (
            "disk",
            "vda",
            "virtio",
            "<blockio physical_block_size='4096'/>",
            None,
        ),
    ] {
        let before = there(kind, target, bus, more);
        let given = |settings: &str| {
            with_images(devices(&before)).set(&format!("disk.paths={MAC} {settings}"))
        };
        let ran = given("macos=mojave").run("disk");
        match said {
            Some(said) => drop(ran.unchanged().says(said)),
            None => assert!(ran.went_through().0.after.contains(more)),
        }
        for settings in ["macos=tahoe", "macos=mojave disk.bus=virtio"] {
            let ran = given(settings).run("disk").went_through();
            assert!(ran.0.after.contains(more), "{}", ran.0.after);
        }
    }
}

#[test]
fn one_image_by_two_paths_is_one_disk() {
    let image = FileFact {
        exists: true,
        format: Some(Qcow2),
        identity: Some((1, 7)),
        ..FileFact::default()
    };
    let there = disk("qcow2", "/images/mac.qcow2", "vda", "virtio", 1);
    devices(&there)
        .file("/images/mac.qcow2", image)
        .file("/home/me/link", image)
        .set("disk.paths=/home/me/link,/images/mac.qcow2 macos=tahoe")
        .run("disk")
        .unchanged()
        .says("satisfied: 1 disk there, in this boot order");
}

#[test]
fn formats_that_are_said_and_block_devices() {
    devices("")
        .set("disk.paths=/x disk.format=qcow2 macos=tahoe")
        .run("disk")
        .becomes_devices(&disk("qcow2", "/x", "vda", "virtio", 1));
    let volume = FileFact {
        exists: true,
        device: Some(Device::Block),
        ..FileFact::default()
    };
    devices("")
        .file("/dev/vg/mac", volume)
        .set("disk.paths=/dev/vg/mac macos=tahoe")
        .run("disk")
        .becomes_devices(
            &disk("raw", "/dev/vg/mac", "vda", "virtio", 1)
                .replace("type='file'", "type='block'")
                .replace("source file", "source dev"),
        );
}
