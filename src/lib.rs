//! Retrofit libvirt domains.
pub mod host;
pub mod report;
