//! Which elements have kinds, and what belongs to each.
//!
//! Sources: libvirt's RELAX NG schema (domaincommon.rng), where these are choices, and what 9.0 refuses or
//! drops (measured).

pub(super) type Names = &'static [&'static str];

/// An element of which there are kinds, told by an attribute of its own (`@type`) or of a part
/// (`target@bus`).
pub(super) struct Kinds {
    pub(super) parents: Names,
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    /// The kind of one that does not say it.
    pub(super) default: Option<&'static str>,
    pub(super) kinds: &'static [Kind],
}

/// What comes and goes with a kind. What the new kind calls the same is another thing there.
pub(super) struct Kind {
    pub(super) values: Values,
    pub(super) attributes: Names,
    pub(super) parts: Names,
}

pub(super) enum Values {
    These(Names),
    /// All others, which are one kind.
    Others,
    /// All others, each a kind of its own.
    Each,
}

use Values::{Each, Others, These};

const fn kind(values: Values, attributes: Names, parts: Names) -> Kind {
    Kind {
        values,
        attributes,
        parts,
    }
}

const fn kinds(
    parents: Names,
    name: &'static str,
    key: &'static str,
    kinds: &'static [Kind],
) -> Kinds {
    Kinds {
        parents,
        name,
        key,
        default: None,
        kinds,
    }
}

const DEVICES: Names = &["devices"];

/// The ends of a character device.
const CHARACTER: &[Kind] = &[kind(
    Each,
    &[],
    &["source", "protocol", "clipboard", "mouse"],
)];

/// Schedulers with priorities.
const REAL_TIME: &[Kind] = &[kind(These(&["fifo", "rr"]), &["priority"], &[])];

