//! What an administrator of a production host relies on, sentence by sentence, against a real
//! libvirt: what is read and with which rights, what is refused, what is left of an attempt.

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
use std::os::unix::fs::chown;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use daemon::Daemon;
use serde_json::json;
use user::{Run, User};

fn main() -> ExitCode {
    daemon::main_one_at_a_time(tests![
        who_may_only_read_can_diff_and_check,
        a_domain_of_the_other_connection_is_pointed_to,
        what_is_not_known_is_said_once,
        autostart_and_snapshots_are_kept,
        a_managed_save_image_stops_undo_too,
        machines_of_other_hypervisors_are_left_alone,
        several_at_once_and_one_fails,
        a_definition_from_standard_input,
        an_import_takes_nothing_from_another_domain,
        an_import_that_libvirt_does_not_store_is_gone_again,
        a_template_without_virtualization_on_the_host,
        a_name_is_for_new_domains,
        undo_twice_is_redo,
        undo_to_an_older_backup,
        undo_with_a_damaged_backup,
        undo_of_a_new_name_that_is_gone,
        undo_looks_again_after_the_question,
        an_undefined_domain_at_the_question,
        undo_of_what_was_renamed_or_runs_on,
        a_backup_of_what_is_there_hides_none,
        a_new_machine_has_an_nvram_file_of_its_own,
        what_replaces_a_domain_keeps_its_passwords,
        undo_when_the_name_is_taken,
        outcomes_in_json,
        no_backup_is_ever_overwritten,
        the_command_line_of_files_and_domains,
        a_good_definition_passes_the_preflight,
        what_qemu_does_not_start_is_not_stored,
        ctrl_c_during_a_preflight_leaves_nothing,
        no_good_change_is_rolled_back,
    ])
}

fn tiny(name: &str) -> String {
    with(name, "")
}

fn with(name: &str, inside: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>{inside}</domain>"
    )
}

/// Runs virt-patch as somebody who is neither root nor in libvirt's group.
fn as_nobody(user: &User, arguments: &[&str]) -> Run {
    const NOBODY: u32 = 65534;
    let home = user.home().join("nobody");
    let runtime = home.join("run");
    let program = home.join("bin");
    fs::create_dir_all(&runtime).unwrap();
    fs::create_dir_all(&program).unwrap();
    // The build directory may be closed to others.
    for (name, path) in [
        ("virt-patch", env!("CARGO_BIN_EXE_virt-patch")),
        (
            "virt-patch-libvirt",
            env!("CARGO_BIN_EXE_virt-patch-libvirt"),
        ),
    ] {
        fs::copy(path, program.join(name)).unwrap();
    }
    for directory in [user.home(), &home, &runtime] {
        chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program.join("virt-patch"))
        .args(arguments)
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("NO_COLOR", "1")
        .env_remove("LIBVIRT_DEFAULT_URI")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Run::of(output)
}

const SYSTEM: [&str; 2] = ["-c", Daemon::URI];

fn who_may_only_read_can_diff_and_check(libvirt: &Daemon) {
    let user = User::new();
    let vnc = "<devices><graphics type='vnc' passwd='hunter2x'/></devices>";
    libvirt.define(&with("readable", vnc));
    let run = |arguments: &[&str]| as_nobody(&user, &[&SYSTEM, arguments].concat());
    run(&["check", "readable"]).exits(1).never_says("not known");
    run(&["check", "readable", "--verbose"])
        .exits(1)
        .says("not known: which CPU models can be used: libvirt does not tell on a read-only connection\n");
    run(&["diff", "readable"]).exits(1);
    let names = run(&["list", "--domains"]).exits(0).stdout;
    assert!(names.lines().any(|name| name == "readable"), "{names}");

    let rendered = run(&["render", "readable"])
        .exits(0)
        .says("warning: cannot connect to 'qemu:///system' for more than reading: this definition lacks the passwords");
    assert!(!rendered.stdout.contains("hunter2x"));
    for refused in [
        &["apply", "readable", "-p", "macpro7,1", "--yes"][..],
        &["undo", "readable", "--yes"],
        &["preflight", "readable"],
        &["diff", "readable", "--qemu"],
    ] {
        run(refused)
            .exits(2)
            .says("error: cannot connect to 'qemu:///system' for more than reading\n")
            .says("help: run it as root, or join the group");
    }
}

fn a_domain_of_the_other_connection_is_pointed_to(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("elsewhere"));
    as_nobody(&user, &["check", "elsewhere"])
        .exits(2)
        .says("error: no domain 'elsewhere' on 'qemu:///session'\n")
        .says("help: there is one on qemu:///system: say -c qemu:///system\n");
    as_nobody(&user, &["check", "nowhere"])
        .exits(2)
        .says("help: 'virt-patch list --domains' shows");
}

