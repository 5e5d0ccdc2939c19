#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

/// What is missing, with lines; both are the inside of a `<domain>`.
fn lost(ours: &str, stored: &str) -> Vec<String> {
    let domain =
        |inside: &str| format!("<domain xmlns:qemu='{}'>{inside}</domain>", qemu::NAMESPACE);
    let found = missing(&domain(ours), &domain(stored)).unwrap();
    found.into_iter().map(|missing| missing.what).collect()
}

#[track_caller]
fn check(rows: &[(&str, &str, &[&str])]) {
    for (ours, stored, expected) in rows {
        assert_eq!(&lost(ours, stored), expected, "{ours}\n{stored}");
    }
}

/// Measured with libvirt 9.0.
#[test]
fn memory_that_libvirt_works_out_itself() {
    let numa = "<cpu><numa><cell id='0' cpus='0' memory='512' unit='MiB'/></numa></cpu><devices><memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory></devices>";
    let with = |memory: &str| format!("{memory}{numa}");
    let module = with("<memory unit='KiB'>524288</memory>");
    let all = with("<memory unit='KiB'>655360</memory>");
    let other = with("<memory unit='KiB'>600000</memory>");
    check(&[
        (
            "<memory unit='KiB'>262144</memory><currentMemory unit='KiB'>524288</currentMemory>",
            "<memory unit='KiB'>262144</memory><currentMemory unit='KiB'>262144</currentMemory>",
            &[],
        ),
        (
            "<memory unit='KiB'>524288</memory><currentMemory unit='KiB'>262144</currentMemory>",
            "<memory unit='KiB'>524288</memory><currentMemory unit='KiB'>524288</currentMemory>",
            &["'262144' in <currentMemory> became '524288'"],
        ),
        (&module, &all, &[]),
        (&module, &other, &["'524288' in <memory> became '600000'"]),
    ]);
}

#[test]
fn notations_of_one_value() {
    check(&[
        (
            "<memory unit='GiB'>4</memory>",
            "<memory unit='KiB'>4194304</memory>",
            &[],
        ),
        (
            "<memory>4194304</memory>",
            "<memory unit='KiB'>4194304</memory>",
            &[],
        ),
        (
            "<memory unit='b'>1000001</memory>",
            "<memory unit='KiB'>977</memory>",
            &[],
        ),
        (
            "<memory unit='GiB'>4</memory>",
            "<memory unit='KiB'>4194300</memory>",
            &[
                "unit='GiB' of <memory> became 'KiB'",
                "'4' in <memory> became '4194300'",
            ],
        ),
        (
            "<uuid>C2EE9E6ED3BE4A52B1C18A4BD3FA13E5</uuid>",
            "<uuid>c2ee9e6e-d3be-4a52-b1c1-8a4bd3fa13e5</uuid>",
            &[],
        ),
        (
            "<vcpu cpuset='0,1,2'>4</vcpu>",
            "<vcpu placement='static' cpuset='0-2'>4</vcpu>",
            &[],
        ),
        (
            "<os><type machine='q35'>hvm</type></os>",
            "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>",
            &[],
        ),
        ("<title>\n  My VM\n</title>", "<title>My VM</title>", &[]),
        (
            "<devices><disk><address type='pci' bus='0' slot='5'/></disk></devices>",
            "<devices><disk><address type='pci' domain='0x0000' bus='0x00' slot='0x05'/></disk></devices>",
            &[],
        ),
        (
            "<cpu><numa><cell cpus='0-1' memory='2' unit='GiB'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0-3' memory='2097152' unit='KiB'/></numa></cpu>",
            &[],
        ),
        (
            "<name>a</name>",
            "<name>b</name>",
            &["'a' in <name> became 'b'"],
        ),
        (
            "<on_crash>preserve</on_crash>",
            "",
            &["<on_crash>preserve is missing"],
        ),
    ]);
}