pub(super) const KINDS: &[Kinds] = &[
    Kinds {
        default: Some("custom"),
        ..kinds(
            &["domain"],
            "cpu",
            "@mode",
            &[
                kind(
                    These(&["host-passthrough", "maximum"]),
                    &["migratable"],
                    &[],
                ),
                kind(Each, &[], &["model", "vendor"]),
            ],
        )
    },
    kinds(
        &["domain"],
        "clock",
        "@offset",
        &[
            kind(These(&["utc", "localtime"]), &["adjustment"], &[]),
            kind(These(&["timezone"]), &["timezone"], &[]),
            kind(These(&["variable"]), &["adjustment", "basis"], &[]),
            kind(These(&["absolute"]), &["start"], &[]),
        ],
    ),
    kinds(
        DEVICES,
        "interface",
        "@type",
        &[
            kind(
                These(&["hostdev"]),
                &["managed"],
                &["source", "driver", "virtualport", "vlan"],
            ),
            kind(
                Each,
                &[],
                &[
                    "source",
                    "script",
                    "downscript",
                    "portForward",
                    "virtualport",
                    "vlan",
                ],
            ),
        ],
    ),
    kinds(
        DEVICES,
        "interface",
        "@type",
        &[
            kind(These(&["hostdev"]), &[], &[]),
            kind(Others, &[], &["driver", "coalesce", "backend"]),
        ],
    ),
    // Of a device that the host sees as one of its own.
    kinds(
        DEVICES,
        "interface",
        "@type",
        &[kind(
            These(&["network", "bridge", "ethernet"]),
            &[],
            &["mtu", "filterref"],
        )],
    ),
    kinds(
        DEVICES,
        "interface",
        "@type",
        &[
            kind(These(&["user"]), &[], &["ip"]),
            kind(These(&["ethernet"]), &[], &["ip", "route"]),
        ],
    ),
    kinds(
        DEVICES,
        "interface",
        "model@type",
        &[kind(
            These(&["virtio", "virtio-transitional", "virtio-non-transitional"]),
            &[],
            &["driver"],
        )],
    ),
    kinds(
        DEVICES,
        "controller",
        "@model",
        &[
            kind(
                These(&[
                    "virtio",
                    "virtio-scsi",
                    "virtio-transitional",
                    "virtio-non-transitional",
                ]),
                &[],
                &["address", "driver"],
            ),
            kind(
                Each,
                &["ports"],
                &["address", "driver", "master", "model", "target"],
            ),
        ],
    ),
    kinds(
        DEVICES,
        "iommu",
        "@model",
        &[kind(Each, &[], &["address", "driver"])],
    ),
    kinds(
        DEVICES,
        "filesystem",
        "@type",
        &[kind(Each, &[], &["source"])],
    ),
    Kinds {
        // Of a share, and libvirt stores it so: without a driver.
        default: Some("path"),
        ..kinds(
            DEVICES,
            "filesystem",
            "driver@type",
            &[
                kind(These(&["virtiofs"]), &[], &["binary"]),
                kind(
                    Others,
                    &["model", "accessmode", "fmode", "dmode", "multidevs"],
                    &["readonly"],
                ),
            ],
        )
    },
    kinds(DEVICES, "serial", "@type", CHARACTER),
    kinds(DEVICES, "parallel", "@type", CHARACTER),
    kinds(DEVICES, "console", "@type", CHARACTER),
    kinds(DEVICES, "channel", "@type", CHARACTER),
    kinds(DEVICES, "redirdev", "@type", CHARACTER),
    kinds(DEVICES, "smartcard", "@type", CHARACTER),
    // One that waits for others has nobody to connect to again.
    kinds(
        &[
            "serial",
            "parallel",
            "console",
            "channel",
            "redirdev",
            "smartcard",
        ],
        "source",
        "@mode",
        &[kind(These(&["connect"]), &[], &["reconnect"])],
    ),
    Kinds {
        default: Some("static"),
        ..kinds(
            &["numatune"],
            "memory",
            "@placement",
            &[kind(These(&["static"]), &["nodeset"], &[])],
        )
    },
    Kinds {
        default: Some("on"),
        ..kinds(
            &["hyperv"],
            "spinlocks",
            "@state",
            &[kind(These(&["on"]), &["retries"], &[])],
        )
    },
    Kinds {
        default: Some("on"),
        ..kinds(
            &["hyperv"],
            "vendor_id",
            "@state",
            &[kind(These(&["on"]), &["value"], &[])],
        )
    },
    Kinds {
        default: Some("on"),
        ..kinds(
            &["hyperv"],
            "stimer",
            "@state",
            &[kind(These(&["on"]), &[], &["direct"])],
        )
    },
    kinds(&["cputune"], "vcpusched", "@scheduler", REAL_TIME),
    kinds(&["cputune"], "iothreadsched", "@scheduler", REAL_TIME),
    kinds(&["cputune"], "emulatorsched", "@scheduler", REAL_TIME),
    Kinds {
        default: Some("no"),
        ..kinds(
            &["vsock"],
            "cid",
            "@auto",
            &[kind(These(&["no"]), &["address"], &[])],
        )
    },
    kinds(
        DEVICES,
        "audio",
        "@type",
        &[
            kind(These(&["pulseaudio"]), &["serverName"], &[]),
            kind(These(&["oss"]), &["tryMMap", "exclusive", "dspPolicy"], &[]),
            kind(These(&["sdl"]), &["driver"], &[]),
            kind(These(&["file"]), &["path"], &[]),
        ],
    ),
    kinds(
        DEVICES,
        "memballoon",
        "@model",
        &[
            kind(These(&["none"]), &[], &[]),
            kind(Others, &[], &["address", "driver"]),
        ],
    ),
    // An address on one bus is none on another.
    kinds(
        DEVICES,
        "disk",
        "target@bus",
        &[kind(Each, &[], &["address"])],
    ),
    kinds(
        DEVICES,
        "video",
        "model@type",
        &[
            kind(These(&["none", "ramfb"]), &[], &[]),
            kind(Others, &[], &["address"]),
        ],
    ),
    kinds(
        &["video"],
        "model",
        "@type",
        &[
            kind(These(&["qxl"]), &["ram", "vram", "vram64", "vgamem"], &[]),
            kind(These(&["virtio"]), &["blob"], &["acceleration"]),
        ],
    ),
    kinds(
        DEVICES,
        "graphics",
        "listen@type",
        &[
            kind(These(&["address"]), &["listen"], &[]),
            kind(These(&["socket"]), &["socket"], &[]),
        ],
    ),
    kinds(
        DEVICES,
        "graphics",
        "listen@type",
        &[kind(
            These(&["address", "network"]),
            &["port", "autoport", "tlsPort", "websocket"],
            &[],
        )],
    ),
];

