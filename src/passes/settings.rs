//! Settings: what a user asks of the passes, from a profile, options and `--set KEY=VALUE`.

use crate::host::Version;

/// The OSK that QEMU's own documentation and DarwinKVM's publish.
pub const PUBLISHED_OSK: &str = "ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc";

/// How the cpu-override reaches QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuStyle {
    /// `-cpu …` in `<qemu:commandline>`: hides `<cpu>` entirely.
    Commandline,
    /// `<cpu mode='custom'>` with `vendor_id`: topoext and the rest of `<cpu>` stay in force.
    Native,
}

/// Everything a pass may be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `topology.vcpus`: this many vCPUs.
    pub vcpus: Option<u32>,
    /// `topology.threads`: threads per core, 1 or 2.
    pub threads: Option<u32>,
    /// `cpu-override.model`: a QEMU CPU model.
    pub cpu_model: Option<String>,
    /// `cpu-override.features`: what the model needs besides, as QEMU writes it (`+rdrand`).
    pub cpu_features: Option<String>,
    /// `cpu-override.style`.
    pub cpu_style: Option<CpuStyle>,
    /// `firmware.loader`: this CODE image.
    pub loader: Option<String>,
    /// `firmware.nvram-template`: this VARS template.
    pub nvram_template: Option<String>,
    /// `firmware.prefer`: where to look first; `darwinudk` for the legacy Macs.
    pub prefer: Option<String>,
    /// `applesmc.osk`: the 64 characters; `None` means [`PUBLISHED_OSK`].
    pub osk: Option<String>,
    /// `host.libvirt`: plan for this version of libvirt whatever the host has.
    pub libvirt: Option<Version>,
}

/// One setting, for `--set`, profiles and `list`.
#[derive(Debug)]
pub struct Setting {
    /// `PASS.NAME`.
    pub key: &'static str,
    /// What it takes.
    pub values: &'static str,
    /// What it does.
    pub about: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
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

impl Settings {
    /// Sets one key.
    ///
    /// # Errors
    /// An unknown key (with the nearest), or a value it does not take.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let keys = SETTINGS.iter().map(|setting| setting.key);
            return Err(SettingError::Unknown {
                key: key.to_owned(),
                nearest: crate::text::nearest(key, keys),
            });
        };
        (setting.set)(self, value).map_err(|reason| SettingError::Value {
            key: setting.key,
            // An OSK is not repeated in messages: it may be the user's own.
            value: if key == "applesmc.osk" {
                "…".to_owned()
            } else {
                value.to_owned()
            },
            reason,
        })
    }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "firmware.loader",
        values: "PATH",
        about: "use this CODE image (option --loader)",
        set: |s, v| path(v).map(|v| s.loader = Some(v)),
    },
    Setting {
        key: "firmware.nvram-template",
        values: "PATH",
        about: "use this VARS template (option --nvram-template)",
        set: |s, v| path(v).map(|v| s.nvram_template = Some(v)),
    },
    Setting {
        key: "firmware.prefer",
        values: "darwinudk|none",
        about: "take DarwinUDK's build where it is installed",
        set: |s, v| match v {
            "darwinudk" | "none" => {
                s.prefer = Some(v.to_owned());
                Ok(())
            }
            _ => Err("it is darwinudk or none".to_owned()),
        },
    },
    Setting {
        key: "topology.vcpus",
        values: "N",
        about: "ask for this many vCPUs (option --vcpus)",
        set: |s, v| vcpus(v).map(|v| s.vcpus = Some(v)),
    },
    Setting {
        key: "topology.threads",
        values: "1|2",
        about: "threads per core",
        set: |s, v| match v {
            "1" | "2" => {
                s.threads = v.parse().ok();
                Ok(())
            }
            _ => Err("macOS takes 1 or 2".to_owned()),
        },
    },
    Setting {
        key: "applesmc.osk",
        values: "TEXT",
        about: "the 64 characters of the SMC key (options --osk, --osk-file, VIRT_PATCH_OSK)",
        set: |s, v| osk(v).map(|v| s.osk = Some(v)),
    },
    Setting {
        key: "cpu-override.model",
        values: "MODEL",
        about: "a QEMU CPU model (option --cpu-model); see 'qemu-system-x86_64 -cpu help'",
        set: |s, v| model(v).map(|v| s.cpu_model = Some(v)),
    },
    Setting {
        key: "cpu-override.features",
        values: "LIST",
        about: "features besides the model's, as QEMU writes them: +rdrand,-mpx",
        set: |s, v| features(v).map(|v| s.cpu_features = Some(v)),
    },
    Setting {
        key: "cpu-override.style",
        values: "commandline|native",
        about: "-cpu in qemu:commandline, or <cpu mode='custom'> with vendor_id",
        set: |s, v| {
            s.cpu_style = Some(match v {
                "commandline" => CpuStyle::Commandline,
                "native" => CpuStyle::Native,
                _ => return Err("it is commandline or native".to_owned()),
            });
            Ok(())
        },
    },
    Setting {
        key: "host.libvirt",
        values: "VERSION",
        about: "plan for this version of libvirt, e.g. 9.0.0",
        set: |s, v| match v.parse() {
            Ok(version) => {
                s.libvirt = Some(version);
                Ok(())
            }
            Err(_) => Err("it is a version like 9.0.0".to_owned()),
        },
    },
];

