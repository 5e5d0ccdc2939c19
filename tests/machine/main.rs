//! The passes that complete a machine, as tables of domain → domain, each row run twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod basics;
mod convert;
mod coverage;
mod cpu;
mod darwinkvm;
mod examples;
mod host;
mod identity;
mod macos;
mod memory;
mod phyllome;
mod run;
mod types;
mod usb_input;
