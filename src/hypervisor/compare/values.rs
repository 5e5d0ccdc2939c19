//! Which notations of a value mean the same to libvirt. Measured: it prints all sizes in KiB,
//! CPU sets as ranges, numbers of addresses in hexadecimal, UUIDs with dashes and in lower case.

use roxmltree::Node;

use crate::document::text_of;
use crate::idset;
use crate::merge::keys::is_version_of;
use crate::numbers::unit_bytes;

/// Whether an attribute still says what it said.
pub(super) fn same_attribute(ours: Node<'_, '_>, name: &str, value: &str, there: &str) -> bool {
    let element = ours.tag_name().name();
    if matches!(name, "cpuset" | "cpus" | "nodeset" | "vcpus" | "iothreads") {
        // vcpus that no NUMA cell mentions join the first one.
        let grows = element == "cell";
        if let (Some(value), Some(there)) = (idset::parse(value), idset::parse(there)) {
            return value == there || (grows && value.is_subset(&there));
        }
    }
    if element == "type" && name == "machine" && is_version_of(there, value) {
        return true;
    }
    value.trim() == there.trim() || same_scalar(value, there)
}

/// Whether a text still says what it said.
pub(super) fn same_text(ours: Node<'_, '_>, stored: Node<'_, '_>, text: &str, there: &str) -> bool {
    if text == there || same_scalar(text, there) {
        return true;
    }
    if let (Some(text), Some(there)) = (idset::parse(text), idset::parse(there))
        && ours.tag_name().name() == "nodemask"
    {
        return text == there;
    }
    same_bytes(
        (text, ours.attribute("unit")),
        (there, stored.attribute("unit")),
    )
}

/// Whether an attribute is part of a size that is the same in another unit.
pub(super) fn same_size(ours: Node<'_, '_>, stored: Node<'_, '_>, name: &str) -> bool {
    let units = (ours.attribute("unit"), stored.attribute("unit"));
    let same = |attribute: &str| match (ours.attribute(attribute), stored.attribute(attribute)) {
        (Some(ours), Some(stored)) => same_bytes((ours, units.0), (stored, units.1)),
        _ => false,
    };
    match name {
        "memory" | "size" | "value" => same(name),
        "unit" => {
            let text = match (text_of(ours), text_of(stored)) {
                (Some(ours), Some(stored)) => same_bytes((ours, units.0), (stored, units.1)),
                _ => false,
            };
            text || same("memory") || same("size") || same("value")
        }
        _ => false,
    }
}

fn same_bytes(ours: (&str, Option<&str>), stored: (&str, Option<&str>)) -> bool {
    if ours.1.is_none() && stored.1.is_none() {
        return false;
    }
    // Without a unit most sizes are KiB, and some (shmem, file system limits) are bytes.
    let sizes = |(number, unit): (&str, Option<&str>)| {
        let units = unit.map_or(vec!["KiB", "b"], |unit| vec![unit]);
        let sizes = units.into_iter().filter_map(move |unit| {
            let number: u64 = number.trim().parse().ok()?;
            number.checked_mul(unit_bytes(unit)?)
        });
        sizes.collect::<Vec<_>>()
    };
    let stored = sizes(stored);
    // libvirt rounds up to whole KiB.
    sizes(ours).iter().any(|ours| {
        stored
            .iter()
            .any(|stored| ours.div_ceil(1024) == stored.div_ceil(1024))
    })
}

fn same_scalar(ours: &str, stored: &str) -> bool {
    fn agree<T: PartialEq>(read: impl Fn(&str) -> Option<T>, ours: &str, stored: &str) -> bool {
        read(ours).is_some_and(|ours| read(stored) == Some(ours))
    }
    agree(number, ours, stored) || agree(uuid, ours, stored) || agree(mac, ours, stored)
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_uuid.then(|| digits.to_ascii_lowercase())
}

fn mac(text: &str) -> Option<Vec<u8>> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok())
        .collect();
    octets.filter(|octets| octets.len() == 6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn scalars() {
        for (ours, stored, same) in [
            ("0x0a", "0x0A", true),
            ("5", "0x05", true),
            ("0x10", "10", false),
            ("52:54:0:AB:cd:01", "52:54:00:ab:cd:01", true),
            ("52:54:00:ab:cd:01", "52:54:00:ab:cd:02", false),
            (
                "C2EE9E6ED3BE4A52B1C18A4BD3FA13E5",
                "c2ee9e6e-d3be-4a52-b1c1-8a4bd3fa13e5",
                true,
            ),
            ("yes", "on", false),
            ("/a", "/a/", false),
        ] {
            assert_eq!(same_scalar(ours, stored), same, "{ours} {stored}");
        }
    }
}
