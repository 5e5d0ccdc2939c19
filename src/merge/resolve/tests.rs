//! Patches as people write and paste them, and the messages for those that cannot be meant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::document::Document;
use crate::merge::condition::Fact;
use crate::merge::{Facts, merged};

const DOMAIN: &str = "<domain type='kvm'>\n  <name>vm</name>\n  <memory>1</memory>\n  <vcpu>2</vcpu>\n  <devices>\n    <emulator>/q</emulator>\n  </devices>\n</domain>\n";

fn facts() -> Facts {
    let is = |name: &str, value: &str| (name.to_owned(), Fact::Is(value.to_owned()));
    Facts::from([
        is("libvirt", "9.0.0"),
        is("guest.name", "vm"),
        is("host.kvm", "no"),
        (
            "host.cpu.vendor".to_owned(),
            Fact::Unknown("the host's CPU vendor".to_owned()),
        ),
        (
            "topology.vcpus".to_owned(),
            Fact::Unset("say it with --set topology.vcpus=…".to_owned()),
        ),
    ])
}

fn patch(text: &str) -> Patch {
    Patch {
        facts: facts(),
        ..Patch::new("test.xml", text)
    }
}

#[track_caller]
fn gives(text: &str, after: &str) {
    let document = Document::parse_domain(DOMAIN).unwrap();
    let got = merged(&document, &patch(text)).unwrap();
    assert_eq!(got.as_deref().unwrap_or(DOMAIN), after, "\n{text}");
    let again = Document::parse_domain(after).unwrap();
    assert_eq!(
        merged(&again, &patch(text)).unwrap(),
        None,
        "not idempotent"
    );
}

/// `LINE:COLUMN MESSAGE / HELP`
#[track_caller]
fn refused(text: &str, expected: &str) {
    let document = Document::parse_domain(DOMAIN).unwrap();
    let error = merged(&document, &patch(text)).unwrap_err();
    let shown = match &error {
        MergeError::Malformed { source, .. } => format!(
            "{} {} / {}",
            source.excerpt.position,
            source.message,
            source.help.as_deref().unwrap_or("-")
        ),
        MergeError::Unfit { excerpt, help, .. } => format!(
            "{} {error} / {}",
            excerpt.position,
            help.as_deref().unwrap_or("-")
        ),
        MergeError::Unknown { position, .. } => format!("{position} {error}"),
        MergeError::Overlap { .. } => error.to_string(),
    };
    assert_eq!(shown, expected, "\n{text}");
}

fn with(inside: &str) -> String {
    DOMAIN.replace("  <vcpu>", &format!("{inside}  <vcpu>"))
}

#[test]
fn fragments_find_their_place() {
    let backing = with("  <memoryBacking>\n    <access mode='shared'/>\n  </memoryBacking>\n");
    for text in [
        "<memoryBacking><access mode='shared'/></memoryBacking>",
        "<access mode='shared'/>",
        "<!-- why -->\n<access mode='shared'/>\n<!-- end -->",
        "<?xml version='1.0' encoding='UTF-8'?>\n<access mode='shared'/>",
        "\u{feff}<?xml version='1.0'?><access mode='shared'/>",
        "<domain><memoryBacking><access mode='shared'/></memoryBacking></domain>",
        "<!-- <domain> --><domain><memoryBacking><access mode='shared'/></memoryBacking></domain>",
    ] {
        gives(text, &backing);
    }
    let q = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    let usb = DOMAIN.replace("'kvm'>", &format!("'kvm' {q}>")).replace(
        "</domain>",
        "  <qemu:commandline>\n    <qemu:arg value='-usb'/>\n  </qemu:commandline>\n</domain>",
    );
    for text in [
        "<qemu:arg value='-usb'/>".to_owned(),
        "<qemu:commandline><qemu:arg value='-usb'/></qemu:commandline>".to_owned(),
        format!("<q:arg {} value='-usb'/>", q.replace("qemu=", "q=")),
        // A snippet that forgets the declaration means this one.
        "<domain><qemu:commandline><qemu:arg value='-usb'/></qemu:commandline></domain>".to_owned(),
    ] {
        gives(&text, &usb);
    }
    for (text, after) in [
        (
            "<memory unit='GiB'>4</memory>",
            DOMAIN.replace("<memory>1<", "<memory unit='GiB'>4<"),
        ),
        ("<vcpu>4</vcpu>", DOMAIN.replace(">2<", ">4<")),
        (
            "<vcpu id='0' enabled='yes'/>",
            DOMAIN.replace(
                "  <devices>",
                "  <vcpus>\n    <vcpu id='0' enabled='yes'/>\n  </vcpus>\n  <devices>",
            ),
        ),
        (
            "<memory model='dimm'><target><node>0</node></target></memory>",
            DOMAIN.replace(
                "  </devices>",
                "    <memory model='dimm'>\n      <target>\n        <node>0</node>\n      </target>\n    </memory>\n  </devices>",
            ),
        ),
        (
            "<acpi/><apic/>",
            DOMAIN.replace(
                "  <devices>",
                "  <features>\n    <acpi/>\n    <apic/>\n  </features>\n  <devices>",
            ),
        ),
        (
            "<serial type='pty'><target port='0'/></serial>",
            DOMAIN.replace(
                "  </devices>",
                "    <serial type='pty'>\n      <target port='0'/>\n    </serial>\n  </devices>",
            ),
        ),
        (
            "<x:y xmlns:x='urn:x'/>",
            DOMAIN.replace("  <memory>", "  <metadata>\n    <x:y xmlns:x='urn:x'/>\n  </metadata>\n  <memory>"),
        ),
    ] {
        gives(text, &after);
    }
}

