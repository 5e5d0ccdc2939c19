//! The private libvirt daemon that tests get does what the other tests rely on: it defines,
//! starts and destroys domains, and survives being killed in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/daemon.rs"]
mod daemon;

use std::process::{Command, ExitCode};

use daemon::Daemon;

fn main() -> ExitCode {
    daemon::main_one_at_a_time(tests![
        a_domain_is_defined_started_and_destroyed,
        a_rejected_definition_names_the_reason,
        no_kvm_is_offered,
        a_domain_outlives_the_killed_daemon,
        a_paused_daemon_hangs_until_it_is_resumed,
        the_next_test_finds_a_running_daemon,
    ])
}

fn a_domain_is_defined_started_and_destroyed(libvirt: &Daemon) {
    libvirt.define(&tiny("started"));
    assert!(
        libvirt
            .definition("started")
            .contains("<name>started</name>")
    );

    libvirt.virsh(["start", "--paused", "started"]);
    assert_eq!(state(libvirt, "started"), "paused");
    let qemu = libvirt.virsh([
        "qemu-monitor-command",
        "started",
        r#"{"execute":"query-name"}"#,
    ]);
    assert!(qemu.contains(r#""name":"started""#), "{qemu}");

    libvirt.virsh(["destroy", "started"]);
    assert_eq!(state(libvirt, "started"), "shut off");
}

fn a_rejected_definition_names_the_reason(libvirt: &Daemon) {
    let message = libvirt
        .try_define(&tiny("rejected").replace("q35", "pc-q35-0.1"))
        .unwrap_err();
    assert!(
        message.contains("does not support machine type 'pc-q35-0.1'"),
        "{message}"
    );
}

fn no_kvm_is_offered(libvirt: &Daemon) {
    let capabilities = libvirt.virsh(["capabilities"]);
    assert!(
        capabilities.contains("<domain type='qemu'/>"),
        "{capabilities}"
    );
    assert!(
        !capabilities.contains("<domain type='kvm'/>"),
        "{capabilities}"
    );
}

fn a_domain_outlives_the_killed_daemon(libvirt: &Daemon) {
    libvirt.define(&tiny("survivor"));
    libvirt.virsh(["start", "--paused", "survivor"]);
    let before = libvirt.pid();
    libvirt.kill();
    let list = daemon::output_of(Command::new("virsh").args(["list", "--all"]));
    assert!(!list.status.success());

    libvirt.start();
    assert_ne!(libvirt.pid(), before);
    assert_eq!(state(libvirt, "survivor"), "paused");
}

fn a_paused_daemon_hangs_until_it_is_resumed(libvirt: &Daemon) {
    libvirt.pause();
    let hanging = daemon::output_of(Command::new("timeout").args(["1", "virsh", "list"]));
    assert_eq!(hanging.status.code(), Some(124));
    libvirt.resume();
    libvirt.virsh(["list"]);
    libvirt.pause();
}

fn the_next_test_finds_a_running_daemon(libvirt: &Daemon) {
    libvirt.virsh(["list"]);
    libvirt.stop();
    libvirt.start();
    libvirt.virsh(["list"]);
}

fn state(libvirt: &Daemon, domain: &str) -> String {
    libvirt.virsh(["domstate", domain]).trim().to_owned()
}

fn tiny(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
}
