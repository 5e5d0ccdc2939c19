//! QEMU arguments of the throw-away copy: everything but what has a hand on the host.

use std::collections::HashSet;

use serde_json::Value;

use super::throwaway::Copy;
use super::tree::Tree;
use crate::document::qemu;
use crate::merge::options::{self, List};

/// Options that make up the machine and do nothing on the host but read. Whatever is not here is left
/// out: nearly every release of QEMU brings options, and some write files (`-debugcon file:…`,
/// `-qtest-log`, `-readconfig` with a chardev, `-icount rr=record`).
const HARMLESS_OPTIONS: [&str; 38] = [
    "L",
    "S",
    "accel",
    "action",
    "bios",
    "boot",
    "cpu",
    "device",
    "enable-kvm",
    "fw_cfg",
    "global",
    "icount",
    "k",
    "m",
    "machine",
    "mem-prealloc",
    "msg",
    "name",
    "no-acpi",
    "no-fd-bootchk",
    "no-hpet",
    "no-reboot",
    "no-shutdown",
    "no-user-config",
    "nodefaults",
    "numa",
    "object",
    "option-rom",
    "overcommit",
    "rtc",
    "sandbox",
    "set",
    "smbios",
    "smp",
    "usb",
    "uuid",
    "vga",
    "watchdog-action",
];

/// Objects that need nothing of the host but processor time.
const HARMLESS_OBJECTS: [&str; 4] = ["iothread", "rng-builtin", "rng-random", "throttle-group"];

/// Devices that are something of the host.
const HOST_DEVICES: [&str; 10] = [
    "ccid-card-emulated",
    "usb-mtp",
    "virtio-input-host",
    "vfio-",
    "usb-host",
    "vhost-",
    "ivshmem",
    "scsi-block",
    "scsi-generic",
    "u2f-",
];

/// Removes what reaches the host from the copy's `qemu:commandline`.
pub(super) fn remove(copy: &mut Copy<'_>) {
    let mut tokens = Vec::new();
    for block in copy
        .domain
        .children
        .iter_mut()
        .filter(|child| child.name == "qemu:commandline")
    {
        let (args, rest) = std::mem::take(&mut block.children)
            .into_iter()
            .partition(|child: &Tree| child.name == "qemu:arg");
        block.children = rest;
        tokens.extend(
            args.into_iter()
                .filter_map(|arg| arg.get("value").map(str::to_owned)),
        );
    }
    let (kept, removed) = sift(tokens, copy.options.kvm);
    for option in removed {
        copy.without(format!("the QEMU option {option}"));
    }
    if kept.is_empty() {
        return;
    }
    let args = kept
        .iter()
        .map(|token| Tree::new("qemu:arg").with("value", token));
    match copy.domain.child_mut("qemu:commandline") {
        Some(block) => block.children.splice(0..0, args).for_each(drop),
        None => copy.domain.children.push(Tree {
            children: args.collect(),
            ..Tree::new("qemu:commandline")
        }),
    }
}

/// The arguments that stay, and a short name of each that goes.
fn sift(tokens: Vec<String>, kvm: bool) -> (Vec<String>, Vec<String>) {
    let mut groups = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let option = token
            .strip_prefix("--")
            .or_else(|| token.strip_prefix('-'))
            .map(str::to_owned);
        let value = option
            .as_deref()
            .is_some_and(qemu::takes_value)
            .then(|| tokens.next())
            .flatten();
        groups.push((token, option, value));
    }
    let mut gone: HashSet<String> = HashSet::new();
    let mut leaves = vec![false; groups.len()];
    // What hangs on something that is gone goes as well, in any order: repeat until nothing does.
    loop {
        let mut is_done = true;
        for ((_, option, value), leaves) in groups.iter().zip(&mut leaves) {
            let value = value.as_deref().unwrap_or_default();
            if !*leaves && reaches_host(option.as_deref(), value, &gone) {
                *leaves = true;
                is_done = false;
                gone.extend(names(value));
            }
        }
        if is_done {
            break;
        }
    }
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for ((token, option, value), leaves) in groups.into_iter().zip(leaves) {
        if leaves {
            removed.push(short(&token, value.as_deref().unwrap_or_default()));
            continue;
        }
        let value = value.map(|value| without_gone(option.as_deref(), value, &gone));
        if kvm {
            kept.push(token);
            kept.extend(value);
        } else if let Some((option, value)) = emulated(&option.unwrap_or_default(), value) {
            kept.push(format!("-{option}"));
            kept.extend(value);
        }
    }
    (kept, removed)
}

