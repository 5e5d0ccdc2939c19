//! What tells elements of one name apart: devices, and sections of a domain. Its source is what
//! libvirt itself treats as unique (measured) or what people mean by "the same device".

/// A part of an identity: an attribute (`@dev`), an attribute of a child (`target@dev`), the text of a
/// child (`path`), or the element's own (nothing).
pub(super) type Key = &'static str;

/// How elements of one name below one parent are told apart.
pub(super) struct Identity {
    /// Name of the parent element; `*` for any.
    pub(super) parent: &'static str,
    /// Name of the element.
    pub(super) name: &'static str,
    /// What tells two of them apart. A key the patch does not name is not compared.
    pub(super) keys: &'static [Key],
    /// Compared as well where several candidates are left.
    pub(super) tie: &'static [Key],
    /// Several equal ones are legitimate, and the first of them is as good as any.
    pub(super) many: bool,
    /// libvirt refuses two with one key (measured), or keeps only one of them.
    pub(super) unique: bool,
    /// A key the patch does not name is not to be there.
    pub(super) whole: bool,
    /// The first key settles it where it is named; the others then tell only several apart.
    pub(super) first_settles: bool,
}

impl Identity {
    /// The keys and the ties, as far as `says` knows of the first key.
    pub(super) fn parts(&self, says: impl Fn(Key) -> bool) -> (&'static [Key], &'static [Key]) {
        match self.keys.split_first_chunk::<1>() {
            Some((first, rest)) if self.first_settles && first.iter().all(|key| says(key)) => {
                (first, rest)
            }
            _ => (self.keys, self.tie),
        }
    }
}

pub(super) const fn by(parent: &'static str, name: &'static str, keys: &'static [Key]) -> Identity {
    Identity {
        parent,
        name,
        keys,
        tie: &[],
        many: false,
        unique: false,
        whole: false,
        first_settles: false,
    }
}

pub(super) const fn unique(
    parent: &'static str,
    name: &'static str,
    keys: &'static [Key],
) -> Identity {
    Identity {
        unique: true,
        ..by(parent, name, keys)
    }
}

pub(super) const IDENTITIES: &[Identity] = &[
    unique("devices", "disk", &["target@dev"]),
    Identity {
        // The four ich9 USB companions share one index and differ by model.
        tie: &["@model"],
        ..by("devices", "controller", &["@type", "@index"])
    },
    Identity {
        // One that is given a name of its own is the one with that address.
        first_settles: true,
        ..by("devices", "interface", &["mac@address", "alias@name"])
    },
    // A guest mounts by this name.
    unique("devices", "filesystem", &["target@dir"]),
    Identity {
        many: true,
        ..by(
            "devices",
            "input",
            &["@type", "@bus", "source@dev", "source@evdev"],
        )
    },
    unique("devices", "graphics", &["@type"]),
    Identity {
        tie: &["model@primary", "model@type"],
        ..by("devices", "video", &["alias@name"])
    },
    Identity {
        tie: &["codec@type"],
        ..by("devices", "sound", &["@model"])
    },
    by("devices", "audio", &["@id"]),
    by(
        "devices",
        "hostdev",
        &[
            "@mode",
            "@type",
            "source/address@domain",
            "source/address@bus",
            "source/address@slot",
            "source/address@function",
            "source/address@device",
            "source/address@uuid",
            "source/vendor@id",
            "source/product@id",
            "source/adapter@name",
            "source/address@target",
            "source/address@unit",
            "source@protocol",
            "source@name",
            "source@wwpn",
            "source/block",
            "source/char",
            "source/interface",
        ],
    ),
    Identity {
        tie: &["@type"],
        ..by("devices", "serial", &["target@port"])
    },
    by("devices", "parallel", &["target@port"]),
    // libvirt numbers consoles as they stand.
    by("devices", "console", &["target@type"]),
    by(
        "devices",
        "channel",
        &[
            "target@type",
            "target@name",
            "target@address",
            "target@port",
        ],
    ),
    by("devices", "redirdev", &["@bus", "@type", "alias@name"]),
    by("devices", "rng", &["@model", "alias@name"]),
    by("devices", "watchdog", &["@model"]),
    by("devices", "panic", &["@model"]),
    by("devices", "shmem", &["@name"]),
    by(
        "devices",
        "memory",
        &["@model", "target/node", "source/path", "alias@name"],
    ),
    by("devices", "hub", &["@type", "alias@name"]),
    by("devices", "smartcard", &["@mode", "alias@name"]),
    by("devices", "lease", &["lockspace", "key"]),
    by("devices", "crypto", &["@model", "alias@name"]),
    by("devices", "tpm", &[]),
    unique("cpu", "feature", &["@name"]),
    unique("firmware", "feature", &["@name"]),
    unique("clock", "timer", &["@name"]),
    unique("vcpus", "vcpu", &["@id"]),
    unique("cputune", "vcpupin", &["@vcpu"]),
    unique("cputune", "iothreadpin", &["@iothread"]),
    by("cputune", "vcpusched", &["@vcpus"]),
    by("cputune", "iothreadsched", &["@iothreads"]),
    by("cputune", "cachetune", &["@vcpus"]),
    by("cputune", "memorytune", &["@vcpus"]),
    unique("iothreadids", "iothread", &["@id"]),
    unique("numa", "cell", &["@id"]),
    unique("numatune", "memnode", &["@cellid"]),
    by("hugepages", "page", &["@nodeset", "@size"]),
    by("os", "boot", &["@dev"]),
    by("domain", "seclabel", &["@model"]),
    by("domain", "sysinfo", &["@type"]),
    by("*", "entry", &["@name"]),
    Identity {
        tie: &["@type"],
        ..by("graphics", "listen", &[])
    },
    unique("commandline", "env", &["@name"]),
    by("capabilities", "add", &["@capability"]),
    by("capabilities", "del", &["@capability"]),
    by("override", "device", &["@alias"]),
    by("frontend", "property", &["@name"]),
    by("cookies", "cookie", &["@name"]),
];
