//! The device passes against a real libvirt and QEMU: every definition they make is accepted with
//! validation on, is satisfied as it was stored, and starts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/user.rs"]
mod user;

use std::fs;
use std::process::{Command, ExitCode};

use daemon::Daemon;
use serde_json::{Value, json};
use user::{Run, User};

fn main() -> ExitCode {
    daemon::main(tests![
        all_five_macs_with_their_disks_run,
        cores_that_macos_would_not_boot_with_run,
        a_list_of_vcpus_grows_and_shrinks_as_libvirt_takes_it,
        a_pinned_machine_runs_where_it_was_put,
        disks_change_their_bus_and_back,
        what_sata_disks_cannot_have_keeps_them_off_it,
        usb_controllers_change_and_back,
        more_usb_devices_than_ports_get_a_hub,
        nics_of_every_release_run,
        displays_change_and_go,
        a_card_and_input_of_the_host_are_accepted,
        what_only_the_old_device_can_have_goes,
    ])
}

/// The profiles, with the release each is for and what that asks for.
const MACS: [(&str, &str, &str, &str, &str); 5] = [
    (
        "macpro7,1",
        "virtio-blk-pci",
        "virtio-net-pci",
        "qemu-xhci",
        "virtio-vga",
    ),
    (
        "macpro5,1",
        "ide-hd",
        "e1000-82545em",
        "ich9-usb-ehci1",
        "VGA",
    ),
    (
        "macpro4,1",
        "ide-hd",
        "e1000-82545em",
        "ich9-usb-ehci1",
        "VGA",
    ),
    (
        "macpro3,1",
        "ide-hd",
        "e1000-82545em",
        "ich9-usb-ehci1",
        "VGA",
    ),
    (
        "macpro2,1",
        "ide-hd",
        "e1000-82545em",
        "ich9-usb-ehci1",
        "VGA",
    ),
];

fn all_five_macs_with_their_disks_run(libvirt: &Daemon) {
    let user = User::new();
    network(libvirt);
    for (profile, disk, nic, usb, video) in MACS {
        let name = format!("mac-{}", profile.replace(',', "-"));
        let opencore = image(libvirt, &format!("{name}-OpenCore"), "raw");
        let system = image(libvirt, &format!("{name}-system"), "qcow2");
        // The other way round: OpenCore comes first all the same.
        user.run(&[
            "apply",
            "--template",
            "-p",
            profile,
            "--name",
            &name,
            "--memory",
            "256MiB",
            "--disk",
            &system,
            "--disk",
            &opencore,
            "--yes",
        ])
        .exits(0)
        .says("defined");
        assert_starts(libvirt, &name);
        let tree = devices(libvirt, &name);
        for device in [
            disk,
            nic,
            usb,
            video,
            "usb-tablet",
            "usb-kbd",
            "isa-applesmc",
        ] {
            assert!(
                tree.contains(&format!("dev: {device},")),
                "no {device} in {name}\n{tree}"
            );
        }
        let roms = libvirt.definition(&name);
        let first = roms.find("<boot order='1'/>").unwrap();
        assert!(
            roms[..first].rfind(&opencore) > roms[..first].rfind(&system),
            "{roms}"
        );
        // A new machine that was stored is an existing domain: nothing is left to do.
        user.run(&[
            "check",
            "-p",
            profile,
            "--also",
            "display,nic,usb,smbios,usb-input",
            &name,
        ])
        .exits(0);
        libvirt.virsh(["destroy", &name]);
    }
}

