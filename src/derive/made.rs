//! Elements of a patch in the making, and how they are written.

use std::collections::BTreeMap;

use roxmltree::Node;
use xmltree::{EmitterConfig, XMLNode};

use super::equal::{elements, text};
use super::noise::Keep;
use crate::document::{SECTIONS, escape_attribute, escape_text, qemu};
use crate::merge::{Attribute, DIRECTIVES, Element, Op, keys};

/// The name of an element, and the words for what is left out of it.
pub(super) type Lost = (String, Vec<&'static str>);

/// An element of a patch in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) namespace: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) name: String,
    pub(super) attributes: Vec<Attribute>,
    pub(super) text: Option<String>,
    pub(super) children: Vec<Made>,
    pub(super) op: Op,
    /// Where the element of the new definition begins that is to be replaced as a whole when this
    /// does not work.
    pub(super) origin: usize,
}

impl Made {
    /// An element named like `node`, with nothing in it.
    pub(super) fn named(node: Node<'_, '_>, origin: usize) -> Made {
        let namespace = crate::document::namespace_of(node);
        Made {
            namespace: namespace.map(str::to_owned),
            prefix: namespace
                .and_then(|uri| node.lookup_prefix(uri))
                .map(str::to_owned),
            name: node.tag_name().name().to_owned(),
            attributes: Vec::new(),
            text: None,
            children: Vec::new(),
            op: Op::Merge,
            origin,
        }
    }

    /// An element that says all that `node` says.
    pub(super) fn full(node: Node<'_, '_>, origin: usize) -> Made {
        let text = text(node);
        Made {
            attributes: node
                .attributes()
                .map(|attribute| Attribute {
                    namespace: attribute.namespace().map(str::to_owned),
                    prefix: attribute
                        .namespace()
                        .and_then(|uri| node.lookup_prefix(uri))
                        .map(str::to_owned),
                    name: attribute.name().to_owned(),
                    value: Some(attribute.value().to_owned()),
                })
                .collect(),
            text: (!text.is_empty()).then_some(text),
            children: elements(node)
                .into_iter()
                .map(|child| Made::full(child, origin))
                .collect(),
            ..Made::named(node, origin)
        }
    }

    /// An element that says no more than what tells `node` apart.
    pub(super) fn stub(node: Node<'_, '_>, origin: usize, mac: bool) -> Made {
        let mut made = Made::named(node, origin);
        made.identify(node, mac);
        made
    }

    /// Adds what tells `node` apart from others of its name, where it is not said yet.
    pub(super) fn identify(&mut self, node: Node<'_, '_>, mac: bool) {
        // Each is put first, as it would be written.
        for key in keys::identity_of(node).into_iter().rev() {
            if !mac && key.path == ["mac"] {
                continue;
            }
            let mut at = &mut *self;
            for name in &key.path {
                at = at.first_child(name);
            }
            match key.attribute {
                None if at.text.is_none() => at.text = Some(key.value),
                Some(name) if !at.attributes.iter().any(|other| other.name == name) => {
                    let attribute = Attribute {
                        namespace: None,
                        prefix: None,
                        name: name.to_owned(),
                        value: Some(key.value),
                    };
                    at.attributes.insert(0, attribute);
                }
                _ => {}
            }
        }
        // A disk of the same name may be of another kind elsewhere: a CD-ROM here, the system there.
        let device = node.attribute("device").filter(|_| self.name == "disk");
        let says = self.attributes.iter().any(|one| one.name == "device");
        if let Some(device) = device.filter(|_| !says) {
            self.say("device", device);
        }
    }

    /// Whether it gives this attribute a value.
    pub(super) fn says(&self, name: &str) -> bool {
        let mut all = self.attributes.iter();
        all.any(|one| one.name == name && one.value.is_some())
    }

