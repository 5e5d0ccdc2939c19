//! Which pair of images a definition is to have.
//!
//! Decides, and writes nothing: the pass makes a patch of the answer.

use super::build::{self, Builds};
use super::os::Os;
use super::{Context, STORES_CHOICE};
use crate::host::known_places::SizeClass;
use crate::host::{ImageFormat, Version};

/// libvirt refuses `firmware='efi'` beside an explicit loader from here until [`STORES_CHOICE`].
const REFUSES_MIX: Version = Version::new(8, 6, 0);
/// The first libvirt that chooses by `<firmware>` features.
const KNOWS_FEATURES: Version = Version::new(7, 2, 0);

/// The pair a definition is to have, and why it is not the present one.
pub(super) struct Choice {
    pub(super) code: String,
    pub(super) code_format: ImageFormat,
    /// `None` for a loader without one, whose domain has its nvram file already.
    pub(super) vars: Option<String>,
    pub(super) vars_format: ImageFormat,
    pub(super) size: Option<SizeClass>,
    /// Why; empty when the present pair stays.
    pub(super) reason: String,
}

impl Choice {
    /// Images by their paths, as they are here.
    fn of(code: &str, vars: String, builds: &Builds<'_>, reason: String) -> Choice {
        Choice {
            code: code.to_owned(),
            code_format: builds.format_of(code),
            vars_format: builds.format_of(&vars),
            vars: Some(vars),
            size: builds.size_of_code(code),
            reason,
        }
    }
}

/// Why there is no pair to choose.
pub(super) struct Blocked {
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
    /// libvirt can be left to find one; why there has to be one.
    pub(super) libvirts: Option<String>,
}

impl Blocked {
    fn because(reason: impl Into<String>) -> Blocked {
        Blocked {
            reason: reason.into(),
            notes: Vec::new(),
            libvirts: None,
        }
    }
}

/// The pair the definition should have; `None`: libvirt's own choice is right.
pub(super) fn choose(
    os: &Os<'_>,
    builds: &Builds<'_>,
    context: &Context<'_>,
) -> Result<Option<Choice>, Blocked> {
    if let Some(code) = context.settings.get("firmware.loader") {
        return asked_for(code, os, builds, context).map(Some);
    }
    if let Some(vars) = context.settings.get("firmware.nvram-template")
        && os.loader.is_none()
    {
        return Err(Blocked::because(format!(
            "the nvram template '{vars}' was asked for without a loader; give --loader as well"
        )));
    }
    let old = os.loader.map(|code| {
        (
            code,
            present_size(os, builds),
            builds.format_of(os.template.unwrap_or(code)),
        )
    });
    let Some((code, size, format)) = old else {
        let explicit = context.settings.get("firmware.style") == Some("explicit");
        let unfit = why_not_libvirts(os, builds);
        let fit = os.firmware == Some("efi") && unfit.is_none();
        if fit && !explicit {
            return match builds.libvirt_finds(os) {
                Some(false) => best(builds, context, None, not_found(os)).map(Some),
                _ => Ok(None),
            };
        }
        let reason = match os.firmware {
            Some("efi") => {
                unfit.unwrap_or("a loader and template of the definition's own were asked for")
            }
            Some(_) => "macOS boots with UEFI, not BIOS",
            None => "no firmware is named, which means BIOS; macOS boots with UEFI",
        };
        return best(builds, context, None, reason)
            .map(Some)
            .map_err(|blocked| Blocked {
                libvirts: libvirt_finds_one(context).then(|| reason.to_owned()),
                ..blocked
            });
    };
    let like = size.map(|size| (size, format));
    if builds.exists(code) == Some(false) {
        let choice = best(builds, context, like, "")?;
        let relation = match os.loader_type {
            Some("pflash") => "is its equivalent",
            _ => "takes its place",
        };
        let reason = format!(
            "was {code}, which does not exist here; {} {relation}",
            choice.code
        );
        return Ok(Some(Choice { reason, ..choice }));
    }
    // What is wrong, as said of the definition and as said of the loader.
    let qcow2 = builds.cannot_be_qcow2(code);
    let wrong = if builds.is_secure(code) {
        Some(("it is a Secure Boot build", "a Secure Boot build"))
    } else if os.demands_secure_boot() {
        Some((
            "the definition demands Secure Boot",
            "of which Secure Boot is demanded",
        ))
    } else if os.stateless == Some("yes") {
        Some((
            "stateless='yes' leaves macOS no NVRAM for its boot settings",
            "stateless, and macOS keeps its boot settings in NVRAM",
        ))
    } else if let Some(qcow2) = &qcow2 {
        Some((qcow2.as_str(), qcow2.as_str()))
    } else if os.loader_type != Some("pflash") && builds.template_for(code).is_none() {
        let wrong = "loaded as ROM, without a variable store";
        Some((wrong, wrong))
    } else {
        None
    };
    if let Some((definition, loader)) = wrong {
        let choice = best(builds, context, like, "")?;
        let reason = match choice.code == code {
            true => definition.to_owned(),
            false => format!("was {code}, {loader}; {} takes its place", choice.code),
        };
        return Ok(Some(Choice { reason, ..choice }));
    }
    let mut choice = keep(code, os, builds, context)?;
    if choice.reason.is_empty() && os.firmware == Some("efi") {
        let wrong = refuses_mix(builds).or_else(|| not_as_stored(os, builds));
        choice.reason = wrong.unwrap_or_default().to_owned();
    }
    Ok(Some(choice))
}

