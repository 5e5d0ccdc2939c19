//! The virtual display goes, with what libvirt refuses without it.

use roxmltree::Node;

use super::super::elements::{element, with};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};

/// Adds to the patch what depends on what is there: one video device that is none, and no sound
/// through SPICE.
pub(super) fn remove(document: &Document<'_>, patch: &mut Patch) {
    let none = with(
        element("video", &[]),
        [element("model", &[("type", "none")])],
    );
    let videos: Vec<Node<'_, '_>> = document.devices("video").collect();
    match videos.split_first() {
        // libvirt would add one of its own choice.
        None => patch.add(&["devices"], Op::Append, none),
        Some((first, others)) => {
            patch.change(&["devices"], *first, Op::Replace, none);
            for other in others {
                patch.change(&["devices"], *other, Op::Remove, element("video", &[]));
            }
        }
    }
    for audio in document.devices("audio") {
        if audio.attribute("type") != Some("spice") {
            continue;
        }
        // A sound device that names it needs one of this number.
        let is_named = document.devices("sound").any(|sound| {
            let named = child(sound, "audio").and_then(|named| named.attribute("id"));
            named.is_some() && named == audio.attribute("id")
        });
        match is_named {
            true => {
                let silent = element("audio", &[("type", "none")]);
                patch.change(&["devices"], audio, Op::Merge, silent);
            }
            false => patch.change(&["devices"], audio, Op::Remove, element("audio", &[])),
        }
    }
}
