//! What stands for placeholders, and whether conditions hold.

use roxmltree::Attribute as TreeAttribute;

use super::{Resolver, is_xml};
use crate::merge::condition::{self, ConditionError, Fact, Truth};
use crate::merge::error::MergeError;
use crate::text;

impl Resolver<'_> {
    pub(super) fn holds(&self, when: TreeAttribute<'_, '_>) -> Result<bool, MergeError> {
        let condition = when.value();
        let start = self.at(when.range_value().start);
        // With entities in the text its bytes are not where the value's are.
        let raw = self.patch.text.get(start..start + condition.len());
        let place = |offset: usize| match raw == Some(condition) {
            true => start + offset,
            false => start,
        };
        let truth = condition::evaluate(condition, &|name| {
            self.fact(name).map_err(|(message, help)| ConditionError {
                offset: 0,
                message,
                help,
            })
        });
        match truth {
            Ok(Truth::Yes) => Ok(true),
            Ok(Truth::No) => {
                self.unmet.replace(Some(condition.to_owned()));
                Ok(false)
            }
            Ok(Truth::Unknown(what)) => Err(MergeError::unknown(self.patch, start, what)),
            Err(error) => {
                let merge = self.error(place(error.offset), error.message);
                Err(match error.help {
                    Some(help) => merge.helped(help),
                    None => merge,
                })
            }
        }
    }

    /// What a name stands for in a condition.
    pub(super) fn fact(&self, name: &str) -> Result<Fact, (String, Option<String>)> {
        if let Some(value) = self.patch.values.get(name) {
            return Ok(Fact::Is(value.clone().unwrap_or_default()));
        }
        match (self.defaults.get(name), self.patch.facts.get(name)) {
            (Some(Some(default)), _) => Ok(Fact::Is(default.clone())),
            (Some(None), _) => Ok(Fact::Unset(format!("say it with --set {name}=…"))),
            (None, Some(fact)) => Ok(fact.clone()),
            (None, None) => Err(self.unknown_name(name)),
        }
    }

    /// `text` with `${name}` and `$$` replaced; `None` when it is one placeholder for nothing.
    pub(super) fn expand(&self, text: &str, offset: usize) -> Result<Option<String>, MergeError> {
        if !text.contains('$') {
            return Ok(Some(text.to_owned()));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let rest_of_patch = self.patch.text.get(offset..).unwrap_or_default();
            let Some((name, after)) = after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
            else {
                let message = format!(
                    "a '$' that begins no placeholder in '{text}'; write ${{name}}, or $$ for a dollar sign"
                );
                return Err(self.error(offset, message));
            };
            match self.patch.values.get(name) {
                Some(Some(value)) => out.push_str(value),
                Some(None) if out.is_empty() && after.is_empty() => return Ok(None),
                Some(None) => {}
                None => {
                    let placeholder = format!("${{{name}}}");
                    let place = rest_of_patch.find(&placeholder).unwrap_or_default();
                    out.push_str(&self.value(name, offset + place)?);
                }
            }
            rest = after;
        }
        out.push_str(rest);
        // Nearly always it is plain text, which is seen at once.
        let is_plain = out.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_plain && let Some(bad) = out.chars().find(|c| !is_xml(*c)) {
            let message = format!(
                "the value of '{text}' has the character U+{:04X}, which XML cannot hold",
                u32::from(bad)
            );
            return Err(self.error(offset, message));
        }
        Ok(Some(out))
    }

    /// The value of a placeholder that nobody gave one: its default, or a fact.
    pub(super) fn value(&self, name: &str, offset: usize) -> Result<String, MergeError> {
        match self.fact(name) {
            Ok(Fact::Is(value)) => Ok(value),
            Ok(Fact::Unknown(what)) => Err(MergeError::unknown(self.patch, offset, what)),
            Ok(Fact::Unset(how)) => Err(self
                .error(offset, format!("the placeholder ${{{name}}} has no value"))
                .helped(how)),
            Err((_, help)) if self.patch.facts.is_empty() => {
                let known: Vec<&str> = self.patch.values.keys().map(String::as_str).collect();
                let known = match known.as_slice() {
                    [] => "there are none here".to_owned(),
                    names => format!("there are {}", names.join(", ")),
                };
                let message = format!("the placeholder ${{{name}}} has no value; {known}");
                Err(self.error(offset, message).helped_by(help))
            }
            Err((_, help)) => {
                let message = format!("the placeholder ${{{name}}} is unknown");
                Err(self.error(offset, message).helped_by(help))
            }
        }
    }

    /// For a name nobody knows: what is wrong, and the names there are.
    pub(super) fn unknown_name(&self, name: &str) -> (String, Option<String>) {
        let own = self.defaults.keys().chain(self.patch.values.keys());
        let all = || {
            own.clone()
                .chain(self.patch.facts.keys())
                .map(String::as_str)
        };
        let looks_like_text = name.contains(|c: char| c.is_ascii_uppercase());
        let help = match text::nearest(name, all()) {
            Some(nearest) => Some(format!("did you mean '{nearest}'?")),
            None if looks_like_text => Some(format!("text stands in quotes: '{name}'")),
            None if self.patch.facts.is_empty() => None,
            // Settings are many, and 'list settings' has them.
            None => {
                let known: Vec<&str> = all()
                    .filter(|name| !matches!(self.patch.facts.get(*name), Some(Fact::Unset(_))))
                    .collect();
                Some(format!("there are {}", text::list(&known)))
            }
        };
        (format!("'{name}' is unknown"), help)
    }
}
