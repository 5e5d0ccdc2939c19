//! The pipelines of the documentation, as written: files, standard input, patch, git and find.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/shell.rs"]
mod shell;

use std::fs;
use std::path::Path;

use shell::shell;
use tempfile::TempDir;

/// A directory with a machine and the facts of a host.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let facts = "{\"libvirt\": \"9.0.0\", \"kvm\": true, \"cpu\": {\"vendor\": \"AuthenticAMD\", \"sockets\": 1, \"dies\": 1, \"cores\": 8, \"threads\": 2}, \"emulators\": [{\"path\": \"/usr/bin/qemu-system-x86_64\", \"arch\": \"x86_64\", \"version\": \"7.2.0\"}]}";
    fs::write(place.path().join("host.json"), facts).unwrap();
    let (_, template, _) = shell(place.path(), "virt-patch template");
    fs::write(place.path().join("vm.xml"), template).unwrap();
    place
}

#[track_caller]
fn works(place: &Path, line: &str) -> String {
    let (code, stdout, stderr) = shell(place, line);
    assert_eq!(code, 0, "{line}\n{stderr}");
    stdout
}

const PASSES: &str = "--host host.json --pass topology,topoext,applesmc,hotplug,cpu-override";

#[test]
fn what_is_odd_about_a_request_is_said() {
    let place = place();
    fs::create_dir(place.path().join("small")).unwrap();
    let odd = "{\"libvirt\": \"9.0.0\", \"cpu\": {\"vendr\": \"AuthenticAMD\"}}";
    fs::write(place.path().join("odd.json"), odd).unwrap();
    for (line, code, message) in [
        (
            "virt-patch render - < /dev/null",
            2,
            "it is read for '-', and where no SOURCE is given; does the command before the pipe print a definition?",
        ),
        (
            "virt-patch diff small -c test:///none",
            2,
            "there is a file of that name here; for it write ./small",
        ),
        (
            "virt-patch diff vm.xml --host host.json --macos 10.15 --also usb",
            1,
            "note: the devices of this machine stay as they are; --also nic,display fits them to the release",
        ),
        (
            "virt-patch render vm.xml --host odd.json --pass hotplug --skip hotplug",
            0,
            "warning: 'odd.json': the key 'cpu.vendr' is unknown, and is not read",
        ),
        (
            "virt-patch render vm.xml --host host.json --pass topoext --vcpus 8",
            0,
            "warning: --vcpus changes nothing: pass topology, which it is for, does not run here",
        ),
    ] {
        let (its_code, _, stderr) = shell(place.path(), line);
        assert_eq!(its_code, code, "{line}\n{stderr}");
        assert!(stderr.contains(message), "{line}\n{stderr}");
    }
    let (_, noisy, _) = shell(place.path(), &format!("virt-patch check vm.xml {PASSES}"));
    let (_, quiet, _) = shell(
        place.path(),
        &format!("virt-patch check -q vm.xml {PASSES}"),
    );
    let without_notes: String = noisy
        .split_inclusive('\n')
        .filter(|line| !line.contains(" note: "))
        .collect();
    assert_eq!(quiet, without_notes);
    assert_ne!(quiet, noisy);
}

#[test]
fn a_count_that_is_no_power_of_two_is_kept() {
    let place = place();
    let command = format!("sed 's/<vcpu>2</<vcpu>6</' vm.xml | virt-patch render {PASSES}");
    assert!(works(place.path(), &command).contains("<vcpu>4</vcpu>"));
    let command = command.replace("topology,", "fake-core-count,topology,");
    let kept = works(place.path(), &command);
    assert!(kept.contains("<vcpu current=\"6\">8</vcpu>"), "{kept}");
}

#[test]
fn renders_follow_each_other() {
    let place = place();
    let both = works(
        place.path(),
        &format!("virt-patch render vm.xml {PASSES} --patch shared-memory"),
    );
    let chained = works(
        place.path(),
        &format!(
            "cat vm.xml | virt-patch render {PASSES} | virt-patch render --pass '' --patch shared-memory"
        ),
    );
    assert_eq!(chained, both);
    assert!(both.contains("<access mode=\"shared\"/>"), "{both}");
}

