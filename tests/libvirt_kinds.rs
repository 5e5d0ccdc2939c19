//! Snippets as wikis show them, which make another kind of something, against a real libvirt: it takes the
//! result, keeps all of it, and the patch is satisfied then.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/user.rs"]
mod user;

use std::process::ExitCode;

use daemon::Daemon;
use user::User;

fn main() -> ExitCode {
    daemon::main(tests![
        what_belongs_to_the_old_kind_is_in_nobodys_way,
        a_device_of_a_running_domain_is_found_again,
        what_libvirt_works_out_itself_is_told,
    ])
}

const MACHINE: &str = "<domain type='qemu'>
  <name>NAME</name>
  <memory unit='MiB'>64</memory>
  <memoryBacking>
    <hugepages>
      <page size='2048' unit='KiB'/>
    </hugepages>
  </memoryBacking>
  <vcpu placement='static'>2</vcpu>
  <cputune>
    <vcpusched vcpus='0-1' scheduler='fifo' priority='1'/>
  </cputune>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <features>
    <acpi/>
    <hyperv mode='custom'>
      <relaxed state='on'/>
    </hyperv>
  </features>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
    <feature policy='disable' name='svm'/>
  </cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/a.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='nbd' name='x'>
        <host name='old' port='10809'/>
      </source>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:11:22:33'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <target type='isa-serial' port='0'/>
    </serial>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <console type='pty'>
      <target type='virtio'/>
    </console>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video>
      <model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1'/>
    </video>
    <memballoon model='virtio'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
";

/// Defines the machine and applies a patch to it; what libvirt stored before and after.
fn applied(libvirt: &Daemon, user: &User, name: &str, snippet: &str) -> (String, String) {
    libvirt.define(&MACHINE.replace("NAME", name));
    let before = libvirt.definition(name);
    let patch = user.file(&format!("{name}.xml"), snippet);
    let arguments = |command| [command, name, "--pass=", "--patch", &patch];
    let apply: Vec<&str> = arguments("apply").into_iter().chain(["--yes"]).collect();
    let run = user.run(&apply);
    assert_eq!(run.code, Some(0), "{snippet}\n{}{}", run.stdout, run.stderr);
    let check = user.run(&arguments("check"));
    let said = format!("{}{}", check.stdout, check.stderr);
    assert_eq!(check.code, Some(0), "{snippet}\n{said}");
    (before, libvirt.definition(name))
}