fn reaches_host(option: Option<&str>, value: &str, gone: &HashSet<String>) -> bool {
    // A token that is no option is a disk image.
    let Some(option) = option else {
        return true;
    };
    match options::canonical(option) {
        "device" => {
            let host_device = options::driver(value).is_some_and(|(driver, _)| {
                HOST_DEVICES.iter().any(|prefix| driver.starts_with(prefix))
            });
            host_device || hangs_on(value, gone)
        }
        "object" => {
            let kind = options::get(value, "qom-type")
                .or_else(|| value.split(',').next().map(str::to_owned));
            kind.is_none_or(|kind| !HARMLESS_OBJECTS.contains(&kind.as_str()))
                || hangs_on(value, gone)
        }
        // Recorded into a file, or replayed from one.
        "icount" => options::get(value, "rr").is_some(),
        "numa" | "global" | "fw_cfg" => hangs_on(value, gone),
        // `device.ID.property=value`
        "set" => {
            let property = value
                .split_once('=')
                .map_or(value, |(property, _)| property);
            let id = property
                .split_once('.')
                .and_then(|(_, rest)| rest.rsplit_once('.'));
            id.is_some_and(|(id, _)| gone.contains(id))
        }
        other => !HARMLESS_OPTIONS.contains(&other),
    }
}

/// A machine without what is gone of it: a memory backend (its memory is libvirt's then), a flash, sound.
fn without_gone(option: Option<&str>, value: String, gone: &HashSet<String>) -> String {
    let is_machine = option.is_some_and(|option| options::canonical(option) == "machine");
    let names_it = |part: &&str| {
        let name = part.split_once('=').map(|(_, name)| name);
        name.is_some_and(|name| gone.contains(name))
    };
    match is_machine && value.split(',').any(|part| names_it(&part)) {
        true => {
            let kept: Vec<&str> = value.split(',').filter(|part| !names_it(part)).collect();
            kept.join(",")
        }
        false => value,
    }
}

/// The keys that name the option's own thing; every other may refer to one.
const OWN_NAMES: [&str; 2] = ["id", "node-name"];

/// The names by which others can refer to what an option makes.
fn names(value: &str) -> impl Iterator<Item = String> {
    let named = pairs(value)
        .into_iter()
        .filter(|(key, name)| OWN_NAMES.contains(&key.as_str()) && !name.is_empty());
    named.map(|(_, name)| name)
}

/// Something that is gone is referred to: by its name, by its path, or a bus of it (`NAME.0`).
fn hangs_on(value: &str, gone: &HashSet<String>) -> bool {
    let refers = |(key, text): &(String, String)| {
        let is_own = OWN_NAMES.contains(&key.as_str()) || key == "driver" || key == "qom-type";
        let name = ["/objects/", "/machine/peripheral/"]
            .iter()
            .find_map(|place| text.strip_prefix(place))
            .unwrap_or(text);
        let of_bus = name
            .rsplit_once('.')
            .filter(|_| key == "bus")
            .map_or(name, |(device, _)| device);
        !is_own && (gone.contains(name) || gone.contains(of_bus))
    };
    pairs(value).iter().any(refers)
}

/// The keys of a value and what they say, in either syntax. Of `file.node-name` and of keys within
/// others the last word.
fn pairs(value: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Ok(object @ Value::Object(_)) = serde_json::from_str(value) {
        add_pairs("", &object, &mut found);
        return found;
    }
    let list = List::parse(value);
    for key in list.keys() {
        let word = key.rsplit('.').next().unwrap_or(key);
        found.extend(list.get(key).map(|text| (word.to_owned(), text)));
    }
    found
}

fn add_pairs(key: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                add_pairs(key, value, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                add_pairs(key, value, found);
            }
        }
        Value::String(text) => found.push((key.to_owned(), text.clone())),
        _ => {}
    }
}

/// The option with the first word of its value: the rest may be a key.
fn short(token: &str, value: &str) -> String {
    let first = match options::driver(value) {
        Some((driver, _)) => driver,
        None => value.split(',').next().unwrap_or_default().to_owned(),
    };
    format!("{token} {first}").trim_end().to_owned()
}

