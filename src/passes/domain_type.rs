//! Run the guest with hardware virtualization where the host has it.
//!
//! **Ensures** the domain type `kvm`, and `qemu` (emulation) on a host without KVM. The CPU mode
//! goes along: `host-passthrough` needs KVM, `maximum` is its counterpart under emulation.
//! **Why.** libvirt accepts a `kvm` domain only where KVM is, and starts `host-passthrough` only
//! under it; a `qemu` domain on a host with KVM runs many times slower than it could.
//! **Applies when** the guest is x86_64 and it is known whether the host has KVM.
//! **Leaves alone** the CPU model and mode otherwise. `domain-type.type` chooses without asking
//! the host.
//!
//! ```xml,before
//! <domain type='qemu'>
//!   <cpu mode='maximum'/>
//! </domain>
//! ```
//! ```xml,after
//! <domain type='kvm'>
//!   <cpu mode='host-passthrough'/>
//! </domain>
//! ```

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "domain-type",
    summary: "hardware virtualization (kvm) where the host has it, emulation (qemu) elsewhere",
    source: include_str!("domain_type.rs"),
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
    key: "domain-type.type",
    values: "kvm|qemu",
    about: "this domain type, whatever the host has",
    check: |value| one_of(value, &["kvm", "qemu"]),
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let asked = context.settings.get("domain-type.type");
    let (wanted, why) = match (asked, context.facts.kvm) {
        (Some(asked), _) => (asked, "it was asked for"),
        (None, Some(true)) => ("kvm", "the host has KVM"),
        (None, Some(false)) => (
            "qemu",
            "the host has no KVM (none in its processor, off in its firmware, or the module is not loaded)",
        ),
        (None, None) => {
            return Outcome::NotApplicable(
                "whether the host has KVM is not known; --set domain-type.type=kvm or =qemu says it"
                    .to_owned(),
            );
        }
    };
    let mode = match (wanted, document.attribute(&["cpu"], "mode")) {
        ("qemu", Some("host-passthrough")) => Some("maximum"),
        ("kvm", Some("maximum")) => Some("host-passthrough"),
        _ => None,
    };
    let mut patch = Patch::new("domain-type", include_str!("../../patches/domain-type.xml"))
        .with("type", wanted);
    if let Some(mode) = mode {
        patch.add(&[], crate::merge::Op::Merge, cpu(mode));
    }
    let mut reason = format!("{why}, so the type is {wanted}");
    if let Some(mode) = mode {
        reason.push_str(&format!(" and the CPU mode {mode}"));
    }
    let hyperv = document.find(&["features", "hyperv"]);
    let note = match (wanted, context.facts.kvm, hyperv) {
        ("kvm", Some(false), _) => {
            Some("the host has no KVM, so a kvm domain does not start".to_owned())
        }
        ("qemu", _, Some(hyperv)) => Some(format!(
            "the Hyper-V enlightenments in line {} need KVM as well; QEMU does not start with them",
            document.position(hyperv.range().start).line
        )),
        _ => None,
    };
    Ensure::new(patch, reason, format!("the type is {wanted}, and {why}"))
        .noting(note)
        .into()
}

fn cpu(mode: &str) -> xmltree::Element {
    let mut cpu = xmltree::Element::new("cpu");
    cpu.attributes.insert("mode".to_owned(), mode.to_owned());
    cpu
}
