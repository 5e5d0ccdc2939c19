#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use serde_json::Value;

use super::*;
use crate::passes;
use crate::passes::settings::Settings;

#[test]
fn every_shipped_profile_names_what_exists() {
    for (name, _) in SHIPPED {
        let profile = Profile::shipped(&name.to_uppercase()).unwrap();
        assert!(!profile.explanation.is_empty());
        assert!(!profile.summary.is_empty());
        for pass in &profile.passes {
            assert!(passes::find(pass).is_some(), "{name}: {pass}");
        }
        for patch in &profile.patches {
            let library = Library::default();
            library.find(Kind::Patch, patch, Path::new("")).unwrap();
        }
        if profile.patches.is_empty() {
            let mut settings = Settings::default();
            for (key, value) in &profile.settings {
                settings.set(key, value).unwrap();
            }
        }
    }
}

#[test]
fn a_slip_in_the_name_is_understood() {
    let error = Profile::shipped("macpro71").unwrap_err();
    assert!(matches!(
        error,
        ProfileError::Library(LibraryError::Unknown { nearest: Some(nearest), .. }) if nearest == "macpro7,1"
    ));
}

/// Writes files into a directory and reads the first of them as a profile.
fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Profile, ProfileError>) {
    let keep = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = keep.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let library = Library {
        directories: vec![keep.path().join("library")],
    };
    let first = keep.path().join(files[0].0);
    let profile = Profile::find(first.to_str().unwrap(), &library);
    (keep, profile)
}

fn words(names: &[String]) -> String {
    names.join(" ")
}

#[test]
fn what_is_given_takes_the_place_of_what_is_extended() {
    let (keep, profile) = read(&[
        (
            "my.toml",
            "# Mine.\n#\n# For me.\n\nsummary = 'mine'\nextends = 'lib'\npasses = ['topology', '...', 'Hotplug']\npatches = ['...', './own.xml', 'shared-memory']\n[settings]\ntopology.vcpus = 8\n[settings.topology]\n",
        ),
        (
            "library/lib.toml",
            "extends = '../base.toml'\npatches = ['a']\nsettings.topology.threads = 1\n",
        ),
        (
            "base.toml",
            "summary = 'base'\npasses = ['applesmc']\npatches = ['never']\n[settings]\ntopology.vcpus = 4\nhost.libvirt = '9.0.0'\nx.on = true\nx.off = false\n",
        ),
    ]);
    // A table that is opened twice is not TOML.
    let ProfileError::Malformed { place, .. } = profile.unwrap_err() else {
        panic!();
    };
    assert_eq!(place.excerpt.position.line, 11);
    let text = fs::read_to_string(keep.path().join("my.toml")).unwrap();
    let text = text.replace("[settings.topology]\n", "");
    fs::write(keep.path().join("my.toml"), text).unwrap();
    let library = Library {
        directories: vec![keep.path().join("library")],
    };
    let path = keep.path().join("my.toml");
    let profile = Profile::find(path.to_str().unwrap(), &library).unwrap();
    assert_eq!(profile.name, "my");
    assert_eq!(profile.summary, "mine");
    assert_eq!(profile.explanation, "Mine.\n\nFor me.");
    assert_eq!(profile.extends, ["lib", "base"]);
    // As they were found: the one by its name, the other from there.
    let files = ["library/lib.toml", "library/../base.toml"];
    let files = files.map(|file| Origin::File(keep.path().join(file)));
    assert_eq!(profile.extended, files);
    let from: Vec<(&str, &str)> = profile
        .placed_settings()
        .filter(|(key, ..)| *key == "topology.vcpus")
        .map(|(_, value, place)| (value, place.file.rsplit('/').next().unwrap()))
        .collect();
    assert_eq!(from, [("4", "base.toml"), ("8", "my.toml")]);
    assert_eq!(words(&profile.passes), "topology applesmc hotplug");
    let own = keep.path().join("own.xml");
    assert_eq!(
        words(&profile.patches),
        format!("a {} shared-memory", own.display())
    );
    let settings: Vec<String> = profile
        .settings
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        settings,
        [
            "topology.vcpus=4",
            "host.libvirt=9.0.0",
            "x.on=yes",
            "x.off=no",
            "topology.threads=1",
            "topology.vcpus=8",
        ]
    );
    let place = profile.place(Part::Setting, "topology.vcpus").unwrap();
    assert!(place.file.ends_with("my.toml"));
    assert_eq!(place.excerpt.position.to_string(), "10:10");
    let place = profile.place(Part::Pass, "applesmc").unwrap();
    assert!(place.file.ends_with("base.toml"));
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    for (text, expected) in [
        (
            "passes = ['topology', '...']\n",
            "1:23 '...' stands for a list of the profile that is extended, and none is / write extends = \"macpro7,1\", or leave it out",
        ),
        (
            "passes = []\npatchs = []\n",
            "2:1 unknown key 'patchs' / did you mean 'patches'?",
        ),
        (
            "passes = []\nnonsense = 1\n",
            "2:1 unknown key 'nonsense' / there are summary, extends, passes, template-passes, patches and settings",
        ),
        (
            "passes = 'topology'\n",
            "1:10 'passes' takes a list of names, and this is a string / -",
        ),
        (
            "passes = ['a',\n 1]\n",
            "2:2 'passes' takes text in quotes, and this is an integer / -",
        ),
        (
            "passes = []\nsettings.a.b = []\n",
            "2:16 'a.b' takes text, a number, true or false, and this is an array / -",
        ),
        (
            "passes = []\nsettings = 1\n",
            "2:12 'settings' takes a table, and this is an integer / -",
        ),
        (
            "summary = 'x'\n",
            "1:1 it names no passes, no patches and no profile to extend / write passes = [\"topology\"], or extends = \"macpro7,1\"",
        ),
        (
            "",
            "1:1 it names no passes, no patches and no profile to extend / write passes = [\"topology\"], or extends = \"macpro7,1\"",
        ),
        (
            "extends = 'macpro71'\n",
            "1:11 unknown profile 'macpro71' / did you mean 'macpro7,1'?",
        ),
        (
            "passes = [\n",
            "1:11 not TOML: unclosed array, expected `]` / -",
        ),
    ] {
        let (_keep, profile) = read(&[("my.toml", text)]);
        let error = profile.unwrap_err();
        let ProfileError::Malformed {
            message,
            help,
            place,
        } = error
        else {
            panic!("{error:?}");
        };
        let help = help.as_deref().unwrap_or("-");
        let position = place.excerpt.position;
        assert_eq!(format!("{position} {message} / {help}"), expected, "{text}");
    }
}