#[test]
fn dots_stand_for_what_is_left_out() {
    let hyperv = DOMAIN.replace(
        "  <devices>",
        "  <features>\n    <hyperv>\n      <relaxed state='on'/>\n    </hyperv>\n  </features>\n  <devices>",
    );
    for text in [
        "<features>\n  ...\n  <hyperv>\n    ...\n    <relaxed state='on'/>\n    ...\n  </hyperv>\n  ...\n</features>",
        "...\n<hyperv>\n[...]\n<relaxed state='on'/></hyperv>\n[…]",
        "<domain ...>\n  <features>\n (...) <hyperv …><relaxed state='on' [...]/>...</hyperv></features>\n  ....\n</domain>",
        "<vcpu placement='...'>...</vcpu><hyperv><relaxed state='on'/></hyperv>",
    ] {
        gives(text, &hyperv);
    }
    // Of what is only dots nothing is made.
    for text in [
        "<os>\n  <loader ...>...</loader>\n</os>",
        "<tpm ...>...</tpm>",
        "<tpm .../><rng [...] />",
        "<hostdev mode='...'>…</hostdev>",
        "<devices><hostdev ...>\n  ...\n</hostdev>...</devices>",
        "<domain ...>...<features>...</features></domain>",
    ] {
        gives(text, DOMAIN);
    }
    // Only dots by themselves.
    gives(
        "<description>and so on ...</description>",
        &DOMAIN.replace(
            "  <memory>",
            "  <description>and so on ...</description>\n  <memory>",
        ),
    );
    gives(
        "<title a='x ... y'>a</title>",
        &DOMAIN.replace("  <memory>", "  <title a='x ... y'>a</title>\n  <memory>"),
    );
}

