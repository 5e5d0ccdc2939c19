//! Which UEFI builds for x86_64 guests exist on a host.
//!
//! QEMU's firmware descriptors come first, in libvirt's order; then the known places of the
//! distributions, without the builds whose descriptor an empty file hides. Everything that was
//! looked at and is of no use is noted with the reason.
//! Choosing among the builds is the firmware pass's work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::descriptors::{self, Offer};
use super::image::{Found, Images};
use super::known_places::{KNOWN_BUILDS, KnownBuild, SizeClass, size_class};
use super::local::WantedBuilds;
use super::tree::Tree;
use super::{FileFact, Firmware, ImageFormat, PassedOver};

/// The builds of a host, best first, and what was passed over. `config_home` is the user's
/// $XDG_CONFIG_HOME for a session daemon, `None` for the system daemon.
///
/// Builds whose images lie in the Nix store come last: such a path disappears with the next
/// garbage collection after an upgrade, so a definition should name it only for want of another.
pub(crate) fn probe(
    tree: &Tree,
    config_home: Option<&Path>,
    wanted: WantedBuilds,
) -> (Vec<Firmware>, Vec<PassedOver>) {
    let mut passed_over = Vec::new();
    let mut builds = Vec::new();
    let images = Images::of(tree);
    let directories = descriptors::directories(config_home);
    let effective = descriptors::effective(tree, &directories, &mut passed_over);
    for path in effective.paths {
        match descriptors::read(tree, &path).and_then(|offer| described(&images, offer, &path)) {
            Ok(build) => builds.push(build),
            Err(reason) => {
                passed_over.push(PassedOver {
                    place: path.display().to_string(),
                    reason,
                });
            }
        }
    }
    if wanted == WantedBuilds::All || !builds.iter().any(is_fit) {
        let hidden = hidden(tree, effective.hidden);
        known(tree, &images, &hidden, &mut builds, &mut passed_over);
    }
    builds.sort_by_key(is_passing);
    (builds, passed_over)
}

fn is_passing(build: &Firmware) -> bool {
    build.code.starts_with("/nix/store/")
}

/// DarwinUDK's are taken where they are preferred, or for want of another.
fn is_for_want_of_another(build: &Firmware) -> bool {
    is_passing(build) || build.code.starts_with("/usr/share/DarwinUDK/")
}

/// Whether any q35 guest without Secure Boot can have a build, whatever libvirt the host has, and no known place
/// would come before it.
fn is_fit(build: &Firmware) -> bool {
    let is_plain = !build.secure_boot && !build.enrolled_keys && !build.smm;
    let is_raw = (build.code_format, build.vars_format) == (ImageFormat::Raw, ImageFormat::Raw);
    let mut machines = build.machines.iter();
    is_plain
        && is_raw
        && machines.any(|machine| machine == "pc-q35-*")
        && !is_for_want_of_another(build)
}

