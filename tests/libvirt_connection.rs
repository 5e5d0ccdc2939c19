//! The libvirt connection against a real daemon, also one that goes away.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "../src/bin/virt-patch-libvirt/libvirt.rs"]
mod libvirt;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use daemon::Daemon;
use virt_patch::host::Firmware;
use virt_patch::hypervisor::backup::Store;
use virt_patch::hypervisor::{Connector, Hypervisor, MachineQuery, Mode, Secrets, State, facts};

fn main() -> ExitCode {
    daemon::main_one_at_a_time(tests![
        the_facts_of_a_host,
        a_remote_host_is_asked_for_its_loaders,
        secrets_come_when_they_are_asked_for,
        states_of_domains,
        a_definition_is_checked_against_the_schema,
        undefining_leaves_the_nvram_file,
        a_transient_domain_ends_with_its_connection,
        qemu_answers_over_the_monitor,
        a_killed_daemon_is_a_lost_connection,
        a_silent_daemon_is_a_lost_connection,
        a_full_disk_leaves_no_backup,
        a_read_only_disk_takes_no_backup,
    ])
}

fn open(mode: Mode) -> Box<dyn Hypervisor> {
    libvirt::Libvirt.open(Some(Daemon::URI), mode).unwrap()
}

fn tiny(name: &str, inside: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os>{inside}</domain>"
    )
}

const Q35: MachineQuery<'static> = MachineQuery {
    emulator: None,
    arch: Some("x86_64"),
    machine: Some("q35"),
    domain_type: Some("qemu"),
};

fn the_facts_of_a_host(_: &Daemon) {
    let read = facts::read(&*open(Mode::ReadWrite), &Q35, &|_| None).unwrap();
    assert!(read.unknown.is_empty(), "{:?}", read.unknown);
    let facts = read.facts;
    let here = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    assert!(here.contains(facts.cpu.vendor.as_deref().unwrap()));
    let flags = here.lines().find(|line| line.starts_with("flags")).unwrap();
    let features = facts.cpu.features.unwrap();
    for flag in ["fpu", "sse4_2", "nx"] {
        assert_eq!(
            features.iter().any(|f| f == flag),
            flags.split(' ').any(|f| f == flag),
            "{flag}"
        );
    }
    let processors = here
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    assert_eq!(facts.cpu.siblings.iter().flatten().count(), processors);
    assert_eq!(facts.kvm, Some(false));
    let emulator = facts.emulators.first().unwrap();
    assert!(emulator.version.unwrap().major >= 5);
    assert!(
        emulator
            .machines
            .iter()
            .any(|machine| machine.name == "q35")
    );
    assert!(
        facts
            .cpu_models
            .unwrap()
            .iter()
            .any(|model| model.name == "qemu64")
    );
    // The descriptors on disk know more than libvirt tells.
    assert_eq!(facts.firmware, None);

    let read = facts::read(&*open(Mode::ReadOnly), &Q35, &|_| None).unwrap();
    assert_eq!(read.unknown.len(), 1, "{:?}", read.unknown);
    assert_eq!(read.facts.cpu_models, None);
}

/// `qemu+unix` with a host name is refused, so the remote side is played by another transport.
fn a_remote_host_is_asked_for_its_loaders(libvirt: &Daemon) {
    let script = libvirt.images().join("tunnel");
    let tunnel = "#!/usr/bin/env python3\n\
        import socket,sys,os,threading\n\
        s=socket.socket(socket.AF_UNIX); s.connect('/run/libvirt/libvirt-sock')\n\
        def up():\n    \
            while (d:=os.read(0,65536)): s.sendall(d)\n    \
            s.shutdown(socket.SHUT_WR)\n\
        threading.Thread(target=up,daemon=True).start()\n\
        while (d:=s.recv(65536)): os.write(1,d)\n";
    std::fs::write(&script, tunnel).unwrap();
    assert!(
        Command::new("chmod")
            .arg("+x")
            .arg(&script)
            .status()
            .unwrap()
            .success()
    );
    let uri = format!("qemu+ext:///system?command={}", script.display());
    let hypervisor = libvirt::Libvirt.open(Some(&uri), Mode::ReadWrite).unwrap();
    let build_of = |code: &str| {
        code.ends_with("/OVMF_CODE_4M.fd").then(|| Firmware {
            code: code.to_owned(),
            ..Firmware::default()
        })
    };
    let facts = facts::read(&*hypervisor, &Q35, &build_of).unwrap().facts;
    assert_eq!(facts.firmware.unwrap().len(), 1);
    assert!(!facts.firmware_passed_over.is_empty());
    assert_eq!(facts.firmware_autoselection, Some(true));

    // A look at a domain there knows them as well, and does not get its passwords for it.
    let vnc = "<devices><graphics type='vnc' passwd='sesame'/></devices>";
    libvirt.define(&tiny("afar", vnc));
    let diff = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_virt-patch"))
            .args(["diff", "-c", &uri, "afar", "--show-secrets"])
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let said = diff(&["--verbose"]);
    assert!(
        said.contains("(read-write); firmware from its list of loaders"),
        "{said}"
    );
    assert!(
        said.contains("OVMF_CODE_4M.fd has neither Secure Boot nor SMM"),
        "{said}"
    );
    assert!(!said.contains("sesame"), "{said}");
    libvirt.virsh(["undefine", "afar"]);
}

