//! `render --in-place`: the whole new file or the old one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use rustix::fs::{XattrFlags, getxattr, setxattr};

const BEFORE: &str = "<domain type='kvm'>\r\n  <name>vm</name> <!-- ü -->\r\n</domain>\r\n";
const AFTER: &str =
    "<domain type='kvm'>\r\n  <name>vm</name> <!-- ü -->\r\n  <title>t</title>\r\n</domain>\r\n";

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("vm.xml"), BEFORE).unwrap();
    fs::write(place.path().join("t.patch.xml"), "<title>t</title>").unwrap();
    place
}

fn render(place: &Path, arguments: &str) -> (i32, String) {
    let output = run(place, &format!("render -i --pass= {arguments}"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn run(place: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_virt-patch"))
        .args(arguments.split_whitespace())
        .current_dir(place)
        .output()
        .unwrap()
}

/// What there is beside the files that were there before.
fn leftovers(place: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name.starts_with('.'));
    names
}

#[test]
fn the_file_is_changed_with_its_mode_and_owner() {
    let place = place();
    let file = place.path().join("vm.xml");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let is_root = fs::metadata(&file).unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&file).unwrap();
    assert_eq!(
        render(place.path(), "vm.xml --patch t.patch.xml"),
        (0, "'vm.xml' is changed\n".to_owned())
    );
    let after = fs::metadata(&file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), AFTER);
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    // Another file took its place: whoever has the old one open reads the old one to its end.
    assert_ne!(after.ino(), before.ino());
    assert_eq!(leftovers(place.path()), [""; 0]);
}

#[test]
fn the_access_list_and_notes_of_a_file_are_kept() {
    let place = place();
    let file = place.path().join("vm.xml");
    // rw for the owner, r for user 1000 and the group, nothing for others (acl(5), version 2).
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 1000),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let attributes = [
        ("user.note", b"mine".to_vec()),
        ("system.posix_acl_access", list),
    ];
    for (name, value) in &attributes {
        // Some file systems of temporary directories have none.
        if setxattr(&file, *name, value, XattrFlags::empty()).is_err() {
            return;
        }
    }
    assert_eq!(
        render(place.path(), "vm.xml --patch t.patch.xml"),
        (0, "'vm.xml' is changed\n".to_owned())
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), AFTER);
    for (name, value) in &attributes {
        let mut there = vec![0; 200];
        let length = getxattr(&file, *name, there.as_mut_slice()).unwrap();
        assert_eq!(&there[..length], value, "{name}");
    }
    assert_eq!(leftovers(place.path()), [""; 0]);
}

#[test]
fn a_file_that_needs_no_change_is_not_touched() {
    let place = place();
    let file = place.path().join("vm.xml");
    render(place.path(), "vm.xml --patch t.patch.xml");
    let long_ago =
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::open(&file)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let before = fs::metadata(&file).unwrap();
    assert_eq!(
        render(place.path(), "vm.xml --patch t.patch.xml"),
        (0, "'vm.xml' is as it should be\n".to_owned())
    );
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.ino(), after.mtime(), after.ctime_nsec()),
        (before.ino(), 1_000_000_000, before.ctime_nsec())
    );
}

#[test]
fn links_are_followed_and_stay_links() {
    let place = place();
    fs::create_dir(place.path().join("d")).unwrap();
    symlink("../vm.xml", place.path().join("d/link.xml")).unwrap();
    symlink("d/link.xml", place.path().join("link.xml")).unwrap();
    assert_eq!(render(place.path(), "link.xml --patch t.patch.xml").0, 0);
    assert!(
        fs::symlink_metadata(place.path().join("link.xml"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::symlink_metadata(place.path().join("d/link.xml"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::read_to_string(place.path().join("vm.xml")).unwrap(),
        AFTER
    );
    assert_eq!(leftovers(&place.path().join("d")), [""; 0]);
}

#[test]
fn several_files_are_changed_one_by_one() {
    let place = place();
    fs::write(place.path().join("torn.xml"), "<domain>").unwrap();
    fs::write(
        place.path().join("blocked.xml"),
        "<domain><title patch='x'/></domain>",
    )
    .unwrap();
    fs::write(
        place.path().join("when.xml"),
        "<domain xmlns:patch='urn:virt-patch:1'><title patch:when=\"guest.name == 'vm'\">t</title></domain>",
    )
    .unwrap();
    let (code, stderr) = render(
        place.path(),
        "torn.xml none.xml blocked.xml vm.xml --patch when.xml",
    );
    assert_eq!(code, 2);
    assert_eq!(
        fs::read_to_string(place.path().join("vm.xml")).unwrap(),
        AFTER
    );
    assert_eq!(
        fs::read_to_string(place.path().join("torn.xml")).unwrap(),
        "<domain>"
    );
    assert_eq!(
        fs::read_to_string(place.path().join("blocked.xml")).unwrap(),
        "<domain><title patch='x'/></domain>"
    );
    for there in [
        "cannot read 'torn.xml'",
        "cannot read 'none.xml'",
        "blocked.xml:\nwhen.xml: blocked: the guest's name is unknown",
        "'vm.xml' is changed",
    ] {
        assert!(stderr.contains(there), "{there}\n{stderr}");
    }
    let (code, _) = render(place.path(), "blocked.xml vm.xml --patch when.xml");
    assert_eq!(code, 1);
}

#[test]
fn what_is_no_file_is_refused() {
    let place = place();
    for (arguments, message) in [
        (
            "-",
            "error: there is no file to change in place\nhelp: name one: render -i FILE…\n",
        ),
        (
            "vm",
            "error: 'vm' is no file that could be changed in place\nhelp: for a file of that name write ./vm; a domain is changed by: virt-patch apply vm\n",
        ),
        (
            "./",
            "error: './' is not a regular file, so it cannot be changed in place\nhelp: leave out --in-place: the patched definition goes to standard output\n",
        ),
    ] {
        assert_eq!(render(place.path(), arguments), (2, message.to_owned()));
    }
}

/// Encodings come back as they were.
#[test]
fn utf_16_stays_utf_16() {
    let place = place();
    let utf16 = |text: &str| -> Vec<u8> {
        format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect()
    };
    let file = place.path().join("vm.xml");
    fs::write(&file, utf16(BEFORE)).unwrap();
    assert_eq!(render(place.path(), "vm.xml --patch t.patch.xml").0, 0);
    assert_eq!(fs::read(&file).unwrap(), utf16(AFTER));
}

/// A full disk, as a file that may not grow.
#[test]
fn a_file_that_cannot_be_written_stays_as_it_is() {
    let place = place();
    let file = place.path().join("vm.xml");
    let long = format!("<title>{}</title>", "t".repeat(100_000));
    fs::write(place.path().join("long.patch.xml"), long).unwrap();
    let program = env!("CARGO_BIN_EXE_virt-patch");
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f 8; exec '{program}' render -i --pass= vm.xml --patch long.patch.xml"
        ))
        .current_dir(place.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("cannot change 'vm.xml' in place"),
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), BEFORE);
    assert_eq!(leftovers(place.path()), [""; 0]);
}