/// An element of which one of another kind shares nothing with the old one.
pub(super) struct Other {
    /// Of its parent; `*` for any.
    pub(super) parent: &'static str,
    pub(super) name: &'static str,
    /// The attribute that tells the kind.
    pub(super) key: &'static str,
    /// The kind of one that does not say it.
    pub(super) default: Option<&'static str>,
    /// Only where one of the two is this.
    pub(super) only: Option<&'static str>,
}

const fn other(parent: &'static str, name: &'static str, key: &'static str) -> Other {
    Other {
        parent,
        name,
        key,
        default: None,
        only: None,
    }
}

pub(super) const OTHERS: &[Other] = &[
    other("*", "address", "type"),
    other("graphics", "listen", "type"),
    other("rng", "backend", "model"),
    other("tpm", "backend", "type"),
    other("domain", "launchSecurity", "type"),
    other("domain", "seclabel", "type"),
    other("interface", "virtualport", "type"),
    other("filesystem", "driver", "type"),
    other("cpu", "cache", "mode"),
    Other {
        default: Some("custom"),
        ..other("features", "hyperv", "mode")
    },
    Other {
        only: Some("none"),
        ..other("video", "model", "type")
    },
];

/// Attributes and parts of a disk's `<source>`, by the type of the disk. What else stands there is of the
/// image and not of its place.
pub(super) const SOURCES: &[(&str, Names, Names)] = &[
    ("file", &["file", "startupPolicy"], &[]),
    ("block", &["dev", "startupPolicy"], &["reservations"]),
    ("dir", &["dir", "startupPolicy"], &[]),
    (
        "network",
        &["protocol", "name", "query", "tls", "tlsHostname"],
        &[
            "host",
            "snapshot",
            "config",
            "auth",
            "ssl",
            "cookies",
            "readahead",
            "timeout",
            "initiator",
            "reconnect",
            "identity",
            "knownHosts",
        ],
    ),
    ("volume", &["pool", "volume", "mode", "startupPolicy"], &[]),
    ("nvme", &["type", "managed", "namespace"], &["address"]),
    ("vhostuser", &["type", "path"], &["reconnect"]),
    ("vhostvdpa", &["dev"], &[]),
];

/// What names the image in a `<source>`.
pub(super) const NAMES_THE_IMAGE: Names =
    &["file", "dev", "dir", "name", "pool", "volume", "namespace"];

/// What only a virtio disk has in its `<driver>`.
pub(super) const OF_VIRTIO: Names = &[
    "iothread",
    "queues",
    "queue_size",
    "ioeventfd",
    "event_idx",
    "iommu",
    "ats",
    "packed",
    "page_per_vq",
];

/// What stands in a `<source>` for one protocol of the network.
pub(super) const OF_PROTOCOL: (Names, Names) = (
    &["query"],
    &[
        "host",
        "snapshot",
        "config",
        "initiator",
        "cookies",
        "ssl",
        "timeout",
        "readahead",
        "identity",
        "knownHosts",
    ],
);

/// Protocols of which an image has several hosts; of any other it has one.
pub(super) const OF_SEVERAL_HOSTS: Names = &["rbd", "gluster", "sheepdog"];