fn what_is_not_known_is_said_once(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("one"));
    libvirt.define(&tiny("two"));
    let run = user.run(&["check", "one", "two", "--verbose"]).exits(1);
    assert_eq!(run.stderr.matches("not known").count(), 1, "{run:#?}");
    user.run(&["check", "one", "--quiet"])
        .exits(1)
        .never_says("not known");
    user.run(&["check", "one", "--verbose"])
        .exits(1)
        .says("host facts come from qemu:///system (read-only); firmware, emulators and files from this machine's disk\n");
    user.run(&["apply", "one", "-p", "macpro7,1", "--dry-run"])
        .exits(1)
        .never_says("not known");
}

fn autostart_and_snapshots_are_kept(libvirt: &Daemon) {
    let user = User::new();
    let image = libvirt.images().join("kept.qcow2");
    let made = daemon::output_of(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&image)
            .arg("1M"),
    );
    assert!(made.status.success(), "{made:?}");
    libvirt.define(&with(
        "kept",
        &format!(
            "<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/><target dev='sda' bus='sata'/></disk></devices>",
            image.display()
        ),
    ));
    libvirt.virsh(["autostart", "kept"]);
    libvirt.virsh(["snapshot-create-as", "kept", "before"]);
    let kept = || {
        (
            libvirt.virsh(["snapshot-list", "kept", "--name"]),
            libvirt
                .virsh(["dominfo", "kept"])
                .contains("Autostart:      enable"),
        )
    };
    let before = kept();
    assert_eq!((before.0.trim(), before.1), ("before", true));
    user.run(&["apply", "kept", "-p", "macpro7,1", "--yes"])
        .exits(0);
    assert_eq!(kept(), before);
    user.run(&["undo", "kept", "--yes"]).exits(0);
    assert_eq!(kept(), before);
}

fn a_managed_save_image_stops_undo_too(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("saved"));
    user.run(&["apply", "saved", "--pass", "topology,hotplug", "--yes"])
        .exits(0);
    libvirt.virsh(["start", "saved"]);
    libvirt.virsh(["managedsave", "saved"]);
    let now = libvirt.definition("saved");
    user.run(&["undo", "saved", "--yes"])
        .exits(2)
        .says("'saved' has a managed save image")
        .says("virsh managedsave-remove saved");
    assert_eq!(libvirt.definition("saved"), now);
    user.run(&["undo", "saved", "--yes", "--force"]).exits(0);
    assert_ne!(libvirt.definition("saved"), now);
}

fn machines_of_other_hypervisors_are_left_alone(libvirt: &Daemon) {
    let _ = libvirt;
    let user = User::new();
    for (kind, os) in [
        ("lxc", "<type>exe</type><init>/sbin/init</init>"),
        ("xen", "<type arch='x86_64' machine='xenpv'>linux</type>"),
        ("vmware", "<type arch='x86_64'>hvm</type>"),
    ] {
        let text = format!(
            "<domain type='{kind}'><name>other</name><memory>65536</memory><os>{os}</os></domain>\n"
        );
        let file = user.file(&format!("{kind}.xml"), &text);
        let run = user.run(&["check", &file]).exits(0);
        let lines: Vec<_> = run.stdout.lines().collect();
        assert!(
            lines.len() >= 6 && lines.iter().all(|line| line.contains("not-applicable")),
            "{run:#?}"
        );
        assert_eq!(user.run(&["render", &file]).exits(0).stdout, text);
    }
    let run = user
        .run(&[
            "-c",
            "test:///default",
            "apply",
            "test",
            "-p",
            "macpro7,1",
            "--yes",
        ])
        .exits(0)
        .says("nothing to change");
    assert_eq!(run.stdout, "");
    assert!(user.backups().is_empty());
}

fn several_at_once_and_one_fails(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("first"));
    libvirt.define(&tiny("last"));
    let run = user
        .run(&[
            "apply",
            "first",
            "nosuch",
            "last",
            "-p",
            "macpro7,1",
            "--yes",
            "--json",
        ])
        .exits(2)
        .says("error: no domain 'nosuch'")
        .says("Domain 'first' redefined")
        .says("Domain 'last' redefined");
    let told: Vec<_> = run
        .json()
        .iter()
        .map(|object| (object["source"].clone(), object["outcome"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("first"), json!("applied")),
            (json!("last"), json!("applied"))
        ]
    );
    for name in ["first", "last"] {
        assert!(libvirt.definition(name).contains("isa-applesmc"));
    }
}