/// The loader stays; its template is found or put right.
fn keep(
    code: &str,
    os: &Os<'_>,
    builds: &Builds<'_>,
    context: &Context<'_>,
) -> Result<Choice, Blocked> {
    let choice = |vars: String, reason: String| Choice::of(code, vars, builds, reason);
    let size = builds.size_of_code(code);
    if let Some(vars) = context.settings.get("firmware.nvram-template") {
        belongs_together(code, vars, builds)?;
        let same = os.template == Some(vars);
        let reason = if same {
            String::new()
        } else {
            format!("the nvram template {vars} was asked for")
        };
        return Ok(choice(vars.to_owned(), reason));
    }
    // The file that the domain writes to is no template, whatever it is called.
    let expected = builds
        .template_for(code)
        .filter(|vars| os.nvram != Some(vars.as_str()));
    let Some(vars) = os.template else {
        return match expected {
            // libvirt fills it in where it chose the pair itself.
            Some(vars) if os.firmware == Some("efi") => Ok(choice(vars, String::new())),
            Some(vars) => {
                let reason = format!("no nvram template was named; {vars} belongs to the loader");
                Ok(choice(vars, reason))
            }
            // A template is for an nvram file that is still to be made.
            None => match os.nvram.filter(|path| is_there(path, builds)) {
                Some(path) => Ok(Choice {
                    vars: None,
                    vars_format: builds.format_of(path),
                    ..choice(String::new(), String::new())
                }),
                None => Err(no_template(code, builds)),
            },
        };
    };
    let vars_size = builds.size_of_vars(vars);
    let wrong = if builds.exists(vars) == Some(false) {
        Some(format!("the nvram template {vars} does not exist here"))
    } else if builds.has_keys(vars) {
        Some(format!(
            "the nvram template {vars} has Secure Boot keys enrolled"
        ))
    } else if size.zip(vars_size).is_some_and(|(code, vars)| code != vars) {
        let words =
            |size: Option<SizeClass>| size.map_or_else(String::new, |size| size.to_string());
        Some(format!(
            "the nvram template {vars} is for {} builds, the loader is one of {}",
            words(vars_size),
            words(size)
        ))
    } else {
        builds.no_pair(code, vars).map(|why| {
            format!("the nvram template {vars} does not belong to the loader {code}: {why}")
        })
    };
    match (wrong, expected) {
        (None, _) => Ok(choice(vars.to_owned(), String::new())),
        (Some(wrong), Some(expected)) if expected != vars => {
            let reason = format!("{wrong}; {expected} belongs to it");
            Ok(choice(expected, reason))
        }
        (Some(wrong), _) => {
            let other = best(builds, context, None, "")?;
            let reason = format!("{wrong}; {} has one", other.code);
            Ok(Choice { reason, ..other })
        }
    }
}

