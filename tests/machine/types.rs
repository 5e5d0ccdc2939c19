//! The pass machine on q35.

use virt_patch::host::Version;

use crate::run::{notes, pass};

fn os(machine: &str) -> String {
    format!("<os>\n  <type arch='x86_64' machine='{machine}'>hvm</type>\n</os>")
}

#[test]
fn q35_stays_where_the_host_knows_it() {
    for name in ["q35", "pc-q35-2.4", "pc-q35-7.2"] {
        pass("machine").keeps(&os(name));
    }
    // The newest that is older, else the oldest.
    for (before, after) in [
        ("pc-q35-9.0", "pc-q35-7.2"),
        ("pc-q35-7.0", "pc-q35-6.2"),
        ("pc-q35-2.0", "pc-q35-2.4"),
        ("pc-q35-rhel9.2.0", "q35"),
    ] {
        let report = pass("machine").makes(&os(before), &os(after));
        assert_eq!(
            report.reason,
            format!("QEMU 7.2.22 does not know {before}; {after} is the nearest")
        );
    }
    let case = pass("machine").facts(|facts| facts.emulators[0].machines[3].deprecated = true);
    let report = case.keeps(&os("pc-q35-6.2"));
    assert_eq!(
        notes(&report),
        "QEMU has announced that it will drop 'pc-q35-6.2'"
    );
}

#[test]
fn without_a_list_the_version_of_qemu_tells() {
    let case = || pass("machine").facts(|facts| facts.emulators[0].machines.clear());
    for name in ["q35", "pc-q35-7.2", "pc-q35-6.1", "pc-q35-rhel9.2.0"] {
        case().keeps(&os(name));
    }
    // Of a distribution's own type it does not.
    for (name, note) in [
        ("q35", ""),
        ("pc-q35-7.2", ""),
        (
            "pc-q35-jammy",
            "it is not known whether QEMU 7.2.22 has pc-q35-jammy; the host's libvirt tells (--host libvirt)",
        ),
        (
            "pc-q35-rhel9.2.0",
            "it is not known whether QEMU 7.2.22 has pc-q35-rhel9.2.0; the host's libvirt tells (--host libvirt)",
        ),
    ] {
        assert_eq!(notes(&case().keeps(&os(name))), note);
    }
    case().makes(&os("pc-q35-8.0"), &os("pc-q35-7.2"));
    case().makes(&os("pc-q35-1.7"), &os("q35"));
    // Nothing is known of the host's QEMU.
    let unknown = case().facts(|facts| facts.emulators.clear());
    assert_eq!(
        notes(&unknown.keeps(&os("pc-q35-99.0"))),
        "it is not known whether the host's QEMU has pc-q35-99.0; the host's libvirt tells (--host libvirt)"
    );
    let newer = case().facts(|facts| facts.emulators[0].version = Some(Version::new(10, 0, 2)));
    newer.keeps(&os("pc-q35-10.0"));
}

#[test]
fn what_is_neither_q35_nor_i440fx_is_no_machine_for_macos() {
    for name in ["microvm", "isapc"] {
        pass("machine").with("machine.convert=yes").is_blocked_on(
            &os(name),
            &format!("'{name}' is neither a q35 nor an i440fx machine, and cannot be made one; begin a new one with --template"),
        );
    }
}
