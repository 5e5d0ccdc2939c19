//! Which element of a document a patch's element speaks of.
//!
//! Two elements of one name are the same when their identity keys agree. The tables in `table` and
//! `parts` are the whole knowledge.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use roxmltree::{Node, NodeId};

use super::amounts;
use super::patch::{Element, Op};
use crate::document;

mod index;
mod parts;
mod spelling;
mod table;
mod words;

use index::Index;
use spelling::spelt;
pub use spelling::{is_version_of, same, same_attribute, same_text};
use table::{IDENTITIES, Identity, Key};
pub use words::{described, how_to_choose, names_of_keys};

/// The candidates of a patch element among the children of `parent`.
#[derive(Debug, Clone, Copy)]
pub enum Match<'a, 't> {
    /// There is none: it would be new.
    None,
    /// This one is meant.
    One(Node<'a, 't>),
    /// These two (and maybe more) could be meant.
    Ambiguous(Node<'a, 't>, Node<'a, 't>),
}

/// The child elements of one parent, found by name, and by identity where there are many.
///
/// A patch with few elements looks through the children; one with many, or a parent with many
/// children of one name, is worth an index.
pub struct Children<'a, 't> {
    parent: Node<'a, 't>,
    names: RefCell<Option<ByName<'a, 't>>>,
    keys: RefCell<HashMap<Keyed, Index<'a, 't>>>,
    lookups: std::cell::Cell<usize>,
}

type ByName<'a, 't> = HashMap<(Option<String>, String), Vec<Node<'a, 't>>>;

/// The expanded name of elements, and keys they are told by.
type Keyed = (Option<String>, String, Vec<Key>);

/// From this many lookups below one parent on, an index of the names pays.
const WORTH_AN_INDEX: usize = 8;

/// The same for an index of the keys, which takes as long as two lookups that compare all of them.
const WORTH_KEYS: usize = 3;

impl<'a, 't> Children<'a, 't> {
    /// The children of `parent`.
    pub fn of(parent: Node<'a, 't>) -> Self {
        Self::expecting(parent, 0)
    }

    /// The children of `parent`, for as many lookups.
    pub fn expecting(parent: Node<'a, 't>, lookups: usize) -> Self {
        // Those of few are not worth an index before they are made.
        let lookups = if lookups < WORTH_AN_INDEX { 0 } else { lookups };
        Children {
            parent,
            names: RefCell::new(None),
            keys: RefCell::new(HashMap::new()),
            lookups: std::cell::Cell::new(lookups),
        }
    }

    /// The parent.
    pub fn parent(&self) -> Node<'a, 't> {
        self.parent
    }

    /// The child that `wanted` speaks of, alone.
    pub fn find(&self, wanted: &Element) -> Match<'a, 't> {
        match self.exact(wanted, &HashSet::new(), false) {
            Match::None => self
                .only(wanted, &HashSet::new())
                .map_or(Match::None, Match::One),
            found => found,
        }
    }

    /// The child that agrees with all that `wanted` says of its identity, and is not `taken`.
    /// Where several are `alike`, the first.
    pub fn exact(&self, wanted: &Element, taken: &HashSet<NodeId>, alike: bool) -> Match<'a, 't> {
        if let Some(at) = wanted.at {
            let there = self.at(wanted, at);
            return there.map_or(Match::None, Match::One);
        }
        let identity = identity(self.parent.tag_name().name(), &wanted.name);
        let (_, tie) = parts(identity, wanted);
        let mut free = self.of_identity(wanted);
        free.retain(|node| !taken.contains(&node.id()));
        let mut unlike = Vec::new();
        if !tie.is_empty() {
            (free, unlike) = free.into_iter().partition(|node| agree(*node, wanted, tie));
        }
        match free.as_slice() {
            [] => match unlike.as_slice() {
                [first, second, ..] if !is_companion(wanted, *first) => {
                    Match::Ambiguous(*first, *second)
                }
                _ => Match::None,
            },
            [one] => Match::One(*one),
            [first, ..] if alike || identity.is_some_and(|identity| identity.many) => {
                Match::One(*first)
            }
            [first, second, ..] => Match::Ambiguous(*first, *second),
        }
    }