fn cores_that_macos_would_not_boot_with_run(libvirt: &Daemon) {
    let user = User::new();
    for (asked, total) in [(6, 8), (10, 16), (12, 16), (14, 16)] {
        let name = format!("cores-{asked}");
        define(libvirt, &name, "");
        let setting = format!("fake-core-count.vcpus={asked}");
        apply(
            &user,
            &name,
            &["--pass", "topology,fake-core-count", "--set", &setting],
        );
        assert_starts(libvirt, &name);
        let answer = qmp(libvirt, &name, json!({"execute": "query-cpus-fast"}));
        assert_eq!(answer.as_array().unwrap().len(), asked, "{answer}");
        let answer = qmp(
            libvirt,
            &name,
            json!({"execute": "query-hotpluggable-cpus"}),
        );
        assert_eq!(answer.as_array().unwrap().len(), total, "{answer}");
        libvirt.virsh(["destroy", &name]);
        // A profile leaves it as it is.
        user.run(&["check", "--pass", "topology", &name]).exits(0);
    }
}

/// Every way to write `<vcpus>` that libvirt takes, with more and with fewer vCPUs.
fn a_list_of_vcpus_grows_and_shrinks_as_libvirt_takes_it(libvirt: &Daemon) {
    let user = User::new();
    // For each vCPU that is listed: its ID, whether it is on, whether it can be plugged.
    type Vcpu = (u32, &'static str, &'static str);
    let lists: [(&str, &[Vcpu]); 6] = [
        (
            "2",
            &[
                (0, "yes", "no"),
                (1, "yes", "yes"),
                (2, "no", "yes"),
                (3, "no", "yes"),
            ],
        ),
        (
            "4",
            &[
                (0, "yes", "no"),
                (1, "yes", "no"),
                (2, "yes", "no"),
                (3, "yes", "no"),
            ],
        ),
        (
            "3",
            &[(0, "yes", "no"), (1, "yes", "no"), (2, "yes", "yes")],
        ),
        ("2", &[(0, "yes", "no"), (1, "yes", "no")]),
        (
            "2",
            &[
                (0, "yes", "no"),
                (1, "no", "yes"),
                (2, "yes", "yes"),
                (3, "no", "yes"),
            ],
        ),
        ("1", &[(0, "yes", "no")]),
    ];
    for (index, (current, list)) in lists.into_iter().enumerate() {
        let name = format!("vcpus-{index}");
        let vcpu = |(id, on, plug): &Vcpu| {
            format!("<vcpu id='{id}' enabled='{on}' hotpluggable='{plug}'/>")
        };
        let list: String = list.iter().map(vcpu).collect();
        libvirt.define(&format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu current='{current}'>4</vcpu><vcpus>{list}</vcpus><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        ));
        for count in ["8", "2", "16"] {
            apply(&user, &name, &["--pass", "topology", "--vcpus", count]);
        }
        libvirt.virsh(["undefine", &name]);
    }
}

