//! Which of our elements is which of libvirt's, where there are several of one name.
//!
//! No identity keys are needed to find out that nothing is missing: every one of ours needs a
//! partner of its own that says at least as much. Keys only decide how a loss is told.

use roxmltree::Node;

use crate::document::child;

/// As many pairs (ours, theirs) that fit as there can be, partners at the same place first.
pub(super) fn pairs(
    ours: usize,
    theirs: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut matching = Matching {
        fits,
        known: vec![None; ours * theirs],
        taken_by: vec![None; theirs],
    };
    for our in 0..ours {
        matching.place(our, &mut vec![false; theirs]);
    }
    let taken = matching.taken_by.iter().enumerate();
    let mut pairs: Vec<_> = taken
        .filter_map(|(other, our)| our.map(|our| (our, other)))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// Whether libvirt's element can be ours with something changed: nothing that names or numbers
/// such an element differs.
pub(super) fn could_be(ours: Node<'_, '_>, stored: Node<'_, '_>) -> bool {
    NAMES.iter().all(|name| {
        let (ours, stored) = (name_of(ours, name), name_of(stored, name));
        ours.is_none() || stored.is_none() || ours == stored
    })
}

/// Attributes, of the element or of a child, that tell elements of one name apart. The merge
/// engine's table says which of them do for which element; here any of them will do.
const NAMES: [(&str, &str); 14] = [
    ("", "name"),
    ("", "id"),
    ("", "type"),
    ("", "index"),
    ("", "vcpu"),
    ("", "vcpus"),
    ("", "iothread"),
    ("", "iothreads"),
    ("", "cellid"),
    ("", "capability"),
    ("target", "dev"),
    ("target", "dir"),
    ("target", "name"),
    ("mac", "address"),
];

fn name_of<'a>(node: Node<'a, '_>, name: &(&str, &str)) -> Option<&'a str> {
    match name {
        ("", attribute) => node.attribute(*attribute),
        (element, attribute) => child(node, element)?.attribute(*attribute),
    }
}

/// Bipartite matching by augmenting paths: a partner is given up when its holder finds another.
struct Matching<F> {
    fits: F,
    /// Answers of `fits` by ours × theirs: each may be costly.
    known: Vec<Option<bool>>,
    /// For each of theirs, which of ours has it.
    taken_by: Vec<Option<usize>>,
}

impl<F: Fn(usize, usize) -> bool> Matching<F> {
    fn place(&mut self, our: usize, tried: &mut [bool]) -> bool {
        let theirs = self.taken_by.len();
        for other in std::iter::once(our)
            .filter(|our| *our < theirs)
            .chain(0..theirs)
        {
            if tried.get(other) != Some(&false) || !self.fits(our, other) {
                continue;
            }
            tried
                .iter_mut()
                .skip(other)
                .take(1)
                .for_each(|tried| *tried = true);
            let holder = self.taken_by.get(other).copied().flatten();
            if holder.is_none_or(|holder| self.place(holder, tried)) {
                self.taken_by
                    .iter_mut()
                    .skip(other)
                    .take(1)
                    .for_each(|slot| *slot = Some(our));
                return true;
            }
        }
        false
    }

    fn fits(&mut self, our: usize, other: usize) -> bool {
        let theirs = self.taken_by.len();
        match self.known.get_mut(our * theirs + other) {
            Some(known) => *known.get_or_insert_with(|| (self.fits)(our, other)),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn pairings() {
        for (fits, expected) in [
            // The same place is preferred.
            (&["11", "11"][..], vec![(0, 0), (1, 1)]),
            // The first gives way to the second, which has no other partner.
            (&["11", "10"], vec![(0, 1), (1, 0)]),
            (&["110", "100", "111"], vec![(0, 1), (1, 0), (2, 2)]),
            (&["01", "01"], vec![(0, 1)]),
            (&["1", "1"], vec![(0, 0)]),
            (&["", ""], vec![]),
        ] {
            let theirs = fits[0].len();
            let found = pairs(fits.len(), theirs, |our, other| {
                fits[our].as_bytes()[other] == b'1'
            });
            assert_eq!(found, expected, "{fits:?}");
        }
    }
}
