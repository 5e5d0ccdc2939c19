//! Why a patch cannot be merged: the place in the patch and the place in the document.

use super::patch::Patch;
use crate::document::{DocumentError, Excerpt, Overlap, Position};

/// A patch that cannot be merged into a document. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The patch itself cannot be read.
    #[error("cannot read the patch '{patch}'")]
    Malformed {
        /// The patch's name.
        patch: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// The patch, or the patch and the document together, make no sense.
    #[error("{message}{}", place(.document, *.changed))]
    Unfit {
        /// What is wrong.
        message: String,
        /// What to write instead, where it is known.
        help: Option<String>,
        /// The patch's name.
        patch: String,
        /// The place in the patch.
        excerpt: Excerpt,
        /// The place in the document, where there is one.
        document: Option<Position>,
        /// The document is what the steps before made of the user's.
        changed: bool,
    },
    /// The patch asks for something that is not known here. It makes sense elsewhere.
    #[error("{what} is unknown, and line {} of the patch asks for it", .position.line)]
    Unknown {
        /// What is not known.
        what: String,
        /// The patch's name.
        patch: String,
        /// The place in the patch.
        position: Position,
    },
    /// Two edits of one patch want the same bytes.
    #[error("the patch '{patch}' changes the same place twice")]
    Overlap {
        /// The patch's name.
        patch: String,
        /// The two places.
        source: Overlap,
    },
}

impl MergeError {
    pub(crate) fn in_patch(patch: &Patch, offset: usize, message: String) -> MergeError {
        MergeError::Unfit {
            message,
            help: None,
            patch: patch.name.clone(),
            excerpt: Excerpt::of(&patch.text, offset),
            document: None,
            changed: false,
        }
    }

    /// For a document that is not the user's own any more.
    pub(crate) fn after_changes(mut self) -> MergeError {
        if let MergeError::Unfit { changed, .. } = &mut self {
            *changed = true;
        }
        self
    }

    /// The place in the patch of a placeholder that stands for nothing.
    pub(super) fn placeholder(&self) -> Option<Position> {
        match self {
            MergeError::Unfit {
                document: None,
                message,
                excerpt,
                ..
            } if message.starts_with("the placeholder") => Some(excerpt.position),
            _ => None,
        }
    }

    pub(super) fn unknown(patch: &Patch, offset: usize, what: String) -> MergeError {
        MergeError::Unknown {
            what,
            patch: patch.name.clone(),
            position: Position::of(&patch.text, offset),
        }
    }

    /// With the next step.
    pub(crate) fn helped(self, next: String) -> MergeError {
        self.helped_by(Some(next))
    }

    pub(super) fn helped_by(mut self, next: Option<String>) -> MergeError {
        if let MergeError::Unfit { help, .. } = &mut self {
            *help = next;
        }
        self
    }

    pub(super) fn at(mut self, position: Position) -> MergeError {
        if let MergeError::Unfit { document, .. } = &mut self {
            *document = Some(position);
        }
        self
    }
}

fn place(document: &Option<Position>, changed: bool) -> String {
    let of = match changed {
        true => "the definition as the steps before leave it",
        false => "the definition",
    };
    match document {
        Some(position) => format!(" (line {} of {of})", position.line),
        None => String::new(),
    }
}
