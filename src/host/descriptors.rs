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

/// The descriptors of a host.
#[derive(Debug, Default)]
pub(crate) struct Effective {
    /// Those that count, in strcmp order of their names.
    pub(crate) paths: Vec<PathBuf>,
    /// Those that an empty file hides.
    pub(crate) hidden: Vec<PathBuf>,
}

/// The descriptors that count: one per file name, the most specific directory winning, empty
/// files hiding theirs. What loses is noted.
pub(crate) fn effective(
    tree: &Tree,
    directories: &[PathBuf],
    passed_over: &mut Vec<PassedOver>,
) -> Effective {
    let mut by_name: BTreeMap<OsString, Vec<(PathBuf, u64)>> = BTreeMap::new();
    for directory in directories {
        let mut names = tree.names(directory).unwrap_or_default();
        names.sort();
        for name in names
            .into_iter()
            .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
        {
            let path = directory.join(&name);
            let Some(length) = length_of_regular(tree, &path, passed_over) else {
                continue;
            };
            let named = by_name.entry(name).or_default();
            if let Some((generic, _)) = named.last() {
                let specific = path.display();
                note(passed_over, generic, format!("is replaced by '{specific}'"));
            }
            named.push((path, length));
        }
    }
    if by_name.is_empty() {
        for directory in directories {
            let reason = match tree.metadata(directory).is_ok() {
                true => "holds no firmware descriptor",
                false => "does not exist (directory of firmware descriptors)",
            };
            note(passed_over, directory, reason.to_owned());
        }
    }
    let mut effective = Effective::default();
    for mut named in by_name.into_values() {
        let Some((path, length)) = named.pop() else {
            continue;
        };
        if length == 0 {
            note(
                passed_over,
                &path,
                "is empty, which hides its name".to_owned(),
            );
            let generic = named.into_iter().map(|(path, _)| path);
            effective.hidden.extend(generic);
        } else {
            effective.paths.push(path);
        }
    }
    effective
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

/// The length of a directory entry that is a regular file, links followed. A link to /dev/null
/// is none, in a directory that stands for `/` as well, where /dev may be anything.
fn length_of_regular(tree: &Tree, path: &Path, passed_over: &mut Vec<PassedOver>) -> Option<u64> {
    let null = Path::new("/dev/null");
    let is_null = || {
        tree.link_target(path).is_some_and(|target| target == null)
            || tree.real_path(path).is_ok_and(|real| real == null)
    };
    let reason = match tree.metadata(path) {
        Ok(metadata) if metadata.is_file() && (tree.is_machine() || !is_null()) => {
            return Some(metadata.len());
        }
        _ if is_null() => "is a link to '/dev/null', which hides nothing (an empty file would)",
        Ok(metadata) if metadata.is_dir() => "is a directory",
        Ok(_) => "is no regular file",
        Err(_) => "is a link that leads nowhere",
    };
    note(passed_over, path, reason.to_owned());
    None
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
mod tests;
