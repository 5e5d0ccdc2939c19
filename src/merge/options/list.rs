//! `first,key=value,…`, the syntax of most values.

use std::borrow::Cow;

use super::{canonical, same};

/// A value as a list of tokens, kept as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<'v> {
    pub(super) tokens: Vec<Token<'v>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'v> {
    /// Empty for the leading name (a CPU model, a driver).
    pub(super) key: Cow<'v, str>,
    /// Raw, with doubled commas; `on` and `off` for flags.
    pub(super) value: Cow<'v, str>,
    /// How it was written; for a new one, how it is to be written.
    raw: Cow<'v, str>,
}

impl<'v> Token<'v> {
    pub(super) fn pair(key: &str, value: &str) -> Token<'v> {
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
    pub(super) fn add(&mut self, wanted: &Token<'v>) {
        let like = |token: &Token<'_>| token.key == wanted.key;
        let mut there = self.tokens.iter().filter(|token| like(token));
        if there.any(|token| same(&token.value, &wanted.value)) {
            return;
        }
        let last = self.tokens.iter().rposition(like);
        let at = last.map_or(self.tokens.len(), |at| at + 1);
        self.tokens.insert(at, wanted.clone());
    }

    /// Takes out a key, wherever and however often it stands there.
    pub(super) fn remove(&mut self, wanted: &str, key: fn(&str) -> Cow<'_, str>) {
        self.tokens.retain(|token| key(&token.key) != wanted);
    }

    /// Sets one key, wherever and however often it stands there; appends it otherwise. `key` is how a
    /// key is compared.
    pub(super) fn set(&mut self, wanted: &Token<'v>, key: fn(&str) -> Cow<'_, str>) {
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
