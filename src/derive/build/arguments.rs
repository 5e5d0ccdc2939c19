//! The changes of QEMU's arguments.

use roxmltree::Node;

use super::{Builder, Whole, pair};
use crate::derive::equal::{by_name, elements};
use crate::derive::made::Made;
use crate::document::qemu::{self, Group};
use crate::merge::Op;
use crate::merge::keys::Children;
use crate::merge::options::{self, Identity};

impl Builder<'_> {
    /// QEMU's arguments are merged as option groups.
    pub(super) fn commandline<'d>(
        &self,
        a: Node<'d, 'd>,
        b: Node<'d, 'd>,
    ) -> Result<Option<Made>, Whole> {
        let origin = b.range().start;
        if self.equality.same(a, b) {
            return Ok(None);
        }
        let (Some(old), Some(new)) = (a.parent_element(), b.parent_element()) else {
            return Err(Whole);
        };
        let (old, new) = (qemu::groups(old), qemu::groups(new));
        let say = |group: &Group<'_, '_>| (group.option.to_owned(), group.value().to_owned());
        let mut made = Made::named(b, origin);
        let mut push = |group: &Group<'_, '_>, op: Op, part: Option<String>| {
            let mut option = Made::full(group.option_arg, origin);
            option.op = op;
            made.children.push(option);
            let mut value = group.value_arg.map(|arg| Made::full(arg, origin));
            let said = value.iter_mut().flat_map(|value| &mut value.attributes);
            if let (Some(part), Some(said)) = (part, said.last()) {
                said.value = Some(part);
            }
            made.children.extend(value);
        };
        // Each of the new ones with the old one it is.
        let mut stays: Vec<Option<usize>> = Vec::new();
        for group in &new {
            let mut all = old.iter().enumerate();
            let same =
                all.find(|(at, other)| say(other) == say(group) && !stays.contains(&Some(*at)));
            stays.push(same.map(|(at, _)| at));
        }
        let goes = |at: &usize| !stays.contains(&Some(*at));
        let mut reused: Vec<usize> = Vec::new();
        let mut changes: Vec<(&Group<'_, '_>, Op, Option<String>)> = Vec::new();
        let mut is_last = true;
        for (at, group) in new.iter().enumerate().rev() {
            if stays.get(at).is_some_and(Option::is_some) {
                is_last = false;
                continue;
            }
            let identity = Identity::of(group.option, group.value());
            let means = |other: &Group<'_, '_>| identity.matches(other.option, other.value());
            let mut all = old.iter().enumerate();
            let like = all.find(|(at, other)| goes(at) && !reused.contains(at) && means(other));
            let mut part = None;
            let op = match like {
                Some((at, before)) => {
                    reused.push(at);
                    part = features_alone(group.option, before.value(), group.value());
                    match options::merged(group.option, before.value(), group.value()) {
                        // One that changes is there: no domain gets it for that.
                        Ok(merged) if merged == group.value() => Op::Update,
                        _ => Op::Replace,
                    }
                }
                None if old.iter().any(means) => Op::Append,
                None => Op::Merge,
            };
            changes.push((group, op, part.filter(|_| op == Op::Update)));
            // The place of a new one is behind one that stays.
            let before = at.checked_sub(1).and_then(|before| {
                let stays = stays.get(before).copied().flatten();
                new.get(before).filter(|_| stays.is_some())
            });
            if let Some(before) = before.filter(|_| like.is_none() && !is_last) {
                changes.push((before, Op::Keep, None));
            }
        }
        changes.reverse();
        for (at, group) in old.iter().enumerate() {
            if !goes(&at) || reused.contains(&at) {
                continue;
            }
            // Beside one like it that stays, that one is named first.
            let like =
                |(at, other): &(usize, &Group<'_, '_>)| !goes(at) && say(other) == say(group);
            for (_, other) in old.iter().enumerate().filter(like) {
                push(other, Op::Keep, None);
            }
            push(group, Op::Remove, None);
        }
        for (group, op, part) in changes {
            push(group, op, part);
        }
        // Everything but arguments.
        for child in self.children_but_args(a, b)? {
            made.children.push(child);
        }
        Ok(Some(made))
    }

    fn children_but_args<'d>(&self, a: Node<'d, 'd>, b: Node<'d, 'd>) -> Result<Vec<Made>, Whole> {
        let others = |node: Node<'d, 'd>| -> Vec<Node<'d, 'd>> {
            let mut all = elements(node);
            all.retain(|child| !qemu::is(*child, "arg"));
            all
        };
        let children = Children::of(a);
        let mut there = Vec::new();
        let mut out = Vec::new();
        for (ours, theirs) in by_name(&others(a), &others(b)) {
            let group = pair(self.equality, &ours, &theirs);
            self.group(&children, &group, b.range().start, &mut out, &mut there)?;
        }
        there.sort_by_key(|(place, _)| *place);
        out.extend(there.into_iter().map(|(_, made)| made));
        Ok(out)
    }
}

/// What a `-cpu` argument gets beside the model that it keeps: that of another domain is another one.
fn features_alone(option: &str, before: &str, after: &str) -> Option<String> {
    if options::canonical(option) != "cpu" {
        return None;
    }
    let there: Vec<&str> = before.split(',').collect();
    let new = after.split(',').filter(|one| !there.contains(one));
    let new = new.collect::<Vec<_>>().join(",");
    let becomes = options::merged(option, before, &new).ok()?;
    let keeps_the_model = options::List::of(option, &new).first().is_none();
    (!new.is_empty() && keeps_the_model && becomes == after).then_some(new)
}
