//! `apply` and `undo` as a user runs them, against a real libvirt and a real QEMU.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/user.rs"]
mod user;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use daemon::Daemon;
use user::{Run, User};

const PASSWORD: &str = "hunter2x";
const OSK: &str = "ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc";

fn main() -> ExitCode {
    daemon::main_one_at_a_time(tests![
        a_domain_of_virt_install_becomes_a_mac_that_qemu_really_runs,
        a_password_survives_and_is_never_shown,
        a_password_that_a_dump_does_not_show_is_not_gone,
        a_satisfied_domain_is_left_alone,
        an_explicit_choice_and_a_terminal_are_asked_for,
        a_change_of_someone_else_at_the_question_is_not_overwritten,
        no_at_the_question_changes_nothing,
        ctrl_c_at_the_question_changes_nothing,
        ctrl_c_during_the_define_waits_for_its_end_and_begins_no_other,
        a_dead_daemon_is_an_error_that_says_so,
        a_daemon_killed_during_the_define,
        a_daemon_killed_after_the_define,
        without_room_for_a_backup_nothing_is_redefined,
        two_at_once_lose_no_change,
        a_refused_definition_shows_its_line,
        what_libvirt_would_drop_is_rolled_back,
        a_patch_need_not_fit_what_it_made,
        what_the_schema_refuses_comes_back_all_the_same,
        an_import_has_an_nvram_file_of_its_own,
        states_of_a_domain,
        undo_after_a_rename_and_after_undefine,
        new_machines_and_imports,
        the_qemu_command_line_shows_what_an_override_hides,
        an_unknown_name_and_the_list_of_domains,
        facts_come_from_the_connection,
    ])
}

/// A definition as virt-install prints it, with a VNC password.
fn virt_install(name: &str) -> String {
    let output = daemon::output_of(Command::new("virt-install").args([
        "--name",
        name,
        "--memory",
        "256",
        "--vcpus",
        "3",
        "--osinfo",
        "linux2022",
        "--machine",
        "q35",
        "--virt-type",
        "qemu",
        "--disk",
        "none",
        "--import",
        "--network",
        "none",
        "--print-xml",
        "--graphics",
        &format!("vnc,password={PASSWORD}"),
    ]));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn complete(libvirt: &Daemon, name: &str) -> String {
    libvirt.virsh(["dumpxml", "--inactive", "--security-info", name])
}

fn tiny(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
    )
}

fn monitor(libvirt: &Daemon, name: &str, command: &str) -> serde_json::Value {
    let answer = libvirt.virsh(["qemu-monitor-command", name, command]);
    serde_json::from_str(&answer).unwrap()
}

fn qom_get(libvirt: &Daemon, name: &str, path: &str, property: &str) -> serde_json::Value {
    let command = format!(
        r#"{{"execute":"qom-get","arguments":{{"path":"{path}","property":"{property}"}}}}"#
    );
    monitor(libvirt, name, &command)["return"].clone()
}

