//! Where an element belongs that stands in a patch without what is around it.
//!
//! The table follows libvirt's schema (domain.rng of 9.0 and 11.3). A name that occurs in several
//! places is told by what it holds, where that tells; otherwise it is refused with the places it
//! could stand in: a wrong guess would change something nobody spoke of.

use super::patch::Element;
use crate::document::qemu;
use crate::text;

/// Why an element has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlace {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The names of the elements that lead from the root to the parent of `element`, with the
/// namespace of the innermost one in the case of `<qemu:arg>` and its like.
///
/// # Errors
/// No place is known, or several are.
pub fn of(element: &Element) -> Result<&'static [&'static str], NoPlace> {
    let name = element.name.as_str();
    match element.namespace.as_deref() {
        Some(qemu::NAMESPACE) => return qemu_place(name),
        // Blocks of libvirt's own drivers (lxc:namespace, bhyve:commandline) stand where qemu's do.
        Some(uri) if uri.starts_with("http://libvirt.org/schemas/domain/") => return Ok(&[]),
        Some(_) => return Ok(&["metadata"]),
        None if matches!(
            name,
            "arg" | "env" | "commandline" | "override" | "deprecation"
        ) =>
        {
            return Err(NoPlace {
                message: format!("<{name}> without a prefix is dropped by libvirt"),
                help: format!("write <qemu:{name}>"),
            });
        }
        None => {}
    }
    let shape = Shape::of(element);
    let mut places: Vec<&'static [&'static str]> = PLACES
        .iter()
        .filter(|(_, names)| names.contains(&name))
        .map(|(path, _)| *path)
        .collect();
    if places.iter().any(|path| fits(element, path, shape)) {
        places.retain(|path| fits(element, path, shape));
    }
    let devices: Vec<&str> = DEVICE_PARTS
        .iter()
        .filter(|(part, _)| *part == name)
        .flat_map(|(_, devices)| devices.iter().copied())
        .collect();
    // A whole device or section is meant before a part of some device that has the same name.
    let outermost = |path: &&[&str]| path.is_empty() || *path == ["devices"];
    match (places.as_slice(), devices.as_slice()) {
        ([one], []) => Ok(one),
        ([one], _) if outermost(one) || name == "acpi" => Ok(one),
        // A device has an order, the system a kind of device.
        ([one], _) if name == "boot" && element.attribute("dev").is_some() => Ok(one),
        ([], []) => Err(unknown(name)),
        ([], devices) => Err(part_of_device(name, devices)),
        (places, devices) => Err(ambiguous(name, places, devices)),
    }
}

fn qemu_place(name: &str) -> Result<&'static [&'static str], NoPlace> {
    match name {
        "commandline" | "capabilities" | "override" | "deprecation" => Ok(&[]),
        "arg" | "env" => Ok(&["commandline"]),
        "add" | "del" => Ok(&["capabilities"]),
        "device" => Ok(&["override"]),
        _ => Err(NoPlace {
            message: format!("libvirt knows no <qemu:{name}>"),
            help: "there are qemu:arg and qemu:env, and the blocks qemu:commandline, qemu:capabilities and qemu:override".to_owned(),
        }),
    }
}

/// What an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Elements,
    Attributes,
    Nothing,
}

impl Shape {
    fn of(element: &Element) -> Shape {
        if element.text.is_some() {
            Shape::Text
        } else if !element.children.is_empty() {
            Shape::Elements
        } else if !element.attributes.is_empty() {
            Shape::Attributes
        } else {
            Shape::Nothing
        }
    }
}

/// Whether an element of this name can have this shape there.
fn fits(element: &Element, path: &[&str], shape: Shape) -> bool {
    let name = element.name.as_str();
    let has = |names: &[&str]| {
        let mut attributes = element.attributes.iter();
        attributes.any(|one| names.contains(&one.name.as_str()))
    };
    match (name, path) {
        ("memory", ["numatune"]) => has(&["mode", "nodeset"]) && shape == Shape::Attributes,
        ("vcpu", ["vcpus"]) => has(&["id", "hotpluggable", "order"]),
        ("memory", []) => !has(&["mode", "nodeset", "model"]) && shape != Shape::Elements,
        ("vcpu", []) => !has(&["id", "hotpluggable", "order"]),
        ("memory", _) => shape == Shape::Elements,
        ("nvram", ["devices"]) => {
            !matches!(shape, Shape::Text) && !has(&["template", "templateFormat", "format", "type"])
        }
        ("nvram", ["os"]) => !matches!(shape, Shape::Elements),
        ("acpi", ["features"]) => shape == Shape::Nothing,
        ("acpi", ["os"]) | ("bios", ["sysinfo"]) => shape == Shape::Elements,
        ("bios", ["os"]) => shape == Shape::Attributes,
        _ => true,
    }
}

