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
    identity: Identity,
    /// The argument, for messages.
    arg: &'w Element,
}

impl Wanted<'_> {
    /// QEMU obeys the last of its kind.
    fn is_single(&self) -> bool {
        self.identity.is_single() || options::canonical(self.option) == "global"
    }

    /// Whether it speaks of this group, or could.
    fn is_like(&self, group: &Group<'_, '_>) -> bool {
        options::canonical(group.option) == options::canonical(self.option)
    }

    fn is(&self, group: &Group<'_, '_>, its: Option<&Identity>) -> bool {
        match self.value {
            Some(_) => its.is_some_and(|its| self.identity.means(its)),
            None => self.is_like(group),
        }
    }
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
        let wanted = self.wanted(patch)?;
        let dangling = have.last().filter(|group| group.lacks_value());
        let mut is_left = dangling.is_some();
        let mut place = None;
        for (wanted, same) in claimed(&wanted, &have) {
            let it_is_meant = same
                .iter()
                .any(|group| Some(group.option_arg) == dangling.map(|one| one.option_arg));
            is_left &= !it_is_meant || wanted.op == Op::Default;
            match (wanted.op, same.last()) {
                (Op::Keep, Some(there)) => {
                    place = Some(there.value_arg.unwrap_or(there.option_arg))
                }
                (Op::Remove | Op::RemoveExisting, _) | (_, None) => {}
                _ => place = None,
            }
            self.group(wanted, &same, place, &mut new)?;
        }
        if let Some(group) = dangling.filter(|_| is_left && !new.is_empty()) {
            let message = format!(
                "the last argument, '-{}', lacks its value, and what is added would become it; take it out, or give it one",
                qemu::name_of(group.option)
            );
            let place = self.document.position(group.option_arg.range().start);
            return Err(self.error(patch, message).at(place));
        }
        let block = commandlines(root).last();
        for env in patch.children.iter().filter(|child| child.name != "arg") {
            let there =
                commandlines(root)
                    .map(Children::of)
                    .find_map(|block| match block.find(env) {
                        Match::None => None,
                        claim => Some((block, claim)),
                    });
            let mut siblings = Siblings::default();
            match there {
                Some((block, claim)) => self.child(&block, env, claim, &mut siblings, &mut new)?,
                None if env.op == Op::RemoveExisting => {
                    return Err(self.nothing_to_remove(env, block.unwrap_or(root)));
                }
                None if matches!(env.op, Op::Remove | Op::Keep) => {}
                None if env.op == Op::Update => {
                    let name = env.attribute("name").unwrap_or_default();
                    self.note_absent(&format!("<qemu:env name='{name}'>"));
                }
                None => new.push(What::Element(env).into()),
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
                let message = format!(
                    "the argument '{}' is no option: an option begins with '-'",
                    qemu::name_of(text)
                );
                return Err(self.error(arg, message));
            };
            if let Some(message) = qemu::several_words(text) {
                return Err(self.error(arg, message));
            }
            let value = if qemu::takes_value(option) {
                args.next()
            } else {
                None
            };
            if qemu::takes_value(option) && value.is_none() && arg.op != Op::Remove {
                let message = format!(
                    "the option '-{}' needs a value: one more <qemu:arg>",
                    qemu::name_of(option)
                );
                return Err(self.error(arg, message));
            }
            let text = value.and_then(|value| value.attribute("value"));
            wanted.push(Wanted {
                option,
                value: text,
                identity: Identity::of(option, text.unwrap_or_default()),
                arg,
                op: match value {
                    Some(value) if arg.op == Op::Merge => value.op,
                    _ => arg.op,
                },
            });
        }
        Ok(wanted)
    }

    /// Makes the groups that are the `same` say what `wanted` says.
    fn group(
        &mut self,
        wanted: &Wanted<'_>,
        same: &[&Group<'m, 'm>],
        place: Option<Node<'m, 'm>>,
        new: &mut Vec<New<'_, 'm>>,
    ) -> Result<(), MergeError> {
        // A new one stands at the end, or behind the one that the patch keeps before it.
        let at_place = |what: What<'static, 'm>| match place {
            Some(node) => New::after(node, what),
            None => what.into(),
        };
        let mut append = || {
            new.push(at_place(What::Arg(format!("-{}", wanted.option))));
            let value = wanted.value.map(str::to_owned);
            new.extend(value.map(|value| at_place(What::Arg(value))));
        };
        match (wanted.op, same) {
            (Op::RemoveExisting, []) => {
                let message = format!(
                    "there is no such argument '-{}' to remove",
                    qemu::name_of(wanted.option)
                );
                let root = self.document.root();
                let place = commandlines(root).last().unwrap_or(root).range().start;
                let place = self.document.position(place);
                return Err(self.error(wanted.arg, message).at(place));
            }
            (Op::Remove | Op::RemoveExisting, groups) => {
                groups.iter().for_each(|group| self.remove_group(group));
            }
            (Op::Append, groups) => {
                let value = wanted.value.unwrap_or_default();
                if !groups.iter().any(|group| group.value() == value) {
                    append();
                }
            }
            (Op::Update, []) => {
                let option = qemu::name_of(wanted.option);
                self.note_absent(&format!("argument '-{option}'"));
            }
            (Op::Keep, _) => {}
            (_, []) => append(),
            (Op::Default, _) => {}
            // QEMU obeys the last of several, so that is the one to be right.
            (op, [earlier @ .., last]) => {
                if op == Op::Replace || wanted.identity.is_overruled() {
                    earlier.iter().for_each(|group| self.remove_group(group));
                }
                if let (Some(value), Some(arg)) = (wanted.value, last.value_arg) {
                    let merged = match op {
                        Op::Replace => value.to_owned(),
                        _ => {
                            options::merged(wanted.option, last.value(), value).map_err(|why| {
                                let place = self.document.position(arg.range().start);
                                self.error(wanted.arg, why).at(place)
                            })?
                        }
                    };
                    self.set_value(arg, &merged);
                } else if let Some(value) = wanted.value.filter(|_| last.lacks_value()) {
                    // An option at the very end, which lacks its value. Before all that is new:
                    // whatever comes next would become the value.
                    new.insert(0, New::after(last.option_arg, What::Arg(value.to_owned())));
                }
            }
        }
        Ok(())
    }

    fn set_value(&mut self, arg: Node<'m, 'm>, value: &str) {
        if arg.attribute("value") == Some(value) {
            return;
        }
        let parts = Parts::of(self.text, arg);
        let quote = self.document.style().quote;
        self.edits.push(match parts.attribute(self.text, "value") {
            Some(there) => Edit::replace(
                there.value.clone(),
                escape_attribute(value, self.quote_of(there)),
            ),
            None => Edit::insert(
                parts.end_of_attributes(),
                format!(" value={quote}{}{quote}", escape_attribute(value, quote)),
            ),
        });
    }

    fn remove_group(&mut self, group: &Group<'m, 'm>) {
        for arg in std::iter::once(group.option_arg).chain(group.value_arg) {
            let range = document::with_line(self.text, arg.range());
            self.edits.push(Edit::delete(range));
        }
    }
}

