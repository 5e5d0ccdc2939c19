//! What goes when a patch makes another kind of an element.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::check;

fn d(body: &str) -> String {
    format!("<domain>{body}</domain>")
}

fn devices(body: &str) -> String {
    format!("<domain><devices>{body}</devices></domain>")
}

#[test]
fn what_cannot_stand_beside_the_new_attribute_goes() {
    for (before, patch, after) in [
        (
            "<devices><disk type='file'><source file='/a' startupPolicy='optional'/><target dev='a'/></disk></devices>",
            "<devices><disk type='block'><source dev='/b'/><target dev='a'/></disk></devices>",
            "<devices><disk type='block'><source startupPolicy='optional' dev='/b'/><target dev='a'/></disk></devices>",
        ),
        (
            "<devices><interface type='network'><source network='n' portgroup='p'/></interface></devices>",
            "<devices><interface type='bridge'><source bridge='b'/></interface></devices>",
            "<devices><interface type='bridge'><source bridge='b'/></interface></devices>",
        ),
        (
            "<devices><video><model type='qxl' ram='1' vram='2' heads='1'/></video></devices>",
            "<devices><video><model type='virtio'/></video></devices>",
            "<devices><video><model type='virtio' heads='1'/></video></devices>",
        ),
        (
            "<clock offset='timezone' timezone='x'><timer name='rtc'/></clock>",
            "<clock offset='variable' basis='utc'/>",
            "<clock offset='variable' basis='utc'><timer name='rtc'/></clock>",
        ),
        // Only where the patch says the type: what the old one has belongs to it.
        (
            "<devices><disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='a'/></disk></devices>",
            "<devices><disk><source file='/b.iso'/><target dev='a'/></disk></devices>",
            "<devices><disk type='block' device='cdrom'><source dev='/dev/sr0' file='/b.iso'/><target dev='a'/></disk></devices>",
        ),
        (
            "<devices><video><model type='vga' vram='65536'/></video></devices>",
            "<devices><video><model type='bochs'/></video></devices>",
            "<devices><video><model type='bochs' vram='65536'/></video></devices>",
        ),
        (
            "<clock offset='utc' adjustment='reset'/>",
            "<clock offset='localtime'/>",
            "<clock offset='localtime' adjustment='reset'/>",
        ),
        (
            "<clock offset='variable' adjustment='1' basis='utc'/>",
            "<clock offset='utc'/>",
            "<clock offset='utc'/>",
        ),
        // What the patch names itself is meant, and so is what does not change.
        (
            "<devices><disk><source file='/a'/><target dev='a'/></disk></devices>",
            "<devices><disk><source file='/a' dev='/b'/><target dev='a'/></disk></devices>",
            "<devices><disk><source file='/a' dev='/b'/><target dev='a'/></disk></devices>",
        ),
        (
            "<devices><video><model type='virtio' vram='2'/></video></devices>",
            "<devices><video><model type='virtio' heads='2'/></video></devices>",
            "<devices><video><model type='virtio' vram='2' heads='2'/></video></devices>",
        ),
    ] {
        check(&d(before), &d(patch), &d(after));
    }
}

