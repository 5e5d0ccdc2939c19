//! The JSON schema of profiles, made from the passes and patches there are, so that an editor
//! completes what this program knows.

use serde_json::{Map, Value, json};

use super::INHERITED;
use crate::macos::RELEASES;
use crate::merge::Patch;
use crate::passes::PASSES;
use crate::passes::settings::{self, Setting};
use crate::patches;

/// The schema (JSON Schema 2020-12). TOML editors take it as they take one for JSON.
pub fn schema() -> Value {
    let passes: Vec<Value> = PASSES
        .iter()
        .map(|pass| json!({ "const": pass.name, "description": pass.summary }))
        .chain([inherited("passes")])
        .collect();
    let patches: Vec<Value> = patches::SHIPPED
        .iter()
        .map(|(name, text)| json!({ "const": name, "description": summary(text) }))
        .chain([
            inherited("patches"),
            json!({ "type": "string", "description": "the name or the file of a patch of your own" }),
        ])
        .collect();
    let profiles: Vec<Value> = super::SHIPPED
        .iter()
        .map(|(name, _)| json!({ "const": name }))
        .chain([json!({ "type": "string", "description": "the name or the file of a profile of your own" })])
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "virt-patch profile",
        "description": "Which passes and patches run over a libvirt domain, and their settings.",
        "type": "object",
        "properties": {
            "summary": {
                "type": "string",
                "description": "What the profile is for, in one line.",
            },
            "extends": {
                "description": "The profile this one changes: what is given here takes the place of what it has.",
                "anyOf": profiles,
            },
            "passes": {
                "type": "array",
                "description": "The passes, in the order in which they run.",
                "items": { "anyOf": passes },
            },
            "template-passes": {
                "type": "array",
                "description": "Passes that complete a new machine made from the template.",
                "items": { "anyOf": passes },
            },
            "patches": {
                "type": "array",
                "description": "Merge patches, in the order in which they run, after the passes.",
                "items": { "anyOf": patches },
            },
            "settings": {
                "type": "object",
                "description": "Settings of passes, and values of patches, as for --set.",
                "properties": all_settings(),
                // For the values of patches of one's own.
                "additionalProperties": { "type": ["object", "string", "integer", "number", "boolean"] },
            },
        },
        "additionalProperties": false,
        // A profile that runs nothing is refused.
        "anyOf": [
            { "required": ["passes"] },
            { "required": ["patches"] },
            { "required": ["extends"] },
        ],
    })
}

fn inherited(what: &str) -> Value {
    json!({ "const": INHERITED, "description": format!("the {what} of the extended profile") })
}

fn summary(patch: &str) -> String {
    let explanation = Patch::new("", patch).explanation();
    explanation.lines().next().unwrap_or_default().to_owned()
}

/// `topology.vcpus` stands in an object `topology`.
fn all_settings() -> Map<String, Value> {
    let mut sections = Map::new();
    for setting in settings::all() {
        match setting.key.split_once('.') {
            Some((section, name)) => insert(&mut sections, section, name, value_of(setting)),
            None => {
                sections.insert(setting.key.to_owned(), value_of(setting));
            }
        }
    }
    for (patch, text) in patches::SHIPPED {
        for declared in Patch::new(*patch, *text).declared().unwrap_or_default() {
            let mut value = json!({
                "type": ["string", "integer", "number", "boolean"],
                "description": declared.about,
            });
            if let (Some(default), Some(value)) = (declared.default, value.as_object_mut()) {
                value.insert("default".to_owned(), Value::from(default));
            }
            insert(&mut sections, patch, &declared.name, value);
        }
    }
    sections
}

fn value_of(setting: &Setting) -> Value {
    let description = format!("{}: {}", setting.values, setting.about);
    let words: Vec<&str> = setting.values.split('|').collect();
    // What stands for something is in capitals.
    let is_literal = |word: &&str| !word.contains(char::is_uppercase);
    if words.len() > 1 && words.iter().all(is_literal) {
        let numbers = words.iter().filter_map(|word| word.parse::<u32>().ok());
        let numbers = numbers.map(Value::from);
        let switches = words.iter().filter_map(|word| match *word {
            "yes" => Some(Value::from(true)),
            "no" => Some(Value::from(false)),
            _ => None,
        });
        let texts = words.iter().map(|word| Value::from(*word));
        let all: Vec<Value> = texts.chain(numbers).chain(switches).collect();
        return json!({ "enum": all, "description": description });
    }
    let mut value = json!({
        "type": ["string", "integer", "number", "boolean"],
        "description": description,
    });
    if let (true, Some(value)) = (setting.key == "macos", value.as_object_mut()) {
        let names: Vec<&str> = RELEASES.iter().map(|release| release.name).collect();
        value.insert("examples".to_owned(), Value::from(names));
    }
    value
}

fn insert(sections: &mut Map<String, Value>, section: &str, name: &str, value: Value) {
    let object = sections.entry(section).or_insert_with(
        || json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    );
    if let Some(properties) = object["properties"].as_object_mut() {
        properties.insert(name.to_owned(), value);
    }
}
