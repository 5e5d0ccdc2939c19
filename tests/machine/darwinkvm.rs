//! The machine made from the template, and the one DarwinKVM's script prints, element by element.

use std::collections::BTreeSet;

use assert_cmd::Command;
use virt_patch::document::Document;
use virt_patch::document::qemu;

const SCRIPT: &str = include_str!("../../fixtures/darwinkvm/definition.xml");
const TEMPLATE: &str = include_str!("../../patches/template.xml");

/// What the script says and we do not.
const THEIRS: &[&str] = &[
    "description=DarwinKVM MacPro7,1 using Cascadelake-Server",
    // The images of 2 MiB are gone from this host; libvirt would start nothing.
    "os/loader=/usr/share/OVMF/OVMF_CODE.fd",
    "os/nvram@template=/usr/share/OVMF/OVMF_VARS.fd",
    // A file of the Mac model's name, which two machines would share.
    "os/nvram=/var/lib/libvirt/qemu/nvram/MP71_VARS.fd",
    // Assumed, and not there on this host.
    "devices/emulator=/usr/bin/qemu-system-x86_64",
    // Hides topoext: QEMU obeys the last -cpu, and that one has none.
    "-cpu Cascadelake-Server,vendor=GenuineIntel",
    "-device usb-kbd",
    "-device usb-tablet",
    "-usb ",
];

/// What we say and neither the script nor virt-manager's template does.
const OURS: &[&str] = &[
    "description=macOS on a MacPro7,1 using Cascadelake-Server",
    "os/loader=/usr/share/OVMF/OVMF_CODE_4M.fd",
    "os/nvram@template=/usr/share/OVMF/OVMF_VARS_4M.fd",
    "devices/emulator=/run/libvirt/nix-emulators/qemu-system-x86_64",
    "-cpu Cascadelake-Server,vendor=GenuineIntel,+topoext",
    // Native, so that libvirt knows of it; virt-manager's template has the tablet.
    "devices/input[keyboard,usb]",
    // Guests without a board record freeze at the second boot stage.
    "-smbios type=2",
    // What its pages then have the user do by hand, for the newest macOS of the model.
    "devices/controller@index=0",
    "devices/controller@model=qemu-xhci",
    "devices/controller@ports=15",
    "devices/graphics/listen@type=none",
    "devices/interface/model@type=virtio",
    "devices/video/model@type=virtio",
    // As many as macOS boots with and the host can spare.
    "vcpu=16",
    "cpu/topology@cores=8",
    "cpu/topology@dies=1",
    "cpu/topology@sockets=1",
    "cpu/topology@threads=2",
];

#[test]
fn ours_differs_by_the_listed_improvements_only() {
    let ours = elements(&made_here(&[]));
    let script = elements(SCRIPT);
    let template = elements(TEMPLATE);
    let only = |ours: &BTreeSet<String>, other: &BTreeSet<String>| -> BTreeSet<String> {
        ours.difference(other).cloned().collect()
    };
    let listed = |lines: &[&str]| -> BTreeSet<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    };
    assert_eq!(only(&script, &ours), listed(THEIRS));
    assert_eq!(only(&only(&ours, &script), &template), listed(OURS));
}

#[test]
fn an_older_libvirt_gets_no_watchdog_it_would_refuse() {
    let newer = elements(&made_here(&[]));
    let older = elements(&made_here(&["--set", "host.libvirt=9.0.0"]));
    let lost: Vec<&String> = newer.difference(&older).collect();
    // With QEMU 9.1 that libvirt refuses the hpet as well.
    assert_eq!(
        lost,
        [
            "clock/timer[hpet]@present=yes",
            "devices/watchdog[itco]@action=none"
        ]
    );
}

fn made_here(more: &[&str]) -> String {
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/darwinkvm/host.json");
    let output = Command::cargo_bin("virt-patch")
        .unwrap()
        .args(["render", "--template", "-p", "macpro7,1", "--host", host])
        .args(["--name", "DarwinKVM-MP71"])
        .args([
            "--set",
            "machine-name.uuid=6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55",
        ])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Everything a definition says, one line each: elements by path and key, attributes, texts, and
/// QEMU's arguments as options.
fn elements(definition: &str) -> BTreeSet<String> {
    let document = Document::parse_domain(definition).unwrap();
    let mut said = BTreeSet::new();
    for element in document.root().children().filter(|node| node.is_element()) {
        if element.tag_name().namespace().is_none() {
            say(element, "", &mut said);
        }
    }
    said.insert(format!(
        "domain@type={}",
        document.root().attribute("type").unwrap()
    ));
    for group in qemu::groups(document.root()) {
        said.insert(format!("-{} {}", group.option, group.value()));
    }
    said
}

fn say(node: roxmltree::Node<'_, '_>, parent: &str, said: &mut BTreeSet<String>) {
    let keys: &[&str] = match node.tag_name().name() {
        "timer" | "feature" => &["name"],
        "watchdog" => &["model"],
        "input" => &["type", "bus"],
        "boot" => &["dev"],
        _ => &[],
    };
    let key: Vec<&str> = keys.iter().filter_map(|key| node.attribute(*key)).collect();
    let mut path = format!("{parent}{}", node.tag_name().name());
    if !key.is_empty() {
        path.push_str(&format!("[{}]", key.join(",")));
    }
    let mut bare = true;
    // KiB is what libvirt takes where nothing is said.
    for attribute in node.attributes().filter(|one| !keys.contains(&one.name())) {
        if (attribute.name(), attribute.value()) != ("unit", "KiB") {
            said.insert(format!("{path}@{}={}", attribute.name(), attribute.value()));
            bare = false;
        }
    }
    let text: String = node
        .children()
        .filter_map(|child| child.text().filter(|_| child.is_text()))
        .collect();
    let mut inside = node
        .children()
        .filter(|child| child.is_element())
        .peekable();
    if inside.peek().is_none() {
        said.insert(match text.trim() {
            "" if bare => path.clone(),
            "" => return,
            text => format!("{path}={text}"),
        });
    }
    for child in inside {
        say(child, &format!("{path}/"), said);
    }
}