#[test]
fn a_place_that_is_not_clear_is_refused_with_the_candidates() {
    for (text, message) in [
        (
            "<feature policy='require' name='topoext'/>",
            "1:1 <feature> could stand in several places / write what is around it: <os><firmware><feature> or <cpu><feature>",
        ),
        (
            "<acpi/>\n<model>qemu64</model>",
            "2:1 <model> could stand in several places / write what is around it: <cpu><model>, <interface><model>, <video><model> or <shmem><model>",
        ),
        (
            "<nvram/>",
            "1:1 <nvram> could stand in several places / write what is around it: <devices><nvram> or <os><nvram>",
        ),
        (
            "<driver cache='none'/>",
            "1:1 <driver> is part of a device, and of which is not said / write the device around it: <disk>, <interface>, <controller>, <filesystem> or <hostdev>",
        ),
        (
            "<memorybacking/>",
            "1:1 no place is known for <memorybacking> / did you mean <memoryBacking>?",
        ),
        (
            "<network/>",
            "1:1 no place is known for <network> / write the elements around it, from <domain> on",
        ),
        (
            "<domain>\n<commandline><arg value='-usb'/></commandline></domain>",
            "2:1 <commandline> without a prefix is dropped by libvirt / write <qemu:commandline> directly below <domain>, with xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0', and <qemu:arg> inside",
        ),
        (
            "<commandline><arg value='-usb'/></commandline>",
            "1:1 <commandline> without a prefix is dropped by libvirt / write <qemu:commandline> directly below <domain>, with xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0', and <qemu:arg> inside",
        ),
        (
            "<qemu:args/>",
            "1:1 libvirt knows no <qemu:args> / there are qemu:arg and qemu:env, and the blocks qemu:commandline, qemu:capabilities and qemu:override",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn what_cannot_be_read_is_shown_with_its_place() {
    for (text, message) in [
        (
            "",
            "1:1 the patch is empty / a patch is a partial <domain>, or an element of one",
        ),
        (
            "hello",
            "1:1 there is no element in the patch / a patch is a partial <domain>, or an element of one",
        ),
        (
            "<acpi/>\n  and <apic/>",
            "2:3 text where elements are: 'and' / -",
        ),
        (
            "$ virsh edit vm\n<domain>\n</domain>",
            "1:1 text where elements are: '$ virsh edit vm' / -",
        ),
        (
            "<domain>\n  <vcpu>4</vcpu>\n  so that it works\n</domain>",
            "3:3 <domain> holds both elements and the text 'so that it works' / -",
        ),
        (
            "<features>\r\n<acpi/>\r\n ... foo\r\n</features>",
            "3:6 <features> holds both elements and the text 'foo' / -",
        ),
        (
            "<domain>\n  $ virsh edit vm\n  <os>\n    <type>hvm</type>\n  </os>\n</domain>",
            "2:3 <domain> holds both elements and the text '$ virsh edit vm' / -",
        ),
        (
            "<kvm>\n  <hidden state=’on’/>\n</kvm>",
            "2:17 a typographic quote, ’, around the value of an attribute / write ' or \" instead",
        ),
        (
            "<kvm>\n  <hidden state='on’/>\n</kvm>",
            "2:20 a typographic quote, ’, around the value of an attribute / write ' or \" instead",
        ),
        (
            "<domain>\n  <kvm>\n  <hidden state=“on”/>\n</kvm></domain>",
            "3:17 a typographic quote, “, around the value of an attribute / write ' or \" instead",
        ),
        (
            "<os>\n  <type>hvm</type>",
            "2:19 it ends before <os> is closed / -",
        ),
        ("<acpi/></os>", "1:8 </os> closes nothing / -"),
        (
            "<os><type>hvm</os>",
            "1:14 </os> ends an element that <type> began / -",
        ),
        (
            "<domain>\n<os>\n</domain>",
            "3:1 </domain> ends an element that <os> began / -",
        ),
        (
            "<domain/><domain/>",
            "1:10 a second <domain>: a patch has one / -",
        ),
        (
            "<vcpu>2</vcpu><domain/>",
            "1:15 elements beside <domain>: put them into it / -",
        ),
        (
            "<domain>\n  <os x='&nbsp;'/>\n</domain>",
            "2:10 the entity '&nbsp;' is not defined / a domain definition knows &amp; &lt; &gt; &quot; &apos; and &#…; only",
        ),
        (
            "<os x:y='1'/>",
            "1:5 the prefix 'x' is not declared / add xmlns:x='…' to the element or to <domain>",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn directives_that_cannot_be_meant() {
    for (text, message) in [
        (
            "<os patch:op='merg'/>",
            "1:1 patch:op='merg' is unknown; there are merge, default, update, replace, remove, remove!, append and keep / -",
        ),
        (
            "<os patch:opp='merge'/>",
            "1:1 the directive patch:opp is unknown; there are patch:op, patch:unset and patch:when / -",
        ),
        (
            "<cpu op='remove'/>",
            "1:1 libvirt knows no attribute op= of any element / a directive is written patch:op, with xmlns:patch='urn:virt-patch:1' around it",
        ),
        (
            "<domain xmlns:patch='urn:virt-patch:1' patch:op='remove'/>",
            "1:1 the only patch:op <domain> itself can have is replace / -",
        ),
        (
            "<os><patch:value name='a'/></os>",
            "1:5 <patch:value> stands directly below <domain> / -",
        ),
        (
            "<patch:set name='a'/><acpi/>",
            "1:1 <patch:set> is unknown; there is <patch:value> / -",
        ),
        (
            "<acpi/>\n<patch:value name='A'/>",
            "2:1 'A' is no name for a value: lower-case letters, digits and hyphens, as in name='tag' / -",
        ),
        (
            "<patch:value name='a'/><patch:value name='a'/><acpi/>",
            "1:24 the value 'a' is declared twice / -",
        ),
        (
            "<patch:value name='a' value='1'/><acpi/>",
            "1:1 <patch:value> has no attribute 'value'; there are name and default / -",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn values_come_from_the_user_the_patch_and_the_facts() {
    let title = |text: &str| {
        DOMAIN.replace(
            "  <memory>",
            &format!("  <title>{text}</title>\n  <memory>"),
        )
    };
    gives(
        "<title>${guest.name} on ${libvirt}</title>",
        &title("vm on 9.0.0"),
    );
    let own =
        "<patch:value name='tag' default='share'>what for</patch:value>\n<title>${tag}</title>";
    gives(own, &title("share"));
    gives(
        &format!("<domain xmlns:patch='urn:virt-patch:1'>{own}</domain>"),
        &title("share"),
    );
    let document = Document::parse_domain(DOMAIN).unwrap();
    assert_eq!(
        merged(&document, &patch(own).with("tag", "<mine>"))
            .unwrap()
            .unwrap(),
        title("&lt;mine&gt;")
    );
    assert_eq!(
        patch(own).declared().unwrap(),
        [Declared {
            name: "tag".to_owned(),
            default: Some("share".to_owned()),
            about: "what for".to_owned()
        }]
    );
    for (text, message) in [
        (
            "<patch:value name='tag'/>\n<title>${tag}</title>",
            "2:8 the placeholder ${tag} has no value / say it with --set tag=…",
        ),
        (
            "<title>${topology.vcpus}</title>",
            "1:8 the placeholder ${topology.vcpus} has no value / say it with --set topology.vcpus=…",
        ),
        (
            "<title>${guest.nam}</title>",
            "1:8 the placeholder ${guest.nam} is unknown / did you mean 'guest.name'?",
        ),
        (
            "<patch:value name='x' default='1'/><title>${nonsense}</title>",
            "1:43 the placeholder ${nonsense} is unknown / there are x, guest.name, host.cpu.vendor, host.kvm and libvirt",
        ),
        (
            "<title a='${host.cpu.vendor}'/>",
            "1:11 the host's CPU vendor is unknown, and line 1 of the patch asks for it",
        ),
        (
            "<vcpu placement='auto' patch:unset='cpuset placement'>4</vcpu>",
            "1:1 patch:unset names 'placement', which the patch sets as well / -",
        ),
        (
            "<vcpu xmlns:p='urn:virt-patch:2' p:op='remove'/>",
            "1:1 the namespace 'urn:virt-patch:2' is not the one of directives / write xmlns:patch='urn:virt-patch:1'",
        ),
        (
            "<qemu:arg value='-device'/>\n<qemu:arg value='x' patch:when='libvirt &lt; 8'/><qemu:arg value='-usb'/>",
            "1:1 a condition leaves out one of the two arguments of '-device' and not the other / write the same patch:when on both",
        ),
        (
            "<title>5$</title>",
            "1:8 a '$' that begins no placeholder in '5$'; write ${name}, or $$ for a dollar sign / -",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn conditions_leave_elements_out() {
    let tpm = DOMAIN.replace("  </devices>", "    <tpm/>\n  </devices>");
    for (text, after) in [
        ("<tpm patch:when='libvirt >= 8'/>", tpm.as_str()),
        ("<tpm patch:when='libvirt &lt; 8'/>", DOMAIN),
        (
            "<devices><tpm patch:when=\"guest.name ~ 'v'\"/></devices>",
            &tpm,
        ),
        // What stands only around it goes with it.
        (
            "<features><hyperv><ipi patch:when='host.kvm'/></hyperv></features>",
            DOMAIN,
        ),
        (
            "<tpm/><features patch:when='host.kvm'><nonsense/>text is not looked at</features>",
            &tpm,
        ),
        // The patch's own values count as well.
        (
            "<patch:value name='with-tpm' default='yes'/><tpm patch:when='with-tpm'/>",
            &tpm,
        ),
    ] {
        gives(text, after);
    }
    let unmet =
        patch("<domain xmlns:patch='urn:virt-patch:1' patch:when='host.kvm'><tpm/></domain>");
    assert_eq!(unmet.resolve().unwrap().unmet.as_deref(), Some("host.kvm"));
    let partly = patch("<tpm patch:when='host.kvm'/><acpi/>");
    assert_eq!(partly.resolve().unwrap().unmet, None);
    for (text, message) in [
        (
            "<tpm patch:when='host.cpu.vendor == 1'/>",
            "1:18 the host's CPU vendor is unknown, and line 1 of the patch asks for it",
        ),
        (
            "<tpm patch:when='libvirt = 9'/>",
            "1:26 a condition knows no '=' / write == for 'is equal to'",
        ),
        (
            "<devices>\n  <tpm patch:when='guest.name == VM'/></devices>",
            "2:34 'VM' is unknown / text stands in quotes: 'VM'",
        ),
        (
            "<tpm patch:when='host.kvn'/>",
            "1:18 'host.kvn' is unknown / did you mean 'host.kvm'?",
        ),
        (
            "<tpm patch:when='topology.vcpus == 4'/>",
            "1:18 'topology.vcpus' has no value / say it with --set topology.vcpus=…",
        ),
        // Entities move the place, so the start of the condition has to do.
        (
            "<tpm patch:when='1 &lt; 2 and host.kvn'/>",
            "1:18 'host.kvn' is unknown / did you mean 'host.kvm'?",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn the_head_comment_explains() {
    for (text, comment) in [
        ("<os/>", ""),
        ("<!-- One line. -->\n<os/>", "One line."),
        (
            "<?xml version='1.0'?>\n<!--\n  First.\n\n  Second:\n    deeper.\n-->\n<os/>",
            "First.\n\nSecond:\n  deeper.",
        ),
        (
            "<!-- First\n     and second. --><os/>",
            "First\nand second.",
        ),
    ] {
        assert_eq!(head_comment(text), comment);
    }
}
