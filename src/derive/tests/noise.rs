//! What is left out, and what is left of the elements it was in.

use super::others::{devices, replayed};
use super::*;

#[test]
fn what_noise_empties_is_left_out_with_it() {
    let plain = Keep::default();
    let interface = |inside: &str| {
        format!("<interface type='ethernet'>{inside}<model type='e1000'/></interface>")
    };
    let cdrom = |source: &str| {
        format!("<disk type='file' device='cdrom'>{source}<target dev='sda'/></disk>")
    };
    let full = cdrom("<source file='/x.iso' index='1'/>");
    let update = |inside: &str| {
        format!(
            "<devices>\n  <disk patch:op=\"update\" device=\"cdrom\">\n    <target dev=\"sda\"/>\n    {inside}\n  </disk>\n</devices>\n"
        )
    };
    let port = |target: &str| {
        format!(
            "<controller type='pci' model='pcie-root-port'><driver iommu='on'/>{target}</controller>"
        )
    };
    for (before, after, patch) in [
        (
            String::new(),
            interface("<target dev='vnet1'/>"),
            "<devices>\n  <interface patch:op=\"append\" type=\"ethernet\">\n    <model type=\"e1000\"/>\n  </interface>\n</devices>\n"
                .to_owned(),
        ),
        (
            interface("<target dev='tap0'/>"),
            interface("<target dev='vnet1'/>"),
            "<devices>\n  <interface patch:op=\"update\">\n    <target patch:op=\"remove\"/>\n  </interface>\n</devices>\n"
                .to_owned(),
        ),
        (
            full.clone(),
            cdrom("<source index='4'/>"),
            update("<source patch:op=\"remove\"/>").replace(
                "device=\"cdrom\"",
                "device=\"cdrom\" type=\"file\"",
            ),
        ),
        (
            String::new(),
            port("<target chassis='1' port='0x8'/>"),
            "<devices>\n  <controller patch:op=\"append\" type=\"pci\" model=\"pcie-root-port\">\n    <driver iommu=\"on\"/>\n  </controller>\n</devices>\n"
                .to_owned(),
        ),
        // Of what somebody wrote so nothing was left out.
        (cdrom(""), cdrom("<source/>"), update("<source/>")),
        // What else it says stays.
        (
            full.clone(),
            cdrom("<source index='4'><seclabel relabel='no'/></source>"),
            update(
                "<source patch:op=\"update\" patch:unset=\"file\">\n      <seclabel relabel=\"no\"/>\n    </source>",
            ),
        ),
    ] {
        let (before, after) = (devices(&before), devices(&after));
        recorded_between(&before, &after, &plain, &patch);
    }
    let got = replayed(
        &devices(&full),
        &devices(&cdrom("<source index='4'/>")),
        &devices(&full),
    );
    assert_eq!(got.unwrap(), devices(&cdrom("")));
    // The state alone is no difference.
    for (one, two) in [
        (interface(""), interface("<target dev='vnet1'/>")),
        (cdrom("<source index='4'/>"), cdrom("")),
    ] {
        let (one, two) = (devices(&one), devices(&two));
        assert!(derive(&one, &two, &plain).unwrap().empty);
        assert!(derive(&two, &one, &plain).unwrap().empty);
    }
}

/// As `virsh dumpxml` gives a running domain: what libvirt found or chose at its start.
#[test]
fn of_a_running_domain_no_start_is_recorded() {
    let plain = Keep::default();
    let with = |id: &str, inside: &str, source: &str, chain: &str| {
        format!(
            "<domain type='kvm'{id}><name>vm</name>{inside}<devices><disk type='file'>{source}{chain}<target dev='vda'/></disk></devices></domain>"
        )
    };
    let chain = "<backingStore type='file' index='3'><format type='qcow2'/><source file='/base'/><backingStore/></backingStore>";
    let partition = "<resource><partition>/machine</partition></resource>";
    let (id, source) = (" id='7'", "<source file='/x'/>");
    for (before, after) in [
        (
            with("", "", source, ""),
            with(id, partition, source, "<backingStore/>"),
        ),
        (with("", "", source, chain), with(id, "", source, "")),
        (
            with(id, "", source, "<backingStore/>"),
            with(id, "", source, chain),
        ),
    ] {
        for (one, two) in [(&before, &after), (&after, &before)] {
            let derived = derive(one, two, &plain).unwrap();
            assert!(derived.empty, "{}", derived.patch);
        }
    }
    // A disk that was attached.
    let none = format!("<domain type='kvm'{id}><name>vm</name><devices/></domain>");
    recorded_between(
        &none,
        &with(id, "", source, chain),
        &plain,
        "
<devices>
  <disk patch:op=\"append\" type=\"file\">
    <source file=\"/x\"/>
    <target dev=\"vda\"/>
  </disk>
</devices>
",
    );
    // What somebody wrote is recorded.
    recorded_between(
        &with("", "", source, ""),
        &with(
            "",
            "<resource><partition>/machine</partition></resource>",
            source,
            "<backingStore/>",
        ),
        &plain,
        "
<resource>
  <partition>/machine</partition>
</resource>
<devices>
  <disk patch:op=\"update\">
    <target dev=\"vda\"/>
    <backingStore/>
  </disk>
</devices>
",
    );
    recorded_between(
        &with(id, "", source, ""),
        &with(
            id,
            "<resource><partition>/other</partition></resource>",
            source,
            "",
        ),
        &plain,
        "<resource>\n  <partition>/other</partition>\n</resource>\n",
    );
    // One of each kind is warned of.
    let (stored, running) = (with("", "", source, ""), with(id, "", source, ""));
    for (before, after, live) in [
        (&stored, &running, Some(Side::After)),
        (&running, &stored, Some(Side::Before)),
        (&running, &running, None),
        (&stored, &stored, None),
    ] {
        for keep in [plain, Keep::ALL] {
            assert_eq!(derive(before, after, &keep).unwrap().live, live);
        }
    }
}

