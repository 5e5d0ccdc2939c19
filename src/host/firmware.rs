//! Which UEFI builds for x86_64 guests exist on a host.
//!
//! QEMU's firmware descriptors come first, in libvirt's order; then the known places of the
//! distributions. Everything that was looked at and is of no use is noted with the reason.
//! Choosing among the builds is the firmware pass's work.

use std::collections::BTreeSet;
use std::path::Path;

use super::descriptors::{self, Offer};
use super::image::{self, Found};
use super::known_places::{KNOWN_BUILDS, KnownBuild, SizeClass, size_class};
use super::tree::Tree;
use super::{FileFact, Firmware, ImageFormat, PassedOver};

/// The builds of a host, best first, and what was passed over. `config_home` is the user's
/// $XDG_CONFIG_HOME for a session daemon, `None` for the system daemon.
///
/// Builds whose images lie in the Nix store come last: such a path disappears with the next
/// garbage collection after an upgrade, so a definition should name it only for want of another.
pub(crate) fn probe(tree: &Tree, config_home: Option<&Path>) -> (Vec<Firmware>, Vec<PassedOver>) {
    let mut passed_over = Vec::new();
    let mut builds = Vec::new();
    let directories = descriptors::directories(config_home);
    for path in descriptors::effective(tree, &directories, &mut passed_over) {
        match descriptors::read(tree, &path).and_then(|offer| described(tree, offer, &path)) {
            Ok(build) => builds.push(build),
            Err(reason) => {
                passed_over.push(PassedOver {
                    place: path.display().to_string(),
                    reason,
                });
            }
        }
    }
    known(tree, &mut builds, &mut passed_over);
    builds.sort_by_key(|build| build.code.starts_with("/nix/store/"));
    (builds, passed_over)
}

fn described(tree: &Tree, offer: Offer, descriptor: &Path) -> Result<Firmware, String> {
    let source = descriptor
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let code_size = described_size(tree, &offer.code, offer.code_format)?;
    let vars_size = described_size(tree, &offer.vars, offer.vars_format)?;
    fit(code_size, vars_size)?;
    Ok(Firmware {
        code: offer.code,
        code_format: offer.code_format,
        vars: offer.vars,
        vars_format: offer.vars_format,
        code_size,
        vars_size,
        secure_boot: offer.secure_boot,
        enrolled_keys: offer.enrolled_keys,
        smm: offer.smm,
        machines: offer.machines,
        source,
    })
}

/// The size the guest would see under the descriptor's format; `None` when it cannot be read
/// and the descriptor has to be trusted.
fn described_size(tree: &Tree, path: &str, format: ImageFormat) -> Result<Option<u64>, String> {
    if !path.starts_with('/') {
        return Err(format!("names '{path}', which is not an absolute path"));
    }
    match image::look(tree, Path::new(path)) {
        Found::Image(FileFact {
            format: Some(actual),
            ..
        }) if actual != format => Err(format!("calls '{path}' {format}, but it is {actual}")),
        Found::Image(FileFact {
            size: Some(size), ..
        }) => Ok(Some(size)),
        Found::Image(_) if format == ImageFormat::Raw => {
            Ok(image::file_length(tree, Path::new(path)))
        }
        Found::Image(_) | Found::Unknown(_) => Ok(None),
        found => Err(format!("names '{path}', which {found}")),
    }
}

fn fit(code_size: Option<u64>, vars_size: Option<u64>) -> Result<Option<SizeClass>, String> {
    let (Some(code), Some(vars)) = (code_size, vars_size) else {
        return Ok(None);
    };
    size_class(code, vars).map(Some).ok_or_else(|| {
        format!(
            "pairs sizes that do not belong together: CODE {code} and VARS {vars} bytes make {}, \
             not 2 or 4 MiB",
            code.saturating_add(vars)
        )
    })
}

