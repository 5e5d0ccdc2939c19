//! The merge patch that turns one definition into another: what somebody changed by hand in one
//! domain, to be replayed on others.
//!
//! The patch says no more than what changed, in the words of docs/patches.md. It is merged before
//! it is given out, and an element that did not become what it should is replaced as a whole: so
//! whatever the two definitions are, the patch makes the one of the other. What "the other"
//! means is in [`Equality`]; what is left out as noise in [`Keep`].

mod build;
mod defaults;
mod equal;
mod hidden;
mod made;
mod noise;
mod warnings;

use std::collections::HashSet;

use roxmltree::Node;

use crate::document::{Document, DocumentError, Excerpt, SECTIONS, child};
use crate::merge::{self, MergeError, Patch};
use crate::text;

use build::Builder;
pub use equal::Equality;
use made::Made;
pub use noise::{Keep, Side};

/// A derived patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its text.
    pub patch: String,
    /// It does nothing.
    pub empty: bool,
    /// It speaks of an interface by its MAC address, so it fits this domain only.
    pub by_mac: bool,
    /// Names of elements that are added by their number: a domain without any gets those that were
    /// there as well.
    pub counted: Vec<String>,
    /// Interfaces are told apart by nothing but their order.
    pub by_order: bool,
    /// Names of elements that are replaced as a whole although not everything in them is recorded.
    pub replaced: Vec<String>,
    /// Names of sections that go although other domains may have more in them.
    pub emptied: Vec<String>,
    /// Names of devices that go, all that another domain has of them.
    pub every: Vec<String>,
    /// Elements whose order is not recorded, each with the words for what would get lost if they were
    /// replaced as a whole.
    pub unordered: Vec<(String, Vec<&'static str>)>,
    /// Disks that are there under another name with the image they had: the name, and the image.
    pub moved: Vec<(String, String)>,
    /// Disks that get another image, or come with one: the name, and the image.
    pub images: Vec<(String, String)>,
    /// The definition before has passwords and the one after shows none; that they go is not recorded.
    pub hidden: bool,
    /// The machine type is of another chipset: the words for what is recorded for that as well.
    pub chipset: Vec<&'static str>,
    /// Devices that go where others of their name come, as one does that changed what it is told by: those,
    /// and these.
    pub exchanged: Vec<(String, String)>,
    /// The only one of the two that is of a running domain.
    pub live: Option<Side>,
}

/// Why there is no patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The definition as it was cannot be read.
    #[error("cannot read the definition before")]
    Before(#[source] DocumentError),
    /// The definition as it became cannot be read.
    #[error("cannot read the definition after")]
    After(#[source] DocumentError),
    /// A patch has no words for something in the new definition.
    #[error("a patch cannot say this: {message}")]
    Unsayable {
        /// What it is.
        message: String,
        /// Where it stands in the definition after.
        excerpt: Excerpt,
    },
}

/// The patch that turns `before` into `after`, but for what `keep` leaves out.
///
/// # Errors
/// One of the two is no definition or has two of what there is one of, or the new one holds what no
/// patch can say: text and elements mixed, text where elements belong, or what only a replacement says of an
/// element of which something is left out.
pub fn derive(before: &str, after: &str, keep: &Keep) -> Result<Derived, DeriveError> {
    let shown = match keep.passwords {
        true => None,
        false => hidden::without(before, after),
    };
    let (before, hidden) = (shown.as_deref().unwrap_or(before), shown.is_some());
    // The controllers of one chipset are none of the other.
    let (mut keep, mut chipset) = (*keep, warnings::of_another_chipset(before, after));
    chipset.retain(|word| {
        let old = keep;
        keep.add(word);
        keep != old
    });
    Ok(Derived {
        hidden,
        chipset,
        ..derive_shown(before, after, &keep)?
    })
}

fn derive_shown(before: &str, after: &str, keep: &Keep) -> Result<Derived, DeriveError> {
    let derived = derive_exactly(before, after, keep)?;
    let Some((name, left_out)) = derived.unordered.first() else {
        return Ok(derived);
    };
    if !keep.order {
        let message = format!(
            "<{name}> could only be replaced as a whole, and with it would go what the patch leaves out ({}); --keep all records that",
            text::list(left_out)
        );
        let root = Document::parse_domain(after).map_err(DeriveError::After)?;
        let root = root.root();
        let there = child(root, name).unwrap_or(root);
        let excerpt = Excerpt::of(after, there.range().start);
        return Err(DeriveError::Unsayable { message, excerpt });
    }
    // The order is given up before what the patch leaves out is.
    let keep = Keep {
        order: false,
        ..*keep
    };
    Ok(Derived {
        unordered: derived.unordered,
        ..derive_shown(before, after, &keep)?
    })
}

/// The words of what differs where the patch does nothing because that is left out: each records something, and
/// the one for everything stands where none does alone.
pub fn left_out(before: &str, after: &str, keep: &Keep) -> Vec<&'static str> {
    let differs = |keep: &Keep| {
        let recorded = derive(before, after, keep);
        recorded.is_ok_and(|derived| !derived.empty)
    };
    if !differs(&Keep::ALL) {
        return Vec::new();
    }
    let records = |word: &&str| {
        let mut more = *keep;
        more.add(word);
        more != Keep::ALL && differs(&more)
    };
    let mut words: Vec<&'static str> = Keep::WORDS.into_iter().filter(records).collect();
    if words.is_empty() {
        words.push("all");
    }
    words
}

