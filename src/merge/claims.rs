//! Which element of the document each of several siblings of a patch speaks of.
//!
//! One element of the document stands for one of the patch's. Those that say most about what they
//! mean choose first; what is left then is left for those that say less. So a patch that holds a
//! whole domain finds each of its elements again in its own result.

use std::collections::{HashMap, HashSet};

use roxmltree::{Node, NodeId};

use super::keys::{self, Children, Match};
use super::patch::{Element, Op};

/// What the children of one element of a patch speak of, by their index there.
#[derive(Default)]
pub(super) struct Claims<'m> {
    found: Vec<Option<Match<'m, 'm>>>,
}

/// One of the children that wait for theirs.
struct Claimant<'w> {
    index: usize,
    wanted: &'w Element,
    signature: Vec<Option<String>>,
    /// How much it says about which it means.
    says: usize,
    /// Others of the patch say the same: the first of those that are left is as good as any.
    alike: bool,
}

impl Claimant<'_> {
    /// Which of several alike it takes away. What is fewer than the patch speaks of may be what an
    /// earlier run left; of more, each run would take another.
    fn removed<'m>(
        &self,
        level: &[Claimant<'_>],
        claims: &[Option<Match<'m, 'm>>],
        children: &Children<'m, 'm>,
        taken: &HashSet<NodeId>,
    ) -> Match<'m, 'm> {
        let waits = |other: &&Claimant<'_>| {
            other.index >= self.index
                && matches!(claims.get(other.index), Some(None))
                && other.wanted.name == self.wanted.name
                && other.signature == self.signature
        };
        let waiting = level.iter().filter(waits).count();
        let mut free = children.meant(self.wanted);
        free.retain(|node| !taken.contains(&node.id()));
        match free.as_slice() {
            [first, second, ..] if free.len() > waiting => Match::Ambiguous(*first, *second),
            [first, ..] if free.len() == waiting => Match::One(*first),
            _ => Match::None,
        }
    }
}

impl<'m> Claims<'m> {
    /// For those children of `wanted` whose index is in `which`. Elements that are `gone` cannot be
    /// meant by any.
    pub(super) fn of(
        wanted: &Element,
        which: impl Iterator<Item = usize>,
        children: &Children<'m, 'm>,
        gone: &HashSet<NodeId>,
        alike: impl Fn(usize) -> bool,
    ) -> Self {
        let which: Vec<usize> = which.collect();
        let mut claims = vec![None; wanted.children.len()];
        if let [index] = which.as_slice()
            && gone.is_empty()
            && let Some((child, claim)) = wanted.children.get(*index).zip(claims.get_mut(*index))
        {
            *claim = Some(children.find(child));
            return Claims { found: claims };
        }
        let mut waiting: Vec<Claimant<'_>> = which
            .into_iter()
            .filter_map(|index| {
                let child = wanted.children.get(index)?;
                let signature = keys::signature(&wanted.name, child);
                Some(Claimant {
                    index,
                    wanted: child,
                    // An element that is known by its place is that one and no other.
                    says: match child.at {
                        Some(_) => usize::MAX,
                        None => signature.iter().flatten().count(),
                    },
                    signature,
                    alike: alike(index),
                })
            })
            .collect();
        waiting.sort_by_key(|one| std::cmp::Reverse(one.says));
        let mut taken = gone.clone();
        for level in waiting.chunk_by(|a, b| a.says == b.says) {
            // Who has one to choose from leaves the others theirs.
            for sure in [true, false] {
                for one in level {
                    if !matches!(claims.get(one.index), Some(None)) {
                        continue;
                    }
                    let counts = one.alike && goes(one.wanted);
                    let found = match counts {
                        true => one.removed(level, &claims, children, &taken),
                        false => children.exact(one.wanted, &taken, one.alike),
                    };
                    match found {
                        Match::None => continue,
                        Match::Ambiguous(..) if sure && !counts => continue,
                        Match::Ambiguous(..) if !counts => {}
                        Match::One(node) | Match::Ambiguous(node, _) => {
                            taken.insert(node.id());
                        }
                    }
                    if let Some(claim) = claims.get_mut(one.index) {
                        *claim = Some(found);
                    }
                }
            }
        }
        // What is the only one of its identity may differ in the rest.
        for one in &waiting {
            if let Some(claim @ None) = claims.get_mut(one.index)
                && let Some(node) = children.only(one.wanted, gone)
                && taken.insert(node.id())
            {
                *claim = Some(Match::One(node));
            }
        }
        Claims { found: claims }
    }