/// The QOM path of the unattached device of this type.
fn device_of_type(libvirt: &Daemon, name: &str, wanted: &str) -> Option<String> {
    [
        "/machine/unattached",
        "/machine/peripheral-anon",
        "/machine/peripheral",
    ]
    .iter()
    .find_map(|parent| {
        let command = format!(r#"{{"execute":"qom-list","arguments":{{"path":"{parent}"}}}}"#);
        let list = monitor(libvirt, name, &command);
        let found = list["return"].as_array()?.iter().find(|entry| {
            entry["type"]
                .as_str()
                .is_some_and(|kind| kind.contains(wanted))
        })?;
        Some(format!("{parent}/{}", found["name"].as_str()?))
    })
}

fn a_domain_of_virt_install_becomes_a_mac_that_qemu_really_runs(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&virt_install("mac"));
    let old = complete(libvirt, "mac");

    user.run(&["apply", "mac", "-p", "macpro7,1", "--vcpus", "4", "--yes"])
        .exits(0)
        .says("Domain 'mac' redefined; it takes effect when the domain is next started.");
    libvirt.virsh(["start", "--paused", "mac"]);
    let smc = device_of_type(libvirt, "mac", "isa-applesmc").unwrap();
    assert_eq!(qom_get(libvirt, "mac", &smc, "osk"), OSK);
    let cpus = monitor(libvirt, "mac", r#"{"execute":"query-cpus-fast"}"#);
    let cpus = cpus["return"].as_array().unwrap();
    assert_eq!(cpus.len(), 4);
    let cpu = cpus[0]["qom-path"].as_str().unwrap();
    assert_eq!(qom_get(libvirt, "mac", cpu, "vendor"), "GenuineIntel");
    assert_eq!(
        qom_get(libvirt, "mac", cpu, "type"),
        "Cascadelake-Server-x86_64-cpu"
    );
    assert_eq!(cpus[3]["props"]["socket-id"], 0);
    let bridge = device_of_type(libvirt, "mac", "ICH9-LPC").unwrap();
    let hotplug = "acpi-pci-hotplug-with-bridge-support";
    assert_eq!(qom_get(libvirt, "mac", &bridge, hotplug), false);

    user.run(&["undo", "mac", "--yes"])
        .exits(0)
        .says("takes effect after a full power-off; a restart from inside the guest is not enough");
    libvirt.virsh(["destroy", "mac"]);
    assert_eq!(complete(libvirt, "mac"), old);
}

fn a_password_survives_and_is_never_shown(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&virt_install("secret"));
    let mut shown = String::new();
    for arguments in [
        &["diff", "secret"][..],
        &["diff", "secret", "--json"],
        &["check", "secret", "--json"],
        &["apply", "secret", "-p", "macpro7,1", "--dry-run"],
        &["apply", "secret", "-p", "macpro7,1", "--yes", "--json"],
        &["diff", "secret", "--qemu"],
        &["undo", "secret", "--dry-run"],
        &["undo", "secret", "--yes"],
        &["undo", "--list"],
        &["host", "-c", "qemu:///system", "--json"],
    ] {
        let run = user.run(arguments);
        assert_ne!(run.code, Some(2), "{run:#?}");
        shown.push_str(&run.stdout);
        shown.push_str(&run.stderr);
        assert!(complete(libvirt, "secret").contains(&format!("passwd='{PASSWORD}'")));
    }
    // A patch that names it finds it there.
    let patch = user.home().join("vnc.xml");
    let graphics = format!("<graphics type='vnc' passwd='{PASSWORD}'/>");
    fs::write(&patch, format!("<devices>{graphics}</devices>")).unwrap();
    let patch = patch.to_str().unwrap();
    for command in ["diff", "check"] {
        let run = user.run(&[command, "secret", "--pass", "", "--patch", patch]);
        shown.push_str(&run.exits(0).stdout);
    }
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(
        user.run(&["render", "secret"])
            .exits(0)
            .stdout
            .contains(PASSWORD)
    );
}

fn a_password_that_a_dump_does_not_show_is_not_gone(libvirt: &Daemon) {
    let user = User::new();
    let graphics = format!("<devices><graphics type='vnc' passwd='{PASSWORD}'/></devices>");
    libvirt.define(&tiny("hidden").replace("</domain>", &format!("{graphics}</domain>")));
    let with = user.file("with.xml", &complete(libvirt, "hidden"));
    let without = user.file(
        "without.xml",
        &libvirt.virsh(["dumpxml", "--inactive", "hidden"]),
    );
    let run = user
        .run(&["derive", &with, &without])
        .exits(0)
        .says("shows none, as a dump without --security-info does: that they go is not recorded");
    assert!(!run.stdout.contains("passwd"), "{run:#?}");
    // Of a domain everything is known.
    let bare = complete(libvirt, "hidden").replace(&format!(" passwd='{PASSWORD}'"), "");
    libvirt.define(&bare);
    let run = user.run(&["derive", &with, "hidden"]).exits(0);
    assert!(run.stdout.contains("patch:unset=\"passwd\""), "{run:#?}");
}

fn a_satisfied_domain_is_left_alone(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("done"));
    user.run(&["apply", "done", "-p", "macpro7,1", "--yes"])
        .exits(0);
    assert_eq!(user.backups().len(), 1);
    let stored = complete(libvirt, "done");
    let run = user
        .run(&["apply", "done", "-p", "macpro7,1", "--yes"])
        .exits(0)
        .says("nothing to change");
    assert_eq!(run.stdout, "");
    assert_eq!(complete(libvirt, "done"), stored);
    assert_eq!(user.backups().len(), 1);
}

