//! Switch ACPI PCI hotplug for bridges off.
//!
//! **Ensures** `-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off` on q35, and the same
//! property of `PIIX4_PM` on i440fx.
//! **Why.** Since QEMU 6.1 q35 describes its root ports as ACPI hotplug slots; macOS then stops
//! at `[PCI configuration begin]` or does not see the NIC and other devices behind them. libvirt has
//! no element for this switch (measured with 9.0 and 11.3).
//! **Applies when** QEMU has the property: 6.1 on q35, 2.0 on i440fx. An older QEMU refuses to
//! start with it, so there the pass takes it out.
//! **Blocked** when neither an emulator's version nor a versioned machine type is known.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
//! </os>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
//! </os>
//! <qemu:commandline>
//!   <qemu:arg value='-global'/>
//!   <qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/>
//! </qemu:commandline>
//! ```

use super::guest::{Machine, QemuVersion};
use super::{Context, Ensure, Needs, Outcome, Pass, guest, machine};
use crate::document::{Document, qemu};
use crate::host::Version;
use crate::merge::{Patch, options};

/// The pass.
pub const PASS: Pass = Pass {
    name: "hotplug",
    summary: "ACPI PCI hotplug with bridge support is off",
    source: include_str!("hotplug.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: true,
        machine: false,
    },
    files: super::no_files,
    settings: &[],
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let (driver, since) = match guest::machine(document) {
        Machine::Q35 => ("ICH9-LPC", Version::new(6, 1, 0)),
        Machine::I440fx => ("PIIX4_PM", Version::new(2, 0, 0)),
        Machine::Other => {
            return Outcome::NotApplicable(format!(
                "the machine type '{}' has no ACPI PCI hotplug",
                guest::machine_name(document)
            ));
        }
    };
    let property = format!("{driver}.acpi-pci-hotplug-with-bridge-support");
    match guest::qemu_version(document, context.facts) {
        QemuVersion::Exactly(version) if version < since => {
            return too_old(document, &property, version);
        }
        // Every QEMU that libvirt has accepted since 2014 has the i440fx property.
        QemuVersion::Unknown if driver == "ICH9-LPC" => return unknown(document),
        QemuVersion::AtLeast(version) if version < since => return unknown(document),
        _ => {}
    }
    let patch =
        Patch::new("hotplug", include_str!("../../patches/hotplug.xml")).with("property", property);
    Ensure::new(
        patch,
        "with ACPI hotplug on, macOS stops at '[PCI configuration begin]' or does not see the NIC",
        "ACPI PCI hotplug with bridge support is off",
    )
    .noting((driver == "PIIX4_PM").then(|| {
        format!(
            "'{}' is an i440fx machine, and macOS expects the PCI Express of q35; --set machine.convert=yes converts it",
            guest::machine_name(document)
        )
    }))
    .warning(machine::doubt(document, context))
    .into()
}

fn too_old(document: &Document<'_>, property: &str, version: Version) -> Outcome {
    let there = qemu::groups(document.root()).iter().any(|group| {
        group.option == "global" && options::property(group.value()).as_deref() == Some(property)
    });
    if !there {
        return Outcome::NotApplicable(format!("QEMU {version} has no such hotplug"));
    }
    let patch = Patch::new("hotplug", include_str!("../../patches/hotplug-remove.xml"))
        .with("property", property);
    Ensure::new(
        patch,
        format!("QEMU {version} does not know {property} and refuses to start with it"),
        "",
    )
    .into()
}

fn unknown(document: &Document<'_>) -> Outcome {
    let emulator = document
        .text_at(&["devices", "emulator"])
        .unwrap_or("an emulator");
    Outcome::blocked(format!(
        "the version of QEMU is unknown, and one before 6.1 refuses to start with this property; nothing is known of '{emulator}': install QEMU here, or give the facts of the host that has it with --host FILE"
    ))
}
