//! The order in which libvirt's formatter writes children (libvirt 11.3: conf/domain_conf.c,
//! conf/cpu_conf.c), so that a new element lands where a later dump would show it.

use roxmltree::Node;

use super::patch::Element;
use crate::document;

/// The position of `name` among the children of `parent`; unknown names come after known ones.
pub fn rank(parent: &str, name: &str) -> Option<usize> {
    let order: &[&str] = match parent {
        "domain" => DOMAIN,
        "os" => OS,
        "features" => FEATURES,
        "hyperv" => HYPERV,
        "cpu" => CPU,
        "cputune" => CPUTUNE,
        "memoryBacking" => MEMORY_BACKING,
        "devices" => DEVICES,
        "pm" => &["suspend-to-mem", "suspend-to-disk"],
        "commandline" => &["arg", "env"],
        "numatune" => &["memory", "memnode"],
        "numa" => &["cell", "interconnects"],
        "vcpus" => &["vcpu"],
        "disk" => DISK,
        "interface" => INTERFACE,
        "hostdev" => &[
            "driver", "source", "teaming", "boot", "rom", "alias", "address",
        ],
        "filesystem" => &[
            "driver",
            "binary",
            "source",
            "target",
            "readonly",
            "space_hard_limit",
            "space_soft_limit",
            "alias",
            "address",
        ],
        "video" => &["driver", "model", "alias", "address"],
        "rng" => &["rate", "backend", "driver", "alias", "address"],
        "serial" | "parallel" | "console" | "channel" => {
            &["source", "protocol", "log", "target", "alias", "address"]
        }
        "source" => SOURCE,
        "controller" => &["master", "driver", "model", "target", "alias", "address"],
        "graphics" => &[
            "listen",
            "channel",
            "image",
            "jpeg",
            "zlib",
            "playback",
            "streaming",
            "clipboard",
            "mouse",
            "filetransfer",
            "gl",
            "audio",
        ],
        // Smartcards, redirected USB, sound and all others: what they have of these stands in this order.
        _ => &[
            "driver",
            "source",
            "protocol",
            "certificate",
            "database",
            "target",
            "model",
            "backend",
            "codec",
            "audio",
            "boot",
            "alias",
            "address",
        ],
    };
    order.iter().position(|one| *one == name)
}

/// The number by which libvirt stores the elements of this name below `parent`, whatever their order
/// was (libvirt 9.0, measured).
pub fn number(parent: &str, name: &str) -> Option<&'static str> {
    Some(match (parent, name) {
        ("cputune", "vcpupin") => "vcpu",
        ("cputune", "iothreadpin") => "iothread",
        ("vcpus", "vcpu") | ("numa", "cell") => "id",
        ("numatune", "memnode") => "cellid",
        _ => return None,
    })
}

/// Whether libvirt takes such an element only as the first of its name: the console on the first
/// serial port ("Only the first console can be a serial port", libvirt 9.0).
pub fn leads(parent: &str, element: &Element) -> bool {
    let target = element.child("target");
    (parent, element.name.as_str()) == ("devices", "console")
        && is_serial(target.and_then(|target| target.attribute("type")))
}

/// Whether a console of a document is one that [`leads`].
pub fn is_leading(console: Node<'_, '_>) -> bool {
    let target = document::child(console, "target");
    is_serial(target.and_then(|target| target.attribute("type")))
}

fn is_serial(target: Option<&str>) -> bool {
    target.is_none_or(|kind| kind == "serial")
}

const DOMAIN: &[&str] = &[
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
    "commandline",
    "capabilities",
    "override",
    "deprecation",
];

const OS: &[&str] = &[
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
];

const FEATURES: &[&str] = &[
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
];

const HYPERV: &[&str] = &[
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
];

const CPU: &[&str] = &[
    "arch",
    "model",
    "vendor",
    "topology",
    "cache",
    "maxphysaddr",
    "feature",
    "numa",
];

const CPUTUNE: &[&str] = &[
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
];

const MEMORY_BACKING: &[&str] = &[
    "hugepages",
    "nosharepages",
    "locked",
    "source",
    "access",
    "allocation",
    "discard",
];

const DEVICES: &[&str] = &[
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
];

const DISK: &[&str] = &[
    "driver",
    "auth",
    "source",
    "backingStore",
    "backenddomain",
    "geometry",
    "blockio",
    "mirror",
    "target",
    "iotune",
    "throttlefilters",
    "readonly",
    "shareable",
    "transient",
    "serial",
    "wwn",
    "vendor",
    "product",
    "encryption",
    "boot",
    "alias",
    "address",
];

/// Of disks, and what tells host devices.
const SOURCE: &[&str] = &[
    "host",
    "snapshot",
    "config",
    "initiator",
    "ssl",
    "cookies",
    "readahead",
    "timeout",
    "identity",
    "slices",
    "seclabel",
    "auth",
    "encryption",
    "reservations",
    "vendor",
    "product",
    "address",
];

const INTERFACE: &[&str] = &[
    "mac",
    "source",
    "virtualport",
    "vlan",
    "backend",
    "backenddomain",
    "portForward",
    "ip",
    "route",
    "script",
    "downscript",
    "target",
    "guest",
    "model",
    "driver",
    "filterref",
    "bandwidth",
    "link",
    "mtu",
    "coalesce",
    "port",
    "teaming",
    "boot",
    "rom",
    "tune",
    "acpi",
    "alias",
    "address",
];
