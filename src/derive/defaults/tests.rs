//! What libvirt makes of definitions, and what only looks like it.
#![allow(clippy::unwrap_used)]

use crate::derive::{Keep, derive};

/// The patch between two definitions with this inside, without its root.
fn recorded(before: &str, after: &str, keep: &Keep) -> String {
    let domain =
        |inside: &str| format!("<domain type='qemu'>\n  <name>vm</name>\n  {inside}\n</domain>\n");
    let derived = derive(&domain(before), &domain(after), keep).unwrap();
    let lines = derived.patch.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with("<domain") && *line != "</domain>")
        .collect()
}

/// A definition as somebody wrote it, and what libvirt 9.0 stored of it.
const WRITTEN: &str = "<memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu mode='host-model'><topology sockets='1' cores='1' threads='1'/></cpu>
  <clock><timer name='rtc' tickpolicy='catchup'/></clock>
  <devices>
    <disk><source file='/b.img'/><target dev='vdb'/></disk>
    <disk type='file' device='cdrom'><driver cache='none'/><target dev='sda' bus='sata'/></disk>
    <controller type='usb' model='ich9-ehci1'/>
    <controller type='usb' model='ich9-uhci1'><master startport='0'/></controller>
    <interface type='user'/>
    <console type='pty'/>
    <channel type='unix'><source mode='bind'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='tablet'/>
    <graphics type='spice' port='-1' tlsPort='-1' autoport='yes'/>
    <video><model type='qxl'/></video>
    <hostdev mode='subsystem' type='pci'><source><address bus='1' slot='0' function='0'/></source></hostdev>
  </devices>";

const STORED: &str = "<uuid>11111111-1111-1111-1111-111111111111</uuid>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <cpu mode='host-model' check='partial'>
    <topology sockets='1' dies='1' cores='1' threads='1'/>
  </cpu>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/b.img'/>
      <target dev='vdb' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw' cache='none'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <controller type='usb' index='0' model='ich9-ehci1'/>
    <controller type='usb' index='0' model='ich9-uhci1'>
      <master startport='0'/>
    </controller>
    <controller type='sata' index='0'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <interface type='user'>
      <mac address='52:54:00:e3:e9:8a'/>
      <model type='rtl8139'/>
    </interface>
    <serial type='pty'>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='spice' autoport='yes'>
      <listen type='address'/>
    </graphics>
    <audio id='1' type='spice'/>
    <video>
      <model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/>
    </video>
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
      </source>
    </hostdev>
    <memballoon model='virtio'>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </memballoon>
  </devices>";

