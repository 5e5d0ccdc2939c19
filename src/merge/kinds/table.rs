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
            kind(These(&["hostdev"]), &["managed"], &["source", "driver"]),
            kind(
                Each,
                &[],
                &["source", "script", "downscript", "portForward"],
            ),
        ],
    ),
    kinds(
        DEVICES,
        "filesystem",
        "@type",
        &[kind(Each, &[], &["source"])],
    ),
    kinds(DEVICES, "serial", "@type", CHARACTER),
    kinds(DEVICES, "parallel", "@type", CHARACTER),
    kinds(DEVICES, "console", "@type", CHARACTER),
    kinds(DEVICES, "channel", "@type", CHARACTER),
    kinds(DEVICES, "redirdev", "@type", CHARACTER),
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
            kind(These(&["none"]), &[], &[]),
            kind(Others, &[], &["address"]),
        ],
    ),
    kinds(
        &["video"],
        "model",
        "@type",
        &[kind(
            These(&["qxl"]),
            &["ram", "vram", "vram64", "vgamem"],
            &[],
        )],
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

/// Parent (`*` for any), element and attribute: one of another kind shares nothing with the old one. With a
/// value only where one of the two kinds is that.
pub(super) const OTHERS: &[(&str, &str, &str, Option<&str>)] = &[
    ("*", "address", "type", None),
    ("graphics", "listen", "type", None),
    ("rng", "backend", "model", None),
    ("tpm", "backend", "type", None),
    ("devices", "audio", "type", None),
    ("domain", "launchSecurity", "type", None),
    ("devices", "memballoon", "model", Some("none")),
    ("video", "model", "type", Some("none")),
];

/// Attributes and parts of a disk's `<source>`, by the type of the disk. What else stands there is of the
/// image and not of its place.
pub(super) const SOURCES: &[(&str, Names, Names)] = &[
    ("file", &["file"], &[]),
    ("block", &["dev"], &["reservations"]),
    ("dir", &["dir"], &[]),
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
    ("volume", &["pool", "volume", "mode"], &[]),
    ("nvme", &["type", "managed", "namespace"], &["address"]),
    ("vhostuser", &["type", "path"], &["reconnect"]),
    ("vhostvdpa", &["dev"], &[]),
];

/// Protocols of which an image has several hosts; of any other it has one.
pub(super) const OF_SEVERAL_HOSTS: Names = &["rbd", "gluster", "sheepdog"];
