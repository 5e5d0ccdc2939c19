//! `virt-patch list`: passes, profiles, patches and settings, explained from their own files.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::args::ListArgs;
use super::errors::{Advice, InFile};
use super::{Exit, World, choice};
use crate::hypervisor::{DomainInfo, Mode};
use crate::macos::{MACS, Mac};
use crate::merge::{Declared, Patch};
use crate::passes::settings::{self, Setting};
use crate::passes::{PASSES, Pass, explanation};
use crate::patches::facts::NAMES;
use crate::patches::{self, Item, Kind, Library, Origin};
use crate::profile::{self, Part, Place, Profile};
use crate::text;

pub(crate) fn run(args: &ListArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    if args.domains {
        let connection = world.open(Mode::ReadOnly)?;
        let names: String = connection
            .domains()?
            .iter()
            .map(|domain| match args.json {
                true => format!("{}\n", of_domain(domain)),
                false => format!("{}\n", domain.name),
            })
            .collect();
        world.out.print(&names)?;
        return Ok(Exit::Done);
    }
    if args.profile_schema {
        world.out.print(&format!("{:#}\n", profile::schema()))?;
        return Ok(Exit::Done);
    }
    let library = Library::standard();
    let mut exit = Exit::Done;
    let out = match args.name.as_deref() {
        Some("settings") => all_settings(),
        Some("facts") => all_facts(),
        Some(name) => {
            let entry = find(name, &library)?;
            match args.json {
                true => format!("{}\n", entry.json()),
                false => entry.explained(),
            }
        }
        None => {
            let (entries, errors) = entries(&library);
            for error in &errors {
                world.out.error(error);
                exit = Exit::Error;
            }
            match args.json {
                true => json(&entries),
                false => overview(&entries),
            }
        }
    };
    world.out.print(&out)?;
    Ok(exit)
}

fn of_domain(domain: &DomainInfo) -> serde_json::Value {
    json!({
        "format": 1,
        "kind": "domain",
        "name": domain.name,
        "uuid": domain.uuid,
        "id": domain.id,
        "state": domain.state,
        "persistent": domain.persistent,
        "autostart": domain.autostart,
        "managed_save": domain.has_managed_save,
        "snapshots": domain.snapshots,
    })
}

/// Something that can be called by name.
pub(super) struct Entry {
    /// `pass`, `profile` or `patch`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    origin: Origin,
    /// What it does, in one line.
    pub(super) summary: String,
    explanation: String,
    contents: Vec<(&'static str, String)>,
    /// What it consists of, to the letter.
    text: String,
    /// What JSON says of its kind only.
    parts: serde_json::Map<String, serde_json::Value>,
}

impl Entry {
    fn json(&self) -> serde_json::Value {
        let mut entry = json!({
            "format": 1,
            "kind": self.kind,
            "name": self.name,
            "origin": origin(&self.origin),
            "summary": self.summary,
            "explanation": self.explanation,
        });
        if let Some(entry) = entry.as_object_mut() {
            entry.extend(self.parts.clone());
        }
        entry
    }

