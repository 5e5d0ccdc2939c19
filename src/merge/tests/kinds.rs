//! What goes when a patch makes another kind of an element.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::{merged_wanted, patch::Patch};
use super::*;
use crate::document::Document;

fn d(body: &str) -> String {
    format!("<domain xmlns:patch='urn:virt-patch:1'>{body}</domain>")
}

fn devices(body: &str) -> String {
    d(&format!("<devices>{body}</devices>"))
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
        (
            "<interface type='bridge'><source bridge='b'/><virtualport type='openvswitch'/><vlan><tag id='4'/></vlan><mtu size='9000'/><filterref filter='f'/></interface>",
            "<interface type='user'/>",
            "<interface type='user'/>",
        ),
        (
            "<interface type='bridge'><source bridge='b'/><mtu size='9000'/></interface>",
            "<interface type='network'><source network='n'/></interface>",
            "<interface type='network'><source network='n'/><mtu size='9000'/></interface>",
        ),
        (
            "<interface type='user'><ip address='10.0.2.0'/></interface>",
            "<interface type='bridge'><source bridge='b'/></interface>",
            "<interface type='bridge'><source bridge='b'/></interface>",
        ),
        (
            "<interface type='direct'><virtualport type='802.1Qbg'><parameters managerid='1'/></virtualport></interface>",
            "<interface type='direct'><virtualport type='openvswitch'/></interface>",
            "<interface type='direct'><virtualport type='openvswitch'/></interface>",
        ),
        (
            "<interface type='user'><model type='virtio'/><driver name='vhost' queues='4'/></interface>",
            "<interface type='user'><model type='e1000e'/></interface>",
            "<interface type='user'><model type='e1000e'/></interface>",
        ),
        (
            "<controller type='usb' index='0' model='qemu-xhci' ports='15'><address type='pci' slot='0x04'/></controller>",
            "<controller type='usb' index='0' model='none'/>",
            "<controller type='usb' index='0' model='none'/>",
        ),
        (
            "<controller type='scsi' index='0' model='virtio-scsi'><driver queues='4'/></controller>",
            "<controller type='scsi' index='0' model='lsilogic'/>",
            "<controller type='scsi' index='0' model='lsilogic'/>",
        ),
        (
            "<filesystem><driver type='virtiofs' queue='1024'/><binary path='/v'/><source dir='/s'/></filesystem>",
            "<filesystem><driver type='path' wrpolicy='immediate'/></filesystem>",
            "<filesystem><driver type='path' wrpolicy='immediate'/><source dir='/s'/></filesystem>",
        ),
        (
            "<filesystem><driver type='path' wrpolicy='immediate'/><source dir='/s'/><readonly/></filesystem>",
            "<filesystem><driver type='virtiofs'/></filesystem>",
            "<filesystem><driver type='virtiofs'/><source dir='/s'/></filesystem>",
        ),
        // A share by 9p needs no driver.
        (
            "<filesystem model='virtio' accessmode='mapped' fmode='0644' multidevs='remap'><source dir='/s'/><readonly/></filesystem>",
            "<filesystem accessmode='passthrough'><driver type='virtiofs'/></filesystem>",
            "<filesystem accessmode='passthrough'><driver type='virtiofs'/><source dir='/s'/></filesystem>",
        ),
        (
            "<filesystem accessmode='mapped'><source dir='/s'/><readonly/></filesystem>",
            "<filesystem><driver type='path' wrpolicy='immediate'/></filesystem>",
            "<filesystem accessmode='mapped'><driver type='path' wrpolicy='immediate'/><source dir='/s'/><readonly/></filesystem>",
        ),
        (
            "<vsock><cid auto='no' address='9'/></vsock>",
            "<vsock><cid auto='yes'/></vsock>",
            "<vsock><cid auto='yes'/></vsock>",
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
            "<disk type='file'><source file='/a'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='file' device='cdrom'><source file='/a' startupPolicy='optional'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><source dev='/b'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><source startupPolicy='optional' dev='/b'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='file'><source file='/a' startupPolicy='optional'/><target dev='a'/></disk>",
            "<disk type='network'><source protocol='nbd' name='x'/><target dev='a'/></disk>",
            "<disk type='network'><source protocol='nbd' name='x'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='file' device='cdrom'><source file='/a'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><source patch:op='remove'/><target dev='a'/></disk>",
            "<disk type='block' device='cdrom'><target dev='a'/></disk>",
        ),
        // The chain of another image, and what opens it.
        (
            "<disk type='file'><source file='/a'/><backingStore type='file'><source file='/base'/></backingStore><target dev='a'/></disk>",
            "<disk type='file'><source file='/b'/><target dev='a'/></disk>",
            "<disk type='file'><source file='/b'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='file'><source file='/a'/><backingStore/><target dev='a'/></disk>",
            "<disk type='file'><driver cache='none'/><source file='/a'/><target dev='a'/></disk>",
            "<disk type='file'><driver cache='none'/><source file='/a'/><backingStore/><target dev='a'/></disk>",
        ),
        (
            "<disk type='network'><auth username='u'/><source protocol='rbd' name='x'/><target dev='a'/></disk>",
            "<disk type='file'><source file='/a'/><target dev='a'/></disk>",
            "<disk type='file'><source file='/a'/><target dev='a'/></disk>",
        ),
        (
            "<disk type='network'><auth username='u'/><source protocol='rbd' name='x'/><target dev='a'/></disk>",
            "<disk type='network'><source protocol='rbd' name='x'><auth username='v'/></source><target dev='a'/></disk>",
            "<disk type='network'><source protocol='rbd' name='x'><auth username='v'/></source><target dev='a'/></disk>",
        ),
        (
            "<disk><driver name='qemu' queues='4' iothread='1'/><target dev='a' bus='virtio'/></disk>",
            "<disk><target dev='a' bus='sata'/></disk>",
            "<disk><driver name='qemu'/><target dev='a' bus='sata'/></disk>",
        ),
        (
            "<disk><target dev='a' bus='usb' removable='on'/></disk>",
            "<disk><target dev='a' bus='sata'/></disk>",
            "<disk><target dev='a' bus='sata'/></disk>",
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
            "<serial type='tcp'><source mode='connect' host='h' service='1'><reconnect enabled='yes' timeout='3'/></source><target port='0'/></serial>",
            "<serial><source mode='bind' host='0.0.0.0'/><target port='0'/></serial>",
            "<serial type='tcp'><source mode='bind' host='0.0.0.0' service='1'/><target port='0'/></serial>",
        ),
        (
            "<smartcard mode='passthrough' type='unix'><source mode='bind' path='/s'/><address type='ccid' controller='0' slot='0'/></smartcard>",
            "<smartcard mode='passthrough' type='tcp'><source mode='bind' host='h' service='1'/><protocol type='raw'/></smartcard>",
            "<smartcard mode='passthrough' type='tcp'><source mode='bind' host='h' service='1'/><protocol type='raw'/><address type='ccid' controller='0' slot='0'/></smartcard>",
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
        // What tells it apart stays.
        (
            "<audio id='2' type='spice'/>",
            "<audio id='2' type='none'/>",
            "<audio id='2' type='none'/>",
        ),
        (
            "<audio id='2' type='pulseaudio' serverName='s'><input mixingEngine='no'/></audio>",
            "<audio type='alsa'/>",
            "<audio id='2' type='alsa'><input mixingEngine='no'/></audio>",
        ),
        (
            "<memballoon model='virtio'><stats period='5'/><address type='pci'/></memballoon>",
            "<memballoon model='none'/>",
            "<memballoon model='none'><stats period='5'/></memballoon>",
        ),
        (
            "<video><model type='virtio' heads='1'><acceleration accel3d='yes'/></model><address type='pci'/></video>",
            "<video><model type='none'/></video>",
            "<video><model type='none'/></video>",
        ),
        // Both of what libvirt writes twice.
        // libvirt stores it for a port that it chooses: it would be there again.
        (
            "<graphics type='vnc' port='-1' autoport='yes'/>",
            "<graphics type='vnc' patch:unset='port' autoport='yes'/>",
            "<graphics type='vnc' port='-1' autoport='yes'/>",
        ),
        (
            "<graphics type='vnc' port='5901' autoport='no'/>",
            "<graphics type='vnc' patch:unset='port' autoport='yes'/>",
            "<graphics type='vnc' autoport='yes'/>",
        ),
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
            "<graphics type='vnc' port='-1' autoport='yes' listen='h'><listen type='address' address='h'/></graphics>",
            "<graphics type='vnc' socket='/s'/>",
            "<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/></graphics>",
        ),
        (
            "<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/></graphics>",
            "<graphics type='vnc' socket='/t'/>",
            "<graphics type='vnc' socket='/t'><listen type='socket' socket='/t'/></graphics>",
        ),
        // A port that is given is not chosen by libvirt, and the other way round.
        (
            "<graphics type='vnc' port='-1' autoport='yes'/>",
            "<graphics type='vnc' port='5905'/>",
            "<graphics type='vnc' port='5905' autoport='no'/>",
        ),
        (
            "<graphics type='vnc' port='-1' autoport='yes'/>",
            "<graphics type='vnc' port='5905' patch:unset='autoport'/>",
            "<graphics type='vnc' port='5905'/>",
        ),
        (
            "<graphics type='vnc' port='5901' autoport='no'/>",
            "<graphics type='vnc' port='-1'/>",
            "<graphics type='vnc' port='-1' autoport='yes'/>",
        ),
        (
            "<graphics type='spice' port='5901' autoport='no'/>",
            "<graphics type='spice' port='-1' tlsPort='-1' autoport='yes'/>",
            "<graphics type='spice' autoport='yes'/>",
        ),
        (
            "<graphics type='spice' port='-1' autoport='yes'/>",
            "<graphics type='spice' port='-1' tlsPort='-1' autoport='yes'/>",
            "<graphics type='spice' port='-1' autoport='yes'/>",
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
            "<cpu mode='custom' match='exact'><model fallback='forbid' vendor_id='GenuineIntel'>qemu64</model></cpu>",
            "<cpu mode='host-model'/>",
            "<cpu mode='host-model' match='exact'><model vendor_id='GenuineIntel'/></cpu>",
        ),
        // A model without a mode is one of one's own.
        (
            "<cpu mode='host-passthrough' migratable='on'><topology cores='2'/></cpu>",
            "<cpu match='exact'><model fallback='allow'>core2duo</model></cpu>",
            "<cpu mode='custom' match='exact'><model fallback='allow'>core2duo</model><topology cores='2'/></cpu>",
        ),
        (
            "<cpu mode='host-passthrough'><cache level='3' mode='emulate'/></cpu>",
            "<cpu mode='host-passthrough'><cache mode='passthrough'/></cpu>",
            "<cpu mode='host-passthrough'><cache mode='passthrough'/></cpu>",
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

#[test]
fn what_says_the_same_in_another_way_goes() {
    let both = |os: &str, inside: &str| {
        d(&format!(
            "<os><type>hvm</type>{os}</os><devices>{inside}</devices>"
        ))
    };
    let disk = |order: &str| format!("<disk><target dev='a'/>{order}</disk>");
    let (order, hd) = ("<boot order='1'/>", "<boot dev='hd'/>");
    for (before, patch, after) in [
        // The boot order: of devices, or of <os>.
        (
            both(
                "<boot dev='network'/><boot dev='hd'/><bootmenu enable='yes'/>",
                &disk(""),
            ),
            devices(&disk(order)),
            both("<bootmenu enable='yes'/>", &disk(order)),
        ),
        (
            both(
                "",
                &format!(
                    "{}<interface type='user'><boot order='2'/></interface>",
                    disk(order)
                ),
            ),
            d(&format!("<os>{hd}</os>")),
            both(
                hd,
                &format!("{}<interface type='user'></interface>", disk("")),
            ),
        ),
        (
            both(hd, &disk("")),
            d(&format!(
                "<os><boot dev='hd' patch:op='remove'/></os><devices>{}</devices>",
                disk(order)
            )),
            both("", &disk(order)),
        ),
        (
            both("", &disk(order)),
            d(
                "<os><boot dev='hd'/></os><devices><disk><target dev='a'/><boot patch:unset='order'/></disk></devices>",
            ),
            both(hd, &disk("")),
        ),
        (
            both("", &disk(order)),
            devices("<disk><driver cache='none'/><target dev='a'/></disk>"),
            both(
                "",
                &format!("<disk><driver cache='none'/><target dev='a'/>{order}</disk>"),
            ),
        ),
        // Firmware: a loader that is named, or one that libvirt finds.
        (
            d(
                "<os firmware='efi'><type>hvm</type><firmware><feature name='secure-boot'/></firmware></os>",
            ),
            d("<os><loader type='pflash'>/CODE</loader><nvram>/N</nvram></os>"),
            d("<os><type>hvm</type><loader type='pflash'>/CODE</loader><nvram>/N</nvram></os>"),
        ),
        (
            d(
                "<os><type>hvm</type><loader type='pflash' secure='yes'>/CODE</loader><nvram template='/VARS'>/N</nvram></os>",
            ),
            d("<os firmware='efi'/>"),
            d("<os firmware='efi'><type>hvm</type><nvram>/N</nvram></os>"),
        ),
        (
            d("<os><type>hvm</type><loader type='pflash'>/CODE</loader><nvram>/N</nvram></os>"),
            d("<os firmware='bios'/>"),
            d("<os firmware='bios'><type>hvm</type></os>"),
        ),
        // libvirt since 9.2 writes both, and they agree.
        (
            d("<os firmware='efi'><loader type='pflash'>/CODE</loader></os>"),
            d("<os><loader readonly='yes'>/CODE</loader></os>"),
            d("<os firmware='efi'><loader type='pflash' readonly='yes'>/CODE</loader></os>"),
        ),
        (
            d("<os><loader type='pflash' secure='yes' format='qcow2'>/CODE.ms</loader></os>"),
            d("<os><loader type='pflash'>/CODE</loader></os>"),
            d("<os><loader type='pflash'>/CODE</loader></os>"),
        ),
        (
            d(
                "<memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages></memoryBacking>",
            ),
            d("<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>"),
            d("<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>"),
        ),
        (
            d("<features><hyperv mode='custom'><relaxed state='on'/></hyperv></features>"),
            d("<features><hyperv mode='passthrough'/></features>"),
            d("<features><hyperv mode='passthrough'/></features>"),
        ),
        (
            d("<features><hyperv><spinlocks state='on' retries='8191'/></hyperv></features>"),
            d("<features><hyperv><spinlocks state='off'/></hyperv></features>"),
            d("<features><hyperv><spinlocks state='off'/></hyperv></features>"),
        ),
        (
            d("<seclabel type='dynamic' model='dac' relabel='yes'/>"),
            d("<seclabel type='none' model='dac'/>"),
            d("<seclabel type='none' model='dac'/>"),
        ),
        // What libvirt divides up is all meant.
        (
            d(
                "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/><vcpusched vcpus='1' scheduler='fifo' priority='1'/></cputune>",
            ),
            d("<cputune><vcpusched vcpus='0-2' scheduler='fifo' priority='5'/></cputune>"),
            d(
                "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='5'/><vcpusched vcpus='1' scheduler='fifo' priority='5'/><vcpusched vcpus='2' scheduler='fifo' priority='5'/></cputune>",
            ),
        ),
    ] {
        check(&before, &patch, &after);
    }
}

#[test]
fn what_libvirt_reads_as_the_same_is_the_same() {
    for (before, patch) in [
        (
            "<os><type machine='pc-q35-7.2'>hvm</type></os>",
            "<os><type machine='q35'>hvm</type></os>",
        ),
        (
            "<devices><hostdev mode='subsystem' type='usb'><source><address bus='1' device='3'/></source></hostdev></devices>",
            "<devices><hostdev mode='subsystem' type='usb'><source><address bus='0x001' device='003'/></source></hostdev></devices>",
        ),
    ] {
        check(&d(before), &d(patch), &d(before));
    }
    let pc = "<os><type machine='pc-i440fx-7.2'>hvm</type></os>";
    let q35 = "<os><type machine='q35'>hvm</type></os>";
    check(&d(pc), &d(q35), &d(q35));
}

#[test]
fn a_drive_is_no_disk_and_an_image_is_not_forgotten() {
    let cdrom = devices(
        "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sda'/></disk>",
    );
    for (patch, message) in [
        (
            "<disk type='file' device='disk'><source file='/a'/><target dev='sda'/></disk>",
            "'sda' is of device='cdrom' here, and the patch says device='disk' (line 1 of the definition)",
        ),
        (
            "<disk type='file' device='cdrom'><target dev='sda'/></disk>",
            "'sda' is of type='block' here, and the patch says type='file' without a <source> (line 1 of the definition)",
        ),
    ] {
        assert_eq!(super::refused(&cdrom, &devices(patch)), message);
    }
}

#[test]
fn what_is_not_to_change_takes_nothing_out() {
    let nic = "<interface type='user'><model type='virtio'/><driver name='vhost' queues='4'/></interface>";
    let disk = "<disk type='file'><source file='/a'/><backingStore/><target dev='vda' bus='virtio'/><address type='pci'/></disk>";
    let graphics =
        "<graphics type='vnc' port='-1' autoport='yes'><listen type='address'/></graphics>";
    for op in ["default", "keep"] {
        for (before, patch) in [
            (
                nic,
                format!("<interface><model type='e1000e' patch:op='{op}'/></interface>"),
            ),
            (
                disk,
                format!("<disk><source file='/b' patch:op='{op}'/><target dev='vda'/></disk>"),
            ),
            (
                disk,
                format!("<disk patch:op='{op}'><target dev='vda' bus='sata'/></disk>"),
            ),
            (
                graphics,
                format!("<graphics type='vnc'><listen type='none' patch:op='{op}'/></graphics>"),
            ),
        ] {
            check(&devices(before), &devices(&patch), &devices(before));
        }
    }
    let both = |os: &str, inside: &str| {
        d(&format!(
            "<os><type>hvm</type>{os}</os><devices>{inside}</devices>"
        ))
    };
    let before = both("<boot dev='network'/>", "<disk><target dev='vda'/></disk>");
    for patch in [
        "<disk patch:op='default'><target dev='vda'/><boot order='1'/></disk>",
        "<disk><target dev='vda'/><boot order='1' patch:op='keep'/></disk>",
        "<disk><target dev='vda'/><boot order='1' patch:op='update'/></disk>",
        "<disk patch:op='update'><target dev='vdb'/><boot order='1'/></disk>",
        "<disk><target dev='vdb' patch:op='update'/><boot order='1'/></disk>",
    ] {
        check(&before, &devices(patch), &before);
    }
    let ordered = both("", "<disk><target dev='vda'/><boot order='1'/></disk>");
    check(
        &ordered,
        &d("<os patch:op='default'><boot dev='hd'/></os>"),
        &ordered,
    );
    let rbd = "<disk type='network'><auth username='u'/><source protocol='rbd' name='x'/><target dev='vda'/></disk>";
    check(
        &devices(rbd),
        &devices("<disk><source><auth patch:op='keep'/></source><target dev='vda'/></disk>"),
        &devices(rbd),
    );
    check(
        &devices("<interface type='network'><source network='n'/></interface>"),
        &devices(
            "<interface type='bridge'><source bridge='b'/><vlan patch:op='update'><tag id='5'/></vlan></interface>",
        ),
        &devices("<interface type='bridge'><source bridge='b'/></interface>"),
    );
    let efi = d("<os firmware='efi'><type>hvm</type></os>");
    check(
        &efi,
        &d("<os><loader patch:op='update'>/CODE</loader></os>"),
        &efi,
    );
    let scsi =
        "<controller type='scsi' index='0' model='virtio-scsi'><driver queues='4'/></controller>";
    check(
        &devices(scsi),
        &devices("<controller type='scsi' index='0' model='virtio-non-transitional'/>"),
        &devices(&scsi.replace("virtio-scsi", "virtio-non-transitional")),
    );
}

#[test]
fn what_the_old_one_leaves_behind_goes() {
    let source = |inside: &str| format!("<disk type='network'>{inside}<target dev='a'/></disk>");
    for (before, patch, after) in [
        (
            d("<os firmware='efi'><type>hvm</type><loader secure='yes'/></os>"),
            d("<os><loader type='pflash'>/CODE</loader></os>"),
            d("<os><type>hvm</type><loader type='pflash'>/CODE</loader></os>"),
        ),
        (
            d("<os><type>hvm</type><loader readonly='yes' type='pflash'>/CODE</loader></os>"),
            d("<os firmware='efi'><loader secure='yes'/></os>"),
            d("<os firmware='efi'><type>hvm</type><loader secure='yes'/></os>"),
        ),
        (
            d("<os><type>hvm</type><loader>/CODE</loader><nvram template='/VARS'>/N</nvram></os>"),
            d("<os><loader>/CODE.4m</loader><nvram>/N2</nvram></os>"),
            d("<os><type>hvm</type><loader>/CODE.4m</loader><nvram>/N2</nvram></os>"),
        ),
        (
            devices("<disk type='file'><source file='/a'/><backingStore/><target dev='a'/></disk>"),
            devices(
                "<disk type='file'><source file='/b' patch:op='replace'/><target dev='a'/></disk>",
            ),
            devices("<disk type='file'><source file='/b'/><target dev='a'/></disk>"),
        ),
        (
            devices(
                "<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/></graphics>",
            ),
            devices("<graphics type='vnc' port='5901'/>"),
            devices("<graphics type='vnc' port='5901'/>"),
        ),
        (
            devices(
                "<graphics type='spice' port='-1' autoport='yes'><listen type='address'/></graphics>",
            ),
            devices(
                "<graphics type='spice' port='-1' autoport='yes'><listen type='none'/></graphics>",
            ),
            devices("<graphics type='spice'><listen type='none'/></graphics>"),
        ),
        (
            devices(&source(
                "<source protocol='nbd' name='x'><host name='a' port='1'/></source>",
            )),
            devices(&source(
                "<source protocol='nbd' name='x'><host transport='unix' socket='/s'/></source>",
            )),
            devices(&source(
                "<source protocol='nbd' name='x'><host transport='unix' socket='/s'/></source>",
            )),
        ),
        (
            devices(&source(
                "<source protocol='https' name='x' query='q'><host name='a' port='443'/><cookies/></source>",
            )),
            devices(&source(
                "<source protocol='http' name='y'><host name='m'/></source>",
            )),
            devices(&source(
                "<source protocol='http' name='y'><host name='m'/></source>",
            )),
        ),
        (
            devices(
                "<disk><target dev='a' bus='scsi' rotation_rate='1'/><wwn>1</wwn><vendor>v</vendor></disk>",
            ),
            devices("<disk><target dev='a' bus='virtio'/></disk>"),
            devices("<disk><target dev='a' bus='virtio'/></disk>"),
        ),
        (
            d("<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"),
            d("<cputune><vcpusched vcpus='0' scheduler='batch'/></cputune>"),
            d("<cputune><vcpusched vcpus='0' scheduler='batch'/></cputune>"),
        ),
        (
            d(
                "<memoryBacking><hugepages><page size='2' unit='MiB' nodeset='0'/></hugepages></memoryBacking>",
            ),
            d(
                "<memoryBacking><hugepages><page size='1' unit='GiB' nodeset='0'/></hugepages></memoryBacking>",
            ),
            d(
                "<memoryBacking><hugepages><page size='1' unit='GiB' nodeset='0'/></hugepages></memoryBacking>",
            ),
        ),
        (
            d("<cpu mode='host-passthrough'/>"),
            d("<cpu mode='host-model' match='exact'/>"),
            d("<cpu mode='host-model'/>"),
        ),
        (
            d("<os><type machine='pc-q35-rhel9.0.0'>hvm</type></os>"),
            d("<os><type machine='q35'>hvm</type></os>"),
            d("<os><type machine='pc-q35-rhel9.0.0'>hvm</type></os>"),
        ),
    ] {
        check(&before, &patch, &after);
    }
}

/// What is told of merging a patch.
fn notes_of(before: &str, patch: &str) -> Vec<String> {
    let document = Document::parse_domain(before).unwrap();
    let patch = Patch::new("p", patch);
    let wanted = patch.resolve_for(&document).unwrap();
    merged_wanted(&document, &patch, &wanted).unwrap().notes
}

/// A device that has no order does not boot any more where another one gets one.
#[test]
fn it_is_told_which_boot_devices_go() {
    let domain = |os: &str, devices: &str| {
        format!("<domain><os><type>hvm</type>{os}</os><devices>{devices}</devices></domain>")
    };
    let disk = "<disk><target dev='vda'/></disk>";
    let first = "<disk><target dev='vda'/><boot order='1'/></disk>";
    for (before, patch, notes) in [
        (
            domain("<boot dev='hd'/>", disk),
            domain("", first),
            &[
                "<boot dev='hd'> of <os> goes, since a device gets an order: give one to each that is to boot",
            ][..],
        ),
        (
            domain("<boot dev='network'/><boot dev='hd'/>", disk),
            domain("", first),
            &[
                "<boot dev='network'> and <boot dev='hd'> of <os> go, since a device gets an order: give one to each that is to boot",
            ],
        ),
        (
            domain("", first),
            domain("<boot dev='cdrom'/>", ""),
            &[
                "the boot order of the devices goes, since <os> gets a <boot dev=…>: name there all that are to boot",
            ],
        ),
        (domain("", disk), domain("", first), &[]),
    ] {
        assert_eq!(notes_of(&before, &patch), notes, "{before}");
    }
}

/// Another image may be encrypted with the same secret, and another bridge be one of Open vSwitch.
#[test]
fn it_is_told_what_may_be_of_the_old_source() {
    let disk = |source: &str, inside: &str| {
        d(&format!(
            "<devices><disk type='file'><source {source}>{inside}</source><target dev='vda'/></disk></devices>"
        ))
    };
    let nic = |source: &str, inside: &str| {
        d(&format!(
            "<devices><interface type='bridge'><source {source}/>{inside}</interface></devices>"
        ))
    };
    let luks = "<encryption format='luks'><secret type='passphrase' uuid='1'/></encryption>";
    let port = "<virtualport type='openvswitch'/>";
    let kept = "<disk> with <target dev='vda'> gets another image and keeps <encryption> of the old one; where the new one has none, take that out with patch:op='remove'";
    for (before, patch, notes) in [
        (disk("file='/a'", luks), disk("file='/b'", ""), &[kept][..]),
        (disk("file='/a'", luks), disk("file='/a'", ""), &[]),
        (
            disk("file='/a'", luks),
            disk("startupPolicy='optional'", ""),
            &[],
        ),
        (disk("file='/a'", luks), disk("file='/b'", luks), &[]),
        (
            disk("file='/a'", luks),
            disk("file='/b'", "<encryption patch:op='remove'/>"),
            &[],
        ),
        (
            disk("file='/a'", luks),
            disk("file='/b' patch:op='replace'", ""),
            &[],
        ),
        (disk("file='/a'", ""), disk("file='/b'", ""), &[]),
        // By another attribute.
        (
            disk("file='/a'", luks),
            disk("dev='/b'", "").replace("type='file'", "type='block'"),
            &[kept],
        ),
        (
            disk("pool='p' volume='v'", luks),
            disk("pool='q' volume='v'", ""),
            &[kept],
        ),
        (
            nic("bridge='ovs0'", port),
            nic("bridge='br0'", ""),
            &[
                "<interface> gets another bridge and keeps <virtualport> of the old one; where the new one has none, take that out with patch:op='remove'",
            ],
        ),
        (
            nic(
                "bridge='ovs0'",
                &format!("{port}<vlan><tag id='3'/></vlan>"),
            ),
            nic("bridge='br0'", ""),
            &[
                "<interface> gets another bridge and keeps <virtualport> and <vlan> of the old one; where the new one has none, take that out with patch:op='remove'",
            ],
        ),
        (nic("bridge='ovs0'", port), nic("bridge='br0'", port), &[]),
        (nic("bridge='ovs0'", port), nic("bridge='ovs0'", ""), &[]),
    ] {
        assert_eq!(notes_of(&before, &patch), notes, "{before}");
    }
}

/// Of an order that names a disk by another domain's name, only the rest would be left.
#[test]
fn an_order_for_what_is_not_there_takes_no_boot_device_out() {
    let before = |os: &str| {
        d(&format!(
            "<os><type>hvm</type>{os}</os><devices><disk><target dev='sda'/></disk><interface type='user'/></devices>"
        ))
    };
    let patch = |disk: &str| {
        d(&format!(
            "<devices><interface patch:op='update' type='user'><boot order='1'/></interface><disk patch:op='update'><target dev='{disk}'/><boot order='2'/></disk></devices>"
        ))
    };
    let merge = |before: &str, patch: &str| {
        let document = Document::parse_domain(before).unwrap();
        let patch = Patch::new("p", patch);
        super::super::merged(&document, &patch).map_err(|error| error.to_string())
    };
    let hd = before("<boot dev='hd'/>");
    let refused = merge(&hd, &patch("vda")).unwrap_err();
    assert_eq!(
        refused,
        "<disk> with <target dev='vda'> is to get a boot order and is not there, and <boot dev='hd'> of <os> would go for the order of the others"
    );
    for (before, patch) in [(hd.clone(), patch("sda")), (before(""), patch("vda"))] {
        assert!(merge(&before, &patch).unwrap().is_some(), "{before}");
    }
    // Another disk gets an order, and a CD-ROM or NIC is missed by nobody who boots from a disk.
    for missing in [
        "<disk patch:op='update' device='cdrom'><target dev='sdb'/><boot order='2'/></disk>",
        "<disk patch:op='update'><target dev='vdb'/><boot order='2'/></disk>",
        "<interface patch:op='update'><mac address='52:54:00:00:00:09'/><boot order='2'/></interface>",
    ] {
        let patch = d(&format!(
            "<devices><disk patch:op='update'><target dev='sda'/><boot order='1'/></disk>{missing}</devices>"
        ));
        assert!(merge(&hd, &patch).unwrap().is_some(), "{missing}");
    }
}
