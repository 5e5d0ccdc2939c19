//! Give the guest the host's processor.
//!
//! **Ensures** the mode `host-passthrough`, unchecked and migratable, with the host's caches.
//! Under emulation (`<domain type='qemu'>`), where there is no host processor to pass, the mode is
//! `maximum`. `cpu.mode` chooses another.
//! **Why.** The guest gets every instruction the host has, and sees the real cache sizes, by which
//! macOS places its threads.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** topology, features and NUMA; a processor that cpu-override has written into
//! `<cpu>` (its native style).
//! **Notes** that a `kvm` domain needs a host with KVM.
//!
//! ```xml,before
//! <cpu mode='host-model'/>
//! ```
//! ```xml,after
//! <cpu mode='host-passthrough' check='none' migratable='on'>
//!   <cache mode='passthrough'/>
//! </cpu>
//! ```

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "cpu",
    summary: "the guest gets the host's processor and its caches",
    source: include_str!("cpu.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: true,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "cpu.mode",
    values: "host-passthrough|host-model|maximum",
    about: "how much of the host's processor the guest gets",
    check: |value| one_of(value, &["host-passthrough", "host-model", "maximum"]),
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let native = context.settings.get("cpu-override.style") == Some("native");
    let overridden = document.attribute(&["cpu"], "mode") == Some("custom")
        && document.attribute(&["cpu", "model"], "vendor_id").is_some();
    let asked = context.settings.get("cpu.mode");
    if native || (asked.is_none() && overridden) {
        return Outcome::NotApplicable(
            "cpu-override writes the processor into <cpu> (its native style)".to_owned(),
        );
    }
    let emulated = guest::is_emulated(document);
    let (mode, why) = match (asked.unwrap_or("host-passthrough"), emulated) {
        ("host-passthrough", true) => (
            "maximum",
            "without KVM there is no host processor to pass; 'maximum' is all QEMU computes",
        ),
        ("host-passthrough", false) => (
            "host-passthrough",
            "the guest gets the host's instructions and sees its caches",
        ),
        ("maximum", _) => ("maximum", "all instructions QEMU can give"),
        (mode, _) => (
            mode,
            "the nearest model libvirt knows, which other hosts have as well",
        ),
    };
    let text = match mode {
        "host-model" => include_str!("../../patches/cpu-host-model.xml"),
        _ => include_str!("../../patches/cpu.xml"),
    };
    let no_kvm = !emulated && context.facts.kvm == Some(false);
    let note = no_kvm.then(|| {
        format!("{mode} needs KVM, which the host does not have; the pass domain-type makes it a qemu domain")
    });
    Ensure::new(
        Patch::new("cpu", text).with("mode", mode),
        why,
        format!("the mode is {mode}"),
    )
    .noting(note)
    .into()
}
