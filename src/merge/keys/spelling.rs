//! Values that libvirt reads as the same.

use std::borrow::Cow;

use crate::idset;

/// Equal as text, as numbers where the one that is there is hexadecimal (`0x01` and `0x1` or `1`), as sets
/// of numbers, as MAC addresses, or as UUIDs of which one has its hyphens.
pub fn same(have: &str, want: &str) -> bool {
    have == want
        || ((have.starts_with("0x") || set(have).is_some()) && spelt(have) == spelt(want))
        || (is_mac(have) && have.eq_ignore_ascii_case(want))
        || ((have.len() == WITH_HYPHENS || want.len() == WITH_HYPHENS) && same_uuid(have, want))
}

/// As [`same`], for an attribute of an element of this name: those of an address are numbers in any notation,
/// and a machine type stands for its newest version, by which libvirt stores it.
pub fn same_attribute(element: &str, attribute: &str, have: &str, want: &str) -> bool {
    same(have, want)
        || match (element, attribute) {
            ("address", _) => spelt(have) == spelt(want),
            ("type", "machine") => is_version_of(have, want),
            _ => false,
        }
}

/// `q35` stands for `pc-q35-7.2`, `pc` for `pc-i440fx-7.2`, `virt` for `virt-7.2`.
pub fn is_version_of(versioned: &str, alias: &str) -> bool {
    let family = match alias {
        "q35" => "pc-q35",
        "pc" => "pc-i440fx",
        other => other,
    };
    let version = versioned
        .strip_prefix(family)
        .and_then(|rest| rest.strip_prefix('-'));
    // There is no machine of these names.
    version.is_some() && !matches!(alias, "pc-q35" | "pc-i440fx")
}

/// Whether libvirt reads the text of an element of this name as the same.
pub fn same_text(name: &str, have: &str, want: &str) -> bool {
    have == want || (matches!(name, "uuid" | "genid") && same_uuid(have, want))
}

fn same_uuid(have: &str, want: &str) -> bool {
    uuid(have).is_some_and(|have| uuid(want) == Some(have))
}

/// The bytes of a UUID with its hyphens.
const WITH_HYPHENS: usize = 36;

/// The digits of a UUID, which libvirt reads in any case, with and without hyphens.
fn uuid(value: &str) -> Option<String> {
    if !(32..=WITH_HYPHENS).contains(&value.len()) {
        return None;
    }
    let digits = value.replace('-', "").to_ascii_lowercase();
    (digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

fn is_mac(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() == 17
        && bytes.iter().enumerate().all(|(at, byte)| match at % 3 {
            2 => *byte == b':',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// One spelling for all values of a key by which libvirt means the same thing: numbers in any notation,
/// sets of them (`0-3`, `0,1,2,3`), and MAC addresses and UUIDs in any case.
pub(super) fn spelt(value: &str) -> Cow<'_, str> {
    if let Some(digits) = uuid(value) {
        return Cow::Owned(digits);
    }
    if is_mac(value) {
        return Cow::Owned(value.to_ascii_lowercase());
    }
    let digits = value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"));
    let number = match digits {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if value.starts_with(|first: char| first.is_ascii_digit()) => value.parse().ok(),
        None => None,
    };
    match number {
        Some(number) => Cow::Owned(number.to_string()),
        None => set(value).map_or(Cow::Borrowed(value), Cow::Owned),
    }
}

/// One spelling for a set of CPUs or nodes with more than one number in it.
fn set(value: &str) -> Option<String> {
    if !value.starts_with(|first: char| first.is_ascii_digit()) || !value.contains(['-', ',']) {
        return None;
    }
    Some(idset::format(&idset::parse(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_aliases() {
        for (versioned, alias, same) in [
            ("pc-q35-7.2", "q35", true),
            ("pc-q35-rhel9.0.0", "q35", true),
            ("pc-i440fx-7.2", "pc", true),
            ("virt-7.2", "virt", true),
            ("pc-i440fx-7.2", "q35", false),
            ("pc-q35-7.2", "pc-q35-7", false),
            ("pc-q35-7.2", "pc-q35", false),
            ("pc-q35-7.2", "pc", false),
        ] {
            assert_eq!(is_version_of(versioned, alias), same, "{versioned} {alias}");
        }
    }
}
