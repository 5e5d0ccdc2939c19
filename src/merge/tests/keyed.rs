//! Elements whose key is to go, and elements that nothing tells apart.

use super::*;

fn devices(inside: &str) -> String {
    format!("<domain xmlns:patch='urn:virt-patch:1'><devices>{inside}</devices></domain>")
}

#[test]
fn an_element_whose_key_goes_is_one_that_is_there() {
    let none = devices("<emulator/>");
    for (before, patch, after) in [
        (
            "<interface><mac address='52:54:00:aa:bb:cc'/><model/></interface>",
            "<interface type='user'><mac address='52:54:00:aa:bb:cc' patch:op='remove'/></interface>",
            "<interface type='user'><model/></interface>",
        ),
        (
            "<interface><alias name='ua-a'/></interface>",
            "<interface><alias name='ua-a' patch:op='remove'/><model type='virtio'/></interface>",
            "<interface><model type='virtio'/></interface>",
        ),
        (
            "<disk><target dev='vda' bus='virtio'/></disk>",
            "<disk device='disk'><target dev='vda' patch:op='remove'/></disk>",
            "<disk device='disk'/>",
        ),
        (
            "<disk><target dev='vda'/></disk>",
            "<disk device='disk'><target dev='vda' bus='virtio' patch:op='update'/></disk>",
            "<disk device='disk'><target dev='vda' bus='virtio'/></disk>",
        ),
        (
            "<disk><target dev='vda'/></disk>",
            "<disk patch:op='replace'><driver/><target dev='vda' patch:op='remove'/></disk>",
            "<disk><driver/></disk>",
        ),
        (
            "<disk><target dev='vda'/></disk>",
            "<disk device='disk' patch:op='default'><target dev='vda' patch:op='keep'/></disk>",
            "<disk><target dev='vda'/></disk>",
        ),
        (
            "<serial type='pty'><target port='0'/></serial>",
            "<serial type='pty'><target port='0' patch:op='remove'/></serial>",
            "<serial type='pty'/>",
        ),
        (
            "<console><target type='virtio'/></console>",
            "<console type='pty'><target type='virtio' patch:op='remove'/></console>",
            "<console type='pty'/>",
        ),
        (
            "<memory model='dimm'><target><node>0</node></target></memory>",
            "<memory model='dimm' access='shared'><target><node patch:op='remove'>0</node></target></memory>",
            "<memory model='dimm' access='shared'><target/></memory>",
        ),
        (
            "<hostdev type='usb'><source><address bus='1' device='2'/></source></hostdev>",
            "<hostdev type='usb' managed='yes'><source><address bus='1' device='2' patch:op='keep'/></source></hostdev>",
            "<hostdev type='usb' managed='yes'><source><address bus='1' device='2'/></source></hostdev>",
        ),
        (
            "<hostdev type='usb'><source><address bus='1' device='2'/></source></hostdev>",
            "<hostdev type='usb' managed='yes'><source patch:op='keep'><address bus='1' device='2'/></source></hostdev>",
            "<hostdev type='usb' managed='yes'><source><address bus='1' device='2'/></source></hostdev>",
        ),
    ] {
        check(&devices(before), &devices(patch), &devices(after));
        check(&none, &devices(patch), &none);
        // Nor is it written with what is around it.
        check("<domain/>", &devices(patch), "<domain/>");
        check(
            "<domain/>",
            &devices(&format!("<rng/>{patch}")),
            "<domain>\n  <devices>\n    <rng/>\n  </devices>\n</domain>",
        );
    }
    // An address of its own is no part of what tells it apart.
    let hostdev = "<hostdev type='usb'><source><address bus='1'/></source></hostdev>";
    check(
        &devices(""),
        &devices(&hostdev.replace("</h", "<address patch:op='remove'/></h")),
        &devices(hostdev),
    );
}

#[test]
fn what_is_not_there_to_have_its_key_updated_is_told() {
    let disk = "<disk device='disk'><target dev='vda' bus='sata' patch:op='update'/></disk>";
    for (before, absent) in [
        (
            "<domain/>".to_owned(),
            &["<disk> with <target dev='vda'>"][..],
        ),
        (devices(""), &["<disk> with <target dev='vda'>"]),
        (devices("<disk><target dev='vda'/></disk>"), &[]),
    ] {
        let document = Document::parse_domain(&before).unwrap();
        let patch = Patch::new("p", devices(disk));
        let wanted = patch.resolve().unwrap();
        let merged = merged_wanted(&document, &patch, &wanted).unwrap();
        let notes = absent
            .iter()
            .map(|what| format!("there is no {what} to update"));
        assert_eq!(merged.notes, notes.collect::<Vec<_>>(), "{before}");
    }
}