    /// Says an attribute, first of all.
    pub(super) fn say(&mut self, name: &str, value: &str) {
        let attribute = Attribute {
            namespace: None,
            prefix: None,
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        self.attributes.insert(0, attribute);
    }

    fn first_child(&mut self, name: &str) -> &mut Made {
        let there = self
            .children
            .iter()
            .position(|child| child.name == name && child.namespace.is_none());
        let at = there.unwrap_or(0);
        if there.is_none() {
            let child = Made {
                namespace: None,
                prefix: None,
                name: name.to_owned(),
                attributes: Vec::new(),
                text: None,
                children: Vec::new(),
                op: Op::Merge,
                origin: self.origin,
            };
            self.children.insert(0, child);
        }
        &mut self.children[at]
    }

    /// Whether it names an interface without saying anything about it: a domain without that one
    /// would get it, and could not be defined.
    pub(super) fn counts_interfaces(&self) -> bool {
        let bare = self.name == "interface"
            && self.op == Op::Merge
            && self.attributes.is_empty()
            && self.children.is_empty();
        bare || self.children.iter().any(Made::counts_interfaces)
    }

    /// Whether it says of an interface that it stays, and nothing that tells which.
    pub(super) fn counts_interfaces_that_stay(&self) -> bool {
        let bare = self.name == "interface" && self.op == Op::Keep && self.children.is_empty();
        let mut children = self.children.iter();
        bare || children.any(Made::counts_interfaces_that_stay)
    }

    /// As the merge engine sees it.
    pub(super) fn element(&self) -> Element {
        Element {
            namespace: self.namespace.clone(),
            prefix: self.prefix.clone(),
            name: self.name.clone(),
            attributes: self.attributes.clone(),
            text: self.text.clone(),
            children: self.children.iter().map(Made::element).collect(),
            op: self.op,
            at: None,
            offset: 0,
        }
    }

    /// The names of what is replaced as a whole.
    pub(super) fn replaced(&self, out: &mut Vec<String>) {
        if self.op == Op::Replace {
            let option = self.attributes.iter().find(|_| self.name == "arg");
            out.push(match option.and_then(|one| one.value.as_deref()) {
                Some(option) => format!("qemu:arg value='{option}'"),
                None => self.name.clone(),
            });
        }
        for child in &self.children {
            child.replaced(out);
        }
    }

    /// The names of what is replaced as a whole although something in it is left out, each with what that
    /// is.
    pub(super) fn cut<'m>(&'m self, keep: &Keep, parents: &mut Vec<&'m str>, out: &mut Vec<Lost>) {
        let left_out = keep.leaves_out_of(parents, &self.name);
        if self.op == Op::Replace && self.namespace.is_none() && !left_out.is_empty() {
            out.push((self.name.clone(), left_out));
            return;
        }
        parents.push(&self.name);
        for child in &self.children {
            child.cut(keep, parents, out);
        }
        parents.pop();
    }

    /// The name of an element with both text and elements in it, which a patch cannot say.
    pub(super) fn mixed(&self) -> Option<&str> {
        match self.text.is_some() && !self.children.is_empty() {
            true => Some(&self.name),
            false => self.children.iter().find_map(Made::mixed),
        }
    }

    /// Says no longer of elements of this name that they go out of those of that one; `false` where none does.
    pub(super) fn leave(&mut self, parent: &str, name: &str) -> bool {
        let said = self.children.len();
        if self.name == parent {
            self.children
                .retain(|part| part.name != name || part.op != Op::Remove);
        }
        let mut left = self.children.len() < said;
        self.children.retain_mut(|part| {
            let is_left = part.leave(parent, name);
            left |= is_left;
            !is_left
                || part.op != Op::Merge
                || !part.children.is_empty()
                || !part.attributes.is_empty()
        });
        left
    }

    /// The origins of what is to go.
    pub(super) fn removals(&self, out: &mut Vec<usize>) {
        if matches!(self.op, Op::Remove) {
            out.push(self.origin);
        }
        for child in &self.children {
            child.removals(out);
        }
    }

    /// The names of elements that are appended together with those of their like that were there.
    pub(super) fn counted(&self, out: &mut Vec<String>) {
        for (at, child) in self.children.iter().enumerate() {
            let again = self.children.iter().take(at).any(|other| other == child);
            if again && child.op == Op::Append && child.name != "arg" && !out.contains(&child.name)
            {
                out.push(child.name.clone());
            }
            child.counted(out);
        }
    }

    /// The names of sections that go with all that is in them.
    pub(super) fn emptied(&self, out: &mut Vec<String>) {
        let holds = |name: &str| name == "commandline" || SECTIONS.contains(&name);
        let goes = |one: &&Made| one.op == Op::Remove && holds(&one.name);
        out.extend(
            self.children
                .iter()
                .filter(goes)
                .map(|one| one.name.clone()),
        );
    }

    /// The origins of this element and everything in it, in the order in which they are written.
    pub(super) fn origins(&self, out: &mut Vec<usize>) {
        out.push(self.origin);
        for child in &self.children {
            child.origins(out);
        }
    }

    /// The text of the patch with this root.
    pub(super) fn write(&self) -> String {
        let mut prefixes = Prefixes::default();
        prefixes.collect(self);
        let mut tree = self.tree(&mut prefixes);
        let mut attributes = xmltree::AttributeMap::new();
        for (uri, prefix) in &prefixes.of {
            let uri = escape_attribute(uri, '"').into_owned();
            attributes.insert(format!("xmlns:{prefix}"), uri);
        }
        attributes.extend(std::mem::take(&mut tree.attributes));
        tree.attributes = attributes;
        if prefixes.as_is {
            let mut value = xmltree::Element::new("patch:value");
            for (name, text) in [("name", AS_IS), ("default", "")] {
                value.attributes.insert(name.to_owned(), text.to_owned());
            }
            tree.children.insert(0, XMLNode::Element(value));
        }
        let mut config = EmitterConfig::new()
            .write_document_declaration(false)
            .perform_indent(true)
            .indent_string("  ")
            .pad_self_closing(false);
        // It would leave tabs and carriage returns as they are.
        config.perform_escaping = false;
        let mut out = Vec::new();
        // Writing to memory does not fail.
        let _ = tree.write_with_config(&mut out, config);
        let body = String::from_utf8(out).unwrap_or_default();
        format!("{body}\n")
    }

