//! The QEMU emulators on a host: where, which version, what they lack.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::emulator_cache::{Cache, Key};
use super::qemu_binary::{self, APPLE_SMC, Reading};
use super::tree::Tree;
use super::{Emulator, Version};

/// Where QEMU for x86_64 guests usually is, in the order in which libvirt would choose: it
/// searches its PATH (systemd's has /usr/local/bin first), then takes /usr/libexec/qemu-kvm.
pub const USUAL_PLACES: &[&str] = &[
    "/usr/local/bin/qemu-system-x86_64",
    "/usr/bin/qemu-system-x86_64",
    "/usr/libexec/qemu-kvm",
    "/run/libvirt/nix-emulators/qemu-system-x86_64",
    "/run/current-system/sw/bin/qemu-system-x86_64",
];

/// Older names, mostly links or scripts that start one of the above; looked at only where there
/// is none.
pub const OLDER_PLACES: &[&str] = &["/usr/bin/qemu-kvm", "/usr/bin/kvm"];

/// How long `--version` may take. A cold start from a slow disk needs about a second.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The emulators in the usual places; one that is reached by several names only once.
pub(crate) fn probe(tree: &Tree, cache: Option<&Cache>) -> Vec<Emulator> {
    for places in [USUAL_PLACES, OLDER_PLACES] {
        let mut seen: Vec<PathBuf> = Vec::new();
        let mut emulators = Vec::new();
        for path in places {
            let Some((real, metadata)) = there(tree, path) else {
                continue;
            };
            if seen.contains(&real) {
                continue;
            }
            seen.push(real.clone());
            emulators.extend(look_at(tree, cache, path, real, &metadata));
        }
        if !emulators.is_empty() {
            return emulators;
        }
    }
    Vec::new()
}

/// One emulator by its path; `None` when there is no such program.
///
/// It is run (`--version`, with a time limit) only on the live machine, only when the file itself
/// does not tell, and only from one of the usual places: a path that a document names must not
/// get anything executed.
pub(crate) fn look(tree: &Tree, cache: Option<&Cache>, path: &str) -> Option<Emulator> {
    if !path.starts_with('/') {
        return None;
    }
    let (real, metadata) = there(tree, path)?;
    look_at(tree, cache, path, real, &metadata)
}

/// The file behind a path, if there is one. Most places are empty, which one question tells; to
/// resolve the path takes one for each of its parts.
fn there(tree: &Tree, path: &str) -> Option<(PathBuf, Metadata)> {
    let path = Path::new(path);
    let metadata = tree.metadata(path).ok().filter(Metadata::is_file)?;
    Some((tree.real_path(path).ok()?, metadata))
}

fn look_at(
    tree: &Tree,
    cache: Option<&Cache>,
    path: &str,
    real: PathBuf,
    metadata: &Metadata,
) -> Option<Emulator> {
    if tree.is_machine() && metadata.permissions().mode() & 0o111 == 0 {
        return None;
    }
    let known = cache.and_then(|cache| cache.get(&Key::new(real.clone(), metadata)));
    let reading = known.unwrap_or_else(|| read(tree, cache, path, real));
    Some(described(path, reading))
}

fn read(tree: &Tree, cache: Option<&Cache>, path: &str, real: PathBuf) -> Reading {
    let in_store = real.starts_with("/nix/store");
    let scanned = tree.open(&real).ok().and_then(|(file, metadata)| {
        Some((qemu_binary::scan(file).ok()?, Key::new(real, &metadata)))
    });
    let (mut reading, key) = match scanned {
        Some((reading, key)) => (reading, Some(key)),
        None => (Reading::default(), None),
    };
    let run = reading.version.is_none() && tree.is_machine() && is_usual(path);
    if run {
        reading.version = run_version(path, TIME_LIMIT);
    }
    // A wrapper outlives the QEMU that it starts, except where files never change.
    if let (Some(cache), Some(key), true) = (cache, key, !run || in_store) {
        let _ = cache.put(key, reading);
    }
    reading
}

