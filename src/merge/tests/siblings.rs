//! Several of one name: which is new, and where it goes; and elements made exactly so.

use super::*;

fn d(body: &str) -> String {
    format!("<domain xmlns:patch='urn:virt-patch:1'>{body}</domain>")
}

#[test]
fn of_several_to_append_each_needs_one_of_its_own() {
    let hub = "<hub type='usb'/>";
    let patch = d(&format!(
        "<devices>{}</devices>",
        "<hub type='usb' patch:op='append'/>".repeat(2)
    ));
    for there in 0..4 {
        let before = format!("<domain><devices>{}</devices></domain>", hub.repeat(there));
        let after = format!(
            "<domain><devices>{}</devices></domain>",
            hub.repeat(there.max(2))
        );
        check(&before, &patch, &after);
    }
}

#[test]
fn a_new_element_stands_where_the_patch_shows_it() {
    let disk = |name: &str| format!("\n    <disk>\n      <target dev='{name}'/>\n    </disk>");
    let domain = |names: &[&str], end: &str| {
        let disks: String = names.iter().map(|name| disk(name)).collect();
        format!("<domain>\n  <devices>{disks}{end}\n  </devices>\n</domain>")
    };
    let balloon = "\n    <memballoon/>";
    for (patch, after) in [
        (&["vdb"][..], &["vda", "vdc", "vdb"][..]),
        (&["vda", "vdb"], &["vda", "vdb", "vdc"]),
        (&["vdb", "vdc"], &["vda", "vdb", "vdc"]),
        (&["vdb", "vda"], &["vdb", "vda", "vdc"]),
        (
            &["vd0", "vda", "vdb", "vd1"],
            &["vd0", "vda", "vdb", "vd1", "vdc"],
        ),
        (&["vdc", "vdd"], &["vda", "vdc", "vdd"]),
    ] {
        check(
            &domain(&["vda", "vdc"], balloon),
            &domain(patch, ""),
            &domain(after, balloon),
        );
    }
    // In a row, with CRLF, and with what belongs to a neighbour.
    check(
        "<domain><cpu><feature name='a'/><!-- a --><feature name='c'/></cpu></domain>",
        "<domain><cpu><feature name='0'/><feature name='a'/></cpu></domain>",
        "<domain><cpu><feature name='0'/><feature name='a'/><!-- a --><feature name='c'/></cpu></domain>",
    );
    check(
        "<domain>\r\n  <cpu>\r\n    <feature name='a'/> <!-- a -->\r\n    <feature name='c'/>\r\n  </cpu>\r\n</domain>",
        "<domain><cpu><feature name='a'/><feature name='b'/><feature name='c'/></cpu></domain>",
        "<domain>\r\n  <cpu>\r\n    <feature name='a'/> <!-- a -->\r\n    <feature name='b'/>\r\n    <feature name='c'/>\r\n  </cpu>\r\n</domain>",
    );
    check(
        "<domain>\r\n  <cpu>\r\n    <feature name='c'/>\r\n  </cpu>\r\n</domain>",
        "<domain><cpu><feature name='b'/><feature name='c'/></cpu></domain>",
        "<domain>\r\n  <cpu>\r\n    <feature name='b'/>\r\n    <feature name='c'/>\r\n  </cpu>\r\n</domain>",
    );
}

#[test]
fn of_several_alike_the_second_means_the_second() {
    let devices = |inside: &str| format!("<domain><devices>{inside}</devices></domain>");
    let redirdev = "<redirdev bus='usb' type='spicevmc'/>";
    let two = devices(&redirdev.repeat(2));
    check(&two, &two, &two);
    check(&devices(redirdev), &two, &two);
    check(&devices(""), &two, &two);
    let boots = |port: &str| {
        devices(&format!(
            "{redirdev}<redirdev bus='usb' type='spicevmc'><boot order='{port}'/></redirdev>"
        ))
    };
    check(&boots("1"), &boots("2"), &boots("2"));
    check(&two, &boots("2"), &boots("2"));
    // A definition as it was written, into itself as libvirt numbered it.
    let ports = |index: fn(usize) -> String| {
        devices(
            &(0..3)
                .map(|n| {
                    format!(
                        "<controller type='pci' model='pcie-root-port'{}/>",
                        index(n)
                    )
                })
                .collect::<String>(),
        )
    };
    let numbered = ports(|n| format!(" index='{}'", n + 1));
    check(&numbered, &ports(|_| String::new()), &numbered);
    check(
        "<domain/>",
        &d("<os><initarg>a</initarg><initarg>b</initarg></os>"),
        "<domain>\n  <os>\n    <initarg>a</initarg>\n    <initarg>b</initarg>\n  </os>\n</domain>",
    );
}