fn unknown(name: &str) -> NoPlace {
    let known = PLACES.iter().flat_map(|(_, names)| names.iter().copied());
    NoPlace {
        message: format!("no place is known for <{name}>"),
        help: match text::nearest(name, known) {
            Some(nearest) => format!("did you mean <{nearest}>?"),
            None => "write the elements around it, from <domain> on".to_owned(),
        },
    }
}

fn part_of_device(name: &str, devices: &[&str]) -> NoPlace {
    let devices: Vec<String> = devices.iter().map(|name| format!("<{name}>")).collect();
    NoPlace {
        message: format!("<{name}> is part of a device, and of which is not said"),
        help: format!(
            "write the device around it: {}",
            text::list_or(devices.as_slice())
        ),
    }
}

fn ambiguous(name: &str, places: &[&[&str]], devices: &[&str]) -> NoPlace {
    let mut candidates: Vec<String> = places.iter().map(|path| written(path, name)).collect();
    candidates.extend(devices.iter().map(|device| written(&[device], name)));
    NoPlace {
        message: format!("<{name}> could stand in several places"),
        help: format!(
            "write what is around it: {}",
            text::list_or(candidates.as_slice())
        ),
    }
}

/// `<os><firmware><feature>`.
fn written(path: &[&str], name: &str) -> String {
    path.iter()
        .chain([&name])
        .map(|name| format!("<{name}>"))
        .collect()
}

/// Path of the parent → what stands in it.
const PLACES: &[(&[&str], &[&str])] = &[
    (
        &[],
        &[
            "name",
            "uuid",
            "genid",
            "title",
            "description",
            "metadata",
            "maxMemory",
            "memory",
            "currentMemory",
            "blkiotune",
            "memtune",
            "memoryBacking",
            "vcpu",
            "vcpus",
            "iothreads",
            "iothreadids",
            "defaultiothread",
            "throttlegroups",
            "cputune",
            "numatune",
            "resource",
            "sysinfo",
            "bootloader",
            "bootloader_args",
            "os",
            "idmap",
            "features",
            "cpu",
            "clock",
            "on_poweroff",
            "on_reboot",
            "on_crash",
            "on_lockfailure",
            "pm",
            "perf",
            "devices",
            "seclabel",
            "keywrap",
            "launchSecurity",
        ],
    ),
    (
        &["devices"],
        &[
            "emulator",
            "disk",
            "controller",
            "lease",
            "filesystem",
            "interface",
            "smartcard",
            "serial",
            "parallel",
            "console",
            "channel",
            "input",
            "tpm",
            "graphics",
            "sound",
            "audio",
            "video",
            "hostdev",
            "redirdev",
            "redirfilter",
            "hub",
            "watchdog",
            "memballoon",
            "rng",
            "nvram",
            "panic",
            "shmem",
            "memory",
            "crypto",
            "iommu",
            "vsock",
            "pstore",
        ],
    ),
    (
        &["os"],
        &[
            "type",
            "firmware",
            "init",
            "initarg",
            "initenv",
            "initdir",
            "inituser",
            "initgroup",
            "loader",
            "nvram",
            "kernel",
            "initrd",
            "cmdline",
            "shim",
            "dtb",
            "root",
            "acpi",
            "boot",
            "bootmenu",
            "bios",
            "smbios",
        ],
    ),
    (&["os", "firmware"], &["feature"]),
    (&["os", "acpi"], &["table"]),
    (
        &["features"],
        &[
            "acpi",
            "apic",
            "pae",
            "hap",
            "viridian",
            "privnet",
            "hyperv",
            "kvm",
            "pvspinlock",
            "capabilities",
            "pmu",
            "vmport",
            "gic",
            "smm",
            "ioapic",
            "hpt",
            "vmcoreinfo",
            "htm",
            "nested-hv",
            "msrs",
            "ccf-assist",
            "xen",
            "cfpc",
            "sbbc",
            "ibs",
            "tcg",
            "async-teardown",
            "ras",
            "ps2",
            "aia",
        ],
    ),
    (
        &["features", "hyperv"],
        &[
            "relaxed",
            "vapic",
            "spinlocks",
            "vpindex",
            "runtime",
            "synic",
            "stimer",
            "reset",
            "vendor_id",
            "frequencies",
            "reenlightenment",
            "tlbflush",
            "ipi",
            "evmcs",
            "avic",
            "emsr_bitmap",
            "xmm_input",
        ],
    ),
    (
        &["features", "kvm"],
        &[
            "hidden",
            "hint-dedicated",
            "poll-control",
            "pv-ipi",
            "dirty-ring",
        ],
    ),
    (&["features", "xen"], &["e820_host", "passthrough"]),
    (&["features", "tcg"], &["tb-cache"]),
    (&["features", "smm"], &["tseg"]),
    (
        &["cpu"],
        &[
            "model",
            "vendor",
            "topology",
            "cache",
            "maxphysaddr",
            "feature",
            "numa",
        ],
    ),
    (&["cpu", "numa"], &["cell", "interconnects"]),
    (&["cpu", "numa", "cell"], &["cache", "distances"]),
    (&["clock"], &["timer"]),
    (
        &["cputune"],
        &[
            "shares",
            "period",
            "quota",
            "global_period",
            "global_quota",
            "emulator_period",
            "emulator_quota",
            "iothread_period",
            "iothread_quota",
            "vcpupin",
            "emulatorpin",
            "iothreadpin",
            "emulatorsched",
            "vcpusched",
            "iothreadsched",
            "cachetune",
            "memorytune",
        ],
    ),
    (&["cputune", "cachetune"], &["cache"]),
    (&["numatune"], &["memory", "memnode"]),
    (
        &["memoryBacking"],
        &[
            "hugepages",
            "nosharepages",
            "locked",
            "source",
            "access",
            "allocation",
            "discard",
        ],
    ),
    (&["memoryBacking", "hugepages"], &["page"]),
    (
        &["memtune"],
        &[
            "hard_limit",
            "soft_limit",
            "min_guarantee",
            "swap_hard_limit",
        ],
    ),
    (&["vcpus"], &["vcpu"]),
    (&["iothreadids"], &["iothread"]),
    (&["throttlegroups"], &["throttlegroup"]),
    (&["resource"], &["partition", "fibrechannel"]),
    (
        &["sysinfo"],
        &["bios", "system", "baseBoard", "chassis", "oemStrings"],
    ),
    (&["pm"], &["suspend-to-mem", "suspend-to-disk"]),
    (&["perf"], &["event"]),
    (&["keywrap"], &["cipher"]),
    (&["idmap"], &["uid", "gid"]),
];