fn derive_exactly(before: &str, after: &str, keep: &Keep) -> Result<Derived, DeriveError> {
    let old = Document::parse_domain(before).map_err(DeriveError::Before)?;
    let after_document = Document::parse_domain(after).map_err(DeriveError::After)?;
    if let Some(error) = old.duplicate() {
        return Err(DeriveError::Before(error));
    }
    if let Some(error) = after_document.duplicate() {
        return Err(DeriveError::After(error));
    }
    let old_text =
        noise::without(before, Side::Before, after, keep).map_err(DeriveError::Before)?;
    let mut new_text =
        noise::without(after, Side::After, before, keep).map_err(DeriveError::After)?;
    if !keep.defaults {
        new_text =
            defaults::without(&new_text, &old_text, keep.order).map_err(DeriveError::After)?;
    }
    let a = Document::parse_domain(&old_text).map_err(DeriveError::Before)?;
    let b = Document::parse_domain(&new_text).map_err(DeriveError::After)?;
    let equality = Equality { strict: keep.order };
    let work = Work {
        before,
        old: &old,
        new: &after_document,
        a: &a,
        b: &b,
        after,
        keep,
        equality,
    };

    let mut whole = HashSet::new();
    loop {
        let faults = match work.fitting(&whole)? {
            Ok(proposal) => return Ok(work.derived(work.shortened(proposal))),
            Err(faults) => faults,
        };
        let tried = whole.clone();
        for fault in faults {
            work.widen(fault, &tried, &mut whole);
        }
        if whole.len() == tried.len() {
            // Even the whole new definition does not do.
            if let Some(node) = text_for_elements(after_document.root(), old.root()) {
                return Err(DeriveError::Unsayable {
                    message: format!(
                        "<{}> holds text, which a definition cannot say: it has elements there",
                        node.tag_name().name()
                    ),
                    excerpt: Excerpt::of(after, node.range().start),
                });
            }
            let first = b.root().range().start;
            return Err(DeriveError::Unsayable {
                message: "the new definition does not become itself; please report this".to_owned(),
                excerpt: Excerpt::of(&new_text, first),
            });
        }
    }
}

/// An element with text where a definition has elements, as its sections have, or as `other` has.
fn text_for_elements<'a>(root: Node<'a, 'a>, other: Node<'_, '_>) -> Option<Node<'a, 'a>> {
    let section = |node: Node<'_, '_>| match node.parent_element() {
        None => true,
        Some(parent) => {
            parent.parent_element().is_none() && SECTIONS.contains(&node.tag_name().name())
        }
    };
    let holds_elements = |node: Node<'_, '_>| {
        let parent = |node: Node<'_, '_>| node.parent_element().map(equal::name_of);
        other.descendants().any(|there| {
            equal::name_of(there) == equal::name_of(node)
                && parent(there) == parent(node)
                && !equal::elements(there).is_empty()
        })
    };
    root.descendants().find(|node| {
        node.is_element()
            && equal::elements(*node).is_empty()
            && !equal::text(*node).is_empty()
            && (section(*node) || holds_elements(*node))
    })
}

struct Work<'w> {
    before: &'w str,
    /// As it is.
    old: &'w Document<'w>,
    new: &'w Document<'w>,
    /// Without noise.
    a: &'w Document<'w>,
    b: &'w Document<'w>,
    after: &'w str,
    keep: &'w Keep,
    equality: Equality,
}

impl<'w> Work<'w> {
    fn propose(&self, mac: bool, whole: &HashSet<usize>) -> Made {
        let builder = Builder {
            equality: self.equality,
            mac,
            whole,
        };
        let root = self.b.root();
        builder
            .change(self.a.root(), root)
            .unwrap_or_else(|| Made::named(root, root.range().start))
    }

    /// A patch that does what it should, or the elements that it does not bring about.
    fn fitting(&self, whole: &HashSet<usize>) -> Result<Result<Made, Vec<usize>>, DeriveError> {
        // Without MAC addresses the patch fits other domains as well, if it can do without.
        let simple = self.propose(self.keep.mac, whole);
        self.sayable(&simple)?;
        if !simple.counts_interfaces() && self.faults(&simple).is_empty() {
            return Ok(Ok(simple));
        }
        let proposal = self.propose(true, whole);
        self.sayable(&proposal)?;
        let faults = self.faults(&proposal);
        Ok(match faults.is_empty() {
            true => Ok(proposal),
            false => Err(faults),
        })
    }

