//! Notations of libvirt's XML that spell one value in several ways.

use std::collections::BTreeSet;

/// A set of numbers as libvirt writes CPU and node sets: `0-3,^2,8`. `None` when the text is
/// no such set, or names more numbers than any machine has.
pub(super) fn cpu_set(text: &str) -> Option<BTreeSet<u32>> {
    let mut set = BTreeSet::new();
    for part in text.split(',') {
        let part = part.trim();
        if let Some(excluded) = part.strip_prefix('^') {
            set.remove(&excluded.trim().parse().ok()?);
            continue;
        }
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
            None => {
                let only: u32 = part.parse().ok()?;
                (only, only)
            }
        };
        if first > last || last > MOST_CPUS {
            return None;
        }
        set.extend(first..=last);
    }
    Some(set)
}

/// libvirt's own bound (VIR_DOMAIN_CPUMASK_LEN is 16384).
const MOST_CPUS: u32 = 16_384;

/// A memory size in KiB, rounded up as libvirt does. Without a unit the number is KiB already.
pub(super) fn kib(number: &str, unit: Option<&str>) -> Option<u64> {
    let number: u64 = number.trim().parse().ok()?;
    let bytes = number.checked_mul(unit_bytes(unit.unwrap_or("KiB"))?)?;
    Some(bytes.div_ceil(1024))
}

/// Bytes of a libvirt size unit, in any case. A bare letter is binary, `KB` is decimal.
pub(super) fn unit_bytes(unit: &str) -> Option<u64> {
    let unit = unit.trim().to_ascii_lowercase();
    if matches!(unit.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let letter = unit.chars().next()?;
    let power = u32::try_from("kmgtpe".find(letter)?).ok()?.checked_add(1)?;
    match unit.get(1..)? {
        "" | "ib" => 1024u64.checked_pow(power),
        "b" => 1000u64.checked_pow(power),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn sets() {
        let set = |text| cpu_set(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(set("0-3,^2,8"), Some(vec![0, 1, 3, 8]));
        assert_eq!(set("1,0"), Some(vec![0, 1]));
        assert_eq!(set("3-1"), None);
        assert_eq!(set("0-99999999"), None);
        assert_eq!(set(""), None);
        assert_eq!(set("all"), None);
    }

    #[test]
    fn memory_sizes() {
        for (number, unit, expected) in [
            ("4194304", None, Some(4_194_304)),
            ("4", Some("GiB"), Some(4_194_304)),
            ("4", Some("g"), Some(4_194_304)),
            ("1000001", Some("b"), Some(977)),
            ("1", Some("KB"), Some(1)),
            ("2", Some("MB"), Some(1954)),
            ("1", Some("Mi"), None),
            ("1.5", Some("GiB"), None),
            ("99999999999", Some("EiB"), None),
        ] {
            assert_eq!(kib(number, unit), expected, "{number} {unit:?}");
        }
    }
}
