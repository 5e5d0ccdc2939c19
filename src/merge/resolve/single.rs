//! What a patch says of one element in several places.

use std::collections::HashMap;

use super::Resolver;
use crate::merge::error::MergeError;
use crate::merge::keys;
use crate::merge::patch::{Attribute, Element, Op};

/// Name, and what tells an element from others of its name.
type Signature<'e> = (&'e str, Vec<Option<String>>);

impl Resolver<'_> {
    /// Refuses two elements with one key: which of them counts nobody could tell. What is to be exactly so
    /// may hold any.
    pub(super) fn contradictions(&self, element: &Element) -> Result<(), MergeError> {
        if element.op == Op::Replace {
            return Ok(());
        }
        if let [child] = element.children.as_slice() {
            return self.contradictions(child);
        }
        // Only what has the same name can contradict, and in most patches nothing has.
        let mut names: Vec<&str> = element
            .children
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        names.sort_unstable();
        if names.windows(2).all(|pair| pair.first() != pair.last()) {
            return element
                .children
                .iter()
                .filter(|child| !matches!(child.op, Op::Remove | Op::RemoveExisting))
                .try_for_each(|child| self.contradictions(child));
        }
        let mut keys: HashMap<(&str, String), &Element> = HashMap::new();
        let mut only_if: HashMap<Signature<'_>, &Element> = HashMap::new();
        let goes = |child: &&Element| matches!(child.op, Op::Remove | Op::RemoveExisting);
        for child in element.children.iter().filter(|child| !goes(child)) {
            self.contradictions(child)?;
            // What is said for the case that there is one, or none, and once more without the case.
            let signature = (child.name.as_str(), keys::signature(&element.name, child));
            // Where there can be one only, none is the second beside one that is to be so, or to stay.
            let is_single = keys::is_single(&element.name, &child.name);
            let is_alone = |op: &Op| match op {
                Op::Default | Op::Update => true,
                Op::Replace | Op::Keep => is_single,
                _ => false,
            };
            if (child.op != Op::Keep || is_single)
                && child.namespace.is_none()
                && let Some(first) = only_if.insert(signature, child)
                && first.op != child.op
                && [first.op, child.op].iter().any(is_alone)
            {
                let message = format!(
                    "<{}> has one patch:op here and another in line {} of the patch, and nothing tells the two apart",
                    child.name,
                    self.patch.line(first.offset)
                );
                return Err(MergeError::in_patch(self.patch, child.offset, message));
            }
            if let Some(key) = keys::unique_key(&element.name, child)
                && let Some(first) = keys.insert((&child.name, key), child)
            {
                let message = format!(
                    "a second {}; the first stands in line {} of the patch",
                    keys::described(&element.name, child),
                    self.patch.line(first.offset)
                );
                return Err(MergeError::in_patch(self.patch, child.offset, message));
            }
        }
        Ok(())
    }

    /// Refuses two things said of one element.
    pub(super) fn agree(&self, first: &Element, second: &Element) -> Result<(), MergeError> {
        let other = |attribute: &&Attribute| {
            let is_same = |other: &&Attribute| {
                other.name == attribute.name && other.namespace == attribute.namespace
            };
            let other = first.attributes.iter().find(is_same)?;
            (other.value != attribute.value).then_some(other)
        };
        let shown = |attribute: &Attribute| match &attribute.value {
            Some(value) => format!("{}='{value}'", attribute.name),
            None => format!("no {}", attribute.name),
        };
        let said = match (&first.text, &second.text) {
            (Some(one), Some(two)) if one != two => {
                Some((format!("is '{one}'"), format!("'{two}'")))
            }
            _ => second.attributes.iter().find_map(|attribute| {
                let other = other(&attribute)?;
                Some((format!("has {}", shown(other)), shown(attribute)))
            }),
        };
        let Some((one, two)) = said else {
            return Ok(());
        };
        let message = format!(
            "<{}> {one} in line {} of the patch and {two} here",
            second.name,
            self.patch.line(first.offset)
        );
        Err(MergeError::in_patch(self.patch, second.offset, message))
    }
}

/// Makes one of several children that are one in a definition: two snippets may both have
/// `<features>` around what they show. What is to be exactly so is left as it is.
pub(super) fn fold(
    element: &mut Element,
    agree: &impl Fn(&Element, &Element) -> Result<(), MergeError>,
) -> Result<(), MergeError> {
    if element.op != Op::Merge {
        return Ok(());
    }
    let mut folded: Vec<Element> = Vec::with_capacity(element.children.len());
    for child in element.children.drain(..) {
        let single = child.op == Op::Merge && keys::is_single(&element.name, &child.name);
        let there = folded.iter_mut().find(|other| {
            single
                && other.op == Op::Merge
                && other.name == child.name
                && other.namespace == child.namespace
        });
        match there {
            Some(other) => {
                agree(other, &child)?;
                other.attributes.extend(child.attributes);
                last_attributes(other);
                other.text = child.text.or(other.text.take());
                other.children.extend(child.children);
            }
            None => folded.push(child),
        }
    }
    element.children = folded;
    let mut children = element.children.iter_mut();
    children.try_for_each(|child| fold(child, agree))
}

/// Of two attributes of one name the last one counts.
fn last_attributes(element: &mut Element) {
    let mut kept: Vec<Attribute> = Vec::with_capacity(element.attributes.len());
    for attribute in element.attributes.drain(..) {
        kept.retain(|other| other.name != attribute.name || other.namespace != attribute.namespace);
        kept.push(attribute);
    }
    element.attributes = kept;
}
