//! QEMU firmware descriptors: which files count, and what one of them says.
//!
//! The rules are those of QEMU's docs/interop/firmware.json and of libvirt's reading of it.
//! Whether the images exist is not looked at here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tree::Tree;
use super::{ImageFormat, PassedOver};

/// libvirt reads no more of a descriptor either.
const LIMIT: u64 = 1 << 20;

/// The directories, from generic to specific. `config_home` is the user's ($XDG_CONFIG_HOME),
/// which only a session daemon reads.
pub(crate) fn directories(config_home: Option<&Path>) -> Vec<PathBuf> {
    let system = [
        "/usr/share/qemu/firmware",
        // NixOS: what QEMU installs, and what its libvirt (sysconfdir /var/lib) reads.
        "/run/current-system/sw/share/qemu/firmware",
        "/var/lib/qemu/firmware",
        "/etc/qemu/firmware",
    ];
    let user = config_home.map(|home| home.join("qemu/firmware"));
    system.into_iter().map(PathBuf::from).chain(user).collect()
}

/// The descriptors that count: one per file name, the most specific directory winning, empty
/// files hiding theirs, in strcmp order of the names. What loses is noted.
pub(crate) fn effective(
    tree: &Tree,
    directories: &[PathBuf],
    passed_over: &mut Vec<PassedOver>,
) -> Vec<PathBuf> {
    let mut by_name: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories {
        let mut names = tree.names(directory).unwrap_or_default();
        names.sort();
        for name in names
            .into_iter()
            .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
        {
            let path = directory.join(&name);
            if !is_regular(tree, &path, passed_over) {
                continue;
            }
            let specific = path.display().to_string();
            if let Some(generic) = by_name.insert(name, path) {
                note(
                    passed_over,
                    &generic,
                    format!("is replaced by '{specific}'"),
                );
            }
        }
    }
    let mut paths = Vec::with_capacity(by_name.len());
    for path in by_name.into_values() {
        if tree
            .metadata(&path)
            .is_ok_and(|metadata| metadata.len() == 0)
        {
            note(
                passed_over,
                &path,
                "is empty, which hides its name".to_owned(),
            );
        } else {
            paths.push(path);
        }
    }
    paths
}

/// A build that a descriptor offers for x86_64 guests; the images may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) code: String,
    pub(crate) code_format: ImageFormat,
    pub(crate) vars: String,
    pub(crate) vars_format: ImageFormat,
    pub(crate) secure_boot: bool,
    pub(crate) enrolled_keys: bool,
    pub(crate) smm: bool,
    pub(crate) machines: Vec<String>,
}

/// Reads one descriptor; the error says, as a clause, why it offers nothing for an x86_64 guest
/// with UEFI in two flash images.
pub(crate) fn read(tree: &Tree, path: &Path) -> Result<Offer, String> {
    let bytes = tree
        .read(path, LIMIT)
        .map_err(|error| format!("cannot be read ({error})"))?;
    let document: Document = serde_json::from_slice(&bytes)
        .map_err(|error| format!("is not a firmware descriptor ({error})"))?;
    offer(document)
}

fn offer(document: Document) -> Result<Offer, String> {
    if !document.interface_types.iter().any(|kind| kind == "uefi") {
        return Err(format!("is {}, not uefi", list(&document.interface_types)));
    }
    let architectures: Vec<String> = document
        .targets
        .iter()
        .map(|target| target.architecture.clone())
        .collect();
    let targets = document
        .targets
        .into_iter()
        .filter(|target| target.architecture == "x86_64");
    let mut machines: Vec<String> = Vec::new();
    for machine in targets.flat_map(|target| target.machines) {
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    if !architectures.iter().any(|name| name == "x86_64") {
        return Err(format!("is for {}, not x86_64", list(&architectures)));
    }
    if machines.is_empty() {
        return Err("names no machine type".to_owned());
    }
    let Mapping {
        device,
        mode,
        executable,
        nvram_template,
    } = document.mapping;
    if device != "flash" {
        return Err(format!(
            "is mapped into {device}, which keeps no variables on disk"
        ));
    }
    match mode.as_deref() {
        None | Some("split") => {}
        Some(mode) => return Err(format!("is {mode}: CODE and VARS are not separate images")),
    }
    let image = |image: Option<Image>, what: &str| {
        let image = image.ok_or_else(|| format!("names no {what}"))?;
        let format = match image.format.as_str() {
            "raw" => ImageFormat::Raw,
            "qcow2" => ImageFormat::Qcow2,
            other => return Err(format!("has a {what} in the unsupported format '{other}'")),
        };
        Ok((image.filename, format))
    };
    let (code, code_format) = image(executable, "CODE image")?;
    let (vars, vars_format) = image(nvram_template, "VARS template")?;
    let feature = |name: &str| document.features.iter().any(|feature| feature == name);
    Ok(Offer {
        code,
        code_format,
        vars,
        vars_format,
        secure_boot: feature("secure-boot"),
        enrolled_keys: feature("enrolled-keys"),
        smm: feature("requires-smm"),
        machines,
    })
}

/// Whether the directory entry is a regular file, links followed. A link to /dev/null is none,
/// in a directory that stands for `/` as well, where /dev may be anything.
fn is_regular(tree: &Tree, path: &Path, passed_over: &mut Vec<PassedOver>) -> bool {
    let null = Path::new("/dev/null");
    let is_null = tree.link_target(path).is_some_and(|target| target == null)
        || tree.real_path(path).is_ok_and(|real| real == null);
    let reason = match tree.metadata(path) {
        _ if is_null => "is a link to '/dev/null', which hides nothing (an empty file would)",
        Ok(metadata) if metadata.is_file() => return true,
        Ok(metadata) if metadata.is_dir() => "is a directory",
        Ok(_) => "is no regular file",
        Err(_) => "is a link that leads nowhere",
    };
    note(passed_over, path, reason.to_owned());
    false
}

fn note(passed_over: &mut Vec<PassedOver>, place: &Path, reason: String) {
    passed_over.push(PassedOver {
        place: place.display().to_string(),
        reason,
    });
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    interface_types: Vec<String>,
    mapping: Mapping,
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mapping {
    device: String,
    mode: Option<String>,
    executable: Option<Image>,
    nvram_template: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    filename: String,
    format: String,
}

#[derive(Deserialize)]
struct Target {
    architecture: String,
    machines: Vec<String>,
}

#[cfg(test)]
mod tests {
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
            ("/targets/1/machines", json!([]), ""),
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
            let error = offered(document).err().unwrap_or_default();
            assert_eq!(error, reason, "{pointer}");
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
            let paths = effective(&tree, &directories(home), &mut passed_over);
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
}
