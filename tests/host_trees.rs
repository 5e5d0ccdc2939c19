//! What the local probe finds in the file trees of the distributions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/trees.rs"]
mod trees;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use virt_patch::document::Document;
use virt_patch::host::known_places::{SizeClass, size_class};
use virt_patch::host::local::{Local, Wanted, WantedBuilds};
use virt_patch::host::{Facts, Firmware, ImageFormat, PassedOver, Version};
use virt_patch::passes::{self, Context, settings::Settings};
use virt_patch::pipeline::{self, Step};
use virt_patch::profile::Profile;

fn probe(root: &Path) -> Facts {
    Local::root(root).unwrap().probe(&Wanted::ALL)
}

fn is_plain(build: &&Firmware) -> bool {
    !build.secure_boot && !build.enrolled_keys && !build.smm
}

fn class(build: &Firmware) -> Option<SizeClass> {
    size_class(build.code_size.unwrap(), build.vars_size.unwrap())
}

fn reasons(facts: &Facts) -> Vec<String> {
    let line = |over: &PassedOver| format!("{} {}", over.place, over.reason);
    facts.firmware_passed_over.iter().map(line).collect()
}

struct Expected {
    name: &'static str,
    /// CODE and source of the first build without Secure Boot, keys and SMM.
    plain: Option<(&'static str, &'static str)>,
    format: ImageFormat,
    size: SizeClass,
    /// All builds, plain ones.
    builds: (usize, usize),
    emulator: (&'static str, Version),
    libvirt: Version,
}

#[test]
#[rustfmt::skip]
fn every_distribution_has_its_first_plain_build() {
    use ImageFormat::{Qcow2, Raw};
    use SizeClass::FourMib;
    let qemu = "/usr/bin/qemu-system-x86_64";
    let nix = "/run/libvirt/nix-emulators/qemu-system-x86_64";
    let v = Version::new;
    let debian = Some(("/usr/share/OVMF/OVMF_CODE_4M.fd", "60-edk2-x86_64.json"));
    for Expected { name, plain, format, size, builds, emulator, libvirt } in [
        Expected { name: "debian-12", plain: debian, format: Raw, size: FourMib, builds: (7, 2), emulator: (qemu, v(7, 2, 22)), libvirt: v(9, 0, 0) },
        Expected { name: "debian-13", plain: debian, format: Raw, size: FourMib, builds: (5, 1), emulator: (qemu, v(10, 0, 8)), libvirt: v(11, 3, 0) },
        Expected { name: "ubuntu-22.04", plain: debian, format: Raw, size: FourMib, builds: (7, 2), emulator: (qemu, v(6, 2, 0)), libvirt: v(8, 0, 0) },
        Expected { name: "ubuntu-24.04", plain: debian, format: Raw, size: FourMib, builds: (4, 1), emulator: (qemu, v(8, 2, 2)), libvirt: v(10, 0, 0) },
        Expected { name: "darwinudk", plain: debian, format: Raw, size: FourMib, builds: (8, 3), emulator: (qemu, v(7, 2, 22)), libvirt: v(9, 0, 0) },
        Expected { name: "fedora", plain: Some(("/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "50-edk2-ovmf-4m-qcow2-x64-nosb.json")), format: Qcow2, size: FourMib, builds: (9, 3), emulator: (qemu, v(8, 2, 9)), libvirt: v(10, 1, 0) },
        Expected { name: "rhel", plain: Some(("/usr/share/edk2/ovmf/OVMF_CODE.fd", "50-edk2-ovmf-x64-nosb.json")), format: Raw, size: FourMib, builds: (5, 1), emulator: ("/usr/libexec/qemu-kvm", v(9, 1, 0)), libvirt: v(10, 10, 0) },
        Expected { name: "arch", plain: Some(("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "60-edk2-ovmf-x86_64-4m.json")), format: Raw, size: FourMib, builds: (2, 1), emulator: (qemu, v(10, 1, 0)), libvirt: v(11, 7, 0) },
        Expected { name: "opensuse", plain: Some(("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "60-ovmf-x86_64-4m.json")), format: Raw, size: FourMib, builds: (6, 2), emulator: (qemu, v(10, 1, 0)), libvirt: v(11, 7, 0) },
        Expected { name: "nixos", plain: Some(("/run/libvirt/nix-ovmf/edk2-x86_64-code.fd", "known place: NixOS")), format: Raw, size: FourMib, builds: (4, 2), emulator: (nix, v(9, 2, 4)), libvirt: v(11, 7, 0) },
        Expected { name: "nixos-ovmf", plain: Some(("/run/libvirt/nix-ovmf/OVMF_CODE.fd", "known place: NixOS")), format: Raw, size: FourMib, builds: (1, 1), emulator: (nix, v(9, 1, 3)), libvirt: v(10, 10, 0) },
        Expected { name: "gentoo", plain: Some(("/usr/share/edk2/OvmfX64/OVMF_CODE_4M.qcow2", "50-edk2-ovmf-4m-qcow2-x64-nosb.json")), format: Qcow2, size: FourMib, builds: (6, 3), emulator: (qemu, v(9, 2, 3)), libvirt: v(11, 3, 0) },
        Expected { name: "alpine", plain: Some(("/usr/share/qemu/edk2-x86_64-code.fd", "60-edk2-x86_64.json")), format: Raw, size: FourMib, builds: (3, 1), emulator: (qemu, v(10, 0, 0)), libvirt: v(11, 3, 0) },
        Expected { name: "alpine-ovmf", plain: None, format: Raw, size: FourMib, builds: (1, 0), emulator: ("/usr/local/bin/qemu-system-x86_64", v(10, 0, 0)), libvirt: v(11, 3, 0) },
    ] {
        let tree = trees::build(name);
        let facts = probe(tree.path());
        let all = facts.firmware.as_ref().unwrap();
        let found = all.iter().find(is_plain);
        assert_eq!(found.map(|build| (build.code.as_str(), build.source.as_str())), plain, "{name}");
        let shown = found.unwrap_or(&all[0]);
        assert_eq!((shown.code_format, shown.vars_format), (format, format), "{name}");
        assert_eq!(class(shown), Some(size), "{name}");
        assert_eq!((all.len(), all.iter().filter(is_plain).count()), builds, "{name}: {all:#?}");
        let first = &facts.emulators[0];
        assert_eq!((first.path.as_str(), first.version), (emulator.0, Some(emulator.1)), "{name}");
        assert_eq!(facts.emulators.len(), 1, "{name}");
        assert_eq!(facts.libvirt, Some(libvirt), "{name}");
        let missing: &[&str] = if name == "rhel" { &["isa-applesmc"] } else { &[] };
        assert_eq!(first.missing_devices, missing, "{name}");
        assert_eq!((facts.memory_kib, facts.cpu.threads), (Some(32_768_000), Some(2)), "{name}");
    }
}

#[test]
fn every_description_can_be_built_and_its_facts_saved() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let tree = trees::build(name);
        let facts = probe(tree.path());
        let text = facts.to_json().unwrap();
        assert_eq!(Facts::from_json(&text, name).unwrap(), facts, "{name}");
        for build in facts.firmware.iter().flatten() {
            assert!(class(build).is_some(), "{name}: {build:?}");
            let file = Local::root(tree.path()).unwrap().file(&build.code).unwrap();
            assert_eq!((file.exists, file.size), (true, build.code_size), "{name}");
            assert_eq!(file.format, Some(build.code_format), "{name}");
        }
    }
}

#[test]
fn a_shared_path_is_told_apart_by_its_size() {
    let build = |name: &str, code: &str| {
        let tree = trees::build(name);
        let all = probe(tree.path()).firmware.unwrap();
        all.into_iter().find(|build| build.code == code).unwrap()
    };
    let debian = build("debian-12", "/usr/share/OVMF/OVMF_CODE.fd");
    assert_eq!(
        (debian.secure_boot, class(&debian)),
        (false, Some(SizeClass::TwoMib))
    );
    assert_eq!(debian.source, "known place: Debian, Ubuntu; Fedora");
    let alpine = build("alpine-ovmf", "/usr/share/OVMF/OVMF_CODE.fd");
    assert_eq!(
        (alpine.secure_boot, class(&alpine)),
        (true, Some(SizeClass::FourMib))
    );
    assert_eq!((alpine.smm, alpine.enrolled_keys), (false, false));
    assert_eq!(alpine.source, "known place: Alpine");
    let darwin = build("darwinudk", "/usr/share/DarwinUDK/x64/DUDK_CODE.fd");
    assert_eq!(
        (darwin.secure_boot, class(&darwin)),
        (false, Some(SizeClass::TwoMib))
    );
}

#[test]
fn what_was_passed_over_says_why() {
    for (name, expected) in [
        (
            "debian-12",
            vec![
                "/usr/share/edk2/ovmf does not exist (directory of Fedora; RHEL, CentOS)",
                "/usr/share/edk2/x64 does not exist (directory of Arch Linux)",
                "/usr/share/qemu/ovmf-x86_64-4m-code.bin does not exist (openSUSE)",
                "/usr/share/qemu/ovmf-x86_64-code.bin does not exist (openSUSE)",
                "/run/libvirt/nix-ovmf does not exist (directory of NixOS)",
                "/run/current-system/sw/share/qemu does not exist (directory of NixOS)",
                "/usr/share/edk2/OvmfX64 does not exist (directory of Gentoo)",
                "/usr/share/edk2-ovmf does not exist (directory of Gentoo)",
                "/usr/share/qemu/edk2-x86_64-code.fd does not exist (QEMU's own bundle)",
                "/usr/local/share/qemu does not exist (directory of QEMU's own bundle)",
                "/usr/share/DarwinUDK/x64 does not exist (directory of DarwinUDK)",
                "/usr/share/DarwinUDK does not exist (directory of DarwinUDK)",
            ],
        ),
        (
            "arch",
            vec![
                "/usr/share/qemu/firmware/60-edk2-aarch64.json is for aarch64, not x86_64",
                "/usr/share/qemu/firmware/60-edk2-ovmf-microvm-4m.json is mapped into memory, \
                 which keeps no variables on disk",
                "/usr/share/qemu/firmware/81-edk2-ovmf-ia32-on-x86_64-4m.json names \
                 '/usr/share/edk2/ia32/OVMF_CODE.4m.fd', which does not exist",
            ],
        ),
        (
            "fedora",
            vec![
                "/usr/share/qemu/firmware/60-edk2-ovmf-x64-amdsev.json is stateless: CODE and VARS \
                 are not separate images",
                "/usr/share/qemu/firmware/60-edk2-ovmf-x64-inteltdx.json is mapped into memory, \
                 which keeps no variables on disk",
            ],
        ),
        (
            "empty",
            vec!["/usr/share/OVMF does not exist (directory of Debian, Ubuntu; Fedora; Alpine)"],
        ),
    ] {
        let tree = trees::build(name);
        let found = reasons(&probe(tree.path()));
        if name == "debian-12" {
            let rest: Vec<_> = found
                .iter()
                .filter(|line| !line.contains("OVMF_CODE"))
                .collect();
            assert_eq!(rest, expected.iter().collect::<Vec<_>>());
        }
        for reason in expected {
            assert!(
                found.iter().any(|line| line == reason),
                "{name}: {reason}: {found:#?}"
            );
        }
    }
}

const FIRMWARE: &str = "usr/share/qemu/firmware";

/// Changes made to a Debian 12 tree, what is then the first plain build's CODE file name, and
/// a reason that must be given.
#[test]
fn administrators_and_accidents() {
    let descriptor = |code: &str, vars: &str| {
        format!(
            r#"{{"interface-types": ["uefi"], "mapping": {{"device": "flash",
            "executable": {{"filename": "{code}", "format": "raw"}},
            "nvram-template": {{"filename": "{vars}", "format": "raw"}}}},
            "targets": [{{"architecture": "x86_64", "machines": ["pc-q35-*"]}}], "features": []}}"#
        )
    };
    let two = descriptor(
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    );
    let mixed = descriptor(
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    );
    let mine = descriptor("/usr/share/OVMF/MY_CODE.fd", "/usr/share/OVMF/MY_VARS.fd");
    let again = descriptor(
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    );
    let plain = "OVMF_CODE_4M.fd";
    type Change<'a> = &'a dyn Fn(&Path);
    let hide = |root: &Path| put(root, "etc/qemu/firmware/60-edk2-x86_64.json", "");
    let cases: [(&str, Change, &str, &str); 16] = [
        ("nothing", &|_| (), plain, ""),
        (
            "an empty file in /etc hides the plain descriptor",
            &hide,
            "OVMF_CODE.fd",
            "/etc/qemu/firmware/60-edk2-x86_64.json is empty, which hides its name",
        ),
        (
            "and its build is not taken for being in a known place",
            &hide,
            "OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.fd is the build of \
             '/usr/share/qemu/firmware/60-edk2-x86_64.json', which is hidden",
        ),
        (
            "nor by a link to it",
            &|root| {
                hide(root);
                for (name, file) in [("CODE.fd", "CODE_4M.fd"), ("VARS.fd", "VARS_4M.fd")] {
                    let path = format!("usr/share/OVMF/OVMF_{name}");
                    fs::remove_file(root.join(&path)).unwrap();
                    link(root, &format!("OVMF_{file}"), &path);
                }
                put(root, "etc/qemu/firmware/70-mine.json", &mine);
                for (name, size) in [("CODE", 3_653_632), ("VARS", 540_672)] {
                    let path = root.join(format!("usr/share/OVMF/MY_{name}.fd"));
                    fs::File::create(path).unwrap().set_len(size).unwrap();
                }
            },
            "MY_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE.fd is the build of \
             '/usr/share/qemu/firmware/60-edk2-x86_64.json', which is hidden",
        ),
        (
            "unless another descriptor names it",
            &|root| {
                hide(root);
                put(root, "etc/qemu/firmware/70-again.json", &again);
            },
            plain,
            "",
        ),
        (
            "the same name in /etc replaces it",
            &|root| put(root, "etc/qemu/firmware/60-edk2-x86_64.json", &two),
            "OVMF_CODE.fd",
            "/usr/share/qemu/firmware/60-edk2-x86_64.json is replaced by \
             '/etc/qemu/firmware/60-edk2-x86_64.json'",
        ),
        (
            "a smaller name in /etc comes first",
            &|root| put(root, "etc/qemu/firmware/10-mine.json", &two),
            "OVMF_CODE.fd",
            "",
        ),
        (
            "a link to /dev/null hides nothing",
            &|root| {
                fs::create_dir_all(root.join("etc/qemu/firmware")).unwrap();
                put(root, "dev/null", "");
                link(root, "/dev/null", "etc/qemu/firmware/60-edk2-x86_64.json");
            },
            plain,
            "/etc/qemu/firmware/60-edk2-x86_64.json is a link to '/dev/null', which hides nothing \
             (an empty file would)",
        ),
        (
            "an unparsable descriptor",
            &|root| {
                put(
                    root,
                    &format!("{FIRMWARE}/10-broken.json"),
                    "{ \"interface-types\": [",
                )
            },
            plain,
            "/usr/share/qemu/firmware/10-broken.json is not a firmware descriptor (EOF while \
             parsing a list at line 1 column 22)",
        ),
        (
            "a 4 MiB CODE with a 2 MiB VARS",
            &|root| put(root, &format!("{FIRMWARE}/10-mixed.json"), &mixed),
            plain,
            "/usr/share/qemu/firmware/10-mixed.json pairs sizes that do not belong together: CODE \
             3653632 and VARS 131072 bytes make 3784704, not 2 or 4 MiB",
        ),
        (
            "the CODE image is a directory",
            &|root| {
                fs::remove_file(root.join("usr/share/OVMF/OVMF_CODE_4M.fd")).unwrap();
                fs::create_dir(root.join("usr/share/OVMF/OVMF_CODE_4M.fd")).unwrap();
            },
            "OVMF_CODE.fd",
            "/usr/share/qemu/firmware/60-edk2-x86_64.json names \
             '/usr/share/OVMF/OVMF_CODE_4M.fd', which is a directory",
        ),
        (
            "the VARS template is a dangling link",
            &|root| {
                fs::remove_file(root.join("usr/share/OVMF/OVMF_VARS_4M.fd")).unwrap();
                link(root, "../gone.fd", "usr/share/OVMF/OVMF_VARS_4M.fd");
            },
            "OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.fd needs the VARS template \
             '/usr/share/OVMF/OVMF_VARS_4M.fd', which is a link to '../gone.fd', which does not \
             exist",
        ),
        (
            "the CODE image is a loop of links",
            &|root| {
                fs::remove_file(root.join("usr/share/OVMF/OVMF_CODE_4M.fd")).unwrap();
                link(root, "OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_CODE_4M.fd");
            },
            "OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.fd is a loop of links",
        ),
        (
            "the directory of descriptors is a loop of links",
            &|root| {
                fs::remove_dir_all(root.join(FIRMWARE)).unwrap();
                link(root, "/usr/share/qemu/firmware", FIRMWARE);
            },
            plain,
            "",
        ),
        (
            "the 4 MiB builds went away in an upgrade",
            &|root| {
                for file in ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"] {
                    fs::remove_file(root.join("usr/share/OVMF").join(file)).unwrap();
                }
            },
            "OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.fd does not exist (Debian, Ubuntu)",
        ),
        (
            "a relative path in a descriptor",
            &|root| {
                let text = descriptor("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd");
                put(root, &format!("{FIRMWARE}/10-relative.json"), &text);
            },
            plain,
            "/usr/share/qemu/firmware/10-relative.json names 'OVMF_CODE_4M.fd', which is not an \
             absolute path",
        ),
    ];
    for (name, change, code, reason) in cases {
        let tree = trees::build("debian-12");
        change(tree.path());
        let facts = probe(tree.path());
        let found = facts.firmware.iter().flatten().find(is_plain).unwrap();
        assert_eq!(found.code.rsplit_once('/').unwrap().1, code, "{name}");
        let reasons = reasons(&facts);
        assert!(
            reason.is_empty() || reasons.iter().any(|line| line == reason),
            "{name}: {reasons:#?}"
        );
    }
}

#[test]
fn an_image_that_is_not_what_its_descriptor_says() {
    let tree = trees::build("debian-12");
    let code = tree.path().join("usr/share/OVMF/OVMF_CODE_4M.fd");
    let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
    header.resize(24, 0);
    header.extend(3_653_632u64.to_be_bytes());
    fs::write(code, header).unwrap();
    let facts = probe(tree.path());
    let reason = "/usr/share/qemu/firmware/60-edk2-x86_64.json calls \
                  '/usr/share/OVMF/OVMF_CODE_4M.fd' raw, but it is qcow2";
    assert!(
        reasons(&facts).iter().any(|line| line == reason),
        "{:#?}",
        reasons(&facts)
    );
    // In its known place it is taken for what it is.
    let found = facts.firmware.iter().flatten().find(is_plain).unwrap();
    assert_eq!(
        (found.code_format, found.vars_format),
        (ImageFormat::Qcow2, ImageFormat::Raw)
    );
}

#[test]
fn a_session_daemon_reads_the_users_descriptors_too() {
    let tree = trees::build("debian-12");
    put(
        tree.path(),
        "home/u/.config/qemu/firmware/60-edk2-x86_64.json",
        "",
    );
    let hidden = "/home/u/.config/qemu/firmware/60-edk2-x86_64.json is empty, which hides its name";
    let local = Local::root(tree.path()).unwrap();
    let wanted = Wanted {
        firmware: WantedBuilds::All,
        ..Wanted::NONE
    };
    assert!(
        !reasons(&local.probe(&wanted))
            .iter()
            .any(|line| line == hidden)
    );
    let session = local.with_config_home(Some("/home/u/.config".into()));
    assert!(
        reasons(&session.probe(&wanted))
            .iter()
            .any(|line| line == hidden)
    );
}

#[test]
fn links_out_of_the_tree_lead_into_it() {
    let tree = trees::build("debian-12");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("OVMF_CODE_4M.fd"), "outside").unwrap();
    let directory = tree.path().join("usr/share/OVMF");
    fs::remove_dir_all(&directory).unwrap();
    symlink(outside.path(), &directory).unwrap();
    let local = Local::root(tree.path()).unwrap();
    assert!(
        !local
            .file("/usr/share/OVMF/OVMF_CODE_4M.fd")
            .unwrap()
            .exists
    );
    assert_eq!(local.probe(&Wanted::ALL).firmware, Some(vec![]));
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn link(root: &Path, target: &str, path: &str) {
    symlink(target, root.join(path)).unwrap();
}

/// Where a definition names no image, the known places are looked at only if no descriptor has a fit build: what
/// the passes make of it is the same.
#[test]
fn the_first_fit_build_is_the_first_of_all() {
    let domains = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/domains");
    let mut texts: Vec<String> = fs::read_dir(domains)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.push(include_str!("../patches/template.xml").to_owned());
    let mut fewer = 0;
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees");
    for tree in fs::read_dir(trees).unwrap() {
        let tree = tree.unwrap().path();
        let tree = trees::build(tree.file_stem().unwrap().to_str().unwrap());
        let local = Local::root(tree.path()).unwrap();
        for (text, profile) in texts
            .iter()
            .flat_map(|text| ["macpro7,1", "macpro5,1"].map(|one| (text, one)))
        {
            let Ok(document) = Document::parse_domain(text) else {
                continue;
            };
            let profile = Profile::shipped(profile).unwrap();
            let mut settings = Settings::default();
            for (key, value) in &profile.settings {
                settings.set(key, value).unwrap();
            }
            let steps: Vec<Step> = profile
                .passes
                .iter()
                .map(|name| Step::Pass(passes::find(name).unwrap()))
                .collect();
            let run = |firmware| {
                let mut facts = local.probe(&Wanted {
                    firmware,
                    ..Wanted::ALL
                });
                pipeline::look_at_files(&steps, &document, &settings, &mut facts, |path| {
                    local.file(path)
                });
                let context = Context {
                    facts: &facts,
                    settings: &settings,
                    template: false,
                };
                let plan = pipeline::run(text, &steps, &context).unwrap();
                (plan, facts.firmware.unwrap().len())
            };
            let wanted = pipeline::builds(&steps, &document, &settings);
            let ((plan, count), (of_all, all)) = (run(wanted), run(WantedBuilds::All));
            assert_eq!(plan, of_all);
            fewer += usize::from(count < all);
        }
    }
    assert!(fewer > 0);
}

/// DarwinUDK's is taken for want of another, also where it is the only one with a descriptor.
#[test]
fn a_descriptor_of_darwinudk_hides_no_known_place() {
    let tree = trees::build("darwinudk");
    let descriptors = tree.path().join("usr/share/qemu/firmware");
    let plain = fs::read_to_string(descriptors.join("60-edk2-x86_64.json")).unwrap();
    let count = |wanted| {
        let facts = Local::root(tree.path()).unwrap().probe(&Wanted {
            firmware: wanted,
            ..Wanted::NONE
        });
        facts.firmware.unwrap().len()
    };
    assert!(count(WantedBuilds::FirstFit) < count(WantedBuilds::All));
    for entry in fs::read_dir(&descriptors).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let local = Local::root(tree.path()).unwrap();
    let builds = local.probe(&Wanted::ALL).firmware.unwrap();
    let its = builds
        .iter()
        .find(|build| build.code.starts_with("/usr/share/DarwinUDK/"))
        .unwrap();
    let own = plain
        .replace("/usr/share/OVMF/OVMF_CODE_4M.fd", &its.code)
        .replace("/usr/share/OVMF/OVMF_VARS_4M.fd", &its.vars);
    assert!(own.contains(&its.code) && own.contains(&its.vars));
    fs::write(descriptors.join("10-darwinudk.json"), own).unwrap();
    assert_eq!(count(WantedBuilds::FirstFit), count(WantedBuilds::All));
}
