//! Edits: byte range → replacement text.
//!
//! Invariant: the edits of one splice are disjoint. Insertions (empty ranges) may share a place
//! and keep the order they were made in.

use std::ops::Range;

/// One replacement in the text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes, in bytes of the text the edit was made for.
    pub range: Range<usize>,
    /// What comes instead.
    pub text: String,
}

impl Edit {
    /// Puts `text` at `offset`.
    pub fn insert(offset: usize, text: impl Into<String>) -> Self {
        Edit {
            range: offset..offset,
            text: text.into(),
        }
    }

    /// Puts `text` in the place of `range`.
    pub fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Edit {
            range,
            text: text.into(),
        }
    }

    /// Takes `range` out.
    pub fn delete(range: Range<usize>) -> Self {
        Edit {
            range,
            text: String::new(),
        }
    }
}

/// Two edits want the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two edits overlap at bytes {first:?} and {second:?}; please report this")]
pub struct Overlap {
    /// The edit that begins first.
    pub first: Range<usize>,
    /// The edit that begins inside it.
    pub second: Range<usize>,
}

/// Applies `edits` to `text`.
///
/// # Errors
/// Overlapping edits, or a range that is not one of `text`.
pub fn splice(text: &str, mut edits: Vec<Edit>) -> Result<String, Overlap> {
    // Stable: insertions at one place stay in order, and come before a replacement there.
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let grown: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = String::with_capacity(text.len() + grown);
    let mut done = 0..0;
    for edit in &edits {
        let overlap = || Overlap {
            first: done.clone(),
            second: edit.range.clone(),
        };
        let kept = text.get(done.end..edit.range.start).ok_or_else(overlap)?;
        text.get(edit.range.clone()).ok_or_else(overlap)?;
        out.push_str(kept);
        out.push_str(&edit.text);
        done = edit.range.clone();
    }
    out.push_str(text.get(done.end..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_are_applied_in_order_of_place() {
        let edits = vec![
            Edit::replace(4..5, "E"),
            Edit::insert(0, "<"),
            Edit::insert(2, "1"),
            Edit::insert(2, "2"),
            Edit::delete(2..3),
        ];
        assert_eq!(splice("abcdef", edits).unwrap(), "<ab12dEf");
    }

    #[test]
    fn an_overlap_is_refused() {
        let edits = vec![Edit::delete(0..3), Edit::delete(2..4)];
        assert_eq!(
            splice("abcdef", edits),
            Err(Overlap {
                first: 0..3,
                second: 2..4
            })
        );
    }

    #[test]
    fn a_range_inside_a_character_is_refused() {
        assert!(splice("äb", vec![Edit::insert(1, "x")]).is_err());
    }

    proptest! {
        #[test]
        fn bytes_outside_the_edits_stay(text in "[a-zäö<>\r\n]{0,40}", cut in 0usize..40, len in 0usize..10, new in "[xyz]{0,5}") {
            let start = (0..=cut.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
            let end = (start..=(start + len).min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
            let out = splice(&text, vec![Edit::replace(start..end, new.clone())]).unwrap();
            prop_assert_eq!(&out[..start], &text[..start]);
            prop_assert_eq!(&out[start..start + new.len()], new.as_str());
            prop_assert!(out.ends_with(&text[end..]));
            prop_assert_eq!(out.len(), text.len() - (end - start) + new.len());
        }
    }
}
