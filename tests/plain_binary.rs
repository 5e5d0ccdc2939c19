//! The plain program does without libvirt: filters do not load it, and what needs a connection
//! says clearly when the program that has one is not there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const DOMAIN: &str = "<domain type='kvm'>\n  <name>vm</name>\n  <vcpu>3</vcpu>\n  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n</domain>\n";

/// The plain program without its sibling, as `cargo install --no-default-features` leaves it.
fn alone() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("virt-patch");
    // Copied by another process: a child that a test beside this one starts would inherit the open copy, and a
    // program that is open for writing cannot be run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_virt-patch"))
        .arg(&program)
        .status()
        .unwrap();
    assert!(copied.success());
    fs::write(directory.path().join("vm.xml"), DOMAIN).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(directory.join("virt-patch"))
        .args(arguments)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_domain_without_libvirt_support_is_an_error_that_says_so() {
    let directory = alone();
    for command in [
        &["diff", "vm"][..],
        &["check", "vm.xml", "vm"],
        &["render", "vm"],
        &["apply", "vm", "-p", "macpro7,1"],
        &["preflight", "vm"],
        &["undo", "vm"],
    ] {
        let (code, stdout, stderr) = run(directory.path(), command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        let first = "error: cannot ask libvirt for the domain 'vm'\n\
                     caused by: this virt-patch was installed without libvirt support: 'virt-patch-libvirt' is not in ";
        assert!(stderr.starts_with(first), "{command:?}: {stderr}");
        assert!(stderr.contains("\nhelp: a file is named with a '/' or '.xml': ./vm; or pipe it: virsh dumpxml --inactive --security-info vm | virt-patch diff\n"), "{stderr}");
    }
    for command in [
        &["apply", "--template", "--name", "new", "-p", "macpro7,1"][..],
        &["list", "--domains"],
        &["host", "-c", "qemu:///system"],
        &["check", "vm.xml", "--host", "libvirt"],
        &["diff", "vm.xml", "--qemu"],
    ] {
        let (code, stdout, stderr) = run(directory.path(), command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(
            stderr.starts_with("error: cannot reach libvirt\ncaused by: this virt-patch was installed without libvirt support"),
            "{command:?}: {stderr}"
        );
    }
}

#[test]
fn what_needs_no_connection_works_without_libvirt_support() {
    let directory = alone();
    for (command, expected) in [
        (&["diff", "vm.xml", "--pass", "hotplug"][..], 1),
        (&["render", "vm.xml", "--pass", "hotplug"], 0),
        (&["check", "vm.xml", "--pass", "hotplug"], 1),
        (&["list"], 0),
        (&["template"], 0),
        (&["host", "--json"], 0),
        (&["undo", "--list"], 0),
    ] {
        let (code, _, stderr) = run(directory.path(), command);
        assert_eq!(code, Some(expected), "{command:?}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_plain_program_loads_no_libvirt() {
    let libraries = |program: &str| {
        let output = Command::new("ldd").arg(program).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = libraries(env!("CARGO_BIN_EXE_virt-patch"));
    assert!(plain.contains("libc.so"), "{plain}");
    assert!(!plain.contains("libvirt"), "{plain}");
    // Only the C library's own.
    assert!(plain.lines().count() <= 6, "{plain}");
    #[cfg(feature = "libvirt")]
    assert!(libraries(env!("CARGO_BIN_EXE_virt-patch-libvirt")).contains("libvirt.so"));
}
