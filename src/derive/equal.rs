//! When two definitions are equal, and where they are not.
//!
//! Equal are two that differ in white space, the order of attributes, comments, processing
//! instructions and the prefixes of namespaces only. Where the order does not count, two that
//! differ in the order of elements are equal as well, unless the order is what the elements mean
//! (QEMU's arguments, boot devices); and so are two spellings of one hexadecimal number.

use roxmltree::Node;

use super::noise::is_sequence;
use crate::merge::keys;

/// How strictly two definitions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equality {
    /// The order of elements, and the spelling of numbers, count.
    pub strict: bool,
}

impl Equality {
    /// Whether two elements say the same.
    pub fn same(self, a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
        self.same_itself(a, b) && self.same_children(a, b)
    }

    /// Collects the elements of `b` whose own attributes, text or list of children is not what
    /// `a` has, innermost first, and those of which `a` has none.
    pub fn differences<'b>(self, a: Node<'_, '_>, b: Node<'b, 'b>, found: &mut Vec<Node<'b, 'b>>) {
        if !self.same_itself(a, b) {
            found.push(b);
            return;
        }
        let (ours, theirs) = (elements(a), elements(b));
        // What the merge took out, or did not make, may only have to be said.
        let is_missing =
            |node: &Node<'_, '_>| ours.iter().all(|one| name_of(*one) != name_of(*node));
        let missing = found.len();
        found.extend(theirs.iter().copied().filter(is_missing));
        if found.len() > missing {
            return;
        }
        if self.strict {
            let names = |nodes: &[Node<'_, '_>]| -> Vec<(Option<String>, String)> {
                nodes.iter().map(|node| name_of(*node)).collect()
            };
            if names(&ours) != names(&theirs) {
                found.push(b);
                return;
            }
            for (a, b) in ours.iter().zip(&theirs) {
                self.differences(*a, *b, found);
            }
            return;
        }
        for (ours, theirs) in by_name(&ours, &theirs) {
            match (ours.as_slice(), theirs.as_slice()) {
                ([a], [b]) => self.differences(*a, *b, found),
                _ if self.same_lists(&ours, &theirs) => {}
                _ => {
                    found.push(b);
                    return;
                }
            }
        }
    }

    /// Name, attributes and text, not what is inside.
    pub fn same_itself(self, a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
        name_of(a) == name_of(b)
            && a.attributes().len() == b.attributes().len()
            && a.attributes().all(|attribute| {
                let other = match attribute.namespace() {
                    Some(uri) => b.attribute((uri, attribute.name())),
                    None => b.attribute(attribute.name()),
                };
                other.is_some_and(|other| self.same_value(attribute.value(), other))
            })
            && text(a) == text(b)
            && pieces(a) == pieces(b)
    }

    /// Whether two values of an attribute are the same.
    pub fn same_value(self, a: &str, b: &str) -> bool {
        a == b || (!self.strict && keys::same(a, b))
    }

    fn same_children(self, a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
        let (ours, theirs) = (elements(a), elements(b));
        if ours.len() != theirs.len() {
            return false;
        }
        match self.strict {
            true => ours.iter().zip(&theirs).all(|(a, b)| self.same(*a, *b)),
            false => by_name(&ours, &theirs)
                .iter()
                .all(|(ours, theirs)| self.same_lists(ours, theirs)),
        }
    }

    /// Elements of one name, in any order unless that is what they mean.
    fn same_lists(self, ours: &[Node<'_, '_>], theirs: &[Node<'_, '_>]) -> bool {
        if ours.len() != theirs.len() {
            return false;
        }
        if ours.iter().any(|node| is_sequence(*node)) {
            return ours.iter().zip(theirs).all(|(a, b)| self.same(*a, *b));
        }
        let mut left = theirs.to_vec();
        ours.iter()
            .all(|a| match left.iter().position(|b| self.same(*a, *b)) {
                Some(at) => {
                    left.remove(at);
                    true
                }
                None => false,
            })
    }
}

/// The child elements.
pub fn elements<'a, 't>(node: Node<'a, 't>) -> Vec<Node<'a, 't>> {
    node.children().filter(Node::is_element).collect()
}

/// All text of an element without the white space around it; comments do not divide it.
pub fn text(node: Node<'_, '_>) -> String {
    let text: String = node
        .children()
        .filter(|child| child.is_text())
        .filter_map(|child| child.text())
        .collect();
    text.trim().to_owned()
}

/// The text before, between and behind elements; nothing where there is no text beside elements.
fn pieces(node: Node<'_, '_>) -> Vec<String> {
    if elements(node).is_empty() || text(node).is_empty() {
        return Vec::new();
    }
    let mut pieces = vec![String::new()];
    for child in node.children() {
        if child.is_element() {
            pieces.push(String::new());
        } else if let (true, Some(last)) = (child.is_text(), pieces.last_mut()) {
            last.push_str(child.text().unwrap_or_default());
        }
    }
    let pieces = pieces.into_iter();
    pieces.map(|piece| piece.trim().to_owned()).collect()
}

/// The expanded name.
pub fn name_of(node: Node<'_, '_>) -> (Option<String>, String) {
    let name = node.tag_name();
    (
        crate::document::namespace_of(node).map(str::to_owned),
        name.name().to_owned(),
    )
}

/// The elements of two lists with the same name, for every name there is, in order.
pub fn by_name<'a, 'b>(
    ours: &[Node<'a, 'a>],
    theirs: &[Node<'b, 'b>],
) -> Vec<(Vec<Node<'a, 'a>>, Vec<Node<'b, 'b>>)> {
    let mut names: Vec<(Option<String>, String)> = Vec::new();
    for name in theirs
        .iter()
        .map(|node| name_of(*node))
        .chain(ours.iter().map(|node| name_of(*node)))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .iter()
        .map(|name| {
            let of = |nodes: &[Node<'a, 'a>]| -> Vec<Node<'a, 'a>> {
                nodes
                    .iter()
                    .copied()
                    .filter(|node| name_of(*node) == *name)
                    .collect()
            };
            let theirs = theirs
                .iter()
                .copied()
                .filter(|node| name_of(*node) == *name)
                .collect();
            (of(ours), theirs)
        })
        .collect()
}
