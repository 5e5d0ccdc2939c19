//! The changes from one element to another, as elements of a patch.
//!
//! What is built here is a proposal: [`super::derive`] merges it and looks at the result. Where
//! the words of a patch do not suffice, the element is replaced as a whole.

mod arguments;
mod pairs;
mod places;

use std::collections::HashSet;

use roxmltree::Node;

use super::equal::{Equality, by_name, elements, text};
use super::made::Made;
use super::noise::is_sequence;
use crate::document::{parent_name, qemu};
use crate::merge::keys::{self, Children, Match};
use crate::merge::{Attribute, Op, is_completed, says};

use pairs::told_from_new;
pub(super) use pairs::{Paired, pair};

/// Builds the patch between two definitions.
pub(super) struct Builder<'f> {
    pub(super) equality: Equality,
    /// MAC addresses may tell interfaces apart.
    pub(super) mac: bool,
    /// Elements of the new definition that are to be replaced as a whole, by where they begin.
    pub(super) whole: &'f HashSet<usize>,
}

/// Elements whose text is an amount, in KiB where no unit is said.
const AMOUNTS: [&str; 10] = [
    "memory",
    "currentMemory",
    "maxMemory",
    "hard_limit",
    "soft_limit",
    "min_guarantee",
    "swap_hard_limit",
    "size",
    "requested",
    "block",
];

/// What depends on the offset of a clock, which libvirt refuses beside another.
const OF_AN_OFFSET: [&str; 4] = ["timezone", "adjustment", "basis", "start"];

/// What makes the number of vCPUs together.
const COUNTS: [&str; 5] = ["sockets", "dies", "clusters", "cores", "threads"];

/// Whether a domain that does not have this element gets a whole one by what is said of its change, or
/// every domain has one. Any other must not get a piece of one.
fn is_ensured(b: Node<'_, '_>, made: &Made) -> bool {
    match (parent_name(b), made.name.as_str()) {
        ("", _) | ("os", "type") | ("devices", "emulator") => true,
        ("domain", "maxMemory" | "iothreads") => false,
        ("domain", "cpu") => made.says("mode"),
        ("domain", "clock") => made.says("offset"),
        ("domain", _) => made.text.is_some(),
        ("devices", "memballoon") => made.says("model"),
        // A part of an order of devices boots another one.
        (_, "boot") => made.says("order"),
        _ => false,
    }
}

/// Completes what means nothing without another part of it.
fn say_what_it_needs(made: &mut Made, b: Node<'_, '_>) {
    match (parent_name(b), made.name.as_str()) {
        ("domain", "clock") => {
            let depends = OF_AN_OFFSET.iter().any(|name| made.says(name));
            if let Some(offset) = b
                .attribute("offset")
                .filter(|_| depends && !made.says("offset"))
            {
                made.say("offset", offset);
            }
        }
        ("devices", _) => places::complete(made, b),
        // The counts of another domain may be others.
        ("cpu", "topology") if COUNTS.iter().any(|name| made.says(name)) => {
            let is_count = |one: &Attribute| COUNTS.contains(&one.name.as_str());
            let all = Made::full(b, made.origin).attributes.into_iter();
            let others = std::mem::take(&mut made.attributes).into_iter();
            let others = others.filter(|one| !is_count(one) || one.value.is_none());
            made.attributes = all.filter(is_count).chain(others).collect();
        }
        // Another mode comes with its model.
        ("domain", "cpu") if made.says("mode") => {
            let mut children = made.children.iter_mut();
            if let Some(model) =
                children.find(|child| child.name == "model" && child.op == Op::Update)
            {
                model.op = Op::Merge;
            }
        }
        _ => {}
    }
}

/// Whether it is a device of a kind of which there can be several.
fn is_one_of_several(b: Node<'_, '_>) -> bool {
    let name = b.tag_name().name();
    parent_name(b) == "devices"
        && !keys::is_single("devices", name)
        && !matches!(name, "nvram" | "pstore" | "redirfilter")
}

/// The words of a patch do not suffice for this element.
struct Whole;

