//! The elements of one name by what tells them apart, for a patch that speaks of many.

use std::collections::HashMap;

use roxmltree::Node;

use super::{Key, counts, spelt, split, value_in};
use crate::document;

/// The elements of one name that have some keys, by the values of these.
#[derive(Default)]
pub(super) struct Index<'a, 't> {
    all: HashMap<Vec<String>, Vec<Node<'a, 't>>>,
    /// Those in which a part that holds such a key is there twice.
    pub(super) several: Vec<Node<'a, 't>>,
}

/// The keys that stand in one part, each with its attribute.
struct Part {
    path: Vec<&'static str>,
    keys: Vec<(Key, Option<&'static str>)>,
}

impl<'a, 't> Index<'a, 't> {
    /// Of `nodes`, by the values of `keys`.
    pub(super) fn of(nodes: &[Node<'a, 't>], keys: &[Key]) -> Self {
        let parts = parts(keys);
        let mut index = Index::default();
        for node in nodes {
            let mut values = Some(Vec::with_capacity(keys.len()));
            let mut has_several = false;
            for one in &parts {
                let (part, several) = follow(*node, &one.path);
                has_several |= several;
                for (key, attribute) in &one.keys {
                    let value = part.and_then(|part| value_in(part, *attribute));
                    let value = value.filter(|value| counts(key, value));
                    values = values.zip(value).map(|(mut values, value)| {
                        values.push(spelt(value).into_owned());
                        values
                    });
                }
            }
            if let Some(values) = values {
                index.all.entry(values).or_default().push(*node);
            }
            if has_several {
                index.several.push(*node);
            }
        }
        index
    }

    /// Those whose keys have these values, in order.
    pub(super) fn get(&self, values: &[String]) -> &[Node<'a, 't>] {
        self.all.get(values).map_or(&[], Vec::as_slice)
    }
}

/// Keys of one part are next to each other in the tables.
fn parts(keys: &[Key]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for key in keys {
        let (path, attribute) = split(key);
        let path: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let key = (*key, attribute);
        match parts.last_mut() {
            Some(last) if last.path == path => last.keys.push(key),
            _ => parts.push(Part {
                path,
                keys: vec![key],
            }),
        }
    }
    parts
}

/// The first element that the names lead to, and whether another one stands beside it or on the way.
fn follow<'a, 't>(node: Node<'a, 't>, path: &[&str]) -> (Option<Node<'a, 't>>, bool) {
    let (mut at, mut several) = (Some(node), false);
    for name in path {
        let Some(node) = at else {
            break;
        };
        let mut parts = node
            .children()
            .filter(|part| part.tag_name().name() == *name);
        several |= parts.nth(1).is_some();
        at = document::child(node, name);
    }
    (at, several)
}
