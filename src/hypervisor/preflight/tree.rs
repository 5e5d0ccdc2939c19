//! A definition that may be changed freely: the throw-away copy need not look like anything.

use roxmltree::Node;

use crate::document::{Document, escape_attribute, escape_text, qemu, text_of};

/// One element. Comments, white space and foreign namespaces are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Local name; of libvirt's QEMU extensions with the prefix `qemu:`.
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
    pub children: Vec<Tree>,
}

impl Tree {
    pub fn new(name: &str) -> Tree {
        Tree {
            name: name.to_owned(),
            ..Tree::default()
        }
    }

    pub fn with(mut self, attribute: &str, value: &str) -> Tree {
        self.set(attribute, value);
        self
    }

    pub fn with_text(mut self, text: &str) -> Tree {
        text.clone_into(&mut self.text);
        self
    }

    pub fn with_child(mut self, child: Tree) -> Tree {
        self.children.push(child);
        self
    }

    pub fn of(document: &Document<'_>) -> Tree {
        read(document.root()).unwrap_or_default()
    }

    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name == attribute)
            .map(|(_, value)| value.as_str())
    }

    pub fn set(&mut self, attribute: &str, value: &str) {
        match self
            .attributes
            .iter_mut()
            .find(|(name, _)| name == attribute)
        {
            Some((_, there)) => value.clone_into(there),
            None => self
                .attributes
                .push((attribute.to_owned(), value.to_owned())),
        }
    }

    pub fn unset(&mut self, attributes: &[&str]) {
        self.attributes
            .retain(|(name, _)| !attributes.contains(&name.as_str()));
    }

    pub fn child(&self, name: &str) -> Option<&Tree> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn child_mut(&mut self, name: &str) -> Option<&mut Tree> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// Removes all children of this name and says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.children.len();
        self.children.retain(|child| child.name != name);
        self.children.len() < before
    }

    /// Removes all children but those of these names.
    pub fn keep_only(&mut self, names: &[&str]) {
        self.children
            .retain(|child| names.contains(&child.name.as_str()));
    }

    /// Puts this in place of the first child of its name, or at the end.
    pub fn put(&mut self, child: Tree) {
        match self.child_mut(&child.name) {
            Some(there) => *there = child,
            None => self.children.push(child),
        }
    }

    pub fn to_xml(&self) -> String {
        let mut xml = String::new();
        let mut root = self.clone();
        root.set("xmlns:qemu", qemu::NAMESPACE);
        root.write(&mut xml, 0);
        xml
    }

    fn write(&self, xml: &mut String, depth: usize) {
        xml.extend(std::iter::repeat_n("  ", depth));
        xml.push('<');
        xml.push_str(&self.name);
        for (name, value) in &self.attributes {
            xml.push_str(&format!(" {name}='{}'", escape_attribute(value, '\'')));
        }
        if self.text.is_empty() && self.children.is_empty() {
            xml.push_str("/>\n");
            return;
        }
        xml.push('>');
        xml.push_str(&escape_text(&self.text));
        if !self.children.is_empty() {
            xml.push('\n');
            self.children
                .iter()
                .for_each(|child| child.write(xml, depth + 1));
            xml.extend(std::iter::repeat_n("  ", depth));
        }
        xml.push_str(&format!("</{}>\n", self.name));
    }
}

fn read(node: Node<'_, '_>) -> Option<Tree> {
    let name = node.tag_name();
    let name = match crate::document::namespace_of(node) {
        None => name.name().to_owned(),
        Some(qemu::NAMESPACE) => format!("qemu:{}", name.name()),
        Some(_) => return None,
    };
    let attributes = node
        .attributes()
        .filter(|attribute| attribute.namespace().is_none());
    Some(Tree {
        name,
        attributes: attributes
            .map(|one| (one.name().to_owned(), one.value().to_owned()))
            .collect(),
        text: text_of(node).unwrap_or_default().to_owned(),
        children: node
            .children()
            .filter(Node::is_element)
            .filter_map(read)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn it_reads_and_writes() {
        let xml = "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><!-- c -->\
                   <name> a&amp;b </name><metadata><x:y xmlns:x='urn:x'/></metadata>\
                   <q:commandline><q:arg value='it&apos;s'/></q:commandline></domain>";
        let tree = Tree::of(&Document::parse(xml).unwrap());
        assert_eq!(
            tree.to_xml(),
            "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  \
             <name>a&amp;b</name>\n  <metadata/>\n  <qemu:commandline>\n    \
             <qemu:arg value='it&apos;s'/>\n  </qemu:commandline>\n</domain>\n"
        );
    }
}