#[test]
fn of_several_alike_what_stays_comes_before_what_goes() {
    let remove = |element: &str| element.replace("/>", " patch:op='remove'/>");
    let usb = "<redirdev bus='usb'/>";
    let spice = "<redirdev bus='usb' type='spicevmc'/>";
    let tcp = "<redirdev bus='usb' type='tcp'/>";
    let one = |policy: &str| {
        format!("<domain xmlns:patch='urn:virt-patch:1'><cpu>{policy}</cpu></domain>")
    };
    let (disable, require) = (
        "<feature name='a' policy='disable'/>",
        "<feature name='a' policy='require'/>",
    );
    for before in [disable, require] {
        for patch in [
            format!("{}{require}", remove(disable)),
            format!("{require}{}", remove(disable)),
        ] {
            check(&one(before), &one(&patch), &one(require));
        }
    }
    let first = format!("{}{usb}", remove(usb));
    let two = format!("{}{first}", remove(usb));
    for (before, patch, after) in [
        (String::new(), &first, usb.to_owned()),
        (spice.to_owned(), &first, spice.to_owned()),
        (format!("{spice}{tcp}"), &first, tcp.to_owned()),
        (spice.to_owned(), &two, spice.to_owned()),
        (format!("{spice}{tcp}"), &two, tcp.to_owned()),
        (format!("{tcp}{tcp}{spice}"), &two, spice.to_owned()),
    ] {
        check(&devices(&before), &devices(patch), &devices(&after));
    }
    // Each run would take one more.
    assert_eq!(
        refused(
            &devices(&format!("{spice}\n{tcp}\n{tcp}")),
            &devices(&first)
        ),
        "<redirdev> could be the one in line 1 or in line 2; say which with type= (line 1 of the definition)"
    );
}

#[test]
fn what_is_removed_is_not_there_for_a_default() {
    let crb = "<tpm model='tpm-crb'/>";
    let patch = devices(
        "<tpm model='tpm-tis' patch:op='remove'/><tpm model='tpm-crb' patch:op='default'/>",
    );
    for before in ["", "<tpm model='tpm-tis'/>", crb] {
        check(&devices(before), &patch, &devices(crb));
    }
}

#[test]
fn what_is_removed_and_added_again_is_no_change() {
    let boot = "<domain><os><boot dev='hd'/></os></domain>";
    let document = Document::parse_domain(boot).unwrap();
    let patch = "<domain xmlns:patch='urn:virt-patch:1'><os><boot dev='hd' patch:op='append'/><boot patch:op='remove'/></os></domain>";
    assert_eq!(merged(&document, &Patch::new("p", patch)).unwrap(), None);
}

#[test]
fn what_the_next_run_would_take_for_another_is_not_made() {
    let (input, hub) = ("<input type='tablet' bus='usb'/>", "<hub type='usb'/>");
    let op = |element: &str, op: &str| element.replace("/>", &format!(" patch:op='{op}'/>"));
    for (element, first, second) in [
        (input, "keep", "merge"),
        (input, "keep", "replace"),
        (input, "merge", "append"),
        (hub, "keep", "append"),
        (hub, "append", "merge"),
    ] {
        let patch = devices(&format!("{}\n{}", op(element, first), op(element, second)));
        let message = format!(
            "<{}> would be new, and nothing tells it from the one in line 1 of the patch, which says something else",
            &element[1..].split(' ').next().unwrap(),
        );
        assert_eq!(refused(&devices(""), &patch), message, "{patch}");
    }
    let serial = "<serial><target port='0' patch:op='remove'/></serial>";
    let again = devices(&format!("{serial}{}", serial.replace("remove", "merge")));
    assert!(refused(&devices(""), &again).starts_with("<serial> would be new"));
    let inside = "<interface><source bridge='a' patch:op='keep'/><source bridge='a'/></interface>";
    assert!(refused(&devices(""), &devices(inside)).starts_with("<source> would be new"));
    // Those that are there are told by their order.
    let keep = |second: &str| devices(&format!("{}{}", op(hub, "keep"), op(hub, second)));
    let two = devices(&hub.repeat(2));
    check(&devices(hub), &keep("append"), &two);
    check(&two, &keep("merge"), &two);
}

