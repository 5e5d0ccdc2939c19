//! The domain's own nvram file: kept, unless it does not fit the build.

use super::Choice;
use super::build::{Builds, size_by_vars};
use super::os::Os;
use crate::document::Document;
use crate::host::ImageFormat;
use crate::host::known_places::SizeClass;

/// A new path for the nvram file, and why.
pub(super) struct NewNvram {
    pub(super) path: String,
    /// What is wrong with the old one.
    pub(super) why: String,
}

/// Where libvirt's system daemon puts the nvram file of a domain of this name that names none: its
/// name ends by the format. One that boots with BIOS gets its file there as well, or takes what a
/// machine of its name left behind.
pub(super) fn default_paths(name: Option<&str>, os: &Os<'_>) -> Vec<String> {
    let name = name.filter(|name| !name.contains('/'));
    let own = os.nvram.is_some() || os.nvram_elsewhere.is_some();
    name.filter(|_| !own)
        .into_iter()
        .flat_map(|name| ["fd", "qcow2"].map(|kind| (name, kind)))
        .map(|(name, kind)| format!("/var/lib/libvirt/qemu/nvram/{name}_VARS.{kind}"))
        .collect()
}

/// What libvirt would start a new machine with, because another one of its name left it there.
pub(super) fn left_behind(
    document: &Document<'_>,
    os: &Os<'_>,
    builds: &Builds<'_>,
) -> Option<String> {
    let paths = default_paths(document.text_at(&["name"]), os);
    let is_there = |path: &String| builds.file(path).is_some_and(|file| file.exists);
    let path = paths.into_iter().find(is_there)?;
    Some(format!(
        "'{path}' was left behind by a machine of that name, and the new one starts with what is in it; remove it first, or choose another --name"
    ))
}

/// What the size of the domain's nvram file, which is not here, is a guess by.
pub(super) fn guessed(os: &Os<'_>, builds: &Builds<'_>) -> Option<String> {
    let (path, vars) = (os.nvram?, template(os, builds)?);
    let is_there = builds.file(path).is_some_and(|file| file.exists);
    let other = builds.size_is_a_guess(vars).filter(|_| !is_there)?;
    let size = builds.size_of_vars(vars)?;
    Some(format!(
        "the nvram file {path} is not here, and is taken for one of a {size} build; it is of another size if its template {vars} was {other}'s"
    ))
}

/// What of the domain's own nvram file could not be looked at, on a host whose files are looked at: only root and
/// QEMU's user see into libvirt's directory on most distributions.
pub(super) fn unseen(os: &Os<'_>, builds: &Builds<'_>, new: Option<&NewNvram>) -> Option<String> {
    builds.file(os.loader?)?;
    let (path, what) = match new {
        Some(NewNvram { path, .. }) => (
            path.as_str(),
            "one that is there already is used as it is, and may be of another size",
        ),
        None => (
            os.nvram?,
            "whether its size and format fit the loader is not known",
        ),
    };
    let why = "run virt-patch as root to have it looked at";
    match builds.file(path) {
        Some(_) => None,
        None => Some(format!(
            "the nvram file {path} cannot be looked at: {what}; {why}"
        )),
    }
}

/// The directory of an nvram file, unless libvirt makes it.
pub(super) fn directory(path: &str) -> Option<&str> {
    let (directory, _) = path.rsplit_once('/')?;
    (!directory.is_empty() && !directory.ends_with("/libvirt/qemu/nvram")).then_some(directory)
}

/// What to say where the nvram file can be nowhere.
pub(super) fn nowhere(os: &Os<'_>, builds: &Builds<'_>) -> Option<String> {
    let directory = directory(os.nvram?)?;
    let there = builds.file(directory)?;
    (!there.exists && there.device.is_none()).then(|| {
        format!(
            "the directory {directory} of the nvram file does not exist, and the domain does not start without it"
        )
    })
}

