//! QEMU option values: what two options have in common, and how one is merged into another.
//!
//! Most values are lists `first,key=value,…` in which a literal comma is doubled; devices may be
//! JSON objects as well. A merge sets the keys a patch names and leaves the others alone.

use std::borrow::Cow;

use serde_json::Value;

/// Which option of a command line a patch's option speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// There is one of its kind, however it reads (`-cpu`, `-usb`).
    Single(String),
    /// A thing of its own: `-device` by driver and id, `-global` by property, `-netdev` by id.
    Thing {
        /// Canonical option name.
        option: String,
        /// Driver, property, type or id.
        name: String,
        /// The id, where the option has one beside the name.
        id: Option<String>,
        /// What of the host it stands for: two that name another are two things.
        stands_for: Vec<(&'static str, String)>,
    },
    /// Nothing is known about it: the same only when it reads the same.
    Literal(String, String),
}

impl Identity {
    /// The identity of an option with its value.
    pub fn of(option: &str, value: &str) -> Identity {
        let option = canonical(option);
        let thing = |name: Option<String>, id, stands_for| match name {
            Some(name) => Identity::Thing {
                option: option.to_owned(),
                name,
                id,
                stands_for,
            },
            None => Identity::Literal(option.to_owned(), value.to_owned()),
        };
        match option {
            "cpu" | "machine" | "m" | "smp" | "accel" | "rtc" | "boot" | "name" | "uuid"
            | "display" | "vga" | "k" | "bios" | "kernel" | "initrd" | "append" | "dtb"
            | "overcommit" | "icount" | "sandbox" | "msg" | "action" | "usb" | "nodefaults"
            | "no-reboot" | "no-shutdown" | "snapshot" | "S" | "no-user-config" | "nographic"
            | "enable-kvm" | "no-hpet" | "no-acpi" | "mem-prealloc" | "mem-path" => {
                Identity::Single(option.to_owned())
            }
            "device" => {
                let read = Read::of(value);
                match read.driver() {
                    // Its I/O port is fixed, so a second one cannot work (measured: QEMU 7.2).
                    Some(name) if name == "isa-applesmc" => {
                        Identity::Single(format!("{option} {name}"))
                    }
                    name => thing(name, read.get("id"), stands_for(|key| read.get(key))),
                }
            }
            "global" => thing(property(value), None, Vec::new()),
            "object" => {
                let read = Read::of(value);
                thing(read.first("qom-type"), read.get("id"), Vec::new())
            }
            "netdev" | "chardev" | "fsdev" | "audiodev" | "vnc" | "blockdev" | "drive"
            | "spice" | "acpitable" | "tpmdev" | "iscsi" => {
                let read = Read::of(value);
                let id = read.get("id").or_else(|| read.get("node-name"));
                thing(id, None, Vec::new())
            }
            "smbios" => thing(List::parse(value).get("type"), None, Vec::new()),
            "fw_cfg" => {
                let list = List::parse(value);
                let first = || list.first().map(str::to_owned);
                thing(list.get("name").or_else(first), None, Vec::new())
            }
            _ => Identity::Literal(option.to_owned(), value.to_owned()),
        }
    }

    /// Whether an option of the domain is the one meant. A patch that names no id means the
    /// device whatever its id is.
    pub fn matches(&self, option: &str, value: &str) -> bool {
        self.means(&Identity::of(option, value))
    }

    /// As [`Identity::matches`], for one that is known already.
    pub fn means(&self, there: &Identity) -> bool {
        match (self, there) {
            (Identity::Single(this), Identity::Single(other)) => this == other,
            (Identity::Literal(option, value), Identity::Literal(other, its)) => {
                option == other && value == its
            }
            (
                Identity::Thing {
                    option,
                    name,
                    id,
                    stands_for,
                },
                Identity::Thing {
                    option: other,
                    name: its_name,
                    id: its_id,
                    stands_for: its,
                },
            ) => {
                let differs = |(key, value): &(&str, String)| {
                    its.iter().any(|(other, its)| other == key && its != value)
                };
                option == other
                    && name == its_name
                    && (id.is_none() || id == its_id)
                    && !stands_for.iter().any(differs)
            }
            _ => false,
        }
    }

    /// Whether it means a thing whatever its id is.
    pub fn names_no_id(&self) -> bool {
        matches!(self, Identity::Thing { id: None, .. })
    }

    /// Whether there is one of its kind, so that the last in a patch counts.
    pub fn is_single(&self) -> bool {
        matches!(self, Identity::Single(_))
    }

    /// Whether QEMU obeys only the last of its kind, so that earlier ones are dead. Others add up, key by
    /// key (measured with 7.2: `-machine`, `-m`, `-smp`, `-boot`).
    pub fn is_overruled(&self) -> bool {
        match self {
            Identity::Single(option) => !ADDS_UP.contains(&option.as_str()),
            _ => false,
        }
    }
}

/// Options of which several count as one with the keys of all.
const ADDS_UP: &[&str] = &[
    "machine",
    "m",
    "smp",
    "boot",
    "rtc",
    "overcommit",
    "accel",
    "name",
    "icount",
    "sandbox",
    "msg",
    "action",
];

/// The properties by which a device stands for one thing of the host or of the other arguments.
const STANDS_FOR: &[&str] = &[
    "host",
    "sysfsdev",
    "drive",
    "netdev",
    "chardev",
    "evdev",
    "hostbus",
    "hostaddr",
    "hostport",
    "vendorid",
    "productid",
];