/// XNU takes the cores of a package from CPUID leaf 4, where QEMU rounds up to a power of two, and
/// knows 64 processors (`MAX_CPUS`).
fn vcpus(value: &str) -> Result<u32, String> {
    let Ok(count) = value.trim().parse::<u32>() else {
        return Err("it is a number".to_owned());
    };
    match count {
        0 => Err("a guest has at least 1 vCPU".to_owned()),
        65.. => Err("macOS knows at most 64 processors".to_owned()),
        _ if count.is_power_of_two() => Ok(count),
        _ => {
            let above = count.next_power_of_two();
            Err(format!(
                "macOS boots with a power of two only; the nearest are {} and {above}",
                above / 2
            ))
        }
    }
}

/// An absolute path: libvirt stores a relative one as it is, and the start fails later.
fn path(value: &str) -> Result<String, String> {
    if value.starts_with('/') {
        Ok(value.to_owned())
    } else {
        Err("libvirt needs an absolute path".to_owned())
    }
}

/// QEMU looks at nothing but the length, and says no more than "invalid key" in a log.
fn osk(value: &str) -> Result<String, String> {
    let count = value.chars().count();
    if count != 64 {
        return Err(format!("the OSK has 64 characters, this has {count}"));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the OSK has visible ASCII characters only".to_owned());
    }
    Ok(value.to_owned())
}

fn model(value: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || !value.chars().all(good) {
        return Err(
            "it is one name such as Skylake-Client; features go into cpu-override.features"
                .to_owned(),
        );
    }
    Ok(value.to_owned())
}

fn features(value: &str) -> Result<String, String> {
    let good = |feature: &str| {
        let name = feature.strip_prefix(['+', '-']);
        name.is_some_and(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
    };
    if value.is_empty() || value.split(',').all(good) {
        Ok(value.to_owned())
    } else {
        Err("write each as +name or -name, with commas between".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_with_what_fits() {
        for (key, value, message) in [
            (
                "topology.threads",
                "4",
                "'4' does not fit the setting 'topology.threads': macOS takes 1 or 2",
            ),
            (
                "topology.vcpus",
                "0",
                "'0' does not fit the setting 'topology.vcpus': it is a number from 1",
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
        ] {
            assert_eq!(
                Settings::default().set(key, value).unwrap_err().to_string(),
                message
            );
        }
        Settings::default()
            .set("applesmc.osk", PUBLISHED_OSK)
            .unwrap();
    }
}
