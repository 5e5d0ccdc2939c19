//! Show the guest the CPU of the chosen Mac.
//!
//! **Ensures** the Mac's CPU model and the vendor `GenuineIntel`.
//! **Why.** macOS knows Intel processors only, and of those the ones Apple sold.
//! **Applies when** the guest is x86_64.
//! **Two styles.** `commandline` (default) gives QEMU a `-cpu` argument. QEMU keeps only the last
//! one, so it hides all of `<cpu>` but the topology; topoext is carried along. `native` writes
//! `<cpu mode='custom'>` with `vendor_id`: no argument, and the rest of `<cpu>` stays in force. A
//! domain that has the native form already keeps it unless `cpu-override.style` says otherwise.
//! **Leaves alone** further features of an existing `-cpu` argument.
//! **Notes** a model or a host without the instructions the macOS release needs: SSE4.1 from
//! Sierra, SSE4.2 from Catalina, AVX2 from Ventura.
//!
//! ```xml,before
//! <vcpu>4</vcpu>
//! ```
//! ```xml,after
//! <vcpu>4</vcpu>
//! <qemu:commandline>
//!   <qemu:arg value='-cpu'/>
//!   <qemu:arg value='Cascadelake-Server,vendor=GenuineIntel'/>
//! </qemu:commandline>
//! ```

mod minimum;

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, children, text_of};
use crate::host::Version;
use crate::merge::{Op, Patch, options};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "cpu-override",
    summary: "the guest sees the Mac model's CPU and the vendor GenuineIntel",
    source: include_str!("cpu_override.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "cpu-override.model",
        values: "MODEL",
        about: "a QEMU CPU model (option --cpu-model); see 'qemu-system-x86_64 -cpu help'",
        check: model,
    },
    Setting {
        key: "cpu-override.features",
        values: "LIST",
        about: "features besides the model's, as QEMU writes them: +rdrand,-mpx",
        check: features,
    },
    Setting {
        key: "cpu-override.style",
        values: "commandline|native",
        about: "-cpu in qemu:commandline, or <cpu mode='custom'> with vendor_id",
        check: |value| one_of(value, &["commandline", "native"]),
    },
];

const VENDOR: &str = "GenuineIntel";

/// Models of QEMU that libvirt 9.0 does not know (measured); later ones know some of them.
const NOT_IN_9_0: [&str; 5] = [
    "Denverton",
    "KnightsMill",
    "SapphireRapids",
    "GraniteRapids",
    "EPYC-Genoa",
];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let Some(model) = context.settings.get("cpu-override.model") else {
        return Outcome::blocked(
            "no CPU model was chosen: give a profile (-p macpro7,1) or --cpu-model".to_owned(),
        );
    };
    let features = context
        .settings
        .get("cpu-override.features")
        .unwrap_or_default();
    let native = libvirt_name(model);
    let outcome = match context.settings.get("cpu-override.style") {
        Some("native") => as_element(document, context, model, native, features),
        None if has_native_form(document, native) => {
            as_element(document, context, model, native, features)
        }
        _ => as_argument(document, context, model, features),
    };
    match outcome {
        Outcome::Ensure(ensure) => ensure
            .noting(minimum::notes(document, context, model, features))
            .into(),
        other => other,
    }
}