fn stands_for(get: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let named = STANDS_FOR.iter();
    named.filter_map(|key| Some((*key, get(key)?))).collect()
}

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

/// A value as a list of tokens, kept as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<'v> {
    tokens: Vec<Token<'v>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token<'v> {
    /// Empty for the leading name (a CPU model, a driver).
    key: Cow<'v, str>,
    /// Raw, with doubled commas; `on` and `off` for flags.
    value: Cow<'v, str>,
    /// How it was written; for a new one, how it is to be written.
    raw: Cow<'v, str>,
}

impl<'v> Token<'v> {
    fn pair(key: &str, value: &str) -> Token<'v> {
        Token {
            key: Cow::Owned(key.to_owned()),
            value: Cow::Owned(value.to_owned()),
            raw: Cow::Owned(match key.is_empty() {
                true => value.to_owned(),
                false => format!("{key}={value}"),
            }),
        }
    }

    fn parse(raw: &'v str, first: bool) -> Token<'v> {
        let flag = |key, value| Token {
            key: Cow::Borrowed(key),
            value: Cow::Borrowed(value),
            raw: Cow::Borrowed(raw),
        };
        if let Some(name) = raw.strip_prefix('+') {
            flag(name, "on")
        } else if let Some((key, value)) = raw.split_once('=') {
            flag(key, value)
        } else if let Some(name) = raw.strip_prefix('-') {
            flag(name, "off")
        } else if first {
            flag("", raw)
        } else {
            flag(raw, "on")
        }
    }
}

/// The parts of a list between its single commas.
fn parts(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let part = rest?;
        let mut from = 0;
        loop {
            let found = part.get(from..).and_then(|part| part.find(','));
            let Some(comma) = found.map(|at| from + at) else {
                rest = None;
                return Some(part);
            };
            let after = part.get(comma + 1..).unwrap_or_default();
            if after.starts_with(',') {
                from = comma + 2;
                continue;
            }
            rest = Some(after);
            return part.get(..comma);
        }
    })
}

impl<'v> List<'v> {
    /// The value of an option, split as QEMU does: at single commas, and that of `-cpu` at every one,
    /// for its parser knows no doubled ones and passes over what is empty (measured with QEMU 7.2).
    pub fn of(option: &str, value: &'v str) -> List<'v> {
        if canonical(option) != "cpu" {
            return List::parse(value);
        }
        let is_something = |(index, raw): &(usize, &str)| *index == 0 || !raw.is_empty();
        let raws = value.split(',').enumerate().filter(is_something);
        List {
            tokens: raws
                .map(|(index, raw)| Token::parse(raw, index == 0))
                .collect(),
        }
    }

    /// Splits at single commas. One at the end says nothing.
    pub fn parse(value: &'v str) -> List<'v> {
        let raws = parts(value).enumerate();
        let mut tokens: Vec<Token<'v>> = raws
            .map(|(index, raw)| Token::parse(raw, index == 0))
            .collect();
        if tokens.len() > 1 {
            tokens.pop_if(|last| last.raw.is_empty());
        }
        List { tokens }
    }

    /// The leading name: a CPU model, a driver.
    pub fn first(&self) -> Option<&str> {
        let token = self.tokens.first()?;
        (token.key.is_empty() && !token.value.is_empty()).then_some(&*token.value)
    }

    /// The value of a key, the last one given, with doubled commas undone.
    pub fn get(&self, key: &str) -> Option<String> {
        let token = self.tokens.iter().rfind(|token| token.key == key)?;
        Some(token.value.replace(",,", ","))
    }

    /// The keys other than the leading name, as written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tokens
            .iter()
            .map(|token| &*token.key)
            .filter(|key| !key.is_empty())
    }

    /// Adds a key with this value, beside others of the key, unless it is there.
    fn add(&mut self, wanted: &Token<'v>) {
        let like = |token: &Token<'_>| token.key == wanted.key;
        let mut there = self.tokens.iter().filter(|token| like(token));
        if there.any(|token| same(&token.value, &wanted.value)) {
            return;
        }
        let last = self.tokens.iter().rposition(like);
        let at = last.map_or(self.tokens.len(), |at| at + 1);
        self.tokens.insert(at, wanted.clone());
    }

    /// Sets one key, wherever and however often it stands there; appends it otherwise. `key` is how a
    /// key is compared.
    fn set(&mut self, wanted: &Token<'v>, key: fn(&str) -> Cow<'_, str>) {
        // `driver=usb-kbd` says what a leading `usb-kbd` says.
        let long = ["driver", "qom-type", "type", "backend"];
        let mut found = wanted.key.is_empty()
            && self.first().is_none()
            && long
                .iter()
                .any(|key| self.get(key).as_deref() == Some(&*wanted.value));
        let means = |token: &&mut Token<'v>| key(&token.key) == key(&wanted.key);
        for token in self.tokens.iter_mut().filter(means) {
            found = true;
            // QEMU takes a blank for a part of the name, and refuses it.
            if !same(&token.value, &wanted.value) || token.key.trim() != token.key {
                *token = wanted.clone();
            }
        }
        if !found && wanted.key.is_empty() {
            self.tokens.insert(0, wanted.clone());
        } else if !found {
            self.tokens.push(wanted.clone());
        }
    }
}

impl std::fmt::Display for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, token) in self.tokens.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(&token.raw)?;
        }
        Ok(())
    }
}
