//! Give the guest UEFI firmware that exists on the host and that macOS boots with.
//!
//! **Ensures** an OVMF CODE image and the VARS template that belongs to it, both there, without
//! Secure Boot, enrolled keys or SMM, written so that every libvirt takes it: explicit loader
//! and nvram template, no `firmware` attribute, no `<firmware>` features.
//! **Why.** Distributions rename and drop images in upgrades; libvirt accepts a loader that is not
//! there and the start fails. A bare `firmware='efi'` means the Secure Boot build with Microsoft's
//! keys on Debian. A 4 MiB CODE over a 2 MiB variable store runs and never saves a variable; the
//! reverse crashes.
//! **Applies when** the guest is x86_64.
//! **Chooses** by the host's QEMU firmware descriptors, then the known places of the distributions;
//! a build of the old one's size first, so that the domain keeps its variables.
//! **Leaves alone** a `firmware='efi'` that rules Secure Boot out (`firmware.style=explicit` makes a
//! pair of it), a loader that exists and is fit, what libvirt 9.2 and later store back for such a
//! pair, and the domain's own nvram file path unless size or format of the image change.
//! **Left to libvirt** (`firmware='efi'`, Secure Boot and enrolled keys off) on a remote host whose
//! loaders are none that are known.
//! **Blocked** when the host has no such build; every place that was looked at is listed.
//!
//! ```xml,before
//! <os firmware='efi'>
//!   <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
//! </os>
//! <features>
//!   <acpi/>
//! </features>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
//!   <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
//!   <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>
//! </os>
//! <features>
//!   <acpi/>
//! </features>
//! ```

mod build;
mod nvram;
mod os;

use super::elements::element;
use super::settings::{Setting, Settings, absolute_path, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest, machine_name};
use crate::document::Document;
use crate::host::known_places::SizeClass;
use crate::host::{ImageFormat, Version};
use crate::macos::Mac;
use crate::merge::{Op, Patch};
use build::Builds;
use os::Os;

/// The pass.
pub const PASS: Pass = Pass {
    name: "firmware",
    summary: "an OVMF CODE image and the VARS template that belongs to it, without secure boot",
    source: include_str!("firmware.rs"),
    needs: Needs {
        cpu: false,
        firmware: true,
        emulators: false,
        machine: false,
    },
    files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "firmware.loader",
        values: "PATH",
        about: "use this CODE image (option --loader)",
        check: absolute_path,
    },
    Setting {
        key: "firmware.nvram-template",
        values: "PATH",
        about: "use this VARS template (option --nvram-template)",
        check: absolute_path,
    },
    Setting {
        key: "firmware.prefer",
        values: "darwinudk|none",
        about: "take DarwinUDK's build where it is installed",
        check: |value| one_of(value, &["darwinudk", "none"]),
    },
    Setting {
        key: "firmware.style",
        values: "keep|explicit",
        about: "whether a firmware='efi' without Secure Boot stays, or becomes a loader and template",
        check: |value| one_of(value, &["keep", "explicit"]),
    },
];

/// libvirt refuses `firmware='efi'` beside an explicit loader from here …
const REFUSES_MIX: Version = Version::new(8, 6, 0);
/// … until here, where it begins to store the result of its own choice.
const STORES_CHOICE: Version = Version::new(9, 2, 0);
/// The first libvirt that chooses by `<firmware>` features.
const KNOWS_FEATURES: Version = Version::new(7, 2, 0);
/// The first libvirt with `templateFormat`.
const TEMPLATE_FORMAT: Version = Version::new(10, 10, 0);

/// The pair a definition is to have, and why it is not the present one.
struct Choice {
    code: String,
    code_format: ImageFormat,
    vars: String,
    vars_format: ImageFormat,
    size: Option<SizeClass>,
    /// Why; empty when the present pair stays.
    reason: String,
}

