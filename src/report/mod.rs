//! What the user is shown: diffs, with secrets masked.
//!
//! Everything here turns finished texts into text. Nothing in this room decides anything, prints
//! anything or knows about libvirt connections, files or terminals.

pub mod diff;
pub mod mask;
pub mod provenance;
pub mod verdicts;
pub mod words;