/// What the file is a copy of. One that names none was made from the template that belongs to the loader
/// (libvirt 9.0 stores no more of it); asked for only where the loader itself does not tell the size.
fn template<'t>(os: &Os<'t>, builds: &Builds<'_>) -> Option<&'t str> {
    os.template.or_else(|| {
        let loader = os.loader?;
        builds
            .size_of_code(loader)
            .is_none()
            .then(|| builds.usual_template(loader))?
    })
}

/// The path the nvram file has to change to, when it has to.
pub(super) fn follow(
    document: &Document<'_>,
    os: &Os<'_>,
    builds: &Builds<'_>,
    choice: &Choice,
) -> Result<Option<NewNvram>, String> {
    let mut defaults = default_paths(document.text_at(&["name"]), os);
    if choice.vars_format == ImageFormat::Qcow2 {
        defaults.reverse();
    }
    // libvirt 9.0 gives every file the one end, later ones that of the format.
    let is_there = |path: &&String| builds.file(path).is_some_and(|file| file.exists);
    let default = match choice.vars_format {
        ImageFormat::Qcow2 => defaults.iter().find(is_there).or(defaults.first()),
        ImageFormat::Raw => defaults.first(),
    };
    let Some(path) = os.nvram.or(default.map(String::as_str)) else {
        return match os.nvram_elsewhere {
            Some(kind)
                if !choice.reason.is_empty() && changes_size(os, builds, choice).is_some() =>
            {
                Err(format!(
                    "the nvram is a {kind} volume, and its size has to change with the build; change <nvram> first"
                ))
            }
            _ => Ok(None),
        };
    };
    // One that is not here may be where the domain runs: the path changes all the same.
    let file = builds.file(path).filter(|file| file.exists);
    // What is there counts more than what the old loader's name says.
    if let Some((size, wanted)) = file
        .and_then(|file| size_by_vars(file.size?))
        .zip(choice.size)
    {
        if size != wanted {
            let harm = match wanted {
                SizeClass::FourMib => "the guest would run and never save a variable",
                SizeClass::TwoMib => "the guest would not start",
            };
            return Ok(Some(NewNvram::instead_of(
                path,
                choice,
                builds,
                &format!("the nvram file {path} is for {size} builds: with this one {harm}"),
            )));
        }
        if file
            .and_then(|file| file.format)
            .is_none_or(|format| format == choice.vars_format)
        {
            return Ok(None);
        }
    }
    if let Some(size) = file
        .filter(|file| file.format != Some(ImageFormat::Qcow2))
        .and_then(|file| file.size)
        .filter(|size| size_by_vars(*size).is_none() && choice.size.is_some())
    {
        let what = match size {
            0 => "is empty, and QEMU does not start with it".to_owned(),
            size => format!("has {size} bytes, as no build's has"),
        };
        let why = format!("the nvram file {path} {what}");
        return Ok(Some(NewNvram::instead_of(path, choice, builds, &why)));
    }
    if let Some(format) = file
        .and_then(|file| file.format)
        .filter(|format| *format != choice.vars_format)
    {
        let convert = format!(
            "to keep its variables: qemu-img convert -f {format} -O {} {path} NEW",
            choice.vars_format
        );
        return Ok(Some(NewNvram::instead_of(
            path,
            choice,
            builds,
            &format!(
                "the nvram file {path} is {format}, the new build's are {} ({convert})",
                choice.vars_format
            ),
        )));
    }
    if os.nvram.is_none() || choice.reason.is_empty() {
        return Ok(None);
    }
    Ok(
        changes_size(os, builds, choice)
            .map(|why| NewNvram::instead_of(path, choice, builds, &why)),
    )
}

