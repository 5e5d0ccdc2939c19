//! How new elements are written: in the document's indentation, newlines, quotes and prefixes.

use std::borrow::Cow;

use roxmltree::Node;

use super::Merger;
use super::insert::{New, What};
use super::patch::{Attribute, Element, Op};
use crate::document::{escape_attribute, indent_of, qemu::NAMESPACE};

/// The namespace every document binds to the prefix `xml`.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Parent, element, attribute and value: what libvirt's schema wants of an element that a patch may name
/// for what it holds only, and what libvirt takes it for without.
const NEEDED: &[(&str, &str, &str, &str)] = &[("domain", "clock", "offset", "utc")];

/// What a new element lacks, and its value. In what is replaced nothing is completed: it is all said.
fn needed(parent: &str, element: &Element) -> Option<Attribute> {
    // With others libvirt takes it for something else.
    let says = !element.attributes.is_empty() || element.namespace.is_some();
    if says || element.op == Op::Replace {
        return None;
    }
    let mut all = NEEDED.iter();
    let (.., name, value) =
        all.find(|(of, child, ..)| (*of, *child) == (parent, element.name.as_str()))?;
    Some(Attribute {
        value: Some((*value).to_owned()),
        ..Attribute::unset(name)
    })
}

/// Whether a new element becomes more than it says.
pub fn is_completed(parent: &str, element: &Element) -> bool {
    needed(parent, element).is_some()
}

/// What new elements have declared so far, innermost last: prefix (empty for the default
/// namespace) and URI (empty for none).
type Declared = Vec<(String, String)>;

impl<'m> Merger<'m> {
    /// The element that takes the place of `node`.
    pub(super) fn render_in_place(&mut self, node: Node<'m, 'm>, wanted: &Element) -> String {
        let mut out = String::new();
        let indent = indent_of(self.text, node.range().start);
        let scope = node.parent_element().unwrap_or(node);
        self.write_element(&mut out, scope, &mut Declared::new(), wanted, indent);
        out
    }

    /// What stands between the tags of `node` when it holds exactly what `wanted` holds.
    pub(super) fn render_inside(&mut self, node: Node<'m, 'm>, wanted: &Element) -> String {
        let mut out = String::new();
        let indent = indent_of(self.text, node.range().start);
        self.write_content(&mut out, node, &mut Declared::new(), wanted, indent);
        out
    }

    /// Writes one new element; with an indentation, its children stand on lines of their own.
    pub(super) fn write(
        &mut self,
        out: &mut String,
        scope: Node<'m, 'm>,
        new: &New<'_, 'm>,
        indent: Option<&str>,
    ) {
        let quote = self.document.style().quote;
        match &new.what {
            What::Element(element) => {
                let mut whole = Cow::Borrowed(*element);
                if let Some(attribute) = needed(scope.tag_name().name(), element) {
                    whole.to_mut().attributes.push(attribute);
                }
                self.write_element(out, scope, &mut Declared::new(), &whole, indent);
            }
            What::Arg(value) => {
                let prefix = self.qemu_prefix_at(scope);
                out.push('<');
                push_name(out, &prefix, "arg");
                push_attribute(out, "", "value", value, quote);
                out.push_str("/>");
            }
            What::Commandline(args) => {
                let prefix = self.qemu_prefix_at(scope);
                out.push('<');
                push_name(out, &prefix, "commandline");
                out.push('>');
                let inner = self.deeper(indent);
                for arg in args {
                    self.break_line(out, inner.as_deref());
                    self.write(out, scope, arg, inner.as_deref());
                }
                self.break_line(out, indent);
                out.push_str("</");
                push_name(out, &prefix, "commandline");
                out.push('>');
            }
        }
    }

    fn write_element(
        &mut self,
        out: &mut String,
        scope: Node<'m, 'm>,
        declared: &mut Declared,
        element: &Element,
        indent: Option<&str>,
    ) {
        let quote = self.document.style().quote;
        let outside = declared.len();
        let prefix = self.prefix_of_element(scope, declared, element);
        let mut attributes = String::new();
        for attribute in &element.attributes {
            if let Some(value) = &attribute.value {
                let prefix = self.prefix_of_attribute(scope, declared, attribute);
                push_attribute(&mut attributes, &prefix, &attribute.name, value, quote);
            }
        }
        out.push('<');
        push_name(out, &prefix, &element.name);
        for (prefix, uri) in declared.get(outside..).unwrap_or_default() {
            match prefix.as_str() {
                "" => push_attribute(out, "", "xmlns", uri, quote),
                prefix => push_attribute(out, "xmlns", prefix, uri, quote),
            }
        }
        out.push_str(&attributes);
        if element.text.is_none() && element.written_children().next().is_none() {
            out.push_str("/>");
        } else {
            out.push('>');
            self.write_content(out, scope, declared, element, indent);
            out.push_str("</");
            push_name(out, &prefix, &element.name);
            out.push('>');
        }
        declared.truncate(outside);
    }