fn what_belongs_to_the_old_kind_is_in_nobodys_way(libvirt: &Daemon) {
    let user = User::new();
    let nic = "<mac address='52:54:00:11:22:33'/>";
    let disk = |name: &str, kind: &str, inside: &str| {
        format!(
            "<disk type='{kind}' device='disk'>{inside}<target dev='{name}' bus='virtio'/></disk>"
        )
    };
    // What the patch says, what has to be stored then, and what not any more.
    for (index, (snippet, there, gone)) in [
        (
            "<cpu mode='host-passthrough' check='none' migratable='on'/>".to_owned(),
            "<cpu mode='host-passthrough'",
            "qemu64",
        ),
        (
            "<cpu mode='host-model'><model fallback='allow'/></cpu>".to_owned(),
            "<cpu mode='host-model'",
            "qemu64",
        ),
        (
            format!("<interface type='user'>{nic}</interface>"),
            "<interface type='user'>",
            "network='default'",
        ),
        (
            format!("<interface type='ethernet'>{nic}<target dev='tap7' managed='no'/></interface>"),
            "<target dev='tap7' managed='no'/>",
            "network='default'",
        ),
        (
            format!("<interface type='hostdev' managed='yes'>{nic}<source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source></interface>"),
            "<interface type='hostdev' managed='yes'>",
            "network='default'",
        ),
        (
            format!("<interface type='vhostuser'>{nic}<source type='unix' path='/v.sock' mode='client'/></interface>"),
            "path='/v.sock'",
            "network='default'",
        ),
        (
            "<graphics type='vnc' listen='0.0.0.0'/>".to_owned(),
            "<listen type='address' address='0.0.0.0'/>",
            "127.0.0.1",
        ),
        (
            "<graphics type='vnc'><listen type='address' address='0.0.0.0'/></graphics>".to_owned(),
            "listen='0.0.0.0'",
            "127.0.0.1",
        ),
        (
            "<graphics type='vnc'><listen type='none'/></graphics>".to_owned(),
            "<listen type='none'/>",
            "autoport",
        ),
        (
            "<graphics type='vnc'><listen type='socket' socket='/v.sock'/></graphics>".to_owned(),
            "<listen type='socket' socket='/v.sock'/>",
            "autoport",
        ),
        (
            disk("vda", "network", "<source protocol='nbd' name='y'><host name='h' port='1'/></source>"),
            "<host name='h' port='1'/>",
            "/a.img",
        ),
        (
            disk("vda", "nvme", "<source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>"),
            "namespace='1'",
            "/a.img",
        ),
        (
            disk("vdb", "file", "<source file='/b.img'/>"),
            "<source file='/b.img'/>",
            "name='old'",
        ),
        (
            disk("vdb", "network", "<source protocol='nbd' name='x'><host name='new' port='10809'/></source>"),
            "<host name='new' port='10809'/>",
            "name='old'",
        ),
        (
            "<disk><target dev='vda' bus='sata'/></disk>".to_owned(),
            "<target dev='vda' bus='sata'/>",
            "<target dev='vda' bus='virtio'/>",
        ),
        (
            "<serial type='file'><source path='/s.log'/><target port='0'/></serial>".to_owned(),
            "<source path='/s.log'/>",
            "<serial type='pty'>",
        ),
        (
            "<rng model='virtio'><backend model='builtin'/></rng>".to_owned(),
            "<backend model='builtin'/>",
            "/dev/urandom",
        ),
        (
            "<memballoon model='none'/>".to_owned(),
            "<memballoon model='none'/>",
            "<memballoon model='virtio'",
        ),
        (
            "<video><model type='none'/></video>".to_owned(),
            "<model type='none'/>",
            "qxl",
        ),
        (
            "<video><model type='virtio'/></video>".to_owned(),
            "<model type='virtio' heads='1' primary='yes'/>",
            "vgamem",
        ),
        (
            "<graphics type='vnc' port='5905'/>".to_owned(),
            "port='5905' autoport='no'",
            "autoport='yes'",
        ),
        (
            "<graphics type='vnc' socket='/v.sock'/>".to_owned(),
            "<listen type='socket' socket='/v.sock'/>",
            "autoport",
        ),
        (
            "<graphics type='spice' port='-1' tlsPort='-1' autoport='yes'/>".to_owned(),
            "<graphics type='spice' autoport='yes'",
            "tlsPort",
        ),
        (
            "<cpu match='exact'><model fallback='allow'>Nehalem</model></cpu>".to_owned(),
            "<model fallback='allow'>Nehalem</model>",
            "qemu64",
        ),
        (
            "<os><type arch='x86_64' machine='q35'>hvm</type><bootmenu enable='yes'/></os>".to_owned(),
            "<bootmenu enable='yes'/>",
            "machine='q35'",
        ),
        (
            "<disk type='file' device='disk'><target dev='vda' bus='virtio'/><boot order='1'/></disk>".to_owned(),
            "<boot order='1'/>",
            "<boot dev='hd'/>",
        ),
        (
            "<features><hyperv mode='passthrough'/></features>".to_owned(),
            "<hyperv mode='passthrough'>",
            "<relaxed",
        ),
        (
            "<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>".to_owned(),
            "<page size='1048576' unit='KiB'/>",
            "size='2048'",
        ),
        (
            "<cputune><vcpusched vcpus='0-1' scheduler='fifo' priority='7'/></cputune>".to_owned(),
            "<vcpusched vcpus='1' scheduler='fifo' priority='7'/>",
            "priority='1'",
        ),
        (
            "<controller type='usb' index='0' model='none'/>".to_owned(),
            "<controller type='usb' index='0' model='none'/>",
            "qemu-xhci",
        ),
        (
            "<serial type='pty'><target port='0'/><log file='/s.log'/></serial>".to_owned(),
            "<log file='/s.log'/>",
            "nothing of this name",
        ),
        (
            "<os firmware='efi'/>".to_owned(),
            "<os firmware='efi'>",
            "nothing of this name",
        ),
        (
            "<vcpu current='4'>4</vcpu>".to_owned(),
            "<vcpu placement='static'>4</vcpu>",
            "current=",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (_, stored) = applied(libvirt, &user, &format!("kind-{index}"), &snippet);
        assert!(stored.contains(there), "{snippet}\n{there} is not in\n{stored}");
        assert!(!stored.contains(gone), "{snippet}\n{gone} is still in\n{stored}");
    }
}

/// Devices as the output of 'virsh dumpxml' has them while the domain runs, each on its own.
fn a_device_of_a_running_domain_is_found_again(libvirt: &Daemon) {
    let user = User::new();
    for (index, (snippet, element)) in [
        (
            "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='/a.img' index='1'/><target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>",
            "<disk ",
        ),
        (
            "<interface type='network'><mac address='52:54:00:11:22:33'/><source network='default' portid='6b0e5d3e-6b5f-4c5c-8f6a-2f2f3a0b1c2d' bridge='virbr0'/><target dev='vnet3'/><model type='virtio'/><link state='up'/><alias name='net0'/></interface>",
            "<interface ",
        ),
        (
            "<console type='pty' tty='/dev/pts/5'><source path='/dev/pts/5'/><target type='virtio' port='1'/><log file='/c.log'/><alias name='console1'/></console>",
            "<console ",
        ),
        (
            "<channel type='unix'><source mode='bind' path='/var/lib/libvirt/qemu/channel/target/domain-1-x/org.qemu.guest_agent.0'/><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/><log file='/g.log'/></channel>",
            "<channel ",
        ),
        (
            "<graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1' keymap='de'><listen type='address' address='127.0.0.1'/></graphics>",
            "<graphics ",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, stored) = applied(libvirt, &user, &format!("cut-{index}"), snippet);
        let count = |text: &str| text.matches(element).count();
        assert_eq!(count(&stored), count(&before), "{snippet}\n{stored}");
    }
}

/// The first console is the first serial port, whatever it says.
fn what_libvirt_works_out_itself_is_told(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(
        "<domain type='qemu'><name>console</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><serial type='file'><source path='/s.log'/></serial></devices></domain>",
    );
    let before = libvirt.definition("console");
    let patch = user.file(
        "console.xml",
        "<console type='pty'><target type='serial'/></console>",
    );
    let run = user.run(&["apply", "console", "--pass=", "--patch", &patch, "--yes"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    for said in [
        "Domain 'console' is as it was: libvirt makes the same definition of this one.",
        "console.xml' says here, or works it out itself",
    ] {
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    assert_eq!(libvirt.definition("console"), before);
}
