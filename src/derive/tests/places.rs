//! Sources of devices, replayed where the device is of another kind or has none.

use super::others::{devices, replayed};
use super::*;

/// The devices that the change of a source is replayed on, before and after. Each is one line.
fn becomes(before: &str, after: &str, other: &str, expected: &str) {
    let got = replayed(&devices(before), &devices(after), &devices(other)).unwrap();
    let lines: String = got.lines().map(str::trim).collect();
    let expected = devices(expected);
    let expected: String = expected.lines().map(str::trim).collect();
    assert_eq!(lines, expected, "{after}");
}

fn cdrom(kind: &str, source: &str) -> String {
    format!("<disk type='{kind}' device='cdrom'>{source}<target dev='sda' bus='sata'/></disk>")
}

fn network(protocol: &str, parts: &str) -> String {
    let source = format!("<source protocol='{protocol}' {parts}</source>");
    format!("<disk type='network' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>")
}

fn interface(kind: &str, source: &str) -> String {
    format!("<interface type='{kind}'>{source}<model type='virtio'/></interface>")
}

fn serial(kind: &str, source: &str) -> String {
    format!("<serial type='{kind}'>{source}<target port='0'/></serial>")
}

#[test]
fn what_is_said_of_an_image_is_no_other_image() {
    let file = "<source file='/i.iso'/>";
    for (before, after, other, expected) in [
        // More of a source that stays changes no kind of another.
        (
            cdrom("file", file),
            cdrom("file", "<source file='/i.iso' startupPolicy='optional'/>"),
            cdrom("block", "<source dev='/dev/sr0'/>"),
            cdrom(
                "block",
                "<source dev='/dev/sr0' startupPolicy='optional'/>",
            ),
        ),
        (
            interface("network", "<source network='a'/>"),
            interface("network", "<source network='a' portgroup='p'/>"),
            interface("bridge", "<source bridge='br0'/>"),
            interface("bridge", "<source bridge='br0' portgroup='p'/>"),
        ),
        (
            interface("direct", "<source dev='e' mode='vepa'/>"),
            interface("direct", "<source dev='e' mode='bridge'/>"),
            interface("user", ""),
            interface("user", ""),
        ),
        (
            serial("file", "<source path='/x'/>"),
            serial("file", "<source path='/x' append='on'/>"),
            serial("pty", ""),
            serial("pty", ""),
        ),
        // Another place is a whole one, of the kind it is of.
        (
            cdrom("file", file),
            cdrom("block", "<source dev='/dev/sr0'/>"),
            cdrom("file", ""),
            cdrom("block", "<source dev='/dev/sr0'/>"),
        ),
        (
            cdrom("volume", "<source pool='a' volume='i' startupPolicy='optional'/>"),
            cdrom("volume", "<source pool='b' volume='i' startupPolicy='optional'/>"),
            cdrom("file", file),
            cdrom("volume", "<source pool='b' volume='i'/>"),
        ),
        (
            network("nbd", "name='a'><host name='h'/>"),
            network("nbd", "name='b'><host name='h'/>"),
            "<disk type='file' device='disk'><source file='/d'/><target dev='vda' bus='virtio'/></disk>"
                .to_owned(),
            network("nbd", "name='b'><host name='h'/>"),
        ),
        (
            interface("network", "<source network='a'/>"),
            interface("bridge", "<source bridge='br0'/>"),
            interface("user", ""),
            interface("bridge", "<source bridge='br0'/>"),
        ),
        (
            interface("direct", "<source dev='e' mode='vepa'/>"),
            interface("direct", "<source dev='f' mode='vepa'/>"),
            interface("network", "<source network='a'/>"),
            interface("direct", "<source dev='f' mode='vepa'/>"),
        ),
        (
            interface(
                "hostdev",
                "<source><address type='pci' domain='0' bus='1' slot='0' function='0'/></source>",
            ),
            interface(
                "hostdev",
                "<source><address type='pci' domain='0' bus='2' slot='0' function='0'/></source>",
            ),
            interface("bridge", "<source bridge='br0'/>"),
            interface(
                "hostdev",
                "<source><address type='pci' domain='0' bus='2' slot='0' function='0'/></source>",
            ),
        ),
        (
            serial("tcp", "<source mode='bind' host='::' service='1'/>"),
            serial("tcp", "<source mode='bind' host='::' service='2'/>"),
            serial("pty", ""),
            serial("tcp", "<source mode='bind' host='::' service='2'/>"),
        ),
        // The kind changes, and the place stays.
        (
            serial("file", "<source path='/x'/>"),
            serial("pipe", "<source path='/x'/>"),
            serial("pty", ""),
            serial("pipe", "<source path='/x'/>"),
        ),
        // One of two sources changes.
        (
            serial(
                "udp",
                "<source mode='bind' host='::' service='1'/><source mode='connect' host='a' service='2'/>",
            ),
            serial(
                "udp",
                "<source mode='bind' host='::' service='1'/><source mode='connect' host='a' service='3'/>",
            ),
            serial("pty", ""),
            serial(
                "udp",
                "<source mode='connect' host='a' service='3'/><source mode='bind' host='::' service='1'/>",
            ),
        ),
        (
            "<filesystem type='mount'><source dir='/a'/><target dir='t'/></filesystem>".to_owned(),
            "<filesystem type='mount'><source dir='/b'/><target dir='t'/></filesystem>".to_owned(),
            "<filesystem type='block'><source dev='/c'/><target dir='t'/></filesystem>".to_owned(),
            "<filesystem type='mount'><source dir='/b'/><target dir='t'/></filesystem>".to_owned(),
        ),
    ] {
        becomes(&before, &after, &other, &expected);
        becomes(&before, &after, &before, &after);
    }
}

