//! A derived patch makes the one definition of the other, whatever the two are.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;

use proptest::prelude::*;
use roxmltree::Node;

use common::domains::domain;
use virt_patch::derive::{DeriveError, Derived, Keep, derive};
use virt_patch::document::Document;
use virt_patch::merge::{Patch, merged};

/// A definition without what its formatting is: white space around text, the order of attributes,
/// comments, prefixes.
fn canonical(text: &str) -> String {
    let document = Document::parse_domain(text).unwrap();
    let mut out = String::new();
    write(document.root(), 0, &mut out);
    out
}

fn write(node: Node<'_, '_>, depth: usize, out: &mut String) {
    let mut attributes: Vec<String> = node
        .attributes()
        .map(|attribute| {
            let uri = attribute.namespace().unwrap_or_default();
            format!("{{{uri}}}{}={:?}", attribute.name(), attribute.value())
        })
        .collect();
    attributes.sort();
    let text: String = node
        .children()
        .filter(|child| child.is_text())
        .filter_map(|child| child.text())
        .collect();
    out.push_str(&format!(
        "{:depth$}{{{}}}{} {attributes:?} {:?}\n",
        "",
        node.tag_name().namespace().unwrap_or_default(),
        node.tag_name().name(),
        text.trim(),
    ));
    for child in node.children().filter(Node::is_element) {
        write(child, depth + 1, out);
    }
}

/// Merges a derived patch, twice: the second time it changes nothing.
fn replay(before: &str, derived: &Derived) -> String {
    let patch = Patch::new("derived.xml", &*derived.patch);
    let document = Document::parse_domain(before).unwrap();
    let after = merged(&document, &patch)
        .unwrap_or_else(|error| panic!("{error}\n{}", derived.patch))
        .unwrap_or_else(|| before.to_owned());
    let again = Document::parse_domain(&after).unwrap();
    let twice = merged(&again, &patch).unwrap_or_else(|error| panic!("{error}\n{}", derived.patch));
    assert_eq!(twice, None, "not idempotent:\n{}", derived.patch);
    after
}

fn makes_one_of_the_other(before: &str, after: &str) -> Derived {
    let derived = derive(before, after, &Keep::ALL).unwrap();
    let got = replay(before, &derived);
    assert_eq!(canonical(&got), canonical(after), "\n{}", derived.patch);
    derived
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_domain_becomes_any_other(before in domain(), after in domain()) {
        makes_one_of_the_other(&before.hostile, &after.hostile);
    }

    #[test]
    fn formatting_is_no_difference(domain in domain()) {
        // Two blocks of arguments are not one, even if libvirt reads them so.
        let document = Document::parse_domain(&domain.hostile).unwrap();
        prop_assume!(virt_patch::document::qemu::commandlines(document.root()).count() < 2);
        let derived = derive(&domain.plain, &domain.hostile, &Keep { order: false, ..Keep::ALL }).unwrap();
        prop_assert!(derived.empty, "{}", derived.patch);
    }

    #[test]
    fn without_noise_it_can_be_replayed_twice(before in domain(), after in domain()) {
        let derived = derive(&before.plain, &after.hostile, &Keep::default()).unwrap();
        let once = replay(&before.plain, &derived);
        // Nothing is left to record but noise.
        let rest = derive(&once, &after.hostile, &Keep::default()).unwrap();
        prop_assert!(rest.empty, "{}\nand then\n{}", derived.patch, rest.patch);
    }
}

/// Real definitions, where they lie next to the project.
fn corpus() -> Vec<(PathBuf, String)> {
    let Some(directory) = std::env::var_os("VIRT_PATCH_CORPUS") else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "xml"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .filter(|(_, text)| {
            Document::parse_domain(text).is_ok_and(|document| document.duplicate().is_none())
        })
        .collect()
}

/// Any two are many; each is taken with some near and some far in the order of names.
#[test]
fn any_two_of_the_corpus() {
    let corpus = corpus();
    let mut unsayable = 0;
    for (index, (path, before)) in corpus.iter().enumerate() {
        for step in [0, 1, 2, 7, 31, 77] {
            let (other, after) = &corpus[(index + step) % corpus.len()];
            match derive(before, after, &Keep::ALL) {
                Ok(derived) => {
                    let got = replay(before, &derived);
                    assert_eq!(
                        canonical(&got),
                        canonical(after),
                        "{} to {}\n{}",
                        path.display(),
                        other.display(),
                        derived.patch
                    );
                    assert_eq!(derived.empty, canonical(before) == canonical(after));
                }
                Err(DeriveError::Unsayable { .. }) => unsayable += 1,
                Err(error) => panic!("{error}"),
            }
            let derived = derive(before, after, &Keep::default());
            if let Ok(derived) = derived {
                let once = replay(before, &derived);
                let rest = derive(&once, after, &Keep::default()).unwrap();
                assert!(
                    rest.empty,
                    "{} to {}\n{}\nand then\n{}",
                    path.display(),
                    other.display(),
                    derived.patch,
                    rest.patch
                );
            }
        }
    }
    assert_eq!(unsayable, 0);
}

/// A whole dump is a patch too: what it makes of another domain can be read, and is all that it
/// wants.
#[test]
fn any_of_the_corpus_is_a_patch_for_any_other() {
    let corpus = corpus();
    for (index, (path, before)) in corpus.iter().enumerate() {
        for step in [0, 1, 3, 11, 37, 71] {
            let (other, text) = &corpus[(index + step) % corpus.len()];
            let names = format!("{} into {}", other.display(), path.display());
            let patch = Patch::new("whole", text.as_str());
            let document = Document::parse_domain(before).unwrap();
            let once = match merged(&document, &patch) {
                Ok(once) => once.unwrap_or_else(|| before.clone()),
                // What two could be, and text where the other has elements (the backends of
                // random and egd), is the user's to say; anything else is a bug.
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        error.contains(" could be the one in line ")
                            || error.contains("the patch has text for <backend>"),
                        "{names}: {error}"
                    );
                    continue;
                }
            };
            let again =
                Document::parse_domain(&once).unwrap_or_else(|e| panic!("{names}: {e}\n{once}"));
            match merged(&again, &patch) {
                Ok(None) => {}
                other => panic!("{names}:\n{once}\n{other:?}"),
            }
        }
    }
}
