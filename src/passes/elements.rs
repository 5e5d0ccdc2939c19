//! Elements that exist only at run time, such as one pin per vCPU, built for a patch.

use xmltree::{Element, XMLNode};

/// An element with these attributes; `patch:op` and `patch:unset` are directives in it.
pub fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::new(name);
    for (name, value) in attributes {
        element
            .attributes
            .insert((*name).to_owned(), (*value).to_owned());
    }
    element
}

/// `parent` with these elements in it.
pub fn with(mut parent: Element, children: impl IntoIterator<Item = Element>) -> Element {
    parent
        .children
        .extend(children.into_iter().map(XMLNode::Element));
    parent
}

/// An element that takes every child of this name out of its parent.
pub fn removed(name: &str) -> Element {
    element(name, &[("patch:op", "remove")])
}
