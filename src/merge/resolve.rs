//! From a patch's text to what it asks for: directives, conditions, placeholders, fragments.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use roxmltree::{Attribute as TreeAttribute, Node};

use super::contents;
use super::error::MergeError;
use super::patch::{Attribute, DIRECTIVES, Element, Op, Patch, Wanted};
use super::places;
use super::source::{self, Source};
use crate::document::{Document, DocumentError, Position, namespace_of, qemu};

mod running;
mod single;
mod text;
mod values;

use single::fold;

/// A placeholder of a patch's own: `<patch:value name="tag" default="share">what for</patch:value>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name, as in `${tag}` and `--set tag=…`.
    pub name: String,
    /// What it stands for where the user says nothing; without one the user has to.
    pub default: Option<String>,
    /// What it is for.
    pub about: String,
}

/// Elements of a patch around another.
const MAX_DEPTH: usize = 100;

/// See [`Patch::resolve`].
pub(super) fn resolve(patch: &Patch) -> Result<Wanted, MergeError> {
    let (whole, wrapped) = (Source::whole(&patch.text), OnceCell::new());
    let (source, document) = read(patch, whole.as_ref(), &wrapped)?;
    let mut resolver = Resolver {
        patch,
        shift: source.shift,
        defaults: BTreeMap::new(),
        unmet: RefCell::new(None),
    };
    let top = document.root();
    // Each level is a call in a call; a definition has fewer than ten. So many are as many `<a></a>`.
    let mut nodes = top.descendants();
    if patch.text.len() > MAX_DEPTH * 7
        && let Some(deep) = nodes.find(|node| node.ancestors().nth(MAX_DEPTH).is_some())
    {
        let message = format!("elements inside of more than {MAX_DEPTH} others");
        return Err(resolver.error(resolver.at(deep.range().start), message));
    }
    let domain = match source.is_wrapped() {
        true => resolver.only_domain(top)?,
        false => Some(top),
    };
    for declared in resolver.declared_in(domain.unwrap_or(top))? {
        resolver.defaults.insert(declared.name, declared.default);
    }
    let mut root = match domain {
        Some(domain) => resolver.root(domain)?,
        None => resolver.fragments(top)?,
    };
    fold(&mut root, &|first, second| resolver.agree(first, second))?;
    resolver.contradictions(&root)?;
    running::leave_out(&mut root);
    for addition in &patch.also {
        let mut parent = &mut root;
        for name in &addition.path {
            parent = parent.child_or_new(None, name);
        }
        let mut element = Element::from_tree(&addition.element);
        element.op = addition.op;
        element.at = addition.at;
        parent.children.push(element);
    }
    if !patch.also.is_empty() {
        // What a pass adds counts more than what its patch says for every definition.
        fold(&mut root, &|_, _| Ok(()))?;
    }
    let empty = root.attributes.is_empty() && root.children.is_empty();
    Ok(Wanted {
        unmet: resolver.unmet.into_inner().filter(|_| empty),
        root,
    })
}

/// The text as it is, or else in an element of ours; with its tree.
fn read<'s, 'p>(
    patch: &'p Patch,
    whole: Option<&'s Source<'p>>,
    wrapped: &'s OnceCell<Source<'p>>,
) -> Result<(&'s Source<'p>, Document<'s>), MergeError> {
    if let Some((whole, document)) = whole.and_then(|whole| Some((whole, whole.parse_whole()?))) {
        return Ok((whole, document));
    }
    let source = wrapped.get_or_init(|| Source::wrapped(&patch.text));
    let document = source.parse().map_err(|error| malformed(patch, error))?;
    Ok((source, document))
}

