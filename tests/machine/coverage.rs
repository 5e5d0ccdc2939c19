//! docs/coverage.md names passes, patches, profiles, settings and tests that exist.

use std::fs;
use std::path::Path;

use virt_patch::passes::{self, settings};
use virt_patch::profile::SHIPPED;

const TABLE: &str = include_str!("../../docs/coverage.md");

#[test]
fn every_row_names_what_exists() {
    let mut rows = 0;
    for line in TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| element"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [element, by, test] = cells.as_slice() else {
            panic!("three cells: {line}");
        };
        assert_ne!(*by, "—", "nothing ensures it: {line}");
        rows += 1;
        for name in ticked(by) {
            assert!(exists(name), "'{name}' of '{element}' is nothing");
        }
        for test in ticked(test) {
            let (file, function) = test
                .split_once(": ")
                .unwrap_or_else(|| panic!("FILE: FUNCTION: {line}"));
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{file}.rs"));
            let text = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                text.contains(&format!("fn {function}(")),
                "'{function}' is not in {file}"
            );
        }
        assert!(!ticked(test).is_empty(), "no test: {line}");
    }
    assert!(rows > 40, "{rows} rows");
}

fn exists(name: &str) -> bool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("patches")
        .join(name);
    passes::find(name).is_some()
        || SHIPPED.iter().any(|(profile, _)| *profile == name)
        || settings::all().any(|setting| setting.key == name)
        || (name.ends_with(".xml") && file.is_file())
}

fn ticked(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}
