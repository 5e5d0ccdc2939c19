//! Profiles: TOML files that choose passes, patches and settings.
//!
//! A profile says what is to run; it knows nothing of what a pass or a patch does. Each thing it
//! names is kept with its place in the file, so that a mistake found later can be shown there.

mod schema;

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::Excerpt;
use crate::patches::{self, Item, Kind, Library, LibraryError, Origin};
use crate::text;

pub use schema::schema;

/// A profile, with everything it takes over from those it extends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Its name, lower case.
    pub name: String,
    /// One line.
    pub summary: String,
    /// The comment at the head of its file.
    pub explanation: String,
    /// The profiles it takes over from, the nearest first.
    pub extends: Vec<String>,
    /// Where those come from.
    pub extended: Vec<Origin>,
    /// Passes, in the order the profile lists them.
    pub passes: Vec<String>,
    /// Passes that complete a machine made from the template. On an existing domain each of them
    /// runs when one of its own settings is given, or when it is named with `--pass`.
    pub template_passes: Vec<String>,
    /// Patches, after the passes: names, or files with the directory of the profile.
    pub patches: Vec<String>,
    /// Settings, as for `--set`; of several for one key the last one counts.
    pub settings: Vec<(String, String)>,
    /// Where passes, patches and settings stand.
    places: Vec<(Part, String, Place)>,
}

/// A part of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `passes = […]`
    Pass,
    /// `patches = […]`
    Patch,
    /// `[settings]`
    Setting,
}

/// A place in a profile's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the name of a shipped profile.
    pub file: String,
    /// Line, column and the line itself.
    pub excerpt: Excerpt,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not to be had.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The file is no profile.
    #[error("{message}")]
    Malformed {
        /// What is wrong.
        message: String,
        /// What to write instead, where it is known.
        help: Option<String>,
        /// Where.
        place: Box<Place>,
    },
    /// The profile it extends cannot be used.
    #[error("cannot use the profile '{name}', which '{by}' extends")]
    Extends {
        /// The other profile.
        name: String,
        /// The one that was asked for.
        by: String,
        /// Why.
        source: Box<ProfileError>,
    },
}

/// The shipped profiles: name and file.
pub const SHIPPED: &[(&str, &str)] = &[
    ("macpro7,1", include_str!("../../patches/macpro7,1.toml")),
    ("macpro5,1", include_str!("../../patches/macpro5,1.toml")),
    ("macpro4,1", include_str!("../../patches/macpro4,1.toml")),
    ("macpro3,1", include_str!("../../patches/macpro3,1.toml")),
    ("macpro2,1", include_str!("../../patches/macpro2,1.toml")),
    (
        "linux-desktop",
        include_str!("../../patches/linux-desktop.toml"),
    ),
    (
        "windows-desktop",
        include_str!("../../patches/windows-desktop.toml"),
    ),
];

/// What runs when no profile is named.
pub const DEFAULT: &str = "macpro7,1";

/// In a list: what the extended profile has stands here.
pub const INHERITED: &str = "...";

impl Profile {
    /// The profile called `given`: a name, or a file.
    ///
    /// # Errors
    /// There is none (with the nearest), or it is no profile, or one of those it extends.
    pub fn find(given: &str, library: &Library) -> Result<Profile, ProfileError> {
        let item = library.find(Kind::Profile, given, Path::new(""))?;
        load(&item, library, &mut Vec::new())
    }

    /// The profile in a file or of the library that was read already.
    ///
    /// # Errors
    /// It is no profile, or one of those it extends is none.
    pub fn load(item: &Item, library: &Library) -> Result<Profile, ProfileError> {
        load(item, library, &mut Vec::new())
    }

    /// The shipped profile of this name, in any case.
    ///
    /// # Errors
    /// There is none (with the nearest).
    pub fn shipped(name: &str) -> Result<Profile, ProfileError> {
        Profile::find(name, &Library::default())
    }

    /// Where a pass, a patch or a setting stands.
    pub fn place(&self, part: Part, name: &str) -> Option<&Place> {
        self.places
            .iter()
            .rfind(|(its_part, its_name, _)| *its_part == part && its_name == name)
            .map(|(_, _, place)| place)
    }

    /// The settings with their places, in their order.
    pub fn placed_settings(&self) -> impl Iterator<Item = (&str, &str, &Place)> {
        // Both lists grow by one setting at a time.
        let places = self
            .places
            .iter()
            .filter(|(part, ..)| *part == Part::Setting);
        self.settings
            .iter()
            .zip(places)
            .map(|((key, value), (.., place))| (key.as_str(), value.as_str(), place))
    }
}