#[test]
fn the_kind_is_said_with_a_place_only() {
    let plain = Keep::default();
    let update = |attributes: &str, source: &str| {
        format!(
            "<devices>\n  <interface patch:op=\"update\"{attributes}>\n    {source}\n  </interface>\n</devices>\n"
        )
    };
    for (before, after, patch) in [
        (
            interface("network", "<source network='a'/>"),
            interface("network", "<source network='a' portgroup='p'/>"),
            update("", "<source patch:op=\"update\" portgroup=\"p\"/>"),
        ),
        (
            interface("network", "<source network='a' portgroup='p'/>"),
            interface("network", "<source network='b' portgroup='p'/>"),
            update(" type=\"network\"", "<source network=\"b\"/>"),
        ),
    ] {
        recorded_between(&devices(&before), &devices(&after), &plain, &patch);
    }
}

/// An image that is read as one of another format is lost with the first write.
#[test]
fn an_image_comes_with_its_format() {
    let disk = |driver: &str, file: &str, more: &str| {
        format!(
            "<disk type='file' device='disk'><driver name='qemu' type='{driver}'/><source file='/{file}'{more}<target dev='vda' bus='virtio'/></disk>"
        )
    };
    let luks =
        "><encryption format='luks'><secret type='passphrase' usage='a'/></encryption></source>";
    let bare = disk("raw", "c", "/>").replace("<driver name='qemu' type='raw'/>", "");
    for (before, after, other, expected) in [
        (
            disk("qcow2", "a", "/>"),
            disk("qcow2", "b", "/>"),
            disk("raw", "c", "/>"),
            disk("qcow2", "b", "/>"),
        ),
        (
            disk("raw", "a", "/>"),
            disk("raw", "b", "/>"),
            disk("qcow2", "c", "/>"),
            disk("raw", "b", "/>"),
        ),
        (
            disk("qcow2", "a", "/>"),
            disk("qcow2", "b", "/>"),
            bare,
            disk("qcow2", "b", "/>").replace(" name='qemu'", ""),
        ),
        (
            disk("raw", "a", luks),
            disk("raw", "b", luks),
            disk("raw", "c", "/>"),
            disk("raw", "b", luks),
        ),
        // A format alone is recorded as ever.
        (
            disk("raw", "a", "/>"),
            disk("qcow2", "a", "/>"),
            disk("raw", "c", "/>"),
            disk("qcow2", "c", "/>"),
        ),
        // A drive of the network is emptied as one for files.
        (
            cdrom("file", "<source file='/i.iso'/>"),
            cdrom("file", ""),
            cdrom(
                "network",
                "<source protocol='http' name='i.iso'><host name='h'/></source>",
            ),
            cdrom("file", ""),
        ),
    ] {
        becomes(&before, &after, &other, &expected);
    }
}

