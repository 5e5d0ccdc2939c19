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

/// As [`derive`]; `None` where what is left out would go with what can only be replaced as a whole.
fn derived(before: &str, after: &str, keep: &Keep) -> Option<Derived> {
    match derive(before, after, keep) {
        Ok(derived) => Some(derived),
        Err(DeriveError::Unsayable { message, .. }) if message.contains("--keep all") => None,
        Err(error) => panic!("{error}"),
    }
}

/// The words for what is to be recorded, each alone, and none.
fn single_words() -> Vec<Keep> {
    let mut all = vec![Keep::default()];
    for word in Keep::WORDS.into_iter().filter(|word| *word != "all") {
        let mut keep = Keep::default();
        assert!(keep.add(word));
        all.push(keep);
    }
    all
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
    fn without_noise_it_can_be_replayed_twice(before in domain(), after in domain(), word in 0..9_usize) {
        brings_the_rest_to_nothing(&before.plain, &after.hostile, &single_words()[word]);
    }

    #[test]
    fn another_domain_stays_that_one(before in domain(), after in domain(), other in domain()) {
        stays_that_one(&before.plain, &after.plain, &other.hostile);
    }
}

/// What is not left out, or is not recorded with a warning, is there after a replay.
fn brings_the_rest_to_nothing(before: &str, after: &str, keep: &Keep) -> Option<Derived> {
    let recorded = derived(before, after, keep)?;
    let once = replay(before, &recorded);
    let keep = Keep {
        order: keep.order && recorded.unordered.is_empty(),
        ..*keep
    };
    let rest = derived(&once, after, &keep)?;
    assert!(
        rest.empty,
        "{keep:?}\n{}\nand then\n{}",
        recorded.patch, rest.patch
    );
    Some(recorded)
}

/// What makes a domain this one and no other.
fn own(text: &str) -> (Option<String>, Option<String>, Vec<String>) {
    let document = Document::parse_domain(text).unwrap();
    let text_at = |name: &str| document.text_at(&[name]).map(str::to_owned);
    let mac = |interface: Node<'_, '_>| {
        let mac = interface.children().find(|part| part.has_tag_name("mac"))?;
        mac.attribute("address").map(str::to_owned)
    };
    let macs = document.devices("interface").filter_map(mac).collect();
    (text_at("name"), text_at("uuid"), macs)
}

/// A patch replayed on a domain that it was not recorded with leaves that its name, UUID and MAC addresses,
/// and changes nothing the second time; or it is refused for a reason that the documentation has.
fn stays_that_one(before: &str, after: &str, other: &str) {
    let Some(recorded) = derived(before, after, &Keep::default()) else {
        return;
    };
    let patch = Patch::new("derived.xml", &*recorded.patch);
    let document = Document::parse_domain(other).unwrap();
    let once = match merged(&document, &patch) {
        Ok(once) => once.unwrap_or_else(|| other.to_owned()),
        Err(error) => {
            let error = error.to_string();
            let known = [
                " could be the one in line ",
                "would make a second <",
                "the patch has text for <",
                "the patch has elements for <",
                "lacks its value",
            ];
            assert!(
                known.iter().any(|part| error.contains(part)),
                "{error}\n{}\n{other}",
                recorded.patch
            );
            return;
        }
    };
    let again = Document::parse_domain(&once).unwrap();
    match merged(&again, &patch) {
        Ok(None) => {}
        Ok(Some(twice)) => panic!("{}\non\n{other}\n{once}\n{twice}", recorded.patch),
        Err(error) => panic!("{error}\n{}\non\n{other}\n{once}", recorded.patch),
    }
    let ((name, uuid, macs), (its_name, its_uuid, its_macs)) = (own(&once), own(other));
    assert_eq!((name, uuid), (its_name, its_uuid), "{}", recorded.patch);
    if !recorded.by_mac {
        let is_new = |mac: &&String| !its_macs.contains(mac);
        assert_eq!(macs.iter().find(is_new), None, "{}", recorded.patch);
    }
}

/// As on domains that nobody made up.
#[test]
fn any_other_of_the_corpus_stays_that_one() {
    let corpus = corpus();
    for (index, (_, before)) in corpus.iter().enumerate() {
        let at = |step: usize| &corpus[(index + step) % corpus.len()].1;
        for other in [2, 17] {
            stays_that_one(before, at(1), at(other));
        }
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
    let (mut unsayable, mut refused) = (0, Vec::new());
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
            let words = single_words();
            for keep in [Keep::default(), words[(index + step) % words.len()]] {
                let recorded = brings_the_rest_to_nothing(before, after, &keep);
                if recorded.is_none() {
                    refused.push(keep);
                }
            }
        }
    }
    // Two that have nothing in common.
    let is_plain = |keep: &&Keep| **keep == Keep::default();
    let plain = refused.iter().filter(is_plain).count();
    assert!(plain <= 12 && refused.len() <= 24, "{plain} {refused:?}");
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
