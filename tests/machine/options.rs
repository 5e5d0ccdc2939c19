//! Which passes options and settings bring along.

use assert_cmd::Command;

const DOMAIN: &str = "<domain type='qemu'>
  <name>vm</name>
  <memory unit='GiB'>4</memory>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
  </os>
  <devices/>
</domain>
";

/// Names and verdicts of the passes that ran, on the host of the fixture.
fn check(arguments: &[&str]) -> Vec<String> {
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/darwinkvm/host.json");
    let output = Command::cargo_bin("virt-patch")
        .unwrap()
        .args(["check", "--json", "--host", host])
        .args(arguments)
        .write_stdin(DOMAIN)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let passes = report["passes"].as_array().unwrap();
    let text = |pass: &serde_json::Value, key: &str| pass[key].as_str().unwrap().to_owned();
    passes
        .iter()
        .map(|pass| format!("{} {}", text(pass, "name"), text(pass, "verdict")))
        .collect()
}

const SIX: [&str; 6] = [
    "firmware",
    "topology",
    "topoext",
    "applesmc",
    "hotplug",
    "cpu-override",
];

fn names(ran: &[String]) -> Vec<&str> {
    ran.iter().filter_map(|one| one.split(' ').next()).collect()
}

#[test]
fn an_i440fx_domain_is_retrofitted_as_it_is() {
    let ran = check(&[]);
    assert_eq!(names(&ran), SIX);
    assert!(ran.contains(&"hotplug changed".to_owned()), "{ran:?}");
    assert!(!ran.iter().any(|one| one.ends_with("blocked")), "{ran:?}");
}

#[test]
fn what_is_asked_for_runs_in_its_place() {
    for (arguments, first) in [
        (&["--memory", "8GiB"][..], &["memory changed"][..]),
        (&["--set", "machine.convert=yes"], &["machine changed"]),
        (
            &[
                "--set",
                "machine.convert=yes",
                "--memory",
                "8GiB",
                "--set",
                "memory-backing.shared=yes",
            ],
            &[
                "machine changed",
                "memory changed",
                "memory-backing changed",
            ],
        ),
        // To say no is not to ask.
        (&["--set", "machine.convert=no"], &[]),
    ] {
        let ran = check(arguments);
        assert_eq!(ran[..first.len()], *first);
        assert_eq!(names(&ran[first.len()..]), SIX);
    }
    // Exactly these means exactly these.
    let ran = check(&["--pass", "machine", "--memory", "8GiB"]);
    assert_eq!(ran, ["machine blocked"]);
}

#[test]
fn a_name_is_for_a_new_machine() {
    let run = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("virt-patch").unwrap();
        let output = command
            .args(arguments)
            .write_stdin(DOMAIN)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = run(&["diff", "-", "--name", "other"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--name is for a new machine"), "{said}");
    let (code, said) = run(&["diff", "--template", "--name", "a/b"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("libvirt refuses a name with a slash"),
        "{said}"
    );
    let (code, said) = run(&["diff", "--template", "--macos", "senoma"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean 'sonoma'?"), "{said}");
}

#[test]
fn a_named_machine_has_a_uuid_of_its_own() {
    let uuid = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("virt-patch").unwrap();
        let output = command
            .args(["render", "--template", "--pass", "machine-name"])
            .args(arguments)
            .output()
            .unwrap();
        let definition = String::from_utf8(output.stdout).unwrap();
        let start = definition.find("<uuid>")?;
        definition.get(start + 6..start + 42).map(str::to_owned)
    };
    let named = ["--name", "mac"];
    assert_ne!(uuid(&named), uuid(&named));
    assert!(uuid(&named).is_some());
    // Without a name libvirt makes one up, and the template always gives the same.
    assert_eq!(uuid(&[]), None);
}
