//! Edits as people make them, and the patches that record them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const DOMAIN: &str = "<domain type='kvm'>
  <name>vm</name>
  <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>
  <memory unit='KiB'>1024</memory>
  <vcpu>2</vcpu>
  <cpu mode='custom'>
    <model>qemu64</model>
  </cpu>
  <devices>
    <disk type='file'>
      <driver name='qemu' type='raw'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' slot='0x05'/>
    </disk>
    <controller type='pci' index='0' model='pcie-root'/>
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default'/>
    </interface>
    <redirdev bus='usb' type='spicevmc'/>
    <video>
      <model type='qxl'/>
    </video>
  </devices>
</domain>
";

const Q: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";

/// The patch for some replacements in the domain, without its root.
#[track_caller]
fn recorded(edits: &[(&str, &str)], keep: &Keep, patch: &str) {
    let mut after = DOMAIN.to_owned();
    for (old, new) in edits {
        assert!(after.contains(old), "{old}");
        after = after.replacen(old, new, 1);
    }
    recorded_between(DOMAIN, &after, keep, patch);
}

#[track_caller]
fn recorded_between(before: &str, after: &str, keep: &Keep, patch: &str) {
    let derived = derive(before, after, keep).unwrap();
    let body: String = derived
        .patch
        .lines()
        .filter(|line| !line.starts_with("<domain") && !line.starts_with("</domain"))
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)))
        .collect();
    let root = derived.patch.lines().next().unwrap();
    let patch = patch.trim_start_matches('\n');
    match patch.starts_with("<domain") {
        true => assert_eq!(derived.patch, patch),
        false => assert_eq!(body, patch, "{root}"),
    }
}

#[test]
fn only_what_changed_is_said() {
    let plain = Keep::default();
    recorded(&[("<vcpu>2<", "<vcpu>4<")], &plain, "<vcpu>4</vcpu>\n");
    recorded(
        &[(" type='kvm'", " type='qemu'")],
        &plain,
        "<domain xmlns:patch=\"urn:virt-patch:1\" type=\"qemu\"/>\n",
    );
    recorded(
        &[("unit='KiB'>1024<", "unit='MiB'>1<")],
        &plain,
        "<memory unit=\"MiB\">1</memory>\n",
    );
    recorded(
        &[
            (" unit='KiB'", ""),
            (
                "<cpu mode='custom'>\n    <model>qemu64</model>\n  </cpu>",
                "<cpu mode='host-passthrough'/>",
            ),
        ],
        &plain,
        "
<memory patch:unset=\"unit\"/>
<cpu mode=\"host-passthrough\">
  <model patch:op=\"remove\"/>
</cpu>
",
    );
    recorded(
        &[
            ("type='raw'", "type='raw' cache='none'"),
            ("'qxl'", "'virtio'"),
        ],
        &plain,
        "
<devices>
  <disk patch:op=\"update\">
    <target dev=\"vda\"/>
    <driver patch:op=\"update\" cache=\"none\"/>
  </disk>
  <video patch:op=\"update\">
    <model patch:op=\"update\" type=\"virtio\"/>
  </video>
</devices>
",
    );
    recorded(
        &[(
            "    <video>\n      <model type='qxl'/>\n    </video>\n",
            "    <video>\n      <model type='none'/>\n    </video>\n    <tpm model='tpm-crb'/>\n",
        )],
        &plain,
        "
<devices>
  <video patch:op=\"update\">
    <model patch:op=\"update\" type=\"none\"/>
  </video>
  <tpm model=\"tpm-crb\"/>
</devices>
",
    );
    assert!(derive(DOMAIN, DOMAIN, &plain).unwrap().empty);
}