/// What stands inside devices → the devices it is found in most.
const DEVICE_PARTS: &[(&str, &[&str])] = &[
    ("address", &["disk", "interface", "hostdev"]),
    ("alias", &["disk", "interface", "hostdev"]),
    (
        "source",
        &["disk", "interface", "filesystem", "hostdev", "shmem"],
    ),
    ("target", &["disk", "interface", "filesystem", "controller"]),
    (
        "driver",
        &["disk", "interface", "controller", "filesystem", "hostdev"],
    ),
    ("model", &["interface", "video", "shmem"]),
    ("boot", &["disk", "interface", "hostdev"]),
    ("rom", &["interface", "hostdev"]),
    ("acpi", &["interface"]),
    ("serial", &["disk"]),
    ("vendor", &["disk"]),
    ("product", &["disk"]),
    ("wwn", &["disk"]),
    ("readonly", &["disk", "filesystem"]),
    ("shareable", &["disk", "hostdev"]),
    ("transient", &["disk"]),
    ("blockio", &["disk"]),
    ("geometry", &["disk"]),
    ("iotune", &["disk"]),
    ("encryption", &["disk"]),
    ("backingStore", &["disk"]),
    ("auth", &["disk"]),
    ("mac", &["interface"]),
    ("vlan", &["interface"]),
    ("mtu", &["interface"]),
    ("link", &["interface"]),
    ("virtualport", &["interface"]),
    ("filterref", &["interface"]),
    ("bandwidth", &["interface"]),
    ("coalesce", &["interface"]),
    ("ip", &["interface"]),
    ("route", &["interface"]),
    ("portForward", &["interface"]),
    ("teaming", &["interface", "hostdev"]),
    ("backend", &["interface", "rng", "tpm"]),
    ("binary", &["filesystem"]),
    ("listen", &["graphics"]),
    ("image", &["graphics"]),
    ("jpeg", &["graphics"]),
    ("zlib", &["graphics"]),
    ("playback", &["graphics"]),
    ("streaming", &["graphics"]),
    ("clipboard", &["graphics"]),
    ("mouse", &["graphics"]),
    ("filetransfer", &["graphics"]),
    ("gl", &["graphics"]),
    ("codec", &["sound"]),
    ("master", &["controller"]),
    ("pcihole64", &["controller"]),
    ("rate", &["rng"]),
    ("stats", &["memballoon"]),
    ("protocol", &["serial", "console", "channel"]),
    ("log", &["serial", "console", "channel"]),
    ("usbdev", &["redirfilter"]),
    ("cid", &["vsock"]),
    ("msi", &["shmem"]),
    ("size", &["shmem"]),
];
