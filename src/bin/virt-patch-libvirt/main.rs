//! `virt-patch` with libvirt linked in. `virt-patch` becomes this program, with the same
//! arguments, when a command needs a connection.

mod libvirt;

use std::process::ExitCode;

fn main() -> ExitCode {
    virt_patch::cli::main(Some(&libvirt::Libvirt))
}