fn secrets_come_when_they_are_asked_for(libvirt: &Daemon) {
    let vnc = "<devices><graphics type='vnc' passwd='sesame'/></devices>";
    libvirt.define(&tiny("secretive", vnc));
    let hypervisor = open(Mode::ReadWrite);
    let uuid = hypervisor.find("secretive").unwrap().uuid;
    assert!(
        hypervisor
            .definition(&uuid, Secrets::Included)
            .unwrap()
            .contains("sesame")
    );
    assert!(
        !hypervisor
            .definition(&uuid, Secrets::Omitted)
            .unwrap()
            .contains("sesame")
    );
}

fn states_of_domains(libvirt: &Daemon) {
    let hypervisor = open(Mode::ReadWrite);
    for name in ["state-saved", "state-paused", "state-running"] {
        libvirt.define(&tiny(name, ""));
    }
    let disk = libvirt.images().join("state-off.qcow2");
    let disk = disk.to_str().unwrap();
    daemon::output_of(Command::new("qemu-img").args(["create", "-f", "qcow2", disk, "1M"]));
    let disk = format!(
        "<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='{disk}'/>\
         <target dev='vda'/></disk></devices>"
    );
    libvirt.define(&tiny("state-off", &disk));
    libvirt.virsh(["start", "--paused", "state-saved"]);
    libvirt.virsh(["managedsave", "state-saved"]);
    libvirt.virsh(["start", "--paused", "state-paused"]);
    libvirt.virsh(["start", "state-running"]);
    libvirt.virsh(["autostart", "state-off"]);
    libvirt.virsh(["snapshot-create-as", "state-off", "one"]);
    libvirt.virsh(["snapshot-create-as", "state-off", "two"]);
    hypervisor
        .create_transient(&tiny("state-transient", ""))
        .unwrap();

    for (name, state, persistent, autostart, saved, snapshots) in [
        ("state-off", State::Shutoff, true, true, false, 2),
        ("state-saved", State::Shutoff, true, false, true, 0),
        ("state-paused", State::Paused, true, false, false, 0),
        ("state-running", State::Running, true, false, false, 0),
        ("state-transient", State::Paused, false, false, false, 0),
    ] {
        let found = hypervisor.find(name).unwrap();
        assert_eq!(
            (found.state, found.persistent),
            (state, persistent),
            "{name}"
        );
        assert_eq!(
            (found.autostart, found.has_managed_save),
            (autostart, saved),
            "{name}"
        );
        assert_eq!(
            (found.snapshots, found.id.is_some()),
            (snapshots, state.is_active()),
            "{name}"
        );
        let listed = hypervisor.domains().unwrap();
        assert!(listed.contains(&found), "{name}: {listed:?}");
    }
    libvirt.virsh(["destroy", "state-running"]);
    libvirt.virsh(["destroy", "state-paused"]);
}

fn a_definition_is_checked_against_the_schema(_: &Daemon) {
    let hypervisor = open(Mode::ReadWrite);
    let error = hypervisor
        .define(&tiny("unknown-element", "<devices><tvpm/></devices>"))
        .unwrap_err();
    assert!(
        error.libvirt().unwrap().message.contains("validate"),
        "{error:?}"
    );
    assert!(
        hypervisor
            .find("unknown-element")
            .unwrap_err()
            .is_no_domain()
    );
}

fn undefining_leaves_the_nvram_file(libvirt: &Daemon) {
    let nvram = libvirt.images().join("kept.fd");
    std::fs::write(&nvram, "variables").unwrap();
    let xml = tiny("with-nvram", "<features><acpi/></features>").replace(
        "</type>",
        &format!("</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{}</nvram>", nvram.display()),
    );
    let hypervisor = open(Mode::ReadWrite);
    let uuid = hypervisor.define(&xml).unwrap();
    hypervisor.undefine(&uuid).unwrap();
    assert!(hypervisor.find(&uuid).unwrap_err().is_no_domain());
    assert_eq!(std::fs::read_to_string(&nvram).unwrap(), "variables");
}