#[test]
fn an_extended_file_that_is_not_there_is_shown_where_it_is_named() {
    let (keep, profile) = read(&[("my.toml", "passes = []\nextends = './none.toml'\n")]);
    let error = profile.unwrap_err();
    let ProfileError::Malformed { message, place, .. } = error else {
        panic!("{error:?}");
    };
    let none = keep.path().join("none.toml");
    let expected = format!("cannot read the profile '{}': ", none.display());
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(place.excerpt.position.to_string(), "2:11");
    assert!(place.file.ends_with("my.toml"));
    for (directory, given, path) in [
        ("", "./a.toml", "./a.toml"),
        (".", "./a.toml", "./a.toml"),
        (".", "a.toml", "./a.toml"),
        ("d", "./a", "d/a"),
        ("d", "../a", "d/../a"),
        ("d", "/a", "/a"),
    ] {
        let beside = beside(Path::new(directory), given);
        assert_eq!(beside.to_str(), Some(path), "{directory} {given}");
    }
}

#[test]
fn profiles_that_extend_each_other_are_refused() {
    let (_keep, profile) = read(&[
        ("d/a.toml", "extends = '../d/b.toml'"),
        ("d/b.toml", "extends = '../d/a.toml'"),
    ]);
    let error = profile.unwrap_err();
    let ProfileError::Extends { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        source.to_string(),
        "'../d/a.toml' extends this profile, so this one cannot extend it"
    );
}