/// Why the old nvram file cannot fit the new build, by what is known of both builds.
fn changes_size(os: &Os<'_>, builds: &Builds<'_>, choice: &Choice) -> Option<String> {
    // The file is a copy of the template, whatever it was paired with.
    let template = template(os, builds);
    let old_size = template
        .and_then(|vars| builds.size_of_vars(vars))
        .or_else(|| builds.size_of_code(os.loader?));
    if let Some((old, new)) = old_size.zip(choice.size)
        && old != new
    {
        let unless = match template.and_then(|vars| builds.size_is_a_guess(vars)) {
            Some(other) => format!(" (unless its template was {other}'s)"),
            None => String::new(),
        };
        return Some(format!(
            "the nvram file was made for a {old} build{unless}, this is one of {new}"
        ));
    }
    if os.loader.is_none() && os.template.is_none() && os.nvram_format.is_none() {
        return None;
    }
    let old_format = match os.nvram_format {
        Some("qcow2") => ImageFormat::Qcow2,
        Some(_) => ImageFormat::Raw,
        None => os
            .template
            .map_or(ImageFormat::Raw, |vars| builds.format_of(vars)),
    };
    (old_format != choice.vars_format).then(|| {
        format!(
            "the nvram file was made as {old_format}, this build's are {}",
            choice.vars_format
        )
    })
}

impl NewNvram {
    fn instead_of(path: &str, choice: &Choice, builds: &Builds<'_>, why: &str) -> NewNvram {
        let taken = |path: &str| builds.file(path).is_some_and(|file| file.exists);
        let new = new_path(path, choice, taken);
        NewNvram {
            why: why.to_owned(),
            path: new,
        }
    }

    pub(super) fn reason(&self) -> String {
        let NewNvram { path, why } = self;
        format!("{why}; {path} is made from the template at the next start")
    }
}

/// The first name that is free.
fn new_path(path: &str, choice: &Choice, taken: impl Fn(&str) -> bool) -> String {
    candidates(path, choice.size, choice.vars_format)
        .find(|candidate| !taken(candidate))
        .unwrap_or_else(|| path.to_owned())
}

/// The paths that a file instead of this one can get, whichever build is chosen, up to the first that is not
/// `there`: libvirt makes nothing of the template where a file is, and takes that.
pub(super) fn new_paths(path: &str, there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let sizes = [Some(SizeClass::TwoMib), Some(SizeClass::FourMib), None];
    let formats = [ImageFormat::Raw, ImageFormat::Qcow2];
    let mut paths = Vec::new();
    for (size, format) in sizes
        .iter()
        .flat_map(|size| formats.map(|format| (*size, format)))
    {
        for candidate in candidates(path, size, format) {
            let is_taken = there(&candidate);
            paths.push(candidate);
            if !is_taken {
                break;
            }
        }
    }
    paths
}

