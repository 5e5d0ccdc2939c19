//! The merge patches that profiles and `--patch` know by name.

/// Name and text, in alphabetical order.
pub const PATCHES: &[(&str, &str)] = &[
    ("local-time", include_str!("../patches/local-time.xml")),
    (
        "shared-memory",
        include_str!("../patches/shared-memory.xml"),
    ),
];

/// The text of the patch of this name, in any case.
pub fn patch(name: &str) -> Option<&'static str> {
    PATCHES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::merge::Patch;

    #[test]
    fn every_patch_is_one_and_says_why() {
        for (name, text) in PATCHES {
            assert!(text.starts_with("<!--"), "{name}");
            Patch::new(*name, *text).resolve().unwrap();
            assert_eq!(patch(&name.to_uppercase()), Some(*text));
        }
    }
}