    /// The only child of the identity of `wanted` beside those that are `gone`, whatever else tells
    /// such apart.
    pub fn only(&self, wanted: &Element, gone: &HashSet<NodeId>) -> Option<Node<'a, 't>> {
        if wanted.at.is_some() {
            return None;
        }
        let mut candidates = self.of_identity(wanted);
        candidates.retain(|node| !gone.contains(&node.id()));
        match candidates.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Any child that is what `wanted` is and not `gone`, whatever tells such apart besides.
    pub fn any(&self, wanted: &Element, gone: &HashSet<NodeId>) -> Option<Node<'a, 't>> {
        let mut all = self.of_identity(wanted).into_iter();
        all.find(|node| !gone.contains(&node.id()))
    }

    /// All children that `wanted` may speak of where no other speaks beside it, in order.
    pub fn meant(&self, wanted: &Element) -> Vec<Node<'a, 't>> {
        let identity = identity(self.parent.tag_name().name(), &wanted.name);
        let (_, tie) = parts(identity, wanted);
        let mut candidates = self.of_identity(wanted);
        if candidates.len() > 1 {
            candidates.retain(|node| agree(*node, wanted, tie));
        }
        candidates
    }

    /// The children with the identity of `wanted`, in order.
    fn of_identity(&self, wanted: &Element) -> Vec<Node<'a, 't>> {
        let identity = identity(self.parent.tag_name().name(), &wanted.name);
        let (keys, _) = parts(identity, wanted);
        let mut candidates = self.candidates(wanted, keys);
        candidates.retain(|node| agree(*node, wanted, keys));
        if identity.is_some_and(|identity| identity.whole) {
            let unsaid = |key: &&Key| in_patch(wanted, key).is_none();
            let has = |node: &Node<'_, '_>, key: &Key| in_document(*node, key).is_some();
            candidates.retain(|node| !keys.iter().filter(unsaid).any(|key| has(node, key)));
        }
        candidates
    }

    /// The children with the name of `wanted`, in order; where there are many lookups, only those
    /// that may say all that it says.
    pub fn with_key(&self, wanted: &Element) -> Vec<Node<'a, 't>> {
        let parent = self.parent.tag_name().name();
        let identity = identity(parent, &wanted.name);
        let keys: Vec<Key> = identity
            .filter(|_| op_of_key(parent, wanted).is_none())
            .into_iter()
            .flat_map(|identity| identity.keys)
            // A text is compared as it is read, and not as it is written.
            .filter(|key| key.contains('@'))
            .copied()
            .collect();
        self.by_values(wanted, &keys, |found, several| {
            let mut all = [found, several].concat();
            all.sort_by_key(|node| node.range().start);
            all.dedup();
            all
        })
    }

    /// All children with the expanded name of `wanted`, in order.
    pub fn named(&self, wanted: &Element) -> Vec<Node<'a, 't>> {
        self.of_name(wanted, <[_]>::to_vec)
    }

    /// The child with the name of `wanted` that begins at this byte.
    fn at(&self, wanted: &Element, at: usize) -> Option<Node<'a, 't>> {
        self.of_name(wanted, |all| {
            let index = all.binary_search_by_key(&at, |node| node.range().start);
            index.ok().and_then(|index| all.get(index)).copied()
        })
    }

    fn of_name<T>(&self, wanted: &Element, what: impl FnOnce(&[Node<'a, 't>]) -> T) -> T {
        self.lookups.set(self.lookups.get() + 1);
        if self.lookups.get() < WORTH_AN_INDEX {
            let all = self.parent.children();
            let all: Vec<_> = all.filter(|node| wanted.names(*node)).collect();
            return what(&all);
        }
        let mut names = self.names.borrow_mut();
        let names = names.get_or_insert_with(|| by_name(self.parent));
        let all = names.get(&(wanted.namespace.clone(), wanted.name.clone()));
        what(all.map_or(&[], Vec::as_slice))
    }

    /// Those that can be meant: with many of one name, only those with the right keys.
    fn candidates(&self, wanted: &Element, keys: &[Key]) -> Vec<Node<'a, 't>> {
        self.by_values(wanted, keys, |found, _| found.to_vec())
    }

    /// Those whose keys have the values that `wanted` says, and those where one of the keys has several;
    /// where there are few lookups, or it says none, all of its name.
    fn by_values(
        &self,
        wanted: &Element,
        keys: &[Key],
        what: impl FnOnce(&[Node<'a, 't>], &[Node<'a, 't>]) -> Vec<Node<'a, 't>>,
    ) -> Vec<Node<'a, 't>> {
        if self.lookups.get() + 1 < WORTH_KEYS {
            return self.named(wanted);
        }
        // A size is the same in another unit.
        let said = keys.iter().filter(|key| **key != SIZE);
        let said = said.filter_map(|key| Some((*key, spelt(&in_patch(wanted, key)?).into_owned())));
        let (said, values): (Vec<Key>, Vec<String>) = said.unzip();
        if said.is_empty() {
            return self.named(wanted);
        }
        let mut by_keys = self.keys.borrow_mut();
        let keyed = (wanted.namespace.clone(), wanted.name.clone(), said);
        let index = match by_keys.entry(keyed) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => {
                let index = Index::of(&self.named(wanted), &new.key().2);
                new.insert(index)
            }
        };
        what(index.get(&values), &index.several)
    }
}