/// Why there is no pair to choose.
struct Blocked {
    reason: String,
    notes: Vec<String>,
    /// libvirt can be left to find one; why there has to be one.
    libvirts: Option<String>,
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

/// The files a definition and the settings name: facts about them decide.
fn files(
    document: &Document<'_>,
    settings: &Settings,
    there: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let os = Os::read(document);
    let mut paths: Vec<String> = [os.loader, os.template]
        .into_iter()
        .flatten()
        .chain(settings.get("firmware.loader"))
        .chain(settings.get("firmware.nvram-template"))
        .map(str::to_owned)
        .collect();
    let loaders = [os.loader, settings.get("firmware.loader")];
    paths.extend(loaders.into_iter().flatten().filter_map(build::sibling));
    // A machine made from the template has its new name by then.
    let mac = settings.get("mac.model").and_then(Mac::find);
    let new_name = settings.get("machine-name.name").map(str::to_owned);
    let new_name = new_name.or_else(|| mac.map(machine_name::usual_name));
    let mut stores: Vec<String> = os.nvram.map(str::to_owned).into_iter().collect();
    for name in [document.text_at(&["name"]), new_name.as_deref()] {
        stores.extend(nvram::default_paths(name, &os));
    }
    paths.extend(stores.iter().flat_map(|path| nvram::new_paths(path, there)));
    paths.extend(stores);
    paths
}

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let builds = Builds::new(document, context);
    let os = Os::read(document);
    let choice = match choose(&os, &builds, context) {
        Ok(Some(choice)) => choice,
        Ok(None) => {
            let satisfied = "firmware='efi' without Secure Boot: libvirt chooses the build";
            // The one it will hardly not choose; the nvram file has to fit that one as well.
            let probable = best(&builds, context, None, "").ok().map(|choice| Choice {
                reason: String::new(),
                ..choice
            });
            let nvram = match probable {
                Some(choice) => nvram::follow(document, &os, &builds, &choice),
                None => Ok(None),
            };
            let patch = Patch::new("firmware", "<domain/>");
            return match nvram {
                Err(reason) => Outcome::blocked(reason),
                Ok(None) => Ensure::new(patch, "", satisfied).into(),
                Ok(Some(nvram)) => {
                    let patch = with_nvram(patch, &os, &nvram.path);
                    Ensure::new(patch, nvram.reason, satisfied).into()
                }
            };
        }
        Err(Blocked {
            libvirts: Some(why),
            ..
        }) => return left_to_libvirt(&why),
        Err(Blocked { reason, notes, .. }) => return Outcome::Blocked { reason, notes },
    };
    let nvram = match nvram::follow(document, &os, &builds, &choice) {
        Ok(nvram) => nvram,
        Err(reason) => return Outcome::blocked(reason),
    };
    let mut reasons = vec![choice.reason.clone()];
    reasons.extend(nvram.as_ref().map(|nvram| nvram.reason.clone()));
    reasons.retain(|reason| !reason.is_empty());

    let stored_by_libvirt = choice.reason.is_empty() && os.firmware == Some("efi");
    let patch = if stored_by_libvirt {
        // All of it has to change together, or nothing but the path of the nvram file.
        Patch::new("firmware", "<domain/>")
    } else {
        explicit(&os, &builds, &choice)
    };
    let patch = match &nvram {
        Some(nvram) => with_nvram(patch, &os, &nvram.path),
        None => patch,
    };
    let known = builds.exists(&choice.code).is_some();
    let satisfied = match known {
        true => format!("{} and its template exist and are fit", choice.code),
        false => format!("{} and its template stay", choice.code),
    };
    let reason = match reasons.as_slice() {
        [] => os.form_problem(document, choice.code_format).to_owned(),
        reasons => reasons.join("; "),
    };
    let mut notes = Vec::new();
    if builds.is_last_resort(&choice.code) {
        notes.push(format!(
            "{} implements Secure Boot, but no keys are enrolled in its template, so it is off; the host has no build without it",
            choice.code
        ));
    }
    if context.settings.get("firmware.loader").is_some() && builds.is_secure(&choice.code) {
        notes.push(format!("{} implements Secure Boot", choice.code));
    }
    if os.means_bios() && !context.template {
        notes.push("a system that was installed with BIOS does not boot with UEFI".to_owned());
    }
    if os.loader == Some(&choice.code) && !known {
        notes.push(format!(
            "whether '{}' exists on the host is not known",
            choice.code
        ));
    }
    let left_behind = nvram::left_behind(document, &os, &builds);
    Ensure::new(patch, reason, satisfied)
        .noting(notes)
        .warning(left_behind.filter(|_| context.template && nvram.is_none()))
        .into()
}