fn a_definition_from_standard_input(libvirt: &Daemon) {
    let user = User::new();
    let pipe = |arguments: &[&str]| {
        let file = user.file("stdin", &tiny("piped"));
        let mut command = user.command(arguments);
        command.stdin(fs::File::open(file).unwrap());
        Run::of(command.output().unwrap())
    };
    pipe(&["apply", "-", "-p", "macpro7,1"])
        .exits(2)
        .says("apply --yes");
    assert!(libvirt.try_virsh(["dominfo", "piped"]).is_err());
    pipe(&["apply", "-", "-p", "macpro7,1", "--dry-run"]).exits(1);
    assert!(libvirt.try_virsh(["dominfo", "piped"]).is_err());
    pipe(&["apply", "-", "-p", "macpro7,1", "--yes"])
        .exits(0)
        .says("Domain 'piped' defined.");
    assert!(libvirt.definition("piped").contains("isa-applesmc"));
}

fn an_import_takes_nothing_from_another_domain(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("mine"));
    libvirt.define(&tiny("yours"));
    let uuid = |name: &str| libvirt.virsh(["domuuid", name]).trim().to_owned();
    let before = (libvirt.definition("mine"), libvirt.definition("yours"));
    let file = |name: &str, uuid: &str| {
        let text = tiny(name).replace("</name>", &format!("</name><uuid>{uuid}</uuid>"));
        user.file("import.xml", &text)
    };
    let import = |file: &str, more: &[&str]| {
        user.run(&[&["apply", file, "-p", "macpro7,1", "--yes"], more].concat())
    };
    // The name and the UUID of one domain.
    let same = file("mine", &uuid("mine").replace('-', "").to_uppercase());
    import(&same, &[])
        .exits(2)
        .says("there is a domain 'mine' already")
        .says("say --replace");
    // Another name for the UUID of one, or the name of another: never, with --replace or without.
    for (name, way_on) in [
        ("third", "virsh domrename mine third"),
        ("yours", "there are domains of both names"),
    ] {
        for more in [&[][..], &["--replace"]] {
            import(&file(name, &uuid("mine")), more)
                .exits(2)
                .says(&format!(
                    "belongs to the domain 'mine', and its name is '{name}'"
                ))
                .says(way_on);
        }
    }
    assert_eq!(
        before,
        (libvirt.definition("mine"), libvirt.definition("yours"))
    );
    assert!(user.backups().is_empty());

    import(&file("mine", &uuid("mine")), &["--replace"])
        .exits(0)
        .says("Domain 'mine' redefined");
    assert_eq!(user.backups().len(), 1);
    user.run(&["undo", "mine", "--yes"]).exits(0);
    assert_eq!(libvirt.definition("mine"), before.0);

    // A transient domain has nothing to replace.
    let transient = user.file("transient.xml", &tiny("passing"));
    libvirt.virsh(["create", &transient]);
    import(&transient, &["--replace"])
        .exits(2)
        .says("'passing' is a transient domain");
    libvirt.virsh(["destroy", "passing"]);
}

fn an_import_that_libvirt_does_not_store_is_gone_again(libvirt: &Daemon) {
    let user = User::new();
    let pin = "<cputune><vcpupin vcpu='9' cpuset='0'/></cputune>";
    let file = user.file("lossy.xml", &with("lossy", pin));
    let run = user
        .run(&["apply", &file, "--pass", "hotplug", "--yes", "--json"])
        .exits(1)
        .says("so 'lossy' is not defined. What was lost:\n")
        .says("<cputune> is missing");
    assert_eq!(run.json()[0]["outcome"], "rolled-back");
    assert!(libvirt.try_virsh(["dominfo", "lossy"]).is_err());
    assert!(user.backups().is_empty());
}

fn a_template_without_virtualization_on_the_host(libvirt: &Daemon) {
    let user = User::new();
    let template = ["apply", "--template", "--name", "new", "-p", "macpro7,1"];
    let for_kvm = ["--skip", "domain-type", "--yes"];
    user.run(&[&template[..], &for_kvm].concat())
        .exits(2)
        .says("cannot define 'new'")
        .says("does not support virt type 'kvm'")
        .says("help: libvirt sees no hardware virtualization on that host");
    assert!(libvirt.try_virsh(["dominfo", "new"]).is_err());
    let run = [&template[..], &["--yes"]].concat();
    user.run(&run).exits(0).says("Domain 'new' defined.");
    let stored = libvirt.definition("new");
    assert!(stored.contains("/nvram/new_VARS.fd</nvram>"), "{stored}");
    user.run(&run)
        .exits(2)
        .says("there is a domain 'new' already");
    // Every new machine has a UUID of its own.
    let mut another = run.clone();
    another[3] = "newer";
    user.run(&another).exits(0);
    let uuid = |name| libvirt.virsh(["domuuid", name]);
    assert_ne!(uuid("new"), uuid("newer"));
    assert!(
        libvirt
            .definition("newer")
            .contains("/nvram/newer_VARS.fd<")
    );
    // libvirt takes a name that is the UUID of another domain.
    let its = uuid("new").trim().to_owned();
    let mut odd = run.clone();
    odd[3] = &its;
    user.run(&odd)
        .exits(0)
        .says(&format!("Domain '{its}' defined."));
    let names = libvirt.virsh(["list", "--all", "--name"]);
    assert!(names.lines().any(|name| name == its), "{names}");
}

