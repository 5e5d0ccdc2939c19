#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::*;

fn plain() -> Value {
    json!({
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/code", "format": "raw"},
            "nvram-template": {"filename": "/vars", "format": "qcow2"},
        },
        "targets": [
            {"architecture": "i386", "machines": ["pc-*"]},
            {"architecture": "x86_64", "machines": ["pc-q35-*", "pc-i440fx-*"]},
            {"architecture": "x86_64", "machines": ["pc-q35-*"]},
        ],
        "features": ["acpi-s3", "something-new"],
    })
}

fn offered(document: Value) -> Result<Offer, String> {
    offer(serde_json::from_value(document).map_err(|error| error.to_string())?)
}

#[test]
fn a_split_flash_build_is_offered() {
    let offer = offered(plain()).unwrap();
    assert_eq!(
        (offer.code.as_str(), offer.code_format),
        ("/code", ImageFormat::Raw)
    );
    assert_eq!(
        (offer.vars.as_str(), offer.vars_format),
        ("/vars", ImageFormat::Qcow2)
    );
    assert_eq!(offer.machines, ["pc-q35-*", "pc-i440fx-*"]);
    assert!(!offer.secure_boot && !offer.enrolled_keys && !offer.smm);
    let mut secure = plain();
    secure["features"] = json!(["secure-boot", "enrolled-keys", "requires-smm"]);
    secure["mapping"]["mode"] = json!("split");
    let offer = offered(secure).unwrap();
    assert!(offer.secure_boot && offer.enrolled_keys && offer.smm);
}

#[test]
fn anything_else_is_passed_over_with_the_reason() {
    let target =
        |architecture: &str| json!([{"architecture": architecture, "machines": ["virt-*"]}]);
    for (pointer, value, reason) in [
        ("/interface-types", json!(["bios"]), "is bios, not uefi"),
        ("/targets", target("aarch64"), "is for aarch64, not x86_64"),
        ("/targets", json!([]), "is for nothing, not x86_64"),
        (
            "/mapping/device",
            json!("memory"),
            "is mapped into memory, which keeps no variables on disk",
        ),
        (
            "/mapping/mode",
            json!("combined"),
            "is combined: CODE and VARS are not separate images",
        ),
        (
            "/mapping/mode",
            json!("stateless"),
            "is stateless: CODE and VARS are not separate images",
        ),
        (
            "/mapping/nvram-template",
            Value::Null,
            "names no VARS template",
        ),
        ("/mapping/executable", Value::Null, "names no CODE image"),
        (
            "/mapping/executable/format",
            json!("vmdk"),
            "has a CODE image in the unsupported format 'vmdk'",
        ),
    ] {
        let mut document = plain();
        match document.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => document["mapping"]["mode"] = value,
        }
        assert_eq!(offered(document).unwrap_err(), reason, "{pointer}");
    }
    let mut document = plain();
    document["targets"] = json!([{"architecture": "x86_64", "machines": []}]);
    assert_eq!(offered(document).unwrap_err(), "names no machine type");
}

#[test]
fn the_most_specific_file_of_a_name_counts_in_strcmp_order() {
    let keep = tempfile::tempdir().unwrap();
    let at = |path: &str| keep.path().join(path.trim_start_matches('/'));
    let put = |path: &str, text: &str| {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), text).unwrap();
    };
    for (path, text) in [
        ("/usr/share/qemu/firmware/60-plain.json", "generic"),
        ("/usr/share/qemu/firmware/50-hidden.json", "generic"),
        ("/usr/share/qemu/firmware/Z-upper", "any name will do"),
        ("/usr/share/qemu/firmware/.hidden", "dot"),
        ("/etc/qemu/firmware/60-plain.json", "specific"),
        ("/etc/qemu/firmware/50-hidden.json", ""),
        ("/etc/qemu/firmware/9-nine.json", "sorted as text"),
        ("/home/u/.config/qemu/firmware/40-mine.json", "user"),
        ("/usr/share/qemu/firmware/30-null.json", "stays"),
        ("/dev/null", ""),
    ] {
        put(path, text);
    }
    fs::create_dir(at("/etc/qemu/firmware/directory.json")).unwrap();
    for (target, link) in [
        ("/usr/share/qemu/firmware/60-plain.json", "61-link.json"),
        ("/nowhere", "62-dangling.json"),
        ("63-loop.json", "63-loop.json"),
        ("/dev/null", "30-null.json"),
    ] {
        symlink(target, at("/etc/qemu/firmware").join(link)).unwrap();
    }
    let tree = Tree::at(keep.path()).unwrap();
    let user = Path::new("/home/u/.config");
    for (home, first) in [(Some(user), "40-mine.json"), (None, "60-plain.json")] {
        let mut passed_over = Vec::new();
        let found = effective(&tree, &directories(home), &mut passed_over);
        let hidden = PathBuf::from("/usr/share/qemu/firmware/50-hidden.json");
        assert_eq!(found.hidden, [hidden]);
        let paths = found.paths;
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        let mut expected = vec!["30-null.json"];
        expected.extend((first == "40-mine.json").then_some(first));
        expected.extend(["60-plain.json", "61-link.json", "9-nine.json", "Z-upper"]);
        assert_eq!(names, expected);
        assert!(paths.contains(&PathBuf::from("/etc/qemu/firmware/60-plain.json")));
        let notes: Vec<_> = passed_over
            .iter()
            .map(|over| (over.place.rsplit_once('/').unwrap().1, over.reason.as_str()))
            .collect();
        assert_eq!(
            notes,
            [
                (
                    "30-null.json",
                    "is a link to '/dev/null', which hides nothing (an empty file would)"
                ),
                (
                    "50-hidden.json",
                    "is replaced by '/etc/qemu/firmware/50-hidden.json'"
                ),
                (
                    "60-plain.json",
                    "is replaced by '/etc/qemu/firmware/60-plain.json'"
                ),
                ("62-dangling.json", "is a link that leads nowhere"),
                ("63-loop.json", "is a link that leads nowhere"),
                ("directory.json", "is a directory"),
                ("50-hidden.json", "is empty, which hides its name"),
            ]
        );
    }
}
