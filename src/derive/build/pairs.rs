//! Which of two elements of one name are the same one.

use roxmltree::Node;

use crate::derive::equal::Equality;
use crate::derive::made::Made;
use crate::merge::keys::{self, Children};

/// Says one thing more of what stays where a new one could be meant as well: the second run finds both.
pub(super) fn told_from_new(made: &mut Made, a: Node<'_, '_>, b: Node<'_, '_>) {
    let Some(parent) = b.parent_element() else {
        return;
    };
    let theirs = Children::of(parent);
    if theirs.meant(&made.element()).len() < 2 {
        return;
    }
    for one in b.attributes().filter(|one| one.namespace().is_none()) {
        let (name, value) = (one.name(), one.value());
        let mut more = made.clone();
        more.say(name, value);
        if a.attribute(name) == Some(value) && theirs.meant(&more.element()) == [b] {
            *made = more;
            return;
        }
    }
}

/// The elements of one name below two parents.
pub(in crate::derive) struct Paired<'d> {
    /// Those that are the same one, changed or not.
    pub(in crate::derive) pairs: Vec<(Node<'d, 'd>, Node<'d, 'd>)>,
    pub(in crate::derive) gone: Vec<Node<'d, 'd>>,
    pub(in crate::derive) new: Vec<Node<'d, 'd>>,
}

/// Finds out which of one list is which of the other: by identity, or by order where there is none.
/// One whose identity changed is another one: a patch could not name it.
pub(in crate::derive) fn pair<'d>(
    equality: Equality,
    ours: &[Node<'d, 'd>],
    theirs: &[Node<'d, 'd>],
) -> Paired<'d> {
    let mut group = Paired {
        pairs: Vec::new(),
        gone: ours.to_vec(),
        new: theirs.to_vec(),
    };
    // A CD-ROM is no disk that changed: the engine takes neither for the other.
    let device = |node: Node<'d, 'd>| match node.has_tag_name("disk") {
        true => node.attribute("device").unwrap_or("disk"),
        false => "",
    };
    let same_one = |a: Node<'d, 'd>, b: Node<'d, 'd>| {
        keys::identity_of(a) == keys::identity_of(b) && device(a) == device(b)
    };
    // Of several alike the equal ones come first, in their order.
    let mut last = 0;
    group.take(|a, b| {
        let fits = b.range().start > last && same_one(a, b) && equality.same(a, b);
        if fits {
            last = b.range().start;
        }
        fits
    });
    group.take(same_one);
    group.pairs.sort_by_key(|(a, _)| a.range().start);
    group
}

impl<'d> Paired<'d> {
    /// Pairs each that is left with the first that is left and fits.
    pub(in crate::derive) fn take(
        &mut self,
        mut fits: impl FnMut(Node<'d, 'd>, Node<'d, 'd>) -> bool,
    ) {
        let mut left = Vec::new();
        for a in std::mem::take(&mut self.gone) {
            match self.new.iter().position(|b| fits(a, *b)) {
                Some(at) => {
                    let b = self.new.remove(at);
                    self.pairs.push((a, b));
                }
                None => left.push(a),
            }
        }
        self.gone = left;
    }
}
