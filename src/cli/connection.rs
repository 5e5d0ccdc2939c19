//! Domains and host facts from a libvirt connection, with the least privilege that does the job.

use anyhow::Context as _;
use std::path::Path;

use super::World;
use super::errors::Advice;
use super::source::{Definition, shell_word};
use crate::document::{Document, Encoding};
use crate::host::local::{Local, Wanted, WantedBuilds};
use crate::host::{Facts, Firmware, known_places};
use crate::hypervisor::{
    Connector, DomainInfo, Hypervisor, HypervisorError, MachineQuery, Mode, Secrets, capabilities,
    facts,
};
use crate::report::diff::Labels;

/// What a command does with a domain's definition, which decides the privilege it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Shown to a person, secrets masked: read-only, where the files of the host can be looked at.
    Look,
    /// Shown or given on with secrets: a definition without them loses them when it is defined.
    Complete,
}

/// The host behind a connection.
#[derive(Debug, Clone)]
pub(crate) struct HostOf {
    /// What is known of it.
    pub(crate) facts: Facts,
    /// It is this machine, so its files can be looked at.
    pub(crate) local: bool,
}

impl World<'_> {
    /// Opens a connection.
    pub(crate) fn open(&self, mode: Mode) -> anyhow::Result<Box<dyn Hypervisor>> {
        let uri = self.uri.as_deref();
        let connector = self.connector()?;
        connector.open(uri, mode).map_err(|error| {
            let message = match uri {
                Some(uri) => format!("cannot connect to '{uri}'"),
                None => "cannot connect to libvirt".to_owned(),
            };
            // Who may read but not write gets many different refusals, and all mean one thing.
            let may_read = mode == Mode::ReadWrite && connector.open(uri, Mode::ReadOnly).is_ok();
            let advice = match may_read {
                true => Advice::new(
                    format!("{message} for more than reading"),
                    "run it as root, or join the group that may manage this libvirt (libvirt on most systems); diff and check only read",
                ),
                false => Advice::new(
                    message,
                    "is the daemon running? 'virsh uri' and 'virsh list --all' show what libvirt sees; -c chooses a URI",
                ),
            };
            anyhow::Error::new(error).context(advice)
        })
    }

    /// `-c URI ` where one was named, for commands in messages.
    pub(crate) fn connect_option(&self) -> String {
        match &self.uri {
            Some(uri) => format!("-c {} ", shell_word(uri)),
            None => String::new(),
        }
    }

    pub(crate) fn connector(&self) -> anyhow::Result<&dyn Connector> {
        self.connector.ok_or_else(|| {
            Advice::new(
                "there is no libvirt connection in this program",
                "use --host local or a file",
            )
            .into()
        })
    }

    /// A connection for a purpose; without the privilege for secrets, a read-only one.
    fn open_for(&mut self, purpose: Purpose) -> anyhow::Result<Box<dyn Hypervisor>> {
        if purpose == Purpose::Look {
            let connection = self.open(Mode::ReadOnly)?;
            // What a remote host's firmware is, libvirt tells only who may write.
            let more = match capabilities::is_local(&connection.uri()?) {
                true => None,
                false => self.open(Mode::ReadWrite).ok(),
            };
            return Ok(more.unwrap_or(connection));
        }
        let denied = match self.open(Mode::ReadWrite) {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let Ok(connection) = self.open(Mode::ReadOnly) else {
            return Err(denied);
        };
        self.out.warn(&format!(
            "{denied}: this definition lacks the passwords the domain may have; defining it would lose them"
        ));
        Ok(connection)
    }

    /// Reads the inactive definition of a domain.
    pub(crate) fn domain(&mut self, given: &str, purpose: Purpose) -> anyhow::Result<Definition> {
        let found = self.open_for(purpose).and_then(|connection| {
            let info = self.find(&*connection, given)?;
            Ok((connection, info))
        });
        let (connection, info) = found.map_err(|error| match Path::new(given).exists() {
            true => error.context(Advice::new(
                format!("cannot read the domain '{given}'"),
                format!("there is a file of that name here; for it write ./{given}"),
            )),
            false => error,
        })?;
        let secrets = match (connection.mode(), purpose) {
            (Mode::ReadWrite, Purpose::Complete) => Secrets::Included,
            _ => Secrets::Omitted,
        };
        self.definition_of(&*connection, &info, secrets)
    }

    /// The definition of a domain that was found, with the facts of its host.
    pub(crate) fn definition_of(
        &mut self,
        connection: &dyn Hypervisor,
        info: &DomainInfo,
        secrets: Secrets,
    ) -> anyhow::Result<Definition> {
        let cannot = || format!("cannot read the domain '{}'", info.name);
        let text = connection
            .definition(&info.uuid, secrets)
            .with_context(cannot)?;
        let host = self.host_of(connection, &text)?;
        let uri = connection.uri().with_context(cannot)?;
        Ok(Definition {
            name: info.name.clone(),
            labels: Labels::domain(&info.name, &uri),
            text,
            encoding: Encoding::Utf8,
            template: false,
            is_new: false,
            host: Some(host),
            has_passwords: secrets == Secrets::Included,
        })
    }

    /// The domain a user means; one that is not here is looked for in the other of session and system.
    pub(crate) fn find(
        &self,
        connection: &dyn Hypervisor,
        given: &str,
    ) -> anyhow::Result<DomainInfo> {
        connection.find(given).map_err(|error| {
            if !error.is_no_domain() {
                return error.into();
            }
            let uri = connection.uri().unwrap_or_default();
            let help = match self.elsewhere(&uri, given) {
                Some(other) => format!("there is one on {other}: say -c {other}"),
                None => "'virt-patch list --domains' shows the domains there are".to_owned(),
            };
            anyhow::Error::new(Advice::new(error.to_string(), help))
        })
    }

    fn elsewhere(&self, uri: &str, given: &str) -> Option<String> {
        let other = match uri {
            "qemu:///system" => "qemu:///session",
            "qemu:///session" => "qemu:///system",
            _ => return None,
        };
        let connection = self
            .connector
            .as_ref()?
            .open(Some(other), Mode::ReadOnly)
            .ok()?;
        connection.find(given).ok().map(|_| other.to_owned())
    }

    /// The facts of the host behind a connection, for a definition.
    pub(crate) fn host_of(
        &mut self,
        connection: &dyn Hypervisor,
        text: &str,
    ) -> anyhow::Result<HostOf> {
        let document = Document::parse(text).ok();
        let document = document.as_ref();
        let query = MachineQuery {
            emulator: document.and_then(|document| document.text_at(&["devices", "emulator"])),
            arch: document.and_then(|document| document.attribute(&["os", "type"], "arch")),
            machine: document.and_then(|document| document.attribute(&["os", "type"], "machine")),
            domain_type: document.and_then(|document| document.root().attribute("type")),
        };
        let read = facts::read(connection, &query, &build_of)
            .context("cannot read the facts of the host")?;
        for unknown in read.unknown {
            // Several domains have one host.
            if self.unknown.contains(&unknown.what) {
                continue;
            }
            let what = format!("not known: {}", unknown.what);
            match unknown.is_detail {
                true => self.out.detail(&what),
                false => self.out.say(&format!("note: {what}")),
            }
            self.unknown.push(unknown.what);
        }
        let mut facts = read.facts;
        let uri = connection.uri()?;
        let is_local = capabilities::is_local(&uri);
        self.out.detail(&format!(
            "host facts come from {uri} ({}){}",
            match connection.mode() {
                Mode::ReadOnly => "read-only",
                Mode::ReadWrite => "read-write",
            },
            match is_local {
                true => "; firmware, emulators and files from this machine's disk",
                false => "; firmware from its list of loaders",
            }
        ));
        if is_local {
            let local = Local::machine();
            let on_disk = local.probe(&Wanted {
                firmware: WantedBuilds::All,
                kvm: true,
                ..Wanted::NONE
            });
            facts.firmware = on_disk.firmware;
            // libvirt chooses by the same descriptors, so it finds no other.
            facts.firmware_autoselection = None;
            facts.firmware_passed_over = on_disk.firmware_passed_over;
            facts.kvm = on_disk.kvm.or(facts.kvm);
            for emulator in &mut facts.emulators {
                if let Some(seen) = local.emulator(&emulator.path) {
                    emulator.missing_devices = seen.missing_devices;
                    // The hypervisor's version is that of one emulator; another is asked itself.
                    emulator.version = seen.version.or(emulator.version);
                }
            }
        }
        Ok(HostOf {
            facts,
            local: is_local,
        })
    }
}

