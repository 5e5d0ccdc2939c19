//! The passes nic, usb, display, gpu, evdev and smbios.

#![allow(clippy::unwrap_used)]

#[path = "common/table.rs"]
mod table;

use table::{devices, given, host};
use virt_patch::host::{Device, FileFact, ImageFormat, Version};

/// Devices, one on each line, with the indentation they have in a definition.
fn lines(devices: &str) -> String {
    devices
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(|line| format!("    {line}\n"))
        .collect()
}

#[test]
fn the_guest_has_a_board() {
    let with = |args: &str| {
        format!(
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  <qemu:commandline>\n{args}  </qemu:commandline>\n</domain>\n"
        )
    };
    let type1 = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=1,serial=1'/>\n";
    let type2 = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=2'/>\n";
    given(&with(type1))
        .run("smbios")
        .becomes(&with(&format!("{type1}{type2}")));
    let own = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=2,manufacturer=Acidanthera'/>\n";
    given(&with(own)).run("smbios").unchanged();

    // libvirt describes the board when <os> asks for it, and only then.
    let board = |mode: &str| {
        format!(
            "<domain>\n  <sysinfo type='smbios'>\n    <baseBoard>\n      <entry name='product'>Mac</entry>\n    </baseBoard>\n  </sysinfo>\n  <os>\n    <smbios mode='{mode}'/>\n  </os>\n</domain>\n"
        )
    };
    given(&board("sysinfo"))
        .run("smbios")
        .unchanged()
        .says("satisfied: <sysinfo> describes a board");
    given(&board("emulate"))
        .run("smbios")
        .says("changed: macOS freezes at the second stage of the boot without a board record");
}

#[test]
fn nics_follow_the_release() {
    let nic = |model: &str| {
        lines(&format!(
            "<interface type='bridge'>\n  <mac address='52:54:00:00:00:01'/>\n  <source bridge='br0'/>\n  <model type='{model}'/>\n  <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n</interface>"
        ))
    };
    for (settings, model) in [
        ("macos=tahoe", "virtio"),
        ("macos=11", "virtio"),
        ("macos=catalina", "vmxnet3"),
        ("macos=10.14", "e1000-82545em"),
        ("mac.model=MacPro2,1", "e1000-82545em"),
        ("mac.model=MacPro7,1", "virtio"),
        ("macos=tahoe nic.model=e1000e", "e1000e"),
    ] {
        devices(&nic("rtl8139"))
            .set(settings)
            .run("nic")
            .becomes_devices(&nic(model));
    }
    // Its generations are virtio as well.
    devices(&nic("virtio-non-transitional"))
        .set("macos=tahoe")
        .run("nic")
        .unchanged()
        .says("satisfied: 1 NIC: virtio");
}

#[test]
fn all_nics_and_only_those_with_a_model() {
    let nics = |first: &str, second: &str| {
        lines(&format!(
            "<interface type='network'>\n{first}</interface>\n<interface type='user'>\n{second}</interface>\n<interface type='hostdev'>\n  <mac address='52:54:00:00:00:03'/>\n</interface>"
        ))
    };
    // Without MAC addresses nothing tells the first two apart but their place.
    devices(&nics(
        "",
        "  <model type='virtio'/>\n  <driver name='vhost' queues='4'/>\n",
    ))
    .set("macos=mojave")
    .run("nic")
    .becomes_devices(&nics(
        "  <model type='e1000-82545em'/>\n",
        "  <model type='e1000-82545em'/>\n",
    ))
    .notes(&["the NIC in line 12 is of the type 'hostdev' and keeps its model"]);
    devices(&lines("<interface type='vdpa'/>"))
        .run("nic")
        .unchanged()
        .says("not-applicable: no NIC of the definition can have another model");
}