/// The place in `document` that what stands at `position` of the patch is for: the element it speaks
/// of, or as much of what is around that as there is.
pub(super) fn place_in(
    document: &crate::document::Document<'_>,
    patch: &Patch,
    position: Position,
) -> Option<Position> {
    let (whole, wrapped) = (Source::whole(&patch.text), OnceCell::new());
    let (source, tree) = read(patch, whole.as_ref(), &wrapped).ok()?;
    let lines = patch.text.split_inclusive('\n');
    let line: usize = lines.take(position.line - 1).map(str::len).sum();
    let rest = patch.text.get(line..)?;
    let column = rest.char_indices().nth(position.column - 1)?.0;
    let offset = source.shift + line + column;
    let innermost = tree
        .root()
        .descendants()
        .rfind(|node| node.is_element() && node.range().contains(&offset))?;
    let names: Vec<&str> = innermost
        .ancestors()
        .filter(|node| node.is_element() && (!source.is_wrapped() || *node != tree.root()))
        .map(|node| node.tag_name().name())
        .filter(|name| *name != "domain")
        .collect();
    let outermost = Element::new(names.last().copied().unwrap_or("domain"));
    let around = places::of(&outermost).unwrap_or_default();
    let mut place = document.root();
    for name in around.iter().copied().chain(names.into_iter().rev()) {
        match place.children().find(|node| node.tag_name().name() == name) {
            Some(inner) => place = inner,
            None => break,
        }
    }
    Some(document.position(place.range().start))
}

/// See [`Patch::declared`].
pub(super) fn declared(patch: &Patch) -> Result<Vec<Declared>, MergeError> {
    let (whole, wrapped) = (Source::whole(&patch.text), OnceCell::new());
    let (source, document) = read(patch, whole.as_ref(), &wrapped)?;
    let resolver = Resolver {
        patch,
        shift: source.shift,
        defaults: BTreeMap::new(),
        unmet: RefCell::new(None),
    };
    let top = document.root();
    let domain = match source.is_wrapped() {
        true => resolver.only_domain(top)?,
        false => None,
    };
    resolver.declared_in(domain.unwrap_or(top))
}