/// Each was refused by libvirt 9.0 when it stayed, or was changed again at the second run.
fn what_only_the_old_device_can_have_goes(libvirt: &Daemon) {
    let user = User::new();
    network(libvirt);
    let image = image(libvirt, "moved", "qcow2");
    let disk = |more: &str, driver: &str, target: &str, inside: &str| {
        format!(
            "<devices><controller type='scsi' model='virtio-scsi'/><disk type='file' device='disk'{more}><driver name='qemu' type='qcow2'{driver}/><source file='{image}'/><target {target}/>{inside}</disk></devices>"
        )
    };
    let devices = |inside: &str| format!("<devices>{inside}</devices>");
    let to_lion = [
        "--pass",
        "disk",
        "--macos",
        "lion",
        "--disk",
        image.as_str(),
    ];
    let convert = ["--pass", "machine", "--set", "machine.convert=yes"];
    let ide = "dev='hda' bus='ide'";
    let cases: [(&str, String, &[&str]); 11] = [
        ("pc", disk("", "", ide, "<wwn>5000c50015ea71aa</wwn>"), &convert),
        (
            "pc",
            disk("", "", ide, "<geometry cyls='16' heads='16' secs='63' trans='lba'/>"),
            &convert,
        ),
        (
            "q35",
            disk("", " event_idx='on' ioeventfd='on'", "dev='vda' bus='virtio'", ""),
            &to_lion,
        ),
        (
            "q35",
            disk(" model='virtio-non-transitional'", "", "dev='vda' bus='virtio'", ""),
            &to_lion,
        ),
        (
            "q35",
            disk("", "", "dev='sda' bus='scsi'", "<vendor>ACME</vendor><product>DISK</product>"),
            &["--pass", "disk", "--disk", image.as_str()],
        ),
        (
            "q35",
            "<clock offset='utc'><timer name='pit' tickpolicy='catchup'><catchup threshold='123'/></timer></clock>".to_owned(),
            &["--pass", "clock"],
        ),
        (
            "q35",
            "<clock offset='utc' adjustment='60'/>".to_owned(),
            &["--pass", "clock"],
        ),
        (
            "q35",
            devices("<graphics type='spice' autoport='yes' defaultMode='secure'><channel name='main' mode='secure'/></graphics>"),
            &["--pass", "display"],
        ),
        (
            "q35",
            devices("<graphics type='spice' autoport='yes' defaultMode='secure'/>"),
            &["--pass", "", "--patch", "spice-no-listen"],
        ),
        (
            "q35",
            devices("<interface type='network'><source network='default'/><model type='virtio'/></interface><rng model='virtio'><backend model='random'>/dev/urandom</backend><address type='pci' slot='0x10'/></rng>"),
            &["--pass", "nic", "--set", "nic.root-bus=yes"],
        ),
        (
            "q35",
            devices("<video><model type='virtio'/></video>"),
            &["--pass", "display", "--macos", "lion"],
        ),
    ];
    for (index, (machine, inside, arguments)) in cases.into_iter().enumerate() {
        let name = format!("moved-{index}");
        libvirt.define(&format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>{inside}</domain>"
        ));
        apply(&user, &name, arguments);
        libvirt.virsh(["start", "--paused", &name]);
        libvirt.virsh(["destroy", &name]);
        libvirt.virsh(["undefine", &name]);
    }
}

fn a_pinned_machine_runs_where_it_was_put(libvirt: &Daemon) {
    let user = User::new();
    let facts = facts_of_this_machine(&user);
    let cores = facts["cpu"]["siblings"].as_array().unwrap();
    let list = |core: &Value| -> Vec<u64> {
        core.as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap())
            .collect()
    };
    let (first, others) = (list(&cores[0]), cores[1..].iter().flat_map(list).count());
    assert!(others > 0, "this needs a machine with two cores");
    let disk = image(libvirt, "pinned", "qcow2");
    define(libvirt, "pinned", "");
    apply(
        &user,
        "pinned",
        &[
            "--pass",
            "topology,pinning,disk,iothread",
            "--disk",
            &disk,
            "--vcpus",
            "1",
            "--set",
            "macos=tahoe",
        ],
    );
    assert_starts(libvirt, "pinned");
    let core: Vec<String> = first.iter().map(u64::to_string).collect();
    let vcpu = libvirt.virsh(["vcpupin", "pinned"]);
    assert!(!vcpu.contains(&format!(" {}\n", core[0])), "{vcpu}");
    let emulator = libvirt.virsh(["emulatorpin", "pinned"]);
    assert!(emulator.contains(&core[0]), "{emulator}");
    let iothread = libvirt.virsh(["iothreadinfo", "pinned"]);
    assert!(
        iothread.contains(" 1 ") && iothread.contains(&core[0]),
        "{iothread}"
    );
    let property = json!({"path": "/machine/peripheral/virtio-disk0", "property": "iothread"});
    let used = qmp(
        libvirt,
        "pinned",
        json!({"execute": "qom-get", "arguments": property}),
    );
    assert_eq!(used, "/objects/iothread1");
    // More than the host has is refused before libvirt is asked.
    let many = (others + 1).next_power_of_two().to_string();
    user.run(&[
        "apply",
        "pinned",
        "--pass",
        "topology,pinning",
        "--vcpus",
        &many,
        "--yes",
    ])
    .exits(1)
    .says("have no place");
    libvirt.virsh(["destroy", "pinned"]);
}