#[test]
fn nics_on_the_root_bus() {
    let nic = |address: &str| {
        format!("<interface type='user'>\n  <model type='virtio'/>\n{address}</interface>\n")
    };
    let at = |bus: &str, slot: &str| {
        format!(
            "  <address type='pci' domain='0x0000' bus='{bus}' slot='{slot}' function='0x0'/>\n"
        )
    };
    let sound = "<sound model='ich9'>\n  <address type='pci' bus='0x00' slot='0x10' function='0x0'/>\n</sound>\n";
    for (before, after) in [
        (nic(""), nic(&at("0x00", "0x10"))),
        (nic(&at("0x01", "0x00")), nic(&at("0x00", "0x10"))),
        (
            nic("") + &nic("") + sound,
            nic(&at("0x00", "0x11")) + &nic(&at("0x00", "0x12")) + sound,
        ),
        // It is there already.
        (nic(&at("0x00", "0x03")), nic(&at("0x00", "0x03"))),
    ] {
        devices(&lines(&before))
            .set("macos=tahoe nic.root-bus=yes")
            .run("nic")
            .becomes_devices(&lines(&after));
    }
    let other = "<domain><os><type machine='microvm'>hvm</type></os><devices><interface type='user'/></devices></domain>";
    given(other)
        .set("macos=tahoe nic.root-bus=yes")
        .run("nic")
        .says("blocked: the root bus of the machine type 'microvm' has no free slot; leave nic.root-bus out");
}

#[test]
fn a_new_machine_has_a_nic() {
    let nic = |rest: &str| {
        lines(&format!(
            "<interface type='network'>\n  <source network='default'/>\n  <model type='vmxnet3'/>\n{rest}</interface>"
        ))
    };
    devices("")
        .run("nic")
        .unchanged()
        .says("not-applicable: the definition has no NIC");
    devices("")
        .new_machine()
        .set("macos=10.15")
        .run("nic")
        .becomes_devices(&nic(""));
    devices("")
        .new_machine()
        .set("macos=10.15 nic.root-bus=yes")
        .run("nic")
        .becomes_devices(&nic(
            "  <address type='pci' domain='0x0000' bus='0x00' slot='0x10' function='0x0'/>\n",
        ));
}

const XHCI: &str = "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>\n";

/// ich9-ehci1 with its companions, with what is inside of each.
fn usb2(index: &str, inside: &str) -> String {
    let mut out = match inside {
        "" => format!("<controller type='usb'{index} model='ich9-ehci1'/>\n"),
        inside => {
            format!("<controller type='usb'{index} model='ich9-ehci1'>\n{inside}</controller>\n")
        }
    };
    for (model, port) in [("ich9-uhci1", 0), ("ich9-uhci2", 2), ("ich9-uhci3", 4)] {
        out += &format!(
            "<controller type='usb'{index} model='{model}'>\n  <master startport='{port}'/>\n{inside}</controller>\n"
        );
    }
    out
}

#[test]
fn usb_controllers_follow_the_release() {
    let pci = "  <address type='pci' domain='0x0000' bus='0x00' slot='0x1d' function='0x7'/>\n";
    let new = &usb2(" index='0'", "");
    for (settings, before, after) in [
        ("macos=sonoma", "", XHCI),
        ("macos=sonoma", &usb2(" index='0'", pci), XHCI),
        // As virt-manager's template writes it.
        ("macos=sonoma", &usb2("", ""), XHCI),
        (
            "macos=sonoma",
            "<controller type='usb' index='0' model='piix3-uhci'/>\n",
            XHCI,
        ),
        (
            "macos=sonoma",
            "<controller type='usb' index='0' model='none'/>\n",
            XHCI,
        ),
        (
            "macos=sonoma",
            "<controller type='usb' index='0' model='nec-xhci' ports='8'/>\n",
            XHCI,
        ),
        ("macos=mojave", "", new),
        ("macos=mojave", XHCI, new),
        ("macos=mojave usb.controller=xhci", new, XHCI),
        ("macos=sonoma usb.controller=usb2", XHCI, new),
        // libvirt would add an xHCI for the first index.
        (
            "macos=mojave",
            &usb2(" index='2'", ""),
            &format!("{}{}", usb2(" index='2'", ""), usb2(" index='0'", "")),
        ),
        // Each index keeps a controller.
        (
            "macos=sonoma",
            &format!(
                "{}<controller type='usb' index='1' model='nec-xhci'/>\n",
                usb2(" index='0'", "")
            ),
            &format!("{XHCI}<controller type='usb' index='1' model='qemu-xhci' ports='15'/>\n"),
        ),
    ] {
        devices(&lines(before))
            .set(settings)
            .run("usb")
            .becomes_devices(&lines(after))
            .notes(&[]);
    }
    for (settings, controllers, said) in [
        (
            "macos=sonoma",
            "<controller type='usb' index='0' model='qemu-xhci'>\n  <address type='pci' bus='0x02' slot='0x00'/>\n</controller>\n",
            "satisfied: qemu-xhci is there",
        ),
        (
            "macos=lion",
            &usb2(" index='0'", pci),
            "satisfied: ich9-ehci1 with its companions is there",
        ),
    ] {
        devices(&lines(controllers))
            .set(settings)
            .run("usb")
            .unchanged()
            .says(said);
    }
}