/// See [`Patch::explanation`]. The indentation all lines share is taken off.
pub(super) fn head_comment(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text
        .strip_prefix("<?xml ")
        .and_then(|rest| rest.split_once("?>"))
    {
        Some((_, rest)) => rest.trim_start(),
        None => text,
    };
    let Some((comment, _)) = text
        .strip_prefix("<!--")
        .and_then(|rest| rest.split_once("-->"))
    else {
        return String::new();
    };
    let lines: Vec<&str> = comment.lines().map(str::trim_end).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    // The first line begins behind `<!--`, wherever that stands.
    let common = lines
        .iter()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(indent)
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| match number {
            0 => line.trim_start(),
            _ => line.get(common..).unwrap_or_default(),
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

struct Resolver<'p> {
    patch: &'p Patch,
    /// Bytes the tree's text has before the patch's.
    shift: usize,
    defaults: BTreeMap<String, Option<String>>,
    /// The last condition that did not hold.
    unmet: RefCell<Option<String>>,
}

impl Resolver<'_> {
    /// The `<domain>` that stands alone in a wrapped text.
    fn only_domain<'a, 't>(&self, top: Node<'a, 't>) -> Result<Option<Node<'a, 't>>, MergeError> {
        let is_domain = |node: &Node<'_, '_>| {
            node.tag_name().name() == "domain" && namespace_of(*node).is_none()
        };
        let mut others = 0;
        let mut domain = None;
        for node in top.children() {
            self.no_text(node)?;
            if !node.is_element() {
                continue;
            }
            if !is_domain(&node) {
                others += 1;
            } else if domain.replace(node).is_some() {
                let message = "a second <domain>: a patch has one".to_owned();
                return Err(self.error(self.offset(node), message));
            }
        }
        match domain {
            Some(domain) if others > 0 => {
                let message = "elements beside <domain>: put them into it".to_owned();
                Err(self.error(self.offset(domain), message))
            }
            domain => Ok(domain),
        }
    }

    fn root(&self, node: Node<'_, '_>) -> Result<Element, MergeError> {
        let name = node.tag_name();
        if name.name() != "domain" || namespace_of(node).is_some() {
            let message = format!("the root is <{}>, not <domain>", name.name());
            return Err(self.error(self.offset(node), message));
        }
        match self.element(node)? {
            Some(root) if !matches!(root.op, Op::Merge | Op::Replace) => Err(self.error(
                self.offset(node),
                "the only patch:op <domain> itself can have is replace".to_owned(),
            )),
            Some(root) => Ok(root),
            None => Ok(Element::new("domain")),
        }
    }

    /// Puts each fragment where it belongs.
    fn fragments(&self, top: Node<'_, '_>) -> Result<Element, MergeError> {
        self.pairs_stay_together(top)?;
        let mut root = Element::new("domain");
        for node in top.children().filter(Node::is_element) {
            if is_directive(node) {
                continue;
            }
            let Some(element) = self.element(node)? else {
                continue;
            };
            let path = places::of(&element)
                .map_err(|no| self.error(element.offset, no.message).helped(no.help))?;
            let mut parent = &mut root;
            for name in path {
                let namespace = matches!(*name, "commandline" | "override")
                    .then_some(qemu::NAMESPACE)
                    .or_else(|| {
                        (*name == "capabilities" && element.namespace.is_some())
                            .then_some(qemu::NAMESPACE)
                    });
                parent = parent.child_or_new(namespace, name);
                parent.offset = element.offset;
            }
            parent.children.push(element);
        }
        Ok(root)
    }

    /// Refuses a block of QEMU's in a place, or with a namespace, from which libvirt drops it without
    /// a word.
    fn no_lost_block(&self, node: Node<'_, '_>) -> Result<(), MergeError> {
        let name = node.tag_name();
        if !matches!(name.name(), "commandline" | "capabilities" | "override") {
            return Ok(());
        }
        let Some(uri) = name.namespace() else {
            if name.name() != "commandline" {
                return Ok(());
            }
            let message = "<commandline> without a prefix is dropped by libvirt".to_owned();
            let help = format!(
                "write <qemu:commandline> directly below <domain>, with xmlns:qemu='{}', and <qemu:arg> inside",
                qemu::NAMESPACE
            );
            return Err(self.error(self.offset(node), message).helped(help));
        };
        let parent = node.parent_element();
        let is_below_root = parent.is_none_or(|parent| {
            parent.tag_name().name() == "domain" || parent.parent_element().is_none()
        });
        let message = match uri {
            qemu::NAMESPACE if is_below_root => return Ok(()),
            qemu::NAMESPACE => format!(
                "libvirt drops a <{}> inside another element without a word",
                name.name()
            ),
            uri if uri.contains("libvirt.org/schemas/domain/qemu") => {
                format!(
                    "libvirt does not know the namespace '{uri}', and drops the block without a word"
                )
            }
            _ => return Ok(()),
        };
        let help = format!(
            "write <qemu:{}> directly below <domain>, with xmlns:qemu='{}'",
            name.name(),
            qemu::NAMESPACE
        );
        Err(self.error(self.offset(node), message).helped(help))
    }

    /// Refuses a condition that leaves an option without its value, or a value without its option:
    /// the next argument would take its place.
    fn pairs_stay_together(&self, commandline: Node<'_, '_>) -> Result<(), MergeError> {
        let mut args = commandline.children().filter(|node| qemu::is(*node, "arg"));
        if args.clone().all(|arg| when(arg).is_none()) {
            return Ok(());
        }
        while let Some(arg) = args.next() {
            let text = arg.attribute("value").unwrap_or_default();
            let option = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
            let Some(option) = option.filter(|option| qemu::takes_value(option)) else {
                continue;
            };
            let Some(value) = args.next() else { break };
            let stays = |arg: Node<'_, '_>| when(arg).map_or(Ok(true), |when| self.holds(when));
            if stays(arg)? != stays(value)? {
                let message = format!(
                    "a condition leaves out one of the two arguments of '-{}' and not the other",
                    qemu::name_of(option)
                );
                return Err(self
                    .error(self.offset(arg), message)
                    .helped("write the same patch:when on both".to_owned()));
            }
        }
        Ok(())
    }

    /// The element with everything in it; `None` when a condition leaves it out.
    fn element(&self, node: Node<'_, '_>) -> Result<Option<Element>, MergeError> {
        let offset = self.offset(node);
        self.no_lost_block(node)?;
        let namespace = namespace_of(node);
        let mut element = Element {
            namespace: namespace.map(str::to_owned),
            prefix: namespace
                .and_then(|uri| node.lookup_prefix(uri))
                .map(str::to_owned),
            attributes: Vec::with_capacity(node.attributes().len()),
            offset,
            ..Element::new(node.tag_name().name())
        };
        if let Some(when) = when(node)
            && !self.holds(when)?
        {
            return Ok(None);
        }
        for attribute in node.attributes() {
            if attribute.namespace() == Some(DIRECTIVES) {
                self.directive(&mut element, attribute)?;
            } else if let Some(other) = attribute
                .namespace()
                .filter(|uri| is_of_another_version(uri))
            {
                return Err(self.other_version(offset, other));
            } else if is_bare_directive(attribute, node) {
                let name = attribute.name();
                let message = format!("libvirt knows no attribute {name}= of any element");
                return Err(self.error(offset, message).helped(format!(
                    "a directive is written patch:{name}, with xmlns:patch='{DIRECTIVES}' around it"
                )));
            } else if !source::is_dots(attribute.value()) {
                element.attributes.push(Attribute {
                    namespace: attribute.namespace().map(str::to_owned),
                    prefix: attribute
                        .namespace()
                        .and_then(|uri| prefix_of_attribute(node, uri))
                        .map(str::to_owned),
                    name: attribute.name().to_owned(),
                    value: self.expand(attribute.value(), self.at(attribute.range().start))?,
                });
            }
        }
        let unset = node.attribute((DIRECTIVES, "unset")).unwrap_or_default();
        if let Some(name) = unset
            .split_whitespace()
            .find(|name| node.has_attribute(*name))
        {
            let message = format!("patch:unset names '{name}', which the patch sets as well");
            return Err(self.error(offset, message));
        }
        if qemu::is(node, "commandline") {
            self.pairs_stay_together(node)?;
        }
        let mut left_out = false;
        let is_part = |child: &Node<'_, '_>| child.is_element() && !is_directive(*child);
        let has_elements = node.children().any(|child| is_part(&child));
        for child in node.children() {
            if let Some(other) = child
                .tag_name()
                .namespace()
                .filter(|uri| child.is_element() && is_of_another_version(uri))
            {
                return Err(self.other_version(self.offset(child), other));
            }
            if child.is_element() && is_directive(child) {
                self.check_directive(child)?;
            } else if child.is_element() {
                match self.element(child)? {
                    Some(child) => element.children.push(child),
                    None => left_out = true,
                }
            } else if let Some((offset, shown)) = self.text_of(child) {
                if has_elements {
                    let name = &element.name;
                    let message = format!("<{name}> holds both elements and the text '{shown}'");
                    return Err(self.error(offset, message));
                }
                let parent = node.parent_element();
                let parent = parent.map_or("", |parent| parent.tag_name().name());
                let text = child.text().unwrap_or_default();
                let text = contents::trimmed(parent, &element.name, text);
                self.text(&mut element, text, offset)?;
            }
        }
        // What stands only around something that is left out is left out with it.
        let bare = element.attributes.is_empty()
            && element.children.is_empty()
            && element.text.is_none()
            && element.op == Op::Merge;
        Ok((!(bare && (left_out || self.is_only_dots(node)))).then_some(element))
    }

    fn directive(
        &self,
        element: &mut Element,
        attribute: TreeAttribute<'_, '_>,
    ) -> Result<(), MergeError> {
        let value = attribute.value();
        match attribute.name() {
            "op" => {
                element.op = Op::named(value).ok_or_else(|| {
                    let message = format!(
                        "patch:op='{value}' is unknown; there are merge, default, update, replace, remove, remove!, append and keep"
                    );
                    self.error(element.offset, message)
                })?;
            }
            "unset" => element
                .attributes
                .extend(value.split_whitespace().map(Attribute::unset)),
            "when" => {}
            name => {
                let message = format!(
                    "the directive patch:{name} is unknown; there are patch:op, patch:unset and patch:when"
                );
                return Err(self.error(element.offset, message));
            }
        }
        Ok(())
    }

    fn other_version(&self, offset: usize, uri: &str) -> MergeError {
        self.error(
            offset,
            format!("the namespace '{uri}' is not the one of directives"),
        )
        .helped(format!("write xmlns:patch='{DIRECTIVES}'"))
    }

    /// `<patch:value>` stands directly below the root or among the fragments.
    fn check_directive(&self, node: Node<'_, '_>) -> Result<(), MergeError> {
        let name = node.tag_name().name();
        let below_root = node
            .parent_element()
            .is_some_and(|parent| parent.tag_name().name() == "domain");
        let message = match (name, below_root) {
            ("value", true) => return Ok(()),
            ("value", false) => "<patch:value> stands directly below <domain>".to_owned(),
            _ => format!("<patch:{name}> is unknown; there is <patch:value>"),
        };
        Err(self.error(self.offset(node), message))
    }

    fn declared_in(&self, parent: Node<'_, '_>) -> Result<Vec<Declared>, MergeError> {
        let mut all: Vec<Declared> = Vec::new();
        for node in parent.children().filter(|node| is_directive(*node)) {
            let offset = self.offset(node);
            if node.tag_name().name() != "value" {
                let message = format!(
                    "<patch:{}> is unknown; there is <patch:value>",
                    node.tag_name().name()
                );
                return Err(self.error(offset, message));
            }
            let name = node.attribute("name").unwrap_or_default();
            let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !is_name {
                let message = format!(
                    "'{name}' is no name for a value: lower-case letters, digits and hyphens, as in name='tag'"
                );
                return Err(self.error(offset, message));
            }
            if all.iter().any(|other| other.name == name) {
                let message = format!("the value '{name}' is declared twice");
                return Err(self.error(offset, message));
            }
            if let Some(odd) = node
                .attributes()
                .find(|attribute| !matches!(attribute.name(), "name" | "default"))
            {
                let message = format!(
                    "<patch:value> has no attribute '{}'; there are name and default",
                    odd.name()
                );
                return Err(self.error(offset, message));
            }
            if let Some(default) = node.attribute("default").filter(|text| text.contains("${")) {
                let message = format!(
                    "the default '{default}' of '{name}' has a placeholder in it, and a default is taken as it is"
                );
                let help = "write the placeholder where the value is used".to_owned();
                return Err(self.error(offset, message).helped(help));
            }
            all.push(Declared {
                name: name.to_owned(),
                default: node.attribute("default").map(str::to_owned),
                about: node.text().unwrap_or_default().trim().to_owned(),
            });
        }
        Ok(all)
    }

    fn offset(&self, node: Node<'_, '_>) -> usize {
        self.at(node.range().start)
    }

    fn at(&self, offset: usize) -> usize {
        offset.saturating_sub(self.shift)
    }

    fn error(&self, offset: usize, message: String) -> MergeError {
        MergeError::in_patch(self.patch, offset, message)
    }
}

