//! QEMU option values: what two options have in common, and how one is merged into another.
//!
//! Most values are lists `first,key=value,…` in which a literal comma is doubled; devices may be
//! JSON objects as well. A merge sets the keys a patch names and leaves the others alone.

mod identity;
mod list;

use std::borrow::Cow;

use serde_json::Value;

pub use identity::Identity;
pub use list::List;
use list::Token;

/// Another spelling of the same option → the usual one.
pub fn canonical(option: &str) -> &str {
    match option {
        "M" => "machine",
        other => other,
    }
}

/// The value of an option in one of its two syntaxes.
enum Read<'v> {
    Json(serde_json::Map<String, Value>),
    List(List<'v>),
}

impl<'v> Read<'v> {
    fn of(value: &'v str) -> Read<'v> {
        match json(value) {
            Some(object) => Read::Json(object),
            None => Read::List(List::parse(value)),
        }
    }

    fn get(&self, key: &str) -> Option<String> {
        match self {
            Read::Json(object) => text_of(object, key),
            Read::List(list) => list.get(key),
        }
    }

    /// What stands first in a list, and has this name in an object.
    fn first(&self, key: &str) -> Option<String> {
        match self {
            Read::Json(object) => text_of(object, key),
            Read::List(list) => list.first().map(str::to_owned),
        }
    }

    fn driver(&self) -> Option<String> {
        self.first("driver").or_else(|| self.get("driver"))
    }
}

/// The driver and id of a `-device` value, in either syntax.
pub fn driver(value: &str) -> Option<(String, Option<String>)> {
    let read = Read::of(value);
    Some((read.driver()?, read.get("id")))
}

/// One key of a `-device` or list value, in either syntax; flags (`+x`, `x`) read as `on`.
pub fn get(value: &str, key: &str) -> Option<String> {
    Read::of(value).get(key)
}

/// The property a `-global` sets: `driver.property`, from either of its two forms.
pub fn property(value: &str) -> Option<String> {
    let list = List::parse(value);
    match (list.get("driver"), list.get("property")) {
        (Some(driver), Some(property)) => Some(format!("{driver}.{property}")),
        _ => value
            .split_once('=')
            .map(|(property, _)| property.to_owned()),
    }
}

/// The value a `-global` gives its property, from either of its two forms.
pub fn global_value(value: &str) -> Option<String> {
    let list = List::parse(value);
    match (list.get("driver"), list.get("property")) {
        (Some(_), Some(_)) => list.get("value"),
        _ => value.split_once('=').map(|(_, value)| value.to_owned()),
    }
}

/// A literal value for use inside a list: commas doubled.
pub fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

/// Whether `have` says all that `want` says.
pub fn says(option: &str, have: &str, want: &str) -> bool {
    merged(option, have, want).is_ok_and(|merged| merged == have)
}

/// Whether QEMU reads both as the same: on and off have other spellings (`qapi_bool_parse`).
fn same(have: &str, want: &str) -> bool {
    let switch = |value: &str| match value {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    };
    have == want || (switch(have).is_some() && switch(have) == switch(want))
}

/// `have` with what `want` names set in it, in the syntax of `have`.
///
/// # Errors
/// The value is JSON, in which every value has a type that `want` does not tell; why, as a clause.
pub fn merged(option: &str, have: &str, want: &str) -> Result<String, String> {
    let option = canonical(option);
    Ok(match option {
        "cpu" | "machine" | "device" | "smbios" | "object" | "netdev" | "chardev" | "fsdev"
        | "audiodev" | "blockdev" | "drive" | "tpmdev" | "smp" | "accel" | "rtc" | "fw_cfg"
        | "m" | "boot" | "overcommit" | "name" | "icount" | "sandbox" | "msg" | "action" => {
            match json(have) {
                Some(object) => merged_json(option, have, object, want)?,
                None => {
                    let there = List::of(option, have);
                    let mut list = there.clone();
                    let wanted = want_tokens(option, want);
                    let becomes = List::of(option, want);
                    for key in lost_with_the_model(option, &there, &becomes) {
                        list.remove(key, key_of(option));
                    }
                    for token in &wanted {
                        match is_repeated(option, token, &wanted) {
                            true => list.add(token),
                            false => list.set(token, key_of(option)),
                        }
                    }
                    // A comma at the end stays where nothing changes.
                    match list == there {
                        true => have.to_owned(),
                        false => list.to_string(),
                    }
                }
            }
        }
        "global" => merged_global(have, want),
        _ => want.to_owned(),
    })
}

/// Properties that only these models have (`device-list-properties` of QEMU 7.2 and 10.0): with any other QEMU
/// does not start.
const OF_HOST_AND_MAX: [&str; 2] = ["migratable", "host-cache-info"];

/// The properties of a `-cpu` argument that go where it gets another model.
pub fn lost_with_the_model(option: &str, have: &List<'_>, want: &List<'_>) -> Vec<&'static str> {
    let is_theirs = |model: &str| matches!(model, "host" | "max");
    let changes = canonical(option) == "cpu"
        && have.first().is_some_and(is_theirs)
        && want.first().is_some_and(|model| !is_theirs(model));
    if !changes {
        return Vec::new();
    }
    let key = key_of("cpu");
    let is_there = |wanted: &&str| have.keys().any(|one| key(one) == *wanted);
    OF_HOST_AND_MAX.into_iter().filter(is_there).collect()
}

