//! Notations of libvirt's XML that spell one value in several ways.

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