#[test]
fn usb_devices_keep_their_ports_where_there_are_any() {
    let tablet = |bus: &str, port: &str| {
        format!(
            "<input type='tablet' bus='usb'>\n  <address type='usb' bus='{bus}' port='{port}'/>\n</input>\n"
        )
    };
    let freed = "<input type='tablet' bus='usb'/>\n";
    for (macos, before, after, count) in [
        ("sonoma", tablet("0", "6"), tablet("0", "6"), 0),
        ("mojave", tablet("0", "6"), tablet("0", "6"), 0),
        ("mojave", tablet("0", "7"), freed.to_owned(), 1),
        ("mojave", tablet("0", "6.1"), tablet("0", "6.1"), 0),
        ("mojave", tablet("0", "7.1"), freed.to_owned(), 1),
        ("sonoma", tablet("1", "1"), freed.to_owned(), 1),
    ] {
        let (old, new) = match macos {
            "sonoma" => (usb2(" index='0'", ""), XHCI.to_owned()),
            _ => (XHCI.to_owned(), usb2(" index='0'", "")),
        };
        let note = "1 USB device to be given another port by libvirt: the new controller does not have the old one";
        devices(&lines(&format!("{old}{before}")))
            .set(&format!("macos={macos}"))
            .run("usb")
            .becomes_devices(&lines(&format!("{new}{after}")))
            .notes(&[note][..count]);
    }
}

/// libvirt gives the new ones a port, or makes a hub, which needs one.
#[test]
fn what_is_added_finds_a_port() {
    let devices_of = |ports: u32, keyboard: &str| {
        let tablet = |port: u32| {
            format!(
                "<input type='tablet' bus='usb'>\n  <address type='usb' bus='0' port='{port}'/>\n</input>\n"
            )
        };
        let controller = "<controller type='usb' index='0' model='qemu-xhci' ports='4'/>\n";
        lines(&format!(
            "{controller}{}{keyboard}",
            (1..=ports).map(tablet).collect::<String>()
        ))
    };
    let keyboard = "<input type='keyboard' bus='usb'/>\n";
    devices(&devices_of(3, ""))
        .run("usb-input")
        .becomes_devices(&devices_of(3, keyboard));
    let freed = "<input type='tablet' bus='usb'/>\n";
    devices(&devices_of(4, ""))
        .run("usb-input")
        .becomes_devices(&devices_of(3, &format!("{keyboard}{freed}")))
        .notes(&["one USB device leaves its port to the hub that libvirt adds: there are more devices than ports"]);
}

