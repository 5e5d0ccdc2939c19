//! What a patch does to other domains that nobody may expect of it.

use super::others::devices;
use super::*;

#[test]
fn a_device_with_another_key_is_named() {
    let plain = Keep::default();
    let fs =
        |tag: &str| format!("<filesystem><source dir='/s'/><target dir='{tag}'/></filesystem>");
    let pci = |slot: &str| {
        format!(
            "<hostdev mode='subsystem' type='pci'><source><address bus='0x01' slot='{slot}' function='0x0'/></source></hostdev>"
        )
    };
    let interface = |mac: &str, kind: &str| {
        format!("<interface type='{kind}'><mac address='52:54:00:00:00:0{mac}'/></interface>")
    };
    for (before, after, gone, came) in [
        (
            "<sound model='ich9'/>".to_owned(),
            "<sound model='ich6'/>".to_owned(),
            "<sound> with model='ich9'",
            "<sound> with model='ich6'",
        ),
        (
            "<graphics type='spice'/>".to_owned(),
            "<graphics type='vnc'/>".to_owned(),
            "<graphics> with type='spice'",
            "<graphics> with type='vnc'",
        ),
        (
            "<input type='tablet' bus='usb'/>".to_owned(),
            "<input type='tablet' bus='virtio'/>".to_owned(),
            "<input> with type='tablet' and bus='usb'",
            "<input> with type='tablet' and bus='virtio'",
        ),
        (
            fs("a"),
            fs("b"),
            "<filesystem> with <target dir='a'>",
            "<filesystem> with <target dir='b'>",
        ),
        (
            pci("0x00"),
            pci("0x01"),
            "<hostdev> with mode='subsystem', type='pci', <source/address bus='0x01'>, <source/address slot='0x00'> and <source/address function='0x0'>",
            "<hostdev> with mode='subsystem', type='pci', <source/address bus='0x01'>, <source/address slot='0x01'> and <source/address function='0x0'>",
        ),
        (
            "<redirdev bus='usb' type='spicevmc'/>".to_owned(),
            "<redirdev bus='usb' type='tcp'/>".to_owned(),
            "<redirdev> with bus='usb' and type='spicevmc'",
            "<redirdev> with bus='usb' and type='tcp'",
        ),
        // Its image is another: no image of this domain's comes in the place of another one's.
        (
            "<disk><source file='/a'/><target dev='vda'/></disk>".to_owned(),
            "<disk><source file='/b'/><target dev='vdb'/></disk>".to_owned(),
            "<disk> with <target dev='vda'>",
            "<disk> with <target dev='vdb'>",
        ),
    ] {
        let derived = derive(&devices(&before), &devices(&after), &plain).unwrap();
        let exchanged = [(gone.to_owned(), came.to_owned())];
        assert_eq!(derived.exchanged, exchanged, "{}", derived.patch);
    }
    for (before, after) in [
        // What only comes, goes or changes.
        ("".to_owned(), fs("a")),
        (fs("a"), "".to_owned()),
        ("<sound model='ich9'/>".to_owned(), fs("a")),
        (
            "<memballoon model='none'/>".to_owned(),
            "<memballoon model='virtio'/>".to_owned(),
        ),
        (interface("1", "user"), interface("2", "user")),
        // Warned of with its image.
        (
            "<disk><source file='/a'/><target dev='vda'/></disk>".to_owned(),
            "<disk><source file='/a'/><target dev='vdb'/></disk>".to_owned(),
        ),
    ] {
        let derived = derive(&devices(&before), &devices(&after), &plain).unwrap();
        assert!(derived.exchanged.is_empty(), "{}", derived.patch);
    }
    // Everything that this one has is to be recorded.
    let all = derive(&devices(&fs("a")), &devices(&fs("b")), &Keep::ALL).unwrap();
    assert!(all.exchanged.is_empty());
}

#[test]
fn a_removal_without_a_key_is_named() {
    let plain = Keep::default();
    let interface = "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>";
    let video = "<video><model type='qxl'/></video>";
    for (before, every) in [
        (interface, &["interface"][..]),
        (video, &["video"]),
        (
            &[interface, video, "<tpm/>"].concat(),
            &["interface", "video"],
        ),
        // There is one of them, or the patch says which.
        ("<memballoon model='none'/><tpm/>", &[]),
        ("<sound model='ich9'/>", &[]),
    ] {
        let derived = derive(&devices(before), &devices(""), &plain).unwrap();
        assert_eq!(derived.every, every, "{}", derived.patch);
    }
    let two = devices(&[interface, &interface.replace("0:01", "0:02")].concat());
    let one = derive(&two, &devices(interface), &plain).unwrap();
    assert!(one.every.is_empty(), "{}", one.patch);
    let both = derive(&two, &devices(""), &plain).unwrap();
    assert_eq!(both.every, ["interface"], "{}", both.patch);
    let all = derive(&devices(video), &devices(""), &Keep::ALL).unwrap();
    assert!(all.every.is_empty());
}