fn a_name_is_for_new_domains(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("named"));
    user.run(&[
        "apply",
        "named",
        "--name",
        "other",
        "-p",
        "macpro7,1",
        "--yes",
    ])
    .exits(2)
    .says("virsh domrename named NEW");
    assert!(!libvirt.definition("named").contains("isa-applesmc"));
}

fn undo_twice_is_redo(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("again"));
    libvirt.define(&tiny("bystander"));
    for name in ["again", "bystander"] {
        user.run(&["apply", name, "-p", "macpro7,1", "--yes"])
            .exits(0);
    }
    let changed = libvirt.definition("again");
    user.run(&["undo", "again", "--yes"]).exits(0);
    let old = libvirt.definition("again");
    assert!(!old.contains("isa-applesmc"));
    user.run(&["undo", "again", "--yes"]).exits(0);
    assert_eq!(libvirt.definition("again"), changed);
    user.run(&["undo", "again", "--yes"]).exits(0);
    assert_eq!(libvirt.definition("again"), old);

    let run = user.run(&["undo", "--list", "again"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 4, "{run:#?}");
    assert!(
        run.stdout.lines().all(|line| line.contains("  again  ")),
        "{run:#?}"
    );
    assert_eq!(user.backups().len(), 5);
    // A domain that is gone comes back as it was before the last change, and then it is that.
    libvirt.virsh(["undefine", "again", "--keep-nvram"]);
    user.run(&["undo", "again", "--yes"]).exits(0);
    user.run(&["undo", "again", "--yes"])
        .exits(0)
        .says("nothing to undo");
}

fn undo_to_an_older_backup(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("older"));
    let old = libvirt.definition("older");
    for pass in ["topology", "hotplug", "applesmc"] {
        user.run(&["apply", "older", "--pass", pass, "--yes"])
            .exits(0);
    }
    let first = user.backups().remove(0);
    let mut file = first.display().to_string();
    user.run(&["undo", "older", "--to", &file, "--yes"])
        .exits(0)
        .says("Domain 'older' is as it was at 20");
    assert_eq!(libvirt.definition("older"), old);
    user.run(&["undo", "older", "--to", &file, "--yes"])
        .exits(0)
        .says("nothing to undo");
    // By its time; several backups of one second are told apart by their files.
    let earlier = first.with_file_name("2001-01-01T00-00-00Z.xml");
    fs::copy(&first, &earlier).unwrap();
    user.run(&["undo", "older", "--to", "2001-01-01T00:00:00Z", "--dry-run"])
        .exits(0)
        .says("'older' is as it was at 2001-01-01T00:00:00Z");
    fs::copy(&first, first.with_file_name("2001-01-01T00-00-00Z_2.xml")).unwrap();
    file = earlier.display().to_string();
    user.run(&["undo", "older", "--to", "2001-01-01T00:00:00Z", "--dry-run"])
        .exits(2)
        .says("there are 2 backups of 'older' of 2001-01-01T00:00:00Z")
        .says(&file);
    user.run(&["undo", "older", "--to", "2002-01-01", "--yes"])
        .exits(2)
        .says("there is no backup of 'older' of '2002-01-01'")
        .says("there are: 2001-01-01T00:00:00Z, ");
}

fn undo_with_a_damaged_backup(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("damaged"));
    let old = libvirt.definition("damaged");
    for pass in ["topology", "hotplug"] {
        user.run(&["apply", "damaged", "--pass", pass, "--yes"])
            .exits(0);
    }
    let mut backups = user.backups();
    let (newest, oldest) = (backups.pop().unwrap(), backups.remove(0));
    let file = newest.display().to_string();
    let damaged = |text: &[u8]| {
        fs::write(&newest, text).unwrap();
        user.run(&["undo", "damaged", "--yes"])
            .exits(2)
            .says(&format!("the backup '{file}' cannot be read\ncaused by: "))
            .says("'virt-patch undo damaged --to TIME|FILE' puts an older one back; 'virt-patch undo --list damaged' shows them")
    };
    damaged(b"<domain>\n  <name>damaged</name>\n  <vcp");
    damaged(b"\xff\xfe\xfd");
    let oldest = oldest.display().to_string();
    user.run(&["undo", "damaged", "--to", &oldest, "--yes"])
        .exits(0);
    assert_eq!(libvirt.definition("damaged"), old);
    // Of a domain that is gone as well.
    libvirt.virsh(["undefine", "damaged"]);
    user.run(&["undo", "damaged", "--to", &file, "--yes"])
        .exits(2)
        .says(&format!("the backup '{file}' cannot be read"));

    user.run(&["undo", "--list", "nope"])
        .exits(0)
        .says("there are no backups of 'nope' in ")
        .says("'virt-patch undo --list' shows those of others");
}

