//! Option groups of `<qemu:commandline>`: updated in place, never appended a second time.

use roxmltree::Node;

use super::insert::{New, Siblings, What};
use super::keys::{Children, Match};
use super::options::{self, Identity};
use super::patch::{Element, Op};
use super::{MergeError, Merger};
use crate::document::qemu::{Group, commandlines, groups};
use crate::document::{self, Edit, Parts, escape_attribute, qemu};

/// An option group of a patch.
struct Wanted<'w> {
    option: &'w str,
    value: Option<&'w str>,
    op: Op,
}

impl<'m> Merger<'m> {
    /// Merges the patch's `<qemu:commandline>` into the argument list of the whole domain, which
    /// may be spread over several such blocks.
    pub(super) fn commandline<'w>(
        &mut self,
        patch: &'w Element,
        new_blocks: &mut Vec<New<'w, 'm>>,
    ) -> Result<(), MergeError> {
        let root = self.document.root();
        let have = groups(root);
        let mut new = Vec::new();
        for wanted in self.wanted(patch)? {
            self.group(&have, &wanted, &mut new);
        }
        let block = commandlines(root).last();
        for env in patch.children.iter().filter(|child| child.name != "arg") {
            let there = commandlines(root)
                .map(Children::of)
                .find(|block| !matches!(block.find(env), Match::None));
            match there {
                Some(block) => self.child(&block, env, None, &mut Siblings::default(), &mut new)?,
                None if !matches!(env.op, Op::Remove | Op::RemoveExisting) => {
                    new.push(What::Element(env).into());
                }
                None => {}
            }
        }
        match block {
            _ if new.is_empty() => Ok(()),
            Some(block) => self.insert(block, patch, new),
            None => {
                new_blocks.push(What::Commandline(new).into());
                Ok(())
            }
        }
    }

    fn wanted<'w>(&self, patch: &'w Element) -> Result<Vec<Wanted<'w>>, MergeError> {
        let mut args = patch.children.iter().filter(|child| child.name == "arg");
        let mut wanted = Vec::new();
        while let Some(arg) = args.next() {
            let text = arg.attribute("value").unwrap_or_default();
            let Some(option) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) else {
                let message =
                    format!("the argument '{text}' is no option: an option begins with '-'");
                return Err(self.error(arg, message));
            };
            let value = if qemu::takes_value(option) {
                args.next()
            } else {
                None
            };
            if qemu::takes_value(option) && value.is_none() && arg.op != Op::Remove {
                let message = format!("the option '-{option}' needs a value: one more <qemu:arg>");
                return Err(self.error(arg, message));
            }
            wanted.push(Wanted {
                option,
                value: value.and_then(|value| value.attribute("value")),
                op: match value {
                    Some(value) if arg.op == Op::Merge => value.op,
                    _ => arg.op,
                },
            });
        }
        Ok(wanted)
    }

    fn group(&mut self, have: &[Group<'m, 'm>], wanted: &Wanted<'_>, new: &mut Vec<New<'_, 'm>>) {
        let identity = Identity::of(wanted.option, wanted.value.unwrap_or_default());
        let same: Vec<&Group<'m, 'm>> = have
            .iter()
            .filter(|group| match wanted.value {
                Some(_) => identity.matches(group.option, group.value()),
                None => options::canonical(group.option) == options::canonical(wanted.option),
            })
            .collect();
        let mut append = || {
            new.push(What::Arg(format!("-{}", wanted.option)).into());
            new.extend(wanted.value.map(|value| What::Arg(value.to_owned()).into()));
        };
        match (wanted.op, same.as_slice()) {
            (Op::Remove | Op::RemoveExisting, groups) => {
                groups.iter().for_each(|group| self.remove_group(group));
            }
            (Op::Append, groups) => {
                let value = wanted.value.unwrap_or_default();
                if !groups.iter().any(|group| group.value() == value) {
                    append();
                }
            }
            (_, []) => append(),
            (Op::Default, _) => {}
            // QEMU obeys the last of several, so that is the one to be right.
            (op, [earlier @ .., last]) => {
                if op == Op::Replace || identity.is_single() {
                    earlier.iter().for_each(|group| self.remove_group(group));
                }
                if let (Some(value), Some(arg)) = (wanted.value, last.value_arg) {
                    let merged = match op {
                        Op::Replace => value.to_owned(),
                        _ => options::merged(wanted.option, last.value(), value),
                    };
                    self.set_value(arg, &merged);
                }
            }
        }
    }

    fn set_value(&mut self, arg: Node<'m, 'm>, value: &str) {
        if arg.attribute("value") == Some(value) {
            return;
        }
        let parts = Parts::of(self.text, arg);
        if let Some(there) = parts.attribute(self.text, "value") {
            let quote = self.quote_of(there);
            self.edits.push(Edit::replace(
                there.value.clone(),
                escape_attribute(value, quote),
            ));
        }
    }

    fn remove_group(&mut self, group: &Group<'m, 'm>) {
        for arg in std::iter::once(group.option_arg).chain(group.value_arg) {
            let range = document::with_line(self.text, arg.range());
            self.edits.push(Edit::delete(range));
        }
    }
}
