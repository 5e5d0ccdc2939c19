//! What libvirt makes of a definition by itself when it is defined: what it fills in where nothing
//! is said, what it spells in another way, and what it drops because it says nothing.
//!
//! Somebody who defines a definition written by hand and derives what "changed" wants none of this:
//! a patch with it would turn another domain's `<memballoon model='none'/>` into virtio. So the new
//! definition is made to say it as the old one does. What goes is only what the old one lacks and
//! what has exactly the value that libvirt gives it; [`rules`] has all of that.

mod rules;

use roxmltree::Node;

use super::build::{self, Paired};
use super::equal::{Equality, by_name, elements, name_of};
use crate::document::{Document, DocumentError, Edit, Parts, escape_attribute, namespace_of};
use crate::merge::keys;

/// `text` without what libvirt made of `before` by itself. `strict`: the spelling of numbers counts.
///
/// # Errors
/// One of the two cannot be read.
pub(super) fn without(text: &str, before: &str, strict: bool) -> Result<String, DocumentError> {
    let document = Document::parse_domain(text)?;
    let before = Document::parse_domain(before)?;
    let mut cut = Cut {
        text: document.text(),
        before: before.text(),
        strict,
        edits: Vec::new(),
    };
    cut.attributes(before.root(), document.root());
    cut.children(Some(before.root()), document.root());
    let edits = cut.edits;
    // Each element is cut or gone into, never both.
    Ok(document.splice(edits).unwrap_or_else(|_| text.to_owned()))
}

struct Cut<'t> {
    text: &'t str,
    before: &'t str,
    strict: bool,
    edits: Vec<Edit>,
}

impl Cut<'_> {
    /// What `b` holds, which `a` became, or nothing did. Whether nothing of it is left.
    fn children<'d>(&mut self, a: Option<Node<'d, 'd>>, b: Node<'d, 'd>) -> bool {
        let mut nothing_left = true;
        let ours = a.map(elements).unwrap_or_default();
        for (ours, theirs) in by_name(&ours, &elements(b)) {
            let group = paired(&ours, &theirs);
            nothing_left &= group.pairs.is_empty();
            for (a, b) in group.pairs {
                self.pair(a, b);
            }
            for new in group.new {
                let first = self.edits.len();
                let goes = rules::adds(a, &ours, new)
                    || rules::drops(new, b)
                    || (rules::is_devices(new) && ours.is_empty() && self.children(None, new));
                if goes {
                    self.edits.truncate(first);
                    let range = crate::document::with_line(self.text, new.range());
                    self.edits.push(Edit::delete(range));
                } else {
                    nothing_left = false;
                    self.dropped(new);
                }
            }
            for gone in group.gone {
                if rules::drops(gone, b)
                    && let Some(content) = Parts::of(self.text, b).content
                    && let Some(own) = self.before.get(gone.range())
                {
                    self.edits.push(Edit::insert(content.start, own));
                }
            }
        }
        nothing_left
    }

    /// What libvirt drops of something new: a second run would miss it, and add another one.
    fn dropped(&mut self, new: Node<'_, '_>) {
        if namespace_of(new).is_some() || rules::is_foreign(new) {
            return;
        }
        let parts = Parts::of(self.text, new);
        for attribute in new.attributes().filter(|one| one.namespace().is_none()) {
            if rules::leaves_out(new, attribute.name(), attribute.value())
                && let Some(there) = parts.attribute(self.text, attribute.name())
            {
                self.edits.push(Edit::delete(there.with_space.clone()));
            }
        }
        for part in elements(new) {
            if rules::drops(part, new) {
                let range = crate::document::with_line(self.text, part.range());
                self.edits.push(Edit::delete(range));
            } else {
                self.dropped(part);
            }
        }
    }

    fn pair<'d>(&mut self, a: Node<'d, 'd>, b: Node<'d, 'd>) {
        let equality = Equality { strict: true };
        if equality.same(a, b) || namespace_of(b).is_some() || rules::is_foreign(b) {
            return;
        }
        if rules::says_the_same(a, b) {
            let own = self.before.get(a.range()).unwrap_or_default();
            self.edits.push(Edit::replace(b.range(), own));
            return;
        }
        if rules::fills_in_text(a, b)
            && let Some(content) = Parts::of(self.text, b).content
        {
            self.edits.push(Edit::delete(content));
        }
        self.attributes(a, b);
        self.children(Some(a), b);
    }

    fn attributes(&mut self, a: Node<'_, '_>, b: Node<'_, '_>) {
        let parts = Parts::of(self.text, b);
        for attribute in b.attributes().filter(|one| one.namespace().is_none()) {
            let (name, new) = (attribute.name(), attribute.value());
            let Some(there) = parts.attribute(self.text, name) else {
                continue;
            };
            let range = there.with_space.clone();
            match a.attribute(name) {
                None if rules::fills_in(a, b, name) || rules::leaves_out(b, name, new) => {
                    self.edits.push(Edit::delete(range));
                }
                Some(old) if old != new && self.is_same_value(b, name, old, new) => {
                    self.edits.push(Edit::replace(range, written(name, old)));
                }
                _ => {}
            }
        }
        for attribute in a.attributes().filter(|one| one.namespace().is_none()) {
            let (name, old) = (attribute.name(), attribute.value());
            if b.attribute(name).is_none() && rules::leaves_out(b, name, old) {
                let edit = Edit::insert(parts.name.end, written(name, old));
                self.edits.push(edit);
            }
        }
    }

    fn is_same_value(&self, b: Node<'_, '_>, name: &str, old: &str, new: &str) -> bool {
        rules::is_resolved(b, name, old, new) || (!self.strict && is_same(old, new))
    }
}

/// Two spellings of one value, whichever of them libvirt wrote.
fn is_same(a: &str, b: &str) -> bool {
    keys::same(a, b) || keys::same(b, a)
}

fn written(name: &str, value: &str) -> String {
    format!(" {name}=\"{}\"", escape_attribute(value, '"'))
}

/// Which became which: as the patch will name them, and then those of which libvirt says more than
/// was said.
fn paired<'d>(ours: &[Node<'d, 'd>], theirs: &[Node<'d, 'd>]) -> Paired<'d> {
    let mut group = build::pair(Equality { strict: false }, ours, theirs);
    group.take(|a, b| {
        is_told_by_less(a, b)
            && a.attributes().all(|attribute| {
                attribute.namespace().is_some()
                    || b.attribute(attribute.name())
                        .is_some_and(|new| is_same(attribute.value(), new))
            })
    });
    group.take(is_told_by_less);
    group
}

/// Whether all that tells `a` apart tells `b` apart as well.
fn is_told_by_less(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    let of_b = keys::identity_of(b);
    name_of(a) == name_of(b)
        && keys::identity_of(a).iter().all(|key| {
            of_b.iter().any(|other| {
                other.path == key.path
                    && other.attribute == key.attribute
                    && is_same(&key.value, &other.value)
            })
        })
}

#[cfg(test)]
mod tests;
