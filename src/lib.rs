//! Retrofit libvirt domains.
pub mod host;