fn an_explicit_choice_and_a_terminal_are_asked_for(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("choice"));
    let old = complete(libvirt, "choice");
    user.run(&["apply", "choice", "--yes"])
        .exits(2)
        .says("apply has no default profile");
    user.run(&["apply", "choice", "-p", "macpro7,1"])
        .exits(2)
        .says("there is no terminal to ask on");
    user.run(&["undo", "choice"])
        .exits(2)
        .says("there is no terminal to ask on");
    assert_eq!(complete(libvirt, "choice"), old);
    assert!(user.backups().is_empty());
}

fn a_change_of_someone_else_at_the_question_is_not_overwritten(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("race"));
    let mut terminal = user.on_a_terminal(&["apply", "race", "-p", "macpro7,1"]);
    terminal.wait_for("Redefine 'race' on qemu:///system? [y/N]");
    libvirt.virsh(["setmaxmem", "race", "128M", "--config"]);
    let theirs = complete(libvirt, "race");
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("changed by someone else"), "{screen}");
    assert!(
        screen.contains("+  <memory unit='KiB'>131072</memory>"),
        "{screen}"
    );
    assert_eq!(complete(libvirt, "race"), theirs);
    assert!(user.backups().is_empty());
}

fn no_at_the_question_changes_nothing(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("declined"));
    let old = complete(libvirt, "declined");
    for answer in ["n\n", "\n", "yep\n", "\u{4}"] {
        let mut terminal = user.on_a_terminal(&["apply", "declined", "-p", "macpro7,1"]);
        terminal.wait_for("[y/N]");
        terminal.types(answer);
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(1), "{answer:?}: {screen}");
        assert!(screen.contains("Nothing was changed."), "{screen}");
    }
    assert_eq!(complete(libvirt, "declined"), old);
    assert!(user.backups().is_empty());
}

fn ctrl_c_at_the_question_changes_nothing(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("interrupted"));
    let old = complete(libvirt, "interrupted");
    let mut terminal = user.on_a_terminal(&["apply", "interrupted", "-p", "macpro7,1"]);
    terminal.wait_for("[y/N]");
    terminal.types("\u{3}");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(130), "{screen}");
    assert!(
        screen.contains("interrupted; nothing was changed"),
        "{screen}"
    );
    assert_eq!(complete(libvirt, "interrupted"), old);
    assert!(user.backups().is_empty());
}

fn ctrl_c_during_the_define_waits_for_its_end_and_begins_no_other(libvirt: &Daemon) {
    // The moment between backup and define is short; some attempts come too early or too late.
    for attempt in 0..20 {
        let user = User::new();
        let (name, next) = (format!("signal-{attempt}"), format!("next-{attempt}"));
        libvirt.define(&tiny(&name));
        libvirt.define(&tiny(&next));
        let mut terminal = user.on_a_terminal(&["apply", &name, &next, "-p", "macpro7,1"]);
        terminal.wait_for("[y/N]");
        terminal.types("y\n");
        // The daemon is stopped as soon as the backup is there: the define then hangs.
        wait_for_backup(&user);
        libvirt.pause();
        terminal.types("\u{3}");
        sleep(Duration::from_millis(300));
        libvirt.resume();
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(130), "{screen}");
        assert!(
            !complete(libvirt, &next).contains("isa-applesmc"),
            "{screen}"
        );
        let new = complete(libvirt, &name).contains("isa-applesmc");
        if screen.contains("interrupted while the definition is written: it is finished first") {
            assert!(new, "{screen}");
            let left = format!("interrupted; not begun: '{next}'");
            assert!(screen.contains(&left), "{screen}");
            return;
        }
    }
    panic!("the define was never hit");
}

fn wait_for_backup(user: &User) {
    let began = Instant::now();
    while !has_xml(&user.state()) && began.elapsed() < Duration::from_secs(20) {
        std::hint::spin_loop();
    }
}

fn has_xml(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|extension| extension == "xml") || has_xml(&path)
    })
}

fn a_dead_daemon_is_an_error_that_says_so(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("dead"));
    let old = complete(libvirt, "dead");
    libvirt.kill();
    user.run(&["apply", "dead", "-p", "macpro7,1", "--yes"])
        .exits(2)
        .says("cannot connect to libvirt")
        .says("is the daemon running?");
    libvirt.start();
    assert_eq!(complete(libvirt, "dead"), old);
}

