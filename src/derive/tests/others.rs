//! Patches replayed on domains that they were not recorded with.
#![allow(clippy::indexing_slicing)]

use super::*;

/// What the patch between two definitions makes of a third, twice.
#[track_caller]
pub(super) fn replayed(before: &str, after: &str, other: &str) -> Result<String, String> {
    let derived = derive(before, after, &Keep::default()).unwrap();
    let patch = Patch::new("derived", &*derived.patch);
    let document = Document::parse_domain(other).unwrap();
    let once = merge::merged(&document, &patch).map_err(|error| match error {
        MergeError::Unfit { message, .. } => message,
        other => other.to_string(),
    })?;
    let once = once.unwrap_or_else(|| other.to_owned());
    let again = Document::parse_domain(&once).unwrap();
    assert_eq!(merge::merged(&again, &patch).unwrap(), None, "{once}");
    Ok(once)
}

pub(super) fn devices(inside: &str) -> String {
    format!("<domain type='kvm'>\n  <devices>\n    {inside}\n  </devices>\n</domain>\n")
}

#[test]
fn one_more_device_changes_no_other() {
    let cdrom = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";
    let disk = "<disk type='file'><source file='/other.img'/><target dev='sda' bus='sata'/></disk>";
    let share = |source: &str| {
        format!("<filesystem type='mount'><source dir='{source}'/><target dir='t'/></filesystem>")
    };
    let (share, other_share) = (share("/srv"), share("/old"));
    let spice = "<graphics type='spice'/>";
    let vnc = "<graphics type='vnc' port='5901' autoport='no'/>";
    let hub = "<hub type='usb'/>";
    for (before, added, other, expected) in [
        (
            "",
            cdrom,
            disk,
            Err("patch:op='append' would make a second <disk> with <target dev='sda'>"),
        ),
        (
            "",
            &share,
            &other_share,
            Err("patch:op='append' would make a second <filesystem> with <target dir='t'>"),
        ),
        (
            spice,
            vnc,
            "<graphics type='vnc' port='5999' autoport='no'/>",
            Err("patch:op='append' would make a second <graphics> with type='vnc'"),
        ),
        (
            "",
            "<sound model='ich9'/>",
            "<sound model='ich9'><codec type='micro'/></sound>",
            Ok("<sound model='ich9'><codec type='micro'/></sound>"),
        ),
        ("", hub, hub, Ok(hub)),
        (
            "",
            "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
            "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>",
            Ok(
                "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>\n    <rng model='virtio'>\n      <backend model='random'>/dev/urandom</backend>\n    </rng>",
            ),
        ),
        // There is one of them.
        (
            "",
            "<tpm model='tpm-crb'/>",
            "<tpm model='tpm-tis'/>",
            Ok("<tpm model='tpm-crb'/>"),
        ),
    ] {
        let after = devices(&format!("{before}{added}"));
        assert_eq!(
            replayed(&devices(before), &after, &devices(other)),
            expected.map(devices).map_err(str::to_owned),
            "{added}"
        );
    }
}