fn undo_of_a_new_name_that_is_gone(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("had-a-name"));
    user.run(&["apply", "had-a-name", "--pass", "topology", "--yes"])
        .exits(0);
    libvirt.virsh(["domrename", "had-a-name", "got-a-name"]);
    libvirt.virsh(["undefine", "got-a-name"]);
    user.run(&["undo", "got-a-name", "--yes"])
        .says("there is no backup of 'got-a-name' on ")
        .says("if it had another name before: virt-patch undo had-a-name");
    user.run(&["undo", "had-a-name", "--yes"]).exits(0);
}

fn undo_looks_again_after_the_question(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("looked"));
    user.run(&["apply", "looked", "--pass", "topology,hotplug", "--yes"])
        .exits(0);
    libvirt.virsh(["start", "looked"]);
    let mut terminal = user.on_a_terminal(&["undo", "looked"]);
    terminal.wait_for("[y/N]");
    libvirt.virsh(["managedsave", "looked"]);
    let now = libvirt.definition("looked");
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(2), "{screen}");
    assert!(
        screen.contains("'looked' has a managed save image"),
        "{screen}"
    );
    assert_eq!(libvirt.definition("looked"), now);

    libvirt.virsh(["managedsave-remove", "looked"]);
    let mut terminal = user.on_a_terminal(&["undo", "looked"]);
    terminal.wait_for("[y/N]");
    libvirt.virsh(["setmaxmem", "looked", "128M", "--config"]);
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(
        screen.contains("+  <memory unit='KiB'>131072</memory>"),
        "{screen}"
    );
}

fn an_undefined_domain_at_the_question(libvirt: &Daemon) {
    let user = User::new();
    for runs in [false, true] {
        libvirt.define(&tiny("vanishing"));
        if runs {
            libvirt.virsh(["start", "vanishing"]);
        }
        let mut terminal = user.on_a_terminal(&["apply", "vanishing", "--pass", "topology"]);
        terminal.wait_for("[y/N]");
        libvirt.virsh(["undefine", "vanishing"]);
        terminal.types("y\n");
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(1), "{screen}");
        assert!(
            screen.contains("'vanishing' was undefined by someone else since the diff was made; nothing was changed by this."),
            "{screen}"
        );
        if runs {
            libvirt.virsh(["destroy", "vanishing"]);
        }
    }
    assert!(user.backups().is_empty());

    libvirt.define(&tiny("vanishing"));
    let mut terminal = user.on_a_terminal(&["apply", "vanishing", "--pass", "topology"]);
    terminal.wait_for("[y/N]");
    libvirt.kill();
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    libvirt.start();
    assert_eq!(code, Some(2), "{screen}");
    assert!(
        screen.contains("'vanishing' could not be looked at again; nothing was changed"),
        "{screen}"
    );
}

fn undo_of_what_was_renamed_or_runs_on(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("first-name"));
    let old = libvirt.definition("first-name");
    user.run(&["apply", "first-name", "--pass", "topology,hotplug", "--yes"])
        .exits(0);
    libvirt.virsh(["domrename", "first-name", "second-name"]);
    let list = user.run(&["undo", "--list", "second-name"]).exits(0);
    assert_eq!(list.stdout.lines().count(), 1, "{list:#?}");
    // One that runs on after it was undefined is defined again.
    libvirt.virsh(["start", "second-name"]);
    libvirt.virsh(["undefine", "second-name"]);
    user.run(&["undo", "second-name", "--yes"]).exits(0);
    libvirt.virsh(["destroy", "second-name"]);
    let now = libvirt.definition("second-name");
    assert_eq!(now.replace("second-name", "first-name"), old);
}

fn a_backup_of_what_is_there_hides_none(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("hidden"));
    let old = libvirt.definition("hidden");
    user.run(&["apply", "hidden", "--pass", "topology,hotplug", "--yes"])
        .exits(0);
    let now = libvirt.definition("hidden");
    // As a program that was killed between the backup and the define leaves it.
    let first = user.backups().remove(0);
    let later = first.with_file_name("2999-01-01T00-00-00Z.xml");
    fs::write(&later, &now).unwrap();
    user.run(&["undo", "hidden", "--yes"])
        .exits(0)
        .says("nothing to undo. The backup before that is of ");
    assert_eq!(libvirt.definition("hidden"), now);
    let mut terminal = user.on_a_terminal(&["undo", "hidden"]);
    terminal.wait_for("[y/N]");
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.contains("this is the backup before that"),
        "{screen}"
    );
    assert_eq!(libvirt.definition("hidden"), old);
}

