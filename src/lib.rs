//! Retrofit libvirt domains.
pub mod document;
pub mod host;
pub mod hypervisor;
pub mod merge;