#[test]
fn a_change_makes_no_piece_of_what_another_domain_does_not_have() {
    let other = "<domain type='kvm'>
  <os>
    <type arch='x86_64'>hvm</type>
  </os>
  <cpu mode='maximum'/>
  <clock offset='utc'/>
  <devices>
    <interface type='user'/>
    <rng model='virtio'>
      <backend model='random'>/dev/random</backend>
    </rng>
    <graphics type='spice'/>
    <memballoon model='none'/>
  </devices>
</domain>
";
    let override_of = |value: &str| {
        format!(
            "<qemu:override {Q}><qemu:device alias='a'><qemu:frontend><qemu:property name='p' type='string' value='{value}'/></qemu:frontend></qemu:device></qemu:override>"
        )
    };
    let (one, two) = (override_of("1"), override_of("2"));
    let with = |inside: &str| {
        let parts = "<name>vm</name><os><type>hvm</type></os>";
        format!("<domain type='kvm'>{parts}{inside}</domain>")
    };
    for (before, after) in [
        (
            "<features><hyperv><spinlocks state='on' retries='8191'/></hyperv></features>",
            "<features><hyperv><spinlocks state='on' retries='4096'/></hyperv></features>",
        ),
        (
            "<cpu><numa><cell id='0' cpus='0' memory='1'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0' memory='1' memAccess='shared'/></numa></cpu>",
        ),
        (
            "<numatune><memory mode='strict' nodeset='0'/></numatune>",
            "<numatune><memory mode='preferred' nodeset='0'/></numatune>",
        ),
        (
            "<cputune><iothreadpin iothread='1' cpuset='0'/></cputune>",
            "<cputune><iothreadpin iothread='1' cpuset='1'/></cputune>",
        ),
        (
            "<maxMemory slots='2' unit='KiB'>9</maxMemory>",
            "<maxMemory slots='4' unit='KiB'>9</maxMemory>",
        ),
        (
            "<maxMemory slots='2' unit='KiB'>9</maxMemory>",
            "<maxMemory slots='2' unit='KiB'>10</maxMemory>",
        ),
        (
            "<cpu mode='custom'><model>qemu64</model></cpu>",
            "<cpu mode='custom'><model>Nehalem</model></cpu>",
        ),
        (
            "<devices><rng model='virtio'><rate bytes='1' period='1000'/></rng></devices>",
            "<devices><rng model='virtio'><rate bytes='1' period='3000'/></rng></devices>",
        ),
        (
            "<devices><interface type='user'><bandwidth><inbound average='1' peak='1'/></bandwidth></interface></devices>",
            "<devices><interface type='user'><bandwidth><inbound average='1' peak='2'/></bandwidth></interface></devices>",
        ),
        (
            "<devices><graphics type='spice'><gl enable='yes' rendernode='/a'/></graphics></devices>",
            "<devices><graphics type='spice'><gl enable='yes' rendernode='/b'/></graphics></devices>",
        ),
        (
            "<devices><memballoon model='virtio'><stats period='5'/></memballoon></devices>",
            "<devices><memballoon model='virtio'><stats period='6'/></memballoon></devices>",
        ),
        (one.as_str(), two.as_str()),
    ] {
        let (before, after) = (with(before), with(after));
        assert_eq!(replayed(&before, &after, other).unwrap(), other, "{after}");
        assert_eq!(
            replayed(&before, &after, &before)
                .unwrap()
                .split_whitespace()
                .count(),
            after.split_whitespace().count()
        );
    }
    let with_loader = |ending: &str| {
        format!(
            "<domain><os><type>hvm</type><loader readonly='yes' type='pflash'>/OVMF_CODE{ending}.fd</loader><nvram template='/OVMF_VARS{ending}.fd'>/n</nvram></os></domain>"
        )
    };
    let patched = replayed(&with_loader(""), &with_loader("_4M"), other).unwrap();
    assert_eq!(patched, other);
    // What every domain has, and what is whole as it is said, is made.
    let plain = Keep::default();
    for (before, after, patch) in [
        (
            "<on_crash>destroy</on_crash>",
            "<on_crash>restart</on_crash>",
            "<on_crash>restart</on_crash>\n",
        ),
        (
            "<clock offset='timezone' timezone='Europe/Vienna'/>",
            "<clock offset='timezone' timezone='Europe/Paris'/>",
            "<clock offset=\"timezone\" timezone=\"Europe/Paris\"/>\n",
        ),
        (
            "<cpu mode='host-model'><model>a</model></cpu>",
            "<cpu mode='custom'><model>b</model></cpu>",
            "<cpu mode=\"custom\">\n  <model>b</model>\n</cpu>\n",
        ),
        (
            "<os><type machine='pc'>hvm</type></os>",
            "<os><type machine='q35'>hvm</type></os>",
            "<os>\n  <type machine=\"q35\"/>\n</os>\n",
        ),
        (
            "<devices><memballoon model='virtio'/></devices>",
            "<devices><memballoon model='none'/></devices>",
            "<devices>\n  <memballoon model=\"none\"/>\n</devices>\n",
        ),
    ] {
        let domain = |inside: &str| format!("<domain type='kvm'>{inside}</domain>");
        recorded_between(&domain(before), &domain(after), &plain, patch);
    }
}