fn a_new_machine_has_an_nvram_file_of_its_own(libvirt: &Daemon) {
    let user = User::new();
    let firmware = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/></os>";
    libvirt.define(&tiny("alpha").replace("</os>", firmware));
    libvirt.virsh(["start", "--paused", "alpha"]);
    libvirt.virsh(["destroy", "alpha"]);
    libvirt.virsh(["domrename", "alpha", "beta"]);
    let theirs = "/var/lib/libvirt/qemu/nvram/alpha_VARS.fd</nvram>";
    assert!(libvirt.definition("beta").contains(theirs));
    let new = |name: &'static str| {
        user.run(&[
            "apply",
            "--template",
            "--name",
            name,
            "--pass",
            "domain-type,machine-name,firmware",
            "--yes",
        ])
        .exits(0)
    };
    new("alpha")
        .says("alpha_VARS.fd' is the nvram file of 'beta'; the new domain gets one of its own");
    let definition = libvirt.definition("alpha");
    assert!(
        definition.contains("/var/lib/libvirt/qemu/nvram/alpha_VARS-2.fd</nvram>"),
        "{definition}"
    );
    // What a machine of that name left behind.
    let old = fs::read("/usr/share/OVMF/OVMF_VARS_4M.fd").unwrap();
    fs::write("/var/lib/libvirt/qemu/nvram/gamma_VARS.fd", &old).unwrap();
    new("gamma").says("gamma_VARS.fd' was left behind by a machine of that name; the new domain gets one of its own");
    assert!(
        libvirt
            .definition("gamma")
            .contains("gamma_VARS-2.fd</nvram>")
    );
    fs::write("/var/lib/libvirt/qemu/nvram/delta_VARS.fd", &old).unwrap();
    let file = user.file("delta.xml", &tiny("delta").replace("</os>", firmware));
    user.run(&["apply", &file, "--pass", "", "--yes"])
        .exits(0)
        .says("warning: '/var/lib/libvirt/qemu/nvram/delta_VARS.fd' was left behind by a machine of that name");
    for name in ["gamma", "delta"] {
        fs::remove_file(format!("/var/lib/libvirt/qemu/nvram/{name}_VARS.fd")).unwrap();
    }
    // And in its place again, by the same command.
    user.run(&[
        "apply",
        "--template",
        "--name",
        "alpha",
        "--pass",
        "domain-type,machine-name,firmware",
        "--yes",
        "--replace",
    ])
    .exits(0);
}

fn what_replaces_a_domain_keeps_its_passwords(libvirt: &Daemon) {
    let user = User::new();
    let vnc = "<devices><graphics type='vnc' passwd='hunter2x'/></devices>";
    libvirt.define(&with("guarded", vnc));
    let without = libvirt.virsh(["dumpxml", "--inactive", "guarded"]);
    assert!(!without.contains("hunter2x"));
    let file = user.file("guarded.xml", &without);
    user.run(&["apply", &file, "--pass", "topology", "--replace", "--yes"])
        .exits(0)
        .says("the definition has no password where the domain has one, which stays")
        .never_says("hunter2x");
    let complete = libvirt.virsh(["dumpxml", "--inactive", "--security-info", "guarded"]);
    assert!(complete.contains("passwd='hunter2x'"), "{complete}");
}

fn undo_when_the_name_is_taken(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("taken"));
    let old = libvirt.definition("taken");
    let uuid = libvirt.virsh(["domuuid", "taken"]).trim().to_owned();
    user.run(&["apply", "taken", "-p", "macpro7,1", "--yes"])
        .exits(0);
    libvirt.virsh(["undefine", "taken", "--keep-nvram"]);
    libvirt.define(&tiny("taken"));
    let theirs = libvirt.definition("taken");
    user.run(&["undo", "taken", "--yes"])
        .exits(2)
        .says("there is no backup of 'taken' on qemu:///system: it has the UUID")
        .says(&format!("virt-patch undo {uuid}"));
    user.run(&["undo", &uuid, "--yes"])
        .exits(2)
        .says("another one has that name now")
        .says("virsh domrename taken NEW");
    assert_eq!(libvirt.definition("taken"), theirs);
    libvirt.virsh(["domrename", "taken", "theirs"]);
    user.run(&["undo", &uuid, "--yes"]).exits(0);
    assert_eq!(libvirt.definition("taken"), old);
}

