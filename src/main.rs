//! The `virt-patch` command, without libvirt: it becomes `virt-patch-libvirt` when a command
//! needs a connection.

use std::process::ExitCode;

fn main() -> ExitCode {
    virt_patch::cli::main(None)
}