#[test]
fn boot_devices_are_recorded_in_their_order() {
    let with = |devices: &[&str]| {
        let boot = |dev: &&str| format!("    <boot dev='{dev}'/>\n");
        let boots: String = devices.iter().map(boot).collect();
        format!(
            "<domain>\n  <os>\n    <type machine='q35'>hvm</type>\n    <loader>/l</loader>\n{boots}  </os>\n</domain>\n"
        )
    };
    let plain = Keep::default();
    for (before, after, patch) in [
        (
            &["hd"][..],
            &["network", "hd"][..],
            "  <boot dev=\"network\"/>\n  <boot dev=\"hd\"/>\n",
        ),
        (
            &["hd", "network"],
            &["network", "hd"],
            "  <boot dev=\"network\"/>\n  <boot dev=\"hd\"/>\n",
        ),
        (
            &["hd", "fd", "network"],
            &["network", "cdrom", "hd"],
            "  <boot patch:op=\"remove\" dev=\"fd\"/>\n  <boot dev=\"network\"/>\n  <boot dev=\"cdrom\"/>\n  <boot dev=\"hd\"/>\n",
        ),
    ] {
        let (before, after) = (with(before), with(after));
        recorded_between(&before, &after, &plain, &format!("<os>\n{patch}</os>\n"));
        assert_eq!(replayed(&before, &after, &before).unwrap(), after);
    }
    // Another domain boots in that order as well, whichever it had, and whichever way it said it.
    let other = with(&["cdrom"]);
    let got = replayed(&with(&["hd"]), &with(&["hd", "network"]), &other).unwrap();
    assert_eq!(got, with(&["cdrom", "hd", "network"]));
    let by_device = with(&[]).replace(
        "</domain>",
        "  <devices>\n    <disk>\n      <target dev='vda'/>\n      <boot order='1'/>\n    </disk>\n  </devices>\n</domain>",
    );
    let got = replayed(&with(&["hd"]), &with(&["network", "hd"]), &by_device).unwrap();
    let expected = with(&["network", "hd"]).replace(
        "</domain>",
        "  <devices>\n    <disk>\n      <target dev='vda'/>\n    </disk>\n  </devices>\n</domain>",
    );
    assert_eq!(got, expected);
}

#[test]
fn what_is_left_out_does_not_go_with_an_order() {
    let before = DOMAIN.replace(
        "<vcpu>",
        "<on_reboot>restart</on_reboot>\n  <on_crash>destroy</on_crash>\n  <vcpu>",
    );
    let after = DOMAIN.replace(
        "<vcpu>2<",
        "<on_crash>destroy</on_crash>\n  <on_reboot>restart</on_reboot>\n  <vcpu>4<",
    );
    let order = Keep {
        order: true,
        ..Keep::default()
    };
    let derived = derive(&before, &after, &order).unwrap();
    assert!(
        derived.patch.contains("<vcpu>4</vcpu>") && !derived.patch.contains("replace"),
        "{}",
        derived.patch
    );
    let [(name, left_out)] = derived.unordered.as_slice() else {
        panic!("{:?}", derived.unordered);
    };
    assert_eq!(name, "domain");
    assert_eq!(left_out[..2], ["name", "uuid"]);
    // What is in the way of nothing is replaced, with its order.
    let (before, after) = (
        "<domain><memtune><hard_limit>2</hard_limit><soft_limit>1</soft_limit></memtune></domain>",
        "<domain><memtune><soft_limit>1</soft_limit><hard_limit>2</hard_limit></memtune></domain>",
    );
    let derived = derive(before, after, &order).unwrap();
    assert!(derived.unordered.is_empty());
    assert_eq!(derived.replaced, ["memtune"]);
    // Two faults in one element are no fault of what is around it.
    let with = |args: [&str; 2]| {
        let arg = |arg: &str| format!("<qemu:arg value='{arg}'/>");
        let args: String = args.map(arg).concat();
        format!("<domain {Q}><name>a</name><qemu:commandline>{args}</qemu:commandline></domain>")
    };
    let derived = derive(&with(["-usb", "-S"]), &with(["-S", "-usb"]), &order).unwrap();
    assert!(derived.unordered.is_empty());
    assert_eq!(derived.replaced, ["commandline"]);
    // Everything: the one becomes the other.
    let all = derive(DOMAIN, &DOMAIN.replace("<vcpu>2</vcpu>", ""), &Keep::ALL).unwrap();
    assert!(all.unordered.is_empty());
}

