//! New elements: where they go and how they are written.

use roxmltree::Node;

use super::patch::Element;
use super::{MergeError, Merger, keys, order};
use crate::document::{
    self, Edit, Parts, after_trailing_comments, escape_attribute, escape_text, indent_of,
    qemu::NAMESPACE, starts_line,
};

/// Something to be written below an element.
pub(super) enum New<'w> {
    /// An element of the patch.
    Element(&'w Element),
    /// One `<qemu:arg value=…/>`.
    Arg(String),
    /// A whole `<qemu:commandline>`: arguments, then environment.
    Commandline(Vec<New<'w>>),
}

impl New<'_> {
    fn name(&self) -> &str {
        match self {
            New::Element(element) => &element.name,
            New::Arg(_) => "arg",
            New::Commandline(_) => "commandline",
        }
    }
}

/// How to write below one parent: each on a line of its own with this indentation, or in a row.
enum Layout {
    Lines(String),
    Row,
}

impl<'m> Merger<'m> {
    /// Writes `new` below `target`, each where libvirt's formatter would write it.
    pub(super) fn insert(
        &mut self,
        target: Node<'m, 'm>,
        wanted: &Element,
        mut new: Vec<New<'_>>,
    ) -> Result<(), MergeError> {
        let parent = target.tag_name().name();
        let text_inside = target
            .children()
            .find(|node| node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty()));
        if let Some(text) = text_inside
            && !target.children().any(|node| node.is_element())
        {
            let message = format!("the patch has elements for <{parent}>, which holds text");
            return Err(self
                .error(wanted, message)
                .at(self.document.position(text.range().start)));
        }
        new.sort_by_key(|one| order::rank(parent, one.name()).unwrap_or(usize::MAX));
        let parts = Parts::of(self.text, target);
        let layout = self.layout(target, &parts);
        let empty = !target
            .children()
            .any(|node| node.is_element() || node.is_comment() || node.is_pi());
        if empty {
            self.fill_empty(target, &parts, &layout, &new);
        } else {
            for one in &new {
                let written = self.line(target, &layout, one);
                let at = self.after_removals(self.place(target, &parts, one));
                self.edits.push(Edit::insert(at, written));
            }
        }
        Ok(())
    }

    /// `<os/>`, `<os></os>` and `<os>  </os>` become `<os>`, the new elements, `</os>`.
    fn fill_empty(
        &mut self,
        target: Node<'m, 'm>,
        parts: &Parts,
        layout: &Layout,
        new: &[New<'_>],
    ) {
        let mut body: String = new
            .iter()
            .map(|one| self.line(target, layout, one))
            .collect();
        if let Layout::Lines(_) = layout {
            body.push_str(self.document.style().newline);
            body.push_str(indent_of(self.text, target.range().start).unwrap_or_default());
        }
        let edit = match &parts.content {
            Some(content) => Edit::replace(content.clone(), body),
            None => {
                let name = self.text.get(parts.name.clone()).unwrap_or_default();
                Edit::replace(
                    parts.end_of_attributes()..parts.start_tag.end,
                    format!(">{body}</{name}>"),
                )
            }
        };
        self.edits.push(edit);
    }

    /// Below elements that stand on lines of their own, new ones do as well.
    fn layout(&self, target: Node<'m, 'm>, parts: &Parts) -> Layout {
        let style = self.document.style();
        let children = || target.children().filter(|node| !node.is_text());
        let first_on_a_line = children()
            .map(|node| node.range().start)
            .find(|start| starts_line(self.text, *start));
        if let Some(start) = first_on_a_line {
            return Layout::Lines(indent_of(self.text, start).unwrap_or_default().to_owned());
        }
        let has_line = indent_of(self.text, parts.start_tag.start);
        match has_line {
            Some(indent) if children().next().is_none() => {
                Layout::Lines(format!("{indent}{}", style.indent))
            }
            _ => Layout::Row,
        }
    }

    /// After the last sibling that libvirt writes no later than this one; at the start otherwise.
    fn place(&self, target: Node<'m, 'm>, parts: &Parts, new: &New<'_>) -> usize {
        let parent = target.tag_name().name();
        let content = parts
            .content
            .clone()
            .unwrap_or(parts.start_tag.end..parts.start_tag.end);
        let elements = || target.children().filter(Node::is_element);
        let anchor = match order::rank(parent, new.name()) {
            Some(rank) => elements().rfind(|node| {
                order::rank(parent, node.tag_name().name()).is_some_and(|other| other <= rank)
            }),
            None => elements().next_back(),
        };
        match anchor {
            Some(node) => after_trailing_comments(self.text, node.range().end).min(content.end),
            None if elements().next().is_some() => {
                after_trailing_comments(self.text, content.start).min(content.end)
            }
            // Only comments inside: after them, whatever they say.
            None => target
                .children()
                .rfind(|node| !node.is_text())
                .map_or(content.start, |node| node.range().end),
        }
    }

    /// `at` moved behind what is taken out there: with an element goes the white space after it.
    fn after_removals(&self, at: usize) -> usize {
        let removal = self
            .edits
            .iter()
            .find(|edit| edit.text.is_empty() && edit.range.start < at && at < edit.range.end);
        removal.map_or(at, |removal| removal.range.end)
    }

    fn line(&mut self, target: Node<'m, 'm>, layout: &Layout, new: &New<'_>) -> String {
        let mut out = String::new();
        match layout {
            Layout::Lines(indent) => {
                out.push_str(self.document.style().newline);
                out.push_str(indent);
                self.write(&mut out, target, new, Some(indent));
            }
            Layout::Row => self.write(&mut out, target, new, None),
        }
        out
    }

    /// The element that takes the place of `node`.
    pub(super) fn render_in_place(&mut self, node: Node<'m, 'm>, wanted: &Element) -> String {
        let mut out = String::new();
        let indent = indent_of(self.text, node.range().start);
        let scope = node.parent_element().unwrap_or(node);
        self.write(&mut out, scope, &New::Element(wanted), indent);
        out
    }

    /// Writes one new element; with an indentation, its children stand on lines of their own.
    fn write(
        &mut self,
        out: &mut String,
        scope: Node<'m, 'm>,
        new: &New<'_>,
        indent: Option<&str>,
    ) {
        let quote = self.document.style().quote;
        match new {
            New::Element(element) => {
                self.write_element(out, scope, &mut Vec::new(), element, indent)
            }
            New::Arg(value) => {
                let name = self.qualified(scope, &mut Vec::new(), NAMESPACE, None, "arg");
                let value = escape_attribute(value, quote);
                out.push_str(&format!("<{name} value={quote}{value}{quote}/>"));
            }
            New::Commandline(args) => {
                let name = self.qualified(scope, &mut Vec::new(), NAMESPACE, None, "commandline");
                out.push_str(&format!("<{name}>"));
                let inner =
                    indent.map(|indent| format!("{indent}{}", self.document.style().indent));
                for arg in args {
                    self.break_line(out, inner.as_deref());
                    self.write(out, scope, arg, inner.as_deref());
                }
                self.break_line(out, indent);
                out.push_str(&format!("</{name}>"));
            }
        }
    }

    /// `declared`: the namespaces that the new elements around this one declare.
    fn write_element(
        &mut self,
        out: &mut String,
        scope: Node<'m, 'm>,
        declared: &mut Vec<Declaration>,
        element: &Element,
        indent: Option<&str>,
    ) {
        let quote = self.document.style().quote;
        let around = declared.len();
        let name = match &element.namespace {
            Some(uri) => {
                let habit = element.prefix.as_deref();
                self.qualified(scope, declared, uri, habit, &element.name)
            }
            None => element.name.clone(),
        };
        let mut attributes = String::new();
        for attribute in &element.attributes {
            let Some(value) = &attribute.value else {
                continue;
            };
            let name = match (&attribute.namespace, &attribute.prefix) {
                (Some(_), Some(prefix)) if prefix == "xml" => format!("xml:{}", attribute.name),
                (Some(uri), Some(prefix)) => {
                    self.qualified(scope, declared, uri, Some(prefix), &attribute.name)
                }
                _ => attribute.name.clone(),
            };
            let value = escape_attribute(value, quote);
            attributes.push_str(&format!(" {name}={quote}{value}{quote}"));
        }
        out.push('<');
        out.push_str(&name);
        for (prefix, uri) in declared.get(around..).unwrap_or_default() {
            let uri = escape_attribute(uri, quote);
            match prefix {
                Some(prefix) => out.push_str(&format!(" xmlns:{prefix}={quote}{uri}{quote}")),
                None => out.push_str(&format!(" xmlns={quote}{uri}{quote}")),
            }
        }
        out.push_str(&attributes);
        let children: Vec<&Element> = element.written_children().collect();
        if let Some(text) = &element.text {
            out.push_str(&format!(">{}</{name}>", escape_text(text)));
        } else if children.is_empty() {
            out.push_str("/>");
        } else {
            out.push('>');
            let inner = indent.map(|indent| format!("{indent}{}", self.document.style().indent));
            for child in children {
                self.break_line(out, inner.as_deref());
                self.write_element(out, scope, declared, child, inner.as_deref());
            }
            self.break_line(out, indent);
            out.push_str(&format!("</{name}>"));
        }
        declared.truncate(around);
    }

    fn break_line(&self, out: &mut String, indent: Option<&str>) {
        if let Some(indent) = indent {
            out.push_str(self.document.style().newline);
            out.push_str(indent);
        }
    }

    /// The qualified name of a new element or attribute. A namespace that is not in scope is added
    /// to what the element declares; that of QEMU is declared on the root, where libvirt writes it.
    fn qualified(
        &mut self,
        scope: Node<'_, '_>,
        declared: &mut Vec<Declaration>,
        uri: &str,
        habit: Option<&str>,
        name: &str,
    ) -> String {
        let with = |prefix: Option<&str>| match prefix {
            Some(prefix) => format!("{prefix}:{name}"),
            None => name.to_owned(),
        };
        if let Some(prefix) = prefix_in_scope(scope, uri) {
            return with(prefix);
        }
        if uri == NAMESPACE {
            let root = self.document.root();
            let taken = |prefix: &str| root.lookup_namespace_uri(Some(prefix)).is_some();
            let prefix = self.qemu_prefix.get_or_insert_with(|| {
                let others = (2..).map(|n| format!("qemu{n}"));
                std::iter::once("qemu".to_owned())
                    .chain(others)
                    .find(|prefix| !taken(prefix))
                    .unwrap_or_default()
            });
            return with(Some(prefix));
        }
        let there = |(prefix, its): &Declaration| prefix.as_deref() == habit && its == uri;
        if !declared.iter().any(there) {
            declared.push((habit.map(str::to_owned), uri.to_owned()));
        }
        with(habit)
    }
}