fn described(path: &str, reading: Reading) -> Emulator {
    let missing = reading.apple_smc == Some(false);
    Emulator {
        path: path.to_owned(),
        arch: architecture(path, reading.elf_machine).to_owned(),
        version: reading.version,
        missing_devices: if missing {
            vec![APPLE_SMC.to_owned()]
        } else {
            Vec::new()
        },
        machines: Vec::new(),
    }
}

/// `qemu-system-ARCH` says it; `qemu-kvm` emulates what it runs on.
fn architecture(path: &str, elf_machine: Option<u16>) -> &str {
    if let Some((_, architecture)) = path.rsplit_once("/qemu-system-") {
        return architecture;
    }
    // ELF e_machine numbers.
    match elf_machine {
        Some(183) => "aarch64",
        Some(21) => "ppc64",
        Some(22) => "s390x",
        Some(243) => "riscv64",
        Some(258) => "loongarch64",
        _ => "x86_64",
    }
}

fn is_usual(path: &str) -> bool {
    USUAL_PLACES
        .iter()
        .chain(OLDER_PLACES)
        .any(|usual| *usual == path)
}

fn run_version(path: &str, limit: Duration) -> Option<Version> {
    let mut child = Command::new(path)
        .arg("--version")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take();
    let ended = wait(&mut child, limit);
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
    }
    qemu_binary::printed_version(&printed(output?))
}

fn wait(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) => thread::sleep(pause),
            Err(_) => return false,
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    false
}