#[test]
fn devices_that_come_and_go() {
    let plain = Keep::default();
    let redirdev = "<redirdev bus='usb' type='spicevmc'/>";
    recorded(
        &[(redirdev, "")],
        &plain,
        "<devices>\n  <redirdev patch:op=\"remove\" bus=\"usb\" type=\"spicevmc\"/>\n</devices>\n",
    );
    // One of two: the second.
    let two = DOMAIN.replace(redirdev, &redirdev.repeat(2));
    recorded_between(
        &two,
        DOMAIN,
        &plain,
        "
<devices>
  <redirdev patch:op=\"keep\" bus=\"usb\" type=\"spicevmc\"/>
  <redirdev patch:op=\"remove\" bus=\"usb\" type=\"spicevmc\"/>
</devices>
",
    );
    // A second one of a kind: there are to be two.
    recorded(
        &[(redirdev, &redirdev.repeat(2))],
        &plain,
        "
<devices>
  <redirdev patch:op=\"append\" bus=\"usb\" type=\"spicevmc\"/>
  <redirdev patch:op=\"append\" bus=\"usb\" type=\"spicevmc\"/>
</devices>
",
    );
    let disk = "<disk type='file'>\n      <target dev='vdb'/>\n    </disk>\n    <controller";
    recorded(
        &[("<controller", disk)],
        &plain,
        "
<devices>
  <disk patch:op=\"append\" type=\"file\">
    <target dev=\"vdb\"/>
  </disk>
</devices>
",
    );
    recorded(
        &[("<target dev='vda'", "<target dev='sda'")],
        &plain,
        "
<devices>
  <disk patch:op=\"remove\">
    <target dev=\"vda\"/>
  </disk>
  <disk patch:op=\"append\" type=\"file\">
    <driver name=\"qemu\" type=\"raw\"/>
    <target dev=\"sda\" bus=\"virtio\"/>
  </disk>
</devices>
",
    );
    // Which of two is told by its MAC address.
    let both = DOMAIN.replace("<redirdev", &format!("{}<redirdev", "<interface type='network'>\n<mac address='52:54:00:00:00:02'/>\n<source network='default'/>\n</interface>\n"));
    recorded_between(
        &both,
        DOMAIN,
        &plain,
        "
<devices>
  <interface patch:op=\"remove\">
    <mac address=\"52:54:00:00:00:02\"/>
  </interface>
</devices>
",
    );
    // One more beside the only one there is: without a MAC address that would be the same one.
    let interface = "<interface type='bridge'>\n      <mac address='52:54:00:00:00:02'/>\n      <source bridge='br0'/>\n    </interface>\n    <redirdev";
    recorded(
        &[("<redirdev", interface)],
        &plain,
        "
<devices>
  <interface patch:op=\"append\" type=\"bridge\">
    <source bridge=\"br0\"/>
  </interface>
</devices>
",
    );
}

#[test]
fn noise_is_kept_on_request() {
    let noisy: &[(&str, &str)] = &[
        ("<name>vm<", "<name>other<"),
        ("c7a5", "ffff"),
        ("00:01'", "00:02'"),
        ("slot='0x05'", "slot='0x06'"),
        (
            "model='pcie-root'/>",
            "model='pcie-root'/>\n    <controller type='virtio-serial' index='0'/>",
        ),
        (
            "<redirdev bus='usb' type='spicevmc'/>",
            "<redirdev bus='usb' type='spicevmc'>\n<alias name='redir0'/></redirdev>",
        ),
        ("type='kvm'>", "type='kvm' id='7'>"),
    ];
    let after = noisy.iter().fold(DOMAIN.to_owned(), |text, (old, new)| {
        text.replacen(old, new, 1)
    });
    let derived = derive(DOMAIN, &after, &Keep::default()).unwrap();
    assert!(derived.empty, "{}", derived.patch);
    for (words, patch) in [
        ("name", "<name>other</name>\n"),
        (
            "uuid",
            "<uuid>fffffdbd-cdaf-9455-926a-d65c16db1809</uuid>\n",
        ),
        (
            "addresses",
            "<devices>\n  <disk patch:op=\"update\">\n    <target dev=\"vda\"/>\n    <address patch:op=\"update\" slot=\"0x06\"/>\n  </disk>\n</devices>\n",
        ),
        (
            "controllers",
            "<devices>\n  <controller patch:op=\"append\" type=\"virtio-serial\" index=\"0\"/>\n</devices>\n",
        ),
        (
            "mac",
            "<devices>\n  <interface patch:op=\"remove\">\n    <mac address=\"52:54:00:00:00:01\"/>\n  </interface>\n  <interface patch:op=\"append\" type=\"network\">\n    <mac address=\"52:54:00:00:00:02\"/>\n    <source network=\"default\"/>\n  </interface>\n</devices>\n",
        ),
    ] {
        let mut keep = Keep::default();
        assert!(keep.add(words));
        recorded(noisy, &keep, patch);
    }
    assert!(!Keep::default().add("nonsense"));
    for word in Keep::WORDS {
        assert!(Keep::default().add(word), "{word}");
    }
}

