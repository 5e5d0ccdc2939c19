//! The passes, in the order they run.
//!
//! A pass is a pure function of document, host facts and settings: it answers with a merge patch
//! and the reason for it, or says why it does not apply or cannot decide. It never probes
//! anything and never edits text.

mod applesmc;
mod boot;
mod clock;
mod cpu;
mod cpu_override;
pub mod disk;
mod display;
mod domain_type;
mod elements;
mod emulator;
mod enlightenments;
mod evdev;
mod fake_core_count;
mod features;
mod firmware;
mod gpu;
pub mod guest;
mod hotplug;
mod iothread;
mod lifecycle;
mod machine;
pub(crate) mod machine_name;
mod memballoon;
mod memory;
mod memory_backing;
mod nic;
mod pci;
mod pinning;
pub mod settings;
mod smbios;
mod topoext;
mod topology;
mod usb;
mod usb_input;
mod virtio;
mod watchdog;

use crate::document::Document;
use crate::host::Facts;
use crate::merge::Patch;
pub(crate) use firmware::takes_the_first_fit;
use settings::{Setting, Settings};

/// What a pass decides from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The host that is to run the domain.
    pub facts: &'a Facts,
    /// What the user asked for.
    pub settings: &'a Settings,
    /// The domain is new, made from the template: nothing in it is a user's decision yet.
    pub template: bool,
}

/// The answer of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This has to hold. Whether it does already is found out by merging.
    Ensure(Ensure),
    /// The pass has nothing to say about this domain on this host.
    NotApplicable(String),
    /// The pass cannot decide, or cannot have what it must have; the run stops.
    Blocked {
        /// Why, and what to do about it.
        reason: String,
        /// What was tried.
        notes: Vec<String>,
    },
}

impl Outcome {
    /// Blocked, with nothing to add.
    pub fn blocked(reason: impl Into<String>) -> Outcome {
        Outcome::Blocked {
            reason: reason.into(),
            notes: Vec::new(),
        }
    }
}

/// What has to hold, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensure {
    /// The merge patch.
    pub patch: Patch,
    /// Why the document changes, when it does.
    pub reason: String,
    /// What holds already, when it does not.
    pub satisfied: String,
    /// Sentences the user should read in either case.
    pub notes: Vec<String>,
    /// What is probably not meant, as clauses: said on stderr by a filter as well.
    pub warnings: Vec<String>,
}

impl Ensure {
    /// A patch with its reasons and no notes.
    pub fn new(patch: Patch, reason: impl Into<String>, satisfied: impl Into<String>) -> Self {
        Ensure {
            patch,
            reason: reason.into(),
            satisfied: satisfied.into(),
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds warnings.
    #[must_use]
    pub fn warning(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Adds notes.
    #[must_use]
    pub fn noting(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }
}

impl From<Ensure> for Outcome {
    fn from(ensure: Ensure) -> Self {
        Outcome::Ensure(ensure)
    }
}

/// Which facts a pass reads, so that a run gathers no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Processor.
    pub cpu: bool,
    /// Firmware builds and the files the domain names.
    pub firmware: bool,
    /// Emulators and their versions.
    pub emulators: bool,
    /// Memory, KVM.
    pub machine: bool,
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            cpu: self.cpu || other.cpu,
            firmware: self.firmware || other.firmware,
            emulators: self.emulators || other.emulators,
            machine: self.machine || other.machine,
        }
    }
}

/// One pass.
#[derive(Debug)]
pub struct Pass {
    /// Its name, as in `--pass`.
    pub name: &'static str,
    /// What it ensures, in one line.
    pub summary: &'static str,
    /// Its source file, whose header explains it.
    pub source: &'static str,
    /// The facts it reads.
    pub needs: Needs,
    /// The files on the host that the definition or the settings name and the pass asks about;
    /// what is found there becomes [`Facts::files`].
    /// Asked again with what was found, until it asks for nothing new.
    pub files: Files,
    /// The settings it understands.
    pub settings: &'static [Setting],
    /// The decision.
    pub run: fn(&Document<'_>, &Context<'_>) -> Outcome,
}

/// For passes that ask about no file.
/// Names files; the last argument says which of those that it named before are there.
pub type Files = fn(&Document<'_>, &Settings, &dyn Fn(&str) -> bool) -> Vec<String>;

fn no_files(_: &Document<'_>, _: &Settings, _: &dyn Fn(&str) -> bool) -> Vec<String> {
    Vec::new()
}

/// All passes, in the only order they run in.
pub const PASSES: &[Pass] = &[
    // Before cpu, topoext and cpu-override: emulation has CPU modes of its own.
    domain_type::PASS,
    // Before hotplug and clock, which ask for its version.
    emulator::PASS,
    // Before firmware, whose builds are for certain machine types, and before hotplug and watchdog.
    machine::PASS,
    machine_name::PASS,
    memory::PASS,
    memory_backing::PASS,
    // After machine, which renames disks; before boot, which leaves the orders of devices alone.
    disk::PASS,
    boot::PASS,
    // Before firmware, which needs ACPI as well.
    features::PASS,
    // Before topoext and cpu-override, which change what it writes.
    cpu::PASS,
    clock::PASS,
    // After domain-type: there are none without KVM.
    enlightenments::PASS,
    lifecycle::PASS,
    // Before the rest of the six: everything else can be looked at on a machine that starts.
    firmware::PASS,
    // Before topology, which would take a power of two of the vCPUs that it keeps.
    fake_core_count::PASS,
    // Before topoext and cpu-override, which ask how many threads a core has.
    topology::PASS,
    // After topology and fake-core-count, which decide how many vCPUs there are.
    pinning::PASS,
    nic::PASS,
    usb::PASS,
    // Before gpu, which takes the virtual display away on request.
    display::PASS,
    gpu::PASS,
    evdev::PASS,
    // After disk: the disks it adds use the iothread as well.
    iothread::PASS,
    // Before cpu-override, which carries topoext along.
    topoext::PASS,
    applesmc::PASS,
    hotplug::PASS,
    smbios::PASS,
    watchdog::PASS,
    memballoon::PASS,
    // Before usb-input, whose devices are to stay on USB.
    virtio::PASS,
    // After everything that changes USB controllers.
    usb_input::PASS,
    // Last: its -cpu hides <cpu>, and it notes what the passes before put there in vain.
    cpu_override::PASS,
];

/// The pass of this name.
pub fn find(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|pass| pass.name == name)
}

/// The explanation at the head of a pass's source file.
pub fn explanation(source: &str) -> String {
    source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| {
            line.trim_start_matches("//!")
                .strip_prefix(' ')
                .unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .join("\n")
}