/// `open`: the profiles on the way here.
fn load(item: &Item, library: &Library, open: &mut Vec<Item>) -> Result<Profile, ProfileError> {
    let file = Reader {
        shown: item.shown(),
        text: &item.text,
        directory: match &item.origin {
            Origin::Shipped => PathBuf::new(),
            Origin::File(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        },
    };
    let mut own = file.read(&item.name)?;
    let Some((parent, place)) = own.extends else {
        return Ok(own.profile.over(
            Profile::default(),
            own.passes,
            own.template_passes,
            own.patches,
        ));
    };
    open.push(item.clone());
    // A profile may extend the one it hides.
    let beyond = match &item.origin {
        Origin::File(path) if parent == item.name => library.beyond(path),
        _ => library.clone(),
    };
    let path = beside(&file.directory, &parent);
    let found = match path.to_str() {
        Some(path) if patches::is_file(Kind::Profile, &parent) => {
            beyond.find(Kind::Profile, path, Path::new(""))
        }
        _ => beyond.find(Kind::Profile, &parent, &file.directory),
    }
    .map_err(|error| missing_parent(error, &place))?;
    if open.iter().any(|item| is_same(item, &found)) {
        return Err(ProfileError::Malformed {
            message: format!("'{parent}' extends this profile, so this one cannot extend it"),
            help: None,
            place: Box::new(place),
        });
    }
    own.profile.extended.push(found.origin.clone());
    let parent = load(&found, library, open).map_err(|source| ProfileError::Extends {
        name: parent,
        by: file.shown.clone(),
        source: Box::new(source),
    })?;
    Ok(own
        .profile
        .over(parent, own.passes, own.template_passes, own.patches))
}

/// Whether two are one, however the way to them is written.
fn is_same(one: &Item, other: &Item) -> bool {
    match (&one.origin, &other.origin) {
        (Origin::File(one), Origin::File(other)) => {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            real(one) == real(other)
        }
        _ => one == other,
    }
}

fn missing_parent(error: LibraryError, place: &Place) -> ProfileError {
    match error {
        LibraryError::Unknown { name, nearest, .. } => ProfileError::Malformed {
            message: format!("unknown profile '{name}'"),
            help: Some(match nearest {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => "'virt-patch list' shows all; a file has a '/' or ends in .toml".to_owned(),
            }),
            place: Box::new(place.clone()),
        },
        LibraryError::Read { ref source, .. } => ProfileError::Malformed {
            message: format!("{error}: {source}"),
            help: None,
            place: Box::new(place.clone()),
        },
    }
}

/// The path of a file that a profile in `directory` names.
fn beside(directory: &Path, given: &str) -> PathBuf {
    match given.strip_prefix("./") {
        Some(rest) if !directory.as_os_str().is_empty() => directory.join(rest),
        _ => directory.join(given),
    }
}

impl Profile {
    /// This profile on top of the one it extends.
    fn over(
        mut self,
        parent: Profile,
        passes: Option<Vec<String>>,
        template_passes: Option<Vec<String>>,
        patches: Option<Vec<String>>,
    ) -> Profile {
        self.passes = inherit(passes, &parent.passes);
        self.template_passes = inherit(template_passes, &parent.template_passes);
        self.patches = inherit(patches, &parent.patches);
        if !parent.name.is_empty() {
            self.extends.push(parent.name);
            self.extends.extend(parent.extends);
            self.extended.extend(parent.extended);
        }
        if self.summary.is_empty() {
            self.summary = parent.summary;
        }
        self.settings.splice(0..0, parent.settings);
        self.places.splice(0..0, parent.places);
        self
    }
}

/// A list that is given takes the place of the parent's, which `...` puts into it.
fn inherit(own: Option<Vec<String>>, parent: &[String]) -> Vec<String> {
    let Some(own) = own else {
        return parent.to_vec();
    };
    own.into_iter()
        .flat_map(|name| match name.as_str() {
            INHERITED => parent.to_vec(),
            _ => vec![name],
        })
        .collect()
}

/// One file.
struct Reader<'f> {
    shown: String,
    text: &'f str,
    directory: PathBuf,
}

/// What one file says by itself.
struct Own {
    profile: Profile,
    extends: Option<(String, Place)>,
    passes: Option<Vec<String>>,
    template_passes: Option<Vec<String>>,
    patches: Option<Vec<String>>,
}

/// The keys of a profile, for messages and the schema.
const KEYS: [&str; 6] = [
    "summary",
    "extends",
    "passes",
    "template-passes",
    "patches",
    "settings",
];