fn known(tree: &Tree, builds: &mut Vec<Firmware>, passed_over: &mut Vec<PassedOver>) {
    let described: BTreeSet<(String, String)> = builds
        .iter()
        .map(|build| (build.code.clone(), build.vars.clone()))
        .collect();
    let mut settled = described;
    let mut absent: Vec<Absent> = Vec::new();
    for row in KNOWN_BUILDS {
        let pair = (row.code.to_owned(), row.vars.to_owned());
        if settled.contains(&pair) {
            continue;
        }
        match found_in_place(tree, row) {
            Ok(build) => builds.push(build),
            Err(Miss::Unfit(reason)) => {
                passed_over.push(PassedOver {
                    place: row.code.to_owned(),
                    reason,
                });
            }
            Err(Miss::Absent) => {
                // Nobody waits for a build that macOS cannot use.
                if !row.enrolled_keys && !row.smm {
                    absent.push(Absent::new(tree, row));
                }
                continue;
            }
        }
        settled.insert(pair);
    }
    passed_over.extend(compact(absent));
}

enum Miss {
    Absent,
    Unfit(String),
}

fn found_in_place(tree: &Tree, row: &'static KnownBuild) -> Result<Firmware, Miss> {
    let code = match image::look(tree, Path::new(row.code)) {
        Found::Image(fact) => fact,
        Found::Missing(None) => return Err(Miss::Absent),
        found => return Err(Miss::Unfit(found.to_string())),
    };
    let vars = match image::look(tree, Path::new(row.vars)) {
        Found::Image(fact) => fact,
        found => {
            return Err(Miss::Unfit(format!(
                "needs the VARS template '{}', which {found}",
                row.vars
            )));
        }
    };
    let class = fit(code.size, vars.size).map_err(Miss::Unfit)?;
    let row = same_pair(row, class);
    Ok(Firmware {
        code: row.code.to_owned(),
        code_format: code.format.unwrap_or(row.format),
        vars: row.vars.to_owned(),
        vars_format: vars.format.unwrap_or(row.format),
        code_size: code.size,
        vars_size: vars.size,
        secure_boot: row.secure_boot,
        enrolled_keys: row.enrolled_keys,
        smm: row.smm,
        machines: if row.smm {
            vec!["pc-q35-*".to_owned()]
        } else {
            Vec::new()
        },
        source: format!("known place: {}", row.distribution),
    })
}

/// Distributions share paths; the flash size tells whose build it is.
fn same_pair(row: &'static KnownBuild, class: Option<SizeClass>) -> &'static KnownBuild {
    let mut rows = KNOWN_BUILDS
        .iter()
        .filter(|other| (other.code, other.vars) == (row.code, row.vars));
    rows.find(|other| class.is_some() && other.size == class)
        .unwrap_or(row)
}

/// A known place that is empty: the directory if that is missing as a whole.
struct Absent {
    place: &'static str,
    is_directory: bool,
    distribution: &'static str,
}

impl Absent {
    fn new(tree: &Tree, row: &'static KnownBuild) -> Self {
        let directory = row
            .code
            .rsplit_once('/')
            .map_or("/", |(directory, _)| directory);
        let is_directory = tree.metadata(Path::new(directory)).is_err();
        let place = if is_directory { directory } else { row.code };
        Absent {
            place,
            is_directory,
            distribution: row.distribution,
        }
    }
}

fn compact(absent: Vec<Absent>) -> Vec<PassedOver> {
    let mut merged: Vec<(Absent, Vec<&str>)> = Vec::new();
    for place in absent {
        let name = place.distribution;
        match merged
            .iter_mut()
            .find(|(other, _)| other.place == place.place)
        {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => merged.push((place, vec![name])),
        }
    }
    let line = |(place, names): (Absent, Vec<&str>)| PassedOver {
        place: place.place.to_owned(),
        reason: format!(
            "does not exist ({}{})",
            if place.is_directory {
                "directory of "
            } else {
                ""
            },
            names.join("; ")
        ),
    };
    merged.into_iter().map(line).collect()
}
