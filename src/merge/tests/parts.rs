//! Parts of which there may be several: one with another key is another one, and none is lost.

use super::*;

/// Around, one that is there, and another: both are there afterwards.
const BOTH: &[(&str, &str, &str)] = &[
    (
        "<devices><hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host0'/><address bus='0' target='0' unit='{}'/></source></hostdev></devices>",
        "0",
        "1",
    ),
    (
        "<devices><hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host0'/><address bus='0' target='{}' unit='0'/></source></hostdev></devices>",
        "0",
        "1",
    ),
    (
        "<devices><hostdev mode='subsystem' type='scsi'><source><adapter name='{}'/><address bus='0' target='0' unit='0'/></source></hostdev></devices>",
        "scsi_host0",
        "scsi_host1",
    ),
    (
        "<devices><hostdev mode='subsystem' type='scsi'><source protocol='iscsi' name='iqn.1:a/{}'><host name='h'/></source></hostdev></devices>",
        "1",
        "2",
    ),
    (
        "<devices><hostdev mode='subsystem' type='scsi_host'><source protocol='vhost' wwpn='naa.500{}'/></hostdev></devices>",
        "1",
        "2",
    ),
    (
        "<devices><hostdev mode='capabilities' type='misc'><source><char>/dev/{}</char></source></hostdev></devices>",
        "a",
        "b",
    ),
    (
        "<devices><hostdev mode='capabilities' type='storage'><source><block>/dev/{}</block></source></hostdev></devices>",
        "a",
        "b",
    ),
    (
        "<devices><hostdev mode='capabilities' type='net'><source><interface>{}</interface></source></hostdev></devices>",
        "eth0",
        "eth1",
    ),
    (
        "<devices><input type='passthrough' bus='virtio'><source evdev='/dev/input/event{}'/></input></devices>",
        "1",
        "2",
    ),
    (
        "<devices><channel type='pty'><target type='guestfwd' address='10.0.2.1' port='{}'/></channel></devices>",
        "4600",
        "4601",
    ),
    (
        "<devices><memory model='nvdimm'><source><path>/{}</path></source><target><node>0</node></target></memory></devices>",
        "a",
        "b",
    ),
];

