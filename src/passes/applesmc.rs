//! Give the guest the System Management Controller macOS asks for its key.
//!
//! **Ensures** one `-device isa-applesmc` with the OSK.
//! **Why.** macOS decrypts its own binaries with a key it reads from the SMC; without it the
//! boot stops. QEMU checks nothing but the key's length and starts with a warning in a log, so a
//! stored key is compared as a whole here.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** other properties of an existing device (`iobase`).
//! **Blocked** when the emulator is known not to have the device (RHEL's builds).
//!
//! ```xml,before
//! <qemu:commandline>
//!   <qemu:arg value='-device'/>
//!   <qemu:arg value='isa-applesmc,osk=wrong'/>
//! </qemu:commandline>
//! ```
//! ```xml,after
//! <qemu:commandline>
//!   <qemu:arg value='-device'/>
//!   <qemu:arg value='isa-applesmc,osk=ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc'/>
//! </qemu:commandline>
//! ```

use super::settings::Setting;
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, qemu};
use crate::merge::{Patch, options};

/// The pass.
pub const PASS: Pass = Pass {
    name: "applesmc",
    summary: "one isa-applesmc device with the OSK",
    source: include_str!("applesmc.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: true,
        machine: false,
    },
    files: super::no_files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "applesmc.osk",
    values: "TEXT",
    about: "the 64 characters of the SMC key (options --osk, --osk-file, VIRT_PATCH_OSK)",
    check: osk,
}];

/// The OSK that QEMU's own documentation and DarwinKVM's publish.
pub(super) const PUBLISHED_OSK: &str =
    "ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc";

const DEVICE: &str = "isa-applesmc";

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    if let Some(path) = emulator_without_device(document, context) {
        return Outcome::blocked(format!(
            "'{path}' has no {DEVICE} device and would not start with it (RHEL builds leave it out); use another QEMU build as <emulator>"
        ));
    }
    let wanted = context
        .settings
        .get("applesmc.osk")
        .unwrap_or(PUBLISHED_OSK);
    let have: Vec<Option<String>> = qemu::groups(document.root())
        .iter()
        .filter(|group| {
            group.option == "device"
                && options::driver(group.value()).is_some_and(|(driver, _)| driver == DEVICE)
        })
        .map(|group| options::get(group.value(), "osk"))
        .collect();
    let reason = match have.as_slice() {
        [] => "macOS reads a key from the SMC and stops without it".to_owned(),
        [_, .., last] => format!(
            "{} {DEVICE} devices share one I/O port; one is right{}",
            have.len(),
            match last {
                Some(osk) if osk == wanted => "",
                _ => ", with the wanted OSK, which the last of them lacks",
            }
        ),
        [None] => format!("the {DEVICE} device has no osk"),
        [Some(osk)] if osk.chars().count() != 64 => format!(
            "the stored OSK has {} characters instead of 64",
            osk.chars().count()
        ),
        [Some(_)] => "the stored OSK differs from the wanted one; QEMU would not notice".to_owned(),
    };
    let patch = Patch::new("applesmc", include_str!("../../patches/applesmc.xml"))
        .with("osk", options::escape(wanted));
    Ensure::new(patch, reason, format!("one {DEVICE} device with the OSK")).into()
}

/// The path of the emulator, when it is known not to have the device.
fn emulator_without_device(document: &Document<'_>, context: &Context<'_>) -> Option<String> {
    const RHEL: &str = "/usr/libexec/qemu-kvm";
    let named = document.text_at(&["devices", "emulator"]);
    match guest::emulator(document, context.facts) {
        Some(emulator) if named.is_none_or(|named| named == emulator.path) => {
            let missing = emulator
                .missing_devices
                .iter()
                .any(|device| device == DEVICE);
            missing.then(|| emulator.path.clone())
        }
        // Only RHEL and its rebuilds have QEMU there, and no facts say otherwise.
        _ => named.filter(|named| *named == RHEL).map(str::to_owned),
    }
}

/// QEMU looks at nothing but the length, and says no more than "invalid key" in a log.
fn osk(value: &str) -> Result<(), String> {
    let count = value.chars().count();
    if count != 64 {
        return Err(format!("the OSK has 64 characters, this has {count}"));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the OSK has visible ASCII characters only".to_owned());
    }
    Ok(())
}
