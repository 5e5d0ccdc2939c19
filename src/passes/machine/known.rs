//! Which machine types the host's QEMU knows.

use crate::document::Document;
use crate::host::{Emulator, Facts, Machine, Version};
use crate::passes::guest;

/// The emulator of a domain, as far as machine types go.
pub(super) struct Known<'f> {
    emulator: Option<&'f Emulator>,
}

const Q35: &str = "pc-q35-";

/// The newest type; every QEMU has it.
const ALIAS: &str = "q35";

/// QEMU has dropped older q35 types long ago (2.4 is the first in QEMU 7.2, measured).
const OLDEST: Version = Version::new(2, 4, 0);

impl<'f> Known<'f> {
    pub(super) fn new(document: &Document<'_>, facts: &'f Facts) -> Self {
        Known {
            emulator: guest::emulator(document, facts),
        }
    }

    /// What messages call it.
    pub(super) fn qemu(&self) -> String {
        match self.emulator.and_then(|emulator| emulator.version) {
            Some(version) => format!("QEMU {version}"),
            None => "the host's QEMU".to_owned(),
        }
    }

    /// Whether there is such a q35 type; `None` when nothing says so, as of a distribution's own type
    /// where there is no list.
    pub(super) fn knows(&self, name: &str) -> Option<bool> {
        let machines = self.machines();
        if !machines.is_empty() {
            let is = |one: &str| one == name;
            return Some(
                machines.iter().any(|machine| {
                    is(&machine.name) || machine.canonical.as_deref().is_some_and(is)
                }),
            );
        }
        if name == ALIAS {
            return Some(true);
        }
        let (version, emulator) = (version(name)?, self.emulator?);
        Some(version >= OLDEST && version <= minor(emulator.version?))
    }

    /// What is to be said of a type that nothing is known of.
    pub(super) fn doubt(&self, name: &str) -> Option<String> {
        self.knows(name).is_none().then(|| {
            format!(
                "it is not known whether {} has {name}; the host's libvirt tells (--host libvirt)",
                self.qemu()
            )
        })
    }

    /// The types, when they are known.
    fn machines(&self) -> &'f [Machine] {
        self.emulator
            .map(|emulator| emulator.machines.as_slice())
            .unwrap_or_default()
    }

    /// Whether QEMU has announced the type's removal.
    pub(super) fn is_deprecated(&self, name: &str) -> bool {
        self.machines()
            .iter()
            .any(|machine| machine.deprecated && machine.name == name)
    }

    /// The q35 type nearest to one that is not known: the newest that is older, else the oldest;
    /// where versions say nothing, the alias.
    pub(super) fn nearest(&self, name: &str) -> String {
        let Some(wanted) = version(name) else {
            return ALIAS.to_owned();
        };
        let mut names: Vec<(Version, &str)> = self
            .machines()
            .iter()
            .flat_map(|machine| [Some(machine.name.as_str()), machine.canonical.as_deref()])
            .flatten()
            .filter_map(|name| Some((version(name)?, name)))
            .collect();
        names.sort_unstable();
        let older = names.iter().rev().find(|(version, _)| *version <= wanted);
        if let Some((_, name)) = older.or(names.first()) {
            return (*name).to_owned();
        }
        let newest = self.emulator.and_then(|emulator| emulator.version);
        match newest.map(minor).filter(|newest| wanted > *newest) {
            Some(newest) => format!("{Q35}{}.{}", newest.major, newest.minor),
            None => ALIAS.to_owned(),
        }
    }
}

/// The version of `pc-q35-7.2`; `None` for an alias or a distribution's own name.
pub(super) fn version(name: &str) -> Option<Version> {
    name.strip_prefix(Q35)?.parse().ok()
}

/// Machine types change with minor versions only.
fn minor(version: Version) -> Version {
    Version::new(version.major, version.minor, 0)
}
