//! A copy of a definition that can be started beside the real machine without touching it.
//!
//! Pure: text in, text out, together with what the copy lacks. The rule is to keep what QEMU
//! itself is asked to build (machine, processors, controllers, device models, arguments) and to take
//! away every hand it has on the host: files, devices, networks, sockets, memory, limits.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::tree::Tree;
use super::{arguments, devices};
use crate::document::{Document, DocumentError};

/// How the copy is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Name of the copy; no domain may have it.
    pub name: String,
    /// UUID of the copy.
    pub uuid: String,
    /// Use hardware virtualization; without it QEMU emulates the processor.
    pub kvm: bool,
    /// A directory on the hypervisor's host for the copy's own NVRAM and disk images; `None`
    /// where no files can be made there, as on a remote host: then there are neither.
    pub scratch: Option<PathBuf>,
}

/// A definition to be started and thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throwaway {
    /// The definition.
    pub xml: String,
    /// Disk images it names, which must exist (of [`IMAGE_SIZE`], raw) before it starts. The NVRAM file
    /// is made by libvirt, in the same directory.
    pub images: Vec<PathBuf>,
    /// What the copy lacks and so cannot show, one clause each, for the user.
    pub left_out: Vec<String>,
}

/// Bytes of a disk image of the copy.
pub const IMAGE_SIZE: u64 = 1024 * 1024;

/// Memory of the copy, and of each of its NUMA cells. Enough for any firmware; guests never run.
const MEMORY_MIB: &str = "256";
const CELL_MIB: &str = "64";

/// Said where the copy has one vCPU only.
pub(super) const ONE_VCPU: &str = "all vCPUs but one: more than 255 need KVM";

/// vCPUs without the extended interrupt mode, at most.
const MOST_VCPUS: u32 = 255;

/// Makes the copy of `definition`.
///
/// # Errors
/// `definition` is not a domain.
pub fn throwaway(definition: &str, options: &Options) -> Result<Throwaway, DocumentError> {
    let document = Document::parse_domain(definition)?;
    let mut copy = Copy {
        domain: Tree::of(&document),
        options,
        images: Vec::new(),
        left_out: BTreeSet::new(),
    };
    copy.identity();
    copy.resources();
    copy.boot();
    copy.system_information();
    copy.processor();
    copy.without_kvm();
    devices::replace(&mut copy);
    arguments::remove(&mut copy);
    Ok(Throwaway {
        xml: copy.domain.to_xml(),
        images: copy.images,
        left_out: copy.left_out.into_iter().collect(),
    })
}

pub(super) struct Copy<'o> {
    pub domain: Tree,
    pub options: &'o Options,
    pub images: Vec<PathBuf>,
    pub left_out: BTreeSet<String>,
}