fn disks_change_their_bus_and_back(libvirt: &Daemon) {
    let user = User::new();
    let opencore = image(libvirt, "bus-OpenCore", "raw");
    let system = image(libvirt, "bus-system", "qcow2");
    let cdrom = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";
    define(libvirt, "bus", &format!("{cdrom}<interface type='user'/>"));
    let disks = ["--disk", &opencore, "--disk", &system];
    for (release, driver) in [
        ("tahoe", "virtio-blk-pci"),
        ("mojave", "ide-hd"),
        ("11", "virtio-blk-pci"),
    ] {
        let macos = format!("macos={release}");
        let more = ["--pass", "disk,iothread", "--set", &macos];
        apply(&user, "bus", &[&more[..], &disks[..]].concat());
        let stored = libvirt.definition("bus");
        assert_eq!(stored.matches("device='disk'").count(), 2, "{stored}");
        assert!(!stored.contains("<boot dev"), "{stored}");
        assert_starts(libvirt, "bus");
        let tree = devices(libvirt, "bus");
        assert_eq!(
            tree.matches(&format!("dev: {driver},")).count(),
            2,
            "{tree}"
        );
        libvirt.virsh(["destroy", "bus"]);
    }
}

/// What makes a pass block has to be refused by libvirt or QEMU, and run where the reason says.
fn what_sata_disks_cannot_have_keeps_them_off_it(libvirt: &Daemon) {
    let user = User::new();
    for (name, inside) in [
        ("sata-readonly", "<readonly/>"),
        (
            "sata-blocks",
            "<blockio logical_block_size='4096' physical_block_size='4096'/>",
        ),
    ] {
        let path = image(libvirt, name, "raw");
        let disk = |target: &str, bus: &str| {
            format!(
                "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{path}'/><target dev='{target}' bus='{bus}'/>{inside}</disk>"
            )
        };
        let runs = |definition: &str| -> Result<String, String> {
            libvirt.try_define(definition)?;
            let started = libvirt.try_virsh(["start", "--paused", name]);
            let _ = libvirt.try_virsh(["destroy", name]);
            started
        };
        runs(&domain(name, &disk("sda", "sata"))).unwrap_err();
        let _ = libvirt.try_virsh(["undefine", name]);

        runs(&domain(name, &disk("vda", "virtio"))).unwrap();
        let with = ["--pass", "disk", "--set", "macos=mojave", "--disk", &path];
        let blocked = user.run(&[&["apply", name, "--yes"], &with[..]].concat());
        let said = format!("{}{}", blocked.stdout, blocked.stderr);
        assert!(said.contains("--set disk.bus=virtio"), "{blocked:?}");
        assert_ne!(blocked.code, Some(0));
        apply(
            &user,
            name,
            &[&with[..], &["--set", "disk.bus=virtio"]].concat(),
        );
        assert_starts(libvirt, name);
        libvirt.virsh(["destroy", name]);
    }
}

fn usb_controllers_change_and_back(libvirt: &Daemon) {
    let user = User::new();
    let input = "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input><input type='keyboard' bus='usb'/>";
    for (name, machine) in [("usb-q35", "q35"), ("usb-pc", "pc")] {
        libvirt.define(&domain(name, input).replace("'q35'", &format!("'{machine}'")));
        for (release, controller) in [
            ("mojave", "ich9-usb-ehci1"),
            ("sonoma", "qemu-xhci"),
            ("lion", "ich9-usb-ehci1"),
        ] {
            let macos = format!("macos={release}");
            apply(&user, name, &["--pass", "usb", "--set", &macos]);
            assert_starts(libvirt, name);
            let tree = devices(libvirt, name);
            assert_eq!(
                tree.matches(&format!("dev: {controller},")).count(),
                1,
                "{tree}"
            );
            assert_eq!(tree.matches("dev: usb-tablet,").count(), 1, "{tree}");
            libvirt.virsh(["destroy", name]);
        }
    }
}