#[test]
fn there_is_a_port_for_the_hub_that_libvirt_adds() {
    let tablet = |port: u32| {
        format!(
            "<input type='tablet' bus='usb'>\n  <address type='usb' bus='0' port='{port}'/>\n</input>\n"
        )
    };
    let tablets = |ports: std::ops::RangeInclusive<u32>| ports.map(tablet).collect::<String>();
    let freed = "<input type='tablet' bus='usb'/>\n";
    let hub = "<hub type='usb'>\n  <address type='usb' bus='0' port='6'/>\n</hub>\n";
    let unplaced = "<redirdev bus='usb' type='spicevmc'/>\n";
    let lost = "1 USB device to be given another port by libvirt: the new controller does not have the old one";
    let left = "one USB device leaves its port to the hub that libvirt adds: there are more devices than ports";
    for (before, after, notes) in [
        (tablets(1..=6), tablets(1..=6), &[][..]),
        (
            tablets(1..=7),
            tablets(1..=5) + freed + freed,
            &[lost, left][..],
        ),
        // There is a free port.
        (
            tablets(1..=5) + &tablet(9),
            tablets(1..=5) + freed,
            &[lost][..],
        ),
        // There is a hub.
        (
            tablets(1..=5) + hub + &tablet(7),
            tablets(1..=5) + hub + freed,
            &[lost][..],
        ),
        (
            tablets(1..=6) + unplaced,
            tablets(1..=5) + freed + unplaced,
            &[left][..],
        ),
        (
            tablets(1..=4) + unplaced + unplaced + unplaced,
            tablets(1..=4) + unplaced + unplaced + unplaced,
            &[][..],
        ),
    ] {
        devices(&lines(&format!("{XHCI}{before}")))
            .set("macos=mojave")
            .run("usb")
            .becomes_devices(&lines(&format!("{}{after}", usb2(" index='0'", ""))))
            .notes(notes);
    }
}

#[test]
fn displays() {
    let spice = "<graphics type='spice'>\n  <listen type='none'/>\n</graphics>\n";
    let video = |model: &str| format!("<video>\n  <model {model}/>\n</video>\n");
    let virtio = video("type='virtio' heads='1' primary='yes'");
    let vga = video("type='vga' heads='1' primary='yes'");
    let qxl = "type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'";
    let vnc = "<graphics type='vnc' port='-1' autoport='yes'/>\n";
    for (settings, before, after) in [
        ("macos=tahoe", String::new(), format!("{spice}{virtio}")),
        ("macos=mojave", String::new(), format!("{spice}{vga}")),
        ("macos=tahoe display.video=vga", String::new(), format!("{spice}{vga}")),
        (
            "macos=tahoe",
            "<graphics type='spice' port='-1' tlsPort='-1' autoport='yes' passwd='x'>\n  <listen type='address' address='0.0.0.0'/>\n  <image compression='off'/>\n</graphics>\n".to_owned() + &video(qxl),
            format!(
                "<graphics type='spice' passwd='x'>\n  <listen type='none'/>\n  <image compression='off'/>\n</graphics>\n{virtio}"
            ),
        ),
        (
            "macos=mojave",
            format!(
                "{spice}<video>\n  <model type='virtio' heads='2' primary='yes'>\n    <acceleration accel3d='yes'/>\n  </model>\n</video>\n"
            ),
            format!(
                "{spice}<video>\n  <model type='vga' heads='1' primary='yes'/>\n</video>\n"
            ),
        ),
        // Of several, the primary one.
        (
            "macos=tahoe",
            format!("{spice}{}{}", video("type='qxl'"), video("type='vga' primary='yes'")),
            format!("{spice}{}{}", video("type='qxl'"), video("type='virtio' primary='yes'")),
        ),
        // What libvirt makes of VGA stays.
        (
            "macos=mojave",
            format!("{spice}{}", video("type='vga' vram='16384' heads='1' primary='yes'")),
            format!("{spice}{}", video("type='vga' vram='16384' heads='1' primary='yes'")),
        ),
    ] {
        devices(&lines(&before))
            .set(settings)
            .run("display")
            .becomes_devices(&lines(&after))
            .notes(&[]);
    }
    devices(&lines(&format!("{vnc}{virtio}")))
        .set("macos=tahoe")
        .run("display")
        .becomes_devices(&lines(&format!("{vnc}{spice}{virtio}")))
        .notes(&["VNC stays beside SPICE"]);
    devices("")
        .set("gpu.virtual-display=remove")
        .run("display")
        .says("not-applicable: the virtual display goes (gpu.virtual-display=remove)");
}