/// The groups of the patch in their order, each with those of the document that it speaks of. Of
/// several of the patch that mean the same, each means one; those that name an id choose first, and
/// one that says all of it already is meant before one that would have to change.
fn claimed<'p, 'w, 'h, 'm>(
    wanted: &'p [Wanted<'w>],
    have: &'h [Group<'m, 'm>],
) -> Vec<(&'p Wanted<'w>, Vec<&'h Group<'m, 'm>>)> {
    let stays =
        |one: &Wanted<'_>| matches!(one.op, Op::Merge | Op::Default | Op::Update | Op::Keep);
    // Of what there can be one of, the last counts in the patch as it does in QEMU.
    let is_overruled = |index: usize, one: &Wanted<'_>| {
        let mut later = wanted.iter().skip(index + 1);
        one.is_single()
            && stays(one)
            && later.any(|other| stays(other) && other.identity == one.identity)
    };
    let kept: Vec<&Wanted<'_>> = wanted
        .iter()
        .enumerate()
        .filter(|(index, one)| !is_overruled(*index, one))
        .map(|(_, one)| one)
        .collect();
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|&index| kept[index].identity.names_no_id());
    // Most groups of a domain are of no concern to most patches.
    let identity = |group: &Group<'_, '_>| {
        let is_of_concern = kept.iter().any(|one| one.is_like(group));
        is_of_concern.then(|| Identity::of(group.option, group.value()))
    };
    let identities: Vec<Option<Identity>> = have.iter().map(identity).collect();
    let mut taken: Vec<usize> = Vec::new();
    let mut found: Vec<Vec<&Group<'_, '_>>> = kept.iter().map(|_| Vec::new()).collect();
    for index in order {
        let one = kept[index];
        let mut same: Vec<usize> = (0..have.len())
            .filter(|at| one.is(&have[*at], identities[*at].as_ref()) && !taken.contains(at))
            .collect();
        if let Some(value) = one.value.filter(|_| !one.is_single()) {
            let says = |at: &usize| options::says(one.option, have[*at].value(), value);
            let goes = matches!(one.op, Op::Remove | Op::RemoveExisting);
            if goes || same.iter().any(says) {
                same.retain(says);
            }
        }
        let goes = |other: &Wanted<'_>| matches!(other.op, Op::Remove | Op::RemoveExisting);
        // One that is kept leaves those like it to one that takes them out.
        let is_alike = |other: &&&Wanted<'_>| {
            let speaks = stays(other) || (one.op == Op::Keep && goes(other));
            speaks && other.identity == one.identity
        };
        if stays(one) {
            if kept.iter().filter(is_alike).count() > 1 {
                same.truncate(1);
            }
            taken.extend(&same);
        }
        found[index] = same.into_iter().map(|at| &have[at]).collect();
    }
    kept.into_iter().zip(found).collect()
}
