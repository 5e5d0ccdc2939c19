//! Profiles: TOML files that choose passes, patches and settings.

use serde::Deserialize;

use crate::text;

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Its name, lower case.
    pub name: String,
    /// One line.
    pub summary: String,
    /// The comment at the head of its file.
    pub explanation: String,
    /// Passes, in the order the profile lists them.
    pub passes: Vec<String>,
    /// Passes that complete a machine made from the template. On an existing domain each of them
    /// runs when one of its own settings is given, or when it is named with `--pass`.
    pub template_passes: Vec<String>,
    /// Patches, after the passes.
    pub patches: Vec<String>,
    /// Settings, as for `--set`.
    pub settings: Vec<(String, String)>,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No such profile.
    #[error("unknown profile '{name}'")]
    Unknown {
        /// The name as given.
        name: String,
        /// The nearest one there is.
        nearest: Option<&'static str>,
    },
    /// The file is no profile.
    #[error("cannot read the profile '{name}': {message}")]
    Malformed {
        /// Name or path.
        name: String,
        /// What is wrong, with line and column.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    passes: Vec<String>,
    #[serde(default, rename = "template-passes")]
    template_passes: Vec<String>,
    #[serde(default)]
    patches: Vec<String>,
    #[serde(default)]
    settings: toml::Table,
}

/// The shipped profiles: name and file.
pub const SHIPPED: &[(&str, &str)] = &[
    ("macpro7,1", include_str!("../patches/macpro7,1.toml")),
    ("macpro5,1", include_str!("../patches/macpro5,1.toml")),
    ("macpro4,1", include_str!("../patches/macpro4,1.toml")),
    ("macpro3,1", include_str!("../patches/macpro3,1.toml")),
    ("macpro2,1", include_str!("../patches/macpro2,1.toml")),
];

/// What runs when no profile is named.
pub const DEFAULT: &str = "macpro7,1";

impl Profile {
    /// The shipped profile of this name, in any case.
    ///
    /// # Errors
    /// There is none (with the nearest).
    pub fn shipped(name: &str) -> Result<Profile, ProfileError> {
        let found = SHIPPED
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        match found {
            Some((name, file)) => Profile::parse(name, file),
            None => Err(ProfileError::Unknown {
                name: name.to_owned(),
                nearest: text::nearest(name, SHIPPED.iter().map(|(name, _)| *name)),
            }),
        }
    }

    /// Reads a profile's file.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a value of the wrong type.
    pub fn parse(name: &str, file: &str) -> Result<Profile, ProfileError> {
        let parsed: File = toml::from_str(file).map_err(|error| ProfileError::Malformed {
            name: name.to_owned(),
            message: error.to_string().trim().to_owned(),
        })?;
        let mut settings = Vec::new();
        flatten("", &parsed.settings, &mut settings);
        Ok(Profile {
            name: name.to_owned(),
            summary: parsed.summary,
            explanation: head_comment(file),
            passes: parsed.passes,
            template_passes: parsed.template_passes,
            patches: parsed.patches,
            settings,
        })
    }
}

/// `[settings.topology] vcpus = 4` → `topology.vcpus`, `4`.
fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(table) => flatten(&key, table, out),
            toml::Value::String(text) => out.push((key, text.clone())),
            toml::Value::Integer(number) => out.push((key, number.to_string())),
            toml::Value::Boolean(true) => out.push((key, "yes".to_owned())),
            toml::Value::Boolean(false) => out.push((key, "no".to_owned())),
            other => out.push((key, format!("a {}", other.type_str()))),
        }
    }
}

fn head_comment(file: &str) -> String {
    file.lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::passes;
    use crate::passes::settings::Settings;

    #[test]
    fn every_shipped_profile_names_what_exists() {
        for (name, _) in SHIPPED {
            let profile = Profile::shipped(&name.to_uppercase()).unwrap();
            assert!(!profile.explanation.is_empty());
            for pass in profile.passes.iter().chain(&profile.template_passes) {
                assert!(passes::find(pass).is_some(), "{name}: {pass}");
            }
            let mut settings = Settings::default();
            for (key, value) in &profile.settings {
                settings.set(key, value).unwrap();
            }
        }
    }

    #[test]
    fn a_slip_in_the_name_is_understood() {
        let error = Profile::shipped("macpro71").unwrap_err();
        assert!(matches!(
            error,
            ProfileError::Unknown {
                nearest: Some("macpro7,1"),
                ..
            }
        ));
    }
}
