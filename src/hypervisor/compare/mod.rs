//! Whether everything that stood in our XML is in what libvirt stored.
//!
//! libvirt reprints what it keeps, adds a lot and drops some things without a word: unknown
//! elements, pins of vcpus that do not exist, a `qemu:commandline` in the wrong namespace. So
//! after a define the two texts are compared by meaning. [`missing`] looks in one direction only:
//! what libvirt adds is its business. Which notations mean the same is in `values.rs`, which
//! losses are none in `noise.rs`; both were measured with real daemons.

pub(crate) mod noise;
mod pairing;
mod values;

use std::collections::BTreeSet;
use std::fmt;

use roxmltree::Node;

use crate::document::{Document, DocumentError, qemu, text_of};
use crate::idset;

/// Something that stood in our XML and not in what libvirt stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where it stood: `/domain/cputune/vcpupin[9]/@cpuset`. Numbers count elements of one name
    /// and are left out where there is only one.
    pub path: String,
    /// Line of our XML, from 1.
    pub line: usize,
    /// What is missing, and what stands there instead. Secrets are left out.
    pub what: String,
    /// All of the element, not only an attribute or its text.
    pub is_element: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// What of `ours` is missing in `stored`, in the order of our lines.
///
/// # Errors
/// One of the two is not well-formed.
pub fn missing(ours: &str, stored: &str) -> Result<Vec<Missing>, DocumentError> {
    let (ours, stored) = (Document::parse(ours)?, Document::parse(stored)?);
    let mut losses = Vec::new();
    if ours.root().tag_name() == stored.root().tag_name() {
        compare(ours.root(), stored.root(), &mut losses);
    } else {
        losses.push(Loss::element(ours.root()));
    }
    losses.sort_by_key(|loss| loss.ours.range().start);
    Ok(losses.iter().map(|loss| loss.located(&ours)).collect())
}

/// Whether two definitions say the same: as text, or at least in meaning.
///
/// # Errors
/// One of the two is not well-formed.
pub fn same_meaning(a: &str, b: &str) -> Result<bool, DocumentError> {
    Ok(a == b || (missing(a, b)?.is_empty() && missing(b, a)?.is_empty()))
}

/// One thing of ours that is not there.
struct Loss<'a> {
    /// The element of ours that is concerned.
    ours: Node<'a, 'a>,
    what: Lost<'a>,
}

enum Lost<'a> {
    /// All of it.
    Element,
    /// An attribute of it; what libvirt has in its place.
    Attribute(&'a str, Option<&'a str>),
    /// Its text; what libvirt has in its place.
    Text(Option<&'a str>),
}

impl<'a> Loss<'a> {
    fn element(ours: Node<'a, 'a>) -> Self {
        Loss {
            ours,
            what: Lost::Element,
        }
    }

    fn located(&self, document: &Document<'_>) -> Missing {
        let mut path = path_of(self.ours);
        let name = self.ours.tag_name().name();
        let what = match self.what {
            Lost::Element => format!("{} is missing", start_tag(self.ours)),
            Lost::Attribute(attribute, there) => {
                path.push_str(&format!("/@{attribute}"));
                let ours = self.ours.attribute(attribute).unwrap_or_default();
                changed(
                    &format!("{attribute}='{}' of <{name}>", shown(attribute, ours)),
                    attribute,
                    there,
                )
            }
            Lost::Text(there) => {
                let ours = text_of(self.ours).unwrap_or_default();
                changed(&format!("'{}' in <{name}>", shown(name, ours)), name, there)
            }
        };
        Missing {
            path,
            line: document.position(self.ours.range().start).line,
            is_element: matches!(self.what, Lost::Element),
            what,
        }
    }
}

fn changed(ours: &str, name: &str, there: Option<&str>) -> String {
    match there {
        Some(there) if !is_secret(name) => format!("{ours} became '{there}'"),
        Some(_) => format!("{ours} became something else"),
        None => format!("{ours} is missing"),
    }
}

/// Names whose values are nobody's business.
fn is_secret(name: &str) -> bool {
    matches!(name, "passwd" | "password" | "cookie")
}

fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret(name) { "…" } else { value }
}

/// `<vcpupin vcpu='9' …>`, short enough for a message and without secrets.
fn start_tag(node: Node<'_, '_>) -> String {
    let name = node.tag_name().name();
    if qemu::is(node, "arg") {
        // Values carry keys, of which the first part tells enough.
        let value = node.attribute("value").unwrap_or_default();
        let first = value.split(',').next().unwrap_or_default();
        let more = if first.len() < value.len() {
            ",…"
        } else {
            ""
        };
        return format!("<qemu:arg value='{first}{more}'>");
    }
    let prefix = match crate::document::namespace_of(node) {
        Some(qemu::NAMESPACE) => "qemu:",
        _ => "",
    };
    let mut tag = format!("<{prefix}{name}");
    for attribute in node.attributes().take(3) {
        tag.push_str(&format!(
            " {}='{}'",
            attribute.name(),
            shown(attribute.name(), attribute.value())
        ));
    }
    if node.attributes().len() > 3 {
        tag.push_str(" …");
    }
    tag.push('>');
    if let Some(text) = text_of(node).filter(|text| text.len() < 60) {
        tag.push_str(shown(name, text));
    }
    tag
}

/// `/domain/devices/disk[2]/target`
fn path_of(node: Node<'_, '_>) -> String {
    let mut path = node.parent_element().map(path_of).unwrap_or_default();
    path.push('/');
    path.push_str(node.tag_name().name());
    let like = |other: &Node<'_, '_>| other.is_element() && other.tag_name() == node.tag_name();
    let before = node.prev_siblings().skip(1).filter(like).count();
    if before > 0 || node.next_siblings().skip(1).any(|other| like(&other)) {
        path.push_str(&format!("[{}]", before + 1));
    }
    path
}

/// Collects what of `ours` is not in `stored`, two elements of one name.
fn compare<'a>(ours: Node<'a, 'a>, stored: Node<'a, 'a>, losses: &mut Vec<Loss<'a>>) {
    for attribute in ours.attributes() {
        let there = match attribute.namespace() {
            Some(uri) => stored.attribute((uri, attribute.name())),
            None => stored.attribute(attribute.name()),
        };
        let kept = there.is_some_and(|there| {
            values::same_attribute(ours, attribute.name(), attribute.value(), there)
        });
        let is_unit = attribute.name() == "unit";
        let is_no_loss = kept
            || values::same_size(ours, stored, attribute.name())
            || noise::attribute(ours, attribute.name())
            || (is_unit && noise::worked_out(ours, stored));
        if !is_no_loss {
            losses.push(Loss {
                ours,
                what: Lost::Attribute(attribute.name(), there),
            });
        }
    }
    if let Some(text) = text_of(ours) {
        let there = text_of(stored);
        let kept = there.is_some_and(|there| {
            values::same_text(ours, stored, text, there) || noise::worked_out(ours, stored)
        });
        if !kept {
            losses.push(Loss {
                ours,
                what: Lost::Text(there),
            });
        }
    }
    compare_inside(&[ours], &[stored], losses);
}

fn kept<'a>(ours: Node<'a, 'a>, stored: Node<'a, 'a>) -> bool {
    losses_between(ours, stored).is_empty()
}

fn losses_between<'a>(ours: Node<'a, 'a>, stored: Node<'a, 'a>) -> Vec<Loss<'a>> {
    let mut losses = Vec::new();
    compare(ours, stored, &mut losses);
    losses
}

/// Compares the children of elements that libvirt reads as one; nearly always one of each.
fn compare_inside<'a>(ours: &[Node<'a, 'a>], stored: &[Node<'a, 'a>], losses: &mut Vec<Loss<'a>>) {
    let mut done: Vec<Node<'a, 'a>> = Vec::new();
    for child in ours
        .iter()
        .flat_map(|parent| parent.children())
        .filter(Node::is_element)
    {
        if done.iter().all(|seen| seen.tag_name() != child.tag_name()) {
            done.push(child);
            compare_named(&like(ours, child), &like(stored, child), losses);
        }
    }
}