/// `sda` is a CD-ROM in one domain and the system disk of another.
#[test]
fn a_change_of_a_cdrom_is_none_of_a_disk() {
    let cdrom = |source: &str| {
        devices(&format!(
            "<disk type='file' device='cdrom'>{source}<target dev='sda' bus='sata'/></disk>"
        ))
    };
    let (empty, full) = (cdrom(""), cdrom("<source file='/x.iso'/>"));
    let system = devices(
        "<disk type='file' device='disk'><source file='/win.qcow2'/><target dev='sda' bus='sata'/></disk>",
    );
    for (before, after) in [
        (&empty, &full),
        (&full, &empty),
        (&full, &cdrom("<source file='/x.iso'/><boot order='1'/>")),
        (&full, &devices("")),
    ] {
        assert_eq!(
            &replayed(before, after, &system).unwrap(),
            &system,
            "{after}"
        );
    }
    // One that became the other is that, and on a domain that has it no second one comes.
    for on in [&system, &full] {
        let got = replayed(&system, &full, on).unwrap();
        let one_line = |text: &str| text.replace("\n    ", "").replace("  ", "");
        assert_eq!(one_line(&got), one_line(&full));
    }
    // A drive of the host gets the medium, and not a piece of it.
    let drive = devices(
        "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sda' bus='sata'/></disk>",
    );
    let got = replayed(&full, &cdrom("<source file='/y.iso'/>"), &drive).unwrap();
    assert!(
        got.contains("<disk type='file' device='cdrom'><source file='/y.iso'/>"),
        "{got}"
    );
}

#[test]
fn iothreads_are_not_made_for_a_change_of_their_number() {
    let with = |inside: &str| format!("<domain><name>a</name>{inside}</domain>");
    let got = replayed(
        &with("<iothreads>4</iothreads>"),
        &with("<iothreads>2</iothreads>"),
        &with(""),
    );
    assert_eq!(got.unwrap(), with(""));
}

#[test]
fn what_goes_is_taken_out_once() {
    let one = "<interface type='user'><model type='a'/></interface>";
    let two = "<interface type='user'><model type='b'/></interface>";
    let after = devices("<interface type='ethernet'/>");
    let got = replayed(
        &devices(&[one, two, one].concat()),
        &after,
        &devices(&[one, two, one].concat()),
    );
    assert_eq!(got.unwrap().matches("<interface").count(), 1);
    // A second run does not take out what the first brought.
    let before = devices("<hub type='usb'/>");
    let after = devices("<hub type='usb'>\n      <alias name='ua-h'/>\n    </hub>");
    for on in [&before, &after] {
        assert_eq!(replayed(&before, &after, on).unwrap(), after);
    }
}

#[test]
fn a_generation_id_is_of_one_domain() {
    let with = |inside: &str| format!("<domain><name>a</name>{inside}</domain>");
    let own = with("<genid>cc70e4f7-7a76-4dc7-9f5b-d1ba0a1a7b1e</genid>");
    let plain = Keep::default();
    assert!(derive(&with("<genid/>"), &own, &plain).unwrap().empty);
    recorded_between(&with(""), &own, &plain, "<genid/>\n");
    recorded_between(&own, &with(""), &plain, "<genid patch:op=\"remove\"/>\n");
    let keep = Keep {
        uuid: true,
        ..plain
    };
    let patch = "<genid>cc70e4f7-7a76-4dc7-9f5b-d1ba0a1a7b1e</genid>\n";
    recorded_between(&with("<genid/>"), &own, &keep, patch);
}

#[test]
fn text_and_elements_that_stay_are_in_nobodys_way() {
    let with = |vcpu: u8, inside: &str| {
        format!(
            "<domain><metadata><a:b xmlns:a='urn:a'>{inside}</a:b></metadata><vcpu>{vcpu}</vcpu></domain>"
        )
    };
    let mixed = "text <a:i>x</a:i> more";
    let plain = Keep::default();
    for keep in [plain, Keep::ALL] {
        recorded_between(&with(2, mixed), &with(4, mixed), &keep, "<vcpu>4</vcpu>\n");
    }
    for other in ["text <a:i>y</a:i> more and", "text more <a:i>x</a:i>", ""] {
        let error = derive(&with(2, other), &with(2, mixed), &plain).unwrap_err();
        let message = "a patch cannot say this: <b> holds both text and elements";
        assert_eq!(error.to_string(), message, "{other}");
    }
    let added = derive("<domain><vcpu>2</vcpu></domain>", &with(2, mixed), &plain);
    assert!(matches!(added, Err(DeriveError::Unsayable { .. })));
    // What is inside may change.
    recorded_between(
        &with(2, "text <a:i>y</a:i> more"),
        &with(2, mixed),
        &plain,
        "<domain xmlns:a=\"urn:a\" xmlns:patch=\"urn:virt-patch:1\">
  <metadata>
    <a:b>
      <a:i patch:op=\"update\">x</a:i>
    </a:b>
  </metadata>
</domain>
",
    );
}