#[test]
fn a_diff_is_applied_by_patch_and_git() {
    let place = place();
    let wanted = works(
        place.path(),
        &format!("virt-patch render vm.xml {PASSES} --patch rng"),
    );
    for apply in [
        format!("virt-patch diff vm.xml {PASSES} --patch rng | git apply"),
        format!("virt-patch diff vm.xml {PASSES} --patch rng | patch -p1"),
        format!("virt-patch diff --by-pass vm.xml {PASSES} --patch rng | patch -p1"),
        format!("virt-patch diff --by-pass vm.xml {PASSES} --patch rng | git apply"),
        format!("virt-patch render -i vm.xml {PASSES} --patch rng; false"),
    ] {
        let original = fs::read_to_string(place.path().join("vm.xml")).unwrap();
        // 'diff' says with 1 that something changes.
        let (code, _, stderr) = shell(place.path(), &apply);
        assert_eq!(code, 1, "{apply}\n{stderr}");
        assert_eq!(
            fs::read_to_string(place.path().join("vm.xml")).unwrap(),
            wanted,
            "{apply}\n{stderr}"
        );
        fs::write(place.path().join("vm.xml"), original).unwrap();
    }
}

/// A mask that is added would be the password, and a recoded diff fits nowhere.
#[test]
fn a_diff_that_must_not_be_applied_is_not() {
    let place = place();
    let vnc =
        "<domain><devices><graphics type='vnc' port='-1' passwd='hunter2'/></devices></domain>";
    fs::write(place.path().join("vnc.xml"), vnc).unwrap();
    works(place.path(), "iconv -f UTF-8 -t UTF-16 vm.xml >wide.xml");
    for (diff, file, remark) in [
        (
            "diff vm.xml --pass '' --patch ./vnc.xml --quiet",
            "vm.xml",
            "(passwords masked)",
        ),
        (
            "diff vm.xml --pass '' --patch ./vnc.xml --by-pass",
            "vm.xml",
            "(passwords masked)",
        ),
        (
            "diff wide.xml --pass '' --patch rng",
            "wide.xml",
            "(UTF-16 shown as UTF-8)",
        ),
    ] {
        let original = fs::read(place.path().join(file)).unwrap();
        let (code, stdout, _) = shell(place.path(), &format!("virt-patch {diff}"));
        assert_eq!(code, 1);
        assert!(stdout.contains(remark), "{stdout}");
        for apply in ["patch -p1 --batch", "git apply"] {
            let line = format!("virt-patch {diff} | {apply}; echo ${{PIPESTATUS[1]}}");
            let (_, stdout, stderr) = shell(place.path(), &line);
            assert!(
                !stdout.ends_with("\n0\n") && stdout != "0\n",
                "{line}\n{stderr}"
            );
            assert_eq!(
                fs::read(place.path().join(file)).unwrap(),
                original,
                "{line}"
            );
        }
    }
    let open = "virt-patch diff vm.xml --pass '' --patch ./vnc.xml --show-secrets | patch -p1";
    assert_eq!(shell(place.path(), open).0, 1);
    let vm = fs::read_to_string(place.path().join("vm.xml")).unwrap();
    assert!(vm.contains("hunter2"), "{vm}");
}

#[test]
fn a_file_outside_the_directory_is_patched_from_the_root() {
    let place = place();
    fs::create_dir_all(place.path().join("here")).unwrap();
    for apply in ["patch -p1 -d /", "(cd / && git apply)"] {
        let original = fs::read_to_string(place.path().join("vm.xml")).unwrap();
        let (code, _, stderr) = shell(
            place.path(),
            &format!("virt-patch diff here/../vm.xml {PASSES} --patch rng | {apply}"),
        );
        assert_eq!(code, 1, "{apply}\n{stderr}");
        let patched = fs::read_to_string(place.path().join("vm.xml")).unwrap();
        assert!(patched.contains("<rng "), "{apply}\n{stderr}");
        fs::write(place.path().join("vm.xml"), original).unwrap();
    }
}

#[test]
fn find_hands_over_whole_directories() {
    let place = place();
    fs::create_dir_all(place.path().join("vms/old")).unwrap();
    fs::copy(place.path().join("vm.xml"), place.path().join("vms/a.xml")).unwrap();
    fs::copy(
        place.path().join("vm.xml"),
        place.path().join("vms/old/b.xml"),
    )
    .unwrap();
    let check = "find vms -name '*.xml' | sort | xargs virt-patch check --pass '' --patch rng";
    // xargs says 123 for any status from 1 to 125.
    let (code, stdout, _) = shell(place.path(), check);
    assert_eq!(code, 123);
    assert_eq!(
        stdout,
        "vms/a.xml:\nrng  changed  Random numbers from the host\nvms/old/b.xml:\nrng  changed  Random numbers from the host\n"
    );
    works(
        place.path(),
        "find vms -name '*.xml' | xargs virt-patch render --in-place --pass '' --patch rng",
    );
    let (code, stdout, _) = shell(place.path(), check);
    assert_eq!(code, 0);
    assert_eq!(stdout.matches("satisfied").count(), 2, "{stdout}");
}