    fn explained(&self) -> String {
        let mut out = format!("{} {}: {}\n\n", self.kind, self.name, self.summary);
        if !self.explanation.is_empty() {
            out.push_str(self.explanation.trim_end());
            out.push_str("\n\n");
        }
        if let Origin::File(path) = &self.origin {
            out.push_str(&format!("{:<10} {}\n", "file", path.display()));
        }
        for (what, value) in &self.contents {
            out.push_str(&format!("{what:<10} {value}\n"));
        }
        if !self.text.is_empty() {
            out.push_str(&format!("\n{}\n", self.text.trim_end()));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Shipped => "shipped".to_owned(),
        Origin::File(path) => path.display().to_string(),
    }
}

/// What is called `name`: something with that name, or a file.
fn find(name: &str, library: &Library) -> anyhow::Result<Entry> {
    let here = Path::new("");
    if patches::is_file(Kind::Patch, name) && !name.ends_with(".toml") {
        let item = library.find(Kind::Patch, name, here);
        return patch(item.map_err(choice::not_found)?);
    }
    if patches::is_file(Kind::Profile, name) {
        let item = library.find(Kind::Profile, name, here);
        return profile(&item.map_err(choice::not_found)?, library);
    }
    let (entries, _) = entries(library);
    let found = entries
        .iter()
        .position(|entry| entry.name.eq_ignore_ascii_case(name));
    let unknown = unknown(name, &entries);
    if let Some(entry) = found.and_then(|at| entries.into_iter().nth(at)) {
        return Ok(entry);
    }
    // One that cannot be used says why.
    for kind in [Kind::Profile, Kind::Patch] {
        if let Ok(item) = library.find(kind, name, here) {
            match kind {
                Kind::Profile => profile(&item, library)?,
                Kind::Patch => patch(item)?,
            };
        }
    }
    Err(unknown.into())
}

/// Everything there is, and what cannot be used, which does not hide the rest.
pub(super) fn entries(library: &Library) -> (Vec<Entry>, Vec<anyhow::Error>) {
    let mut entries: Vec<Entry> = PASSES.iter().map(pass).collect();
    let mut errors = Vec::new();
    for kind in [Kind::Profile, Kind::Patch] {
        let (items, unreadable) = library.all(kind);
        errors.extend(unreadable.into_iter().map(anyhow::Error::from));
        for item in items {
            let entry = match kind {
                Kind::Profile => profile(&item, library),
                Kind::Patch => patch(item),
            };
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => errors.push(error),
            }
        }
    }
    (entries, errors)
}

fn pass(pass: &Pass) -> Entry {
    let setting = |setting: &Setting| {
        let text = format!("{}={}   {}", setting.key, setting.values, setting.about);
        ("--set", text)
    };
    Entry {
        kind: "pass",
        name: pass.name.to_owned(),
        origin: Origin::Shipped,
        summary: pass.summary.to_owned(),
        explanation: explanation(pass.source),
        contents: pass.settings.iter().map(setting).collect(),
        text: String::new(),
        parts: serde_json::Map::new(),
    }
}

fn profile(item: &Item, library: &Library) -> anyhow::Result<Entry> {
    let profile = Profile::load(item, library).map_err(choice::profile_error)?;
    let shown = item.shown();
    let other = |place: &Place| (place.file != shown).then(|| place.file.clone());
    let from = |part: Part, name: &str| profile.place(part, name).and_then(other);
    let mut contents = Vec::new();
    let mut parts = serde_json::Map::new();
    if !profile.extends.is_empty() {
        let extended = profile.extends.iter().zip(&profile.extended);
        let names: Vec<String> = extended
            .clone()
            .map(|(name, origin)| match origin {
                Origin::Shipped => name.clone(),
                Origin::File(path) => format!("{name} [{}]", path.display()),
            })
            .collect();
        contents.push(("extends", names.join(", ")));
        let parents = extended
            .map(|(name, its_origin)| json!({"name": name, "origin": origin(its_origin)}))
            .collect();
        parts.insert("extends".to_owned(), serde_json::Value::Array(parents));
    }
    for (what, key, part, names) in [
        ("passes", "passes", Part::Pass, &profile.passes),
        (
            "template",
            "template_passes",
            Part::Pass,
            &profile.template_passes,
        ),
        ("patches", "patches", Part::Patch, &profile.patches),
    ] {
        let placed: Vec<(&String, Option<String>)> =
            names.iter().map(|name| (name, from(part, name))).collect();
        if what == "passes" || !names.is_empty() {
            contents.push((what, names.join(", ")));
            contents.extend(taken_over(&placed));
        }
        let placed = placed
            .iter()
            .map(|(name, from)| with_place(json!({"name": name}), from.as_deref()))
            .collect();
        parts.insert(key.to_owned(), serde_json::Value::Array(placed));
    }
    contents.extend(chart(&profile));
    let mut settings = Vec::new();
    for (key, value, place) in profile.placed_settings() {
        let from = other(place);
        let origin = from.as_ref().map(|from| format!("   [{from}]"));
        let text = format!("{key}={value}{}", origin.unwrap_or_default());
        contents.push(("setting", text));
        settings.push(with_place(
            json!({"key": key, "value": value}),
            from.as_deref(),
        ));
    }
    parts.insert("settings".to_owned(), serde_json::Value::Array(settings));
    Ok(Entry {
        kind: Kind::Profile.word(),
        origin: item.origin.clone(),
        name: profile.name,
        summary: profile.summary,
        explanation: profile.explanation,
        contents,
        text: String::new(),
        parts,
    })
}

/// The names that a profile has from others, a line for each of these.
fn taken_over(placed: &[(&String, Option<String>)]) -> Vec<(&'static str, String)> {
    let mut files: Vec<&String> = Vec::new();
    for file in placed.iter().filter_map(|(_, from)| from.as_ref()) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let line = |file: &String| {
        let of_it: Vec<&str> = placed
            .iter()
            .filter(|(_, from)| from.as_ref() == Some(file))
            .map(|(name, _)| name.as_str())
            .collect();
        let names = match of_it.len() == placed.len() {
            true => "all".to_owned(),
            false => of_it.join(", "),
        };
        ("", format!("{names} [{file}]"))
    };
    files.into_iter().map(line).collect()
}

/// With the file or the shipped profile that something was taken over from.
fn with_place(mut entry: serde_json::Value, from: Option<&str>) -> serde_json::Value {
    if let (Some(entry), Some(from)) = (entry.as_object_mut(), from) {
        entry.insert("from".to_owned(), from.into());
    }
    entry
}

fn patch(item: Item) -> anyhow::Result<Entry> {
    let patch = Patch::new(item.shown(), item.text);
    let cannot = || format!("cannot use the patch '{}'", patch.name);
    let declared = patch
        .declared()
        .map_err(InFile::merge)
        .with_context(cannot)?;
    let explanation = patch.explanation();
    let (summary, rest) = match explanation.split_once('\n') {
        Some((summary, rest)) => (summary, rest.trim_start_matches('\n')),
        None => (explanation.as_str(), ""),
    };
    let value = |declared: &Declared| {
        let default = match &declared.default {
            Some(default) => format!("={default}"),
            None => "=…".to_owned(),
        };
        let text = format!(
            "{}.{}{default}   {}",
            item.name, declared.name, declared.about
        );
        ("--set", text)
    };
    Ok(Entry {
        kind: Kind::Patch.word(),
        origin: item.origin,
        summary: summary.trim_end_matches('.').to_owned(),
        explanation: rest.to_owned(),
        contents: declared.iter().map(value).collect(),
        text: without_head_comment(&patch.text).to_owned(),
        parts: serde_json::Map::new(),
        name: item.name,
    })
}

fn without_head_comment(text: &str) -> &str {
    match text.trim_start().strip_prefix("<!--") {
        Some(rest) => rest
            .split_once("-->")
            .map_or(text, |(_, rest)| rest.trim_start()),
        None => text,
    }
}

/// Which macOS releases the profile's Mac runs, beside the others.
fn chart(profile: &Profile) -> Vec<(&'static str, String)> {
    let model = profile
        .settings
        .iter()
        .find(|(key, _)| key == "mac.model")
        .map(|(_, model)| model.as_str());
    let Some(own) = model.and_then(Mac::find) else {
        return Vec::new();
    };
    MACS.iter()
        .map(|mac| {
            let mark = if mac == own { "  <- this one" } else { "" };
            let row = format!("{} ({}): {}{mark}", mac.model, mac.year, mac.range());
            ("macOS", row)
        })
        .collect()
}

fn overview(entries: &[Entry]) -> String {
    let mut out = String::new();
    for (kind, title) in [
        ("pass", "Passes, in the order they run"),
        ("profile", "Profiles (-p)"),
        ("patch", "Patches (--patch)"),
    ] {
        out.push_str(&format!("{title}\n"));
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            let line = format!("  {:<15} {}", entry.name, entry.summary);
            let origin = match &entry.origin {
                Origin::Shipped => String::new(),
                Origin::File(path) => format!(" [{}]", path.display()),
            };
            out.push_str(&format!("{}{origin}\n", line.trim_end()));
        }
        out.push('\n');
    }
    out.push_str(
        "'virt-patch list NAME' explains one; 'virt-patch list settings' shows what --set takes, \
         'virt-patch list facts' what patches can ask\n",
    );
    out
}

fn json(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| format!("{}\n", entry.json()))
        .collect()
}

fn all_settings() -> String {
    settings::all()
        .map(|setting| {
            format!(
                "{}={}\n    {}\n",
                setting.key, setting.values, setting.about
            )
        })
        .collect()
}

fn all_facts() -> String {
    let width = NAMES.iter().map(|name| name.name.len()).max().unwrap_or(0);
    NAMES
        .iter()
        .map(|name| format!("{:<width$}  {}\n", name.name, name.about))
        .collect()
}

fn unknown(name: &str, entries: &[Entry]) -> Advice {
    let names = || entries.iter().map(|entry| entry.name.as_str());
    let help = match text::nearest(name, names()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => "'virt-patch list' shows all".to_owned(),
    };
    Advice::new(format!("there is no pass, profile or patch '{name}'"), help)
}
