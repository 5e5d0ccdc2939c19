//! Tables of domain + patch → domain. Every row is merged twice: the second time changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

mod keyed;
mod kinds;
mod lines;
mod order;
mod parts;
mod siblings;
mod values;

#[track_caller]
fn check(before: &str, patch: &str, after: &str) {
    check_with(before, &Patch::new("test.xml", patch), after);
}

#[track_caller]
fn check_with(before: &str, patch: &Patch, after: &str) {
    let document = Document::parse_domain(before).unwrap();
    let got = merged(&document, patch)
        .unwrap()
        .unwrap_or_else(|| before.to_owned());
    assert_eq!(got, after, "\n--- got\n{got}\n--- wanted\n{after}");
    let again = Document::parse_domain(&got).unwrap();
    assert_eq!(
        merge(&again, patch).unwrap(),
        vec![],
        "not idempotent:\n{got}"
    );
}

#[track_caller]
fn refused(before: &str, patch: &str) -> String {
    let document = Document::parse_domain(before).unwrap();
    let error = merge(&document, &Patch::new("test.xml", patch)).unwrap_err();
    error.to_string()
}

#[test]
fn attributes_keep_their_quotes_and_order() {
    for (before, patch, after) in [
        (
            "<domain type='kvm'/>",
            "<domain type='kvm'/>",
            "<domain type='kvm'/>",
        ),
        (
            "<domain type='kvm'/>",
            "<domain type='qemu'/>",
            "<domain type='qemu'/>",
        ),
        (
            "<domain type=\"kvm\" a='b'/>",
            "<domain type=\"it's\"/>",
            "<domain type=\"it's\" a='b'/>",
        ),
        (
            "<domain type='kvm'/>",
            "<domain type=\"it's\"/>",
            "<domain type='it&apos;s'/>",
        ),
        ("<domain/>", "<domain type='kvm'/>", "<domain type='kvm'/>"),
        (
            "<domain  type = 'kvm' />",
            "<domain type='qemu' x='1'/>",
            "<domain  type = 'qemu' x='1' />",
        ),
        (
            "<domain a=\"1\"/>",
            "<domain b='2'/>",
            "<domain a=\"1\" b=\"2\"/>",
        ),
        (
            "<domain a='1' type='kvm'\n  b='2'></domain>",
            "<domain xmlns:patch='urn:virt-patch:1' patch:unset='type b'/>",
            "<domain a='1'></domain>",
        ),
        (
            "<domain><address bus='0x01' slot='0x0A'/></domain>",
            "<domain><address bus='0x1' slot='0x0a'/></domain>",
            "<domain><address bus='0x01' slot='0x0A'/></domain>",
        ),
    ] {
        check(before, patch, after);
    }
}

#[test]
fn text_is_set_between_what_surrounds_it() {
    for (before, patch, after) in [
        (
            "<domain><vcpu> 8 </vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu> 8 </vcpu></domain>",
        ),
        (
            "<domain><vcpu> 6 </vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu> 8 </vcpu></domain>",
        ),
        (
            "<domain><vcpu/></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
        ),
        (
            "<domain><vcpu a='1' /></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu a='1'>8</vcpu></domain>",
        ),
        (
            "<domain><vcpu></vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
        ),
        (
            "<domain><vcpu>6<!--six--></vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu>8<!--six--></vcpu></domain>",
        ),
        (
            "<domain><vcpu>1<!-- -->2</vcpu></domain>",
            "<domain><vcpu>8</vcpu></domain>",
            "<domain><vcpu>8<!-- --></vcpu></domain>",
        ),
        (
            "<domain><t><![CDATA[a<b]]></t></domain>",
            "<domain><t>a&lt;b</t></domain>",
            "<domain><t><![CDATA[a<b]]></t></domain>",
        ),
        (
            "<domain><t><![CDATA[a<b]]></t></domain>",
            "<domain><t>&lt;&amp;></t></domain>",
            "<domain><t>&lt;&amp;&gt;</t></domain>",
        ),
    ] {
        check(before, patch, after);
    }
}

