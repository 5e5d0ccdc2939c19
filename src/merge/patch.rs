//! A merge patch: a partial `<domain>`, with directives and placeholders resolved.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::error::MergeError;
use crate::document::{Document, DocumentError};

/// The namespace of the directives (`patch:op`, `patch:unset`); they never reach a document.
pub const DIRECTIVES: &str = "urn:virt-patch:1";

/// What the placeholders of a patch stand for. `None` stands for nothing: an attribute whose
/// whole value is such a placeholder is left out, and taken out where it stands.
pub type Values = BTreeMap<String, Option<String>>;

/// The text of a merge patch and the values of its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What messages call it: a file name, or the name of the pass or shipped patch.
    pub name: String,
    /// The XML.
    pub text: String,
    /// The values of `${…}`.
    pub values: Values,
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
    /// What it is to say; `None`: it goes.
    pub element: Option<xmltree::Element>,
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
        self.here.push(Here {
            offset: node.range().start,
            element: Some(element),
        });
    }

    /// Takes this element out of the document.
    pub fn remove_at(&mut self, node: Node<'_, '_>) {
        self.here.push(Here {
            offset: node.range().start,
            element: None,
        });
    }

    /// Parses the patch and resolves its directives and placeholders.
    ///
    /// # Errors
    /// Not well-formed, not a `<domain>`, an unknown directive or placeholder.
    pub fn resolve(&self) -> Result<Element, MergeError> {
        let document = Document::parse_domain(&self.text).map_err(|error| self.malformed(error))?;
        let mut root = Resolver { patch: self }.element(document.root())?;
        for addition in &self.also {
            let mut parent = &mut root;
            for name in &addition.path {
                parent = parent.child_or_new(name);
            }
            let mut element = Element::from_tree(&addition.element);
            element.op = addition.op;
            element.at = addition.at;
            parent.children.push(element);
        }
        Ok(root)
    }

    fn malformed(&self, error: DocumentError) -> MergeError {
        MergeError::Malformed {
            patch: self.name.clone(),
            source: error,
        }
    }
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
    /// Non-blank text, trimmed.
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
    fn named(name: &str) -> Option<Op> {
        Some(match name {
            "merge" => Op::Merge,
            "default" => Op::Default,
            "replace" => Op::Replace,
            "remove" => Op::Remove,
            "remove!" => Op::RemoveExisting,
            "append" => Op::Append,
            _ => return None,
        })
    }
}

impl Attribute {
    fn unset(name: &str) -> Attribute {
        Attribute {
            namespace: None,
            prefix: None,
            name: name.to_owned(),
            value: None,
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

    /// The children it has when it is written: all but those that are to go.
    pub(super) fn written_children(&self) -> impl Iterator<Item = &Element> {
        self.children
            .iter()
            .filter(|child| !matches!(child.op, Op::Remove | Op::RemoveExisting))
    }

    fn new(name: &str) -> Element {
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

    fn child_or_new(&mut self, name: &str) -> &mut Element {
        let there = self
            .children
            .iter()
            .position(|child| child.name == name && child.namespace.is_none());
        let index = there.unwrap_or(self.children.len());
        if there.is_none() {
            self.children.push(Element::new(name));
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
            && node.tag_name().namespace() == self.namespace.as_deref()
    }
}

struct Resolver<'p> {
    patch: &'p Patch,
}

impl Resolver<'_> {
    fn element(&self, node: Node<'_, '_>) -> Result<Element, MergeError> {
        let offset = node.range().start;
        let namespace = node.tag_name().namespace();
        let mut element = Element {
            namespace: namespace.map(str::to_owned),
            prefix: namespace
                .and_then(|uri| node.lookup_prefix(uri))
                .map(str::to_owned),
            name: node.tag_name().name().to_owned(),
            attributes: Vec::new(),
            text: None,
            children: Vec::new(),
            op: Op::Merge,
            at: None,
            offset,
        };
        for attribute in node.attributes() {
            if attribute.namespace() == Some(DIRECTIVES) {
                self.directive(&mut element, attribute.name(), attribute.value())?;
                continue;
            }
            element.attributes.push(Attribute {
                namespace: attribute.namespace().map(str::to_owned),
                prefix: attribute
                    .namespace()
                    .and_then(|uri| node.lookup_prefix(uri))
                    .map(str::to_owned),
                name: attribute.name().to_owned(),
                value: self.expand(attribute.value(), attribute.range().start)?,
            });
        }
        for child in node.children() {
            if child.is_element() {
                element.children.push(self.element(child)?);
            } else if let Some(text) = child.text().filter(|_| child.is_text())
                && !text.trim().is_empty()
            {
                let text = self.expand(text.trim(), child.range().start)?;
                element.text = match (element.text.take(), text) {
                    (Some(before), Some(text)) => Some(before + &text),
                    (before, text) => before.or(text),
                };
            }
        }
        if let Some(text) = element
            .text
            .as_deref()
            .filter(|_| !element.children.is_empty())
        {
            let text: String = text.chars().take(30).collect();
            return Err(self.error(
                offset,
                format!(
                    "<{}> holds both elements and the text '{text}'",
                    element.name
                ),
            ));
        }
        Ok(element)
    }

    fn directive(&self, element: &mut Element, name: &str, value: &str) -> Result<(), MergeError> {
        match name {
            "op" => {
                element.op = Op::named(value).ok_or_else(|| self.error(
                    element.offset,
                    format!("patch:op='{value}' is unknown; there are merge, default, replace, remove, remove! and append"),
                ))?;
            }
            "unset" => element
                .attributes
                .extend(value.split_whitespace().map(Attribute::unset)),
            _ => {
                return Err(self.error(
                    element.offset,
                    format!(
                        "the directive patch:{name} is unknown; there are patch:op and patch:unset"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// `text` with `${name}` and `$$` replaced; `None` when it is one placeholder for nothing.
    fn expand(&self, text: &str, offset: usize) -> Result<Option<String>, MergeError> {
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
            let Some((name, after)) = after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
            else {
                return Err(self.error(
                    offset,
                    format!("a '$' that begins no placeholder in '{text}'; write ${{name}}, or $$ for a dollar sign"),
                ));
            };
            match self.patch.values.get(name) {
                Some(Some(value)) => out.push_str(value),
                Some(None) if out.is_empty() && after.is_empty() => return Ok(None),
                Some(None) => {}
                None => return Err(self.unknown(name, offset)),
            }
            rest = after;
        }
        out.push_str(rest);
        if let Some(bad) = out.chars().find(|c| !is_xml(*c)) {
            return Err(self.error(
                offset,
                format!(
                    "the value of '{text}' has the character U+{:04X}, which XML cannot hold",
                    u32::from(bad)
                ),
            ));
        }
        Ok(Some(out))
    }

    fn unknown(&self, name: &str, offset: usize) -> MergeError {
        let known: Vec<&str> = self.patch.values.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "there are none here".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        self.error(
            offset,
            format!("the placeholder ${{{name}}} has no value; {known}"),
        )
    }

    fn error(&self, offset: usize, message: String) -> MergeError {
        MergeError::in_patch(self.patch, offset, message)
    }
}

/// The characters of XML 1.0.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
