//! What tells the parts of devices and sections apart of which there may be several.
//!
//! Every element that libvirt's schema (9.0 and 11.3) lets repeat has its key here or in the table of
//! devices, but for those that nothing but their order tells apart (`<certificate>`, `<baseBoard>`). What is
//! `unique` libvirt refuses with one key, or keeps the last of (measured with 9.0).

use super::table::{Identity, Key, by, unique};

/// Told apart also by what it does not say: without a class, a filter is for every class.
const fn whole(parent: &'static str, name: &'static str, keys: &'static [Key]) -> Identity {
    Identity {
        whole: true,
        ..by(parent, name, keys)
    }
}

/// A list in which the same may stand twice.
const fn list(parent: &'static str, name: &'static str, keys: &'static [Key]) -> Identity {
    Identity {
        many: true,
        ..by(parent, name, keys)
    }
}

pub(super) const PARTS: &[Identity] = &[
    list("os", "initarg", &[""]),
    by("os", "initenv", &["@name"]),
    by("acpi", "table", &["@type"]),
    list("oemStrings", "entry", &[""]),
    unique("blkiotune", "device", &["path"]),
    unique("perf", "event", &["@name"]),
    unique("keywrap", "cipher", &["@name"]),
    by("idmap", "uid", &["@start"]),
    by("idmap", "gid", &["@start"]),
    by("throttlegroups", "throttlegroup", &["group_name"]),
    by("cachetune", "cache", &["@id", "@level", "@type"]),
    by("cachetune", "monitor", &["@level", "@vcpus"]),
    unique("memorytune", "node", &["@id"]),
    by("memorytune", "monitor", &["@vcpus"]),
    unique("cell", "cache", &["@level"]),
    unique("distances", "sibling", &["@id"]),
    whole(
        "interconnects",
        "latency",
        &["@initiator", "@target", "@cache", "@type"],
    ),
    whole(
        "interconnects",
        "bandwidth",
        &["@initiator", "@target", "@cache", "@type"],
    ),
    unique("graphics", "channel", &["@name"]),
    list("sound", "codec", &["@type"]),
    whole(
        "redirfilter",
        "usbdev",
        &["@class", "@vendor", "@product", "@version"],
    ),
    // A filter's parameter may have several values.
    Identity {
        tie: &["@value"],
        ..by("filterref", "parameter", &["@name"])
    },
    by("vlan", "tag", &["@id"]),
    by("interface", "portForward", &["@proto", "@address", "@dev"]),
    by("portForward", "range", &["@start"]),
    by("*", "ip", &["@address"]),
    by("*", "route", &["@address", "@prefix", "@netmask"]),
    unique("source", "seclabel", &["@model"]),
    by("source", "host", &["@name", "@port", "@socket"]),
    // A UDP device is bound to one and sends to another.
    Identity {
        tie: &["@mode"],
        ..by("*", "source", &[])
    },
    by("throttlefilters", "throttlefilter", &["@group"]),
    by("iothreads", "iothread", &["@id"]),
    by("iothread", "queue", &["@id"]),
];