/// A host device with its place in the guest.
fn hostdev(host: &str, place: &str) -> String {
    let function = host.rsplit('.').next().unwrap();
    let bus = &host[5..7];
    let place = match place {
        "" => String::new(),
        place => format!("  <address type='pci' domain='0x0000' {place}/>\n"),
    };
    format!(
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n  <source>\n    <address domain='0x0000' bus='0x{bus}' slot='0x00' function='0x{function}'/>\n  </source>\n{place}</hostdev>\n"
    )
}

fn place(bus: &str, slot: &str, function: &str, rest: &str) -> String {
    format!("bus='{bus}' slot='{slot}' function='{function}'{rest}")
}

const ON: &str = " multifunction='on'";

#[test]
fn a_card_is_one_slot_of_the_guest() {
    let bridge = |index: u32| {
        format!("<controller type='pci' index='{index}' model='pcie-to-pci-bridge'/>\n")
    };
    let port =
        |index: u32| format!("<controller type='pci' index='{index}' model='pcie-root-port'/>\n");
    let root = "<controller type='pci' index='0' model='pcie-root'/>\n";
    let unnumbered = "<controller type='pci' model='pcie-root'/>\n<controller type='pci' model='pcie-root-port'/>\n<controller type='pci' model='pcie-root-port'/>\n";
    let nic = |bus: &str| {
        format!(
            "<interface type='user'>\n  <address type='pci' domain='0x0000' bus='{bus}' slot='0x00' function='0x0'/>\n</interface>\n"
        )
    };
    let card = |bus: &str| {
        hostdev("0000:01:00.0", &place(bus, "0x00", "0x0", ON))
            + &hostdev("0000:01:00.1", &place(bus, "0x00", "0x1", ""))
    };
    let both = "0000:01:00.0,0000:01:00.1";
    for (named, before, after) in [
        // A root port that nobody uses.
        (
            both,
            format!("{root}{}{}{}", port(1), port(2), nic("0x01")),
            format!(
                "{root}{}{}{}{}",
                port(1),
                port(2),
                nic("0x01"),
                card("0x02")
            ),
        ),
        // None is free: one more.
        (
            both,
            format!("{root}{}{}", port(1), nic("0x01")),
            format!(
                "{root}{}{}{}{}",
                port(1),
                port(2),
                nic("0x01"),
                card("0x02")
            ),
        ),
        (both, String::new(), format!("{}{}", port(1), card("0x01"))),
        // As virt-manager's template: libvirt will number them.
        (
            both,
            unnumbered.to_owned(),
            format!("{unnumbered}{}", card("0x01")),
        ),
        // Short addresses in any order, and two cards.
        (
            "02:00.0,01:00.1,01:00.0",
            format!("{root}{}{}", port(1), port(2)),
            format!(
                "{root}{}{}{}{}",
                port(1),
                port(2),
                card("0x01"),
                hostdev("0000:02:00.0", &place("0x02", "0x00", "0x0", ""))
            ),
        ),
        // The only port below a bridge that has no address yet is the bridge's.
        (
            both,
            format!("{root}{}{}", port(1), bridge(2)),
            format!("{root}{}{}{}{}", port(1), bridge(2), port(3), card("0x03")),
        ),
        (
            both,
            format!("{root}{}{}{}", port(1), port(2), bridge(3)),
            format!("{root}{}{}{}{}", port(1), port(2), bridge(3), card("0x02")),
        ),
        // A slot without a function 0 would not be there.
        (
            "01:00.1",
            port(1),
            format!(
                "{}{}",
                port(1),
                hostdev("0000:01:00.1", &place("0x01", "0x00", "0x0", ""))
            ),
        ),
        // As virt-manager adds them: two slots; the sound comes to the graphics.
        (
            both,
            format!(
                "{root}{}{}{}{}",
                port(1),
                port(2),
                hostdev("0000:01:00.0", &place("0x02", "0x00", "0x0", "")),
                hostdev("0000:01:00.1", &place("0x01", "0x00", "0x0", "")),
            ),
            format!("{root}{}{}{}", port(1), port(2), card("0x02")),
        ),
        // Another device in that slot.
        (
            both,
            format!(
                "{root}{}{}{}",
                port(1),
                nic("0x01"),
                hostdev("0000:01:00.0", &place("0x01", "0x00", "0x1", "")),
            ),
            format!(
                "{root}{}{}{}{}",
                port(1),
                port(2),
                nic("0x01"),
                card("0x02")
            ),
        ),
    ] {
        devices(&lines(&before))
            .set(&format!("gpu.devices={named}"))
            .run("gpu")
            .becomes_devices(&lines(&after));
    }
    // i440fx has one bus, and no root ports.
    let pc = |devices: &str| {
        given(&format!(
            "<domain><os><type machine='pc'>hvm</type></os><devices>{devices}</devices></domain>"
        ))
        .set("gpu.devices=01:00.0,01:00.1")
    };
    let ran = pc("").run("gpu").went_through();
    for place in [
        place("0x00", "0x10", "0x0", ON),
        place("0x00", "0x10", "0x1", ""),
    ] {
        assert!(ran.0.after.contains(&place), "{}", ran.0.after);
    }
}