#[test]
fn what_libvirt_drops_of_a_new_device_is_not_recorded() {
    let graphics = "<graphics type='vnc' port='-1' autoport='yes'/>";
    let channel =
        "<channel type='unix'><source mode='bind'/><target type='virtio' name='a'/></channel>";
    recorded_between(
        &devices(""),
        &devices(&format!("{graphics}{channel}")),
        &Keep::default(),
        "
<devices>
  <graphics patch:op=\"append\" type=\"vnc\" autoport=\"yes\"/>
  <channel patch:op=\"append\" type=\"unix\">
    <target type=\"virtio\" name=\"a\"/>
  </channel>
</devices>
",
    );
}

#[test]
fn a_disk_with_another_name_is_named_with_its_image() {
    let before = devices("<disk><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>");
    let after = before.replace("dev='vda' bus='virtio'", "dev='sda' bus='sata'");
    let moved = derive(&before, &after, &Keep::default()).unwrap().moved;
    assert_eq!(moved, [("sda".to_owned(), "/a.img".to_owned())]);
    let more = before.replace(
        "</disk>",
        "</disk><disk><source file='/a.img'/><target dev='vdb'/></disk>",
    );
    let moved = derive(&before, &more, &Keep::default()).unwrap().moved;
    assert!(moved.is_empty());
}

/// A dump without `--security-info` has no passwords: nobody took them out.
#[test]
fn passwords_that_a_dump_does_not_show_stay() {
    let graphics = |attributes: &str| devices(&format!("<graphics type='vnc'{attributes}/>"));
    let (with, without) = (graphics(" passwd='s3cret'"), graphics(""));
    let plain = Keep::default();
    let derived = derive(&with, &without, &plain).unwrap();
    assert!(derived.empty && derived.hidden, "{}", derived.patch);
    let mut passwords = plain;
    assert!(passwords.add("passwords"));
    for keep in [Keep::ALL, passwords] {
        let recorded = derive(&with, &without, &keep).unwrap();
        assert!(recorded.patch.contains("patch:unset=\"passwd\"") && !recorded.hidden);
    }
    assert_eq!(left_out(&with, &without, &plain), ["passwords"]);
    // Other changes are recorded, and the password of a domain stays in the replay.
    let keymap = graphics(" keymap='de'");
    let derived = derive(&with, &keymap, &plain).unwrap();
    assert!(derived.hidden && !derived.patch.contains("passwd"));
    // Where the other one shows some, what goes is a change.
    let two = |first: &str| {
        devices(&format!(
            "<graphics type='vnc'{first}/><graphics type='spice' passwd='other'/>"
        ))
    };
    let derived = derive(&two(" passwd='s3cret'"), &two(""), &plain).unwrap();
    assert!(!derived.hidden && derived.patch.contains("patch:unset=\"passwd\""));
    // With a device that goes its password goes.
    for other in ["", "<graphics type='spice'/>"] {
        let derived = derive(&with, &devices(other), &plain).unwrap();
        assert!(!derived.hidden && derived.patch.contains("patch:op=\"remove\""));
    }
    // One that comes is recorded.
    let derived = derive(&without, &with, &plain).unwrap();
    assert!(derived.patch.contains("passwd=\"s3cret\""));
}

