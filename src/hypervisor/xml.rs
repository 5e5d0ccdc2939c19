//! Small steps through a parsed document, shared by the readers of libvirt's XML.

use roxmltree::Node;

use crate::document::{child, text_of};

/// The first element at the end of a path of un-namespaced names.
pub(super) fn at<'a, 't>(node: Node<'a, 't>, path: &[&str]) -> Option<Node<'a, 't>> {
    path.iter().try_fold(node, |node, name| child(node, name))
}

/// Trimmed text of the element at the end of a path; `None` when it is blank.
pub(super) fn text<'a>(node: Node<'a, '_>, path: &[&str]) -> Option<&'a str> {
    text_of(at(node, path)?)
}

/// A number in an attribute.
pub(super) fn number(node: Node<'_, '_>, attribute: &str) -> Option<u32> {
    node.attribute(attribute)?.trim().parse().ok()
}