#[test]
fn the_virtual_display_goes_as_a_whole() {
    let none = "<video>\n  <model type='none'/>\n</video>\n";
    for (before, after) in [
        (String::new(), none.to_owned()),
        (
            "<channel type='spicevmc'>\n  <target type='virtio' name='com.redhat.spice.0'/>\n</channel>\n<channel type='unix'>\n  <target type='virtio' name='org.qemu.guest_agent.0'/>\n</channel>\n<graphics type='spice' autoport='yes'>\n  <listen type='address'/>\n</graphics>\n<graphics type='vnc'/>\n<sound model='ich9'/>\n<audio id='1' type='spice'/>\n<video>\n  <model type='qxl' primary='yes'/>\n</video>\n<video>\n  <model type='qxl'/>\n</video>\n<redirdev bus='usb' type='spicevmc'/>\n<redirdev bus='usb' type='spicevmc'/>\n<redirdev bus='usb' type='tcp'/>\n".to_owned(),
            format!("<channel type='unix'>\n  <target type='virtio' name='org.qemu.guest_agent.0'/>\n</channel>\n<sound model='ich9'/>\n{none}<redirdev bus='usb' type='tcp'/>\n"),
        ),
        // A sound device names the audio, so that stays, silent.
        (
            format!("<sound model='ich9'>\n  <audio id='1'/>\n</sound>\n<audio id='1' type='spice'/>\n<audio id='2' type='spice'/>\n{none}"),
            format!("<sound model='ich9'>\n  <audio id='1'/>\n</sound>\n<audio id='1' type='none'/>\n{none}"),
        ),
    ] {
        devices(&lines(&before))
            .set("gpu.virtual-display=remove")
            .run("display,gpu")
            .becomes_devices(&lines(&after));
    }
}

#[test]
fn what_is_known_of_cards_and_what_is_not_asked() {
    let vendor = |address: &str| format!("/sys/bus/pci/devices/{address}/vendor");
    let there = FileFact {
        exists: true,
        ..FileFact::default()
    };
    devices("")
        .file(&vendor("0000:01:00.0"), there)
        .file(&vendor("0000:01:00.1"), there)
        .file(&vendor("0000:01:00.2"), FileFact::default())
        .file(&vendor("0000:02:00.0"), FileFact::default())
        .set("gpu.devices=01:00.0,02:00.0")
        .run("gpu")
        .notes(&[
            "0000:01:00.1 is a function of the same card; it can be given to the guest as well, and mostly has to",
            "the host has no PCI device 0000:02:00.0",
        ])
        .says("changed: 0000:01:00.0 and 0000:02:00.0 of the host in the guest");
    devices("").run("gpu").unchanged().says(
        "not-applicable: no device was named; --set gpu.devices=0000:01:00.0,0000:01:00.1 does (lspci -D)",
    );
    devices("<interface type='hostdev'><source><address type='pci' domain='0' bus='1' slot='0' function='0'/></source></interface>")
        .set("gpu.devices=01:00.0")
        .run("gpu")
        .unchanged()
        .says("blocked: 0000:01:00.0 is the guest's NIC in line 6 already; leave it out of gpu.devices");
    given("<domain><os><type machine='isapc'>hvm</type></os><devices/></domain>")
        .set("gpu.devices=01:00.0")
        .run("gpu")
        .says("blocked: the machine type 'isapc' has no free PCI slot for the card");
}