#[test]
fn sections_that_stand_twice_in_a_patch_are_one() {
    check(
        "<domain/>",
        &d(
            "<features a='1' b='1'><kvm><hidden state='on'/></kvm></features><features a='1' c='2'><acpi/><kvm><poll-control state='on'/></kvm></features>",
        ),
        "<domain>\n  <features b='1' a='1' c='2'>\n    <kvm>\n      <hidden state='on'/>\n      <poll-control state='on'/>\n    </kvm>\n    <acpi/>\n  </features>\n</domain>",
    );
}

#[test]
fn a_default_is_not_needed_where_there_are_several() {
    let two = "<domain><devices><serial type='pty'/><serial type='tcp'/></devices></domain>";
    check(
        two,
        &d("<devices><serial type='unix' patch:op='default'/></devices>"),
        two,
    );
}

#[test]
fn the_neighbour_of_a_new_element_may_go() {
    check(
        "<domain>\n  <cpu>\n    <feature name='a'/>  \n  </cpu>\n</domain>",
        &d("<cpu><feature name='a' patch:op='remove'/><feature name='b'/></cpu>"),
        "<domain>\n  <cpu>\n    <feature name='b'/>\n  </cpu>\n</domain>",
    );
    check(
        "<domain>\n  <vcpu>1</vcpu>\t\n  <os/>\n</domain>",
        &d("<vcpu patch:op='remove'/><vcpus><vcpu id='0'/></vcpus>"),
        "<domain>\n  <vcpus>\n    <vcpu id='0'/>\n  </vcpus>\n  <os/>\n</domain>",
    );
}

#[test]
fn replaced_is_to_the_letter() {
    check(
        "<domain><a><address slot='0x0A'/></a></domain>",
        &d("<a><address patch:op='replace' slot='0xa'/></a>"),
        "<domain><a><address slot='0xa'/></a></domain>",
    );
    let q = "http://libvirt.org/schemas/domain/qemu/1.0";
    check(
        &format!(
            "<domain type=\"kvm\" id='3' xmlns:q=\"{q}\">\n    <!-- c -->\n    <os/>\n</domain>\n"
        ),
        &format!(
            "<domain xmlns:patch='urn:virt-patch:1' xmlns:qemu='{q}' patch:op='replace' type='qemu' x='1'><vcpu>1</vcpu><qemu:commandline><qemu:arg value='-usb'/></qemu:commandline></domain>"
        ),
        &format!(
            "<domain type=\"qemu\" xmlns:q=\"{q}\" x=\"1\">\n    <vcpu>1</vcpu>\n    <q:commandline>\n        <q:arg value=\"-usb\"/>\n    </q:commandline>\n</domain>\n"
        ),
    );
    check(
        "<domain/>",
        &format!(
            "<domain xmlns:patch='urn:virt-patch:1' xmlns:qemu='{q}' patch:op='replace'><qemu:commandline><qemu:arg value='-usb'/></qemu:commandline></domain>"
        ),
        &format!(
            "<domain xmlns:qemu='{q}'>\n  <qemu:commandline>\n    <qemu:arg value='-usb'/>\n  </qemu:commandline>\n</domain>"
        ),
    );
    check(
        "<domain a='1'><os/></domain>",
        &d("").replace("<domain ", "<domain patch:op='replace' "),
        "<domain></domain>",
    );
}

