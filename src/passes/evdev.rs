//! Let the guest have a keyboard and a mouse of the host.
//!
//! **Ensures** an `<input type='evdev'>` for each device that was named, by its name in
//! /dev/input/by-id, which stays the same when it is plugged in again. The keyboard takes the mouse
//! along: both Ctrl keys give them to the guest, and back to the host.
//! **Why.** With a passed-through GPU the picture is on a monitor of its own, and input through a window
//! on the host is slow and gets lost.
//! **Applies when** a device is named. Needs libvirt 7.4.
//! **Leaves alone** other input devices.
//! **Blocked** when the device is not there, or libvirt is too old.
//!
//! ```xml,before
//! <devices/>
//! ```
//! ```xml,after
//! <devices>
//!   <input type='evdev'>
//!     <source dev='/dev/input/by-id/usb-Keyboard-event-kbd' grab='all' repeat='on'/>
//!   </input>
//!   <input type='evdev'>
//!     <source dev='/dev/input/by-id/usb-Mouse-event-mouse'/>
//!   </input>
//! </devices>
//! ```

use super::elements::{element, with};
use super::settings::{Setting, Settings};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::host::{Device, Version};
use crate::merge::{Op, Patch};

/// The pass.
pub const PASS: Pass = Pass {
    name: "evdev",
    summary: "a keyboard and a mouse of the host, by name",
    source: include_str!("evdev.rs"),
    needs: Needs {
        // With it comes the version of libvirt.
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: |_, settings, _| {
        devices(settings)
            .into_iter()
            .map(|(_, path)| path)
            .collect()
    },
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "evdev.keyboard",
        values: "NAME",
        about: "a name in /dev/input/by-id that ends in -event-kbd, or a path",
        check: name,
    },
    Setting {
        key: "evdev.mouse",
        values: "NAME",
        about: "a name in /dev/input/by-id that ends in -event-mouse, or a path",
        check: name,
    },
];

/// The first libvirt with evdev input.
const SINCE: Version = Version::new(7, 4, 0);

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let devices = devices(context.settings);
    if devices.is_empty() {
        return Outcome::NotApplicable(
            "no device was named; --set evdev.keyboard=NAME and --set evdev.mouse=NAME do (ls /dev/input/by-id)"
                .to_owned(),
        );
    }
    let libvirt = context.settings.libvirt().or(context.facts.libvirt);
    if let Some(version) = libvirt.filter(|version| *version < SINCE) {
        return Outcome::blocked(format!(
            "libvirt {version} does not know evdev input, {SINCE} does; leave evdev out, or pass the USB devices through"
        ));
    }
    for (_, path) in &devices {
        let fact = context.facts.files.get(path);
        if fact.is_some_and(|fact| fact.device != Some(Device::Character)) {
            return Outcome::blocked(format!(
                "the host has no input device '{path}'; 'ls /dev/input/by-id' shows those it has"
            ));
        }
    }
    let mut patch = Patch::new("evdev", "<domain/>");
    for (kind, path) in &devices {
        let mut source = vec![("dev", path.as_str())];
        if *kind == "keyboard" {
            source.extend([("grab", "all"), ("repeat", "on")]);
        }
        let input = element("input", &[("type", "evdev")]);
        patch.add(
            &["devices"],
            Op::Merge,
            with(input, [element("source", &source)]),
        );
    }
    let kinds: Vec<&str> = devices.iter().map(|(kind, _)| *kind).collect();
    let kinds = kinds.join(" and ");
    let by_number = devices
        .iter()
        .filter(|(_, path)| !path.contains("/by-id/") && !path.contains("/by-path/"))
        .map(|(_, path)| {
            format!("'{path}' may be another device after the next start of the host; names in /dev/input/by-id stay")
        });
    Ensure::new(
        patch,
        format!("{kind} of the host, for the guest", kind = kinds),
        format!("the guest has the {kinds} of the host"),
    )
    .noting(by_number)
    .into()
}

/// What was named, as paths.
fn devices(settings: &Settings) -> Vec<(&'static str, String)> {
    [("keyboard", "evdev.keyboard"), ("mouse", "evdev.mouse")]
        .into_iter()
        .filter_map(|(kind, key)| {
            let name = settings.get(key)?.trim();
            let path = match name.starts_with('/') {
                true => name.to_owned(),
                false => format!("/dev/input/by-id/{name}"),
            };
            Some((kind, path))
        })
        .collect()
}

fn name(value: &str) -> Result<(), String> {
    let value = value.trim();
    let is_name = !value.is_empty() && !value.contains('/');
    if is_name || value.starts_with("/dev/") {
        Ok(())
    } else {
        Err("it is a name in /dev/input/by-id, or a path below /dev".to_owned())
    }
}