    /// Refuses to record an element with both text and elements in it.
    fn sayable(&self, proposal: &Made) -> Result<(), DeriveError> {
        let Some(name) = proposal.mixed() else {
            return Ok(());
        };
        let is_it = |node: &Node<'_, '_>| {
            node.tag_name().name() == name
                && !equal::elements(*node).is_empty()
                && !equal::text(*node).is_empty()
        };
        let mut all = self.new.root().descendants();
        let offset = all.find(is_it).map_or(0, |node| node.range().start);
        Err(DeriveError::Unsayable {
            message: format!("<{name}> holds both text and elements"),
            excerpt: Excerpt::of(self.after, offset),
        })
    }

    /// The elements of the new definition that the patch does not bring about, by where they begin.
    fn faults(&self, proposal: &Made) -> Vec<usize> {
        let patch = Patch::new("derived", proposal.write());
        let merged = match merge::merged(self.old, &patch) {
            Ok(merged) => merged,
            Err(error) => return vec![self.blame(proposal, &patch, &error)],
        };
        let text = merged.as_deref().unwrap_or(self.before);
        let Ok(text) = noise::without(text, Side::After, self.after, self.keep) else {
            return vec![self.b.root().range().start];
        };
        let Ok(result) = Document::parse_domain(&text) else {
            return vec![self.b.root().range().start];
        };
        let mut found = Vec::new();
        self.equality
            .differences(result.root(), self.b.root(), &mut found);
        if found.is_empty() {
            return self.unstable(proposal, &patch, merged.as_deref());
        }
        found.iter().map(|node| node.range().start).collect()
    }

    /// What the patch would change in its own result: it takes out what it put in.
    fn unstable(&self, proposal: &Made, patch: &Patch, merged: Option<&str>) -> Vec<usize> {
        let again = merged.map(|text| {
            let document = Document::parse_domain(text).ok()?;
            merge::merged(&document, patch).ok()
        });
        if matches!(again, None | Some(Some(None))) {
            return Vec::new();
        }
        let mut faults = Vec::new();
        proposal.removals(&mut faults);
        if faults.is_empty() {
            faults.push(self.b.root().range().start);
        }
        faults
    }

    /// The element of the new definition whose part of the patch cannot be merged.
    fn blame(&self, proposal: &Made, patch: &Patch, error: &MergeError) -> usize {
        let root = self.b.root().range().start;
        let MergeError::Unfit { excerpt, .. } = error else {
            return root;
        };
        let Ok(written) = Document::parse(&patch.text) else {
            return root;
        };
        let mut origins = Vec::new();
        proposal.origins(&mut origins);
        written
            .root()
            .descendants()
            .filter(|node| {
                node.is_element() && node.tag_name().namespace() != Some(merge::DIRECTIVES)
            })
            .zip(origins)
            .find(|(node, _)| written.position(node.range().start) == excerpt.position)
            .map_or(root, |(_, origin)| origin)
    }

    /// Replaces one more element as a whole: this one, or the one around it when that was `tried`. Two faults
    /// in one element widen it once.
    fn widen(&self, fault: usize, tried: &HashSet<usize>, whole: &mut HashSet<usize>) {
        let mut at = self
            .b
            .root()
            .descendants()
            .find(|node| node.is_element() && node.range().start == fault);
        while let Some(node) = at {
            if !tried.contains(&node.range().start) {
                whole.insert(node.range().start);
                return;
            }
            at = node.parent_element();
        }
    }

    /// Without what the merge takes out by itself for what the patch makes, and only where it makes that.
    fn shortened(&self, mut proposal: Made) -> Made {
        // The boot order of the domain, and the one host of an image.
        for (parent, name) in [("os", "boot"), ("source", "host")] {
            let mut shorter = proposal.clone();
            if shorter.leave(parent, name) && self.faults(&shorter).is_empty() {
                proposal = shorter;
            }
        }
        proposal
    }

    fn derived(&self, proposal: Made) -> Derived {
        let empty = proposal.children.is_empty()
            && proposal.attributes.is_empty()
            && proposal.op == merge::Op::Merge;
        let patch = proposal.write();
        let (mut replaced, mut emptied, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        let (mut moved, mut exchanged, mut unordered) = (Vec::new(), Vec::new(), Vec::new());
        let (mut every, mut images) = (Vec::new(), Vec::new());
        proposal.cut(self.keep, &mut Vec::new(), &mut unordered);
        if *self.keep != Keep::ALL {
            every = warnings::every(&proposal);
            moved = warnings::moved_disks(self.a, self.b);
            images = warnings::other_images(self.a, self.b);
            images.retain(|image| !moved.contains(image));
            exchanged = warnings::exchanged(&proposal, &moved);
            proposal.replaced(&mut replaced);
            proposal.emptied(&mut emptied);
            proposal.counted(&mut counted);
        }
        Derived {
            counted,
            emptied,
            replaced,
            every,
            moved,
            images,
            hidden: false,
            chipset: Vec::new(),
            exchanged,
            unordered,
            live: warnings::live(self.old, self.new),
            by_order: proposal.counts_interfaces_that_stay(),
            by_mac: !self.keep.mac && patch.contains("<mac "),
            patch,
            empty,
        }
    }
}

#[cfg(test)]
mod tests;
