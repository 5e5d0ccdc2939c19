//! Gives a test binary a libvirt daemon of its own, by running itself again inside of
//! `scripts/with-libvirt`. Knows nothing about virt-patch.
//!
//! A binary of such tests needs `harness = false` in `Cargo.toml` and looks like this:
//!
//! ```ignore
//! #[path = "common/daemon.rs"]
//! mod daemon;
//!
//! fn main() -> std::process::ExitCode {
//!     daemon::main(tests![a_domain_can_be_defined])
//! }
//!
//! fn a_domain_can_be_defined(libvirt: &daemon::Daemon) {
//!     libvirt.define("<domain type='qemu'>…</domain>");
//! }
//! ```
//!
//! One daemon serves all tests of a binary, on several threads: each test names its domains after
//! itself. Tests that disturb the daemon go into a binary that calls [`main_one_at_a_time`].
//! Where no daemon can be had (no root, libvirt not installed) every test is reported as ignored,
//! with the reason; in CI (`CI` set) every one fails instead.

#![allow(
    dead_code,
    reason = "every test binary compiles this module and uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Completion, Trial};

/// A test and its name; written as `tests![first, second]`.
pub type Test<Place> = (&'static str, fn(&Place));

/// The tests of a binary, under the names of their functions.
#[macro_export]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => { vec![$((stringify!($test), $test as fn(&_))),+] };
}

/// Runs the tests inside, in parallel, on one daemon.
pub fn main(tests: Vec<Test<Daemon>>) -> ExitCode {
    run_inside(tests, Arguments::from_args(), || ())
}

/// Runs the tests inside, one after the other; each finds the daemon running.
pub fn main_one_at_a_time(tests: Vec<Test<Daemon>>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    run_inside(tests, arguments, || {
        control("ensure");
    })
}

/// Runs the tests where they are, skipped or failed under the same conditions as the others: for
/// what the machine's own libvirt sees of ours.
pub fn main_outside(tests: Vec<Test<Outside>>) -> ExitCode {
    let arguments = Arguments::from_args();
    match unavailable() {
        Some(reason) => run_without_daemon(tests, &arguments, &reason),
        None => run(tests, &arguments, || Outside(())),
    }
}

/// A machine on which private daemons can be had.
#[derive(Debug)]
pub struct Outside(());

impl Outside {
    /// `scripts/with-libvirt`, to be given a command.
    pub fn with_libvirt(&self) -> Command {
        with_libvirt()
    }
}

/// The private daemon of this process. It ends, with all its guests, when the process does.
#[derive(Debug)]
pub struct Daemon(());

impl Daemon {
    /// What the daemon is called in a connection URI (also in `LIBVIRT_DEFAULT_URI`).
    pub const URI: &str = "qemu:///system";

    /// A directory QEMU may read, which its own user cannot do everywhere below `/tmp`; private too.
    pub fn images(&self) -> &Path {
        Path::new("/var/lib/libvirt/images")
    }

    /// Runs `virsh` and gives back its output. Panics, with what it said, when it fails.
    pub fn virsh<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        self.try_virsh(arguments)
            .unwrap_or_else(|message| panic!("{message}"))
    }

    /// Runs `virsh` and gives back its output, or what it said when it failed.
    pub fn try_virsh<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, String> {
        let mut command = Command::new("virsh");
        let output = output_of(command.arg("--quiet").args(arguments));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("{command:?}: {}", text(&output.stderr))),
        }
    }

    /// Defines a domain, validated against libvirt's schema. Panics when libvirt rejects it.
    pub fn define(&self, xml: &str) {
        self.try_define(xml)
            .unwrap_or_else(|message| panic!("{message}\n{xml}"));
    }

    /// Defines a domain, validated against libvirt's schema, or gives back why libvirt rejects it.
    pub fn try_define(&self, xml: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, xml).unwrap();
        self.try_virsh([
            "define".as_ref(),
            "--validate".as_ref(),
            file.path().as_os_str(),
        ])
        .map(|_| ())
    }

    /// The stored definition, with secrets.
    pub fn definition(&self, domain: &str) -> String {
        self.virsh(["dumpxml", "--inactive", "--security-info", domain])
    }

    /// Starts the daemon again and waits until it answers.
    pub fn start(&self) {
        control("start");
    }

    /// Ends the daemon as an administrator would (SIGTERM). Guests stay.
    pub fn stop(&self) {
        control("stop");
    }

    /// Ends the daemon as a crash would (SIGKILL). Guests stay.
    pub fn kill(&self) {
        control("kill");
    }

    /// Stops the daemon where it is: connections stay open, calls hang.
    pub fn pause(&self) {
        control("pause");
    }

    /// Lets a paused daemon go on.
    pub fn resume(&self) {
        control("resume");
    }

    /// The daemon's process id, as it is seen in here.
    pub fn pid(&self) -> u32 {
        control("pid").trim().parse().unwrap()
    }
}

/// Output of a command that could be started; says which could not.
pub fn output_of(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

fn run_inside(tests: Vec<Test<Daemon>>, arguments: Arguments, before_each: fn()) -> ExitCode {
    let is_wanted = |name: &str| !arguments.is_filtered_out(&Trial::test(name, || Ok(())));
    let none_to_run = arguments.list || !tests.iter().any(|(name, _)| is_wanted(name));
    if none_to_run || std::env::var_os("VIRT_PATCH_IN_NAMESPACE").is_some() {
        return run(tests, &arguments, move || {
            before_each();
            Daemon(())
        });
    }
    if let Some(reason) = unavailable() {
        return run_without_daemon(tests, &arguments, &reason);
    }
    let itself = std::env::current_exe().unwrap();
    let error = with_libvirt()
        .arg(itself)
        .args(std::env::args_os().skip(1))
        .exec();
    panic!("cannot run scripts/with-libvirt: {error}")
}

fn run<Place: 'static>(
    tests: Vec<Test<Place>>,
    arguments: &Arguments,
    place: impl Fn() -> Place + Copy + Send + 'static,
) -> ExitCode {
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test(&place());
            Ok(())
        })
    });
    libtest_mimic::run(arguments, trials.collect()).exit_code()
}

fn run_without_daemon<Place>(
    tests: Vec<Test<Place>>,
    arguments: &Arguments,
    reason: &str,
) -> ExitCode {
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    let trials = tests.into_iter().map(|(name, _)| {
        let reason = reason.to_owned();
        Trial::ignorable_test(name, move || match in_ci {
            true => Err(format!("{reason}; in CI this is a failure").into()),
            false => Ok(Completion::ignored_with(reason)),
        })
    });
    libtest_mimic::run(arguments, trials.collect()).exit_code()
}

fn unavailable() -> Option<String> {
    let output = output_of(with_libvirt().arg("--check"));
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (!output.status.success()).then_some(reason)
}

fn with_libvirt() -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/with-libvirt"));
    // Probing QEMU takes a second; its answer is good for every test run on this machine.
    let capabilities = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libvirt-capabilities");
    command.env("VIRT_PATCH_LIBVIRT_CACHE", capabilities);
    command
}

fn control(action: &str) -> String {
    let mut command = Command::new(std::env::var_os("LIBVIRTD_CTL").unwrap());
    let output = output_of(command.arg(action));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