/// As [`BOTH`], with what is around both of them.
const INSIDE: &[(&str, &str, &str)] = &[
    (
        "<devices><graphics type='spice'>{}</graphics></devices>",
        "<channel name='main' mode='secure'/>",
        "<channel name='record' mode='insecure'/>",
    ),
    (
        "<devices><sound model='ich6'>{}</sound></devices>",
        "<codec type='micro'/>",
        "<codec type='duplex'/>",
    ),
    (
        "<devices><interface type='network'><filterref filter='clean-traffic'>{}</filterref></interface></devices>",
        "<parameter name='IP' value='10.0.0.1'/>",
        "<parameter name='CTRL_IP_LEARNING' value='dhcp'/>",
    ),
    (
        "<devices><interface type='bridge'><vlan trunk='yes'>{}</vlan></interface></devices>",
        "<tag id='10'/>",
        "<tag id='20'/>",
    ),
    (
        "<devices><interface type='user'>{}</interface></devices>",
        "<portForward proto='tcp'><range start='22' to='22'/></portForward>",
        "<portForward proto='udp'><range start='53'/></portForward>",
    ),
    (
        "<devices><interface type='user'><portForward proto='tcp'>{}</portForward></interface></devices>",
        "<range start='22' to='2222'/>",
        "<range start='80'/>",
    ),
    (
        "<devices><interface type='ethernet'><source>{}</source></interface></devices>",
        "<route address='10.0.0.0' prefix='8' gateway='10.0.0.1'/>",
        "<route address='10.0.0.0' prefix='16' gateway='10.0.0.1'/>",
    ),
    (
        "<devices><disk><source protocol='rbd' name='p/i'>{}</source><target dev='vda'/></disk></devices>",
        "<host name='a' port='1'/>",
        "<host name='a' port='2'/>",
    ),
    (
        "<devices><disk><source protocol='gluster' name='p/i'>{}</source><target dev='vda'/></disk></devices>",
        "<host transport='unix' socket='/a'/>",
        "<host transport='unix' socket='/b'/>",
    ),
    (
        "<devices><disk><source file='/a'>{}</source><target dev='vda'/></disk></devices>",
        "<seclabel model='dac' relabel='no'/>",
        "<seclabel model='selinux' relabel='no'/>",
    ),
    (
        "<devices><redirfilter>{}</redirfilter></devices>",
        "<usbdev class='0x08' allow='yes'/>",
        "<usbdev class='0x08' vendor='0x1234' allow='no'/>",
    ),
    (
        "<blkiotune>{}</blkiotune>",
        "<device><path>/dev/sda</path><weight>500</weight></device>",
        "<device><path>/dev/sdb</path><weight>600</weight></device>",
    ),
    (
        "<perf>{}</perf>",
        "<event name='cmt' enabled='yes'/>",
        "<event name='mbmt' enabled='no'/>",
    ),
    (
        "<keywrap>{}</keywrap>",
        "<cipher name='aes' state='on'/>",
        "<cipher name='dea' state='off'/>",
    ),
    (
        "<idmap>{}</idmap>",
        "<uid start='0' target='1000' count='10'/>",
        "<uid start='10' target='3000' count='10'/>",
    ),
    (
        "<os>{}</os>",
        "<initenv name='A'>1</initenv>",
        "<initenv name='B'>2</initenv>",
    ),
    (
        "<os>{}</os>",
        "<initarg>a</initarg>",
        "<initarg>b</initarg>",
    ),
    (
        "<sysinfo type='smbios'><oemStrings>{}</oemStrings></sysinfo>",
        "<entry>a</entry>",
        "<entry>b</entry>",
    ),
    (
        "<cputune><cachetune vcpus='0-1'>{}</cachetune></cputune>",
        "<cache id='0' level='3' type='code' size='3'/>",
        "<cache id='0' level='3' type='data' size='6'/>",
    ),
    (
        "<cputune><cachetune vcpus='0-1'>{}</cachetune></cputune>",
        "<monitor level='3' vcpus='0'/>",
        "<monitor level='3' vcpus='1'/>",
    ),
    (
        "<cputune><memorytune vcpus='0-1'>{}</memorytune></cputune>",
        "<node id='0' bandwidth='60'/>",
        "<node id='1' bandwidth='60'/>",
    ),
    (
        "<cpu><numa><cell id='0'><distances>{}</distances></cell></numa></cpu>",
        "<sibling id='0' value='10'/>",
        "<sibling id='1' value='21'/>",
    ),
    (
        "<cpu><numa><cell id='0'>{}</cell></numa></cpu>",
        "<cache level='1' associativity='direct'/>",
        "<cache level='2' associativity='full'/>",
    ),
    (
        "<cpu><numa><interconnects>{}</interconnects></numa></cpu>",
        "<latency initiator='0' target='0' cache='1' type='access' value='5'/>",
        "<latency initiator='0' target='0' type='access' value='6'/>",
    ),
];

fn domain(inside: &str) -> String {
    format!("<domain>{inside}</domain>")
}

#[test]
fn another_key_is_another_element() {
    for (device, one, other) in BOTH {
        let inside = device.strip_prefix("<devices>").unwrap();
        let inside = inside.strip_suffix("</devices>").unwrap();
        let both = [one, other]
            .map(|value| inside.replace("{}", value))
            .concat();
        check(
            &domain(&device.replace("{}", one)),
            &domain(&device.replace("{}", other)),
            &domain(&format!("<devices>{both}</devices>")),
        );
    }
    for (around, one, other) in INSIDE {
        let with = |inside: &str| domain(&around.replace("{}", inside));
        check(&with(one), &with(other), &with(&format!("{one}{other}")));
        // Both are found again.
        let both = with(&format!("{one}{other}"));
        check(&both, &both, &both);
        check(&both, &with(&format!("{other}{one}")), &both);
    }
}