#[test]
fn where_all_that_differs_is_left_out_the_words_for_it_are_said() {
    let plain = Keep::default();
    let xhci = "<controller type='usb' model='qemu-xhci'/>";
    let scsi = "<controller type='scsi' index='0' model='lsilogic'/>";
    let with = |inside: &str| devices(&format!("{xhci}{inside}"));
    let named = |name: &str, mac: &str| {
        format!(
            "<domain><name>{name}</name><devices><interface type='user'><mac address='{mac}'/></interface></devices></domain>"
        )
    };
    let running = |id: &str| format!("<domain{id}><name>a</name></domain>");
    for (before, after, words) in [
        (with(""), with(scsi), &["controllers"][..]),
        (with(scsi), with(""), &["controllers"]),
        (
            named("a", "52:54:00:00:00:01"),
            named("b", "52:54:00:00:00:02"),
            &["mac", "name"],
        ),
        (
            devices(""),
            devices("<memballoon model='virtio'/>"),
            &["defaults"],
        ),
        (running(""), running(" id='1'"), &["all"]),
        // No difference.
        (with(scsi), with(&format!("\n    {scsi}\n")), &[]),
    ] {
        assert!(derive(&before, &after, &plain).unwrap().empty);
        assert_eq!(left_out(&before, &after, &plain), words, "{after}");
        for word in words {
            let mut keep = plain;
            assert!(keep.add(word));
            assert!(!derive(&before, &after, &keep).unwrap().empty, "{word}");
        }
    }
}

/// What libvirt wants to be, or makes, another one in each domain.
#[test]
fn ids_of_one_domain_are_recorded_with_its_uuid() {
    let uuid = "c7a5fdbd-cdaf-9455-926a-d65c16db1809";
    let bare = |inside: &str| format!("<domain><name>a</name>{inside}</domain>");
    let smbios = |entries: &str| {
        bare(&format!(
            "<sysinfo type='smbios'><system>{entries}</system></sysinfo>"
        ))
    };
    let own = format!("<entry name='uuid'>{uuid}</entry>");
    let port = |kind: &str, parameters: &str| {
        devices(&format!(
            "<interface type='bridge'><source bridge='b'/><virtualport{kind}>{parameters}</virtualport></interface>"
        ))
    };
    let ovs = |parameters: &str| port(" type='openvswitch'", parameters);
    let id = |name: &str| format!("<parameters {name}='{uuid}'/>");
    let said = |name: &str| format!("<parameters {name}='{uuid}' profileid='p'/>");
    let with_uuid = Keep {
        uuid: true,
        ..Keep::default()
    };
    // Before and after, and whether what is left out is all that differs.
    for (before, after, is_all) in [
        (ovs(""), ovs(&id("interfaceid")), true),
        (ovs(""), ovs(&said("interfaceid")), false),
        (
            port(" type='802.1Qbg'", ""),
            port(" type='802.1Qbg'", &id("instanceid")),
            true,
        ),
        (port("", ""), port("", &id("instanceid")), true),
        // libvirt makes none for this one.
        (
            port(" type='midonet'", ""),
            port(" type='midonet'", &id("interfaceid")),
            false,
        ),
        (
            smbios("<entry name='serial'>1</entry>"),
            smbios(&format!("{own}<entry name='serial'>1</entry>")),
            true,
        ),
        (
            smbios("<entry name='serial'>1</entry>"),
            smbios(&format!("{own}<entry name='serial'>2</entry>")),
            false,
        ),
        (bare("<sysinfo type='smbios'/>"), smbios(&own), true),
    ] {
        let recorded = derive(&before, &after, &Keep::default()).unwrap();
        assert_eq!(recorded.empty, is_all, "{}", recorded.patch);
        let is_said = recorded.patch.contains(uuid);
        assert_eq!(is_said, after.contains("midonet"), "{}", recorded.patch);
        let recorded = derive(&before, &after, &with_uuid).unwrap();
        assert!(recorded.patch.contains(uuid), "{}", recorded.patch);
    }
    // Another domain keeps its own.
    let other = ovs("<parameters interfaceid='1'/>");
    let got = replayed(&ovs(""), &ovs(&said("interfaceid")), &other).unwrap();
    assert_eq!(got, ovs("<parameters interfaceid='1' profileid='p'/>"));
}