    /// What those of `wanted` that stand in an order speak of, in the order of the patch.
    pub(super) fn ordered(&self, wanted: &Element) -> Vec<Node<'m, 'm>> {
        let children = wanted.children.iter().enumerate();
        let ordered = children.filter(|(_, child)| {
            stays(child) && keys::is_ordered(&wanted.name, &child.name) && child.namespace.is_none()
        });
        let found = ordered.filter_map(|(index, _)| match self.of_child(index) {
            Match::One(node) => Some(node),
            _ => None,
        });
        found.collect()
    }

    /// What the child with this index speaks of.
    pub(super) fn of_child(&self, index: usize) -> Match<'m, 'm> {
        let found = self.found.get(index).copied().flatten();
        found.unwrap_or(Match::None)
    }
}

/// Whether a patch's element speaks of one in the document that stays.
pub(super) fn stays(wanted: &Element) -> bool {
    match wanted.op {
        Op::Merge | Op::Replace | Op::Keep | Op::Update => true,
        Op::Default => wanted.at.is_some(),
        Op::Remove | Op::RemoveExisting | Op::Append => false,
    }
}

/// Whether it speaks of one that is to go.
pub(super) fn goes(wanted: &Element) -> bool {
    matches!(wanted.op, Op::Remove | Op::RemoveExisting)
}

/// The children of a patch's element that nothing but their order tells apart, one of which at
/// least stays: of these the second means the second of the document, also where the first goes.
pub(super) fn alike(wanted: &Element) -> HashSet<usize> {
    if wanted.children.len() < 2 {
        return HashSet::new();
    }
    // In most patches no name is there twice.
    let children = wanted.children.iter();
    let mut sorted: Vec<&str> = children.map(|child| child.name.as_str()).collect();
    sorted.sort_unstable();
    if sorted.windows(2).all(|pair| pair.first() != pair.last()) {
        return HashSet::new();
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    for child in &wanted.children {
        *names.entry(&child.name).or_default() += 1;
    }
    let mut groups: HashMap<Signature<'_>, Vec<usize>> = HashMap::new();
    for (index, child) in wanted.children.iter().enumerate() {
        if names.get(child.name.as_str()) > Some(&1) && (stays(child) || goes(child)) {
            let signature = keys::signature(&wanted.name, child);
            let group = groups.entry((&child.name, signature)).or_default();
            group.push(index);
        }
    }
    let stays = |index: &usize| wanted.children.get(*index).is_some_and(stays);
    groups
        .into_values()
        .filter(|group| group.len() > 1 && group.iter().any(stays))
        .flatten()
        .collect()
}

/// Of those that stand before it in the patch, the one for which the next run would take what is made
/// for `wanted`: another new element, or one of those that are not there and not made.
pub(super) fn rival<'w>(
    parent: &str,
    wanted: &Element,
    new: impl Iterator<Item = &'w Element>,
    missed: &[&'w Element],
) -> Option<&'w Element> {
    let is_append = |one: &Element| one.op == Op::Append;
    let nothing_tells = |other: &&Element| {
        other.name == wanted.name
            && other.namespace == wanted.namespace
            && wanted.at.is_none()
            && keys::signature(parent, other) == keys::signature(parent, wanted)
    };
    new.filter(|other| is_append(other) != is_append(wanted))
        .chain(missed.iter().copied())
        .find(nothing_tells)
}

/// Such two inside an element that is new.
pub(super) fn rivals_in(around: &Element) -> Option<(&Element, &Element)> {
    if around.op == Op::Replace {
        return None;
    }
    let (mut new, mut missed) = (Vec::new(), Vec::new());
    for child in around.children.iter().filter(|child| !goes(child)) {
        if !child.is_written(&around.name) {
            missed.push(child);
            continue;
        }
        let others = new.iter().copied();
        if let Some(other) = rival(&around.name, child, others, &missed) {
            return Some((other, child));
        }
        if let Some(inner) = rivals_in(child) {
            return Some(inner);
        }
        new.push(child);
    }
    None
}

/// What the child with this index is called where it is missing: of several alike the how manieth.
pub(super) fn absent(wanted: &Element, index: usize) -> String {
    let Some(child) = wanted.children.get(index) else {
        return String::new();
    };
    let signature = keys::signature(&wanted.name, child);
    let is_alike = |other: &&Element| {
        other.name == child.name
            && other.namespace == child.namespace
            && (stays(other) || goes(other))
            && keys::signature(&wanted.name, other) == signature
    };
    let before = wanted.children.iter().take(index).filter(is_alike).count();
    let what = keys::described(&wanted.name, child);
    match before {
        0 => what,
        1 => format!("second {what}"),
        2 => format!("third {what}"),
        more => format!("{}th {what}", more + 1),
    }
}

/// Name, and what tells it from others of the name.
type Signature<'w> = (&'w str, Vec<Option<String>>);