/// libvirt gives each its port when it stores them, and takes none of them back.
fn more_usb_devices_than_ports_get_a_hub(libvirt: &Daemon) {
    let user = User::new();
    let xhci = "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>";
    for count in [7, 15] {
        let name = format!("usb-{count}");
        let tablets = "<input type='tablet' bus='usb'/>".repeat(count);
        define(libvirt, &name, &format!("{xhci}{tablets}"));
        apply(&user, &name, &["--pass", "usb", "--set", "macos=mojave"]);
        assert_starts(libvirt, &name);
        let tree = devices(libvirt, &name);
        assert_eq!(tree.matches("dev: usb-tablet,").count(), count, "{tree}");
        assert!(tree.contains("dev: usb-hub,"), "{tree}");
        libvirt.virsh(["destroy", &name]);
    }
}

fn nics_of_every_release_run(libvirt: &Daemon) {
    let user = User::new();
    let nic = "<interface type='user'><mac address='52:54:00:0a:0b:0c'/><model type='rtl8139'/></interface><interface type='user'><mac address='52:54:00:0a:0b:0d'/></interface>";
    define(libvirt, "nics", nic);
    for (release, root_bus, model) in [
        ("tahoe", "no", "virtio-net-pci"),
        ("catalina", "no", "vmxnet3"),
        ("mojave", "yes", "e1000-82545em"),
        ("tahoe", "yes", "virtio-net-pci"),
    ] {
        let (macos, root) = (
            format!("macos={release}"),
            format!("nic.root-bus={root_bus}"),
        );
        apply(
            &user,
            "nics",
            &["--pass", "nic", "--set", &macos, "--set", &root],
        );
        assert_starts(libvirt, "nics");
        let tree = devices(libvirt, "nics");
        assert_eq!(tree.matches(&format!("dev: {model},")).count(), 2, "{tree}");
        let stored = libvirt.definition("nics");
        for mac in ["52:54:00:0a:0b:0c", "52:54:00:0a:0b:0d"] {
            assert!(stored.contains(mac), "{stored}");
        }
        let on_root = stored.split("<interface").skip(1).filter(|nic| {
            nic.split("</interface>")
                .next()
                .unwrap()
                .contains("bus='0x00'")
        });
        let expected = if root_bus == "yes" { 2 } else { 0 };
        assert_eq!(on_root.count(), expected, "{stored}");
        libvirt.virsh(["destroy", "nics"]);
    }
}

fn displays_change_and_go(libvirt: &Daemon) {
    let user = User::new();
    let spice = "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel><graphics type='spice' autoport='yes'><listen type='address'/></graphics><sound model='ich9'/><video><model type='qxl' ram='65536' vram='65536' vgamem='16384'/></video><redirdev bus='usb' type='spicevmc'/>";
    define(libvirt, "display", spice);
    for (release, device) in [
        ("tahoe", "virtio-vga"),
        ("mojave", "VGA"),
        ("11", "virtio-vga"),
    ] {
        let macos = format!("macos={release}");
        apply(&user, "display", &["--pass", "display", "--set", &macos]);
        assert_starts(libvirt, "display");
        let tree = devices(libvirt, "display");
        assert!(tree.contains(&format!("dev: {device},")), "{tree}");
        let listens = libvirt.virsh(["qemu-monitor-command", "display", "--hmp", "info spice"]);
        assert!(!listens.contains("address:"), "{listens}");
        libvirt.virsh(["destroy", "display"]);
    }
    apply(
        &user,
        "display",
        &["--pass", "gpu", "--set", "gpu.virtual-display=remove"],
    );
    assert_starts(libvirt, "display");
    let stored = libvirt.definition("display");
    for gone in ["<graphics", "spice", "<redirdev", "qxl", "virtio' heads"] {
        assert!(!stored.contains(gone), "{gone} in {stored}");
    }
    libvirt.virsh(["destroy", "display"]);
}