#[test]
fn foreign_namespaces_keep_their_prefixes() {
    let metadata = |inside: &str| format!("<domain><metadata>{inside}</metadata></domain>");
    for inside in [
        "<a:x xmlns:a='urn:a' a:y='1' z='2'><a:b/></a:x>",
        "<x xmlns='urn:a'><y/><z xmlns=''/></x>",
        "<a:x xmlns:a='urn:a'><b:y xmlns:b='urn:b'><a:z/></b:y></a:x>",
        "<a:x xmlns:a='urn:a'><z xml:lang='en'>t</z></a:x>",
    ] {
        check(&metadata(""), &metadata(inside), &metadata(inside));
    }
    // What the document declares already is used, under its own prefix.
    check(
        "<domain xmlns:mine='urn:a'><metadata/></domain>",
        &metadata("<a:x xmlns:a='urn:a' a:y='1'/>"),
        "<domain xmlns:mine='urn:a'><metadata><mine:x mine:y='1'/></metadata></domain>",
    );
    // Attributes have no default namespace.
    check(
        "<domain><metadata xmlns='urn:a'/></domain>",
        "<domain><metadata xmlns='urn:a' xmlns:p='urn:a'><p:x p:y='1'/></metadata></domain>",
        "<domain><metadata xmlns='urn:a'><x xmlns:p='urn:a' p:y='1'/></metadata></domain>",
    );
}

#[test]
fn many_are_found_as_few_are() {
    let pins = |cpus: fn(usize) -> usize| -> String {
        (0..300)
            .map(|n| format!("\n    <vcpupin vcpu='{n}' cpuset='{}'/>", cpus(n)))
            .collect()
    };
    let domain = |pins: String| format!("<domain>\n  <cputune>{pins}\n  </cputune>\n</domain>");
    check(
        &domain(pins(|n| n)),
        &domain(pins(|n| n + 1)),
        &domain(pins(|n| n + 1)),
    );
    let error = refused(
        &domain(pins(|n| n / 2).replace("vcpu='299'", "vcpu='298'")),
        &domain(pins(|n| n + 1)),
    );
    assert_eq!(
        error,
        "<vcpupin> could be the one in line 301 or in line 302; the definition should have one (line 301 of the definition)"
    );
}

#[test]
fn what_a_pass_adds_to_a_single_element_is_a_part_of_it() {
    let mut patch = Patch::new(
        "test",
        "<domain><os><loader>a</loader><nvram template='t'/></os></domain>",
    );
    let mut nvram = xmltree::Element::new("nvram");
    nvram.children.push(xmltree::XMLNode::Text("n".to_owned()));
    patch.add(&["os"], Op::Merge, nvram);
    check_with(
        "<domain><os><boot dev='hd'/></os></domain>",
        &patch,
        "<domain><os><loader>a</loader><nvram template='t'>n</nvram><boot dev='hd'/></os></domain>",
    );
}

/// What a patch makes of a definition, which the patch then finds as it wants it.
fn settles(before: &str, patch: &str, after: &str) {
    check(before, patch, after);
    check(after, patch, after);
}

#[test]
fn one_element_of_the_document_stands_for_one_of_the_patch() {
    let devices = |inside: &str| d(&format!("<devices>{inside}</devices>"));
    let usb = "<controller type='usb' index='0'/>";
    let ehci = "<controller type='usb' index='0' model='ich9-ehci1'/>";
    let uhci = "<controller type='usb' index='0' model='ich9-uhci1'/>";
    let virtio = "<video><model type='virtio'/></video>";
    let vga = "<video><model type='vga'/></video>";
    let nic = "<interface type='user'/>";
    let known = "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>";
    let serial = "<console type='pty'><target type='serial'/></console>";
    let bare = "<console type='pty'/>";
    for (before, patch, after) in [
        // The first takes what is there, and what is left without becomes new.
        (
            usb.to_owned(),
            format!("{ehci}{uhci}"),
            format!("{ehci}{uhci}"),
        ),
        (
            "<video><model type='qxl'/></video>".to_owned(),
            format!("{virtio}{vga}"),
            format!("{virtio}{vga}"),
        ),
        // Whoever knows which one it means chooses first.
        (
            known.to_owned(),
            format!("{nic}{known}"),
            format!("{nic}{known}"),
        ),
        (
            bare.to_owned(),
            format!("{bare}{serial}"),
            format!("{bare}{serial}"),
        ),
        (
            String::new(),
            format!("{serial}{bare}"),
            format!("{serial}{bare}"),
        ),
    ] {
        settles(&devices(&before), &devices(&patch), &devices(&after));
    }
}