fn outcomes_in_json(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("json"));
    let outcome = |more: &[&str], code: i32| {
        let apply = ["apply", "json", "--pass", "hotplug", "--json"];
        let run = user.run(&[&apply, more].concat()).exits(code);
        let told = run.json();
        assert_eq!(told.len(), 1, "{run:#?}");
        let diff = told[0]["diff"].as_str().unwrap();
        if !diff.is_empty() {
            assert!(diff.starts_with("--- json (qemu:///system)\t\n"), "{diff}");
            let edits = told[0]["passes"][0]["edits"].as_array().unwrap();
            assert!(!edits.is_empty(), "{run:#?}");
        }
        (told[0]["outcome"].clone(), told[0]["backup"].clone())
    };
    assert_eq!(outcome(&["--dry-run"], 1), (json!("pending"), json!(null)));

    let mut terminal = user.on_a_terminal(&["apply", "json", "--pass", "hotplug", "--json"]);
    terminal.wait_for("[y/N]");
    terminal.types("n\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains(r#""outcome":"declined""#), "{screen}");

    let mut terminal = user.on_a_terminal(&["apply", "json", "--pass", "hotplug", "--json"]);
    terminal.wait_for("[y/N]");
    libvirt.virsh(["setmaxmem", "json", "128M", "--config"]);
    terminal.types("y\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains(r#""outcome":"conflict""#), "{screen}");

    let lossy = user.file(
        "pin.xml",
        "<domain><cputune><vcpupin vcpu='9' cpuset='0'/></cputune></domain>",
    );
    assert_eq!(outcome(&["--yes", "--patch", &lossy], 1).0, "rolled-back");
    let (applied, backup) = outcome(&["--yes"], 0);
    assert_eq!(applied, "applied");
    assert_eq!(backup, user.backups()[0].to_str().unwrap());
    assert_eq!(outcome(&["--yes"], 0), (json!("unchanged"), json!(null)));
}

fn no_backup_is_ever_overwritten(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("often"));
    let mut kept: Vec<(std::path::PathBuf, String)> = Vec::new();
    // Several in one second.
    for number in 0..6 {
        let before = libvirt.definition("often");
        let text = format!("<domain><description>{number}</description></domain>");
        let patch = user.file("often.xml", &text);
        user.run(&["apply", "often", "--pass", "", "--patch", &patch, "--yes"])
            .exits(0);
        let backups = user.backups();
        assert_eq!(backups.len(), kept.len() + 1);
        kept.push((backups.last().unwrap().clone(), before));
        for (path, text) in &kept {
            assert_eq!(fs::read_to_string(path).unwrap(), *text);
        }
    }
}

fn the_command_line_of_files_and_domains(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("line"));
    let file = user.file("line.xml", &libvirt.definition("line"));
    let of_file = user.run(&["diff", &file, "--qemu"]).exits(1).stdout;
    let of_domain = user.run(&["diff", "line", "--qemu"]).exits(1).stdout;
    let body = |diff: &str| {
        let lines: Vec<_> = diff.lines().skip(2).map(str::to_owned).collect();
        lines
    };
    assert_eq!(body(&of_file), body(&of_domain));
    assert!(
        of_file.contains("\n+-device isa-applesmc,osk="),
        "{of_file}"
    );
    // libvirt chooses the driver of a host's device at the start only.
    let hostdev = "<devices><hostdev mode='subsystem' type='pci' managed='yes'><source>\
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev></devices>";
    libvirt.define(&with("passed-through", hostdev));
    let run = user.run(&["diff", "passed-through", "--qemu"]).exits(1);
    assert!(run.stdout.contains(r#"{"driver":"vfio-pci""#), "{run:#?}");
    let file = user.file("passed-through.xml", &with("passed-through", hostdev));
    user.run(&["diff", &file, "--qemu"]).exits(1);
    let card = "<devices><interface type='hostdev' managed='yes'><source>\
        <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x1'/></source></interface></devices>";
    libvirt.define(&with("passed-card", card));
    let run = user.run(&["diff", "passed-card", "--qemu"]).exits(1);
    assert!(run.stdout.contains(r#""host":"0000:02:00.1""#), "{run:#?}");
    let bad = user.file(
        "bad.xml",
        &with("bad", "<devices><disk type='nosuch'/></devices>"),
    );
    user.run(&["diff", &bad, "--qemu"])
        .exits(2)
        .says("libvirt makes no command line of the present definition");
}

/// What a trial may leave behind.
fn traces(libvirt: &Daemon) -> (String, Vec<std::ffi::OsString>) {
    let mut files = Vec::new();
    for directory in [
        libvirt.images().to_owned(),
        "/var/lib/libvirt/qemu/nvram".into(),
    ] {
        let entries = fs::read_dir(directory).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().file_name()));
    }
    files.sort();
    (libvirt.virsh(["list", "--all"]), files)
}

fn a_good_definition_passes_the_preflight(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("tried"));
    let before = traces(libvirt);
    let run = user
        .run(&["preflight", "tried", "-p", "macpro7,1"])
        .exits(0)
        .never_says("not known");
    for (what, word) in [
        ("Apple SMC", "ok"),
        ("CPU vendor", "ok"),
        ("topology", "ok"),
    ] {
        let line = run.stdout.lines().find(|line| line.starts_with(what));
        assert!(line.is_some_and(|line| line.contains(word)), "{run:#?}");
    }
    assert!(!run.stdout.contains("ourhardwork"), "{run:#?}");
    let run = user
        .run(&["preflight", "tried", "-p", "macpro7,1", "--json"])
        .exits(0);
    assert_eq!(run.json()[0]["good"], true);
    let file = user.file("tried.xml", &tiny("untried"));
    user.run(&["preflight", &file, "-p", "macpro7,1"]).exits(0);
    assert_eq!(traces(libvirt), before);

    let definition = libvirt.definition("tried");
    user.run(&[
        "apply",
        "tried",
        "-p",
        "macpro7,1",
        "--preflight",
        "--dry-run",
    ])
    .exits(1)
    .says("Apple SMC");
    assert_eq!(libvirt.definition("tried"), definition);
    user.run(&["apply", "tried", "-p", "macpro7,1", "--preflight", "--yes"])
        .exits(0)
        .says("Apple SMC")
        .says("Domain 'tried' redefined");
    assert_eq!(traces(libvirt), before);
}