/// A network interface is known by its address; a name of its own tells apart only where no
/// address is said, or several have it.
#[test]
fn the_address_of_an_interface_settles_which_one_it_is() {
    let mac = "<mac address='52:54:00:aa:bb:cc'/>";
    for (before, patch, after) in [
        // Given a name, given another one, and none.
        (
            format!("<interface>{mac}</interface>"),
            format!("<interface>{mac}<alias name='ua-a'/></interface>"),
            format!("<interface>{mac}<alias name='ua-a'/></interface>"),
        ),
        (
            format!("<interface/><interface>{mac}<alias name='ua-b'/></interface>"),
            format!("<interface>{mac}<alias name='ua-a'/></interface>"),
            format!("<interface/><interface>{mac}<alias name='ua-a'/></interface>"),
        ),
        (
            format!("<interface>{mac}<alias name='ua-b'/></interface>"),
            format!("<interface>{mac}<alias name='ua-b' patch:op='remove'/></interface>"),
            format!("<interface>{mac}</interface>"),
        ),
        // Two with one address: libvirt takes them, with a warning.
        (
            format!(
                "<interface>{mac}<alias name='ua-a'/></interface><interface>{mac}<alias name='ua-b'/></interface>"
            ),
            format!("<interface>{mac}<model type='virtio'/><alias name='ua-b'/></interface>"),
            format!(
                "<interface>{mac}<alias name='ua-a'/></interface><interface>{mac}<model type='virtio'/><alias name='ua-b'/></interface>"
            ),
        ),
        // Without an address the name says which one.
        (
            format!("<interface>{mac}</interface>"),
            "<interface><alias name='ua-a'/></interface>".to_owned(),
            format!("<interface>{mac}</interface><interface><alias name='ua-a'/></interface>"),
        ),
    ] {
        check(&devices(&before), &devices(&patch), &devices(&after));
    }
}

/// Many are found by an index, which says the same as a look at each.
#[test]
fn many_elements_of_a_patch_find_theirs() {
    let host = |slot: usize, more: &str| {
        format!(
            "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' slot='0x{slot:02x}'/></source>{more}</hostdev>"
        )
    };
    // The same address, written shorter.
    let short = |slot: usize, op: &str, more: &str| {
        format!(
            "<hostdev type='pci'{op}><source><address bus='3' slot='{slot}'/></source>{more}</hostdev>"
        )
    };
    let all = |of: &dyn Fn(usize) -> String| (0..20).map(of).collect::<String>();
    let before = devices(&all(&|slot| host(slot, "")));
    check(
        &before,
        &devices(&all(&|slot| short(slot, "", "<rom bar='off'/>"))),
        &devices(&all(&|slot| host(slot, "<rom bar='off'/>"))),
    );
    let removed = |slot: usize| short(slot, " patch:op='remove'", "");
    let kept = |slot: usize| {
        if slot < 10 {
            String::new()
        } else {
            host(slot, "")
        }
    };
    check(
        &before,
        &devices(&(0..10).map(removed).collect::<String>()),
        &devices(&all(&kept)),
    );
    check(
        &before,
        &devices(&all(&|slot| short(slot, " patch:op='append'", ""))),
        &before,
    );
    // What says it in the second of two parts is taken out as well, as by a patch that speaks of one.
    let two = "<disk><source file='/a'/><target dev='vda'/><target dev='vdb'/></disk>";
    let others: String = (0..9)
        .map(|n| format!("<disk patch:op='remove'><target dev='sd{n}'/></disk>"))
        .collect();
    let patch = "<disk patch:op='remove'><target dev='vdb'/></disk>";
    for others in ["", &others] {
        let patch = devices(&format!("{others}{patch}"));
        check(
            &devices(&format!("{two}<rng/>")),
            &patch,
            &devices("<rng/>"),
        );
    }
}

/// What an application keeps in `<metadata>` has attributes of its own.
#[test]
fn an_attribute_in_metadata_is_no_directive_without_its_prefix() {
    let inside =
        "<metadata><my:a xmlns:my='u:x'><rule op='add' when='x'>x</rule></my:a></metadata>";
    let patch = format!("<domain>{inside}</domain>");
    check(
        "<domain>\n  <vcpu>1</vcpu>\n</domain>",
        &patch,
        &format!(
            "<domain>\n  {}\n  <vcpu>1</vcpu>\n</domain>",
            inside
                .replace("<my:a", "\n    <my:a")
                .replace("<rule", "\n      <rule")
                .replace("</my", "\n    </my")
                .replace("</metadata", "\n  </metadata")
        ),
    );
}