#[test]
fn new_elements_look_like_their_neighbours() {
    // Indentation of four, double quotes, CRLF.
    check(
        "<domain type=\"kvm\">\r\n    <name>a</name>\r\n    <devices>\r\n        <emulator>q</emulator>\r\n    </devices>\r\n</domain>\r\n",
        "<domain><os><type arch='x86_64'>hvm</type></os><devices><memballoon model='none'/></devices></domain>",
        "<domain type=\"kvm\">\r\n    <name>a</name>\r\n    <os>\r\n        <type arch=\"x86_64\">hvm</type>\r\n    </os>\r\n    <devices>\r\n        <emulator>q</emulator>\r\n        <memballoon model=\"none\"/>\r\n    </devices>\r\n</domain>\r\n",
    );
    // The lines of a text as well, be it new or changed.
    let text = "<description>one\ntwo\r\nthree</description>";
    for end in ["\n", "\r\n"] {
        let lines = format!("one{end}two{end}three");
        let domain =
            |inside: &str| format!("<domain>{end}  <name>a</name>{end}{inside}</domain>{end}");
        let after = domain(&format!("  <description>{lines}</description>{end}"));
        for before in [
            String::new(),
            format!("  <description>old{end}text</description>{end}"),
            format!("  <description/>{end}"),
        ] {
            check(
                &domain(&before),
                &format!("<domain>{text}</domain>"),
                &after,
            );
            check(
                &domain(&before),
                &format!(
                    "<domain xmlns:patch='urn:virt-patch:1'>{}</domain>",
                    text.replacen('>', " patch:op='replace'>", 1)
                ),
                &after,
            );
        }
    }
    // Mixed line ends: the line before keeps its own.
    check(
        "<domain>\r\n  <name>a</name>\n  <vcpu>2</vcpu>\r\n</domain>",
        "<domain><title>t</title><os/></domain>",
        "<domain>\r\n  <name>a</name>\n  <title>t</title>\n  <vcpu>2</vcpu>\r\n  <os/>\r\n</domain>",
    );
    // So it does where the line after it goes, and where another takes that line over.
    for (first, second) in [("\r\n", "\n"), ("\n", "\r\n")] {
        let before =
            format!("<domain>\n  <name>a</name>{first}  <vcpu>2</vcpu> {second}  <os/>\n</domain>");
        check(
            &before,
            "<domain><vcpu patch:op='remove'>2</vcpu></domain>",
            &format!("<domain>\n  <name>a</name>{first}  <os/>\n</domain>"),
        );
        check(
            &before,
            "<domain><vcpu patch:op='remove'>2</vcpu><vcpus/><cputune/></domain>",
            &format!(
                "<domain>\n  <name>a</name>{first}  <vcpus/>{second}  <cputune/>{second}  <os/>\n</domain>"
            ),
        );
    }
    // Tabs, a comment at the end of the line, a missing final newline.
    check(
        "<domain>\n\t<name>a</name> <!-- mine -->\n\t<devices/>\n</domain>",
        "<domain><vcpu>2</vcpu><devices><tpm/></devices></domain>",
        "<domain>\n\t<name>a</name> <!-- mine -->\n\t<vcpu>2</vcpu>\n\t<devices>\n\t\t<tpm/>\n\t</devices>\n</domain>",
    );
    // All on one line.
    check(
        "<domain><name>a</name><devices/></domain>",
        "<domain><vcpu>2</vcpu><devices><tpm/></devices></domain>",
        "<domain><name>a</name><vcpu>2</vcpu><devices><tpm/></devices></domain>",
    );
    // Before the first sibling, and inside an element that holds a comment only.
    check(
        "<domain>\n  <!-- c -->\n  <vcpu>2</vcpu>\n  <os>\n    <!-- none -->\n  </os>\n</domain>\n",
        "<domain><name>x</name><os><type>hvm</type></os></domain>",
        "<domain>\n  <name>x</name>\n  <!-- c -->\n  <vcpu>2</vcpu>\n  <os>\n    <!-- none -->\n    <type>hvm</type>\n  </os>\n</domain>\n",
    );
    check(
        "<domain type='x'/>",
        "<domain><name>n</name></domain>",
        "<domain type='x'>\n  <name>n</name>\n</domain>",
    );
    check(
        "<domain>\n</domain>",
        "<domain><name>n</name></domain>",
        "<domain>\n  <name>n</name>\n</domain>",
    );
}

#[test]
fn elements_are_found_by_their_identity() {
    let domain = "<domain>\n  <cpu>\n    <feature policy='disable' name='a'/>\n    <feature name='topoext'/>\n  </cpu>\n</domain>";
    check(
        domain,
        "<domain><cpu><feature policy='require' name='topoext'/><feature name='b'/></cpu></domain>",
        "<domain>\n  <cpu>\n    <feature policy='disable' name='a'/>\n    <feature name='topoext' policy='require'/>\n    <feature name='b'/>\n  </cpu>\n</domain>",
    );
    let disks = "<domain>\n  <devices>\n    <disk device='disk'>\n      <target dev='vda'/>\n    </disk>\n    <disk>\n      <target dev='vdb'/>\n    </disk>\n  </devices>\n</domain>";
    check(
        disks,
        "<domain><devices><disk><driver cache='none'/><target dev='vdb' bus='virtio'/></disk></devices></domain>",
        "<domain>\n  <devices>\n    <disk device='disk'>\n      <target dev='vda'/>\n    </disk>\n    <disk>\n      <driver cache='none'/>\n      <target dev='vdb' bus='virtio'/>\n    </disk>\n  </devices>\n</domain>",
    );
    assert_eq!(
        refused(
            disks,
            "<domain><devices><disk><driver cache='none'/></disk></devices></domain>"
        ),
        "<disk> could be the one in line 3 or in line 6; say which with <target dev=…> (line 3 of the definition)"
    );
}

