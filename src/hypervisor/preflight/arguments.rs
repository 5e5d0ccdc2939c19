//! QEMU arguments of the throw-away copy: everything but what has a hand on the host.

use std::collections::HashSet;

use super::throwaway::Copy;
use super::tree::Tree;
use crate::document::qemu;
use crate::merge::options;

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
    // What hangs on something that is gone goes as well, in any order: repeat until nothing does.
    loop {
        let before = gone.len();
        for (token, option, value) in &groups {
            let value = value.as_deref().unwrap_or_default();
            if reaches_host(option.as_deref(), value, &gone) {
                gone.insert(format!(
                    "id {}",
                    options::get(value, "id").unwrap_or_default()
                ));
                gone.insert(format!("{token} {value}"));
            }
        }
        if gone.len() == before {
            break;
        }
    }
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for (token, option, value) in groups {
        let text = value.as_deref().unwrap_or_default();
        if gone.contains(&format!("{token} {text}")) {
            removed.push(short(&token, text));
            continue;
        }
        let value = value.map(|value| without_backend(option.as_deref(), value, &gone));
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
        }
        // Recorded into a file, or replayed from one.
        "icount" => options::get(value, "rr").is_some(),
        "numa" => hangs_on(value, gone),
        other => !HARMLESS_OPTIONS.contains(&other),
    }
}

/// A machine without the memory backend that is gone; its memory is libvirt's then.
fn without_backend(option: Option<&str>, value: String, gone: &HashSet<String>) -> String {
    let is_machine = option.is_some_and(|option| options::canonical(option) == "machine");
    let names_it = |part: &&str| {
        let backend = part.strip_prefix("memory-backend=");
        backend.is_some_and(|id| gone.contains(&format!("id {id}")))
    };
    match is_machine && value.split(',').any(|part| names_it(&part)) {
        true => {
            let kept: Vec<&str> = value.split(',').filter(|part| !names_it(part)).collect();
            kept.join(",")
        }
        false => value,
    }
}

/// The device's backend or bus is gone.
fn hangs_on(value: &str, gone: &HashSet<String>) -> bool {
    let backends = [
        "drive", "netdev", "chardev", "fsdev", "memdev", "mem", "rng", "evdev", "audiodev",
        "tpmdev",
    ];
    let on = |key: &str| options::get(value, key).filter(|id| !id.is_empty());
    let bus = on("bus").and_then(|bus| bus.rsplit_once('.').map(|(device, _)| device.to_owned()));
    backends
        .iter()
        .filter_map(|key| on(key))
        .chain(bus)
        .any(|id| gone.contains(&format!("id {id}")))
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
            Some((option.to_owned(), Some(model.replace(",enforce", ""))))
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