fn what_qemu_does_not_start_is_not_stored(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("broken"));
    let before = (libvirt.definition("broken"), traces(libvirt));
    // libvirt takes the definition and only QEMU knows better.
    let patch = user.file(
        "broken.xml",
        "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline><qemu:arg value='-device'/><qemu:arg value='nosuch'/></qemu:commandline></domain>",
    );
    for command in [
        &["preflight", "broken"][..],
        &["apply", "broken", "--preflight", "--yes"],
    ] {
        user.run(&[command, &["--pass", "", "--patch", &patch]].concat())
            .exits(2)
            .says("error: the changed domain does not start")
            .says("'nosuch' is not a valid device model name")
            .says("nothing was changed");
    }
    assert_eq!((libvirt.definition("broken"), traces(libvirt)), before);
    assert!(user.backups().is_empty());
}

fn ctrl_c_during_a_preflight_leaves_nothing(libvirt: &Daemon) {
    let user = User::new();
    libvirt.define(&tiny("stopped"));
    let before = (libvirt.definition("stopped"), traces(libvirt));
    for arguments in [
        &["preflight", "stopped", "-p", "macpro7,1"][..],
        &[
            "apply",
            "stopped",
            "-p",
            "macpro7,1",
            "--preflight",
            "--yes",
        ],
    ] {
        let mut terminal = user.on_a_terminal(arguments);
        let began = Instant::now();
        // The files of the copy are there: it is about to start.
        while traces(libvirt).1 == before.1.1 {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        terminal.types("\u{3}");
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(130), "{screen}");
        assert!(
            screen.contains("interrupted; nothing was changed"),
            "{screen}"
        );
        let began = Instant::now();
        while traces(libvirt) != before.1 {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{:?}",
                traces(libvirt)
            );
            sleep(Duration::from_millis(50));
        }
        assert_eq!(libvirt.definition("stopped"), before.0);
    }
}

/// Domains of every kind (fixtures/redefine, mostly virt-install's): imported, changed, made a Mac, each time read
/// back, and put back as they were.
fn no_good_change_is_rolled_back(libvirt: &Daemon) {
    let user = User::new();
    let patch = user.file(
        "patch.xml",
        "<domain><description>changed</description></domain>",
    );
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redefine"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 25);
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let file = path.to_str().unwrap();
        user.run(&["apply", file, "--pass", "", "--yes"])
            .exits(0)
            .says(&format!("Domain '{name}' defined."));
        let stored = libvirt.definition(name);
        user.run(&["apply", name, "--pass", "", "--patch", &patch, "--yes"])
            .exits(0)
            .says(&format!("Domain '{name}' redefined"));
        let described = libvirt.definition(name);
        let mac = match name {
            // What becomes of the cells depends on how many processors this machine has.
            "numa" => &["-p", "macpro7,1", "--skip", "topology"][..],
            _ => &["-p", "macpro7,1"],
        };
        let style = match name {
            "uefi-auto" | "numa" | "pinned" => "cpu-override.style=native",
            _ => "cpu-override.style=commandline",
        };
        user.run(&[&["apply", name, "--yes", "--set", style], mac].concat())
            .exits(0)
            .says(&format!("Domain '{name}' redefined"));
        user.run(&[&["check", name, "--set", style], mac].concat())
            .exits(0);
        user.run(&["undo", name, "--yes"]).exits(0);
        assert_eq!(libvirt.definition(name), described);
        assert_ne!(described, stored);
    }
}