fn when<'a, 't>(node: Node<'a, 't>) -> Option<TreeAttribute<'a, 't>> {
    node.attribute_node((DIRECTIVES, "when"))
}

/// Nearly the namespace of directives: misspelt, or of a version that is yet to come.
fn is_of_another_version(uri: &str) -> bool {
    uri != DIRECTIVES && (uri.starts_with("urn:virt-patch") || uri.starts_with("urn:virtpatch"))
}

/// A directive that lacks its prefix: no element of libvirt's schema has such an attribute. What stands in
/// `<metadata>` is not of that schema.
fn is_bare_directive(attribute: TreeAttribute<'_, '_>, of: Node<'_, '_>) -> bool {
    matches!(attribute.name(), "op" | "unset" | "when")
        && attribute.namespace().is_none()
        && namespace_of(of).is_none()
        && !of.ancestors().any(|node| node.has_tag_name("metadata"))
}

fn is_directive(node: Node<'_, '_>) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(DIRECTIVES)
}

/// An attribute has a namespace only by a prefix, which need not be the element's.
fn prefix_of_attribute<'a>(node: Node<'a, '_>, uri: &str) -> Option<&'a str> {
    node.namespaces()
        .filter(|namespace| namespace.uri() == uri)
        .find_map(|namespace| namespace.name())
}

fn malformed(patch: &Patch, source: DocumentError) -> MergeError {
    MergeError::Malformed {
        patch: patch.name.clone(),
        source,
    }
}

/// The characters of XML 1.0.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
