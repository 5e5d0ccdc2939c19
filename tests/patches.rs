//! Patches and profiles of the user's own, through the program: where they come from, what they
//! may be told, and what is said of those that cannot be used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const DOMAIN: &str = "<domain type='qemu'>\n  <name>vm</name>\n  <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>\n  <vcpu>2</vcpu>\n  <os>\n    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n  </os>\n  <devices>\n    <disk type='file'>\n      <target dev='vda'/>\n    </disk>\n    <disk type='file'>\n      <target dev='vdb'/>\n    </disk>\n  </devices>\n</domain>\n";

/// A directory with `vm.xml`, host facts of which little is known, and a home of its own.
struct Place(TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("vm.xml", DOMAIN);
        place.write("host.json", "{\"libvirt\": \"9.0.0\"}");
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs in the directory, without passes unless the arguments name some.
    fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virt-patch"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env_remove("VIRT_PATCH_OSK");
        command
    }

    fn render(&self, arguments: &str) -> Run {
        self.run(&format!("render vm.xml --host host.json {arguments}"))
    }

    fn patched(&self, arguments: &str) -> String {
        let run = self.render(&format!("--pass= {arguments}"));
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    }
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn refused(&self, message: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (2, ""));
        assert_eq!(self.stderr, message);
    }
}

