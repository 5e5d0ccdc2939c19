//! Small steps through a parsed document, shared by the readers of libvirt's XML.

use roxmltree::Node;

/// Child elements with this local name, whatever their namespace.
pub(super) fn children<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first element at the end of a path of local names.
pub(super) fn at<'a, 'i: 'a>(node: Node<'a, 'i>, path: &[&str]) -> Option<Node<'a, 'i>> {
    path.iter().try_fold(node, |node, name| {
        node.children()
            .find(|child| child.is_element() && child.tag_name().name() == *name)
    })
}

/// Trimmed text of the element at the end of a path; `None` when it is blank.
pub(super) fn text<'a>(node: Node<'a, '_>, path: &[&str]) -> Option<&'a str> {
    at(node, path)?
        .text()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// A number in an attribute.
pub(super) fn number(node: Node<'_, '_>, attribute: &str) -> Option<u32> {
    node.attribute(attribute)?.trim().parse().ok()
}
