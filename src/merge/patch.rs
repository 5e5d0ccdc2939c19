//! A merge patch: a partial `<domain>`, and what it says once directives, conditions and
//! placeholders are resolved.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::condition::Fact;
use super::error::MergeError;
use super::resolve::{self, Declared};
use crate::document::Document;

/// The namespace of the directives (`patch:op`, `patch:unset`, `patch:when`, `<patch:value>`);
/// they never reach a document.
pub const DIRECTIVES: &str = "urn:virt-patch:1";

/// What the placeholders of a patch stand for. `None` stands for nothing: an attribute whose
/// whole value is such a placeholder is left out, and taken out where it stands.
pub type Values = BTreeMap<String, Option<String>>;

/// What conditions and placeholders may ask of the host, the guest and the settings.
pub type Facts = BTreeMap<String, Fact>;

/// The text of a merge patch and the values of its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What messages call it: a file name, or the name of the pass or shipped patch.
    pub name: String,
    /// The XML.
    pub text: String,
    /// The values of `${…}`: what a pass found out, or what the user set.
    pub values: Values,
    /// What is known beside them.
    pub facts: Facts,
    /// Elements that exist only at run time, such as one pin per vCPU, and where they belong.
    pub also: Vec<Addition>,
    /// Changes to single elements of the very document the patch is made for.
    pub here: Vec<Here>,
}

/// A change to one element of a document, known by where it begins: for elements that nothing else
/// tells apart (two equal devices), and for keys that are to change (`<target dev=…>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Byte offset of the element.
    pub offset: usize,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It says what this says.
    Merge(xmltree::Element),
    /// It goes; a parent that held nothing else is closed.
    Remove,
}

/// An element built in code, as a further part of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Names of the elements below the root that lead to its parent.
    pub path: Vec<&'static str>,
    /// What to do with it.
    pub op: Op,
    /// The element; attributes `patch:op` and `patch:unset` are directives in it as well.
    pub element: xmltree::Element,
    /// The one element of the document that is meant, by the byte it begins at: for those that
    /// no identity key tells apart, or whose key is what changes. Such a patch is good for
    /// this one document.
    pub at: Option<usize>,
}

impl Patch {
    /// A patch without placeholders.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Patch {
            name: name.into(),
            text: text.into(),
            values: Values::new(),
            facts: Facts::new(),
            also: Vec::new(),
            here: Vec::new(),
        }
    }

    /// Gives a placeholder its value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), Some(value.into()));
        self
    }

    /// Gives a placeholder its value, or nothing to stand for.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: Option<impl Into<String>>) -> Self {
        self.values.insert(name.to_owned(), value.map(Into::into));
        self
    }

    /// Adds an element built in code below `path`.
    pub fn add(&mut self, path: &[&'static str], op: Op, element: xmltree::Element) {
        self.also.push(Addition {
            path: path.to_vec(),
            op,
            element,
            at: None,
        });
    }

    /// As [`Patch::add`], for this very element of the document the patch is made for.
    pub fn change(
        &mut self,
        path: &[&'static str],
        node: Node<'_, '_>,
        op: Op,
        element: xmltree::Element,
    ) {
        self.also.push(Addition {
            path: path.to_vec(),
            op,
            element,
            at: Some(node.range().start),
        });
    }

    /// Makes this element of the document say what `element` says.
    pub fn merge_at(&mut self, node: Node<'_, '_>, element: xmltree::Element) {
        self.change_at(node, Change::Merge(element));
    }

    /// Takes this element out of the document.
    pub fn remove_at(&mut self, node: Node<'_, '_>) {
        self.change_at(node, Change::Remove);
    }

    fn change_at(&mut self, node: Node<'_, '_>, change: Change) {
        let offset = node.range().start;
        self.here.push(Here { offset, change });
    }

    /// Parses the patch and resolves its directives, conditions and placeholders.
    ///
    /// # Errors
    /// Not well-formed, an element without a place, an unknown directive, a placeholder without
    /// a value, or a condition that asks for something unknown.
    pub fn resolve(&self) -> Result<Wanted, MergeError> {
        resolve::resolve(self)
    }

    /// As [`Patch::resolve`], for this document: where a placeholder has no value, the error says what
    /// of the document it was for.
    ///
    /// # Errors
    /// As [`Patch::resolve`].
    pub fn resolve_for(&self, document: &Document<'_>) -> Result<Wanted, MergeError> {
        self.resolve().map_err(|error| {
            let place = error
                .placeholder()
                .and_then(|position| resolve::place_in(document, self, position));
            match place {
                Some(place) => error.at(place),
                None => error,
            }
        })
    }

    /// The placeholders the patch declares with `<patch:value name=… default=…>`.
    ///
    /// # Errors
    /// Not well-formed, or a declaration that is none.
    pub fn declared(&self) -> Result<Vec<Declared>, MergeError> {
        resolve::declared(self)
    }

    /// The comment at the head of the patch, which says what it is for.
    pub fn explanation(&self) -> String {
        resolve::head_comment(&self.text)
    }

    /// The line of its text with this byte.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        1 + before.matches('\n').count()
    }

    /// Whether a placeholder or condition may speak of `name`, or of something below it. A hint
    /// for gathering facts, which may say yes for nothing.
    pub fn mentions(&self, name: &str) -> bool {
        self.text.contains(&format!("${{{name}"))
            || (self.text.contains(":when") && self.text.contains(name))
    }
}