/// All children of `parents` that are named like `child`.
fn like<'a>(parents: &[Node<'a, 'a>], child: Node<'a, 'a>) -> Vec<Node<'a, 'a>> {
    let same_name = |node: &Node<'a, 'a>| node.is_element() && node.tag_name() == child.tag_name();
    parents
        .iter()
        .flat_map(|parent| parent.children())
        .filter(same_name)
        .collect()
}

/// Compares all elements of one name below one parent.
fn compare_named<'a>(ours: &[Node<'a, 'a>], stored: &[Node<'a, 'a>], losses: &mut Vec<Loss<'a>>) {
    let [first, ..] = ours else {
        return;
    };
    if noise::is_sequence(*first) {
        compare_sequence(ours, stored, losses);
    } else if noise::is_read_as_one(*first) && !stored.is_empty() {
        compare_inside(ours, stored, losses);
    } else if let Some(list) = noise::split_by(*first) {
        compare_split(ours, stored, list, losses);
    } else {
        let fits = |our: usize, other: usize| match (ours.get(our), stored.get(other)) {
            (Some(our), Some(other)) => kept(*our, *other),
            _ => false,
        };
        let pairs = pairing::pairs(ours.len(), stored.len(), fits);
        let alone = without(ours, |index| pairs.iter().any(|pair| pair.0 == index));
        let left = without(stored, |index| pairs.iter().any(|pair| pair.1 == index));
        compare_rest(&alone, left, losses);
    }
}

fn without<'a>(nodes: &[Node<'a, 'a>], paired: impl Fn(usize) -> bool) -> Vec<Node<'a, 'a>> {
    nodes
        .iter()
        .enumerate()
        .filter(|(index, _)| !paired(*index))
        .map(|(_, node)| *node)
        .collect()
}

/// Elements whose order is their meaning: all of ours must be there, in our order.
fn compare_sequence<'a>(
    ours: &[Node<'a, 'a>],
    stored: &[Node<'a, 'a>],
    losses: &mut Vec<Loss<'a>>,
) {
    let mut rest = stored;
    for our in ours {
        match rest.iter().position(|other| kept(*our, *other)) {
            Some(found) => rest = rest.get(found + 1..).unwrap_or_default(),
            None => losses.push(Loss::element(*our)),
        }
    }
}

/// Elements that speak of several things by a list, each of which may be told by itself.
fn compare_split<'a>(
    ours: &[Node<'a, 'a>],
    stored: &[Node<'a, 'a>],
    list: &str,
    losses: &mut Vec<Loss<'a>>,
) {
    let members = |node: Node<'a, 'a>| {
        node.attribute(list)
            .and_then(idset::parse)
            .unwrap_or_default()
    };
    let alike = |our: Node<'a, 'a>, other: Node<'a, 'a>| {
        let mut others = our
            .attributes()
            .filter(|attribute| attribute.name() != list);
        others.all(|attribute| other.attribute(attribute.name()) == Some(attribute.value()))
    };
    for our in ours {
        let there: BTreeSet<u32> = stored
            .iter()
            .filter(|other| alike(*our, **other))
            .flat_map(|other| members(*other))
            .collect();
        if !members(*our).is_subset(&there) {
            losses.push(Loss::element(*our));
        }
    }
}

/// Elements that were not kept as they are: each is compared with what is left of its kind, so
/// that one changed attribute is reported as that.
fn compare_rest<'a>(
    ours: &[Node<'a, 'a>],
    mut left: Vec<Node<'a, 'a>>,
    losses: &mut Vec<Loss<'a>>,
) {
    for our in ours {
        let closest = left
            .iter()
            .enumerate()
            .filter(|(_, other)| pairing::could_be(*our, **other))
            .map(|(index, other)| (losses_between(*our, *other), index))
            .min_by_key(|(losses, _)| losses.len());
        match closest {
            Some((found, index)) => {
                left.remove(index);
                // libvirt writes it anew, whatever it says.
                if !noise::is_mirror(*our) {
                    losses.extend(found);
                }
            }
            None if noise::element(*our) => {}
            None => losses.push(Loss::element(*our)),
        }
    }
}

#[cfg(test)]
mod tests;