#[test]
fn what_may_surprise_another_domain_is_named() {
    let plain = Keep::default();
    let redirdev = "<redirdev bus='usb' type='spicevmc'/>";
    let more = derive(
        DOMAIN,
        &DOMAIN.replace(redirdev, &redirdev.repeat(2)),
        &plain,
    )
    .unwrap();
    assert_eq!(more.counted, ["redirdev"], "{}", more.patch);
    let pinned = "<domain><cputune><vcpupin vcpu='0' cpuset='0'/></cputune></domain>";
    let none = derive(pinned, "<domain/>", &plain).unwrap();
    assert_eq!(none.emptied, ["cputune"], "{}", none.patch);
    let usual = derive("<domain/>", pinned, &plain).unwrap();
    assert!(usual.counted.is_empty() && usual.emptied.is_empty());
}

#[test]
fn interfaces_are_told_apart_by_their_order() {
    let one = derive(
        DOMAIN,
        &DOMAIN.replace("'default'", "'isolated'"),
        &Keep::default(),
    )
    .unwrap();
    assert!(!one.patch.contains("<mac"), "{}", one.patch);
    assert!(!one.by_mac);
    let two = DOMAIN.replace(
        "<redirdev",
        "<interface type='network'>\n<mac address='52:54:00:00:00:02'/>\n<source network='default'/>\n</interface>\n<redirdev",
    );
    let after = two.replacen("'default'", "'isolated'", 1);
    let both = derive(&two, &after, &Keep::default()).unwrap();
    // Another domain has other MAC addresses, and must not get these.
    assert!(!both.patch.contains("<mac"), "{}", both.patch);
    assert!(both.by_order && !both.by_mac && !one.by_order);
}

#[test]
fn arguments_of_qemu_are_recorded_as_options() {
    let with = |args: &[&str]| {
        let args: String = args
            .iter()
            .map(|arg| format!("<qemu:arg value='{arg}'/>"))
            .collect();
        format!(
            "<domain type='kvm' {Q}><name>vm</name><qemu:commandline>{args}</qemu:commandline></domain>"
        )
    };
    let plain = Keep::default();
    recorded_between(
        &with(&["-cpu", "host", "-usb"]),
        &with(&["-cpu", "host,+topoext", "-device", "usb-kbd"]),
        &plain,
        "
<qemu:commandline>
  <qemu:arg patch:op=\"remove\" value=\"-usb\"/>
  <qemu:arg value=\"-cpu\"/>
  <qemu:arg value=\"host,+topoext\"/>
  <qemu:arg value=\"-device\"/>
  <qemu:arg value=\"usb-kbd\"/>
</qemu:commandline>
",
    );
    recorded_between(
        &with(&["-cpu", "host,+topoext"]),
        &with(&["-cpu", "host"]),
        &plain,
        "
<qemu:commandline>
  <qemu:arg patch:op=\"replace\" value=\"-cpu\"/>
  <qemu:arg value=\"host\"/>
</qemu:commandline>
",
    );
    // One that is new, or another one, in its place.
    let base = [
        "-cpu",
        "host",
        "-device",
        "vfio-pci,host=01",
        "-device",
        "usb-kbd",
        "-device",
        "usb-kbd",
        "-S",
    ];
    let spliced = |at: std::ops::Range<usize>, args: &[&'static str]| {
        let mut all = base.to_vec();
        all.splice(at, args.iter().copied());
        with(&all)
    };
    let lines = |args: &[(&str, &str)]| {
        let line = |(op, value): &(&str, &str)| match *op {
            "" => format!("  <qemu:arg value=\"{value}\"/>\n"),
            op => format!("  <qemu:arg patch:op=\"{op}\" value=\"{value}\"/>\n"),
        };
        let lines: String = args.iter().map(line).collect();
        format!("<qemu:commandline>\n{lines}</qemu:commandline>\n")
    };
    for (after, patch) in [
        (
            spliced(2..2, &["-global", "x.y=off"]),
            lines(&[
                ("keep", "-cpu"),
                ("", "host"),
                ("", "-global"),
                ("", "x.y=off"),
            ]),
        ),
        (
            spliced(3..4, &["vfio-pci,host=02"]),
            lines(&[
                ("remove", "-device"),
                ("", "vfio-pci,host=01"),
                ("keep", "-cpu"),
                ("", "host"),
                ("", "-device"),
                ("", "vfio-pci,host=02"),
            ]),
        ),
        (
            spliced(6..8, &[]),
            lines(&[
                ("keep", "-device"),
                ("", "usb-kbd"),
                ("remove", "-device"),
                ("", "usb-kbd"),
            ]),
        ),
    ] {
        recorded_between(&with(&base), &after, &plain, &patch);
        // Where there is one, it stays.
        let one = with(&["-device", "usb-kbd"]);
        let got = replayed(&with(&base), &after, &one).unwrap();
        assert_eq!(got.matches("usb-kbd").count(), 1);
    }
    let less = derive(
        &with(&["-cpu", "host,a=on"]),
        &with(&["-cpu", "host"]),
        &plain,
    )
    .unwrap();
    assert_eq!(less.replaced, ["qemu:arg value='-cpu'"]);
    // Their order is what they mean.
    recorded_between(
        &with(&["-usb", "-S"]),
        &with(&["-S", "-usb"]),
        &plain,
        "
<qemu:commandline patch:op=\"replace\">
  <qemu:arg value=\"-S\"/>
  <qemu:arg value=\"-usb\"/>
</qemu:commandline>
",
    );
    let none = "<domain type='kvm'><name>vm</name></domain>";
    recorded_between(
        none,
        &with(&["-usb"]),
        &plain,
        "<qemu:commandline>\n  <qemu:arg value=\"-usb\"/>\n</qemu:commandline>\n",
    );
    recorded_between(
        &with(&["-usb"]),
        none,
        &plain,
        "<qemu:commandline patch:op=\"remove\"/>\n",
    );
}

