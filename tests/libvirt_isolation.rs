//! A private libvirt daemon is private: the machine's own libvirt does not see its domains, two of
//! them do not see each other, and nothing of one is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use daemon::Outside;

fn main() -> ExitCode {
    daemon::main_outside(tests![
        the_machines_own_libvirt_does_not_see_our_domain,
        the_machines_devices_stay_as_they_are,
        two_daemons_have_domains_of_the_same_name,
        nothing_is_left_when_the_script_is_killed,
        the_exit_status_is_that_of_the_command,
        without_root_the_reason_is_told,
    ])
}

fn the_machines_own_libvirt_does_not_see_our_domain(outside: &Outside) {
    let guest = Guest::start(outside, "virt-patch-isolation");
    let own = daemon::output_of(Command::new("virsh").args([
        "-c",
        "qemu:///system",
        "list",
        "--all",
        "--name",
    ]));
    // A machine without a daemon of its own answers with an error, and shows nothing either.
    assert!(!String::from_utf8_lossy(&own.stdout).contains(&guest.name));
    assert_eq!(guest.qemu_processes(), 1);
    for directory in [
        "/etc/libvirt/qemu",
        "/run/libvirt/qemu",
        "/var/log/libvirt/qemu",
    ] {
        let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names = files.map(|file| file.file_name().into_string().unwrap());
        assert_eq!(
            names.find(|name| name.contains(&guest.name)),
            None,
            "{directory}"
        );
    }
}

/// libvirt makes a `/dev` for each guest, and has been seen to change the machine's doing so.
fn the_machines_devices_stay_as_they_are(outside: &Outside) {
    let nodes = || {
        let node = |path: std::path::PathBuf| {
            let node = std::fs::symlink_metadata(&path).ok()?;
            Some((path, node.ino(), node.rdev(), node.mode()))
        };
        let entries = std::fs::read_dir("/dev").unwrap().flatten();
        entries
            .filter_map(|entry| node(entry.path()))
            .collect::<BTreeSet<_>>()
    };
    let before = nodes();
    drop(Guest::start(outside, "virt-patch-devices"));
    assert_eq!(nodes(), before);
}

fn two_daemons_have_domains_of_the_same_name(outside: &Outside) {
    let one = Guest::start(outside, "virt-patch-twin");
    let other = Guest::start(outside, "virt-patch-twin");
    assert_ne!(one.uuid, other.uuid);
    assert_eq!(one.qemu_processes(), 2);
}

fn nothing_is_left_when_the_script_is_killed(outside: &Outside) {
    let mut guest = Guest::start(outside, "virt-patch-killed");
    assert_eq!(guest.qemu_processes(), 1);
    guest.script.kill().unwrap();
    guest.script.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while guest.qemu_processes() > 0 {
        assert!(Instant::now() < deadline, "QEMU is still running");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn the_exit_status_is_that_of_the_command(outside: &Outside) {
    let status = outside
        .with_libvirt()
        .args(["sh", "-c", "exit 42"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(42));
}

fn without_root_the_reason_is_told(outside: &Outside) {
    let script = outside.with_libvirt();
    let output = daemon::output_of(
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash"])
            .arg(script.get_program())
            .arg("true")
            .stdin(Stdio::null()),
    );
    assert_eq!(output.status.code(), Some(77));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "with-libvirt: needs root\n"
    );
}

/// A running domain in a private daemon; both end with this value.
struct Guest {
    name: String,
    uuid: String,
    script: Child,
}

impl Guest {
    fn start(outside: &Outside, stem: &str) -> Self {
        // Another test run on this machine uses the same stem.
        let name = format!("{stem}-{}", std::process::id());
        let xml = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
        );
        let start = "echo \"$1\" >\"$HOME/xml\"; virsh -q define \"$HOME/xml\"; \
                     virsh -q start --paused \"$2\"; virsh -q domuuid \"$2\"; read -r _";
        let mut script = outside
            .with_libvirt()
            .args(["bash", "-ec", start, "bash", &xml, &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(script.stdout.as_mut().unwrap()).lines();
        let uuid = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.len() == 36);
        Self {
            uuid: uuid.unwrap_or_else(|| panic!("'{name}' did not start")),
            name,
            script,
        }
    }

    fn qemu_processes(&self) -> usize {
        let argument = format!("guest={},", self.name);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let command_lines =
            processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        command_lines
            .filter(|line| String::from_utf8_lossy(line).contains(&argument))
            .count()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.script.kill());
        drop(self.script.wait());
    }
}