/// A prefix, `None` for the default namespace, and the namespace it stands for.
type Declaration = (Option<String>, String);

/// The prefix bound to `uri` at `node`: `Some(None)` for the default namespace.
pub(super) fn prefix_in_scope<'a>(node: Node<'a, '_>, uri: &str) -> Option<Option<&'a str>> {
    node.namespaces()
        .find(|namespace| namespace.uri() == uri)
        .map(|namespace| namespace.name())
}

/// Whether `node` says all that `wanted` says; `exactly`: and nothing more.
pub(super) fn element_matches(node: Node<'_, '_>, wanted: &Element, exactly: bool) -> bool {
    if !wanted.names(node) {
        return false;
    }
    let attributes = wanted.attributes.iter().all(|attribute| {
        let have = match &attribute.namespace {
            Some(uri) => node.attribute((uri.as_str(), attribute.name.as_str())),
            None => node.attribute(attribute.name.as_str()),
        };
        match (have, &attribute.value) {
            (Some(have), Some(want)) => keys::same(have, want),
            (None, None) => true,
            _ => false,
        }
    });
    let text = match &wanted.text {
        Some(text) => document::text_of(node) == Some(text),
        None => !exactly || document::text_of(node).is_none(),
    };
    if !(attributes && text) {
        return false;
    }
    let have: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    if exactly {
        let wanted_attributes = wanted
            .attributes
            .iter()
            .filter(|one| one.value.is_some())
            .count();
        return wanted_attributes == node.attributes().len()
            && have.len() == wanted.written_children().count()
            && have
                .iter()
                .zip(wanted.written_children())
                .all(|(node, child)| element_matches(*node, child, true));
    }
    wanted
        .written_children()
        .all(|child| have.iter().any(|node| element_matches(*node, child, false)))
}
