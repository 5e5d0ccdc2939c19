//! `virt-patch` with libvirt linked in. `virt-patch` becomes this program, with the same
//! arguments, when a command needs a connection.
//!
//! Called by hand it prints the host facts behind a URI as JSON.

mod libvirt;

use std::io::{self, Write};
use std::process::ExitCode;

use virt_patch::hypervisor::{Connector, MachineQuery, Mode, facts};

fn main() -> ExitCode {
    let uri = std::env::args().nth(1);
    match print_facts(uri.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn print_facts(uri: Option<&str>) -> anyhow::Result<()> {
    let hypervisor = libvirt::Libvirt.open(uri, Mode::ReadOnly)?;
    let read = facts::read(&*hypervisor, &MachineQuery::default(), &|_| None)?;
    for unknown in read.unknown {
        writeln!(io::stderr(), "unknown: {unknown}")?;
    }
    serde_json::to_writer_pretty(io::stdout(), &read.facts)?;
    Ok(writeln!(io::stdout())?)
}