fn by_name<'a, 't>(parent: Node<'a, 't>) -> ByName<'a, 't> {
    let mut index = ByName::new();
    for node in parent.children().filter(Node::is_element) {
        let name = node.tag_name();
        index
            .entry((
                document::namespace_of(node).map(str::to_owned),
                name.name().to_owned(),
            ))
            .or_default()
            .push(node);
    }
    index
}

/// What tells an element of a patch apart from its like: two with the same are told by their order.
pub fn signature(parent: &str, wanted: &Element) -> Vec<Option<String>> {
    let identity = identity(parent, &wanted.name);
    let keys = identity.map_or(&[] as &[Key], |identity| identity.keys);
    let tie = identity.map_or(&[] as &[Key], |identity| identity.tie);
    let value = |key: &Key| in_patch(wanted, key).map(|value| spelt(&value).into_owned());
    keys.iter().chain(tie).map(value).collect()
}

/// What two elements of this name cannot both have.
pub fn unique_key(parent: &str, wanted: &Element) -> Option<String> {
    let identity = identity(parent, &wanted.name).filter(|identity| identity.unique)?;
    let key = identity.keys.first()?;
    Some(spelt(&in_patch(wanted, key)?).into_owned())
}

/// What is to become of a part that holds a key of `wanted`, where that never makes one
/// (`<target dev='vda' patch:op='remove'/>`): then `wanted` speaks of an element that is there.
pub(super) fn op_of_key(parent: &str, wanted: &Element) -> Option<Op> {
    let keys = identity(parent, &wanted.name)?.keys.iter();
    let mut said = keys.filter(|key| in_patch(wanted, key).is_some());
    said.find_map(|key| {
        let mut part = wanted;
        let mut names = split(key).0.split('/');
        names.find_map(|name| {
            part = part.child(name)?;
            part.op.makes_none().then_some(part.op)
        })
    })
}

/// Whether a definition has only one element of this name below one of that name, so that two of
/// a patch are one.
pub fn is_single(parent: &str, name: &str) -> bool {
    match parent {
        "domain" => !matches!(name, "seclabel" | "sysinfo"),
        "features" | "hyperv" | "kvm" | "memoryBacking" => true,
        "os" => !matches!(name, "boot" | "initarg" | "initenv"),
        "cpu" => name != "feature",
        "devices" => matches!(name, "emulator" | "memballoon" | "tpm" | "iommu" | "vsock"),
        _ => false,
    }
}

/// Whether the order of such elements is what they mean, and each has a key to be told by.
pub fn is_ordered(parent: &str, name: &str) -> bool {
    (parent, name) == ("os", "boot")
}

/// Whether an attribute of an element's own tells it apart from others of its name.
pub fn is_own_key(parent: &str, name: &str, attribute: &str) -> bool {
    identity(parent, name).is_some_and(|identity| {
        let mut keys = identity.keys.iter();
        keys.any(|key| key.strip_prefix('@') == Some(attribute))
    })
}

/// Whether one more USB controller stands for a part of the one that is there: the four of an ich9
/// share one index.
fn is_companion(wanted: &Element, there: Node<'_, '_>) -> bool {
    let is_ich9 = |model: &str| model.starts_with("ich9-");
    wanted.name == "controller"
        && in_patch(wanted, "@model").is_some_and(|model| is_ich9(&model))
        && there.attribute("model").is_some_and(is_ich9)
}

fn parts(identity: Option<&Identity>, wanted: &Element) -> (&'static [Key], &'static [Key]) {
    identity.map_or((&[], &[]), |identity| {
        identity.parts(|key| in_patch(wanted, key).is_some())
    })
}

