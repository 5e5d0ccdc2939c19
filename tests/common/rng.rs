//! Checks documents against libvirt's own schema, many in one go: starting `xmllint` and reading
//! the schema takes longer than validating a hundred documents.

#![allow(
    dead_code,
    reason = "every test binary compiles this module and uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::process::Command;

/// Panics when libvirt's schema does not allow the document, with the place and the reason.
pub fn assert_valid(xml: &str, label: &str) {
    assert_all_valid([(label, xml)]);
}

/// Panics when libvirt's schema does not allow all of these (label, document) pairs, with the
/// label, place and reason of each that is not valid, and also when there is nothing to check or
/// to check it with.
pub fn assert_all_valid<L: AsRef<str>, X: AsRef<[u8]>>(
    documents: impl IntoIterator<Item = (L, X)>,
) {
    let failures = failures(documents);
    assert!(
        failures.is_empty(),
        "not valid for libvirt:\n{}",
        failures.join("\n")
    );
}

/// One line, "LABEL:LINE: reason", for each of the documents that libvirt's schema does not allow.
pub fn failures<L: AsRef<str>, X: AsRef<[u8]>>(
    documents: impl IntoIterator<Item = (L, X)>,
) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut labels = Vec::new();
    for (number, (label, xml)) in documents.into_iter().enumerate() {
        std::fs::write(directory.path().join(number.to_string()), xml).unwrap();
        labels.push(label.as_ref().to_owned());
    }
    assert!(!labels.is_empty(), "no documents to validate");

    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/validate-rng"));
    command.args((0..labels.len()).map(|number| number.to_string()));
    let output = command.current_dir(&directory).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{message}");

    let with_label = |line: &str| {
        let (number, reason) = line.split_once(':').unwrap();
        format!("{}:{reason}", labels[number.parse::<usize>().unwrap()])
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(with_label)
        .collect()
}