/// What is in the pipe now: a grandchild may hold it open for ever.
fn printed(mut output: ChildStdout) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let length = rustix::fs::fcntl_setfl(&output, OFlags::NONBLOCK)
        .ok()
        .and_then(|()| output.read(&mut bytes).ok())
        .unwrap_or(0);
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(keep: &tempfile::TempDir, path: &str, content: &[u8], mode: u32) -> String {
        let path = keep.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn script(version: &str) -> Vec<u8> {
        format!("#!/bin/sh\necho 'QEMU emulator version {version}'\n").into_bytes()
    }

    fn elf(machine: u16, version: &str) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes.extend(format!("QEMU emulator version {version}\n").bytes());
        bytes
    }

    #[test]
    fn usual_places_in_libvirts_order_and_each_binary_once() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        let found = |tree: &Tree| {
            let list = probe(tree, None).into_iter();
            list.map(|emulator| (emulator.path, emulator.version.unwrap()))
                .collect::<Vec<_>>()
        };
        assert!(probe(&tree, None).is_empty());
        put(&keep, "/usr/bin/kvm", &script("5.2.0"), 0o755);
        assert_eq!(
            found(&tree),
            [("/usr/bin/kvm".to_owned(), Version::new(5, 2, 0))]
        );
        put(&keep, "/usr/libexec/qemu-kvm", &script("8.2.0"), 0o755);
        put(
            &keep,
            "/usr/bin/qemu-system-x86_64",
            &script("9.0.1"),
            0o755,
        );
        fs::create_dir_all(keep.path().join("usr/local/bin")).unwrap();
        let local = keep.path().join("usr/local/bin/qemu-system-x86_64");
        symlink("/usr/bin/qemu-system-x86_64", local).unwrap();
        let expected = [
            (
                "/usr/local/bin/qemu-system-x86_64".to_owned(),
                Version::new(9, 0, 1),
            ),
            ("/usr/libexec/qemu-kvm".to_owned(), Version::new(8, 2, 0)),
        ];
        assert_eq!(found(&tree), expected);
    }

    #[test]
    fn architecture_and_missing_devices() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Tree::at(keep.path()).unwrap();
        for (path, content, arch, missing) in [
            ("/usr/libexec/qemu-kvm", elf(62, "9.1.0"), "x86_64", true),
            ("/usr/libexec/qemu-kvm", elf(183, "9.1.0"), "aarch64", true),
            ("/usr/libexec/qemu-kvm", script("9.1.0"), "x86_64", false),
            (
                "/opt/bin/qemu-system-x86_64",
                elf(183, "9.1.0"),
                "x86_64",
                true,
            ),
            (
                "/opt/bin/qemu-system-ppc64",
                elf(62, "9.1.0"),
                "ppc64",
                true,
            ),
        ] {
            put(&keep, path, &content, 0o644);
            let emulator = look(&tree, None, path).unwrap();
            assert_eq!(
                (emulator.arch.as_str(), emulator.path.as_str()),
                (arch, path)
            );
            let devices: &[&str] = if missing { &["isa-applesmc"] } else { &[] };
            assert_eq!(emulator.missing_devices, devices, "{path}");
        }
        for path in ["usr/libexec/qemu-kvm", "/usr/libexec", "/absent", ""] {
            assert_eq!(look(&tree, None, path), None, "{path}");
        }
    }

    #[test]
    fn a_program_that_a_document_names_is_never_run() {
        let keep = tempfile::tempdir().unwrap();
        let marker = keep.path().join("was-run");
        let text = format!("#!/bin/sh\ntouch '{}'\n", marker.display());
        let path = put(&keep, "qemu-system-x86_64", text.as_bytes(), 0o755);
        let emulator = look(&Tree::machine(), None, &path).unwrap();
        assert_eq!((emulator.version, marker.exists()), (None, false));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(look(&Tree::machine(), None, &path), None, "not executable");
    }

    #[test]
    fn running_one_is_bounded() {
        let keep = tempfile::tempdir().unwrap();
        let fine = put(
            &keep,
            "fine",
            b"#!/bin/sh\necho QEMU emulator version 4.2.1\n",
            0o755,
        );
        assert_eq!(run_version(&fine, TIME_LIMIT), Some(Version::new(4, 2, 1)));
        let holds = "#!/bin/sh\nsleep 30 &\necho QEMU emulator version 4.2.2\n";
        let holds = put(&keep, "holds-the-pipe", holds.as_bytes(), 0o755);
        let started = Instant::now();
        assert_eq!(run_version(&holds, TIME_LIMIT), Some(Version::new(4, 2, 2)));
        assert!(started.elapsed() < TIME_LIMIT);
        let hangs = put(&keep, "hangs", b"#!/bin/sh\nexec sleep 30\n", 0o755);
        let started = Instant::now();
        assert_eq!(run_version(&hangs, Duration::from_millis(200)), None);
        assert!(started.elapsed() < TIME_LIMIT);
        assert_eq!(run_version("/nonexistent", TIME_LIMIT), None);
    }

    #[test]
    fn the_cache_answers_until_the_file_changes() {
        let keep = tempfile::tempdir().unwrap();
        let path = put(&keep, "qemu-system-x86_64", &elf(62, "7.2.22"), 0o755);
        let cache = Cache::new(keep.path().join("cache"));
        let machine = Tree::machine();
        let first = look(&machine, Some(&cache), &path);
        let key = Key::new(
            fs::canonicalize(&path).unwrap(),
            &fs::metadata(&path).unwrap(),
        );
        assert_eq!(
            cache.get(&key).unwrap().version,
            Some(Version::new(7, 2, 22))
        );
        assert_eq!(look(&machine, Some(&cache), &path), first);
        let invented = Reading {
            version: Some(Version::new(1, 0, 0)),
            ..Reading::default()
        };
        cache.put(key, invented).unwrap();
        assert_eq!(
            look(&machine, Some(&cache), &path).unwrap().version,
            invented.version
        );
        fs::write(&path, elf(62, "10.0.0")).unwrap();
        let upgraded = look(&machine, Some(&cache), &path).unwrap();
        assert_eq!(upgraded.version, Some(Version::new(10, 0, 0)));
    }
}
