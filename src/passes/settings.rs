//! Settings: what a user asks of the passes, from a profile, options and `--set KEY=VALUE`.
//!
//! Every pass declares its own; a value is checked when it is set, so a pass can rely on it.

use std::collections::BTreeMap;

use super::PASSES;
use crate::host::Version;
use crate::macos::{Choice, MACS, Mac, Release};
use crate::text;

/// One setting a pass understands.
#[derive(Debug)]
pub struct Setting {
    /// `PASS.NAME`.
    pub key: &'static str,
    /// What it takes, for `list`.
    pub values: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Says what a value should be, when it is not.
    pub check: fn(&str) -> Result<(), String>,
}

/// Settings that belong to no single pass.
pub const GENERAL: &[Setting] = &[
    Setting {
        key: "host.libvirt",
        values: "VERSION",
        about: "plan for this version of libvirt, e.g. 9.0.0",
        check: |value| match value.parse::<Version>() {
            Ok(_) => Ok(()),
            Err(_) => Err("it is a version like 9.0.0".to_owned()),
        },
    },
    Setting {
        key: "macos",
        values: "RELEASE",
        about: "the macOS release the guest is to run, by name or number: sonoma, 10.15 (option --macos)",
        check: |value| Release::find(value).map(|_| ()),
    },
    Setting {
        key: "mac.model",
        values: "MODEL",
        about: "the Mac the guest stands for; without 'macos' its newest release is meant",
        check: mac_model,
    },
];

/// The values that were set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
}

/// A setting that does not exist, or a value it does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error("unknown setting '{key}'")]
    Unknown {
        /// The key as given.
        key: String,
        /// The nearest one there is.
        nearest: Option<&'static str>,
    },
    /// A value out of its range.
    #[error("'{value}' does not fit the setting '{key}': {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What it takes.
        reason: String,
    },
}

/// Every setting there is, in the order of the passes.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    PASSES.iter().flat_map(|pass| pass.settings).chain(GENERAL)
}

impl Settings {
    /// Sets one key.
    ///
    /// # Errors
    /// An unknown key (with the nearest), or a value it does not take.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let Some(setting) = all().find(|setting| setting.key == key) else {
            return Err(SettingError::Unknown {
                key: key.to_owned(),
                nearest: text::nearest(key, all().map(|setting| setting.key)),
            });
        };
        (setting.check)(value).map_err(|reason| SettingError::Value {
            key: setting.key,
            // An OSK is not repeated in messages: it may be the user's own.
            value: if key == "applesmc.osk" { "…" } else { value }.to_owned(),
            reason,
        })?;
        self.values.insert(setting.key, value.to_owned());
        Ok(())
    }

    /// Forgets a key.
    pub fn unset(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// The value of a key, when it was set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of a key that takes numbers.
    pub fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.trim().parse().ok()
    }

    /// The macOS release the guest is to run, and why that one.
    pub fn macos(&self) -> Choice {
        Choice::of(self.get("macos"), self.get("mac.model"))
    }

    /// The version of libvirt to plan for, when one was set.
    pub fn libvirt(&self) -> Option<Version> {
        self.get("host.libvirt")?.parse().ok()
    }
}

fn mac_model(value: &str) -> Result<(), String> {
    if Mac::find(value).is_some() {
        return Ok(());
    }
    let models: Vec<&str> = MACS.iter().map(|mac| mac.model).collect();
    Err(format!("there are {}", text::list(&models)))
}

/// A check for one of several words.
///
/// # Errors
/// The words it takes.
pub fn one_of(value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) {
        Ok(())
    } else {
        Err(format!("it is {}", words.join(" or ")))
    }
}

/// A check for an absolute path: libvirt stores a relative one as it is, and the start fails.
///
/// # Errors
/// A relative path.
pub fn absolute_path(value: &str) -> Result<(), String> {
    if value.starts_with('/') {
        Ok(())
    } else {
        Err("libvirt needs an absolute path".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::passes::applesmc::PUBLISHED_OSK;

    #[test]
    fn values_out_of_range_are_refused_with_what_fits() {
        for (key, value, message) in [
            (
                "topology.threads",
                "4",
                "'4' does not fit the setting 'topology.threads': it is 1 or 2",
            ),
            (
                "topology.vcpus",
                "0",
                "'0' does not fit the setting 'topology.vcpus': a guest has at least 1 vCPU; the nearest are 1 and 2",
            ),
            (
                "topology.vcpus",
                "6",
                "'6' does not fit the setting 'topology.vcpus': macOS boots with a power of two only; the nearest are 4 and 8; for 6: --set fake-core-count.vcpus=6",
            ),
            (
                "topology.vcpus",
                "128",
                "'128' does not fit the setting 'topology.vcpus': macOS knows at most 64 processors; the nearest is 64",
            ),
            (
                "firmware.loader",
                "a.fd",
                "'a.fd' does not fit the setting 'firmware.loader': libvirt needs an absolute path",
            ),
            (
                "applesmc.osk",
                "short",
                "'…' does not fit the setting 'applesmc.osk': the OSK has 64 characters, this has 5",
            ),
            (
                "cpu-override.model",
                "a,b",
                "'a,b' does not fit the setting 'cpu-override.model': it is one name such as Skylake-Client; features go into cpu-override.features",
            ),
            ("topology.thread", "2", "unknown setting 'topology.thread'"),
            (
                "macos",
                "senoma",
                "'senoma' does not fit the setting 'macos': did you mean 'sonoma'?",
            ),
            (
                "mac.model",
                "MacPro6,1",
                "'MacPro6,1' does not fit the setting 'mac.model': there are MacPro7,1, MacPro5,1, MacPro4,1, MacPro3,1 and MacPro2,1",
            ),
        ] {
            assert_eq!(
                Settings::default().set(key, value).unwrap_err().to_string(),
                message
            );
        }
        let mut settings = Settings::default();
        settings.set("applesmc.osk", PUBLISHED_OSK).unwrap();
        settings.set("topology.vcpus", "8").unwrap();
        assert_eq!(settings.number("topology.vcpus"), Some(8));
    }

    #[test]
    fn every_key_is_unique_and_begins_with_its_pass() {
        let mut keys: Vec<&str> = all().map(|setting| setting.key).collect();
        for pass in PASSES {
            for setting in pass.settings {
                assert!(
                    setting.key.starts_with(&format!("{}.", pass.name)),
                    "{}",
                    setting.key
                );
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
