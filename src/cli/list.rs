//! `virt-patch list`: passes, profiles, patches and settings, explained from their own files.

use serde_json::json;

use super::args::ListArgs;
use super::errors::Advice;
use super::{Exit, World};
use crate::hypervisor::Mode;
use crate::macos::{MACS, Mac};
use crate::passes::settings;
use crate::passes::{PASSES, explanation};
use crate::profile::{self, Profile};
use crate::text;

pub(crate) fn run(args: &ListArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    if args.domains {
        let connection = world.open(Mode::ReadOnly)?;
        let names: String = connection
            .domains()?
            .iter()
            .map(|domain| format!("{}\n", domain.name))
            .collect();
        world.out.print(&names)?;
        return Ok(Exit::Done);
    }
    let entries = entries()?;
    let out = match &args.name {
        None if args.json => json(&entries),
        None => overview(&entries),
        Some(name) if name == "settings" => all_settings(),
        Some(name) => {
            let entry = entries
                .iter()
                .find(|entry| entry.name.eq_ignore_ascii_case(name))
                .ok_or_else(|| unknown(name, &entries))?;
            if args.json {
                format!("{}\n", entry.json())
            } else {
                entry.explained()
            }
        }
    };
    world.out.print(&out)?;
    Ok(Exit::Done)
}

struct Entry {
    kind: &'static str,
    name: String,
    summary: String,
    explanation: String,
    contents: Vec<(&'static str, String)>,
}

impl Entry {
    fn json(&self) -> serde_json::Value {
        json!({
            "format": 1,
            "kind": self.kind,
            "name": self.name,
            "summary": self.summary,
            "explanation": self.explanation,
        })
    }

    fn explained(&self) -> String {
        let mut out = format!("{} {}: {}\n\n", self.kind, self.name, self.summary);
        out.push_str(self.explanation.trim_end());
        out.push('\n');
        if !self.contents.is_empty() {
            out.push('\n');
        }
        for (what, value) in &self.contents {
            out.push_str(&format!("{what:<10} {value}\n"));
        }
        out
    }
}

fn entries() -> anyhow::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = PASSES
        .iter()
        .map(|pass| Entry {
            kind: "pass",
            name: pass.name.to_owned(),
            summary: pass.summary.to_owned(),
            explanation: explanation(pass.source),
            contents: pass
                .settings
                .iter()
                .map(|setting| {
                    (
                        "--set",
                        format!("{}={}   {}", setting.key, setting.values, setting.about),
                    )
                })
                .collect(),
        })
        .collect();
    for (name, _) in profile::SHIPPED {
        let profile = Profile::shipped(name)?;
        let mut contents = vec![("passes", profile.passes.join(", "))];
        contents.push(("template", profile.template_passes.join(", ")));
        contents.retain(|(_, value)| !value.is_empty());
        contents.extend(chart(&profile));
        contents.extend(
            profile
                .settings
                .iter()
                .map(|(key, value)| ("setting", format!("{key}={value}"))),
        );
        entries.push(Entry {
            kind: "profile",
            name: profile.name,
            summary: profile.summary,
            explanation: profile.explanation,
            contents,
        });
    }
    Ok(entries)
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
        ("profile", "Profiles"),
    ] {
        out.push_str(&format!("{title}\n"));
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            out.push_str(&format!("  {:<14} {}\n", entry.name, entry.summary));
        }
        out.push('\n');
    }
    out.push_str(
        "'virt-patch list NAME' explains one; 'virt-patch list settings' shows what --set takes\n",
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

fn unknown(name: &str, entries: &[Entry]) -> Advice {
    let names = || entries.iter().map(|entry| entry.name.as_str());
    let help = match text::nearest(name, names()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => "'virt-patch list' shows all".to_owned(),
    };
    Advice::new(format!("there is no pass, profile or patch '{name}'"), help)
}