#[test]
fn elements_find_their_partners() {
    check(&[
        // Another order and additions are no loss.
        (
            "<devices><disk><target dev='vdb'/></disk><disk><target dev='vda'/></disk></devices>",
            "<devices><disk type='file'><target dev='vda' bus='virtio'/></disk><disk><target dev='vdb'/></disk></devices>",
            &[],
        ),
        // The one without a MAC may not take the partner of the one with.
        (
            "<devices><interface type='user'/><interface type='user'><mac address='52:54:00:00:00:01'/></interface></devices>",
            "<devices><interface type='user'><mac address='52:54:00:00:00:01'/></interface>\
             <interface type='user'><mac address='52:54:00:00:00:02'/></interface></devices>",
            &[],
        ),
        // Two equal ones need two.
        (
            "<devices><input type='tablet'/><input type='tablet'/></devices>",
            "<devices><input type='tablet'/><input type='mouse'/></devices>",
            &["<input type='tablet'> is missing"],
        ),
        // A change is told as a change of the right element.
        (
            "<devices><disk><driver cache='none'/><target dev='vda'/></disk><disk><target dev='vdb'/></disk></devices>",
            "<devices><disk><target dev='vdb'/></disk><disk><driver cache='writeback'/><target dev='vda'/></disk></devices>",
            &["cache='none' of <driver> became 'writeback'"],
        ),
    ]);
}

#[test]
fn what_libvirt_drops_in_silence() {
    check(&[
        (
            "<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='9' cpuset='1'/></cputune>",
            "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>",
            &["<vcpupin vcpu='9' cpuset='1'> is missing"],
        ),
        (
            "<devices><tvpm model='x'/></devices>",
            "<devices/>",
            &["<tvpm model='x'> is missing"],
        ),
        (
            "<qemu:commandline><qemu:arg value='-usb'/></qemu:commandline>",
            "",
            &["<qemu:commandline> is missing"],
        ),
        (
            "<cpu mode='host-passthrough'><model vendor_id='GenuineIntel'/></cpu>",
            "<cpu mode='host-passthrough' check='none'/>",
            &["<model vendor_id='GenuineIntel'> is missing"],
        ),
        (
            "<metadata><a xmlns='urn:x'/><a xmlns='urn:x'>2</a></metadata>",
            "<metadata><a xmlns='urn:x'/></metadata>",
            &["<a>2 is missing"],
        ),
        (
            "<devices><graphics type='vnc' passwd='sesame'/></devices>",
            "<devices><graphics type='vnc'/></devices>",
            &["passwd='…' of <graphics> is missing"],
        ),
        (
            "<devices><graphics type='vnc' passwd='sesame'/></devices>",
            "<devices><graphics type='vnc' passwd='other'/></devices>",
            &["passwd='…' of <graphics> became something else"],
        ),
    ]);
}

#[test]
fn what_is_no_loss() {
    check(&[
        // Of a drive without a medium libvirt makes one for files.
        (
            "<devices><disk type='volume' device='cdrom'><target dev='sda'/></disk></devices>",
            "<devices><disk type='file' device='cdrom'><target dev='sda'/></disk></devices>",
            &[],
        ),
        (
            "<devices><disk type='block' device='cdrom'><source dev='/d'/><target dev='sda'/></disk></devices>",
            "<devices><disk type='file' device='cdrom'><target dev='sda'/></disk></devices>",
            &["<disk type='block' device='cdrom'> is missing"],
        ),
        (
            "<devices><console type='pty'><target type='virtio' port='0'/></console></devices>",
            "<devices><console type='pty'><target type='virtio' port='1'/></console></devices>",
            &[],
        ),
        (
            "<devices><channel type='unix'><source mode='bind'/><target type='virtio' name='a'/></channel></devices>",
            "<devices><channel type='unix'><target type='virtio' name='a'/></channel></devices>",
            &[],
        ),
        (
            "<devices><channel type='unix'><source mode='bind' path='/run/a'/><target type='virtio' name='a'/></channel></devices>",
            "<devices><channel type='unix'><target type='virtio' name='a'/></channel></devices>",
            &["<source mode='bind' path='/run/a'> is missing"],
        ),
        (
            "<cputune><vcpusched vcpus='0-1' scheduler='fifo' priority='1'/></cputune>",
            "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/>\
             <vcpusched vcpus='1' scheduler='fifo' priority='1'/></cputune>",
            &[],
        ),
        (
            "<cputune><vcpusched vcpus='0-1' scheduler='fifo' priority='1'/></cputune>",
            "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/>\
             <vcpusched vcpus='1' scheduler='fifo' priority='2'/></cputune>",
            &["<vcpusched vcpus='0-1' scheduler='fifo' priority='1'> is missing"],
        ),
        (
            "<devices><graphics type='vnc' port='5900' autoport='yes'/></devices>",
            "<devices><graphics type='vnc' port='-1' autoport='yes'/></devices>",
            &[],
        ),
        (
            "<devices><graphics type='vnc' port='5900'/></devices>",
            "<devices><graphics type='vnc' port='5901'/></devices>",
            &["port='5900' of <graphics> became '5901'"],
        ),
        (
            "<devices><sound><alias name='sound0'/></sound></devices>",
            "<devices><sound/></devices>",
            &[],
        ),
        (
            "<devices><sound><alias name='ua-mine'/></sound></devices>",
            "<devices><sound/></devices>",
            &["<alias name='ua-mine'> is missing"],
        ),
        (
            "<devices><serial type='tcp'/><console type='pty'/></devices>",
            "<devices><serial type='tcp'/><console type='tcp'/></devices>",
            &[],
        ),
        (
            "<cpu mode='maximum' match='exact'/>",
            "<cpu mode='maximum'/>",
            &[],
        ),
        (
            "<cpu mode='custom' match='exact'/>",
            "<cpu mode='custom'/>",
            &["match='exact' of <cpu> is missing"],
        ),
        // libvirt reads several of these as one.
        (
            "<features><acpi/></features><features><apic/></features>",
            "<features><acpi/><apic/></features>",
            &[],
        ),
    ]);
}