/// A profile of one's own may have the name of the one it extends.
#[test]
fn a_profile_can_extend_its_namesake() {
    let (_keep, profile) = read(&[(
        "macpro7,1.toml",
        "extends = 'macpro7,1'\nsettings.topology.vcpus = 4",
    )]);
    let profile = profile.unwrap();
    let shipped = Profile::shipped("macpro7,1").unwrap();
    assert_eq!(profile.passes, shipped.passes);

    let (keep, _) = read(&[("library/macpro7,1.toml", "extends = 'macpro7,1'\n")]);
    let library = Library {
        directories: vec![keep.path().join("library")],
    };
    let profile = Profile::find("macpro7,1", &library).unwrap();
    assert_eq!(profile.passes, shipped.passes);
    assert!(!profile.explanation.contains("Mac Pro"));
}

#[test]
fn the_schema_takes_every_shipped_profile_and_no_slip() {
    let schema = schema();
    for (name, text) in SHIPPED {
        assert_eq!(validate(&schema, text), Ok(()), "{name}");
    }
    for text in [
        "passes = ['topology', '...']\npatches = ['mine', './mine.xml']\nextends = './x.toml'",
        "passes = []\n[settings]\ntopology.vcpus = 4\nmine.tag = 'x'\n",
        "patches = ['mine']\n[settings]\ntopology.threads = 1\nmachine.convert = 'yes'\nmacos = 10.15\n",
    ] {
        assert_eq!(validate(&schema, text), Ok(()), "{text}");
    }
    for text in [
        "pases = []",
        "passes = 'topology'",
        "passes = ['topologi']",
        "[settings]\ntopology.vcpu = 4",
        "summary = 1",
        "[settings.topology]\nvcpus = []",
        "[settings]\ntopology.threads = 3",
        "[settings]\nmachine.convert = 'ja'",
    ] {
        let text = format!("extends = 'macpro7,1'\n{text}");
        assert!(validate(&schema, &text).is_err(), "{text}");
    }
    // One that runs nothing.
    for text in ["", "summary = 'x'", "[settings]\ntopology.vcpus = 4"] {
        assert!(validate(&schema, text).is_err(), "{text}");
    }
}

fn validate(schema: &Value, profile: &str) -> Result<(), String> {
    let profile: toml::Table = toml::from_str(profile).unwrap();
    let profile = serde_json::to_value(profile).unwrap();
    check(schema, &profile)
}

/// As much of JSON Schema as the schema uses; a keyword it does not know is a failure.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let schema = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => return Err(format!("{value} is not allowed")),
        schema => schema.as_object().unwrap(),
    };
    for (keyword, argument) in schema {
        let fine = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" => Ok(()),
            "enum" if argument.as_array().unwrap().contains(value) => Ok(()),
            "enum" => Err(format!("{value} is not in {argument}")),
            "const" if value == argument => Ok(()),
            "const" => Err(format!("{value} is not {argument}")),
            "type" => {
                let types = match argument {
                    Value::Array(types) => types.clone(),
                    one => vec![one.clone()],
                };
                let own = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_i64() => "integer",
                    _ => "number",
                };
                match types.iter().any(|one| one == own) {
                    true => Ok(()),
                    false => Err(format!("{value} is no {argument}")),
                }
            }
            "anyOf" => match argument.as_array().unwrap() {
                any if any.iter().any(|one| check(one, value).is_ok()) => Ok(()),
                _ => Err(format!("{value} is none of {argument}")),
            },
            "required" => {
                let mut keys = argument.as_array().unwrap().iter();
                match keys.all(|key| value.get(key.as_str().unwrap()).is_some()) {
                    true => Ok(()),
                    false => Err(format!("{value} has not all of {argument}")),
                }
            }
            "items" => match value {
                Value::Array(items) => items.iter().try_for_each(|item| check(argument, item)),
                _ => Ok(()),
            },
            "properties" | "additionalProperties" => match value {
                Value::Object(object) => object.iter().try_for_each(|(key, value)| {
                    let known = schema["properties"].get(key);
                    match keyword.as_str() {
                        "properties" => known.map_or(Ok(()), |known| check(known, value)),
                        _ if known.is_some() => Ok(()),
                        _ => check(argument, value),
                    }
                }),
                _ => Ok(()),
            },
            unknown => panic!("the test does not know '{unknown}'"),
        };
        fine?;
    }
    Ok(())
}
