//! What goes.

use std::collections::HashSet;

use roxmltree::{Node, NodeId};

use super::insert::element_matches;
use super::keys::{Children, Match};
use super::patch::{Element, Op};
use super::{MergeError, Merger};
use crate::document::{self, Edit, Parts};

impl<'m> Merger<'m> {
    pub(super) fn remove(
        &mut self,
        children: &Children<'m, 'm>,
        wanted: &Element,
        gone: &HashSet<NodeId>,
    ) -> Result<Vec<Node<'m, 'm>>, MergeError> {
        let is_meant = |node: &Node<'_, '_>| wanted.at.is_none_or(|at| node.range().start == at);
        let mut removed = children.with_key(wanted);
        removed.retain(|node| is_meant(node) && element_matches(*node, wanted, false));
        if !removed.is_empty() {
            // One that another part of the patch takes out goes once.
            removed.retain(|node| !gone.contains(&node.id()));
            if removed.is_empty() {
                return Ok(removed);
            }
        }
        self.remove_all(children, wanted, removed)
    }

    /// Of several alike in the patch, the one that this one speaks of.
    pub(super) fn remove_claimed(
        &mut self,
        children: &Children<'m, 'm>,
        wanted: &Element,
        claim: Match<'m, 'm>,
    ) -> Result<Vec<Node<'m, 'm>>, MergeError> {
        let removed = match claim {
            Match::One(node) if element_matches(node, wanted, false) => vec![node],
            Match::Ambiguous(node, other) if element_matches(node, wanted, false) => {
                return Err(self.ambiguous(wanted, node, other));
            }
            _ => Vec::new(),
        };
        self.remove_all(children, wanted, removed)
    }

    fn remove_all(
        &mut self,
        children: &Children<'m, 'm>,
        wanted: &Element,
        removed: Vec<Node<'m, 'm>>,
    ) -> Result<Vec<Node<'m, 'm>>, MergeError> {
        for node in &removed {
            self.remove_node(*node);
        }
        if removed.is_empty() && wanted.op == Op::RemoveExisting {
            return Err(self.nothing_to_remove(wanted, children.parent()));
        }
        Ok(removed)
    }

    pub(super) fn nothing_to_remove(&self, wanted: &Element, parent: Node<'_, '_>) -> MergeError {
        let message = format!("there is no such <{}> to remove", wanted.name);
        self.error(wanted, message)
            .at(self.document.position(parent.range().start))
    }

    /// Whether an element goes already, or all of what is around it.
    pub(super) fn is_gone(&self, node: Node<'_, '_>) -> bool {
        let range = node.range();
        let covers = |edit: &Edit| edit.range.start <= range.start && range.end <= edit.range.end;
        self.edits.iter().any(covers)
    }

    /// Removes an element; a parent that held nothing else becomes `<parent/>`.
    pub(super) fn remove_or_close(&mut self, node: Node<'m, 'm>) {
        let parent = node.parent_element().filter(|parent| {
            *parent != self.document.root()
                && parent
                    .children()
                    .all(|other| other == node || is_blank(other))
        });
        match parent {
            Some(parent) => self.close(parent),
            None => self.remove_node(node),
        }
    }

    /// Makes an element of which all that was in it goes `<element/>`; the edits since `first` took it out.
    pub(super) fn close_emptied(
        &mut self,
        element: Node<'m, 'm>,
        removed: &HashSet<NodeId>,
        first: usize,
    ) {
        let goes = |node: Node<'_, '_>| is_blank(node) || removed.contains(&node.id());
        let Some(content) = Parts::of(self.text, element).content else {
            return;
        };
        if !element.children().all(goes) {
            return;
        }
        let inside =
            |edit: &Edit| content.start <= edit.range.start && edit.range.end <= content.end;
        let kept = self.edits.split_off(first);
        self.edits
            .extend(kept.into_iter().filter(|edit| !inside(edit)));
        self.close(element);
    }

    fn close(&mut self, element: Node<'m, 'm>) {
        let rest = Parts::of(self.text, element).end_of_attributes()..element.range().end;
        self.edits.push(Edit::replace(rest, "/>".to_owned()));
    }

    pub(super) fn remove_node(&mut self, node: Node<'m, 'm>) {
        let range = document::with_line(self.text, node.range());
        self.edits.push(Edit::delete(range));
    }
}

fn is_blank(node: Node<'_, '_>) -> bool {
    node.is_text() && node.text().unwrap_or("").trim().is_empty()
}