#[test]
fn a_keyboard_and_a_mouse() {
    let keyboard = "/dev/input/by-id/usb-K-event-kbd";
    let there = FileFact {
        device: Some(Device::Character),
        ..FileFact::default()
    };
    let input = |attributes: &str| {
        lines(&format!(
            "<input type='evdev'>\n  <source {attributes}/>\n</input>"
        ))
    };
    let both = input(&format!("dev='{keyboard}' grab='all' repeat='on'"))
        + &input("dev='/dev/input/by-id/usb-M-event-mouse'");
    let tablet = lines("<input type='tablet' bus='usb'/>");
    let named = "evdev.keyboard=usb-K-event-kbd evdev.mouse=/dev/input/by-id/usb-M-event-mouse";
    for (before, after) in [
        (String::new(), both.clone()),
        (tablet.clone(), format!("{tablet}{both}")),
        (both.clone(), both.clone()),
        (input(&format!("dev='{keyboard}'")), both.clone()),
    ] {
        devices(&before)
            .file(keyboard, there)
            .set(named)
            .run("evdev")
            .becomes_devices(&after)
            .notes(&[]);
    }
    let mut old = virt_patch::host::Facts {
        libvirt: Some(Version::new(7, 3, 0)),
        ..Default::default()
    };
    devices("").on(&old).set(named).run("evdev").unchanged().says(
        "blocked: libvirt 7.3.0 does not know evdev input, 7.4.0 does; leave evdev out, or pass the USB devices through",
    );
    old.libvirt = Some(Version::new(7, 4, 0));
    devices("").on(&old).set(named).run("evdev").went_through();
    devices("")
        .file(keyboard, FileFact::default())
        .set(named)
        .run("evdev")
        .unchanged()
        .says("blocked: the host has no input device '/dev/input/by-id/usb-K-event-kbd'; 'ls /dev/input/by-id' shows those it has");
    devices("")
        .set("evdev.mouse=/dev/input/event3")
        .run("evdev")
        .becomes_devices(&input("dev='/dev/input/event3'"))
        .notes(&["'/dev/input/event3' may be another device after the next start of the host; names in /dev/input/by-id stay"]);
    devices("").run("evdev").unchanged().says(
        "not-applicable: no device was named; --set evdev.keyboard=NAME and --set evdev.mouse=NAME do (ls /dev/input/by-id)",
    );
}

#[test]
fn the_example_of_each_pass_is_what_it_does() {
    for (pass, settings) in [
        ("disk", "disk.paths=/images/OpenCore.qcow2"),
        ("nic", ""),
        ("usb", ""),
        ("display", ""),
        ("gpu", "gpu.devices=01:00.0,01:00.1"),
        (
            "evdev",
            "evdev.keyboard=usb-Keyboard-event-kbd evdev.mouse=usb-Mouse-event-mouse",
        ),
        ("smbios", ""),
        ("fake-core-count", ""),
        ("pinning", ""),
        ("iothread", ""),
    ] {
        let source = virt_patch::passes::find(pass).unwrap().source;
        let explanation = virt_patch::passes::explanation(source);
        let block = |which: &str| {
            let (_, rest) = explanation
                .split_once(&format!("```xml,{which}\n"))
                .unwrap();
            let (block, _) = rest.split_once("```").unwrap();
            block
                .lines()
                .map(|line| format!("  {line}\n"))
                .collect::<String>()
        };
        let domain = |inside: &str| {
            format!(
                "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n{inside}</domain>\n"
            )
        };
        given(&domain(&block("before")))
            .on(&host("0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15"))
            .image("/images/OpenCore.qcow2", Some(ImageFormat::Qcow2))
            .set(settings)
            .run(pass)
            .becomes(&domain(&block("after")));
    }
}