#[test]
fn the_same_key_is_the_same_element() {
    for (around, before, patch, after) in [
        (
            "<devices><graphics type='spice'>{}</graphics></devices>",
            "<channel name='main' mode='secure'/><channel name='record' mode='secure'/>",
            "<channel name='record' mode='any'/>",
            "<channel name='main' mode='secure'/><channel name='record' mode='any'/>",
        ),
        (
            "<devices><interface><filterref filter='f'>{}</filterref></interface></devices>",
            "<parameter name='IP' value='10.0.0.1'/>",
            "<parameter name='IP' value='10.0.0.2'/>",
            "<parameter name='IP' value='10.0.0.2'/>",
        ),
        // A list of values: what is said is the list, as far as it is said.
        (
            "<devices><interface><filterref filter='f'>{}</filterref></interface></devices>",
            "<parameter name='IP' value='10.0.0.2'/>",
            "<parameter name='IP' value='10.0.0.1'/><parameter name='IP' value='10.0.0.2'/>",
            "<parameter name='IP' value='10.0.0.1'/><parameter name='IP' value='10.0.0.2'/>",
        ),
        (
            "<blkiotune>{}</blkiotune>",
            "<device><path>/dev/sda</path><weight>500</weight></device>",
            "<device><path>/dev/sda</path><weight>600</weight></device>",
            "<device><path>/dev/sda</path><weight>600</weight></device>",
        ),
        // Without a class a filter is for every class, and stands last.
        (
            "<devices><redirfilter>{}</redirfilter></devices>",
            "<usbdev class='0x03' allow='yes'/><usbdev allow='yes'/>",
            "<usbdev class='0x08' allow='yes'/><usbdev allow='no'/>",
            "<usbdev class='0x03' allow='yes'/><usbdev class='0x08' allow='yes'/><usbdev allow='no'/>",
        ),
        (
            "<os>{}</os>",
            "<initarg>a</initarg>",
            "<initarg>a</initarg><initarg>a</initarg>",
            "<initarg>a</initarg><initarg>a</initarg>",
        ),
        (
            "<devices><serial type='udp'>{}</serial></devices>",
            "<source mode='bind' service='1'/><source mode='connect' service='2'/>",
            "<source mode='connect' service='3'/>",
            "<source mode='bind' service='1'/><source mode='connect' service='3'/>",
        ),
    ] {
        let with = |inside: &str| domain(&around.replace("{}", inside));
        check(&with(before), &with(patch), &with(after));
    }
}

#[test]
fn what_only_a_running_domain_has_is_left_out() {
    let devices = |inside: &str| domain(&format!("<devices>{inside}</devices>"));
    let mac = "<mac address='52:54:00:58:ba:fc'/>";
    for (before, patch, after) in [
        (
            format!("<interface type='user'>{mac}</interface>"),
            format!(
                "<interface type='user'>{mac}<alias name='net0'/><mtu size='9000'/></interface>"
            ),
            format!("<interface type='user'>{mac}<mtu size='9000'/></interface>"),
        ),
        (
            "<video><model type='vga'/></video>".to_owned(),
            "<video><model type='vga'/><alias name='video0'/></video>".to_owned(),
            "<video><model type='vga'/></video>".to_owned(),
        ),
        (
            "<hub type='usb'/>".to_owned(),
            "<hub type='usb'><alias name='hub0'/></hub><hub type='usb'><alias name='hub1'/></hub>"
                .to_owned(),
            "<hub type='usb'/><hub type='usb'/>".to_owned(),
        ),
        // A name of the user's own tells them apart, as it did.
        (
            "<hub type='usb'><alias name='ua-a'/></hub>".to_owned(),
            "<hub type='usb'><alias name='ua-b'/></hub>".to_owned(),
            "<hub type='usb'><alias name='ua-a'/></hub><hub type='usb'><alias name='ua-b'/></hub>"
                .to_owned(),
        ),
        // What is there stays.
        (
            "<video><model type='vga'/><alias name='video0'/></video>".to_owned(),
            "<video><model type='qxl'/><alias name='video7'/></video>".to_owned(),
            "<video><model type='qxl'/><alias name='video0'/></video>".to_owned(),
        ),
        // To take one away a name says which; with a directive of its own it is meant.
        (
            "<rng model='virtio'><alias name='rng0'/></rng><rng model='virtio'/>".to_owned(),
            "<rng xmlns:p='urn:virt-patch:1' p:op='remove'><alias name='rng0'/></rng>".to_owned(),
            "<rng model='virtio'/>".to_owned(),
        ),
        (
            "<rng model='virtio'/>".to_owned(),
            "<rng><alias xmlns:p='urn:virt-patch:1' p:op='replace' name='rng0'/></rng>".to_owned(),
            "<rng model='virtio'><alias name='rng0'/></rng>".to_owned(),
        ),
    ] {
        check(&devices(&before), &devices(&patch), &devices(&after));
    }
    check(
        "<domain type='kvm'/>",
        "<domain type='kvm' id='1'/>",
        "<domain type='kvm'/>",
    );
    check(
        "<domain id='1'/>",
        "<domain xmlns:patch='urn:virt-patch:1' patch:unset='id'/>",
        "<domain/>",
    );
}