/// The pair the definition should have; `None`: libvirt's own choice is right.
fn choose(
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
            return match builds.best(None) {
                None if context.facts.firmware.is_some() && !libvirt_finds_one(context) => {
                    Err(none_found(builds))
                }
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
        choice.reason = refuses_mix(builds).unwrap_or_default().to_owned();
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
    let size = builds.size_of_code(code);
    let choice = |vars: String, reason: String| Choice {
        code: code.to_owned(),
        code_format: builds.format_of(code),
        vars_format: builds.format_of(&vars),
        vars,
        size,
        reason,
    };
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
    let expected = builds.template_for(code);
    let Some(vars) = os.template else {
        return match expected {
            // libvirt fills it in where it chose the pair itself.
            Some(vars) if os.firmware == Some("efi") => Ok(choice(vars, String::new())),
            Some(vars) => {
                let reason = format!("no nvram template was named; {vars} belongs to the loader");
                Ok(choice(vars, reason))
            }
            None => Err(no_template(code, builds)),
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
    Ok(Choice {
        code: code.to_owned(),
        code_format: builds.format_of(code),
        vars_format: builds.format_of(&vars),
        vars,
        size: builds.size_of_code(code),
        reason: if same {
            String::new()
        } else {
            format!("{code} was asked for")
        },
    })
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

fn best(
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
        vars: build.vars.clone(),
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

fn left_to_libvirt(why: &str) -> Outcome {
    Ensure::new(
        Patch::new(
            "firmware",
            include_str!("../../patches/firmware-autoselect.xml"),
        ),
        format!(
            "{why}; which builds the host has is not known here, so libvirt chooses one there, without Secure Boot and enrolled keys"
        ),
        "firmware='efi' without Secure Boot: libvirt chooses the build",
    )
    .into()
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

/// The form that every libvirt takes.
fn explicit(os: &Os<'_>, builds: &Builds<'_>, choice: &Choice) -> Patch {
    let knows = |since: Version| builds.libvirt().is_none_or(|version| version >= since);
    // A format attribute is written for qcow2 only, and kept true where one stands.
    let format = |have: Option<&str>, want: ImageFormat| {
        let needed = want == ImageFormat::Qcow2 || have.is_some();
        (needed && knows(STORES_CHOICE)).then(|| want.to_string())
    };
    let template_format = match os.template_format {
        Some(_) if knows(TEMPLATE_FORMAT) => Some(choice.vars_format.to_string()),
        None if choice.vars_format == ImageFormat::Qcow2 => builds
            .libvirt()
            .filter(|version| *version >= TEMPLATE_FORMAT)
            .map(|_| choice.vars_format.to_string()),
        _ => None,
    };
    Patch::new("firmware", include_str!("../../patches/firmware.xml"))
        .with("code", choice.code.clone())
        .with("vars", choice.vars.clone())
        .with_option(
            "loader-format",
            format(os.loader_format, choice.code_format),
        )
        .with_option("nvram", None::<&str>)
        .with_option("nvram-format", format(os.nvram_format, choice.vars_format))
        .with_option("template-format", template_format)
        .with_option("secure", os.secure.filter(|secure| *secure == "no"))
        .with_option(
            "stateless",
            os.stateless.filter(|stateless| *stateless == "no"),
        )
}

fn with_nvram(mut patch: Patch, os: &Os<'_>, path: &str) -> Patch {
    if os.nvram_in_source {
        patch.add(
            &["os", "nvram"],
            Op::Merge,
            element("source", &[("file", path)]),
        );
        return patch;
    }
    if patch.values.contains_key("nvram") {
        return patch.with("nvram", path);
    }
    let mut nvram = element("nvram", &[]);
    nvram.children.push(xmltree::XMLNode::Text(path.to_owned()));
    patch.add(&["os"], Op::Merge, nvram);
    patch
}