#[test]
fn what_belongs_to_the_old_kind_of_a_device_goes() {
    for (before, patch, after) in [
        (
            "<interface type='network'><source network='n'/><model type='virtio'/></interface>",
            "<interface type='user'/>",
            "<interface type='user'><model type='virtio'/></interface>",
        ),
        (
            "<interface type='network'><source network='n'/></interface>",
            "<interface type='hostdev' managed='yes'><source><address type='pci' bus='0x03'/></source></interface>",
            "<interface type='hostdev' managed='yes'><source><address type='pci' bus='0x03'/></source></interface>",
        ),
        (
            "<interface type='hostdev' managed='yes'><source><address type='pci' bus='0x03'/></source><driver name='vfio'/></interface>",
            "<interface type='network'><source network='n'/></interface>",
            "<interface type='network'><source network='n'/></interface>",
        ),
        (
            "<interface type='ethernet'><script path='/up'/><target dev='tap0'/></interface>",
            "<interface type='bridge'><source bridge='b'/></interface>",
            "<interface type='bridge'><source bridge='b'/><target dev='tap0'/></interface>",
        ),
        // Two of one type, each with what it has.
        (
            "<interface type='user'><source dev='eth0'/></interface>",
            "<interface type='user'><model type='e1000'/></interface>",
            "<interface type='user'><source dev='eth0'/><model type='e1000'/></interface>",
        ),
        (
            "<disk type='network'><source protocol='nbd' name='x'><host name='h'/></source><target dev='a'/></disk>",
            "<disk type='file'><source file='/a'/><target dev='a'/></disk>",
            "<disk type='file'><source file='/a'></source><target dev='a'/></disk>",
        ),
        (
            "<disk type='file' device='cdrom'><source file='/a' startupPolicy='optional'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><source startupPolicy='optional'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='file' device='cdrom'><source file='/a'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><target dev='a'/></disk>",
        ),
        (
            "<disk type='file'><source file='/a'><encryption format='luks'/></source><target dev='a'/></disk>",
            "<disk type='nvme'><source type='pci' namespace='1'><address bus='0x01'/></source><target dev='a'/></disk>",
            "<disk type='nvme'><source type='pci' namespace='1'><encryption format='luks'/><address bus='0x01'/></source><target dev='a'/></disk>",
        ),
        // An address on another bus.
        (
            "<disk><target dev='a' bus='virtio'/><address type='pci' slot='0x04'/></disk>",
            "<disk><target dev='a' bus='sata'/></disk>",
            "<disk><target dev='a' bus='sata'/></disk>",
        ),
        (
            "<disk><target dev='a' bus='virtio'/><address type='pci' domain='0x0' slot='0x04'/></disk>",
            "<disk><target dev='a' bus='sata'/><address type='drive' unit='1'/></disk>",
            "<disk><target dev='a' bus='sata'/><address type='drive' unit='1'/></disk>",
        ),
        (
            "<disk><target dev='a' bus='virtio'/><address type='pci' slot='0x04'/></disk>",
            "<disk><target dev='a' bus='virtio'/></disk>",
            "<disk><target dev='a' bus='virtio'/><address type='pci' slot='0x04'/></disk>",
        ),
        (
            "<serial type='tcp'><source mode='bind' host='h' service='1'/><protocol type='telnet'/><target port='0'/></serial>",
            "<serial type='file'><source path='/log'/><target port='0'/></serial>",
            "<serial type='file'><source path='/log'/><target port='0'/></serial>",
        ),
        (
            "<rng model='virtio'><rate bytes='9'/><backend model='random'>/dev/urandom</backend></rng>",
            "<rng model='virtio'><backend model='builtin'/></rng>",
            "<rng model='virtio'><rate bytes='9'/><backend model='builtin'/></rng>",
        ),
        (
            "<memballoon model='virtio'><stats period='5'/><address type='pci'/></memballoon>",
            "<memballoon model='none'/>",
            "<memballoon model='none'/>",
        ),
        (
            "<video><model type='virtio' heads='1'><acceleration accel3d='yes'/></model><address type='pci'/></video>",
            "<video><model type='none'/></video>",
            "<video><model type='none'/></video>",
        ),
        // Both of what libvirt writes twice.
        (
            "<graphics type='vnc' port='-1' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics>",
            "<graphics type='vnc' listen='0.0.0.0'/>",
            "<graphics type='vnc' port='-1' listen='0.0.0.0'><listen type='address' address='0.0.0.0'/></graphics>",
        ),
        (
            "<graphics type='vnc' port='-1' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics>",
            "<graphics type='vnc'><listen type='address' address='0.0.0.0'/></graphics>",
            "<graphics type='vnc' port='-1' listen='0.0.0.0'><listen type='address' address='0.0.0.0'/></graphics>",
        ),
        (
            "<graphics type='vnc' port='-1' autoport='yes' listen='h'><listen type='address' address='h'/></graphics>",
            "<graphics type='vnc'><listen type='none'/></graphics>",
            "<graphics type='vnc'><listen type='none'/></graphics>",
        ),
        (
            "<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/></graphics>",
            "<graphics type='vnc' listen='0.0.0.0'/>",
            "<graphics type='vnc' listen='0.0.0.0'><listen type='address' address='0.0.0.0'/></graphics>",
        ),
        (
            "<graphics type='vnc' listen='h'><listen type='address' address='h'/></graphics>",
            "<graphics type='vnc'><listen type='network' network='n'/></graphics>",
            "<graphics type='vnc'><listen type='network' network='n'/></graphics>",
        ),
    ] {
        check(&devices(before), &devices(patch), &devices(after));
    }
}