#[test]
fn one_argument_of_the_document_stands_for_one_of_the_patch() {
    const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";
    let domain = |args: &[&str]| {
        let args: String = args
            .iter()
            .map(|arg| format!("<qemu:arg value='{arg}'/>"))
            .collect();
        format!("<domain xmlns:qemu='{QEMU}'><qemu:commandline>{args}</qemu:commandline></domain>")
    };
    for (before, patch, after) in [
        // QEMU obeys the last of these, in a patch as well.
        (
            &["-cpu", "a"][..],
            &["-cpu", "b", "-cpu", "c"][..],
            &["-cpu", "c"][..],
        ),
        (
            &["-global", "A.b=0"],
            &["-global", "A.b=1", "-global", "A.b=2"],
            &["-global", "A.b=2"],
        ),
        // Of these there are two.
        (
            &["-usb"],
            &["-device", "usb-kbd,port=1", "-device", "usb-kbd,port=2"],
            &[
                "-usb",
                "-device",
                "usb-kbd,port=1",
                "-device",
                "usb-kbd,port=2",
            ],
        ),
        (
            &["-device", "usb-kbd,id=k"],
            &["-device", "usb-kbd", "-device", "usb-kbd,id=k"],
            &["-device", "usb-kbd,id=k", "-device", "usb-kbd"],
        ),
        // One that says all of it already is the one that is meant; another of the host is another.
        (
            &[
                "-device",
                "vfio-pci,host=01:00.0",
                "-device",
                "vfio-pci,host=01:00.1",
            ],
            &["-device", "vfio-pci,host=01:00.0"],
            &[
                "-device",
                "vfio-pci,host=01:00.0",
                "-device",
                "vfio-pci,host=01:00.1",
            ],
        ),
        (
            &[
                "-device",
                "ide-hd,bus=sata.2,drive=One",
                "-device",
                "ide-hd,bus=sata.3,drive=Two",
            ],
            &["-device", "ide-hd,bus=sata.2,drive=One"],
            &[
                "-device",
                "ide-hd,bus=sata.2,drive=One",
                "-device",
                "ide-hd,bus=sata.3,drive=Two",
            ],
        ),
        (
            &["-device", "vfio-pci,host=01:00.0,id=gpu"],
            &["-device", "vfio-pci,host=01:00.1"],
            &[
                "-device",
                "vfio-pci,host=01:00.0,id=gpu",
                "-device",
                "vfio-pci,host=01:00.1",
            ],
        ),
    ] {
        settles(&domain(before), &domain(patch), &domain(after));
    }
}

#[test]
fn only_the_argument_that_says_all_of_it_is_removed() {
    const QEMU: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    let device = |value: &str| format!("<qemu:arg value='-device'/><qemu:arg value='{value}'/>");
    let domain = |inside: &str| {
        format!("<domain {QEMU}><qemu:commandline>{inside}</qemu:commandline></domain>")
    };
    let (first, second) = (
        device("vfio-pci,host=01:00.0"),
        device("vfio-pci,host=01:00.1"),
    );
    let patch = first.replace(
        "'-device'/>",
        "'-device' xmlns:patch='urn:virt-patch:1' patch:op='remove'/>",
    );
    check(
        &domain(&format!("{first}{second}")),
        &domain(&patch),
        &domain(&second),
    );
}

