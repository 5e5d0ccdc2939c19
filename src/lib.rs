//! Retrofit libvirt domains.
pub mod cli;
pub mod derive;
pub mod document;
pub mod host;
pub mod hypervisor;
pub mod idset;
pub mod macos;
pub mod merge;
mod numbers;
pub mod passes;
pub mod patches;
pub mod pipeline;
pub mod profile;
pub mod report;
pub mod text;