/// What belongs to a loader that a remote host lists, by the table of known places.
fn build_of(code: &str) -> Option<Firmware> {
    let known = known_places::by_code_path(code)?;
    Some(Firmware {
        code: known.code.to_owned(),
        code_format: known.format,
        vars: known.vars.to_owned(),
        vars_format: known.format,
        secure_boot: known.secure_boot,
        enrolled_keys: known.enrolled_keys,
        smm: known.smm,
        source: format!("loader of the host, known place: {}", known.distribution),
        ..Firmware::default()
    })
}

/// Refuses a domain that has no stored definition to change.
pub(crate) fn must_be_stored(info: &DomainInfo) -> anyhow::Result<()> {
    if info.persistent {
        return Ok(());
    }
    let name = &info.name;
    Err(Advice::new(
        format!(
            "'{name}' is a transient domain: it has no stored definition and is gone when it stops"
        ),
        format!(
            "change what creates it; or make it persistent first: virsh dumpxml --security-info {} > vm.xml; virsh define vm.xml",
            shell_word(name)
        ),
    )
    .into())
}

/// Refuses a domain whose next start would not use its definition.
pub(crate) fn must_start_anew(info: &DomainInfo, force: bool) -> anyhow::Result<()> {
    if force || !info.has_managed_save {
        return Ok(());
    }
    let name = &info.name;
    Err(Advice::new(
        format!(
            "'{name}' has a managed save image, and its next start restores the old hardware from it"
        ),
        format!(
            "start it and shut it down, or drop the image (virsh managedsave-remove {}); or say --force",
            shell_word(name)
        ),
    )
    .into())
}

/// How a running domain takes a new definition up.
pub(crate) fn takes_effect(info: &DomainInfo) -> String {
    let name = &info.name;
    if info.has_managed_save {
        format!(
            "the next start of '{name}' restores the saved machine with its old hardware; the change takes effect at the start after a power-off, or at once after: virsh managedsave-remove {}",
            shell_word(name)
        )
    } else if info.state.is_active() {
        format!(
            "'{name}' is {}: the change takes effect after a full power-off; a restart from inside the guest is not enough",
            info.state
        )
    } else {
        "it takes effect when the domain is next started".to_owned()
    }
}

/// The message of libvirt itself, when there is one.
pub(crate) fn libvirt_message(error: &HypervisorError) -> Option<&str> {
    error.libvirt().map(|error| error.message.as_str())
}