#[test]
fn where_the_order_counts_the_patch_shows_it() {
    let two = DOMAIN.replace(
        "<controller",
        "<disk type='file'>\n      <target dev='vdz'/>\n    </disk>\n    <controller",
    );
    let after = two.replace(
        "<disk type='file'>\n      <target dev='vdz'",
        "<disk type='file'>\n      <target dev='vdb'/>\n    </disk>\n    <disk type='file'>\n      <target dev='vdz'",
    );
    recorded_between(
        &two,
        &after,
        &Keep::ALL,
        "
<devices>
  <disk patch:op=\"keep\">
    <target dev=\"vda\"/>
  </disk>
  <disk patch:op=\"append\" type=\"file\">
    <target dev=\"vdb\"/>
  </disk>
</devices>
",
    );
    // What the words of a patch cannot say is replaced as a whole, and no more than that.
    recorded(
        &[(
            "<driver name='qemu' type='raw'/>\n      <target dev='vda' bus='virtio'/>",
            "<target dev='vda' bus='virtio'/>\n      <driver name='qemu' type='raw'/>",
        )],
        &Keep::ALL,
        "
<devices>
  <disk patch:op=\"replace\" type=\"file\">
    <target dev=\"vda\" bus=\"virtio\"/>
    <driver name=\"qemu\" type=\"raw\"/>
    <address type=\"pci\" slot=\"0x05\"/>
  </disk>
</devices>
",
    );
    recorded(
        &[("slot='0x05'", "slot='0x5'")],
        &Keep::ALL,
        "
<devices>
  <disk patch:op=\"update\">
    <target dev=\"vda\"/>
    <address patch:op=\"replace\" type=\"pci\" slot=\"0x5\"/>
  </disk>
</devices>
",
    );
    recorded(
        &[("slot='0x05'", "slot='0x5'")],
        &Keep {
            addresses: true,
            ..Keep::default()
        },
        "<domain xmlns:patch=\"urn:virt-patch:1\"/>\n",
    );
}

#[test]
fn odd_text_survives() {
    let plain = Keep::default();
    let with = |inside: &str| format!("<domain><name>x</name>{inside}</domain>");
    for inside in [
        "<title>$5 ${x} $$</title>",
        "<title>...</title>",
        "<title a='[…]' b='$'>&lt;&amp;></title>",
        "<title a='&#10;&#9;&quot;&apos;&lt;'>a&#13;b</title>",
        "<title><![CDATA[<x>]]></title>",
        "<metadata><a:x xmlns:a='urn:a' a:y='1' xml:lang='de'><b xmlns='urn:b'><c xmlns=''/></b></a:x></metadata>",
        "<metadata><patch:x xmlns:patch='urn:other'><qemu:y xmlns:qemu='urn:q'/></patch:x></metadata>",
    ] {
        let after = with(inside);
        let derived = derive(&with(""), &after, &plain).unwrap();
        let patch = Patch::new("derived", &*derived.patch);
        let before = with("");
        let document = Document::parse_domain(&before).unwrap();
        let merged = merge::merged(&document, &patch).unwrap().unwrap();
        let rest = derive(&merged, &after, &Keep::ALL).unwrap();
        assert!(rest.empty, "{inside}\n{}\n{merged}", derived.patch);
    }
    let error = derive(
        &with(""),
        &with("<metadata><x>a<b/></x></metadata>"),
        &plain,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a patch cannot say this: <x> holds both text and elements"
    );
}