#[test]
fn what_is_to_be_removed_has_to_be_there_wherever_it_would_stand() {
    let nothing = "there is no such <vcpupin> to remove (line 1 of the definition)";
    let pin = "<vcpupin vcpu='0' patch:op='remove!'/>";
    for patch in [
        format!("<cputune>{pin}</cputune>"),
        format!("<cputune><shares>5</shares>{pin}</cputune>"),
    ] {
        assert_eq!(refused("<domain/>", &d(&patch)), nothing);
    }
    // A parent of nothing but removals is not written for them.
    for patch in [
        "<cputune><vcpupin vcpu='0' patch:op='remove'/></cputune>",
        "<a><b><c patch:op='remove'/></b></a>",
    ] {
        check("<domain/>", &d(patch), "<domain/>");
    }
    const QEMU: &str =
        "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' xmlns:patch='urn:virt-patch:1'";
    for (inside, message) in [
        (
            "<qemu:arg value='-usb' patch:op='remove!'/>",
            "there is no such argument '-usb' to remove",
        ),
        (
            "<qemu:arg value='-cpu' patch:op='remove!'/><qemu:arg value='a'/>",
            "there is no such argument '-cpu' to remove",
        ),
        (
            "<qemu:env name='X' patch:op='remove!'/>",
            "there is no such <env> to remove",
        ),
    ] {
        let patch =
            format!("<domain {QEMU}><qemu:commandline>{inside}</qemu:commandline></domain>");
        for before in [
            "<domain/>",
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline/></domain>",
        ] {
            assert_eq!(
                refused(before, &patch),
                format!("{message} (line 1 of the definition)")
            );
        }
    }
}

#[test]
fn a_patch_does_not_say_two_things_of_one() {
    for (patch, message) in [
        (
            "<vcpu>2</vcpu><vcpu>3</vcpu>",
            "<vcpu> is '2' in line 1 of the patch and '3' here",
        ),
        (
            "<cpu mode='host-passthrough'/>\n<cpu mode='host-model' check='none'/>",
            "<cpu> has mode='host-passthrough' in line 1 of the patch and mode='host-model' here",
        ),
        (
            "<features><kvm><hidden state='on'/></kvm></features>\n<features><acpi/><kvm><hidden state='off'/></kvm></features>",
            "<hidden> has state='on' in line 1 of the patch and state='off' here",
        ),
        (
            "<devices><video patch:op='default'><model type='qxl'/></video>\n<video patch:op='update'><model type='qxl' heads='2'/></video></devices>",
            "<video> has one patch:op here and another in line 1 of the patch, and nothing tells the two apart",
        ),
        // Of what there is one only, also beside one that is to be so, or to stay.
        (
            "<cpu patch:op='replace' mode='host-passthrough'/>\n<cpu><topology sockets='1' cores='2' threads='1'/></cpu>",
            "<cpu> has one patch:op here and another in line 1 of the patch, and nothing tells the two apart",
        ),
        (
            "<cpu><topology patch:op='replace' sockets='1' cores='2' threads='1'/>\n<topology dies='1'/></cpu>",
            "<topology> has one patch:op here and another in line 1 of the patch, and nothing tells the two apart",
        ),
        (
            "<vcpu patch:op='keep'>2</vcpu>\n<vcpu>4</vcpu>",
            "<vcpu> has one patch:op here and another in line 1 of the patch, and nothing tells the two apart",
        ),
        (
            "<devices><disk patch:op='update'><target dev='vdb'/></disk>\n<disk><target dev='vdb'/></disk></devices>",
            "<disk> has one patch:op here and another in line 1 of the patch, and nothing tells the two apart",
        ),
        (
            "<devices><disk patch:op='append'><target dev='vdb'/></disk>\n<disk patch:op='append'><target dev='vdb'/></disk></devices>",
            "a second <disk> with <target dev='vdb'>; the first stands in line 1 of the patch",
        ),
        (
            "<cpu><feature name='a' policy='require'/></cpu>\n<cpu><feature name='a' policy='disable'/></cpu>",
            "a second <feature> with name='a'; the first stands in line 1 of the patch",
        ),
        (
            "<devices><memballoon model='none'/></devices><devices><memballoon model='virtio'/></devices>",
            "<memballoon> has model='none' in line 1 of the patch and model='virtio' here",
        ),
        (
            "<cpu><feature name='a' policy='require'/><feature name='a' policy='disable'/></cpu>",
            "a second <feature> with name='a'; the first stands in line 1 of the patch",
        ),
        (
            "<devices><disk><target dev='vdb'/></disk><disk><target dev='vdb'/></disk></devices>",
            "a second <disk> with <target dev='vdb'>; the first stands in line 1 of the patch",
        ),
    ] {
        assert_eq!(refused("<domain/>", &d(patch)), message);
    }
    // The same twice is no contradiction.
    check(
        "<domain/>",
        &d("<vcpu>2</vcpu><vcpu>2</vcpu>"),
        "<domain>\n  <vcpu>2</vcpu>\n</domain>",
    );
    check(
        "<domain/>",
        &d("<cpu mode='maximum'/><cpu mode='maximum' check='none'/>"),
        "<domain>\n  <cpu mode='maximum' check='none'/>\n</domain>",
    );
}