/// What a patch asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The partial `<domain>`.
    pub root: Element,
    /// The condition that left nothing of the patch, if one did.
    pub unmet: Option<String>,
}

/// What happens where an element of a patch meets a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Op {
    /// What it names is ensured, what it leaves out is left alone.
    #[default]
    Merge,
    /// Only where there is no such element.
    Default,
    /// The element becomes exactly this.
    Replace,
    /// Every element that has all this says goes.
    Remove,
    /// As `Remove`, and there has to be one.
    RemoveExisting,
    /// One more, unless one says all of this already.
    Append,
    /// As `Merge` where there is such an element; nothing where there is none.
    Update,
    /// It stays as it is where it is there, and is not missed: what is to stay beside one that goes.
    Keep,
}

/// An element of a patch, owned, with directives and placeholders resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Namespace URI; `None` for libvirt's own elements.
    pub namespace: Option<String>,
    /// The prefix the patch uses for it.
    pub prefix: Option<String>,
    /// Local name.
    pub name: String,
    /// Attributes in order, with their namespaces; `None` as value: to be taken out.
    pub attributes: Vec<Attribute>,
    /// Non-blank text, trimmed where blanks are layout.
    pub text: Option<String>,
    /// Child elements.
    pub children: Vec<Element>,
    /// What to do.
    pub op: Op,
    /// Where the one element of the document that is meant begins, when keys cannot tell.
    pub at: Option<usize>,
    /// Byte offset in the patch, for messages.
    pub offset: usize,
}

/// An attribute of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Namespace URI, rarely.
    pub namespace: Option<String>,
    /// The prefix the patch uses for it.
    pub prefix: Option<String>,
    /// Local name.
    pub name: String,
    /// The value, or `None` when the attribute is not to be there.
    pub value: Option<String>,
}

impl Op {
    /// The operation that `patch:op` calls by this name.
    pub(super) fn named(name: &str) -> Option<Op> {
        Some(match name {
            "merge" => Op::Merge,
            "default" => Op::Default,
            "replace" => Op::Replace,
            "remove" => Op::Remove,
            "remove!" => Op::RemoveExisting,
            "append" => Op::Append,
            "update" => Op::Update,
            "keep" => Op::Keep,
            _ => return None,
        })
    }

    /// Whether it never makes an element that is not there.
    pub(super) fn makes_none(self) -> bool {
        matches!(
            self,
            Op::Remove | Op::RemoveExisting | Op::Keep | Op::Update
        )
    }
}

impl Attribute {
    /// One that is not to be there.
    pub(super) fn unset(name: &str) -> Attribute {
        Attribute {
            namespace: None,
            prefix: None,
            name: name.to_owned(),
            value: None,
        }
    }