    fn tree(&self, prefixes: &mut Prefixes) -> xmltree::Element {
        let name = prefixes.qualified(self.namespace.as_deref(), &self.name);
        let mut tree = xmltree::Element::new(&name);
        // Without a directive it would be taken for what a copied definition has of a running domain.
        let generated = self.name == "alias"
            && self.attributes.iter().any(|one| {
                let value = one.value.as_deref();
                one.name == "name" && value.is_some_and(|name| !name.starts_with("ua-"))
            });
        let word = word(self.op).or(generated.then_some("replace"));
        if let Some(word) = word {
            tree.attributes
                .insert("patch:op".to_owned(), word.to_owned());
        }
        let unset: Vec<&str> = self
            .attributes
            .iter()
            .filter(|attribute| attribute.value.is_none())
            .map(|attribute| attribute.name.as_str())
            .collect();
        if !unset.is_empty() {
            tree.attributes
                .insert("patch:unset".to_owned(), unset.join(" "));
        }
        for attribute in &self.attributes {
            if let Some(value) = &attribute.value {
                let name = prefixes.qualified(attribute.namespace.as_deref(), &attribute.name);
                let value = prefixes.literal(value);
                tree.attributes
                    .insert(name, escape_attribute(&value, '"').into_owned());
            }
        }
        if let Some(text) = &self.text {
            let text = prefixes.literal(text);
            tree.children
                .push(XMLNode::Text(escape_text(&text).into_owned()));
        }
        for child in &self.children {
            tree.children.push(XMLNode::Element(child.tree(prefixes)));
        }
        tree
    }
}

fn word(op: Op) -> Option<&'static str> {
    match op {
        Op::Merge => None,
        Op::Default => Some("default"),
        Op::Replace => Some("replace"),
        Op::Remove => Some("remove"),
        Op::RemoveExisting => Some("remove!"),
        Op::Append => Some("append"),
        Op::Update => Some("update"),
        Op::Keep => Some("keep"),
    }
}

/// The prefixes of a patch, all declared on its root.
#[derive(Default)]
struct Prefixes {
    /// URI → prefix.
    of: BTreeMap<String, String>,
    /// Some value would be taken for dots that stand for something left out.
    as_is: bool,
}

impl Prefixes {
    fn collect(&mut self, made: &Made) {
        self.add(DIRECTIVES, Some("patch"));
        if let Some(uri) = &made.namespace {
            self.add(uri, made.prefix.as_deref());
        }
        for attribute in &made.attributes {
            if let Some(uri) = &attribute.namespace {
                self.add(uri, attribute.prefix.as_deref());
            }
        }
        for child in &made.children {
            self.collect(child);
        }
    }

    fn add(&mut self, uri: &str, habit: Option<&str>) {
        if self.of.contains_key(uri) || uri == XML {
            return;
        }
        let taken = |prefix: &str| self.of.values().any(|other| other == prefix);
        let habit = match uri {
            qemu::NAMESPACE => Some("qemu"),
            _ => habit,
        };
        let others = (1..).map(|number| format!("ns{number}"));
        let prefix = habit
            .map(str::to_owned)
            .into_iter()
            .chain(others)
            .find(|prefix| !taken(prefix));
        self.of.insert(uri.to_owned(), prefix.unwrap_or_default());
    }

    fn qualified(&self, uri: Option<&str>, name: &str) -> String {
        match uri {
            None => name.to_owned(),
            Some(XML) => format!("xml:{name}"),
            Some(uri) => match self.of.get(uri) {
                Some(prefix) => format!("{prefix}:{name}"),
                None => name.to_owned(),
            },
        }
    }

    /// A value as a patch has to write it to mean just that.
    fn literal(&mut self, value: &str) -> String {
        let escaped = value.replace('$', "$$");
        if value.split_whitespace().any(crate::merge::is_dots) {
            self.as_is = true;
            return format!("${{{AS_IS}}}{escaped}");
        }
        escaped
    }
}

/// A placeholder for nothing: what stands behind it is no longer dots alone.
const AS_IS: &str = "as-is";

const XML: &str = "http://www.w3.org/XML/1998/namespace";