fn a_transient_domain_ends_with_its_connection(_: &Daemon) {
    let hypervisor = open(Mode::ReadWrite);
    let uuid = hypervisor.create_transient(&tiny("transient", "")).unwrap();
    let other = open(Mode::ReadOnly);
    assert_eq!(other.find(&uuid).unwrap().state, State::Paused);
    drop(hypervisor);
    let deadline = Instant::now() + Duration::from_secs(10);
    while other.find(&uuid).is_ok() {
        assert!(
            Instant::now() < deadline,
            "the domain outlives its connection"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn qemu_answers_over_the_monitor(_: &Daemon) {
    let hypervisor = open(Mode::ReadWrite);
    let uuid = hypervisor.create_transient(&tiny("monitored", "")).unwrap();
    let answer = hypervisor
        .monitor(&uuid, r#"{"execute":"query-name"}"#)
        .unwrap();
    assert!(answer.contains(r#""name":"monitored""#), "{answer}");
    hypervisor.destroy(&uuid).unwrap();
    assert!(hypervisor.find(&uuid).unwrap_err().is_no_domain());
    let native = hypervisor.to_native(&tiny("native", "")).unwrap();
    assert!(native.contains("-name guest=native"), "{native}");
}

fn a_killed_daemon_is_a_lost_connection(libvirt: &Daemon) {
    libvirt.define(&tiny("killed", ""));
    let hypervisor = open(Mode::ReadWrite);
    let uuid = hypervisor.find("killed").unwrap().uuid;
    libvirt.kill();
    let error = hypervisor.definition(&uuid, Secrets::Included).unwrap_err();
    assert!(error.is_connection_lost(), "{error:?}");
    assert!(!error.is_no_domain(), "{error:?}");
    let Err(error) = libvirt::Libvirt.open(Some(Daemon::URI), Mode::ReadWrite) else {
        panic!("connected to a daemon that is not there")
    };
    assert!(error.is_unreachable(), "{error:?}");
    // Closing what is lost is no error.
    drop(hypervisor);
    libvirt.start();
    assert_eq!(open(Mode::ReadWrite).find("killed").unwrap().uuid, uuid);
}

fn a_silent_daemon_is_a_lost_connection(libvirt: &Daemon) {
    let hypervisor = open(Mode::ReadWrite);
    libvirt.pause();
    let before = Instant::now();
    let error = hypervisor.domains().unwrap_err();
    assert!(error.is_connection_lost(), "{error:?}");
    assert!(before.elapsed() < Duration::from_secs(60));
    libvirt.resume();
}

/// A file system of its own, as the state directory, mounted in this process's namespace.
fn mounted(libvirt: &Daemon, name: &str, options: &str) -> Store {
    let place = libvirt.images().join(name);
    std::fs::create_dir(&place).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "none"])
        .arg(&place)
        .status();
    assert!(mount.unwrap().success());
    Store::in_environment(|variable| (variable == "XDG_STATE_HOME").then(|| place.clone().into()))
        .unwrap()
}

fn a_full_disk_leaves_no_backup(libvirt: &Daemon) {
    let store = mounted(libvirt, "full", "size=64k");
    let large = format!(
        "<domain><name>large</name><!--{}--></domain>",
        "x".repeat(100_000)
    );
    let error = store
        .write(Daemon::URI, "u", &large, SystemTime::now())
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        error.to_string().starts_with("cannot write the backup '"),
        "{error}"
    );
    assert!(cause.contains("No space left on device"), "{cause}");
    assert_eq!(store.list(None, None).unwrap(), []);
    let small = store
        .write(Daemon::URI, "u", "<domain/>", SystemTime::now())
        .unwrap();
    let directory = small.backup.path.parent().unwrap();
    assert_eq!(
        std::fs::read_dir(directory).unwrap().count(),
        1,
        "half a backup is left behind"
    );
}

fn a_read_only_disk_takes_no_backup(libvirt: &Daemon) {
    let store = mounted(libvirt, "read-only", "ro");
    let error = store
        .write(Daemon::URI, "u", "<domain/>", SystemTime::now())
        .unwrap_err();
    let expected = format!(
        "cannot create the directory '{}'",
        store.root().parent().unwrap().display()
    );
    assert_eq!(error.to_string(), expected);
}
