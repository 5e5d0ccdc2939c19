//! The `virt-patch` command.
fn main() {}
