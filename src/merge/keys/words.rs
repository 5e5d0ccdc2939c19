//! The keys of elements in messages.

use roxmltree::Node;

use super::{Key, identity, in_document, in_patch, split};
use crate::merge::patch::Element;
use crate::text;

/// The keys that tell elements of this name apart, readable.
pub fn names_of_keys(parent: &str, name: &str) -> Vec<String> {
    identity(parent, name)
        .map(|identity| identity.keys.iter().map(|key| readable(key)).collect())
        .unwrap_or_default()
}

/// What to write for one of two elements that a patch's element could mean, as a clause.
pub fn how_to_choose(wanted: &Element, first: Node<'_, '_>, second: Node<'_, '_>) -> String {
    let parent = first.parent_element();
    let parent = parent.map_or("", |parent| parent.tag_name().name());
    let identity = identity(parent, &wanted.name);
    let keys = || {
        let all = identity.map(|identity| identity.keys.iter().chain(identity.tie));
        all.into_iter().flatten().copied()
    };
    let differ = |key: &Key| in_document(first, key) != in_document(second, key);
    let (said, unsaid): (Vec<Key>, Vec<Key>) = keys()
        .filter(differ)
        .partition(|key| in_patch(wanted, key).is_some());
    let names = |keys: &[Key]| {
        let names: Vec<String> = keys.iter().map(|key| readable(key)).collect();
        text::list_or(&names)
    };
    if !unsaid.is_empty() {
        format!("say which with {}", names(&unsaid))
    } else if !said.is_empty() {
        format!(
            "neither has the {} of the patch; take out what is to go with patch:op='remove'",
            names(&said)
        )
    } else if keys().any(|key| key == "alias@name") {
        "nothing tells them apart; give the one that is meant an <alias name='ua-…'/> first"
            .to_owned()
    } else {
        "the definition should have one".to_owned()
    }
}

/// The element with what tells it apart: `<disk> with <target dev='vda'>`.
pub fn described(parent: &str, wanted: &Element) -> String {
    let identity = identity(parent, &wanted.name);
    let keys = identity.map_or(&[] as &[Key], |identity| identity.keys);
    let said: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let value = in_patch(wanted, key)?;
            Some(match split(key) {
                ("", Some(attribute)) => format!("{attribute}='{value}'"),
                (path, Some(attribute)) => format!("<{path} {attribute}='{value}'>"),
                ("", None) => format!("the text '{value}'"),
                (path, None) => format!("<{path}>{value}"),
            })
        })
        .collect();
    let name = match &wanted.prefix {
        Some(prefix) => format!("{prefix}:{}", wanted.name),
        None => wanted.name.clone(),
    };
    match said.as_slice() {
        [] => format!("<{name}>"),
        said => format!("<{name}> with {}", text::list(said)),
    }
}

pub(super) fn readable(key: Key) -> String {
    match split(key) {
        ("", Some(attribute)) => format!("{attribute}="),
        (path, Some(attribute)) => format!("<{path} {attribute}=…>"),
        ("", None) => "its text".to_owned(),
        (path, None) => format!("<{path}>"),
    }
}