impl Copy<'_> {
    /// Notes that the copy lacks something.
    pub fn without(&mut self, what: impl Into<String>) {
        self.left_out.insert(what.into());
    }

    /// Removes a child of the domain and notes it, when it is there.
    fn drop(&mut self, element: &str, what: &str) {
        if self.domain.remove(element) {
            self.without(what);
        }
    }

    fn identity(&mut self) {
        self.domain.unset(&["id"]);
        for element in ["name", "uuid", "title", "description", "metadata"] {
            self.domain.remove(element);
        }
        // The schema wants them before the rest.
        let names = [
            Tree::new("name").with_text(&self.options.name),
            Tree::new("uuid").with_text(&self.options.uuid),
        ];
        self.domain.children.splice(0..0, names).for_each(drop);
    }

    fn resources(&mut self) {
        self.without("the amount of memory");
        self.domain.put(
            Tree::new("memory")
                .with("unit", "MiB")
                .with_text(MEMORY_MIB),
        );
        self.domain.remove("currentMemory");
        self.drop("maxMemory", "memory hotplug");
        self.drop(
            "memoryBacking",
            "memory backing (huge pages, locking, sharing)",
        );
        for element in [
            "memtune",
            "blkiotune",
            "numatune",
            "cputune",
            "resource",
            "perf",
        ] {
            self.drop(element, "limits, pinning and placement on the host");
        }
        self.drop("launchSecurity", "memory encryption (launchSecurity)");
        self.drop("seclabel", "security labels of its own");
        if let Some(vcpu) = self.domain.child_mut("vcpu") {
            vcpu.unset(&["cpuset", "placement"]);
        }
        let numa = self
            .domain
            .child_mut("cpu")
            .and_then(|cpu| cpu.child_mut("numa"));
        for cell in numa
            .into_iter()
            .flat_map(|numa| &mut numa.children)
            .filter(|child| child.name == "cell")
        {
            cell.set("memory", CELL_MIB);
            cell.set("unit", "MiB");
            cell.unset(&["memAccess", "discard"]);
        }
    }

    /// The CODE image is shared and read-only; variables go to a file of the copy's own.
    fn boot(&mut self) {
        let options = self.options;
        let Some(os) = self.domain.child_mut("os") else {
            return;
        };
        let mut without = Vec::new();
        for element in ["kernel", "initrd", "cmdline", "dtb", "shim", "acpi"] {
            if os.remove(element) {
                // libvirt would hand their files to QEMU's user.
                without.push("direct kernel boot and ACPI tables from files");
            }
        }
        let has_flash = os
            .child("loader")
            .is_some_and(|loader| loader.get("type") == Some("pflash"));
        let autoselected = os.get("firmware") == Some("efi");
        let stateless = os
            .child("loader")
            .is_some_and(|loader| loader.get("stateless") == Some("yes"));
        if let Some(loader) = os.child_mut("loader").filter(|_| has_flash) {
            loader.set("readonly", "yes");
        }
        if (has_flash || autoselected) && !stateless {
            match &options.scratch {
                Some(directory) => {
                    let path = directory.join("nvram").display().to_string();
                    let old = os.child("nvram");
                    let mut nvram = Tree::new("nvram").with_text(&path);
                    for attribute in ["template", "templateFormat", "format"] {
                        if let Some(value) = old.and_then(|old| old.get(attribute)) {
                            nvram.set(attribute, value);
                        }
                    }
                    os.put(nvram);
                }
                // Whether libvirt takes a loader without variables depends on its version.
                None => {
                    os.unset(&["firmware"]);
                    for element in ["firmware", "loader", "nvram"] {
                        os.remove(element);
                    }
                    without.push("the firmware: the copy started with QEMU's BIOS");
                }
            }
        }
        without.into_iter().for_each(|what| self.without(what));
    }

    fn system_information(&mut self) {
        let uuid = self.options.uuid.as_str();
        let domain = self.domain.children.iter_mut();
        for sysinfo in domain.filter(|child| child.name == "sysinfo") {
            sysinfo.children.retain(|entry| entry.get("file").is_none());
            // libvirt insists that it is the domain's.
            let entries = sysinfo
                .children
                .iter_mut()
                .flat_map(|block| &mut block.children);
            for entry in entries.filter(|entry| entry.get("name") == Some("uuid")) {
                uuid.clone_into(&mut entry.text);
            }
        }
    }

    fn processor(&mut self) {
        if self.options.kvm {
            return;
        }
        let was_for_kvm = self.domain.get("type") == Some("kvm");
        let Some(cpu) = self.domain.child_mut("cpu") else {
            return;
        };
        // What emulation lacks is no fault of a definition for hardware. topoext it has, and that is
        // looked for.
        let features = cpu.children.iter_mut();
        let required = features.filter(|one| {
            was_for_kvm
                && one.name == "feature"
                && matches!(one.get("policy"), Some("require" | "force"))
                && one.get("name") != Some("topoext")
        });
        required.for_each(|feature| feature.set("policy", "optional"));
        if cpu.get("mode") == Some("host-passthrough") {
            cpu.set("mode", "maximum");
        }
        // Emulation lacks features that hardware has, and libvirt would refuse the start.
        if cpu.get("check").is_some() {
            cpu.set("check", "none");
        }
    }

    fn without_kvm(&mut self) {
        if self.options.kvm {
            return;
        }
        // Emulation has all of an IOMMU but this, which takes KVM's own interrupt controller. A definition
        // for emulation has no such excuse.
        let was_for_kvm = self.domain.get("type") == Some("kvm");
        let mut had_eim = false;
        let devices = self.domain.child_mut("devices").into_iter();
        let iommus = devices
            .flat_map(|devices| &mut devices.children)
            .filter(|device| was_for_kvm && device.name == "iommu");
        for driver in iommus.filter_map(|iommu| iommu.child_mut("driver")) {
            if driver.get("eim") == Some("on") {
                driver.unset(&["eim"]);
                had_eim = true;
            }
        }
        // libvirt wants that mode for more.
        let vcpus = self.domain.child("vcpu");
        let count = vcpus.and_then(|vcpu| vcpu.text.trim().parse::<u32>().ok());
        if was_for_kvm && count.is_some_and(|count| count > MOST_VCPUS) {
            self.domain.put(Tree::new("vcpu").with_text("1"));
            self.domain.remove("vcpus");
            if let Some(cpu) = self.domain.child_mut("cpu") {
                for element in ["topology", "numa"] {
                    cpu.remove(element);
                }
            }
            self.without(ONE_VCPU);
        }
        if had_eim {
            self.without("the extended interrupt mode of the IOMMU (eim), which needs KVM");
        }
        self.domain.set("type", "qemu");
        if let Some(features) = self.domain.child_mut("features") {
            features.remove("pvspinlock");
            // Some of them QEMU refuses without KVM. For emulation as well, which is a fault then.
            if was_for_kvm && features.remove("hyperv") {
                self.without("the Hyper-V enlightenments, some of which need KVM");
            }
        }
        self.without(
            "hardware virtualization: whether the host's processor has what the guest's asks for",
        );
    }
}