/// Arguments that need KVM, for a copy that has none.
fn emulated(option: &str, value: Option<String>) -> Option<(String, Option<String>)> {
    match (option, value.as_deref()) {
        ("enable-kvm", _) => None,
        ("accel", Some(value)) if value.starts_with("kvm") => None,
        ("cpu", Some(model)) => {
            let rest = model
                .strip_prefix("host")
                .filter(|rest| rest.is_empty() || rest.starts_with(','));
            let model = rest.map_or_else(|| model.to_owned(), |rest| format!("max{rest}"));
            let needs_kvm = |part: &&str| {
                let name = part.trim_start_matches(['+', '-']);
                let name = name.split('=').next().unwrap_or_default();
                name == "enforce" || name.starts_with("hv-") || name.starts_with("hv_")
            };
            let parts: Vec<&str> = model.split(',').filter(|part| !needs_kvm(part)).collect();
            Some((option.to_owned(), Some(parts.join(","))))
        }
        _ => Some((option.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writes_on_the_host_or_is_not_known_stays_out() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, kept) in [
            (
                "-debugcon file:/var/log/ovmf.log -global isa-debugcon.iobase=0x402",
                "-global isa-debugcon.iobase=0x402",
            ),
            ("-readconfig /etc/qemu.cfg -usb", "-usb"),
            ("-qtest-log /a -qtest null", ""),
            ("-icount 1,rr=record,rrfile=/a", ""),
            ("-icount 1", "-icount 1"),
            (
                "-object memory-backend-ram,id=m1,size=256M -machine usb=off,memory-backend=m1 -M memory-backend=m2",
                "-machine usb=off -M memory-backend=m2",
            ),
            ("-mem-path /dev/hugepages -smp 2", "-smp 2"),
            ("-qmp-pretty unix:/a", ""),
            (
                "-device virtio-input-host-pci,evdev=/dev/input/event1 -usb",
                "-usb",
            ),
            (
                "-tpmdev passthrough,id=t,path=/dev/tpm0 -device tpm-tis,tpmdev=t",
                "",
            ),
            (
                "-device tpm-tis,tpmdev=t -tpmdev passthrough,id=t,path=/dev/tpm0 -usb",
                "-usb",
            ),
            ("-an-option-of-tomorrow x -usb", "-usb"),
            // What refers to something that is gone, by whatever key, and what refers to that.
            (
                "-blockdev driver=file,filename=/a,node-name=X0 -blockdev raw,file=X0,node-name=X1 -device ide-hd,drive=X1 -usb",
                "-usb",
            ),
            (
                r#"-device {"driver":"ide-hd","drive":"X1","id":"d"} -blockdev {"driver":"raw","node-name":"X1","file":{"driver":"file","filename":"/a"}} -usb"#,
                "-usb",
            ),
            (
                "-blockdev raw,node-name=X1,file.driver=file,file.node-name=X0 -device ide-hd,drive=X0 -device ide-hd,drive=X2",
                "-device ide-hd,drive=X2",
            ),
            (
                "-object cryptodev-backend-builtin,id=c0 -device virtio-crypto-pci,cryptodev=c0",
                "",
            ),
            (
                "-object can-bus,id=cb0 -device kvaser_pci,canbus=cb0 -device kvaser_pci,canbus=/objects/cb0",
                "",
            ),
            (
                "-device usb-kbd,bus=hub.0 -device usb-hub,bus=v1.0,id=hub -device vfio-pci,host=1,id=v1 -set device.hub.port=1 -usb",
                "-usb",
            ),
            // Its own name is no reference, and neither is a driver.
            (
                "-chardev null,id=usb-kbd -device usb-kbd,id=usb-kbd -device driver=usb-kbd",
                "-device usb-kbd,id=usb-kbd -device driver=usb-kbd",
            ),
            (
                "-device isa-applesmc,osk=x -smbios type=2 -cpu Penryn",
                "-device isa-applesmc,osk=x -smbios type=2 -cpu Penryn",
            ),
        ] {
            let (stays, goes) = sift(words(line), false);
            assert_eq!(stays.join(" "), kept, "{line}");
            assert_eq!(goes.is_empty(), line == kept, "{line}: {goes:?}");
        }
    }
}
