//! What follows the host: domain type and emulator.

use virt_patch::host::{Emulator, FileFact};

use crate::run::{notes, pass};

#[test]
fn the_domain_type_follows_the_host() {
    let domain = |kind: &str, mode: &str| {
        format!("<domain type='{kind}'>\n  <cpu mode='{mode}' check='none'/>\n</domain>\n")
    };
    for (kvm, before, after) in [
        (
            true,
            domain("kvm", "host-passthrough"),
            domain("kvm", "host-passthrough"),
        ),
        (
            true,
            domain("qemu", "maximum"),
            domain("kvm", "host-passthrough"),
        ),
        (true, domain("qemu", "custom"), domain("kvm", "custom")),
        (
            true,
            domain("qemu", "host-model"),
            domain("kvm", "host-model"),
        ),
        (
            false,
            domain("kvm", "host-passthrough"),
            domain("qemu", "maximum"),
        ),
        (false, domain("kvm", "custom"), domain("qemu", "custom")),
        (
            false,
            domain("qemu", "host-passthrough"),
            domain("qemu", "maximum"),
        ),
    ] {
        let case = pass("domain-type").facts(|facts| facts.kvm = Some(kvm));
        case.makes(&before, &after);
    }
    pass("domain-type")
        .facts(|facts| facts.kvm = None)
        .is_not_for(
            "<name>m</name>",
            "whether the host has KVM is not known; --set domain-type.type=kvm or =qemu says it",
        );
}

#[test]
fn the_domain_type_can_be_asked_for() {
    let case = pass("domain-type").facts(|facts| facts.kvm = Some(false));
    let report = case
        .with("domain-type.type=kvm")
        .makes("<domain type='qemu'/>", "<domain type='kvm'/>");
    assert_eq!(
        notes(&report),
        "the host has no KVM, so a kvm domain does not start"
    );
    let hyperv = "<domain type='kvm'>\n  <features>\n    <hyperv/>\n  </features>\n</domain>\n";
    let report = pass("domain-type")
        .with("domain-type.type=qemu")
        .makes(hyperv, &hyperv.replace("kvm", "qemu"));
    assert_eq!(
        notes(&report),
        "the Hyper-V enlightenments in line 3 need KVM as well; QEMU does not start with them"
    );
}

#[test]
fn the_emulator_is_the_hosts() {
    let domain = |path: &str| format!("<devices>\n  <emulator>{path}</emulator>\n</devices>");
    for (host, before, after) in [
        (
            &["/usr/bin/qemu-system-x86_64"][..],
            "/usr/bin/qemu-system-x86_64",
            "/usr/bin/qemu-system-x86_64",
        ),
        (
            &["/usr/libexec/qemu-kvm"],
            "/usr/bin/qemu-system-x86_64",
            "/usr/libexec/qemu-kvm",
        ),
        (
            &["/run/libvirt/nix-emulators/qemu-system-x86_64"],
            "/usr/bin/qemu-system-x86_64",
            "/run/libvirt/nix-emulators/qemu-system-x86_64",
        ),
        // One that the domain names and the host has is right, though not the first.
        (
            &["/usr/local/bin/qemu-system-x86_64", "/opt/qemu/bin/qemu"],
            "/opt/qemu/bin/qemu",
            "/opt/qemu/bin/qemu",
        ),
    ] {
        let case = pass("emulator").facts(|facts| {
            facts.emulators = host
                .iter()
                .map(|path| Emulator {
                    path: (*path).to_owned(),
                    arch: "x86_64".to_owned(),
                    ..Emulator::default()
                })
                .collect();
        });
        case.makes(&domain(before), &domain(after));
    }
    let file = FileFact {
        exists: true,
        ..FileFact::default()
    };
    pass("emulator")
        .facts(|facts| facts.files.extend([("/srv/qemu".to_owned(), file)]))
        .keeps(&domain("/srv/qemu"));
    pass("emulator").facts(|facts| facts.emulators.clear()).is_blocked_on(
        &domain("/usr/bin/kvm"),
        "no QEMU for x86_64 is known on the host, and '/usr/bin/kvm' is not there: install one (the package qemu-system-x86 or qemu-kvm)",
    );
    pass("emulator").is_not_for(
        "<devices/>",
        "the domain names no emulator; libvirt chooses",
    );
}