#[test]
fn what_belongs_to_the_old_mode_of_the_cpu_goes() {
    let model = "<cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model><vendor>Intel</vendor><feature name='a'/></cpu>";
    for (before, patch, after) in [
        (
            model,
            "<cpu mode='host-passthrough' migratable='on'/>",
            "<cpu mode='host-passthrough' match='exact' migratable='on'><feature name='a'/></cpu>",
        ),
        // What to do where the model is missing says nothing where there is none.
        (
            model,
            "<cpu mode='host-model'><model fallback='allow'/></cpu>",
            "<cpu mode='host-model' match='exact'><feature name='a'/></cpu>",
        ),
        (
            "<cpu mode='host-passthrough' migratable='on'><topology cores='2'/><cache mode='passthrough'/></cpu>",
            "<cpu mode='custom'><model>Skylake-Client</model></cpu>",
            "<cpu mode='custom'><model>Skylake-Client</model><topology cores='2'/></cpu>",
        ),
        (
            "<cpu mode='host-passthrough' migratable='on'><cache mode='passthrough'/></cpu>",
            "<cpu mode='maximum'/>",
            "<cpu mode='maximum' migratable='on'><cache mode='passthrough'/></cpu>",
        ),
        (
            model,
            "<cpu mode='custom'><feature name='b'/></cpu>",
            &model.replace(
                "<feature name='a'/>",
                "<feature name='a'/><feature name='b'/>",
            ),
        ),
    ] {
        check(&d(before), &d(patch), &d(after));
    }
}

#[test]
fn an_image_has_one_host_but_where_it_can_have_several() {
    let disk = |protocol: &str, hosts: &str| {
        devices(&format!(
            "<disk type='network'><source protocol='{protocol}' name='x'>{hosts}</source><target dev='a'/></disk>"
        ))
    };
    let (old, new) = ("<host name='a' port='1'/>", "<host name='b' port='1'/>");
    for protocol in ["nbd", "iscsi", "https"] {
        check(
            &disk(protocol, old),
            &disk(protocol, new),
            &disk(protocol, new),
        );
    }
    for protocol in ["rbd", "gluster"] {
        let both = disk(protocol, &format!("{old}{new}"));
        check(&disk(protocol, old), &disk(protocol, new), &both);
    }
}

#[test]
fn a_users_network_has_one_address_of_each_family() {
    let nic = |kind: &str, inside: &str| {
        devices(&format!("<interface type='{kind}'>{inside}</interface>"))
    };
    let old = "<ip family='ipv4' address='10.0.2.0' prefix='24'/>";
    let new = "<ip family='ipv4' address='10.9.0.0' prefix='24'/>";
    let six = "<ip family='ipv6' address='fd00::' prefix='64'/>";
    check(&nic("user", old), &nic("user", new), &nic("user", new));
    check(
        &nic("user", old),
        &nic("user", six),
        &nic("user", &format!("{old}{six}")),
    );
    // An interface of the host's can have several.
    check(
        &nic("ethernet", old),
        &nic("ethernet", new),
        &nic("ethernet", &format!("{old}{new}")),
    );
}