#[test]
fn what_is_not_there_to_be_updated_is_told() {
    let before = "<domain><cpu><feature name='a'/></cpu><devices><interface type='user'/></devices></domain>";
    for (patch, absent) in [
        ("<vcpu patch:op='update'>4</vcpu>", &["<vcpu>"][..]),
        (
            "<cpu><feature name='a' patch:op='update' policy='require'/></cpu>",
            &[],
        ),
        // Inside what is new as well, and inside what is not even made.
        (
            "<features><acpi/><hyperv><vapic state='on'/><ipi patch:op='update' state='on'/></hyperv></features>",
            &["<ipi>"],
        ),
        (
            "<devices><disk patch:op='update'><target dev='vda'/></disk></devices>",
            &["<disk> with <target dev='vda'>"],
        ),
        // Of several alike one is there.
        (
            "<devices><interface patch:op='keep'/><interface patch:op='update' type='user'/></devices>",
            &["second <interface>"],
        ),
    ] {
        let text = format!("<domain xmlns:patch='urn:virt-patch:1'>{patch}</domain>");
        let document = Document::parse_domain(before).unwrap();
        let patch = Patch::new("p", &text);
        let wanted = patch.resolve_for(&document).unwrap();
        let merged = merged_wanted(&document, &patch, &wanted).unwrap();
        let notes = absent
            .iter()
            .map(|what| format!("there is no {what} to update"));
        assert_eq!(merged.notes, notes.collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn what_two_parts_of_a_patch_take_out_goes_once() {
    let before = "<domain><devices><hostdev mode='subsystem' type='usb'/><hub type='usb'/></devices></domain>";
    let patch = Patch::new(
        "p",
        "<domain xmlns:patch='urn:virt-patch:1'><devices><hostdev patch:op='remove' type='usb'/><hostdev patch:op='remove!' mode='subsystem'/></devices></domain>",
    );
    let document = Document::parse_domain(before).unwrap();
    let got = merged(&document, &patch).unwrap().unwrap();
    assert_eq!(got, "<domain><devices><hub type='usb'/></devices></domain>");
}

#[test]
fn a_new_argument_stands_behind_the_one_kept_before_it() {
    const QEMU: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    let with = |args: &str| {
        let arg = |arg: &str| match arg.split_once('!') {
            Some((op, value)) => format!("<qemu:arg patch:op='{op}' value='{value}'/>"),
            None => format!("<qemu:arg value='{arg}'/>"),
        };
        let args: String = args.split_whitespace().map(arg).collect();
        format!("<domain {QEMU}><qemu:commandline>{args}</qemu:commandline></domain>")
    };
    for (before, patch, after) in [
        (
            "-cpu host -S",
            "keep!-cpu host -device a",
            "-cpu host -device a -S",
        ),
        (
            "-cpu host -S",
            "keep!-cpu host -device a -device b",
            "-cpu host -device a -device b -S",
        ),
        (
            "-cpu host -S",
            "keep!-usb -device a",
            "-cpu host -S -device a",
        ),
        (
            "-cpu host -S",
            "-cpu host -device a",
            "-cpu host -S -device a",
        ),
        (
            "-usb -cpu host -S",
            "keep!-usb -cpu host -device a",
            "-usb -cpu host -S -device a",
        ),
        (
            "-usb -device a -S",
            "remove!-device a keep!-usb -device b",
            "-usb -device b -S",
        ),
        (
            "-device a -device a",
            "keep!-device a remove!-device a",
            "-device a",
        ),
        ("-device a", "keep!-device a remove!-device a", "-device a"),
    ] {
        let text = with(before);
        let document = Document::parse_domain(&text).unwrap();
        let patch = with(patch).replace("<domain", "<domain xmlns:patch='urn:virt-patch:1'");
        let patch = Patch::new("p", patch);
        let got = merged(&document, &patch).unwrap().unwrap_or(text);
        assert_eq!(got, with(after));
        let again = Document::parse_domain(&got).unwrap();
        assert_eq!(merged(&again, &patch).unwrap(), None);
    }
}

#[test]
fn boot_devices_stand_in_the_order_of_the_patch() {
    let with = |boots: &str| {
        let boot = |dev: &str| format!("<boot dev='{dev}'/>");
        let boots: String = boots.split_whitespace().map(boot).collect();
        format!("<domain><os>{boots}</os></domain>")
    };
    for (before, patch, after) in [
        ("hd network", "network hd", "network hd"),
        ("hd network", "network", "hd network"),
        ("hd fd network", "network hd", "network fd hd"),
        ("hd network", "network cdrom hd", "network cdrom hd"),
        ("hd network", "cdrom network hd", "cdrom network hd"),
        ("hd network", "network hd cdrom", "network hd cdrom"),
        ("network hd", "network hd", "network hd"),
    ] {
        let text = with(before);
        let document = Document::parse_domain(&text).unwrap();
        let patch = Patch::new("p", with(patch));
        let got = merged(&document, &patch).unwrap().unwrap_or(text);
        assert_eq!(got, with(after));
        let again = Document::parse_domain(&got).unwrap();
        assert_eq!(merged(&again, &patch).unwrap(), None);
    }
}

#[test]
fn directives() {
    let d = |body: &str| format!("<domain xmlns:patch='urn:virt-patch:1'>{body}</domain>");
    let before = "<domain>\n  <cpu mode='custom'>\n    <model>x</model>\n    <feature name='a'/>\n    <feature name='b'/>\n  </cpu>\n</domain>";
    for (patch, after) in [
        (
            "<cpu patch:op='default' mode='host-passthrough'/>",
            before.to_owned(),
        ),
        (
            "<vcpu patch:op='default'>4</vcpu>",
            before.replace("  <cpu", "  <vcpu>4</vcpu>\n  <cpu"),
        ),
        (
            "<cpu patch:op='replace' mode='maximum'/>",
            "<domain>\n  <cpu mode='maximum'/>\n</domain>".to_owned(),
        ),
        (
            "<cpu patch:op='replace' mode='m'><feature name='c'/></cpu>",
            "<domain>\n  <cpu mode='m'>\n    <feature name='c'/>\n  </cpu>\n</domain>".to_owned(),
        ),
        (
            "<cpu patch:op='update' mode='maximum'><feature name='b' patch:op='update' policy='require'/><feature name='c' patch:op='update' policy='require'/></cpu>",
            before
                .replace("custom", "maximum")
                .replace("    <model>x</model>\n", "")
                .replace("<feature name='b'/>", "<feature name='b' policy='require'/>"),
        ),
        (
            "<vcpu patch:op='update'>4</vcpu><cputune><shares patch:op='update'>1</shares></cputune>",
            before.to_owned(),
        ),
        (
            "<clock><timer name='hpet' present='no'/></clock>",
            before.replace("</cpu>\n", "</cpu>\n  <clock offset='utc'>\n    <timer name='hpet' present='no'/>\n  </clock>\n"),
        ),
        (
            "<clock patch:op='default'><timer name='tsc'/></clock>",
            before.replace("</cpu>\n", "</cpu>\n  <clock offset='utc'>\n    <timer name='tsc'/>\n  </clock>\n"),
        ),
        (
            "<clock timezone='Europe/Vienna'/>",
            before.replace("</cpu>\n", "</cpu>\n  <clock timezone='Europe/Vienna'/>\n"),
        ),
        ("<cpu patch:op='remove'/>", "<domain>\n</domain>".to_owned()),
        (
            "<cpu><feature patch:op='remove'/></cpu>",
            "<domain>\n  <cpu mode='custom'>\n    <model>x</model>\n  </cpu>\n</domain>".to_owned(),
        ),
        (
            "<cpu><feature name='a' patch:op='remove'/></cpu>",
            before.replace("    <feature name='a'/>\n", ""),
        ),
        (
            "<cpu><model patch:op='remove'>y</model></cpu>",
            before.to_owned(),
        ),
        (
            "<cpu patch:unset='mode match'/>",
            before.replace(" mode='custom'", ""),
        ),
        (
            "<os><boot dev='hd' patch:op='append'/></os>",
            before.replace("  <cpu", "  <os>\n    <boot dev='hd'/>\n  </os>\n  <cpu"),
        ),
        (
            "<cpu><model patch:op='remove'/><vendor>Intel</vendor></cpu>",
            before.replace("<model>x</model>", "<vendor>Intel</vendor>"),
        ),
        (
            "<os patch:op='append'><loader patch:op='remove'/><boot dev='hd'/></os>",
            before.replace("  <cpu", "  <os>\n    <boot dev='hd'/>\n  </os>\n  <cpu"),
        ),
        (
            "<cpu patch:op='replace' mode='m'><model patch:op='remove'/></cpu>",
            "<domain>\n  <cpu mode='m'/>\n</domain>".to_owned(),
        ),
        (
            "<new><gone patch:op='remove'/><here patch:op='default'/></new>",
            before.replace("</cpu>\n", "</cpu>\n  <new>\n    <here/>\n  </new>\n"),
        ),
    ] {
        check(before, &d(patch), &after);
    }
    // White space at the line's end goes with what goes, and what comes is put behind it.
    check(
        "<domain>\n  <cpu/> \t\n</domain>",
        &d("<cpu patch:op='remove'/><clock offset='utc'/>"),
        "<domain>\n  <clock offset='utc'/>\n</domain>",
    );
    check(
        "<domain><devices><redirdev bus='usb' type='spicevmc'/></devices></domain>",
        &d(
            "<devices><redirdev bus='usb' type='spicevmc' patch:op='append'/><hub type='usb' patch:op='append'/></devices>",
        ),
        "<domain><devices><redirdev bus='usb' type='spicevmc'/><hub type='usb'/></devices></domain>",
    );
    assert_eq!(
        refused(before, &d("<os patch:op='remove!'/>")),
        "there is no such <os> to remove (line 1 of the definition)"
    );
    assert!(refused(before, &d("<os patch:op='merg'/>")).starts_with("patch:op='merg' is unknown"));
    assert!(
        refused(before, &d("<os patch:opp='merge'/>"))
            .starts_with("the directive patch:opp is unknown")
    );
}

#[test]
fn what_only_takes_away_adds_nothing() {
    let d = |inside: &str| format!("<domain xmlns:patch='urn:virt-patch:1'>{inside}</domain>");
    let none = "<domain><devices/></domain>";
    for patch in [
        "<devices><graphics type='spice' patch:unset='listen autoport'/></devices>",
        "<devices><video><model patch:unset='vgamem'/></video></devices>",
        "<devices><graphics type='spice'><listen type='address' patch:op='remove'/></graphics></devices>",
        "<devices><redirdev bus='usb' patch:op='keep'/><redirdev bus='usb' patch:op='remove'/></devices>",
        "<cputune><vcpupin vcpu='0' patch:op='remove'/></cputune>",
    ] {
        check(none, &d(patch), none);
    }
    // What it says besides is said.
    check(
        none,
        &d("<devices><memballoon model='virtio' patch:unset='autodeflate'/></devices>"),
        "<domain><devices><memballoon model='virtio'/></devices></domain>",
    );
    let redirdev = "<redirdev bus='usb' type='spicevmc'/>";
    let keep = d(&format!(
        "<devices>{}{}</devices>",
        redirdev.replace("/>", " patch:op='keep'/>"),
        redirdev.replace("/>", " patch:op='remove'/>")
    ));
    for (before, after) in [(0, 0), (1, 1), (2, 1)] {
        let domain = |count: usize| match count {
            0 => none.to_owned(),
            count => format!(
                "<domain><devices>{}</devices></domain>",
                redirdev.repeat(count)
            ),
        };
        check(&domain(before), &keep, &domain(after));
    }
}

#[test]
fn keys_are_compared_as_libvirt_reads_them() {
    let devices = |inside: &str| format!("<domain><devices>{inside}</devices></domain>");
    for (before, patch) in [
        (
            "<interface type='user'><mac address='52:54:00:ef:84:a2'/></interface>",
            "<interface><mac address='52:54:00:EF:84:A2'/></interface>",
        ),
        (
            "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x0a' slot='0x00' function='0x1'/></source></hostdev>",
            "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='10' slot='0' function='1'/></source></hostdev>",
        ),
        (
            "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>",
            "<hostdev mode='subsystem' type='usb'><source><address bus='001' device='0x04'/></source></hostdev>",
        ),
    ] {
        let before = devices(before);
        let document = Document::parse_domain(&before).unwrap();
        let after = merged(&document, &Patch::new("p", devices(patch))).unwrap();
        let name = patch.split([' ', '<', '>']).nth(1).unwrap();
        let count = after
            .unwrap_or(before.clone())
            .matches(&format!("<{name} "))
            .count();
        assert_eq!(count, 1, "{patch}");
    }
}

#[test]
fn bare_fragments_and_blocks_find_their_place() {
    for (patch, after) in [
        (
            "<memory dumpCore='on'/>",
            "<domain><name>a</name><memory dumpCore='on'>1</memory></domain>",
        ),
        (
            "<boot dev='network'/>",
            "<domain><name>a</name><memory>1</memory><os><boot dev='network'/></os></domain>",
        ),
        (
            "<nvram template='/x'/>",
            "<domain><name>a</name><memory>1</memory><os><nvram template='/x'/></os></domain>",
        ),
        (
            "<memory unit='MiB'/>",
            "<domain><name>a</name><memory unit='MiB'>1</memory></domain>",
        ),
        (
            "<bhyve:commandline xmlns:bhyve='http://libvirt.org/schemas/domain/bhyve/1.0'/>",
            "<domain><name>a</name><memory>1</memory><bhyve:commandline xmlns:bhyve='http://libvirt.org/schemas/domain/bhyve/1.0'/></domain>",
        ),
    ] {
        check(
            "<domain><name>a</name><memory>1</memory></domain>",
            patch,
            after,
        );
    }
    let deep = format!(
        "<domain>{}{}</domain>",
        "<a>".repeat(200),
        "</a>".repeat(200)
    );
    assert_eq!(
        refused("<domain/>", &deep),
        "elements inside of more than 100 others"
    );
    assert_eq!(
        refused(
            "<domain/>",
            &format!("<domain {Q}><devices><qemu:commandline/></devices></domain>")
        ),
        "libvirt drops a <commandline> inside another element without a word"
    );
}

#[test]
fn what_there_is_one_of_is_not_appended() {
    let d = |inside: &str| format!("<domain xmlns:patch='urn:virt-patch:1'>{inside}</domain>");
    let two = d("<vcpu patch:op='append'>4</vcpu>");
    let four = "<domain><vcpu>4</vcpu></domain>";
    check(four, &two, four);
    assert_eq!(
        refused("<domain>\n<vcpu>2</vcpu></domain>", &two),
        "patch:op='append' would make a second <vcpu>, and a definition has one (line 2 of the definition)"
    );
}

#[test]
fn a_placeholder_without_a_value_says_what_it_is_for() {
    let document =
        Document::parse_domain("<domain>\n<devices>\n<video/>\n<sound/></devices></domain>")
            .unwrap();
    for (patch, line) in [
        (
            "<domain><devices><video><model type='${x}'/></video></devices></domain>",
            3,
        ),
        (
            "<domain><devices>\n<tpm model='${x}'/></devices></domain>",
            2,
        ),
        ("<watchdog model='${x}'/>", 2),
        ("<title>${x}</title>", 1),
    ] {
        let error = Patch::new("test.xml", patch)
            .resolve_for(&document)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the placeholder ${{x}} has no value; there are none here (line {line} of the definition)"
            ),
            "{patch}"
        );
    }
}

#[test]
fn text_and_elements_do_not_mix() {
    assert_eq!(
        refused(
            "<domain><os>\n<type/></os></domain>",
            "<domain><os>text</os></domain>"
        ),
        "the patch has text for <os>, which holds <type> (line 1 of the definition)"
    );
    assert_eq!(
        refused(
            "<domain><vcpu>4</vcpu></domain>",
            "<domain><vcpu><x/></vcpu></domain>"
        ),
        "the patch has elements for <vcpu>, which holds text (line 1 of the definition)"
    );
    // Also where the definition has nothing in it, or none of it.
    for (before, patch, message) in [
        (
            "<domain>\n<blkiotune/></domain>",
            "<blkiotune>text</blkiotune>",
            "the patch has text for <blkiotune>, which holds elements (line 2 of the definition)",
        ),
        (
            "<domain>\n<devices/></domain>",
            "<devices><tpm>text</tpm></devices>",
            "the patch has text for <tpm>, which holds elements (line 2 of the definition)",
        ),
        (
            "<domain>\n<devices/></domain>",
            "<devices><disk><source>/y</source></disk></devices>",
            "the patch has text for <source>, which holds attributes and elements",
        ),
    ] {
        assert_eq!(refused(before, patch), message);
    }
    assert_eq!(
        refused("<domain/>", "<domain><a>text<b/></a></domain>"),
        "<a> holds both elements and the text 'text'"
    );
}

#[test]
fn placeholders() {
    let patch = Patch::new(
        "p.xml",
        "<domain a='${x}' b='${none}' c='$$${x}'><t>-${x}-</t></domain>",
    )
    .with("x", "<&'\">")
    .with_option("none", None::<String>);
    check_with(
        "<domain b='1'/>",
        &patch,
        "<domain a='&lt;&amp;&apos;\">' c='$&lt;&amp;&apos;\">'>\n  <t>-&lt;&amp;'\"&gt;-</t>\n</domain>",
    );
    let unknown = Patch::new("p.xml", "<domain a='${y}'/>")
        .with("x", "1")
        .with("z", "1");
    let document = Document::parse_domain("<domain/>").unwrap();
    assert_eq!(
        merge(&document, &unknown).unwrap_err().to_string(),
        "the placeholder ${y} has no value; there are x, z"
    );
    assert!(
        refused("<domain/>", "<domain a='$y'/>").starts_with("a '$' that begins no placeholder")
    );
}

const Q: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";

fn args(args: &[&str]) -> String {
    args.iter()
        .map(|arg| format!("\n    <qemu:arg value='{arg}'/>"))
        .collect()
}

fn domain(list: &[&str]) -> String {
    format!(
        "<domain {Q}>\n  <qemu:commandline>{}\n  </qemu:commandline>\n</domain>",
        args(list)
    )
}

#[test]
fn qemu_arguments_are_merged_as_option_groups() {
    for (before, patch, after) in [
        // -cpu is one group, whatever it says.
        (
            &["-cpu", "host"][..],
            &["-cpu", "Penryn,vendor=GenuineIntel"][..],
            &["-cpu", "Penryn,vendor=GenuineIntel"][..],
        ),
        (
            &["-cpu", "host,kvm=off,+avx2"],
            &["-cpu", "Penryn"],
            &["-cpu", "Penryn,kvm=off,+avx2"],
        ),
        (
            &["-cpu", "host,topoext=on"],
            &["-cpu", "+topoext"],
            &["-cpu", "host,topoext=on"],
        ),
        (
            &["-cpu", "host,-topoext"],
            &["-cpu", "+topoext"],
            &["-cpu", "host,+topoext"],
        ),
        (
            &["-cpu", "host,topoext=yes", "-global", "x.y=no"],
            &["-cpu", "+topoext", "-global", "x.y=off"],
            &["-cpu", "host,topoext=yes", "-global", "x.y=no"],
        ),
        (&["-cpu", "a", "-cpu", "b"], &["-cpu", "c"], &["-cpu", "c"]),
        // QEMU adds these up, so none of them is dead.
        (
            &["-machine", "smm=off", "-machine", "vmport=on"],
            &["-machine", "hpet=off"],
            &["-machine", "smm=off", "-machine", "vmport=on,hpet=off"],
        ),
        (
            &["-boot", "order=cd,menu=on"],
            &["-boot", "menu=off"],
            &["-boot", "order=cd,menu=off"],
        ),
        (
            &["-m", "4G", "-m", "slots=4"],
            &["-m", "maxmem=8G"],
            &["-m", "4G", "-m", "slots=4,maxmem=8G"],
        ),
        // QEMU has several spellings of one feature.
        (
            &["-cpu", "host,hv-vendor-id=a,+sse4_1,-sse4.2"],
            &["-cpu", "host,hv_vendor_id=b,+sse4.1,+sse4_2"],
            &["-cpu", "host,hv_vendor_id=b,+sse4_1,+sse4_2"],
        ),
        // What only the models host and max have goes with them, but for what the patch says of it.
        (
            &["-cpu", "host,migratable=no,+invtsc,host_cache_info=on"],
            &["-cpu", "Penryn"],
            &["-cpu", "Penryn,+invtsc"],
        ),
        (
            &["-cpu", "host,migratable=no"],
            &["-cpu", "max"],
            &["-cpu", "max,migratable=no"],
        ),
        (
            &["-cpu", "host,migratable=no"],
            &["-cpu", "+avx2"],
            &["-cpu", "host,migratable=no,+avx2"],
        ),
        (
            &["-cpu", "Penryn,migratable=no"],
            &["-cpu", "Nehalem"],
            &["-cpu", "Nehalem,migratable=no"],
        ),
        // A comma at the end says nothing, nor does an empty piece of -cpu.
        (
            &["-device", "isa-applesmc,osk=x,"],
            &["-device", "isa-applesmc,osk=x"],
            &["-device", "isa-applesmc,osk=x,"],
        ),
        (
            &["-device", "isa-applesmc,osk=x,"],
            &["-device", "isa-applesmc,osk=y,"],
            &["-device", "isa-applesmc,osk=y"],
        ),
        (&["-cpu", "a,"], &["-cpu", "b,+c"], &["-cpu", "b,+c"]),
        (
            &["-cpu", "a,,vendor=x"],
            &["-cpu", "a,vendor=x,+c"],
            &["-cpu", "a,vendor=x,+c"],
        ),
        (
            &["-machine", "q35,"],
            &["-machine", "smm=off"],
            &["-machine", "q35,smm=off"],
        ),
        (
            &["-drive", "id=a,if=none,"],
            &["-drive", "id=a,file=/x"],
            &["-drive", "id=a,if=none,file=/x"],
        ),
        (
            &["-netdev", "user,id=n,"],
            &["-netdev", "user,id=n,restrict=on"],
            &["-netdev", "user,id=n,restrict=on"],
        ),
        // Keys that stand several times, each for one more thing.
        (
            &["-smbios", "type=11,value=a"],
            &["-smbios", "type=11,value=a,value=b"],
            &["-smbios", "type=11,value=a,value=b"],
        ),
        (
            &[
                "-netdev",
                "user,id=n,hostfwd=tcp::1-:1,hostfwd=tcp::2-:2,net=x",
            ],
            &["-netdev", "user,id=n,hostfwd=tcp::3-:3"],
            &[
                "-netdev",
                "user,id=n,hostfwd=tcp::1-:1,hostfwd=tcp::2-:2,hostfwd=tcp::3-:3,net=x",
            ],
        ),
        (&["--cpu", "a"], &["-cpu", "c"], &["--cpu", "c"]),
        // Devices go by driver, and by id where the patch names one.
        (
            &["-device", "isa-applesmc,osk=x"],
            &["-device", "isa-applesmc,osk=y"],
            &["-device", "isa-applesmc,osk=y"],
        ),
        (
            &[
                "-device",
                "isa-applesmc,osk=x",
                "-device",
                "isa-applesmc,osk=x",
            ],
            &["-device", "isa-applesmc,osk=y"],
            &["-device", "isa-applesmc,osk=y"],
        ),
        (
            &["-device", "usb-kbd,id=a"],
            &["-device", "usb-kbd,id=b"],
            &["-device", "usb-kbd,id=a", "-device", "usb-kbd,id=b"],
        ),
        (
            &["-device", "usb-kbd,id=a"],
            &["-device", "usb-kbd,port=2"],
            &["-device", "usb-kbd,id=a,port=2"],
        ),
        (
            &["-device", "driver=usb-kbd"],
            &["-device", "usb-kbd"],
            &["-device", "driver=usb-kbd"],
        ),
        (
            &[
                "-device",
                "{\"driver\":\"isa-applesmc\",\"osk\":\"x\",\"n\":1}",
            ],
            &["-device", "isa-applesmc,osk=a,,b"],
            &[
                "-device",
                "{\"driver\":\"isa-applesmc\",\"osk\":\"a,b\",\"n\":1}",
            ],
        ),
        (
            &["-device", "usb-kbd"],
            &["-device", "{\"driver\":\"usb-kbd\",\"id\":\"k\"}"],
            &[
                "-device",
                "usb-kbd",
                "-device",
                "{\"driver\":\"usb-kbd\",\"id\":\"k\"}",
            ],
        ),
        // A blank is taken for a part of the name.
        (
            &["-device", "isa-applesmc, osk=a"],
            &["-device", "isa-applesmc,osk=a"],
            &["-device", "isa-applesmc,osk=a"],
        ),
        // Globals go by property, in both forms.
        (
            &["-global", "A.b=on"],
            &["-global", "A.b=off"],
            &["-global", "A.b=off"],
        ),
        (
            &["-global", "A.b=on"],
            &["-global", "A.c=off"],
            &["-global", "A.b=on", "-global", "A.c=off"],
        ),
        (
            &["-global", "driver=A,property=b,value=on"],
            &["-global", "A.b=off"],
            &["-global", "driver=A,property=b,value=off"],
        ),
        // Flags, ids, unknown options.
        (&["-usb"], &["-usb"], &["-usb"]),
        (
            &["-S", "-cpu", "-usb"],
            &["-usb"],
            &["-S", "-cpu", "-usb", "-usb"],
        ),
        (
            &["-netdev", "user,id=a"],
            &["-netdev", "tap,id=a"],
            &["-netdev", "tap,id=a"],
        ),
        (
            &["-smbios", "type=1,serial=x"],
            &["-smbios", "type=2"],
            &["-smbios", "type=1,serial=x", "-smbios", "type=2"],
        ),
        (
            &["-what", "x"],
            &["-what", "y"],
            &["-what", "x", "-what", "y"],
        ),
    ] {
        check(&domain(before), &domain(patch), &domain(after));
    }
}

/// QEMU takes JSON in single quotes as well.
#[test]
fn json_in_single_quotes_is_json() {
    let domain = |value: &str| domain(&["-device", &value.replace('\'', "&apos;")]);
    let old = r"{'driver':'isa-applesmc','osk':'a \'b\' &quot;c&quot;'}";
    for (patch, after) in [
        ("isa-applesmc,osk=a 'b' &quot;c&quot;", old),
        (
            "isa-applesmc,osk=new",
            r#"{"driver":"isa-applesmc","osk":"new"}"#,
        ),
    ] {
        check(&domain(old), &domain(patch), &domain(after));
    }
}

/// QEMU refuses JSON values of another type than it expects.
#[test]
fn values_in_json_keep_their_types() {
    let domain = |value: &str| {
        let value = value.replace('"', "&quot;");
        domain(&["-object", &value])
    };
    for (before, patch, after) in [
        (
            r#"{"qom-type":"memory-backend-file","id":"lg","size":33554432,"share":true}"#,
            "memory-backend-file,id=lg,mem-path=/dev/kvmfr0,size=64M,share=yes",
            r#"{"qom-type":"memory-backend-file","id":"lg","size":67108864,"share":true,"mem-path":"/dev/kvmfr0"}"#,
        ),
        (
            r#"{"qom-type":"memory-backend-file","id":"lg","size":1}"#,
            r#"{"qom-type":"memory-backend-file","id":"lg","size":2,"share":true}"#,
            r#"{"qom-type":"memory-backend-file","id":"lg","size":2,"share":true}"#,
        ),
    ] {
        let document_text = domain(before);
        let document = Document::parse_domain(&document_text).unwrap();
        let patch = Patch::new("p", domain(patch));
        let got = merged(&document, &patch).unwrap().unwrap();
        let got = got.replace("&quot;", "\"");
        assert!(got.contains(after), "{got}");
    }
    let message = refused(
        &domain(r#"{"qom-type":"memory-backend-file","id":"lg"}"#),
        &domain("memory-backend-file,id=lg,share=on"),
    );
    assert!(
        message.starts_with(
            "the argument there is JSON, in which a value has a type that 'share=…' does not tell"
        ),
        "{message}"
    );
}

#[test]
fn an_option_that_lacks_its_value() {
    for (before, patch, after) in [
        (
            &["-usb", "-cpu"][..],
            &["-device", "x", "-cpu", "a"][..],
            &["-usb", "-cpu", "a", "-device", "x"][..],
        ),
        (&["-cpu", "a", "-cpu"], &["-cpu", "b"], &["-cpu", "b"]),
    ] {
        check(&domain(before), &domain(patch), &domain(after));
    }
    let valueless = domain(&["-cpu", "x"]).replace(" value='x'", "");
    let given = domain(&["-cpu", "a"]);
    check(&valueless, &given, &given);
    assert_eq!(
        refused(&domain(&["-usb", "-device"]), &given),
        "the last argument, '-device', lacks its value, and what is added would become it; take it out, or give it one (line 4 of the definition)"
    );
    assert_eq!(
        refused(&domain(&[]), &domain(&["-cpu a,+b"])),
        "several words in one argument: QEMU takes '-cpu …' as one option it does not know; write <qemu:arg value='-cpu'/> and one more <qemu:arg> for the rest"
    );
}

#[test]
fn directives_on_qemu_arguments() {
    let patch = |op: &str, list: &[&str]| {
        domain(list)
            .replace("<domain ", "<domain xmlns:patch='urn:virt-patch:1' ")
            .replacen("<qemu:arg ", &format!("<qemu:arg patch:op='{op}' "), 1)
    };
    let before = domain(&["-usb", "-cpu", "a,+b", "-device", "x"]);
    for (op, list, after) in [
        (
            "remove",
            &["-cpu", "c"][..],
            domain(&["-usb", "-device", "x"]),
        ),
        (
            "remove",
            &["-usb"],
            domain(&["-cpu", "a,+b", "-device", "x"]),
        ),
        ("default", &["-cpu", "c"], before.clone()),
        ("update", &["-m", "1"], before.clone()),
        ("keep", &["-cpu", "c"], before.clone()),
        ("keep", &["-m", "1"], before.clone()),
        (
            "update",
            &["-cpu", "c"],
            domain(&["-usb", "-cpu", "c,+b", "-device", "x"]),
        ),
        (
            "default",
            &["-m", "1"],
            domain(&["-usb", "-cpu", "a,+b", "-device", "x", "-m", "1"]),
        ),
        (
            "replace",
            &["-cpu", "c"],
            domain(&["-usb", "-cpu", "c", "-device", "x"]),
        ),
        (
            "append",
            &["-device", "x,a=b"],
            domain(&["-usb", "-cpu", "a,+b", "-device", "x", "-device", "x,a=b"]),
        ),
        ("append", &["-device", "x"], before.clone()),
    ] {
        check(&before, &patch(op, list), &after);
    }
}

#[test]
fn the_qemu_namespace_is_declared_once_and_found_under_any_prefix() {
    let patch = domain(&["-usb"]);
    check(
        "<domain type='kvm'>\n  <name>a</name>\n</domain>",
        &patch,
        &format!(
            "<domain type='kvm' {Q}>\n  <name>a</name>\n  <qemu:commandline>\n    <qemu:arg value='-usb'/>\n  </qemu:commandline>\n</domain>"
        ),
    );
    let uri = "http://libvirt.org/schemas/domain/qemu/1.0";
    check(
        &format!("<domain xmlns:q='{uri}'><name>a</name></domain>"),
        &patch,
        &format!(
            "<domain xmlns:q='{uri}'><name>a</name><q:commandline><q:arg value='-usb'/></q:commandline></domain>"
        ),
    );
    check(
        &format!("<domain><commandline xmlns='{uri}'><arg value='-S'/></commandline></domain>"),
        &patch,
        &format!(
            "<domain><commandline xmlns='{uri}'><arg value='-S'/><arg value='-usb'/></commandline></domain>"
        ),
    );
    check(
        "<domain xmlns:qemu='http://wrong'/>",
        &patch,
        &format!(
            "<domain xmlns:qemu='http://wrong' xmlns:qemu2='{uri}'>\n  <qemu2:commandline>\n    <qemu2:arg value='-usb'/>\n  </qemu2:commandline>\n</domain>"
        ),
    );
    // Two blocks are one list; environment stays behind arguments.
    check(
        &format!(
            "<domain {Q}><qemu:commandline><qemu:arg value='-usb'/></qemu:commandline><qemu:commandline><qemu:env name='A' value='1'/></qemu:commandline></domain>"
        ),
        &format!(
            "<domain {Q}><qemu:commandline><qemu:arg value='-usb'/><qemu:arg value='-S'/><qemu:env name='A' value='2'/><qemu:env name='B'/></qemu:commandline></domain>"
        ),
        &format!(
            "<domain {Q}><qemu:commandline><qemu:arg value='-usb'/></qemu:commandline><qemu:commandline><qemu:arg value='-S'/><qemu:env name='A' value='2'/><qemu:env name='B'/></qemu:commandline></domain>"
        ),
    );
    // Empty blocks.
    check(
        &format!("<domain {Q}>\n  <qemu:commandline/>\n</domain>"),
        &patch,
        &domain(&["-usb"]),
    );
}

#[test]
fn other_namespaces_are_declared_on_the_element() {
    check(
        "<domain><metadata/></domain>",
        "<domain><metadata><a:x xmlns:a='urn:a'><a:y/></a:x></metadata></domain>",
        "<domain><metadata><a:x xmlns:a='urn:a'><a:y/></a:x></metadata></domain>",
    );
    check(
        "<domain><metadata/></domain>",
        "<domain><metadata><a:x xmlns:a='urn:a' xmlns:b='urn:b' a:i='1' b:j='2' k='3' xml:lang='de'><a:y a:i='4'/></a:x></metadata></domain>",
        "<domain><metadata><a:x xmlns:a='urn:a' xmlns:b='urn:b' a:i='1' b:j='2' k='3' xml:lang='de'><a:y a:i='4'/></a:x></metadata></domain>",
    );
}

#[test]
fn an_element_can_be_named_by_its_place() {
    let before = "<domain>\n  <devices>\n    <rng model='virtio'/>\n    <rng model='virtio'>\n      <!-- mine -->\n      <address type='pci'/>\n    </rng>\n    <disk>\n      <target dev='hda'   bus='ide'/>\n    </disk>\n    <sound model='ich6' >\n      <alias name='a'/>\n    </sound>\n  </devices>\n</domain>\n";
    let document = Document::parse_domain(before).unwrap();
    let find = |name: &str| {
        let mut all = document.root().descendants();
        all.find(|node| node.tag_name().name() == name).unwrap()
    };
    let mut patch = Patch::new("test.xml", "<domain/>");
    patch.remove_at(find("address"));
    patch.remove_at(find("alias"));
    let mut target = xmltree::Element::new("target");
    for (name, value) in [("dev", "sda"), ("bus", "sata"), ("rotation_rate", "1")] {
        target.attributes.insert(name.to_owned(), value.to_owned());
    }
    patch.merge_at(find("target"), target);
    assert_eq!(
        merged(&document, &patch).unwrap().unwrap(),
        "<domain>\n  <devices>\n    <rng model='virtio'/>\n    <rng model='virtio'>\n      <!-- mine -->\n    </rng>\n    <disk>\n      <target dev='sda'   bus='sata' rotation_rate='1'/>\n    </disk>\n    <sound model='ich6'/>\n  </devices>\n</domain>\n"
    );
}

#[test]
fn one_of_several_alike_is_changed_by_its_place() {
    let before = "<domain><devices><video><model type='qxl' ram='1'/></video><video><model type='qxl'/></video><video><model type='cirrus'/></video></devices></domain>";
    let document = Document::parse_domain(before).unwrap();
    let videos: Vec<_> = document.devices("video").collect();
    let mut model = xmltree::Element::new("model");
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    model.attributes.extend([
        attribute("type", "virtio"),
        attribute("patch:unset", "ram vram"),
    ]);
    let mut video = xmltree::Element::new("video");
    video.children.push(xmltree::XMLNode::Element(model));
    let mut patch = Patch::new("test", "<domain/>");
    patch.change(&["devices"], videos[0], Op::Merge, video.clone());
    patch.change(
        &["devices"],
        videos[1],
        Op::Remove,
        xmltree::Element::new("video"),
    );
    patch.change(&["devices"], videos[2], Op::Replace, video);
    assert_eq!(
        merged(&document, &patch).unwrap().unwrap(),
        "<domain><devices><video><model type='virtio'/></video><video><model type='virtio'/></video></devices></domain>"
    );
}