/// Two domains that write to one image destroy it.
#[test]
fn an_image_that_all_domains_would_get_is_named() {
    let disk = |image: &str, more: &str| {
        format!("<disk device='disk'><source file='{image}'/><target dev='vda'/>{more}</disk>")
    };
    let second = "<disk><source dev='/dev/vg/b'/><target dev='vdb'/></disk>";
    let images = |before: String, after: String| {
        let derived = derive(&devices(&before), &devices(&after), &Keep::default());
        derived.unwrap().images
    };
    let pair = |name: &str, image: &str| (name.to_owned(), image.to_owned());
    assert_eq!(images(disk("/a", ""), disk("/b", "")), [pair("vda", "/b")]);
    assert_eq!(
        images(disk("/a", ""), disk("/a", "") + second),
        [pair("vdb", "/dev/vg/b")]
    );
    let source = |inside: &str| disk("/a", "").replace("<source file='/a'/>", inside);
    let nvme = "<source type='pci' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>";
    for (after, named) in [
        ("<source pool='q' volume='v'/>", "q/v"),
        (nvme, "the PCI device 0x0000 0x01 0x00 0x0"),
    ] {
        let before = source("<source pool='p' volume='v'/>");
        assert_eq!(images(before, source(after)), [pair("vda", named)]);
    }
    let cache = disk("/a", "<driver cache='none'/>");
    for (before, after) in [
        (disk("/a", ""), cache),
        (disk("/a", ""), disk("/b", "<readonly/>")),
        (disk("/a", ""), disk("/b", "<shareable/>")),
        (
            disk("/a", "").replace("'disk'", "'cdrom'"),
            disk("/b", "").replace("'disk'", "'cdrom'"),
        ),
    ] {
        assert!(images(before, after).is_empty());
    }
}

/// The PCI root of one chipset is none of the other.
#[test]
fn another_chipset_comes_with_its_controllers() {
    let domain = |machine: &str, root: &str| {
        format!(
            "<domain><os><type machine='{machine}'>hvm</type></os><devices><controller type='pci' index='0' model='{root}'/></devices></domain>"
        )
    };
    let (pc, q35) = (
        domain("pc-i440fx-7.2", "pci-root"),
        domain("q35", "pcie-root"),
    );
    let derived = derive(&pc, &q35, &Keep::default()).unwrap();
    assert_eq!(derived.chipset, ["controllers"]);
    assert!(derived.patch.contains("model=\"pcie-root\""));
    // That of q35 has more buses than the other.
    let nic = |root: &str, address: &str| {
        domain("q35", root).replace(
            "</devices>",
            &format!("<interface type='user'>{address}</interface></devices>"),
        )
    };
    let on_bus = nic("pcie-root", "<address type='pci' bus='0x04' slot='0x00'/>");
    let back = nic("pci-root", "").replace("'q35'", "'pc'");
    let derived = derive(&on_bus, &back, &Keep::default()).unwrap();
    assert_eq!(derived.chipset, ["controllers", "addresses"]);
    assert!(
        derived.patch.contains("<address patch:op=\"remove\""),
        "{}",
        derived.patch
    );
    let newer = domain("pc-q35-8.0", "pcie-root");
    let derived = derive(&q35, &newer, &Keep::default()).unwrap();
    assert!(derived.chipset.is_empty() && !derived.patch.contains("controller"));
}

#[test]
fn counts_of_a_topology_are_recorded_together() {
    let cpu = |counts: &str| format!("<domain><cpu><topology {counts}/></cpu></domain>");
    recorded_between(
        &cpu("sockets='1' dies='1' cores='2' threads='2'"),
        &cpu("sockets='1' dies='1' cores='4' threads='2'"),
        &Keep::default(),
        "
<cpu>
  <topology patch:op=\"update\" sockets=\"1\" dies=\"1\" cores=\"4\" threads=\"2\"/>
</cpu>
",
    );
}

/// The model of another domain is another one.
#[test]
fn a_feature_of_a_cpu_argument_is_recorded_without_the_model() {
    let domain = |value: &str| {
        format!(
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline><qemu:arg value='-cpu'/><qemu:arg value='{value}'/></qemu:commandline></domain>"
        )
    };
    for (before, after, said) in [
        ("Penryn,kvm=off", "Penryn,kvm=off,+invtsc", "+invtsc"),
        ("Penryn,kvm=off", "Penryn,kvm=on", "kvm=on"),
        ("Penryn", "Nehalem,+avx", "Nehalem,+avx"),
    ] {
        let derived = derive(&domain(before), &domain(after), &Keep::default()).unwrap();
        let argument = format!("<qemu:arg value=\"{said}\"/>");
        assert!(derived.patch.contains(&argument), "{}", derived.patch);
    }
}