    fn write_content(
        &mut self,
        out: &mut String,
        scope: Node<'m, 'm>,
        declared: &mut Declared,
        element: &Element,
        indent: Option<&str>,
    ) {
        if let Some(text) = &element.text {
            out.push_str(&self.text_in_lines(text));
            return;
        }
        let inner = self.deeper(indent);
        let mut any = false;
        for child in element.written_children() {
            any = true;
            self.break_line(out, inner.as_deref());
            self.write_element(out, scope, declared, child, inner.as_deref());
        }
        if any {
            self.break_line(out, indent);
        }
    }

    fn deeper(&self, indent: Option<&str>) -> Option<String> {
        indent.map(|indent| format!("{indent}{}", self.document.style().indent))
    }

    fn break_line(&self, out: &mut String, indent: Option<&str>) {
        if let Some(indent) = indent {
            out.push_str(self.document.style().newline);
            out.push_str(indent);
        }
    }

    /// The prefix of what belongs to QEMU's block, empty for none.
    fn qemu_prefix_at(&mut self, scope: Node<'m, 'm>) -> String {
        let prefix = prefix_in_scope(scope, &Declared::new(), NAMESPACE, true);
        prefix.unwrap_or_else(|| self.prefix_for_qemu())
    }

    /// The prefix of a new element, empty for none. What has to be declared for it is.
    fn prefix_of_element(
        &mut self,
        scope: Node<'m, 'm>,
        declared: &mut Declared,
        element: &Element,
    ) -> String {
        let Some(uri) = &element.namespace else {
            let default = default_namespace(scope, declared);
            if !default.is_empty() {
                declared.push((String::new(), String::new()));
            }
            return String::new();
        };
        if let Some(prefix) = prefix_in_scope(scope, declared, uri, true) {
            return prefix;
        }
        if uri == NAMESPACE {
            return self.prefix_for_qemu();
        }
        let prefix = element.prefix.clone().unwrap_or_default();
        declared.push((prefix.clone(), uri.clone()));
        prefix
    }

    fn prefix_of_attribute(
        &mut self,
        scope: Node<'m, 'm>,
        declared: &mut Declared,
        attribute: &Attribute,
    ) -> String {
        let Some(uri) = &attribute.namespace else {
            return String::new();
        };
        if uri == XML {
            return "xml".to_owned();
        }
        if let Some(prefix) = prefix_in_scope(scope, declared, uri, false) {
            return prefix;
        }
        let prefix = attribute.prefix.clone().unwrap_or_else(|| "ns".to_owned());
        declared.push((prefix.clone(), uri.clone()));
        prefix
    }

    /// The QEMU namespace is declared on the root, where libvirt writes it.
    fn prefix_for_qemu(&mut self) -> String {
        let root = self.document.root();
        let taken = |prefix: &str| root.lookup_namespace_uri(Some(prefix)).is_some();
        let others = (2..).map(|n| format!("qemu{n}"));
        self.qemu_prefix
            .get_or_insert_with(|| {
                std::iter::once("qemu".to_owned())
                    .chain(others)
                    .find(|prefix| !taken(prefix))
                    .unwrap_or_default()
            })
            .clone()
    }
}

/// `prefix:name`, or `name` where there is no prefix.
fn push_name(out: &mut String, prefix: &str, name: &str) {
    if !prefix.is_empty() {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(name);
}

/// One attribute, with the blank before it.
fn push_attribute(out: &mut String, prefix: &str, name: &str, value: &str, quote: char) {
    out.push(' ');
    push_name(out, prefix, name);
    out.push('=');
    out.push(quote);
    out.push_str(&escape_attribute(value, quote));
    out.push(quote);
}

/// A prefix that stands for `uri`, empty for the default namespace where an element may use it.
fn prefix_in_scope(
    scope: Node<'_, '_>,
    declared: &Declared,
    uri: &str,
    default_too: bool,
) -> Option<String> {
    let inner = declared
        .iter()
        .rev()
        .map(|(prefix, uri)| (prefix.as_str(), uri.as_str()));
    let outer = scope
        .namespaces()
        .map(|namespace| (namespace.name().unwrap_or_default(), namespace.uri()));
    let mut hidden: Vec<&str> = Vec::new();
    for (prefix, its) in inner.chain(outer) {
        if its == uri && !hidden.contains(&prefix) && (default_too || !prefix.is_empty()) {
            return Some(prefix.to_owned());
        }
        hidden.push(prefix);
    }
    None
}

fn default_namespace<'a>(scope: Node<'a, '_>, declared: &'a Declared) -> &'a str {
    declared
        .iter()
        .rev()
        .find(|(prefix, _)| prefix.is_empty())
        .map(|(_, uri)| uri.as_str())
        .or_else(|| scope.default_namespace())
        .unwrap_or_default()
}
