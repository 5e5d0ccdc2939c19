//! Give a new machine its name, description and UUID.
//!
//! **Ensures** the name (`--name`; `macOS-MP71` for a MacPro7,1), a description that says what the
//! guest stands for, and a fresh UUID.
//! **Why.** libvirt knows a domain by name and UUID; two of one name cannot be defined.
//! **Applies when** the machine is made from the template.
//! **Leaves alone** an existing domain: a new name would make another domain of it.
//!
//! ```xml,before
//! <name>vm</name>
//! ```
//! ```xml,after
//! <name>macOS-MP71</name>
//! <uuid>6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55</uuid>
//! <description>macOS on a MacPro7,1 using Cascadelake-Server</description>
//! ```

use super::settings::Setting;
use super::{Context, Ensure, Needs, Outcome, Pass};
use crate::document::Document;
use crate::macos::Mac;
use crate::merge::Patch;

/// The pass.
pub const PASS: Pass = Pass {
    name: "machine-name",
    summary: "name, description and UUID of a new machine",
    source: include_str!("machine_name.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "machine-name.name",
        values: "NAME",
        about: "the name of a new machine (option --name)",
        check: name,
    },
    Setting {
        key: "machine-name.uuid",
        values: "UUID",
        about: "its UUID, instead of a fresh one",
        check: uuid,
    },
    Setting {
        key: "machine-name.description",
        values: "TEXT",
        about: "its description",
        check: |_| Ok(()),
    },
];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if !context.template {
        return Outcome::NotApplicable(
            "an existing domain keeps its name, description and UUID".to_owned(),
        );
    }
    let settings = context.settings;
    let mac = settings.get("mac.model").and_then(Mac::find);
    let present = document.text_at(&["name"]).unwrap_or_default();
    let name = match (settings.get("machine-name.name"), mac) {
        (Some(name), _) => name.to_owned(),
        (None, Some(mac)) => usual_name(mac),
        (None, None) => present.to_owned(),
    };
    let description = settings
        .get("machine-name.description")
        .map(str::to_owned)
        .or_else(|| described(mac?, settings.get("cpu-override.model")));
    // One that is there is the domain's that this definition takes the place of.
    let uuid = document
        .text_at(&["uuid"])
        .or_else(|| settings.get("machine-name.uuid"));
    let mut patch = Patch::new(
        "machine-name",
        include_str!("../../patches/machine-name.xml"),
    )
    .with("name", name.as_str());
    for (element, text) in [("uuid", uuid), ("description", description.as_deref())] {
        if let Some(text) = text {
            let mut added = xmltree::Element::new(element);
            added.children.push(xmltree::XMLNode::Text(text.to_owned()));
            patch.add(&[], crate::merge::Op::Merge, added);
        }
    }
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    let note = digits.then(|| format!("virsh takes '{name}' for the ID of a running domain first"));
    Ensure::new(
        patch,
        format!("a new machine, '{name}'"),
        format!("the machine is called '{name}'"),
    )
    .noting(note)
    .into()
}

/// The name of a machine that was given none.
pub(crate) fn usual_name(mac: &Mac) -> String {
    format!("macOS-{}", short(mac.model))
}

/// `MacPro7,1` → `MP71`.
fn short(model: &str) -> String {
    model
        .chars()
        .filter(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        .collect()
}

fn described(mac: &Mac, cpu: Option<&str>) -> Option<String> {
    let using = cpu.map_or_else(String::new, |cpu| format!(" using {cpu}"));
    Some(format!("macOS on a {}{using}", mac.model))
}

fn name(value: &str) -> Result<(), String> {
    if value.trim().is_empty() || value.trim() != value {
        return Err("a name is not empty, and has no space at its ends".to_owned());
    }
    if value.contains('/') || value.chars().any(char::is_control) {
        return Err("libvirt refuses a name with a slash or a line break".to_owned());
    }
    Ok(())
}

fn uuid(value: &str) -> Result<(), String> {
    let groups: Vec<&str> = value.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hexadecimal = value
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if hexadecimal && lengths == [8, 4, 4, 4, 12] {
        Ok(())
    } else {
        Err("it is like 6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55".to_owned())
    }
}