#[test]
fn an_osk_that_does_not_fit_is_told_with_where_it_is_from() {
    let place = Place::new(&[("osk.txt", "short\n")]);
    let fit =
        "'…' does not fit the setting 'applesmc.osk': the OSK has 64 characters, this has 5\n";
    let by_variable = |arguments: &str| {
        let mut command = place.command(&format!("render vm.xml --host host.json {arguments}"));
        Run::of(command.env("VIRT_PATCH_OSK", "short").output().unwrap())
    };
    place
        .render("--pass applesmc --osk-file osk.txt")
        .refused(&format!(
            "error: cannot use the OSK file 'osk.txt'\ncaused by: {fit}"
        ));
    by_variable("--pass applesmc").refused(&format!(
        "error: cannot use the OSK of the environment variable VIRT_PATCH_OSK\ncaused by: {fit}"
    ));
    // Where no key is wanted, the variable is nobody's business.
    let run = by_variable("--pass= --patch no-balloon");
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn patches_run_in_their_order_after_the_passes() {
    let place = Place::new(&[
        ("first.xml", "<title>first</title><vcpu>1</vcpu>"),
        ("second.xml", "<title>second</title>"),
        (
            "config/virt-patch/patches/mine.xml",
            "<description>${guest.name} on ${libvirt}</description>",
        ),
    ]);
    let out =
        place.patched("--patch first.xml --patch ./second.xml --patch Mine --patch No-Balloon");
    assert!(out.contains("<title>second</title>"), "{out}");
    assert!(
        out.contains("<description>vm on 9.0.0</description>"),
        "{out}"
    );
    assert!(out.contains("<memballoon model='none'/>"), "{out}");
    let out = place.patched("--patch second.xml --patch first.xml");
    assert!(out.contains("<title>first</title>"), "{out}");

    let check = place.run("check vm.xml --host host.json --pass smbios --patch second.xml --json");
    let report: serde_json::Value = serde_json::from_str(&check.stdout).unwrap();
    let names: Vec<&str> = report["passes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["smbios", "second.xml"]);
}

#[test]
fn values_are_given_by_name_or_by_patch_and_name() {
    let place = Place::new(&[
        (
            "a.xml",
            "<patch:value name='text' default='none'/><title>${text}</title>",
        ),
        (
            "b.xml",
            "<patch:value name='text'/><description>${text}</description>",
        ),
    ]);
    for (arguments, title, description) in [
        ("--set text=x", "x", "x"),
        ("--set a.text=x --set b.text=y", "x", "y"),
        ("--set b.text=y", "none", "y"),
        ("--set text=x --set b.text=y", "x", "y"),
        ("--set B.text=a=b", "none", "a=b"),
    ] {
        let out = place.patched(&format!("--patch a.xml --patch b.xml {arguments}"));
        assert!(out.contains(&format!("<title>{title}<")), "{out}");
        assert!(
            out.contains(&format!("<description>{description}<")),
            "{out}"
        );
    }
    place
        .render("--pass= --patch b.xml")
        .refused("error: cannot merge a patch into 'vm.xml'\ncaused by: the placeholder ${text} has no value (line 1 of the definition)\n --> b.xml:1:40\n1 | <patch:value name='text'/><description>${text}</description>\n  |                                        ^\nhelp: say it with --set text=…\n");
    // A value that is called as a setting is.
    let own = Place::new(&[(
        "own.xml",
        "<patch:value name='macos'/><title>${macos}</title>",
    )]);
    let out = own.patched("--patch own.xml --set macos=sonoma");
    assert!(out.contains("<title>sonoma</title>"), "{out}");
    place
        .render("--pass= --patch a.xml --set a.txt=x")
        .refused("error: unknown setting 'a.txt'\nhelp: did you mean 'a.text'?\n");
    place.render("--pass= --set vcpus=2").refused(
        "error: unknown setting 'vcpus'\nhelp: did you mean 'fake-core-count.vcpus' or 'topology.vcpus'?\n",
    );
    place.render("--pass= --set virtiofs.tag=x").refused(
        "error: unknown setting 'virtiofs.tag'\nhelp: 'virt-patch list settings' shows them all; those of a patch count where it runs\n",
    );
}

#[test]
fn what_is_not_there_is_named_with_what_is_near() {
    let place = Place::new(&[]);
    for (arguments, message) in [
        (
            "--patch virtifs",
            "error: unknown patch 'virtifs'\nhelp: did you mean 'virtiofs'?\n",
        ),
        (
            "--patch topology",
            "error: unknown patch 'topology'\nhelp: it is a pass: --pass topology\n",
        ),
        (
            "--patch nonsense",
            "error: unknown patch 'nonsense'\nhelp: 'virt-patch list' shows all; for a file write ./nonsense or nonsense.xml\n",
        ),
        (
            "--patch none.xml",
            "error: cannot read the patch 'none.xml'\ncaused by: No such file or directory (os error 2)\n",
        ),
        (
            "-p macpro71",
            "error: unknown profile 'macpro71'\nhelp: did you mean 'macpro7,1'?\n",
        ),
        (
            "--pass rng",
            "error: unknown pass 'rng'\nhelp: it is a patch: --patch rng\n",
        ),
        (
            "--skip rgn --patch rng",
            "error: no pass and no patch of this run is called 'rgn'\nhelp: did you mean 'rng'?\n",
        ),
    ] {
        place.render(arguments).refused(message);
    }
}

#[test]
fn a_patch_that_does_not_fit_stops_the_run_with_both_places() {
    let place = Place::new(&[
        (
            "which.xml",
            "<domain>\n  <devices>\n    <disk><driver cache='none'/></disk>\n  </devices>\n</domain>\n",
        ),
        (
            "gone.xml",
            "<domain xmlns:patch='urn:virt-patch:1'>\n  <devices><tpm patch:op='remove!'/></devices>\n</domain>\n",
        ),
        ("text.xml", "<os>text</os>\n"),
        (
            "circle.xml",
            "<domain type='kvm'>\n  <cpu mode='maximum' patch:when=\"guest.type == 'kvm'\"/>\n</domain>\n",
        ),
        ("odd.xml", "<vcpu>1</vcpu>\n<feature name='x'/>\n"),
        ("torn.xml", "<domain>\n  <vcpu>1\n</domain>\n"),
        ("doctype.xml", "<!DOCTYPE domain>\n<title>t</title>\n"),
        (
            "secret.xml",
            "<graphics type='vnc' passwd='hunter2' x='${y}'/>\n",
        ),
    ]);
    for (patch, message) in [
        (
            "which.xml",
            "error: cannot merge a patch into 'vm.xml'\ncaused by: <disk> could be the one in line 9 or in line 12; say which with <target dev=…> (line 9 of the definition as the steps before leave it)\n --> which.xml:3:5\n3 |     <disk><driver cache='none'/></disk>\n  |     ^\n",
        ),
        (
            "gone.xml",
            "error: cannot merge a patch into 'vm.xml'\ncaused by: there is no such <tpm> to remove (line 8 of the definition as the steps before leave it)\n --> gone.xml:2:12\n2 |   <devices><tpm patch:op='remove!'/></devices>\n  |            ^\n",
        ),
        (
            "text.xml",
            "error: cannot merge a patch into 'vm.xml'\ncaused by: the patch has text for <os>, which holds <type> (line 5 of the definition as the steps before leave it)\n --> text.xml:1:1\n1 | <os>text</os>\n  | ^\n",
        ),
        (
            "circle.xml",
            "error: cannot merge a patch into 'vm.xml'\ncaused by: the patch asks for guest.type and changes it, so a second run would change more\n --> circle.xml:2:35\n2 |   <cpu mode='maximum' patch:when=\"guest.type == 'kvm'\"/>\n  |                                   ^\nhelp: make two patches of it: the first changes this, the second asks for it\n",
        ),
        (
            "odd.xml",
            "error: cannot merge a patch into 'vm.xml'\ncaused by: <feature> could stand in several places\n --> odd.xml:2:1\n2 | <feature name='x'/>\n  | ^\nhelp: write what is around it: <os><firmware><feature> or <cpu><feature>\n",
        ),
        (
            "doctype.xml",
            "error: cannot use the patch 'doctype.xml'\ncaused by: it has a document type declaration (<!DOCTYPE …>), which is refused\n --> doctype.xml:1:1\n1 | <!DOCTYPE domain>\n  | ^\nhelp: remove it; libvirt needs none\n",
        ),
        (
            "torn.xml",
            "error: cannot use the patch 'torn.xml'\ncaused by: </domain> ends an element that <vcpu> began\n --> torn.xml:3:1\n3 | </domain>\n  | ^\n",
        ),
    ] {
        let run = place.render(&format!("--pass= --patch no-balloon --patch {patch}"));
        run.refused(message);
    }
    let run = place.render("--pass= --patch secret.xml");
    assert!(run.stderr.contains("${y} is unknown"), "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn a_condition_that_does_not_hold_or_cannot_be_judged_is_a_verdict() {
    let on = |condition: &str| {
        format!(
            "<domain xmlns:patch='urn:virt-patch:1' patch:when=\"{condition}\"><title>t</title></domain>"
        )
    };
    let place = Place::new(&[
        ("old.xml", &on("libvirt &lt; 8")),
        ("new.xml", &on("libvirt >= 8 and guest.machine ~ 'q35'")),
        ("amd.xml", &on("host.cpu.vendor == 'AuthenticAMD'")),
    ]);
    for (patch, code, line) in [
        (
            "old.xml",
            0,
            "old.xml  not-applicable  it is for libvirt < 8, and libvirt is '9.0.0'\n",
        ),
        ("new.xml", 1, "new.xml  changed  as the patch says\n"),
        (
            "amd.xml",
            1,
            "amd.xml  blocked  the host's CPU vendor is unknown, and line 1 of the patch asks for it\n",
        ),
    ] {
        let run = place.run(&format!(
            "check vm.xml --host host.json --pass= --patch {patch}"
        ));
        assert_eq!((run.code, run.stdout.as_str()), (code, line));
    }
    let run = place.render("--pass= --patch amd.xml --patch new.xml");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(
        run.stderr
            .ends_with("nothing was changed; to go on without: --skip amd.xml\n"),
        "{}",
        run.stderr
    );
    for skip in ["amd", "amd.xml"] {
        let run = place.render(&format!(
            "--pass= --patch amd.xml --patch new.xml --skip {skip}"
        ));
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
}

#[test]
fn the_dump_of_another_domain_is_merged_with_a_warning() {
    let other = DOMAIN
        .replace("<name>vm<", "<name>other<")
        .replace("c7a5", "ffff")
        .replace("<vcpu>2<", "<vcpu>4<");
    let place = Place::new(&[("other.xml", &other)]);
    let run = place.render("--pass= --patch other.xml");
    assert_eq!((run.code, run.stdout.as_str()), (0, other.as_str()));
    assert_eq!(
        run.stderr,
        "warning: other.xml: it changes the name from 'vm' to 'other', which makes it another domain; if that is not meant, take <name> out of the patch\nwarning: other.xml: it changes the uuid from 'c7a5fdbd-cdaf-9455-926a-d65c16db1809' to 'fffffdbd-cdaf-9455-926a-d65c16db1809', which makes it another domain; if that is not meant, take <uuid> out of the patch\n"
    );
    let run = place.render("--pass= --patch vm.xml");
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, DOMAIN, "")
    );
}

#[test]
fn profiles_are_files_with_passes_patches_and_settings() {
    let place = Place::new(&[
        (
            "p/my.toml",
            "summary = 'mine'\npasses = ['topology']\npatches = ['RNG', 'Own.one', './own.xml']\n[settings]\ntopology.vcpus = 4\nown.text = 'profile'\n",
        ),
        (
            "p/own.xml",
            "<patch:value name='text'/><title>${text}</title>",
        ),
        ("config/virt-patch/patches/Own.One.xml", "<rng><x/></rng>"),
        (
            "config/virt-patch/patches/named.toml",
            "extends = '../../../p/my.toml'\nsettings.own.text = 'named'\n",
        ),
        (
            "host.json",
            "{\"libvirt\": \"9.0.0\", \"cpu\": {\"vendor\": \"GenuineIntel\", \"sockets\": 1, \"dies\": 1, \"cores\": 8, \"threads\": 2}}",
        ),
    ]);
    for (arguments, vcpus, title) in [
        ("-p ./p/my.toml", 4, Some("profile")),
        ("-p p/my.toml --vcpus 8", 8, Some("profile")),
        (
            "-p p/my.toml --set topology.vcpus=8 --set own.text=mine",
            8,
            Some("mine"),
        ),
        ("-p p/my.toml --set text=mine", 4, Some("mine")),
        ("-p named", 4, Some("named")),
        ("-p p/my.toml --skip own", 4, None),
        ("-p p/my.toml --pass topology", 4, None),
    ] {
        let run = place.render(arguments);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let has = |text: &str| run.stdout.contains(text);
        assert!(
            has(&format!("<vcpu>{vcpus}<")),
            "{arguments}: {}",
            run.stdout
        );
        match title {
            Some(title) => assert!(has(&format!("<title>{title}<")), "{arguments}"),
            None => assert!(!has("<title>"), "{arguments}"),
        }
    }
}

#[test]
fn a_mistake_in_a_profile_is_shown_in_its_line() {
    for (profile, message) in [
        (
            "passes = ['topologi']\n",
            "error: unknown pass 'topologi'\n --> my.toml:1:11\n1 | passes = ['topologi']\n  |           ^\nhelp: did you mean 'topology'?\n",
        ),
        (
            "patches = [\n  'virtifs',\n]\n",
            "error: unknown patch 'virtifs'\n --> my.toml:2:3\n2 |   'virtifs',\n  |   ^\nhelp: did you mean 'virtiofs'?\n",
        ),
        (
            "passes = []\n[settings.topology]\nvcpu = 4\n",
            "error: cannot use the profile 'my'\ncaused by: unknown setting 'topology.vcpu'\n --> my.toml:3:1\n3 | vcpu = 4\n  | ^\nhelp: did you mean 'topology.vcpus'?\n",
        ),
        (
            "passes = []\n[settings.topology]\nvcpus = 6\n",
            "error: cannot use the profile 'my'\ncaused by: '6' does not fit the setting 'topology.vcpus': macOS boots with a power of two only; the nearest are 4 and 8; for 6: --set fake-core-count.vcpus=6\n --> my.toml:3:1\n3 | vcpus = 6\n  | ^\n",
        ),
        (
            "pases = []\n",
            "error: cannot use the profile 'my.toml'\ncaused by: unknown key 'pases'\n --> my.toml:1:1\n1 | pases = []\n  | ^\nhelp: did you mean 'passes'?\n",
        ),
        (
            "extends = './none.toml'\n",
            "error: cannot use the profile 'my.toml'\ncaused by: cannot read the profile './none.toml': No such file or directory (os error 2)\n --> my.toml:1:11\n1 | extends = './none.toml'\n  |           ^\n",
        ),
        (
            "passes = []\nsettings.applesmc.osk = 'mine'\n",
            "error: cannot use the profile 'my'\ncaused by: '…' does not fit the setting 'applesmc.osk': the OSK has 64 characters, this has 4\n",
        ),
    ] {
        let place = Place::new(&[("my.toml", profile)]);
        place.render("-p my.toml").refused(message);
    }
}

#[test]
fn list_shows_where_everything_comes_from() {
    let place = Place::new(&[
        (
            "config/virt-patch/patches/mine.xml",
            "<!--\n  My own.\n\n  Because.\n-->\n<patch:value name='tag' default='x'>a tag</patch:value>\n<title>${tag}</title>\n",
        ),
        (
            "config/virt-patch/patches/rng.xml",
            "<!-- Not the shipped one. -->\n<rng model='virtio'/>\n",
        ),
        (
            "config/virt-patch/patches/my.toml",
            "# Why.\nsummary = 'mine'\nextends = 'macpro5,1'\npatches = ['mine']\n",
        ),
        ("config/virt-patch/patches/torn.xml", "<torn\n"),
    ]);
    let run = place.run("list");
    let directory = place.path().join("config/virt-patch/patches");
    let directory = directory.display();
    for line in [
        format!("  mine            My own [{directory}/mine.xml]\n"),
        format!("  rng             Not the shipped one [{directory}/rng.xml]\n"),
        format!("  my              mine [{directory}/my.toml]\n"),
        "  tpm             An emulated TPM 2.0\n".to_owned(),
    ] {
        assert!(run.stdout.contains(&line), "{line}\n{}", run.stdout);
    }
    // The others are listed all the same.
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("torn.xml:2:1"), "{}", run.stderr);
    assert_eq!(run.stdout.matches("  rng ").count(), 1);
    // Who asks for one of them is told of that one.
    let torn = place.run("list torn");
    assert_eq!((torn.code, torn.stdout.as_str()), (2, ""));
    assert!(torn.stderr.contains("torn.xml:2:1"), "{}", torn.stderr);
    let mine = place.run("list mine");
    assert_eq!((mine.code, mine.stderr.as_str()), (0, ""));
    assert_eq!(
        place.run("list mine").stdout,
        format!(
            "patch mine: My own\n\nBecause.\n\nfile       {directory}/mine.xml\n--set      mine.tag=x   a tag\n\n<patch:value name='tag' default='x'>a tag</patch:value>\n<title>${{tag}}</title>\n"
        )
    );
    let json = place.run("list my --json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["origin"], format!("{directory}/my.toml"));
    assert_eq!(place.run("list ./vm.xml").code, 0);
    let schema = place.run("list --profile-schema").stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(
        schema["properties"]["settings"]["properties"]["virtiofs"]["properties"]["tag"].is_object()
    );
}

#[test]
fn list_says_what_was_taken_over_and_from_where() {
    let place = Place::new(&[
        (
            "prof/mine.toml",
            "# Mine\nextends='./sub/base.toml'\npasses=['...', 'hotplug']\npatches=['no-balloon', '...', './own.xml']\n[settings]\nti.v='mine'\n",
        ),
        ("prof/own.xml", "<description>d</description>"),
        (
            "prof/sub/base.toml",
            "extends='macpro5,1'\npasses=['topology']\npatches=['./ti.xml', 'rng']\n[settings]\nti.v='base'\n",
        ),
        (
            "prof/sub/ti.xml",
            "<patch:value name='v' default='dflt'/><title>${v}</title>",
        ),
    ]);
    let run = place.run("list ./prof/mine.toml");
    assert_eq!(run.code, 0, "{}", run.stderr);
    for line in [
        "extends    base [./prof/sub/base.toml], macpro5,1",
        "passes     topology, hotplug\n           topology [./prof/sub/base.toml]\n",
        "patches    no-balloon, ./prof/sub/ti.xml, rng, ./prof/own.xml\n           ./prof/sub/ti.xml, rng [./prof/sub/base.toml]\n",
        "setting    ti.v=base   [./prof/sub/base.toml]\nsetting    ti.v=mine\n",
    ] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    let run = place.run("list ./prof/mine.toml --json");
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        json["extends"][0],
        serde_json::json!({"name": "base", "origin": "./prof/sub/base.toml"})
    );
    assert_eq!(json["extends"][1]["origin"], "shipped");
    assert_eq!(
        json["passes"],
        serde_json::json!([{"name": "topology", "from": "./prof/sub/base.toml"}, {"name": "hotplug"}])
    );
    let own = json["settings"].as_array().unwrap().last().unwrap();
    assert_eq!(*own, serde_json::json!({"key": "ti.v", "value": "mine"}));
    // What is its own stands there without a place.
    let run = place.run("list ./prof/sub/../sub/base.toml");
    assert!(
        run.stdout.contains("\nsetting    ti.v=base\n"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("base.toml]"), "{}", run.stdout);
}

/// What an extending profile gives again overrules a value that does not fit there.
#[test]
fn of_a_setting_given_again_only_the_last_counts() {
    let place = Place::new(&[
        (
            "base.toml",
            "# Base\npasses = ['topology']\nsettings.topology.vcpus = 6\n",
        ),
        (
            "mine.toml",
            "# Mine\nextends = './base.toml'\nsettings.topology.vcpus = 4\n",
        ),
    ]);
    let run = place.run("check vm.xml -p ./mine.toml");
    assert!(!run.stderr.contains("does not fit"), "{}", run.stderr);
    let run = place.run("check vm.xml -p ./base.toml");
    assert!(run.stderr.contains("base.toml:3:"), "{}", run.stderr);
}