fn described(images: &Images<'_>, offer: Offer, descriptor: &Path) -> Result<Firmware, String> {
    let source = descriptor
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let code_size = described_size(images, &offer.code, offer.code_format)?;
    let vars_size = described_size(images, &offer.vars, offer.vars_format)?;
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
fn described_size(
    images: &Images<'_>,
    path: &str,
    format: ImageFormat,
) -> Result<Option<u64>, String> {
    if !path.starts_with('/') {
        return Err(format!("names '{path}', which is not an absolute path"));
    }
    match images.look(Path::new(path)) {
        Found::Image(FileFact {
            format: Some(actual),
            ..
        }) if actual != format => Err(format!("calls '{path}' {format}, but it is {actual}")),
        Found::Image(FileFact {
            size: Some(size), ..
        }) => Ok(Some(size)),
        Found::Image(_) if format == ImageFormat::Raw => Ok(images.file_length(Path::new(path))),
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

/// A build whose descriptor was hidden on purpose: it is not to be found in its known place either.
struct Hidden {
    descriptor: PathBuf,
    /// The images themselves; other paths may lead there.
    images: (PathBuf, PathBuf),
}

fn hidden(tree: &Tree, paths: Vec<PathBuf>) -> Vec<Hidden> {
    let of = |descriptor: PathBuf| {
        let offer = descriptors::read(tree, &descriptor).ok()?;
        let images = images(tree, &offer.code, &offer.vars)?;
        Some(Hidden { descriptor, images })
    };
    paths.into_iter().filter_map(of).collect()
}

fn hidden_as<'h>(tree: &Tree, hidden: &'h [Hidden], build: &Firmware) -> Option<&'h Hidden> {
    if hidden.is_empty() {
        return None;
    }
    let its = images(tree, &build.code, &build.vars)?;
    hidden.iter().find(|one| one.images == its)
}

fn images(tree: &Tree, code: &str, vars: &str) -> Option<(PathBuf, PathBuf)> {
    let real = |path: &str| tree.real_path(Path::new(path)).ok();
    Some((real(code)?, real(vars)?))
}

fn known(
    tree: &Tree,
    images: &Images<'_>,
    hidden: &[Hidden],
    builds: &mut Vec<Firmware>,
    passed_over: &mut Vec<PassedOver>,
) {
    let is_one = |build: &Firmware, row: &KnownBuild| {
        (build.code.as_str(), build.vars.as_str()) == (row.code, row.vars)
    };
    let described = builds.len();
    let mut directories: BTreeMap<&str, bool> = BTreeMap::new();
    let mut settled: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut absent: Vec<(Absent, &str)> = Vec::new();
    for row in KNOWN_BUILDS {
        let mut with_descriptor = builds.iter().take(described);
        if settled.contains(&(row.code, row.vars)) || with_descriptor.any(|one| is_one(one, row)) {
            continue;
        }
        // Nobody misses a build that macOS cannot use.
        let missed = !row.enrolled_keys && !row.smm && !row.retired;
        let directory = parent(row.code);
        let there = *directories
            .entry(directory)
            .or_insert_with(|| tree.metadata(Path::new(directory)).is_ok());
        let found = if there {
            found_in_place(images, row)
        } else {
            Err(Miss::Absent)
        };
        match found {
            Ok(build) => match hidden_as(tree, hidden, &build) {
                None => builds.push(build),
                Some(Hidden { descriptor, .. }) if missed => passed_over.push(PassedOver {
                    place: row.code.to_owned(),
                    reason: format!(
                        "is the build of '{}', which is hidden",
                        descriptor.display()
                    ),
                }),
                Some(_) => {}
            },
            Err(Miss::Absent) => {
                if missed {
                    let place = if there {
                        Absent::File(row.code)
                    } else {
                        Absent::Directory(directory)
                    };
                    absent.push((place, row.distribution));
                }
                continue;
            }
            Err(Miss::Unfit(reason)) => {
                if missed {
                    passed_over.push(PassedOver {
                        place: row.code.to_owned(),
                        reason,
                    });
                }
            }
        }
        settled.insert((row.code, row.vars));
    }
    passed_over.extend(compact(absent));
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/')
        .map_or("/", |(directory, _)| directory)
}

enum Miss {
    Absent,
    Unfit(String),
}

fn found_in_place(images: &Images<'_>, row: &'static KnownBuild) -> Result<Firmware, Miss> {
    let code = match images.look(Path::new(row.code)) {
        Found::Image(fact) => fact,
        Found::Missing(None) => return Err(Miss::Absent),
        found => return Err(Miss::Unfit(found.to_string())),
    };
    let vars = match images.look(Path::new(row.vars)) {
        Found::Image(fact) => fact,
        found => {
            return Err(Miss::Unfit(format!(
                "needs the VARS template '{}', which {found}",
                row.vars
            )));
        }
    };
    let class = fit(code.size, vars.size).map_err(Miss::Unfit)?;
    let owners = owners(row, class);
    let names: Vec<&str> = owners.iter().map(|owner| owner.distribution).collect();
    let row = owners.first().copied().unwrap_or(row);
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
        source: format!("known place: {}", names.join("; ")),
    })
}

/// Distributions share paths; the flash size tells whose build it can be.
fn owners(row: &'static KnownBuild, class: Option<SizeClass>) -> Vec<&'static KnownBuild> {
    let same = |other: &&KnownBuild| (other.code, other.vars) == (row.code, row.vars);
    let rows: Vec<&'static KnownBuild> = KNOWN_BUILDS.iter().filter(same).collect();
    let fitting =
        |other: &&&KnownBuild| class.is_none() || other.size.is_none() || other.size == class;
    let owners: Vec<&'static KnownBuild> = rows.iter().filter(fitting).copied().collect();
    if owners.is_empty() { rows } else { owners }
}

/// A known place that is empty; the directory if that is missing as a whole.
#[derive(PartialEq)]
enum Absent {
    Directory(&'static str),
    File(&'static str),
}

/// One line for each place, whoever shares it.
fn compact(absent: Vec<(Absent, &str)>) -> Vec<PassedOver> {
    let mut merged: Vec<(Absent, Vec<&str>)> = Vec::new();
    for (place, owner) in absent {
        match merged.iter_mut().find(|(other, _)| *other == place) {
            Some((_, owners)) if owners.contains(&owner) => {}
            Some((_, owners)) => owners.push(owner),
            None => merged.push((place, vec![owner])),
        }
    }
    let line = |(place, owners): (Absent, Vec<&str>)| {
        let owners = owners.join("; ");
        let (place, reason) = match place {
            Absent::Directory(place) => (place, format!("does not exist (directory of {owners})")),
            Absent::File(place) => (place, format!("does not exist ({owners})")),
        };
        PassedOver {
            place: place.to_owned(),
            reason,
        }
    };
    merged.into_iter().map(line).collect()
}