#[test]
fn a_set_of_cpus_is_the_same_in_any_spelling() {
    let domain = |sched: &str| format!("<domain><cputune>{sched}</cputune></domain>");
    check(
        &domain("<vcpusched vcpus='0,1' scheduler='rr' priority='1'/>"),
        &domain("<vcpusched vcpus='0-1' priority='2'/>"),
        &domain("<vcpusched vcpus='0,1' scheduler='rr' priority='2'/>"),
    );
    check(
        &domain("<vcpusched vcpus='0-3,^2' scheduler='rr'/>"),
        &domain("<vcpusched xmlns:patch='urn:virt-patch:1' patch:op='remove' vcpus='0,1,3'/>"),
        "<domain><cputune/></domain>",
    );
}

/// Two USB controllers with one index and another model are no place for a third; the parts of an ich9
/// are.
#[test]
fn what_differs_from_all_that_it_could_be_is_not_one_more() {
    let controller = |model: &str| format!("<controller type='usb' index='0' model='{model}'/>");
    let devices = |models: &[&str]| {
        let all: String = models.iter().map(|model| controller(model)).collect();
        format!("<domain><devices>{all}</devices></domain>")
    };
    let there = devices(&["ich9-ehci1", "ich9-uhci1"]);
    assert_eq!(
        refused(&there, &devices(&["qemu-xhci"])),
        "<controller> could be the one in line 1 or in line 1; neither has the model= of the patch; take out what is to go with patch:op='remove' (line 1 of the definition)"
    );
    check(
        &there,
        &devices(&["ich9-uhci2"]),
        &devices(&["ich9-ehci1", "ich9-uhci1", "ich9-uhci2"]),
    );
    check(
        &devices(&["ich9-ehci1"]),
        &devices(&["qemu-xhci"]),
        &devices(&["qemu-xhci"]),
    );
}

#[test]
fn a_message_names_what_would_tell_them_apart() {
    let devices = |inside: &str| format!("<domain><devices>{inside}</devices></domain>");
    let usb = |model: &str| format!("<controller type='usb' index='0' model='{model}'/>");
    let usb = usb("ich9-ehci1") + &usb("ich9-uhci1");
    for (before, patch, how) in [
        (
            usb.as_str(),
            "<controller type='usb' index='0'><alias name='ua-u'/></controller>",
            "say which with model=",
        ),
        (
            "<video><model type='qxl'/></video><video><model type='vga'/></video>",
            "<video><driver iommu='on'/></video>",
            "say which with <model type=…>",
        ),
        (
            "<interface><alias name='ua-1'/></interface><interface/>",
            "<interface><model type='virtio'/></interface>",
            "say which with <alias name=…>",
        ),
        (
            "<interface/><interface/>",
            "<interface><model type='virtio'/></interface>",
            "nothing tells them apart; give the one that is meant an <alias name='ua-…'/> first",
        ),
        (
            "<audio id='1'/><audio id='1'/>",
            "<audio id='1' type='none'/>",
            "the definition should have one",
        ),
    ] {
        assert_eq!(
            refused(&devices(before), &devices(patch)),
            format!(
                "<{}> could be the one in line 1 or in line 1; {how} (line 1 of the definition)",
                patch
                    .trim_start_matches('<')
                    .split([' ', '>'])
                    .next()
                    .unwrap()
            )
        );
    }
}

#[test]
fn an_environment_variable_has_one_value() {
    let env = |name: &str| format!("<qemu:env name='{name}' value='1'/>");
    let patch = format!(
        "<qemu:commandline>{}{}</qemu:commandline>",
        env("A"),
        env("A")
    );
    assert_eq!(
        refused("<domain/>", &patch),
        "a second <qemu:env> with name='A'; the first stands in line 1 of the patch"
    );
}