    /// Its value in a document's element.
    pub fn find<'a>(&self, node: Node<'a, '_>) -> Option<&'a str> {
        match &self.namespace {
            Some(uri) => node.attribute((uri.as_str(), self.name.as_str())),
            None => node.attribute(self.name.as_str()),
        }
    }
}

impl Element {
    /// The value of an un-namespaced attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name && attribute.namespace.is_none())
            .and_then(|attribute| attribute.value.as_deref())
    }

    /// The first un-namespaced child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children
            .iter()
            .find(|child| child.name == name && child.namespace.is_none())
    }

    /// The children it has when it is written: all but those that are to go, or speak of one that is
    /// there.
    pub(super) fn written_children(&self) -> impl Iterator<Item = &Element> {
        let children = self.children.iter();
        children.filter(|child| child.is_written(&self.name))
    }

    /// Whether one is made below `parent` where there is none.
    pub(super) fn is_written(&self, parent: &str) -> bool {
        let speaks_of_another = || super::keys::op_of_key(parent, self).is_some();
        !self.op.makes_none() && (self.op == Op::Append || !speaks_of_another())
    }

    /// The first element in it, or itself, of which there has to be one to remove.
    pub(super) fn first_to_exist(&self) -> Option<&Element> {
        match self.op {
            Op::RemoveExisting => Some(self),
            Op::Remove | Op::Update => None,
            _ => self.children.iter().find_map(Element::first_to_exist),
        }
    }

    /// Whether it is there only to lead to what is taken away. Below `parent`, what tells it apart
    /// from others is no more than a part of the way.
    pub(crate) fn only_removes(&self, parent: &str) -> bool {
        match self.op {
            _ if !self.is_written(parent) => true,
            Op::Merge => {
                let is_unset = |attribute: &&Attribute| attribute.value.is_none();
                let names_it = |attribute: &Attribute| {
                    attribute.namespace.is_none()
                        && super::keys::is_own_key(parent, &self.name, &attribute.name)
                };
                let takes =
                    !self.children.is_empty() || self.attributes.iter().any(|one| is_unset(&one));
                let says_nothing = self.text.is_none()
                    && self
                        .attributes
                        .iter()
                        .all(|attribute| attribute.value.is_none() || names_it(attribute));
                let mut children = self.children.iter();
                takes && says_nothing && children.all(|child| child.only_removes(&self.name))
            }
            _ => false,
        }
    }

    pub(super) fn new(name: &str) -> Element {
        Element {
            namespace: None,
            prefix: None,
            name: name.to_owned(),
            attributes: Vec::new(),
            text: None,
            children: Vec::new(),
            op: Op::Merge,
            at: None,
            offset: 0,
        }
    }

    pub(super) fn child_or_new(&mut self, namespace: Option<&str>, name: &str) -> &mut Element {
        let there = self
            .children
            .iter()
            .position(|child| child.name == name && child.namespace.as_deref() == namespace);
        let index = there.unwrap_or(self.children.len());
        if there.is_none() {
            self.children.push(Element {
                namespace: namespace.map(str::to_owned),
                ..Element::new(name)
            });
        }
        &mut self.children[index]
    }

    pub(super) fn from_tree(tree: &xmltree::Element) -> Element {
        let mut attributes = Vec::new();
        let mut op = Op::Merge;
        for (name, value) in &tree.attributes {
            match name.as_str() {
                "patch:op" => op = Op::named(value).unwrap_or_default(),
                "patch:unset" => attributes.extend(value.split_whitespace().map(Attribute::unset)),
                _ => attributes.push(Attribute {
                    namespace: None,
                    prefix: None,
                    name: name.clone(),
                    value: Some(value.clone()),
                }),
            }
        }
        Element {
            attributes,
            op,
            text: tree.get_text().map(|text| text.trim().to_owned()),
            children: tree
                .children
                .iter()
                .filter_map(xmltree::XMLNode::as_element)
                .map(Element::from_tree)
                .collect(),
            ..Element::new(&tree.name)
        }
    }

    /// Whether an element of a document has this expanded name.
    pub fn names(&self, node: Node<'_, '_>) -> bool {
        node.is_element()
            && node.tag_name().name() == self.name
            && crate::document::namespace_of(node) == self.namespace.as_deref()
    }
}