/// How the keys of an option are compared: features of a CPU have several spellings (`sse4.1`, `sse4_1`,
/// `hv_vendor_id`), which QEMU makes one of (`feat2prop`, and aliases of properties).
fn key_of(option: &str) -> fn(&str) -> Cow<'_, str> {
    match option {
        "cpu" => |key| Cow::Owned(key.trim().replace(['_', '.'], "-")),
        _ => |key| Cow::Borrowed(key.trim()),
    }
}

/// Whether a key of an option may stand there several times, each time for one more thing: forwarded
/// ports, strings of SMBIOS. And what the patch itself says twice.
fn is_repeated(option: &str, token: &Token<'_>, wanted: &[Token<'_>]) -> bool {
    let several = match option {
        "netdev" => ["hostfwd", "guestfwd"].contains(&&*token.key),
        "smbios" => ["value", "path"].contains(&&*token.key),
        _ => false,
    };
    let twice = || {
        let mut others = wanted.iter().filter(|other| other.key == token.key);
        others.any(|other| other.value != token.value)
    };
    several || (option != "cpu" && !token.key.is_empty() && twice())
}

fn merged_global(have: &str, want: &str) -> String {
    let Some(value) = global_value(want) else {
        return want.to_owned();
    };
    let mut list = List::parse(have);
    if list.get("driver").is_some() && list.get("property").is_some() {
        list.set(&Token::pair("value", &value), key_of("global"));
        return list.to_string();
    }
    match have.split_once('=') {
        Some((_, its)) if same(its, &value) => have.to_owned(),
        Some((property, _)) => format!("{property}={value}"),
        None => want.to_owned(),
    }
}

fn merged_json(
    option: &str,
    have: &str,
    mut object: serde_json::Map<String, Value>,
    want: &str,
) -> Result<String, String> {
    let wanted: Vec<(String, Value)> = match json(want) {
        Some(wanted) => wanted.into_iter().collect(),
        None => want_tokens(option, want)
            .iter()
            .map(|token| {
                let key = match (&*token.key, option) {
                    ("", "object") => "qom-type",
                    ("", "netdev" | "chardev" | "tpmdev" | "fsdev") => "type",
                    ("", _) => "driver",
                    (key, _) => key,
                };
                let value = typed(&object, key, &token.value.replace(",,", ","))?;
                Ok((key.to_owned(), value))
            })
            .collect::<Result<_, String>>()?,
    };
    let mut changed = false;
    for (key, value) in wanted {
        let is_there = object.get(&key).is_some_and(|there| {
            let texts = value_text(there).zip(value_text(&value));
            *there == value || texts.is_some_and(|(there, value)| same(&there, &value))
        });
        if !is_there {
            changed = true;
            object.insert(key, value);
        }
    }
    Ok(match changed {
        true => Value::Object(object).to_string(),
        false => have.to_owned(),
    })
}

/// A value with the type that the key has in the object, or always has.
fn typed(object: &serde_json::Map<String, Value>, key: &str, value: &str) -> Result<Value, String> {
    const TEXTS: [&str; 22] = [
        "driver",
        "qom-type",
        "type",
        "id",
        "bus",
        "addr",
        "drive",
        "netdev",
        "chardev",
        "serial",
        "mac",
        "romfile",
        "host",
        "evdev",
        "name",
        "label",
        "product",
        "vendor",
        "model",
        "osk",
        "mem-path",
        "node-name",
    ];
    let switch = match value {
        "on" | "yes" | "true" => Some(true),
        "off" | "no" | "false" => Some(false),
        _ => None,
    };
    let told = match object.get(key) {
        Some(Value::Bool(_)) => switch.map(Value::Bool),
        Some(Value::Number(_)) => number(value).map(Value::from),
        Some(Value::String(_)) => Some(Value::from(value)),
        _ if TEXTS.contains(&key) => Some(Value::from(value)),
        _ => None,
    };
    told.ok_or_else(|| {
        format!(
            "the argument there is JSON, in which a value has a type that '{key}=…' does not tell; write the argument of the patch as JSON too"
        )
    })
}

/// A number as QEMU reads it in a list: decimal or hexadecimal, with a suffix for an amount of memory.
fn number(value: &str) -> Option<u64> {
    if let Some(digits) = value.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match value.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1024u64.pow(power))
}

/// The tokens of a patch's value, from either syntax.
fn want_tokens<'v>(option: &str, want: &'v str) -> Vec<Token<'v>> {
    match json(want) {
        Some(object) => object
            .iter()
            .filter_map(|(key, _)| {
                let value = escape(&text_of(&object, key)?);
                let key = if key == "driver" { "" } else { key.as_str() };
                Some(Token::pair(key, &value))
            })
            .collect(),
        None => List::of(option, want).tokens,
    }
}

fn json(value: &str) -> Option<serde_json::Map<String, Value>> {
    crate::document::json::object(value)?.ok()
}

fn text_of(object: &serde_json::Map<String, Value>, key: &str) -> Option<String> {
    value_text(object.get(key)?)
}

fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("on".to_owned()),
        Value::Bool(false) => Some("off".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
