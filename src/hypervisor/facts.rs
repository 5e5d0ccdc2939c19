//! Host facts from an open connection: asks what may be asked and says what stays unknown.

use super::capabilities::{self, BuildOf, Documents};
use super::{Hypervisor, HypervisorError, MachineQuery, Mode};
use crate::host::Facts;

/// Facts of the host behind a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// What is known.
    pub facts: Facts,
    /// What is not known although it was asked for.
    pub unknown: Vec<Unknown>,
}

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What, and why: a clause for the user.
    pub what: String,
    /// It is never known this way, and hardly a decision needs it: worth a word only to who asks for more.
    pub is_detail: bool,
}

impl Unknown {
    fn new(what: String) -> Unknown {
        Unknown {
            what,
            is_detail: false,
        }
    }
}

/// Reads the facts of the host behind `hypervisor`.
///
/// `machine` is the domain in question, whose emulator, machine type and domain type decide
/// which CPU models and loaders are offered. `build_of` pairs loaders with their templates on
/// a remote host (see [`Documents::build_of`]); on the local one the firmware stays unknown
/// here and is read from the descriptors on disk.
///
/// # Errors
///
/// When the capabilities themselves cannot be read; everything else that fails is listed in
/// [`HostFacts::unknown`].
pub fn read(
    hypervisor: &dyn Hypervisor,
    machine: &MachineQuery<'_>,
    build_of: &BuildOf,
) -> Result<HostFacts, HypervisorError> {
    let mut unknown = Vec::new();
    let local = capabilities::is_local(&hypervisor.uri()?);
    let offered = match local {
        true => "which CPU models can be used",
        false => "which CPU models and loaders can be used",
    };
    let capabilities = hypervisor.capabilities()?;
    let domain_capabilities = match hypervisor.mode() {
        Mode::ReadWrite => {
            // A host without KVM tells nothing of kvm machines; what runs there is emulated, and has
            // the same loaders.
            let emulated = MachineQuery {
                domain_type: Some("qemu"),
                ..*machine
            };
            let answer = hypervisor.domain_capabilities(machine);
            let answer = match machine.domain_type {
                Some("kvm") => answer.or_else(|error| {
                    let emulated = hypervisor.domain_capabilities(&emulated);
                    emulated.map_err(|_| error)
                }),
                _ => answer,
            };
            answer
                .map_err(|error| {
                    let what = format!("{offered}: {}", reason(&error));
                    unknown.push(Unknown::new(what));
                })
                .ok()
        }
        Mode::ReadOnly => {
            let why = "libvirt does not tell on a read-only connection";
            // Here the firmware is on the disk, and of the models the version tells enough.
            unknown.push(Unknown {
                is_detail: local,
                ..Unknown::new(format!("{offered}: {why}"))
            });
            None
        }
    };
    let expanded_cpu =
        match capabilities::host_cpu(&capabilities).map(|cpu| hypervisor.expand_cpu(cpu)) {
            Some(Ok(answer)) => Some(answer),
            Some(Err(error)) => {
                unknown.push(Unknown::new(format!(
                    "which features the host's processor has: {}",
                    reason(&error)
                )));
                None
            }
            None => None,
        };
    let facts = capabilities::facts(&Documents {
        capabilities: &capabilities,
        domain_capabilities: domain_capabilities.as_deref(),
        expanded_cpu: expanded_cpu.as_deref(),
        // Virtual machines and containers have none; libvirt's name for the processor is used then.
        system_information: hypervisor.system_information().ok().as_deref(),
        libvirt: Some(hypervisor.libvirt_version()?),
        hypervisor: hypervisor.hypervisor_version().ok(),
        build_of: (!local).then_some(build_of),
    })
    .map_err(|error| HypervisorError::BadAnswer {
        doing: "read the facts of the host".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(HostFacts { facts, unknown })
}

fn reason(error: &HypervisorError) -> String {
    error
        .libvirt()
        .map_or_else(|| error.to_string(), |error| error.message.clone())
}