/// Neither is there to be started with, on most machines; libvirt checks all it can without.
fn a_card_and_input_of_the_host_are_accepted(libvirt: &Daemon) {
    let user = User::new();
    let with = [
        "--pass",
        "gpu,evdev",
        "--set",
        "gpu.devices=0000:41:00.0,0000:41:00.1",
        "--set",
        "gpu.virtual-display=remove",
        "--host",
    ];
    // A host without a list of files: what is not known is not held against anybody.
    let facts = user.file("host.json", r#"{"libvirt": "9.0.0"}"#);
    for (name, machine, devices) in [
        ("card", "q35", "<interface type='user'/>"),
        ("card-pc", "pc", "<interface type='user'/>"),
        (
            "card-spice",
            "q35",
            "<graphics type='spice'/><sound model='ich9'><audio id='1'/></sound><audio id='1' type='spice'/>",
        ),
    ] {
        libvirt.define(&domain(name, devices).replace("'q35'", &format!("'{machine}'")));
        let input = [
            "--set",
            "evdev.keyboard=usb-K-event-kbd",
            "--set",
            "evdev.mouse=usb-M-event-mouse",
        ];
        apply(
            &user,
            name,
            &[&with[..], &[facts.as_str()], &input[..]].concat(),
        );
        let stored = libvirt.definition(name);
        assert_eq!(stored.matches("<hostdev").count(), 2, "{stored}");
        assert_eq!(stored.matches("type='evdev'").count(), 2, "{stored}");
        let places: Vec<&str> = stored
            .split("<hostdev")
            .skip(1)
            .map(|hostdev| hostdev.split("<address type='pci' ").nth(1).unwrap())
            .map(|address| address.split(" function=").next().unwrap())
            .collect();
        assert_eq!(places[0], places[1], "{stored}");
    }
}

/// A q35 machine with these devices, which libvirt completes.
fn domain(name: &str, devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features><devices>{devices}</devices></domain>"
    )
}

fn define(libvirt: &Daemon, name: &str, devices: &str) {
    libvirt.define(&domain(name, devices));
}

/// Applies, which verifies what libvirt stored, and finds nothing more to do.
#[track_caller]
fn apply(user: &User, name: &str, with: &[&str]) -> Run {
    let applied = user
        .run(&[&["apply", name, "--yes"], with].concat())
        .exits(0);
    user.run(&[&["check", name], with].concat()).exits(0);
    applied
}

#[track_caller]
fn assert_starts(libvirt: &Daemon, name: &str) {
    libvirt.virsh(["start", "--paused", name]);
    assert_eq!(libvirt.virsh(["domstate", name]).trim(), "paused");
}

/// The devices of QEMU, one on each line.
fn devices(libvirt: &Daemon, name: &str) -> String {
    let tree = libvirt.virsh(["qemu-monitor-command", name, "--hmp", "info qtree"]);
    let lines = tree.lines().filter(|line| {
        let line = line.trim_start();
        line.starts_with("dev: ") || line.starts_with("iothread = ")
    });
    lines
        .map(|line| {
            format!(
                "{line}
"
            )
        })
        .collect()
}

fn qmp(libvirt: &Daemon, name: &str, command: Value) -> Value {
    let answer = libvirt.virsh(["qemu-monitor-command", name, &command.to_string()]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["return"].clone()
}

/// An image where QEMU may read it.
fn image(libvirt: &Daemon, name: &str, format: &str) -> String {
    let path = libvirt.images().join(format!("{name}.{format}"));
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", format])
        .arg(&path)
        .arg("16M")
        .status();
    assert!(made.unwrap().success());
    path.to_str().unwrap().to_owned()
}

/// libvirt's own network 'default', as far as a network namespace can have it.
fn network(libvirt: &Daemon) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| make_network(libvirt));
}

fn make_network(libvirt: &Daemon) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        &file,
        "<network><name>default</name><bridge name='virbr0'/></network>",
    )
    .unwrap();
    libvirt.virsh(["net-define".as_ref(), file.path().as_os_str()]);
    libvirt.virsh(["net-start", "default"]);
}

fn facts_of_this_machine(user: &User) -> Value {
    let run = user.run(&["host", "--json"]).exits(0);
    serde_json::from_str(&run.stdout).unwrap()
}