#[test]
fn the_state_of_a_running_domain_is_left_out() {
    let devices = |inside: &str| format!("<devices>{inside}</devices>");
    for (before, live, after) in [
        (
            "<graphics type='vnc' port='-1' autoport='yes'/>",
            "<graphics type='vnc' port='5900' autoport='yes' keymap='de'/>",
            "<graphics type='vnc' port='-1' autoport='yes' keymap='de'/>",
        ),
        (
            "<serial type='pty'><target port='0'/></serial>",
            "<serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>",
            "<serial type='pty'><target port='0'/></serial>",
        ),
        (
            "<console type='pty'/>",
            "<console type='pty' tty='/dev/pts/3'/>",
            "<console type='pty'/>",
        ),
        (
            "<channel type='unix'><target type='virtio' name='a'/></channel>",
            "<channel type='unix'><source mode='bind' path='/run/libvirt/qemu/channel/target/domain-1-p/a'/><target type='virtio' name='a' state='connected'/></channel>",
            "<channel type='unix'><target type='virtio' name='a'/></channel>",
        ),
        (
            "<disk><source file='/a'/><target dev='vda'/></disk>",
            "<disk><source file='/a' index='1'/><backingStore/><target dev='vda'/></disk>",
            "<disk><source file='/a'/><target dev='vda'/></disk>",
        ),
        (
            "<interface type='network'><source network='default'/></interface>",
            "<interface type='network'><source network='default' portid='x' bridge='virbr0'/><target dev='vnet0'/></interface>",
            "<interface type='network'><source network='default'/></interface>",
        ),
    ] {
        let (before, live, after) = (
            domain(&devices(before)),
            devices(live),
            domain(&devices(after)),
        );
        check(&before, &format!("<domain id='1'>{live}</domain>"), &after);
        // A device that was cut out is known by nothing, and may have a backing chain of the user's own.
        if !live.contains("<backingStore/>") {
            check(&before, &domain(&live), &after);
        }
    }
    check(
        "<domain><seclabel type='dynamic' model='dac'/></domain>",
        "<domain id='1'><seclabel type='dynamic' model='dac'><label>+1</label><imagelabel>+1</imagelabel></seclabel></domain>",
        "<domain><seclabel type='dynamic' model='dac'/></domain>",
    );
    // All vcpus are there where nothing else is said.
    for (before, patch, after) in [
        (
            "<vcpu>2</vcpu>",
            "<vcpu current='4'>4</vcpu>",
            "<vcpu>4</vcpu>",
        ),
        (
            "<vcpu current='2'>8</vcpu>",
            "<vcpu current='8'>8</vcpu>",
            "<vcpu>8</vcpu>",
        ),
        (
            "<vcpu>8</vcpu>",
            "<vcpu current='4'>8</vcpu>",
            "<vcpu current='4'>8</vcpu>",
        ),
    ] {
        check(&domain(before), &domain(patch), &domain(after));
    }
}