/// `vm_VARS.fd` → `vm_VARS_4M.fd`, `vm_VARS_4M-2.fd`, …, or `vm_VARS_4M.qcow2`, …
fn candidates(
    path: &str,
    size: Option<SizeClass>,
    format: ImageFormat,
) -> impl Iterator<Item = String> {
    let stem = ["fd", "qcow2", "bin", "raw", "img"]
        .iter()
        .find_map(|extension| path.strip_suffix(extension)?.strip_suffix('.'))
        .unwrap_or(path);
    let stem = ["_2M", "_4M"]
        .iter()
        .find_map(|size| stem.strip_suffix(size))
        .unwrap_or(stem);
    let size = match size {
        Some(SizeClass::TwoMib) => "_2M",
        Some(SizeClass::FourMib) => "_4M",
        None => "_new",
    };
    let extension = match format {
        ImageFormat::Raw => "fd",
        ImageFormat::Qcow2 => "qcow2",
    };
    (1u32..)
        .map(move |number| match number {
            1 => format!("{stem}{size}.{extension}"),
            number => format!("{stem}{size}-{number}.{extension}"),
        })
        .filter(move |candidate| candidate != path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Context, files};
    use super::*;
    use crate::host::{Facts, FileFact};
    use crate::passes::settings::Settings;

    #[test]
    fn a_new_nvram_file_is_named_after_the_old_one() {
        let choice = |size, vars_format| Choice {
            code: String::new(),
            code_format: vars_format,
            vars: None,
            vars_format,
            size,
            reason: String::new(),
        };
        let four = choice(Some(SizeClass::FourMib), ImageFormat::Raw);
        let four_qcow2 = choice(Some(SizeClass::FourMib), ImageFormat::Qcow2);
        let two = choice(Some(SizeClass::TwoMib), ImageFormat::Raw);
        for (old, choice, new) in [
            ("/n/vm_VARS.fd", &four, "/n/vm_VARS_4M.fd"),
            ("/n/vm_VARS_4M.fd", &two, "/n/vm_VARS_2M.fd"),
            ("/n/vm_VARS.fd", &four_qcow2, "/n/vm_VARS_4M.qcow2"),
            ("/n/vm_VARS_4M.fd", &four, "/n/vm_VARS_4M-2.fd"),
            ("/n/vm", &four, "/n/vm_4M.fd"),
        ] {
            assert_eq!(new_path(old, choice, |_| false), new);
        }
        assert_eq!(
            new_path("/n/a.fd", &four, |path| path == "/n/a_4M.fd"),
            "/n/a_4M-2.fd"
        );
    }

    /// A file that could not be looked at is in no facts.
    #[test]
    fn an_nvram_file_that_cannot_be_seen_is_said_to_be_unseen() {
        let (code, nvram) = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/n/a_VARS.fd");
        let text = format!(
            "<domain><os><type arch='x86_64' machine='q35'>hvm</type><loader type='pflash'>{code}</loader><nvram>{nvram}</nvram></os></domain>"
        );
        let document = Document::parse_domain(&text).unwrap();
        let unseen = "the nvram file /n/a_VARS.fd cannot be looked at: whether its size and format fit the loader is not known; run virt-patch as root to have it looked at";
        for (seen, note) in [
            (&[code][..], Some(unseen)),
            (&[code, nvram], None),
            // Nothing is looked at on another host.
            (&[], None),
        ] {
            let file = |path: &&str| {
                let fact = FileFact {
                    exists: true,
                    ..FileFact::default()
                };
                ((*path).to_owned(), fact)
            };
            let facts = Facts {
                files: seen.iter().map(file).collect(),
                ..Facts::default()
            };
            let settings = Settings::default();
            let context = Context {
                facts: &facts,
                settings: &settings,
                template: false,
            };
            let builds = Builds::new(&document, &context);
            let said = super::unseen(&Os::read(&document), &builds, None);
            assert_eq!(said.as_deref(), note, "{seen:?}");
        }
    }

    #[test]
    fn what_is_there_at_a_new_path_is_asked_for() {
        let taken = |path: &str| path.ends_with("_4M.fd") || path.ends_with("_2M.fd");
        let there = |path: &str| taken(path) || path.ends_with("/a_VARS.fd");
        for (os, paths) in [
            (
                "<os><nvram>/n/a_VARS.fd</nvram></os>",
                ["/n/a_VARS_4M.fd", "/n/a_VARS_4M-2.fd", "/n/a_VARS_2M.qcow2"],
            ),
            (
                "<os/>",
                [
                    "/var/lib/libvirt/qemu/nvram/a_VARS_4M.fd",
                    "/var/lib/libvirt/qemu/nvram/a_VARS_2M-2.fd",
                    "/var/lib/libvirt/qemu/nvram/a_VARS_new.qcow2",
                ],
            ),
        ] {
            let text = format!("<domain><name>a</name>{os}</domain>");
            let document = Document::parse_domain(&text).unwrap();
            let asked = files(&document, &Settings::default(), &there);
            for path in paths {
                assert!(asked.iter().any(|asked| asked == path), "{path}");
            }
            assert!(!asked.iter().any(|path| path.contains("-3")), "{asked:?}");
        }
        // Where no file is, libvirt makes one, and none is taken instead.
        let document = Document::parse_domain("<domain><name>a</name></domain>").unwrap();
        let usual = ["fd", "qcow2"].map(|end| format!("/var/lib/libvirt/qemu/nvram/a_VARS.{end}"));
        assert_eq!(files(&document, &Settings::default(), &taken), usual);
    }
}