fn as_argument(
    document: &Document<'_>,
    context: &Context<'_>,
    model: &str,
    features: &str,
) -> Outcome {
    let vendor = context.facts.cpu.vendor.as_deref();
    let topoext = guest::threads(document) > 1 && vendor.is_some_and(guest::is_amd);
    let unknown_vendor = (guest::threads(document) > 1 && vendor.is_none()).then(|| {
        "the CPU vendor of the host is unknown; on an AMD host the threads need --set cpu-override.features=+topoext".to_owned()
    });
    let mut value = format!("{model},vendor={VENDOR}");
    for feature in [features, if topoext { "+topoext" } else { "" }] {
        if !feature.is_empty() {
            value.push(',');
            value.push_str(feature);
        }
    }
    let mut lost = Vec::new();
    let reason = match guest::cpu_argument(document) {
        None => format!("macOS needs an Intel CPU; the Mac has a {model}"),
        Some(have) => {
            let was = options::List::of("cpu", have);
            let becomes = options::List::of("cpu", &value);
            lost.extend(options::lost_with_the_model("cpu", &was, &becomes));
            match was.first() {
                Some(was) if was != model => format!("was {was}; the Mac has a {model}"),
                _ => "the CPU argument is not complete".to_owned(),
            }
        }
    };
    let patch = Patch::new(
        "cpu-override",
        include_str!("../../patches/cpu-override.xml"),
    )
    .with("cpu", value);
    Ensure::new(
        patch,
        reason,
        format!("the guest sees a {model} of {VENDOR}"),
    )
    .noting(hidden(document))
    .noting(unknown_vendor)
    .noting((!lost.is_empty()).then(|| {
        format!(
            "{} of the -cpu argument {}, which only the models host and max have",
            text::list(&lost),
            if lost.len() == 1 { "goes" } else { "go" }
        )
    }))
    .into()
}

/// What a `-cpu` argument puts out of force in `<cpu>`. The native style keeps features in force; mode,
/// model and cache are those of another processor there as well.
fn hidden(document: &Document<'_>) -> Option<String> {
    let cpu = document.find(&["cpu"])?;
    let mut lost = Vec::new();
    if let Some(mode) = cpu.attribute("mode") {
        lost.push(format!("mode='{mode}'"));
    }
    for name in ["model", "cache"] {
        lost.extend(children(cpu, name).map(|_| format!("<{name}>")));
    }
    let mut kept: Vec<String> = children(cpu, "feature")
        .filter_map(|feature| feature.attribute("name"))
        // The argument carries topoext itself.
        .filter(|name| *name != "topoext")
        .map(|name| format!("the feature {name}"))
        .collect();
    kept.extend(children(cpu, "maxphysaddr").map(|_| "<maxphysaddr>".to_owned()));
    let way_out = match kept.as_slice() {
        [] => String::new(),
        kept => format!(
            "; --set cpu-override.style=native keeps {} in force",
            text::list(kept)
        ),
    };
    lost.extend(kept);
    (!lost.is_empty()).then(|| {
        format!(
            "this -cpu hides what <cpu> says apart from the topology: {}{way_out}",
            text::list(&lost)
        )
    })
}

fn as_element(
    document: &Document<'_>,
    context: &Context<'_>,
    model: &str,
    native: &str,
    features: &str,
) -> Outcome {
    let text = include_str!("../../patches/cpu-override-native.xml");
    let mut patch = Patch::new("cpu-override", text).with("model", native);
    for feature in features.split(',').filter(|feature| !feature.is_empty()) {
        let mut element = xmltree::Element::new("feature");
        let policy = if feature.starts_with('-') {
            "disable"
        } else {
            "require"
        };
        let name = libvirt_feature(feature.trim_start_matches(['+', '-']));
        element
            .attributes
            .insert("policy".to_owned(), policy.to_owned());
        element
            .attributes
            .insert("name".to_owned(), name.to_owned());
        patch.add(&["cpu"], Op::Merge, element);
    }
    let mut notes = Vec::new();
    if let Some(argument) = guest::cpu_argument(document) {
        notes.push(format!(
            "the argument -cpu {argument} goes: it would hide <cpu>"
        ));
    }
    if let Some(reason) = unknown_to_libvirt(context, native) {
        return Outcome::blocked(reason);
    }
    let was = document
        .find(&["cpu", "model"])
        .and_then(text_of)
        .map(str::to_owned)
        .or_else(|| document.attribute(&["cpu"], "mode").map(str::to_owned));
    let reason = match was {
        Some(was) if was != native => format!("was {was}; the Mac has a {model}"),
        Some(_) => "<cpu> is not complete".to_owned(),
        None => format!("macOS needs an Intel CPU; the Mac has a {model}"),
    };
    Ensure::new(
        patch,
        reason,
        format!("the guest sees a {native} of {VENDOR}"),
    )
    .noting(notes)
    .into()
}

