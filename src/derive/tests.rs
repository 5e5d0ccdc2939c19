//! Edits as people make them, and the patches that record them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use others::replayed;

mod noise;
mod others;
mod parts;
mod places;
mod warned;

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
        "<memory patch:op=\"replace\" unit=\"MiB\">1</memory>\n",
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
  <qemu:arg patch:op=\"update\" value=\"-cpu\"/>
  <qemu:arg value=\"+topoext\"/>
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
    // Where there is none, none comes for a change of it.
    let got = replayed(
        &with(&["-cpu", "max,+aes"]),
        &with(&["-cpu", "max,+aes,-vmx"]),
        &with(&["-usb"]),
    );
    assert_eq!(got.unwrap(), with(&["-usb"]));
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