fn a_daemon_killed_during_the_define(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("killed"));
    let old = complete(libvirt, "killed");
    let child = user
        .command(&["apply", "killed", "-p", "macpro7,1", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_backup(&user);
    libvirt.pause();
    sleep(Duration::from_millis(200));
    libvirt.kill();
    libvirt.start();
    let run = Run::of(child.wait_with_output().unwrap());
    let now = complete(libvirt, "killed");
    match run.code {
        Some(0) => assert!(now.contains("isa-applesmc"), "{run:#?}"),
        Some(2) => {
            assert_eq!(now, old, "{run:#?}");
            assert!(
                run.stderr.contains("still had its old definition")
                    || run.stderr.contains("nothing was changed"),
                "{run:#?}"
            );
        }
        other => panic!("{other:?}: {run:#?}"),
    }
    // The next one goes through.
    user.run(&["apply", "killed", "-p", "macpro7,1", "--yes"])
        .exits(0);
}

fn a_daemon_killed_after_the_define(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("stored"));
    let stored = Path::new("/etc/libvirt/qemu/stored.xml");
    let child = user
        .command(&["apply", "stored", "-p", "macpro7,1", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // libvirt writes the definition down before it answers.
    let began = Instant::now();
    while !fs::read_to_string(stored).is_ok_and(|text| text.contains("isa-applesmc")) {
        assert!(began.elapsed() < Duration::from_secs(20), "never stored");
        std::hint::spin_loop();
    }
    libvirt.kill();
    libvirt.start();
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(complete(libvirt, "stored").contains("isa-applesmc"));
    let run = run.exits(0).says("Domain 'stored' redefined");
    assert_eq!(user.backups().len(), 1, "{run:#?}");
    user.run(&["undo", "stored", "--yes"]).exits(0);
    assert!(!complete(libvirt, "stored").contains("isa-applesmc"));
}

fn without_room_for_a_backup_nothing_is_redefined(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("full"));
    let old = complete(libvirt, "full");
    fs::create_dir(user.state()).unwrap();
    let mount = daemon::output_of(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4k", "none"])
            .arg(user.state()),
    );
    assert!(mount.status.success(), "{mount:?}");
    fs::write(user.state().join("filler"), vec![0; 4096]).unwrap();
    user.run(&["apply", "full", "-p", "macpro7,1", "--yes"])
        .exits(2)
        .says("there is no backup without which nothing is redefined")
        .says("No space left on device");
    daemon::output_of(Command::new("umount").arg(user.state()));
    fs::remove_dir(user.state()).unwrap();
    fs::write(user.state(), "not a directory").unwrap();
    user.run(&["apply", "full", "-p", "macpro7,1", "--yes"])
        .exits(2)
        .says("nothing was changed");
    assert_eq!(complete(libvirt, "full"), old);
}

fn two_at_once_lose_no_change(libvirt: &Daemon) {
    let users = [User::new(), User::new()];
    // One user twice, and two users, whose backups are in two places.
    for (name, of) in [("twice", [0, 0]), ("twain", [0, 1]), ("again", [1, 0])] {
        two_at_once(libvirt, name, of.map(|user| &users[user]));
    }
}

fn two_at_once(libvirt: &Daemon, name: &str, users: [&User; 2]) {
    libvirt.define(&tiny(name));
    let start = |user: &User, pass: &str| {
        user.command(&["apply", name, "-p", "macpro7,1", "--pass", pass, "--yes"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (start(users[0], "applesmc"), start(users[1], "hotplug"));
    let runs = [one, two].map(|child| Run::of(child.wait_with_output().unwrap()));
    let now = complete(libvirt, name);
    for (run, mark) in runs.iter().zip(["isa-applesmc", "acpi-pci-hotplug"]) {
        match run.code {
            Some(0) => assert!(
                now.contains(mark),
                "said done, and is not there: {run:#?}\n{now}"
            ),
            Some(1) => assert!(run.stderr.contains("changed by someone else"), "{run:#?}"),
            _ => panic!("{run:#?}"),
        }
    }
    assert!(runs.iter().any(|run| run.code == Some(0)), "{runs:#?}");
}

fn a_refused_definition_shows_its_line(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("refused"));
    let old = complete(libvirt, "refused");
    let patch = user.home().join("watchdog.xml");
    fs::write(
        &patch,
        "<domain><devices><watchdog model='itchy' action='none'/></devices></domain>",
    )
    .unwrap();
    let run = user.run(&[
        "apply",
        "refused",
        "--pass",
        "",
        "--patch",
        patch.to_str().unwrap(),
        "--yes",
    ]);
    let run = run
        .exits(2)
        .says("libvirt refused the new definition; nothing was changed");
    assert!(
        run.stderr.contains("| ") && run.stderr.contains("<watchdog model='itchy'"),
        "{run:#?}"
    );
    assert_eq!(complete(libvirt, "refused"), old);
    assert!(user.backups().is_empty());
}

fn what_libvirt_would_drop_is_rolled_back(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("dropped"));
    let old = complete(libvirt, "dropped");
    let patch = user.home().join("pin.xml");
    // There is no vCPU 9: libvirt accepts the pin and forgets it.
    fs::write(
        &patch,
        "<domain><cputune><vcpupin vcpu='9' cpuset='0'/></cputune></domain>",
    )
    .unwrap();
    let run = user.run(&[
        "apply",
        "dropped",
        "--pass",
        "",
        "--patch",
        patch.to_str().unwrap(),
        "--yes",
    ]);
    run.exits(1)
        .says("the old definition of 'dropped' is back")
        .says("<cputune> is missing");
    assert_eq!(complete(libvirt, "dropped"), old);
    // Nothing is lost, but there is no such port by its own words, and the next run would add one more.
    let again = user.file(
        "again.xml",
        "<domain xmlns:patch='urn:virt-patch:1'><devices><serial type='file' patch:op='append'><source path='/x.log'/><protocol type='raw'/></serial></devices></domain>",
    );
    user.run(&["apply", "dropped", "--pass=", "--patch", &again, "--yes"])
        .exits(1)
        .says("again.xml' would have to change it again: <serial type='file'> is missing\n");
    assert_eq!(complete(libvirt, "dropped"), old);
}

/// What has to be there to go is there once, and one device becomes two.
fn a_patch_need_not_fit_what_it_made(libvirt: &Daemon) {
    let user = User::new();
    let devices =
        "<devices><watchdog model='i6300esb' action='reset'/><interface type='user'/></devices>";
    let definition = tiny("once").replace("</domain>", &format!("{devices}</domain>"));
    for (patch, gone, come) in [
        (
            "<watchdog model='i6300esb' patch:op='remove!'/>",
            "<watchdog model='i6300esb'",
            "<interface",
        ),
        (
            "<devices><interface><model type='e1000e'/></interface><interface type='user' patch:op='append'/></devices>",
            "<nothing",
            "<model type='e1000e'/>",
        ),
    ] {
        libvirt.define(&definition);
        let patch = user.file("once.xml", patch);
        user.run(&["apply", "once", "--pass", "", "--patch", &patch, "--yes"])
            .exits(0);
        let stored = libvirt.definition("once");
        assert!(!stored.contains(gone) && stored.contains(come), "{stored}");
        libvirt.virsh(["undefine", "once"]);
        // The steps beside it are looked at as ever.
        let pin = user.file(
            "pin.xml",
            "<cputune><vcpupin vcpu='9' cpuset='0'/></cputune>",
        );
        libvirt.define(&definition);
        user.run(&[
            "apply", "once", "--pass", "", "--patch", &patch, "--patch", &pin, "--yes",
        ])
        .exits(1)
        .says("<cputune> is missing");
        assert!(
            libvirt
                .definition("once")
                .contains("<watchdog model='i6300esb'")
        );
        libvirt.virsh(["undefine", "once"]);
    }
}

/// A domain that was defined without the schema, by an older tool, and that the schema refuses.
fn what_the_schema_refuses_comes_back_all_the_same(libvirt: &Daemon) {
    let user = User::new();
    let loader = "<loader readonly='yes' type='pflash'>relative/CODE.fd</loader>";
    let xml = tiny("unfit").replace("</type>", &format!("</type>{loader}"));
    libvirt.virsh(["define", &user.file("unfit.xml", &xml)]);
    let old = complete(libvirt, "unfit");
    let sound = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    let patch = |pin: &str| format!("<domain><os><loader>{sound}</loader></os>{pin}</domain>");
    let lost = user.file(
        "lost.xml",
        &patch("<cputune><vcpupin vcpu='9' cpuset='0'/></cputune>"),
    );
    user.run(&["apply", "unfit", "--pass", "", "--patch", &lost, "--yes"])
        .exits(1)
        .says("the old definition of 'unfit' is back");
    assert_eq!(complete(libvirt, "unfit"), old);
    let kept = user.file("kept.xml", &patch(""));
    user.run(&["apply", "unfit", "--pass", "", "--patch", &kept, "--yes"])
        .exits(0);
    assert!(complete(libvirt, "unfit").contains(sound));
    user.run(&["undo", "unfit", "--yes"]).exits(0);
    assert_eq!(complete(libvirt, "unfit"), old);
}

fn an_import_has_an_nvram_file_of_its_own(libvirt: &Daemon) {
    let user = User::new();
    let firmware = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
        <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/nvram/first_VARS.fd</nvram>";
    let nic = "<devices><interface type='user'><mac address='52:54:00:aa:bb:cc'/></interface></devices></domain>";
    let first = tiny("first")
        .replace("</type>", &format!("</type>{firmware}"))
        .replace("</domain>", nic);
    libvirt.define(&first);
    let file = user.file("first.xml", &first);
    user.run(&["apply", &file, "--pass", "", "--name", "second", "--yes"])
        .exits(0)
        .says("'/nvram/first_VARS.fd' is the nvram file of 'first'; the new domain gets one of its own")
        .says("'first' has the MAC address 52:54:00:aa:bb:cc too");
    let second = complete(libvirt, "second");
    assert!(!second.contains("first_VARS.fd"), "{second}");
    assert!(second.contains("second_VARS.fd"), "{second}");
    assert!(
        second.contains("template='/usr/share/OVMF/OVMF_VARS_4M.fd'"),
        "{second}"
    );
    // Alone it keeps what it has.
    libvirt.virsh(["undefine", "first", "--keep-nvram"]);
    libvirt.virsh(["undefine", "second", "--keep-nvram"]);
    user.run(&["apply", &file, "--pass", "", "--yes"]).exits(0);
    assert!(complete(libvirt, "first").contains("/nvram/first_VARS.fd"));
}

fn states_of_a_domain(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("running"));
    libvirt.virsh(["autostart", "running"]);
    libvirt.virsh(["start", "running"]);
    user.run(&["apply", "running", "-p", "macpro7,1", "--yes"])
        .exits(0)
        .says("'running' is running: the change takes effect after a full power-off");
    assert!(
        libvirt
            .virsh(["dominfo", "running"])
            .contains("Autostart:      enable")
    );

    libvirt.virsh(["managedsave", "running"]);
    let old = complete(libvirt, "running");
    let again = ["apply", "running", "-p", "macpro5,1", "--yes"];
    user.run(&again)
        .exits(2)
        .says("managed save image")
        .says("--force");
    assert_eq!(complete(libvirt, "running"), old);
    user.run(&[&again[..], &["--force"]].concat())
        .exits(0)
        .says("the next start of 'running' restores the saved machine with its old hardware");
    assert!(complete(libvirt, "running").contains("Westmere-v2"));

    let transient = user.home().join("transient.xml");
    fs::write(&transient, tiny("transient")).unwrap();
    libvirt.virsh(["create", transient.to_str().unwrap()]);
    user.run(&["apply", "transient", "-p", "macpro7,1", "--yes"])
        .exits(2)
        .says("transient domain");
    libvirt.virsh(["destroy", "transient"]);

    let test = ["-c", "test:///default", "check", "test", "-p", "macpro7,1"];
    let run = user.run(&test).exits(0);
    assert_eq!(run.stdout.matches("not-applicable").count(), 6, "{run:#?}");
}

fn undo_after_a_rename_and_after_undefine(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("before"));
    let old = complete(libvirt, "before");
    user.run(&["apply", "before", "-p", "macpro7,1", "--yes"])
        .exits(0);
    libvirt.virsh(["domrename", "before", "after"]);
    // By the name it had, and by the one it has.
    user.run(&["undo", "before", "--yes"])
        .exits(0)
        .says("Domain 'after' is as it was");
    user.run(&["apply", "after", "-p", "macpro7,1", "--yes"])
        .exits(0);
    user.run(&["undo", "after", "--yes"]).exits(0);
    assert_eq!(
        complete(libvirt, "after"),
        old.replace(">before<", ">after<")
    );

    libvirt.virsh(["undefine", "after", "--keep-nvram"]);
    let run = user.run(&["undo", "after", "--yes"]).exits(0);
    assert!(
        run.stderr.contains("Domain 'before'") || run.stderr.contains("Domain 'after'"),
        "{run:#?}"
    );
    for backup in user.backups() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&backup), 0o600);
        assert_eq!(mode(backup.parent().unwrap()), 0o700);
    }
}