/// The merge takes out what says the boot order in the other way, where it makes one.
#[test]
fn a_boot_order_takes_out_no_boot_device_of_a_domain_that_does_not_get_it() {
    let with = |boots: &str, disk: &str, order: &str| {
        format!(
            "<domain type='kvm'><os><type>hvm</type>{boots}</os><devices><disk type='file' device='disk'><source file='/{disk}'/><target dev='{disk}'/>{order}</disk></devices></domain>"
        )
    };
    let (hd, order) = ("<boot dev='hd'/>", "<boot order='1'/>");
    let both = "<boot dev='network'/><boot dev='hd'/>";
    let (before, after) = (with(hd, "vda", ""), with("", "vda", order));
    for keep in [Keep::default(), Keep::ALL] {
        recorded_between(
            &before,
            &after,
            &keep,
            "
<devices>
  <disk patch:op=\"update\" device=\"disk\">
    <target dev=\"vda\"/>
    <boot order=\"1\"/>
  </disk>
</devices>
",
        );
    }
    for (other, expected) in [
        (&before, &after),
        (&with(both, "vda", ""), &after),
        (&with(both, "sda", ""), &with(both, "sda", "")),
    ] {
        let got = replayed(&before, &after, other).unwrap();
        assert_eq!(
            got.split_whitespace().collect::<String>(),
            expected.replace(' ', "")
        );
    }
    // Where no device gets an order, what goes is taken out.
    recorded_between(
        &with(hd, "vda", ""),
        &with("", "vda", ""),
        &Keep::ALL,
        "<os>\n  <boot patch:op=\"remove\" dev=\"hd\"/>\n</os>\n",
    );
    // And so is one that goes where another stays: a domain with that one alone boots by the other.
    let more = "<boot dev='hd'/><boot dev='fd'/>";
    recorded_between(
        &with(more, "vda", ""),
        &with(hd, "vda", ""),
        &Keep::ALL,
        "<os>\n  <boot patch:op=\"remove\" dev=\"fd\"/>\n  <boot dev=\"hd\"/>\n</os>\n",
    );
    // Orders of devices: one that had none gets its own.
    let nic = |order: &str| {
        with("", "vda", "<boot order='1'/>")
            .replace(
                "</devices>",
                "<interface type='user'><boot order='2'/></interface></devices>",
            )
            .replace(
                "order='1'",
                if order == "disk" {
                    "order='1'"
                } else {
                    "order='3'"
                },
            )
    };
    recorded_between(
        &nic("disk"),
        &nic("network"),
        &Keep::ALL,
        "
<devices>
  <disk patch:op=\"update\" device=\"disk\">
    <target dev=\"vda\"/>
    <boot order=\"3\"/>
  </disk>
</devices>
",
    );
}

/// With another kind goes what belongs to the old one; what stays is said.
#[test]
fn what_a_device_of_another_kind_keeps_is_recorded() {
    let plain = Keep::default();
    let mac = "<mac address='52:54:00:00:00:01'/>";
    let port = "<virtualport type='openvswitch'/>";
    let vlan = "<vlan><tag id='2'/></vlan>";
    let with = |kind: &str, source: &str, rest: &str| {
        interface(kind, &format!("{mac}<source {source}/>{rest}"))
    };
    for (part, said) in [
        (port, "<virtualport type=\"openvswitch\"/>"),
        (
            vlan,
            "<vlan patch:op=\"replace\">\n      <tag id=\"2\"/>\n    </vlan>",
        ),
    ] {
        let before = devices(&with("bridge", "bridge='b'", part));
        let after = devices(&with("network", "network='n'", part));
        let patch = format!(
            "<devices>\n  <interface patch:op=\"update\" type=\"network\">\n    <source patch:unset=\"bridge\" network=\"n\"/>\n    {said}\n  </interface>\n</devices>\n"
        );
        recorded_between(&before, &after, &plain, &patch);
    }
    // A bridge of Open vSwitch is none without.
    becomes(
        &with("bridge", "bridge='a'", port),
        &with("bridge", "bridge='b'", port),
        &interface("user", ""),
        &interface("bridge", &format!("<source bridge='b'/>{port}")),
    );
    // Another image of the same chain.
    let image = |name: &str| {
        let chain = "<backingStore type='file'><source file='/base'/></backingStore>";
        format!("<disk type='file'><source file='/{name}'/>{chain}<target dev='vda'/></disk>")
    };
    becomes(&image("a"), &image("b"), &image("a"), &image("b"));
    // An image of another host has not both.
    let image = |host: &str| network("nbd", &format!("name='x'><host name='{host}'/>"));
    becomes(&image("a"), &image("b"), &image("c"), &image("b"));
    let images = |hosts: [&str; 2]| {
        let hosts = hosts.map(|host| format!("<host name='{host}'/>")).concat();
        network("rbd", &format!("name='x'>{hosts}"))
    };
    let (two, others) = (images(["a", "b"]), images(["a", "c"]));
    becomes(&two, &others, &two, &others);
}