#[test]
fn what_libvirt_fills_in_is_no_change() {
    assert_eq!(recorded(WRITTEN, STORED, &Keep::default()), "");
    // What was changed besides is recorded, and nothing else.
    let after = STORED
        .replace("<on_crash>destroy", "<on_crash>restart")
        .replace("vgamem='16384'", "vgamem='32768'")
        .replace("<memballoon model='virtio'>", "<memballoon model='none'>")
        .replace(">65536</memory>", ">131072</memory>");
    assert_eq!(
        recorded(WRITTEN, &after, &Keep::default()),
        "<memory unit=\"KiB\">131072</memory>\
         <currentMemory unit=\"KiB\">65536</currentMemory>\
         <on_crash>restart</on_crash>\
         <devices><video patch:op=\"update\"><model patch:op=\"update\" vgamem=\"32768\"/></video>\
         <memballoon model=\"none\"/></devices>"
    );
    // Asked for, it is there.
    let mut keep = Keep::default();
    assert!(keep.add("defaults"));
    let (domain, _) = WRITTEN.split_once("<devices>").unwrap();
    let all = recorded(&format!("{domain}<devices/>"), STORED, &keep);
    for part in [
        "machine=\"pc-q35-7.2\"",
        "<on_reboot>restart</on_reboot>",
        "<memballoon model=\"virtio\"/>",
        "check=\"partial\"",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
}

#[test]
fn what_libvirt_would_not_fill_in_is_a_change() {
    for (before, after, patch) in [
        // It was something else.
        (
            "<devices><memballoon model='none'/></devices>",
            "<devices><memballoon model='virtio'/></devices>",
            "<devices><memballoon model=\"virtio\"/></devices>",
        ),
        (
            "<on_crash>restart</on_crash>",
            "<on_crash>destroy</on_crash>",
            "<on_crash>destroy</on_crash>",
        ),
        (
            "<os><type machine='pc'>hvm</type></os>",
            "<os><type machine='pc-q35-7.2'>hvm</type></os>",
            "<os><type machine=\"pc-q35-7.2\"/></os>",
        ),
        (
            "<os><type machine='pc-q35-6.2'>hvm</type></os>",
            "<os><type machine='pc-q35-7.2'>hvm</type></os>",
            "<os><type machine=\"pc-q35-7.2\"/></os>",
        ),
        // It follows from something that was changed.
        (
            "<devices><graphics type='vnc'/></devices>",
            "<devices><graphics type='vnc' port='5977' autoport='no'/></devices>",
            "<devices><graphics patch:op=\"update\" type=\"vnc\" port=\"5977\" autoport=\"no\"/></devices>",
        ),
        (
            "<devices><graphics type='spice'/></devices>",
            "<devices><graphics type='spice' autoport='yes'/></devices>",
            "<devices><graphics patch:op=\"update\" type=\"spice\" autoport=\"yes\"/></devices>",
        ),
        (
            "<memory unit='KiB'>1024</memory>",
            "<memory unit='KiB'>2048</memory><currentMemory unit='KiB'>2048</currentMemory>",
            "<memory unit=\"KiB\">2048</memory><currentMemory unit=\"KiB\">2048</currentMemory>",
        ),
        // It is something else.
        (
            "",
            "<on_reboot>destroy</on_reboot>",
            "<on_reboot>destroy</on_reboot>",
        ),
        (
            "<memory unit='GiB'>1</memory>",
            "<memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>524288</currentMemory>",
            "<currentMemory unit=\"KiB\">524288</currentMemory>",
        ),
        (
            "<devices><disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices>",
            "<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices>",
            "<devices><disk patch:op=\"update\"><target dev=\"vda\"/><driver name=\"qemu\" type=\"qcow2\"/></disk></devices>",
        ),
        (
            "<devices/>",
            "<devices><memballoon model='virtio' autodeflate='on'/></devices>",
            "<devices><memballoon model=\"virtio\" autodeflate=\"on\"/></devices>",
        ),
        (
            "<devices/>",
            "<devices><memballoon model='virtio'><stats period='5'/></memballoon></devices>",
            "<devices><memballoon model=\"virtio\"><stats period=\"5\"/></memballoon></devices>",
        ),
        // A new device is recorded as it is.
        (
            "<devices/>",
            "<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><target dev='vdz' bus='virtio'/></disk></devices>",
            "<devices><disk patch:op=\"append\" type=\"file\" device=\"disk\"><driver name=\"qemu\" type=\"raw\"/><target dev=\"vdz\" bus=\"virtio\"/></disk></devices>",
        ),
        // Another kind of device comes with what it has.
        (
            "<devices><video><model type='vga' vram='16384' heads='1' primary='yes'/></video></devices>",
            "<devices><video><model type='qxl' ram='65536' vram='16384' vgamem='16384' heads='1' primary='yes'/></video></devices>",
            "<devices><video patch:op=\"update\"><model patch:op=\"update\" type=\"qxl\" ram=\"65536\" vgamem=\"16384\"/></video></devices>",
        ),
        // A number alone would be another amount.
        (
            "<cpu><numa><cell id='0' cpus='0' memory='1024'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0' memory='2048' unit='KiB'/></numa></cpu>",
            "<cpu><numa><cell patch:op=\"update\" id=\"0\" memory=\"2048\" unit=\"KiB\"/></numa></cpu>",
        ),
    ] {
        let got = recorded(before, after, &Keep::default());
        assert_eq!(got, patch, "{before} → {after}");
    }
}

#[test]
fn single_defaults() {
    for (before, after) in [
        (
            "",
            "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>",
        ),
        (
            "<cpu><model>Haswell</model></cpu>",
            "<cpu mode='custom' match='exact' check='none'><model fallback='allow'>Haswell</model></cpu>",
        ),
        (
            "<cpu mode='host-passthrough'/>",
            "<cpu mode='host-passthrough' check='none' migratable='on'/>",
        ),
        (
            "<os><type>hvm</type></os>",
            "<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><boot dev='hd'/></os>",
        ),
        (
            "<features><hyperv><relaxed state='on'/></hyperv></features>",
            "<features><hyperv mode='custom'><relaxed state='on'/></hyperv></features>",
        ),
        (
            "",
            "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><input type='mouse' bus='ps2'/><input type='keyboard' bus='ps2'/><audio id='1' type='none'/><memballoon model='virtio'/></devices>",
        ),
        (
            "<devices><graphics type='vnc'/></devices>",
            "<devices><graphics type='vnc' port='-1' autoport='yes'><listen type='address'/></graphics><audio id='1' type='none'/><video><model type='cirrus' vram='16384' heads='1' primary='yes'/></video></devices>",
        ),
        (
            "<devices><graphics type='vnc' port='5901' listen='127.0.0.1'/></devices>",
            "<devices><graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics></devices>",
        ),
        (
            "<devices><graphics type='vnc' port='5901'><listen type='address' address='127.0.0.1'/></graphics></devices>",
            "<devices><graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics></devices>",
        ),
        (
            "<devices><graphics type='spice'/></devices>",
            "<devices><graphics type='spice'><listen type='none'/></graphics></devices>",
        ),
        (
            "<devices><serial type='tcp'><source mode='bind' host='h' service='1'/></serial><console type='pty'/></devices>",
            "<devices><serial type='tcp'><source mode='bind' host='h' service='1'/><protocol type='raw'/><target type='isa-serial' port='0'><model name='isa-serial'/></target></serial><console type='tcp'><source mode='bind' host='h' service='1'/><protocol type='raw'/><target type='serial' port='0'/></console></devices>",
        ),
        (
            "<devices><hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x1'/></source></hostdev></devices>",
            "<devices><hostdev mode='subsystem' type='usb' managed='no'><source><vendor id='0x1234'/><product id='0x0001'/></source></hostdev></devices>",
        ),
    ] {
        let got = recorded(before, after, &Keep::default());
        assert_eq!(got, "", "{before} → {after}");
    }
}