/// What the patch between two definitions makes of a third, twice.
#[track_caller]
fn replayed(before: &str, after: &str, other: &str) -> Result<String, String> {
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

fn devices(inside: &str) -> String {
    format!("<domain type='kvm'>\n  <devices>\n    {inside}\n  </devices>\n</domain>\n")
}

#[test]
fn one_more_device_changes_no_other() {
    let cdrom = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";
    let disk = "<disk type='file'><source file='/other.img'/><target dev='sda' bus='sata'/></disk>";
    let spice = "<graphics type='spice'/>";
    let vnc = "<graphics type='vnc' port='5901' autoport='no'/>";
    let hub = "<hub type='usb'/>";
    for (before, added, other, expected) in [
        (
            "",
            cdrom,
            disk,
            Err("patch:op='append' would make a second <disk> with <target dev=…>='sda'"),
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
            "  <boot dev=\"network\"/>\n  <boot patch:op=\"keep\" dev=\"hd\"/>\n",
        ),
        (
            &["hd", "network"],
            &["network", "hd"],
            "  <boot patch:op=\"keep\" dev=\"network\"/>\n  <boot patch:op=\"keep\" dev=\"hd\"/>\n",
        ),
        (
            &["hd", "fd", "network"],
            &["network", "cdrom", "hd"],
            "  <boot patch:op=\"remove\" dev=\"fd\"/>\n  <boot patch:op=\"keep\" dev=\"network\"/>\n  <boot dev=\"cdrom\"/>\n  <boot patch:op=\"keep\" dev=\"hd\"/>\n",
        ),
    ] {
        let (before, after) = (with(before), with(after));
        recorded_between(&before, &after, &plain, &format!("<os>\n{patch}</os>\n"));
        assert_eq!(replayed(&before, &after, &before).unwrap(), after);
    }
    // Another domain does not get what was there already.
    let other = with(&["cdrom"]);
    let got = replayed(&with(&["hd"]), &with(&["hd", "network"]), &other).unwrap();
    assert_eq!(got, with(&["cdrom", "network"]));
    let swapped = replayed(&with(&["hd", "network"]), &with(&["network", "hd"]), &other);
    assert_eq!(swapped.unwrap(), other);
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
    // Everything: the one becomes the other.
    let all = derive(DOMAIN, &DOMAIN.replace("<vcpu>2</vcpu>", ""), &Keep::ALL).unwrap();
    assert!(all.unordered.is_empty());
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
    // A second run would take out what the first brought.
    let before = devices("<hub type='usb'/>");
    let after = devices("<hub type='usb'><alias name='ua-h'/></hub>");
    let derived = derive(&before, &after, &Keep::default());
    assert!(matches!(derived, Err(DeriveError::Unsayable { .. })));
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

/// What `derive` says of two definitions, with the place.
fn refusal(before: &str, after: &str) -> String {
    let error = derive(before, after, &Keep::default()).unwrap_err();
    let (message, excerpt) = match error {
        DeriveError::Before(error) | DeriveError::After(error) => (error.message, error.excerpt),
        DeriveError::Unsayable { message, excerpt } => (message, excerpt),
    };
    format!("{} {message}", excerpt.position)
}

#[test]
fn what_no_definition_says_is_refused() {
    let with = |inside: &str| format!("<domain>\n  <name>x</name>\n  {inside}\n</domain>");
    let plain =
        with("<os><type>hvm</type></os><devices><disk><target dev='vda'/></disk></devices>");
    for (inside, message) in [
        (
            "<os><type>hvm</type></os><os/>",
            "3:28 a second <os>; the first is in line 3",
        ),
        (
            "<name>y</name>",
            "3:3 a second <name>; the first is in line 2",
        ),
    ] {
        assert_eq!(refusal(&plain, &with(inside)), message);
        assert_eq!(refusal(&with(inside), &plain), message);
    }
    for (inside, name, place) in [
        ("<os>text</os>", "os", "3:3"),
        ("<clock>text</clock>", "clock", "3:3"),
        ("<devices>text</devices>", "devices", "3:3"),
        ("<devices><disk>text</disk></devices>", "disk", "3:12"),
    ] {
        let message = format!(
            "{place} <{name}> holds text, which a definition cannot say: it has elements there"
        );
        assert_eq!(refusal(&plain, &with(inside)), message, "{inside}");
    }
}