fn asked_for(
    code: &str,
    os: &Os<'_>,
    builds: &Builds<'_>,
    context: &Context<'_>,
) -> Result<Choice, Blocked> {
    if builds.exists(code) == Some(false) {
        return Err(Blocked::because(format!(
            "the loader '{code}' does not exist on the host"
        )));
    }
    let vars = context
        .settings
        .get("firmware.nvram-template")
        .map(str::to_owned)
        .or_else(|| builds.template_for(code));
    let Some(vars) = vars else {
        return Err(no_template(code, builds));
    };
    belongs_together(code, &vars, builds)?;
    let same = os.loader == Some(code) && os.template == Some(vars.as_str());
    let reason = match same {
        true => String::new(),
        false => format!("{code} was asked for"),
    };
    Ok(Choice::of(code, vars, builds, reason))
}

fn is_there(path: &str, builds: &Builds<'_>) -> bool {
    builds.file(path).is_some_and(|file| file.exists)
}

/// The template exists, as far as is known, and the loader is one of its build by their sizes.
fn belongs_together(code: &str, vars: &str, builds: &Builds<'_>) -> Result<(), Blocked> {
    if builds.exists(vars) == Some(false) {
        return Err(Blocked::because(format!(
            "the nvram template '{vars}' does not exist on the host"
        )));
    }
    match (builds.size_of_code(code), builds.size_of_vars(vars)) {
        (Some(code_size), Some(vars_size)) if code_size != vars_size => {
            Err(Blocked::because(format!(
                "the loader '{code}' is a {code_size} build and the nvram template '{vars}' belongs to {vars_size} builds"
            )))
        }
        _ => match builds.no_pair(code, vars) {
            Some(why) => Err(Blocked::because(format!(
                "the nvram template '{vars}' does not belong to the loader '{code}': {why}"
            ))),
            None => Ok(()),
        },
    }
}

fn no_template(code: &str, builds: &Builds<'_>) -> Blocked {
    Blocked::because(match builds.is_combined(code) {
        true => format!(
            "the loader '{code}' is CODE and VARS in one image, to which no nvram template belongs; name a CODE image with --loader"
        ),
        false => format!(
            "no nvram template is known for the loader '{code}'; name one with --nvram-template"
        ),
    })
}

pub(super) fn best(
    builds: &Builds<'_>,
    context: &Context<'_>,
    like: Option<(SizeClass, ImageFormat)>,
    why: &str,
) -> Result<Choice, Blocked> {
    if context.facts.firmware.is_none() {
        return Err(Blocked::because(
            "the firmware of the host is unknown; name it with --loader and --nvram-template",
        ));
    }
    let build = builds.best(like).ok_or_else(|| none_found(builds))?;
    Ok(Choice {
        code: build.code.clone(),
        code_format: build.code_format,
        vars: Some(build.vars.clone()),
        vars_format: build.vars_format,
        size: builds.size_of(build),
        reason: match why {
            "" => String::new(),
            why if builds.is_last_resort(&build.code) => {
                format!("{why}; {} is the only build here", build.code)
            }
            why => format!("{why}; {} has neither Secure Boot nor SMM", build.code),
        },
    })
}

fn none_found(builds: &Builds<'_>) -> Blocked {
    let reason = match builds.only_for_others() {
        Some(machine) if machine.contains("q35") => format!(
            "the host's UEFI builds are not for the machine type {machine}; install one that is (the package ovmf or edk2-ovmf), or name one with --loader"
        ),
        Some(machine) => format!(
            "the host's UEFI builds are not for the machine type {machine}; --set machine.convert=yes makes it q35, or name a build with --loader"
        ),
        None => "the host has no UEFI build that macOS boots with; install one (the package ovmf or edk2-ovmf)".to_owned(),
    };
    Blocked {
        notes: builds.looked_at(),
        ..Blocked::because(reason)
    }
}