#[test]
fn what_was_recorded_is_replayed() {
    let place = place();
    works(
        place.path(),
        "sed 's/e1000e/virtio/; s/<vcpu>2</<vcpu>4</' vm.xml > edited.xml
         sed 's/<name>vm</<name>other</; s/e1000e/rtl8139/' vm.xml > other.xml
         virt-patch derive vm.xml edited.xml > edit.patch.xml",
    );
    let replayed = works(
        place.path(),
        "virt-patch derive vm.xml edited.xml | virt-patch render other.xml --pass '' --patch /dev/stdin",
    );
    assert_eq!(
        replayed,
        works(
            place.path(),
            "virt-patch render other.xml --pass= --patch edit.patch.xml"
        )
    );
    assert!(replayed.contains("<name>other</name>"), "{replayed}");
    assert!(replayed.contains("<vcpu>4</vcpu>"), "{replayed}");
    assert!(replayed.contains("<model type=\"virtio\"/>"), "{replayed}");
    // Everything kept, the one becomes the other to the letter.
    let exactly = works(
        place.path(),
        "virt-patch derive --keep all vm.xml edited.xml | virt-patch render vm.xml --pass '' --patch /dev/stdin | cmp - edited.xml",
    );
    assert_eq!(exactly, "");
}

#[test]
fn every_changed_line_has_its_maker() {
    let place = place();
    let (code, stdout, _) = shell(
        place.path(),
        &format!("virt-patch diff -q --annotate vm.xml {PASSES} --patch rng -U0"),
    );
    assert_eq!(code, 1);
    let makers: Vec<(&str, &str)> = stdout
        .lines()
        .filter(|line| {
            !line.starts_with("@@") && !line.starts_with("---") && !line.starts_with("+++")
        })
        .map(|line| (line.get(..12).unwrap().trim(), line.get(14..).unwrap()))
        .collect();
    for (maker, line) in &makers {
        assert!(!maker.is_empty(), "{line}");
    }
    for (maker, line) in [
        (
            "topology",
            "+    <topology sockets=\"1\" dies=\"1\" cores=\"1\" threads=\"2\"/>",
        ),
        (
            "topoext",
            "+    <feature policy=\"require\" name=\"topoext\"/>",
        ),
        ("hotplug", "+    <qemu:arg value=\"-global\"/>"),
        ("rng", "+    <rng model=\"virtio\">"),
    ] {
        assert!(makers.contains(&(maker, line)), "{maker} {line}\n{stdout}");
    }
}

#[test]
fn json_names_the_maker_of_every_edit_and_no_secret() {
    let place = place();
    let xml = fs::read_to_string(place.path().join("vm.xml")).unwrap();
    let xml = xml.replace(
        "<graphics type=\"spice\"",
        "<graphics type=\"spice\" passwd=\"hunter2\"",
    );
    fs::write(place.path().join("vm.xml"), xml).unwrap();
    let (_, stdout, _) = shell(
        place.path(),
        "virt-patch diff --json vm.xml --pass '' --patch spice-no-listen --patch tpm --patch no-balloon",
    );
    assert!(!stdout.contains("hunter2"), "{stdout}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let passes = report["passes"].as_array().unwrap();
    assert_eq!(passes[0]["kind"], "patch");
    let edit = &passes[0]["edits"][0];
    assert!(
        edit["removed"][0]
            .as_str()
            .unwrap()
            .contains("passwd=\"*****\""),
        "{edit}"
    );
    assert!(
        edit["added"][0].as_str().unwrap().contains("<graphics"),
        "{edit}"
    );
    let balloon = &passes[2]["edits"][0];
    assert_eq!(balloon["removed"], serde_json::json!([]));
    assert_eq!(
        balloon["added"],
        serde_json::json!(["    <memballoon model=\"none\"/>"])
    );
}