fn new_machines_and_imports(libvirt: &Daemon) {
    let user = User::new();
    let template = ["apply", "--template", "-p", "macpro7,1", "--yes"];
    user.run(&template)
        .exits(2)
        .says("a new machine needs a name");
    // Without hardware virtualization libvirt takes no domain of type kvm.
    let file = user.home().join("new.xml");
    fs::write(
        &file,
        user.run(&["template"])
            .stdout
            .replace("\"kvm\"", "\"qemu\"")
            .replace("host-passthrough", "maximum")
            .replace(">vm<", ">new<"),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let import = ["apply", path, "-p", "macpro7,1", "--yes"];
    user.run(&import).exits(0).says("Domain 'new' defined.");
    let stored = complete(libvirt, "new");
    assert!(stored.contains("/nvram/new_VARS.fd</nvram>"), "{stored}");
    user.run(&import)
        .exits(2)
        .says("there is a domain 'new' already");
    assert_eq!(complete(libvirt, "new"), stored);
    let replace = ["apply", path, "-p", "macpro5,1", "--yes", "--replace"];
    let mac = |xml: &str| {
        let mut lines = xml.lines().map(str::trim);
        lines
            .find(|line| line.starts_with("<mac "))
            .map(str::to_owned)
    };
    let its_mac = mac(&complete(libvirt, "new"));
    user.run(&replace).exits(0).says("Domain 'new' redefined");
    assert_eq!(mac(&complete(libvirt, "new")), its_mac);
    let backups = user.backups();
    user.run(&replace)
        .exits(0)
        .says("Domain 'new' is as it was: libvirt makes the same definition of this one.\n");
    assert_eq!(user.backups(), backups);
    let uuid = |xml: &str| {
        xml.lines()
            .find(|line| line.contains("<uuid>"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(uuid(&complete(libvirt, "new")), uuid(&stored));
    assert!(complete(libvirt, "new").contains("Westmere-v2"));
}

fn the_qemu_command_line_shows_what_an_override_hides(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("native"));
    let run = user.run(&["diff", "native", "--qemu"]).exits(1);
    assert!(
        run.stdout
            .contains("\n+-cpu Cascadelake-Server,vendor=GenuineIntel\n"),
        "{run:#?}"
    );
    assert!(run.stdout.contains("\n -cpu qemu64\n"), "{run:#?}");
    let run = user
        .run(&[
            "diff",
            "native",
            "--qemu",
            "--set",
            "cpu-override.style=native",
        ])
        .exits(1);
    assert!(run.stdout.contains("\n--cpu qemu64\n"), "{run:#?}");
}

fn an_unknown_name_and_the_list_of_domains(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("listed"));
    let run = user.run(&["list", "--domains"]).exits(0);
    assert!(run.stdout.lines().any(|line| line == "listed"), "{run:#?}");
    let run = user.run(&["list", "--domains", "--json"]).exits(0);
    let mut domains = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let listed = domains.find(|domain| domain["name"] == "listed").unwrap();
    assert_eq!(listed["state"], "shutoff", "{listed}");
    assert_eq!(listed["persistent"], true, "{listed}");
    // What is to be typed next can be typed.
    libvirt.define(&tiny("two words"));
    user.run(&["apply", "two words", "-p", "macpro7,1", "--yes"])
        .exits(0)
        .says("'virt-patch undo 'two words'' puts the old definition back");
    user.run(&["diff", "nosuch"])
        .exits(2)
        .says("no domain 'nosuch' on 'qemu:///system'");
    let uuid = libvirt.virsh(["domuuid", "listed"]);
    user.run(&["check", uuid.trim()]).exits(1);
}

fn facts_come_from_the_connection(libvirt: &Daemon) {
    let _ = libvirt;
    let user = User::new();
    let run = user
        .run(&["host", "-c", "qemu:///system", "--json"])
        .exits(0);
    let facts: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(facts["libvirt"].is_string(), "{facts:#}");
    assert!(facts["cpu"]["threads"].is_number(), "{facts:#}");
    let machines = facts["emulators"][0]["machines"].as_array().unwrap();
    assert!(
        machines.iter().any(|machine| machine["name"] == "q35"),
        "{facts:#}"
    );
    assert!(
        facts["firmware"]
            .as_array()
            .is_some_and(|builds| !builds.is_empty()),
        "{facts:#}"
    );
}