/// On a host whose files cannot be looked at, and whose loaders are none that are known, libvirt can
/// still choose by that host's descriptors.
fn libvirt_finds_one(context: &Context<'_>) -> bool {
    let knows_features = context
        .facts
        .libvirt
        .is_some_and(|version| version >= KNOWS_FEATURES);
    knows_features && context.facts.firmware_autoselection == Some(true)
}

/// Flash size of the present build: by what is there, else by what its name says.
fn present_size(os: &Os<'_>, builds: &Builds<'_>) -> Option<SizeClass> {
    let of_nvram = || {
        os.nvram
            .and_then(|path| builds.file(path)?.size)
            .and_then(build::size_by_vars)
    };
    let of_template = || os.template.and_then(|path| builds.size_of_vars(path));
    let of_code = || os.loader.and_then(|path| builds.size_of_code(path));
    of_nvram().or_else(of_code).or_else(of_template)
}

/// Why firmware='efi' is not right as it is; `None` when libvirt finds a fit build by it.
fn why_not_libvirts(os: &Os<'_>, builds: &Builds<'_>) -> Option<&'static str> {
    let knows_filter = builds
        .libvirt()
        .is_none_or(|version| version >= STORES_CHOICE);
    if os.demands_secure_boot() {
        Some("the definition demands Secure Boot")
    } else if os.stateless == Some("yes") {
        Some("stateless='yes' leaves macOS no NVRAM for its boot settings")
    } else if os.loader_type == Some("rom") {
        Some("a ROM has no variable store, and firmware='efi' finds none")
    } else if os.readonly == Some("no") {
        Some("readonly='no' is for CODE and VARS in one image, and firmware='efi' finds none")
    } else if os.template.is_some_and(|vars| builds.has_keys(vars)) {
        Some("the nvram template has Secure Boot keys enrolled")
    } else if os.secure == Some("no") && !knows_filter {
        Some("libvirt 8.6 to 9.1 refuse secure='no' beside firmware='efi'")
    } else if os.has_more_than_a_choice() && !knows_filter {
        Some(
            "libvirt 8.6 to 9.1 refuse attributes of a loader and a template beside firmware='efi'",
        )
    } else if !os.refuses_secure_boot() && os.secure != Some("no") {
        Some("firmware='efi' alone lets libvirt take the Secure Boot build")
    } else {
        None
    }
}

/// Why libvirt does not find for `firmware='efi'` the loader that stands beside it.
fn not_as_stored(os: &Os<'_>, builds: &Builds<'_>) -> Option<&'static str> {
    if os.loader_type.is_some_and(|kind| kind != "pflash") {
        Some("a ROM has no variable store, and firmware='efi' finds none")
    } else if os.readonly == Some("no") {
        Some("readonly='no' is for CODE and VARS in one image, and firmware='efi' finds none")
    } else if builds.libvirt_finds(os) == Some(false) {
        Some(not_found(os))
    } else {
        None
    }
}

/// libvirt finds no build for `firmware='efi'`.
fn not_found(os: &Os<'_>) -> &'static str {
    match os.has_more_than_a_choice() || os.loader.is_some() {
        true => {
            "no firmware descriptor of the host has all that stands beside firmware='efi', so libvirt finds no build"
        }
        false => "no firmware descriptor of the host is for such a build, so libvirt finds none",
    }
}

/// What a libvirt that does not store its own choice makes of firmware='efi' beside a loader.
fn refuses_mix(builds: &Builds<'_>) -> Option<&'static str> {
    match builds.libvirt()? {
        version if version >= STORES_CHOICE => None,
        version if version >= REFUSES_MIX => {
            Some("libvirt 8.6 to 9.1 refuse firmware='efi' beside an explicit loader")
        }
        _ => Some("libvirt before 8.6 drops a loader beside firmware='efi' and takes its own"),
    }
}