impl Builder<'_> {
    /// What turns `a` into `b`; `None` when nothing has to.
    pub(super) fn change<'d>(&self, a: Node<'d, 'd>, b: Node<'d, 'd>) -> Option<Made> {
        let origin = b.range().start;
        if self.whole.contains(&origin) {
            return Some(self.replaced(b));
        }
        if self.equality.same(a, b) {
            return None;
        }
        Some(self.changed(a, b).unwrap_or_else(|Whole| self.replaced(b)))
    }

    fn replaced(&self, b: Node<'_, '_>) -> Made {
        Made {
            op: Op::Replace,
            ..Made::full(b, b.range().start)
        }
    }

    fn changed<'d>(&self, a: Node<'d, 'd>, b: Node<'d, 'd>) -> Result<Made, Whole> {
        let origin = b.range().start;
        let mut made = Made::named(b, origin);
        made.attributes = self.attributes(a, b)?;
        let (old, new) = (text(a), text(b));
        if old != new {
            if new.is_empty() || !elements(a).is_empty() {
                return Err(Whole);
            }
            made.text = Some(new);
            // A number alone would be another amount in another unit.
            let unit = b.attribute("unit");
            let said = made.attributes.iter().any(|one| one.name == "unit");
            if !said && (unit.is_some() || AMOUNTS.contains(&made.name.as_str())) {
                made.attributes.push(Attribute {
                    namespace: None,
                    prefix: None,
                    name: "unit".to_owned(),
                    value: unit.map(str::to_owned),
                });
            }
        }
        made.children = self.children(a, b)?;
        let is_changed = made.text.is_some() || !made.attributes.is_empty();
        say_what_it_needs(&mut made, b);
        made.identify(a, self.mac);
        let parent = parent_name(b);
        // One that only leads to what is changed is not made for that alone.
        let would_make = || is_changed && !made.element().only_removes(parent);
        if !is_ensured(b, &made) && (parent == "devices" || would_make()) {
            made.op = Op::Update;
        }
        Ok(made)
    }

    fn attributes(&self, a: Node<'_, '_>, b: Node<'_, '_>) -> Result<Vec<Attribute>, Whole> {
        let mut changed = Vec::new();
        for attribute in Made::full(b, 0).attributes {
            let new = attribute.value.as_deref().unwrap_or_default();
            match attribute.find(a) {
                Some(old) if self.equality.same_value(old, new) => {}
                // The merge sees no difference between 0x1 and 0x01.
                Some(old) if keys::same(old, new) => return Err(Whole),
                _ => changed.push(attribute),
            }
        }
        for gone in Made::full(a, 0).attributes {
            if gone.find(b).is_none() {
                if gone.namespace.is_some() {
                    return Err(Whole);
                }
                changed.push(Attribute {
                    value: None,
                    ..gone
                });
            }
        }
        Ok(changed)
    }

    fn children<'d>(&self, a: Node<'d, 'd>, b: Node<'d, 'd>) -> Result<Vec<Made>, Whole> {
        let origin = b.range().start;
        let children = Children::of(a);
        let mut removed = Vec::new();
        // With the place in the new definition, by which they are sorted.
        let mut there: Vec<(usize, Made)> = Vec::new();
        for (ours, theirs) in by_name(&elements(a), &elements(b)) {
            if let ([ours], [theirs]) = (ours.as_slice(), theirs.as_slice())
                && qemu::is(*theirs, "commandline")
                && !self.whole.contains(&theirs.range().start)
            {
                let block = self.commandline(*ours, *theirs)?;
                there.extend(block.map(|block| (theirs.range().start, block)));
                continue;
            }
            let group = pair(self.equality, &ours, &theirs);
            self.group(&children, &group, origin, &mut removed, &mut there)?;
        }
        there.sort_by_key(|(place, _)| *place);
        removed.extend(there.into_iter().map(|(_, made)| made));
        Ok(removed)
    }

    /// The elements of one name.
    fn group<'d>(
        &self,
        children: &Children<'d, 'd>,
        group: &Paired<'d>,
        origin: usize,
        removed: &mut Vec<Made>,
        there: &mut Vec<(usize, Made)>,
    ) -> Result<(), Whole> {
        // Those of which all that are alike are named already.
        let mut counted: Vec<Node<'d, 'd>> = Vec::new();
        let mut removals: Vec<(Node<'d, 'd>, Made)> = Vec::new();
        for node in &group.gone {
            if counted.contains(node) {
                continue;
            }
            match self.removal(children, group, *node, origin) {
                Some(removal) => removals.push((*node, removal)),
                None => self.count(children, group, *node, origin, &mut counted, there)?,
            }
        }
        for (a, b) in &group.pairs {
            if counted.contains(a) {
                continue;
            }
            if let Some(mut made) = self.change(*a, *b) {
                if !group.new.is_empty() {
                    told_from_new(&mut made, *a, *b);
                }
                match children.meant(&made.element()).as_slice() {
                    [] | [_] => there.push((b.range().start, made)),
                    _ => self.count(children, group, *a, origin, &mut counted, there)?,
                }
            }
        }
        for (node, removal) in removals {
            if !counted.contains(&node) && !removed.contains(&removal) {
                removed.push(removal);
            }
        }
        self.ordered(group, there);
        self.added(children, group, origin, there);
        Ok(())
    }

    /// Those whose order is what they mean are all said, where one of them or the order changes: in a domain
    /// that boots by other devices, or by orders of devices, a part of it would be another order.
    fn ordered(&self, group: &Paired<'_>, there: &mut Vec<(usize, Made)>) {
        let starts = group.pairs.iter().map(|(_, b)| b.range().start);
        let is_same = starts.is_sorted() && group.gone.is_empty() && group.new.is_empty();
        let is_ordered = |b: Node<'_, '_>| keys::is_ordered(parent_name(b), b.tag_name().name());
        if is_same || !group.pairs.iter().all(|(_, b)| is_ordered(*b)) {
            return;
        }
        for (_, b) in &group.pairs {
            let place = b.range().start;
            if there.iter().all(|(other, _)| *other != place) {
                there.push((place, Made::full(*b, place)));
            }
        }
    }

    /// One that is named for its place only: no domain gets it for that.
    fn kept(&self, a: Node<'_, '_>, origin: usize) -> Made {
        Made {
            op: Op::Keep,
            ..Made::stub(a, origin, self.mac)
        }
    }

    /// What goes, said as shortly as it can be without meaning something that stays.
    fn removal<'d>(
        &self,
        children: &Children<'d, 'd>,
        group: &Paired<'d>,
        node: Node<'d, 'd>,
        origin: usize,
    ) -> Option<Made> {
        // What stays, and what comes: the second run would take it out.
        let theirs = group.pairs.iter().map(|(_, b)| b).chain(&group.new);
        let theirs: Vec<Node<'d, 'd>> = theirs.copied().collect();
        let means_others = |made: &Made| {
            let wanted = made.element();
            let meant = children.named(&wanted);
            let ours = meant.iter().filter(|other| !group.gone.contains(other));
            ours.chain(&theirs).any(|other| says(*other, &wanted))
        };
        let shortest_first = [
            Made::stub(node, origin, self.mac),
            Made::stub(node, origin, true),
            Made::full(node, origin),
        ];
        let made = shortest_first
            .into_iter()
            .find(|made| !means_others(made))?;
        Some(Made {
            op: Op::Remove,
            ..made
        })
    }

    /// Of several alike the second means the second, so all of them are named in their order.
    fn count<'d>(
        &self,
        children: &Children<'d, 'd>,
        group: &Paired<'d>,
        node: Node<'d, 'd>,
        origin: usize,
        counted: &mut Vec<Node<'d, 'd>>,
        there: &mut Vec<(usize, Made)>,
    ) -> Result<(), Whole> {
        let stub = Made::stub(node, origin, self.mac);
        let alike = children.meant(&stub.element());
        let mut place = 0;
        let mut named = Vec::new();
        for node in &alike {
            let stub = Made::stub(*node, origin, self.mac);
            let made = match group.pairs.iter().find(|(a, _)| a == node) {
                Some((a, b)) => {
                    place = place.max(b.range().start);
                    let kept = Made {
                        op: Op::Keep,
                        ..stub
                    };
                    self.change(*a, *b).unwrap_or(kept)
                }
                None => Made {
                    op: Op::Remove,
                    ..stub
                },
            };
            if children.meant(&made.element()) != alike {
                return Err(Whole);
            }
            named.push((place, made));
        }
        there.extend(named);
        counted.extend(alike);
        Ok(())
    }

    fn added<'d>(
        &self,
        children: &Children<'d, 'd>,
        group: &Paired<'d>,
        origin: usize,
        there: &mut Vec<(usize, Made)>,
    ) {
        let mut said: Vec<Made> = Vec::new();
        for node in &group.new {
            let place = node.range().start;
            let mut made = Made::full(*node, origin);
            let wanted = made.element();
            // One more device changes none that another domain has.
            if is_one_of_several(*node) || !matches!(children.find(&wanted), Match::None) {
                made.op = Op::Append;
                // Those that are there are counted too.
                let like = children
                    .named(&wanted)
                    .iter()
                    .filter(|other| says(**other, &wanted) && !group.gone.contains(other))
                    .count();
                if !said.contains(&made) {
                    said.push(made.clone());
                    there.extend((0..like).map(|_| (place, made.clone())));
                }
            }
            // What is replaced is no more than it says.
            if is_completed(children.parent().tag_name().name(), &wanted) {
                made.op = Op::Replace;
            }
            if self.equality.strict || is_sequence(*node) {
                self.neighbour(children, group, *node, there);
            }
            there.push((place, made));
        }
    }

    /// Where the order counts, the patch shows what a new element stands beside.
    fn neighbour<'d>(
        &self,
        children: &Children<'d, 'd>,
        group: &Paired<'d>,
        node: Node<'d, 'd>,
        there: &mut Vec<(usize, Made)>,
    ) {
        let start = node.range().start;
        let before = group
            .pairs
            .iter()
            .filter(|(_, b)| b.range().start < start)
            .max_by_key(|(_, b)| b.range().start);
        let after = group
            .pairs
            .iter()
            .filter(|(_, b)| b.range().start > start)
            .min_by_key(|(_, b)| b.range().start);
        let Some((a, b)) = before.or(after) else {
            return;
        };
        let place = b.range().start;
        let stub = self.kept(*a, place);
        let alone = children.meant(&stub.element()).len() == 1;
        if alone && there.iter().all(|(other, _)| *other != place) {
            there.push((place, stub));
        }
    }
}