impl Reader<'_> {
    fn read(&self, name: &str) -> Result<Own, ProfileError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let message = format!("not TOML: {}", error.message().trim_end());
            self.error(error.span().unwrap_or(0..0), message, None)
        })?;
        let mut own = Own {
            profile: Profile {
                name: name.to_owned(),
                explanation: head_comment(self.text),
                ..Profile::default()
            },
            extends: None,
            passes: None,
            template_passes: None,
            patches: None,
        };
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "summary" => own.profile.summary = self.text_of("summary", value)?,
                "extends" => {
                    let parent = self.text_of("extends", value)?;
                    own.extends = Some((parent, self.place(value.span())));
                }
                "passes" => {
                    own.passes = Some(self.names("passes", value, &mut own.profile, Part::Pass)?);
                }
                "template-passes" => {
                    own.template_passes =
                        Some(self.names("template-passes", value, &mut own.profile, Part::Pass)?);
                }
                "patches" => {
                    own.patches =
                        Some(self.names("patches", value, &mut own.profile, Part::Patch)?);
                }
                "settings" => {
                    let Some(settings) = value.get_ref().as_table() else {
                        return Err(self.wrong("settings", value, "a table"));
                    };
                    self.settings("", settings, &mut own.profile)?;
                }
                unknown => {
                    let help = match text::nearest(unknown, KEYS.into_iter()) {
                        Some(nearest) => format!("did you mean '{nearest}'?"),
                        None => format!("there are {}", text::list(&KEYS)),
                    };
                    let message = format!("unknown key '{unknown}'");
                    return Err(self.error(key.span(), message, Some(help)));
                }
            }
        }
        if own.extends.is_none()
            && let Some((.., place)) = own
                .profile
                .places
                .iter()
                .find(|(_, name, _)| name == INHERITED)
        {
            return Err(ProfileError::Malformed {
                message: format!(
                    "'{INHERITED}' stands for a list of the profile that is extended, and none is"
                ),
                help: Some("write extends = \"macpro7,1\", or leave it out".to_owned()),
                place: Box::new(place.clone()),
            });
        }
        if own.passes.is_none() && own.patches.is_none() && own.extends.is_none() {
            let message = "it names no passes, no patches and no profile to extend".to_owned();
            let help = "write passes = [\"topology\"], or extends = \"macpro7,1\"".to_owned();
            return Err(self.error(0..0, message, Some(help)));
        }
        Ok(own)
    }

    fn text_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, ProfileError> {
        let text = value.get_ref().as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.wrong(key, value, "text in quotes"))
    }

    fn names(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        profile: &mut Profile,
        part: Part,
    ) -> Result<Vec<String>, ProfileError> {
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.wrong(key, value, "a list of names"));
        };
        let mut names = Vec::new();
        for element in array.iter() {
            let given = self.text_of(key, element)?;
            let name = match part {
                // Relative to the profile, wherever the program is run.
                Part::Patch if patches::is_file(Kind::Patch, &given) => {
                    let path = beside(&self.directory, &given);
                    path.to_string_lossy().into_owned()
                }
                // The library tells no capital letters apart where nothing has them as given.
                Part::Patch => given,
                _ => given.to_lowercase(),
            };
            let place = self.place(element.span());
            profile.places.push((part, name.clone(), place));
            names.push(name);
        }
        Ok(names)
    }

    /// `[settings.topology] vcpus = 4` → `topology.vcpus`, `4`.
    fn settings(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        profile: &mut Profile,
    ) -> Result<(), ProfileError> {
        // The parser sorts; the file's order decides which of two counts.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = match prefix {
                "" => key.get_ref().to_string(),
                prefix => format!("{prefix}.{}", key.get_ref()),
            };
            let text = match value.get_ref() {
                DeValue::Table(table) => {
                    self.settings(&name, table, profile)?;
                    continue;
                }
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(true) => "yes".to_owned(),
                DeValue::Boolean(false) => "no".to_owned(),
                DeValue::Integer(number) if number.radix() == 10 => number
                    .as_str()
                    .replace('_', "")
                    .trim_start_matches('+')
                    .to_owned(),
                DeValue::Float(number) => number.as_str().to_owned(),
                _ => return Err(self.wrong(&name, value, "text, a number, true or false")),
            };
            let place = self.place(key.span());
            profile.places.push((Part::Setting, name.clone(), place));
            profile.settings.push((name, text));
        }
        Ok(())
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, what: &str) -> ProfileError {
        let message = format!(
            "'{key}' takes {what}, and this is {}",
            with_article(value.get_ref().type_str())
        );
        self.error(value.span(), message, None)
    }

    fn error(&self, span: Range<usize>, message: String, help: Option<String>) -> ProfileError {
        ProfileError::Malformed {
            message,
            help,
            place: Box::new(self.place(span)),
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place {
            file: self.shown.clone(),
            excerpt: Excerpt::of(self.text, span.start),
        }
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

fn head_comment(file: &str) -> String {
    file.lines()
        .take_while(|line| line.starts_with('#'))
        // For editors, not for people: #:schema profile.schema.json
        .filter(|line| !line.starts_with("#:"))
        .map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests;
