//! Which option of a command line a patch's option speaks of.

use super::{List, Read, canonical, property};

/// Which option of a command line a patch's option speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// There is one of its kind, however it reads (`-cpu`, `-usb`).
    Single(String),
    /// A thing of its own: `-device` by driver and id, `-global` by property, `-netdev` by id.
    Thing {
        /// Canonical option name.
        option: String,
        /// Driver, property, type or id.
        name: String,
        /// The id, where the option has one beside the name.
        id: Option<String>,
        /// What of the host it stands for: two that name another are two things.
        stands_for: Vec<(&'static str, String)>,
    },
    /// Nothing is known about it: the same only when it reads the same.
    Literal(String, String),
}

impl Identity {
    /// The identity of an option with its value.
    pub fn of(option: &str, value: &str) -> Identity {
        let option = canonical(option);
        let thing = |name: Option<String>, id, stands_for| match name {
            Some(name) => Identity::Thing {
                option: option.to_owned(),
                name,
                id,
                stands_for,
            },
            None => Identity::Literal(option.to_owned(), value.to_owned()),
        };
        match option {
            "cpu" | "machine" | "m" | "smp" | "accel" | "rtc" | "boot" | "name" | "uuid"
            | "display" | "vga" | "k" | "bios" | "kernel" | "initrd" | "append" | "dtb"
            | "overcommit" | "icount" | "sandbox" | "msg" | "action" | "usb" | "nodefaults"
            | "no-reboot" | "no-shutdown" | "snapshot" | "S" | "no-user-config" | "nographic"
            | "enable-kvm" | "no-hpet" | "no-acpi" | "mem-prealloc" | "mem-path" => {
                Identity::Single(option.to_owned())
            }
            "device" => {
                let read = Read::of(value);
                match read.driver() {
                    // Its I/O port is fixed, so a second one cannot work (measured: QEMU 7.2).
                    Some(name) if name == "isa-applesmc" => {
                        Identity::Single(format!("{option} {name}"))
                    }
                    name => thing(name, read.get("id"), stands_for(|key| read.get(key))),
                }
            }
            "global" => thing(property(value), None, Vec::new()),
            "object" => {
                let read = Read::of(value);
                thing(read.first("qom-type"), read.get("id"), Vec::new())
            }
            "netdev" | "chardev" | "fsdev" | "audiodev" | "vnc" | "blockdev" | "drive"
            | "spice" | "acpitable" | "tpmdev" | "iscsi" => {
                let read = Read::of(value);
                let id = read.get("id").or_else(|| read.get("node-name"));
                thing(id, None, Vec::new())
            }
            "smbios" => thing(List::parse(value).get("type"), None, Vec::new()),
            "fw_cfg" => {
                let list = List::parse(value);
                let first = || list.first().map(str::to_owned);
                thing(list.get("name").or_else(first), None, Vec::new())
            }
            _ => Identity::Literal(option.to_owned(), value.to_owned()),
        }
    }

    /// Whether an option of the domain is the one meant. A patch that names no id means the
    /// device whatever its id is.
    pub fn matches(&self, option: &str, value: &str) -> bool {
        self.means(&Identity::of(option, value))
    }

    /// As [`Identity::matches`], for one that is known already.
    pub fn means(&self, there: &Identity) -> bool {
        match (self, there) {
            (Identity::Single(this), Identity::Single(other)) => this == other,
            (Identity::Literal(option, value), Identity::Literal(other, its)) => {
                option == other && value == its
            }
            (
                Identity::Thing {
                    option,
                    name,
                    id,
                    stands_for,
                },
                Identity::Thing {
                    option: other,
                    name: its_name,
                    id: its_id,
                    stands_for: its,
                },
            ) => {
                let differs = |(key, value): &(&str, String)| {
                    its.iter().any(|(other, its)| other == key && its != value)
                };
                option == other
                    && name == its_name
                    && (id.is_none() || id == its_id)
                    && !stands_for.iter().any(differs)
            }
            _ => false,
        }
    }

    /// Whether it means a thing whatever its id is.
    pub fn names_no_id(&self) -> bool {
        matches!(self, Identity::Thing { id: None, .. })
    }

    /// Whether there is one of its kind, so that the last in a patch counts.
    pub fn is_single(&self) -> bool {
        matches!(self, Identity::Single(_))
    }

    /// Whether QEMU obeys only the last of its kind, so that earlier ones are dead. Others add up, key by
    /// key (measured with 7.2: `-machine`, `-m`, `-smp`, `-boot`).
    pub fn is_overruled(&self) -> bool {
        match self {
            Identity::Single(option) => !ADDS_UP.contains(&option.as_str()),
            _ => false,
        }
    }
}

/// Options of which several count as one with the keys of all.
const ADDS_UP: &[&str] = &[
    "machine",
    "m",
    "smp",
    "boot",
    "rtc",
    "overcommit",
    "accel",
    "name",
    "icount",
    "sandbox",
    "msg",
    "action",
];

/// The properties by which a device stands for one thing of the host or of the other arguments.
const STANDS_FOR: &[&str] = &[
    "host",
    "sysfsdev",
    "drive",
    "netdev",
    "chardev",
    "evdev",
    "hostbus",
    "hostaddr",
    "hostport",
    "vendorid",
    "productid",
];

fn stands_for(get: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let named = STANDS_FOR.iter();
    named.filter_map(|key| Some((*key, get(key)?))).collect()
}