#[test]
fn arguments_are_a_sequence() {
    let block = |values: &[&str]| {
        let args: String = values
            .iter()
            .map(|value| format!("<qemu:arg value='{value}'/>"))
            .collect();
        format!("<qemu:commandline>{args}</qemu:commandline>")
    };
    let lost = |ours: &[&str], stored: &[&str]| lost(&block(ours), &block(stored));
    assert_eq!(
        lost(&["-usb", "-cpu", "Penryn"], &["-usb", "-cpu", "Penryn"]),
        [] as [&str; 0]
    );
    assert_eq!(
        lost(&["-a", "-b"], &["-b", "-a"]),
        ["<qemu:arg value='-b'> is missing"]
    );
    assert_eq!(
        lost(&["-usb", "-usb"], &["-usb"]),
        ["<qemu:arg value='-usb'> is missing"]
    );
    // A key is not shown.
    assert_eq!(
        lost(&["-device", "isa-applesmc,osk=secret"], &["-device"]),
        ["<qemu:arg value='isa-applesmc,…'> is missing"]
    );
}

#[test]
fn arguments_may_stand_in_several_blocks() {
    let ours = "<qemu:commandline><qemu:arg value='-a'/></qemu:commandline>\
                <qemu:commandline><qemu:env name='X' value='1'/><qemu:arg value='-b'/></qemu:commandline>";
    let stored = "<qemu:commandline><qemu:arg value='-a'/><qemu:arg value='-b'/>\
                  <qemu:env name='X' value='1'/></qemu:commandline>";
    check(&[(ours, stored, &[])]);
}

#[test]
fn the_prefix_of_a_namespace_is_nobodys_business() {
    let ours = "<domain><q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\
                <q:arg value='-usb'/></q:commandline></domain>";
    let stored = "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline>\
                  <qemu:arg value='-usb'/></qemu:commandline></domain>";
    assert_eq!(missing(ours, stored).unwrap(), []);
}

#[test]
fn a_loss_is_located() {
    let ours = "<domain>\n  <devices>\n    <disk><target dev='vda'/></disk>\n    \
                <disk>\n      <target dev='vdb' bus='sata'/></disk>\n  </devices>\n</domain>";
    let stored = "<domain><devices><disk><target dev='vda'/></disk>\
                  <disk><target dev='vdb' bus='ide'/></disk></devices></domain>";
    let [loss] = &missing(ours, stored).unwrap()[..] else {
        panic!()
    };
    assert_eq!(loss.path, "/domain/devices/disk[2]/target/@bus");
    assert_eq!(
        loss.to_string(),
        "line 5: bus='sata' of <target> became 'ide'"
    );
}

#[test]
fn meaning_of_two_definitions() {
    for (a, b, same) in [
        ("<domain id='3'/>", "<domain/>", true),
        (
            "<domain><memory unit='GiB'>1</memory></domain>",
            "<domain><memory>1048576</memory></domain>",
            true,
        ),
        ("<domain/>", "<domain><title>x</title></domain>", false),
        ("<domain/>", "<network/>", false),
        (
            "<domain><os><boot dev='hd'/><boot dev='cdrom'/></os></domain>",
            "<domain><os><boot dev='cdrom'/><boot dev='hd'/></os></domain>",
            false,
        ),
    ] {
        assert_eq!(same_meaning(a, b).unwrap(), same, "{a} {b}");
    }
    assert!(same_meaning("<domain>", "<domain/>").is_err());
}