fn identity(parent: &str, name: &str) -> Option<&'static Identity> {
    let first = BY_NAME.partition_point(|identity| identity.name < name);
    BY_NAME
        .iter()
        .skip(first)
        .take_while(|identity| identity.name == name)
        .find(|identity| identity.parent == parent || identity.parent == "*")
        .copied()
}

/// The tables, sorted by element: each is asked for every element of a patch.
static BY_NAME: LazyLock<Vec<&Identity>> = LazyLock::new(|| {
    let mut by_name: Vec<&Identity> = parts::PARTS.iter().chain(IDENTITIES).collect();
    by_name.sort_by_key(|identity| identity.name);
    by_name
});

/// The size of huge pages.
const SIZE: Key = "@size";

fn agree(node: Node<'_, '_>, wanted: &Element, keys: &[Key]) -> bool {
    keys.iter().all(|key| match in_patch(wanted, key) {
        Some(want) => {
            in_document(node, key).is_some_and(|have| have == want || spelt(have) == spelt(&want))
                || (*key == SIZE && amounts::are_same(node, wanted))
        }
        None => true,
    })
}

fn in_patch<'p>(wanted: &'p Element, key: Key) -> Option<Cow<'p, str>> {
    let (path, attribute) = split(key);
    let element = path
        .split('/')
        .filter(|name| !name.is_empty())
        .try_fold(wanted, |element, name| element.child(name))?;
    let value = match attribute {
        Some(attribute) => element.attribute(attribute),
        None => element.text.as_deref(),
    };
    value.filter(|value| counts(key, value)).map(Cow::Borrowed)
}

fn in_document<'a>(node: Node<'a, '_>, key: Key) -> Option<&'a str> {
    let (path, attribute) = split(key);
    let element = path
        .split('/')
        .filter(|name| !name.is_empty())
        .try_fold(node, document::child)?;
    value_in(element, attribute).filter(|value| counts(key, value))
}

fn value_in<'a>(element: Node<'a, '_>, attribute: Option<&str>) -> Option<&'a str> {
    match attribute {
        Some(attribute) => element.attribute(attribute),
        None => document::text_of(element),
    }
}

/// Names that libvirt gives to devices are others at the next start, and no definition has them.
fn counts(key: Key, value: &str) -> bool {
    key != "alias@name" || is_own_alias(value)
}

/// Whether a device has this name from its user: libvirt keeps those only.
pub(super) fn is_own_alias(name: &str) -> bool {
    name.starts_with("ua-")
}

/// `a/b@c` → path `a/b`, attribute `c`; `@c` → own attribute; `a/b` → the text of a child; nothing →
/// its own text.
fn split(key: Key) -> (&'static str, Option<&'static str>) {
    match key.split_once('@') {
        Some((path, attribute)) => (path, Some(attribute)),
        None => (key, None),
    }
}

/// A part of an element's identity as it stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyValue {
    /// Names of the elements that lead to it, from the element itself.
    pub path: Vec<&'static str>,
    /// The attribute; `None`: the text.
    pub attribute: Option<&'static str>,
    /// The value, as it is written.
    pub value: String,
}

/// What tells an element of a document apart from others of its name, as far as it says so.
pub fn identity_of(node: Node<'_, '_>) -> Vec<KeyValue> {
    let parent = node
        .parent_element()
        .map_or("", |parent| parent.tag_name().name());
    let keys = match identity(parent, node.tag_name().name()) {
        Some(identity) if document::namespace_of(node).is_none() || is_qemu(node) => {
            identity.parts(|key| settles(node, key)).0
        }
        _ => &[],
    };
    keys.iter()
        .filter_map(|key| {
            let (path, attribute) = split(key);
            Some(KeyValue {
                path: path.split('/').filter(|name| !name.is_empty()).collect(),
                attribute,
                value: in_document(node, key)?.to_owned(),
            })
        })
        .collect()
}

/// Whether no other element of its name has the same key.
fn settles(node: Node<'_, '_>, key: Key) -> bool {
    let mut others = node
        .parent()
        .into_iter()
        .flat_map(|parent| parent.children());
    let value = in_document(node, key).map(spelt);
    value.is_some()
        && others.all(|other| {
            other == node
                || other.tag_name() != node.tag_name()
                || in_document(other, key).map(spelt) != value
        })
}

fn is_qemu(node: Node<'_, '_>) -> bool {
    node.tag_name().namespace() == Some(document::qemu::NAMESPACE)
}