/// Why a domain with this model would be defined and never start; `None` when it starts, as far as is known.
fn unknown_to_libvirt(context: &Context<'_>, native: &str) -> Option<String> {
    let version = guest::libvirt(context);
    let versioned = native
        .rsplit_once("-v")
        .is_some_and(|(_, n)| n.parse::<u32>().is_ok());
    let before = |since: Version| version.is_some_and(|version| version < since);
    // What the host's libvirt listed says nothing of the one that was set.
    let listed = context.facts.cpu_models.as_deref();
    let listed = listed.filter(|_| context.settings.libvirt().is_none());
    let is_missing = listed.is_some_and(|models| {
        !models.is_empty() && models.iter().all(|model| model.name != native)
    });
    let (since, instead) = match native {
        // QEMU's words for what are modes in libvirt, and for a model without features.
        "host" => (
            "",
            ", or <cpu mode='host-passthrough'/> instead of this pass",
        ),
        "max" => ("", ", or <cpu mode='maximum'/> instead of this pass"),
        "base" => ("", ""),
        _ if versioned && before(Version::new(10, 10, 0)) => (" (10.10 does)", ""),
        _ if NOT_IN_9_0.contains(&native) && before(Version::new(9, 1, 0)) => ("", ""),
        _ if is_missing => ("", ""),
        _ => return None,
    };
    let libvirt = version.map_or_else(|| "libvirt".to_owned(), |one| format!("libvirt {one}"));
    Some(format!(
        "{libvirt} does not know the CPU model {native}{since}, and the domain would not start; use --set cpu-override.style=commandline{instead}"
    ))
}

fn has_native_form(document: &Document<'_>, native: &str) -> bool {
    guest::cpu_argument(document).is_none()
        && document.text_at(&["cpu", "model"]) == Some(native)
        && document.attribute(&["cpu", "model"], "vendor_id") == Some(VENDOR)
}

/// libvirt's name of a QEMU model. Versioned names are known to it since 10.10 (those of old
/// models since 11.0); these aliases always were.
fn libvirt_name(model: &str) -> &str {
    match model {
        "Westmere-v2" => "Westmere-IBRS",
        "Nehalem-v2" => "Nehalem-IBRS",
        "Cascadelake-Server-v3" => "Cascadelake-Server-noTSX",
        "Skylake-Client-v2" => "Skylake-Client-IBRS",
        "Skylake-Server-v2" => "Skylake-Server-IBRS",
        "Haswell-v2" => "Haswell-noTSX",
        "Haswell-v3" => "Haswell-IBRS",
        "Haswell-v4" => "Haswell-noTSX-IBRS",
        other => other.strip_suffix("-v1").unwrap_or(other),
    }
}

/// libvirt's spelling of a QEMU feature.
fn libvirt_feature(feature: &str) -> &str {
    match feature {
        "sse4_1" | "sse4-1" => "sse4.1",
        "sse4_2" | "sse4-2" => "sse4.2",
        "lahf-lm" => "lahf_lm",
        "sse3" => "pni",
        other => other,
    }
}

fn model(value: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || !value.chars().all(good) {
        return Err(
            "it is one name such as Skylake-Client; features go into cpu-override.features"
                .to_owned(),
        );
    }
    Ok(())
}

fn features(value: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let feature = |feature: &str| {
        let name = feature.strip_prefix(['+', '-']);
        name.is_some_and(|name| !name.is_empty() && name.chars().all(good))
    };
    if value.is_empty() || value.split(',').all(feature) {
        Ok(())
    } else {
        Err("write each as +name or -name, with commas between".to_owned())
    }
}
