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
//! **Leaves alone** a `firmware='efi'` that rules Secure Boot out and for which libvirt finds a build
//! (`firmware.style=explicit` makes a pair of it), a loader that exists and is fit, what libvirt 9.2 and
//! later store back for such a pair, and the domain's own nvram file path unless size or format of the
//! image change.
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
mod choice;
mod nvram;
mod os;

use super::elements::element;
use super::settings::{Setting, Settings, absolute_path, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest, machine_name};
use crate::document::Document;
use crate::host::{ImageFormat, Version};
use crate::macos::Mac;
use crate::merge::{Op, Patch};
use build::Builds;
use choice::{Blocked, Choice, best, choose};
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

/// The first libvirt that stores the result of its own choice; those from 8.6 on refuse
/// `firmware='efi'` beside an explicit loader.
const STORES_CHOICE: Version = Version::new(9, 2, 0);
/// The first libvirt with `templateFormat`.
const TEMPLATE_FORMAT: Version = Version::new(10, 10, 0);

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
    // Another path is taken instead of a file that is there, or is named and may be where the domain runs.
    let is_real = |path: &&String| os.nvram == Some(path) || there(path);
    let real = stores.iter().filter(is_real);
    paths.extend(real.flat_map(|path| nvram::new_paths(path, there)));
    paths.extend(os.nvram.and_then(nvram::directory).map(str::to_owned));
    paths.extend(stores);
    paths
}

/// Whether the pass takes the first fit build, whichever others there are: it has to know of them where the
/// definition or the settings name images, which may be theirs, or prefer one.
pub(crate) fn takes_the_first_fit(document: &Document<'_>, settings: &Settings) -> bool {
    let os = Os::read(document);
    let names = [os.loader, os.template, os.nvram, os.nvram_elsewhere];
    let is_q35 = guest::machine(document) == guest::Machine::Q35;
    let is_set = |key: &&str| settings.get(key).is_some_and(|value| value != "none");
    let asks = [
        "firmware.loader",
        "firmware.nvram-template",
        "firmware.prefer",
    ];
    names.iter().all(Option::is_none) && is_q35 && !asks.iter().any(is_set)
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
            let patch = Patch::new("firmware", "<domain><features><acpi/></features></domain>");
            return match nvram {
                Err(reason) => Outcome::blocked(reason),
                Ok(None) => Ensure::new(patch, os::NEEDS_ACPI, satisfied).into(),
                Ok(Some(nvram)) => {
                    let patch = with_nvram(patch, &os, &nvram.path);
                    Ensure::new(patch, nvram.reason(), satisfied).into()
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
    if let (None, Some(nvram)) = (&choice.vars, &nvram) {
        let (why, code) = (&nvram.why, &choice.code);
        return Outcome::blocked(format!(
            "{why}, and no template is known for the loader '{code}'; name one with --nvram-template"
        ));
    }
    let mut reasons = vec![choice.reason.clone()];
    reasons.extend(nvram.as_ref().map(nvram::NewNvram::reason));
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
        true if choice.vars.is_none() => {
            format!("{} and the nvram file exist and are fit", choice.code)
        }
        true => format!("{} and its template exist and are fit", choice.code),
        false => format!("{} and its template stay", choice.code),
    };
    let reason = match reasons.as_slice() {
        [] => os
            .form_problem(document, choice.code_format, choice.vars_format)
            .to_owned(),
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
    let asked = ["firmware.loader", "firmware.nvram-template"]
        .iter()
        .any(|key| context.settings.get(key).is_some());
    if let Some(vars) = choice
        .vars
        .as_deref()
        .filter(|vars| asked && builds.has_keys(vars))
    {
        notes.push(format!("{vars} has Secure Boot keys enrolled"));
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
    if nvram.is_none() && os.loader != Some(&choice.code) {
        notes.extend(nvram::guessed(&os, &builds));
    }
    if let Some(path) = os.nvram.filter(|path| builds.is_template(path)) {
        notes.push(format!(
            "the nvram file {path} is the template that other domains are made from; name one of its own"
        ));
    }
    notes.extend(nvram::unseen(&os, &builds, nvram.as_ref()));
    notes.extend(nvram::nowhere(&os, &builds).filter(|_| nvram.is_none()));
    let left_behind = nvram::left_behind(document, &os, &builds);
    Ensure::new(patch, reason, satisfied)
        .noting(notes)
        .warning(left_behind.filter(|_| context.template && nvram.is_none()))
        .into()
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
        .with_option("vars", choice.vars.clone())
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
