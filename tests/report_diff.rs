//! Uncoloured diffs against the real `patch` and `git apply`, byte for byte.
//!
//! Skipped, visibly, where a tool is missing; where `CI` is set that is a failure.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use virt_patch::report::diff::{DiffOptions, Labels, unified};
use virt_patch::report::mask;

/// What tools stumble over, as before → after.
const CASES: &[(&str, &str)] = &[
    ("a\nb\nc\n", "a\nB\nc\n"),
    ("a", "a\n"),
    ("a\n", "a"),
    ("a\nb", "a\nc"),
    ("a\nb", "c\nb"),
    ("", "a\nb\n"),
    ("", "a"),
    ("a\nb\n", ""),
    ("a", ""),
    ("\n", "\n\n"),
    ("a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n"),
    ("a\r\nb\r\nc\r\n", "a\nb\nc\n"),
    ("a\r\nb", "a\r\nb\r\n"),
    ("a\rb\rc\nd\n", "a\rB\rc\nd\n"),
    ("a\r", "a\r\r"),
    (
        "a\x0cb\x0b\u{85}c\n\u{2028}d\n",
        "a\x0cb\x0b\u{85}c\n\u{2029}d\n",
    ),
    (
        "-- a/x\n++ b/x\n@@ -1 +1 @@\n",
        "-- a/y\n++ b/x\n@@ -1,2 +1 @@\n\\ No newline at end of file\n",
    ),
    (
        "--- a/x\n+++ b/x\n",
        "diff --git a/x b/x\nindex 1..2\n--- a/x\n",
    ),
    (
        "\\ No newline at end of file",
        "\\ No newline at end of file\n",
    ),
    (" \n\t\n \t\n", "\t\n \n \t \n"),
    ("größe\n\u{feff}x\n", "grösse\nx\n"),
    ("\x1b[31mred\u{202e}\n", "\x1b[32mgreen\u{2066}\n"),
    (
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
        "0\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n13\n",
    ),
    (
        "x\nx\nx\nx\nx\nx\nx\nx\nx\n",
        "x\nx\nx\nx\ny\nx\nx\nx\nx\nx\n",
    ),
];

/// Where a file may be, seen from where the user is.
const PATHS: &[&str] = &[
    "x.xml",
    "./x.xml",
    "sub/x.xml",
    "my vm.xml",
    "größe.xml",
    "it's \"x\\y\".xml",
    "tab\there.xml",
    "x.xml ",
];

fn tool(name: &str) -> Option<Command> {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "'{name}' is not installed"
        );
        eprintln!("SKIPPED: '{name}' is not installed");
    }
    found.then(|| Command::new(name))
}

#[track_caller]
fn check(tool: &str, args: &[&str], path: &str, before: &str, after: &str, context: usize) {
    let Some(mut command) = self::tool(tool) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, before).unwrap();
    let options = DiffOptions {
        context,
        ..DiffOptions::default()
    };
    let diff = unified(before, after, &Labels::file(path), &options);
    fs::write(directory.path().join("diff"), &diff).unwrap();
    // Nothing of the machine's own configuration may decide.
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", directory.path());
    let output = command.args(args).current_dir(&directory).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{tool}: {said}\n{diff}");
    // GNU patch removes a file that a diff leaves empty.
    let patched = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(patched, after, "{tool}: {said}\n{diff}");
    let rejected = Path::new(&format!("{}.orig", file.display())).exists();
    assert!(!rejected, "{tool} needed an offset: {said}\n{diff}");
}

const PATCH: &[&str] = &["-p1", "--batch", "--fuzz=0", "-i", "diff"];
const GIT: &[&str] = &["apply", "--unidiff-zero", "diff"];

#[test]
fn patch_and_git_apply_accept_hostile_texts() {
    for (before, after) in CASES {
        for context in [0, 1, 3] {
            check("patch", PATCH, "x.xml", before, after, context);
            check("git", GIT, "x.xml", before, after, context);
        }
    }
    let long = "x".repeat(1 << 20);
    check(
        "patch",
        PATCH,
        "x.xml",
        &format!("{long}\n"),
        &format!("{long}y\n"),
        3,
    );
    check(
        "git",
        GIT,
        "x.xml",
        &format!("{long}\n"),
        &format!("{long}y\n"),
        3,
    );
}

#[test]
fn patch_and_git_apply_find_the_file() {
    for path in PATHS {
        check("patch", PATCH, path, "a\nb\n", "a\nc\n", 3);
        check("git", GIT, path, "a\nb\n", "a\nc\n", 3);
    }
}

#[test]
fn a_masked_diff_equals_the_plain_one_when_no_secret_is_in_it() {
    let document = |passwd: &str, vcpu: u32| {
        let filler = "  <x/>\n".repeat(10);
        format!(
            "<domain>\n  <vcpu>{vcpu}</vcpu>\n{filler}  <graphics passwd='{passwd}'/>\n</domain>\n"
        )
    };
    let diff = |before: &str, after: &str| {
        unified(before, after, &Labels::file("x"), &DiffOptions::default())
    };
    let both = |before: String, after: String| {
        let masked = mask::mask_pair(&before, &after);
        (diff(&before, &after), diff(&masked.before, &masked.after))
    };
    let (plain, masked) = both(document("s3cret", 1), document("s3cret", 2));
    assert_eq!(plain, masked);
    let (plain, masked) = both(document("s3cret", 1), document("s3cret2", 2));
    assert_ne!(plain, masked);
    assert!(masked.contains(
        "-  <graphics passwd='***** (before)'/>\n+  <graphics passwd='***** (after)'/>\n"
    ));
    assert!(!masked.contains("s3cret"));
}
