//! Amounts of memory as libvirt reads them.

use std::fmt;

/// An amount of memory in KiB, libvirt's own unit; other units are rounded up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(pub(super) u64);

/// The units of libvirt's memory elements with their size in bytes. Case is ignored, a letter alone
/// is a power of 1024 (measured with libvirt 9.0: 1 GB becomes 976563 KiB, `M` is MiB).
const UNITS: &[(&str, u128)] = &[
    ("b", 1),
    ("byte", 1),
    ("bytes", 1),
    ("kb", 1000),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("mb", 1000 * 1000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("gb", 1000 * 1000 * 1000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("tb", 1000 * 1000 * 1000 * 1000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("pb", 1000 * 1000 * 1000 * 1000 * 1000),
    ("p", 1 << 50),
    ("pib", 1 << 50),
    ("eb", 1000 * 1000 * 1000 * 1000 * 1000 * 1000),
    ("e", 1 << 60),
    ("eib", 1 << 60),
];

/// No host has more: 4 EiB. Larger numbers would overflow inside of libvirt.
const MAX_KIB: u128 = 1 << 52;

impl Amount {
    /// Reads `8GiB`, `8 GiB`, `8388608`.
    pub(super) fn parse(text: &str) -> Result<Amount, String> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        Amount::with_unit(number, Some(unit.trim()).filter(|unit| !unit.is_empty()))
    }

    /// Reads a number with its unit (KiB where there is none), as in `<memory unit='GiB'>8</memory>`.
    pub(super) fn with_unit(number: &str, unit: Option<&str>) -> Result<Amount, String> {
        let shape = || "it is a whole number with a unit, such as 8GiB or 8192MiB".to_owned();
        let number: u128 = number.trim().parse().map_err(|_| shape())?;
        if unit.is_some_and(|unit| unit.starts_with(['.', ','])) {
            return Err(shape());
        }
        let size = size_of(unit.unwrap_or("KiB")).ok_or_else(|| {
            "the units are b, KB, KiB, MB, MiB and so on to EB and EiB; K, M, G, T, P and E mean KiB to EiB"
                .to_owned()
        })?;
        let kib = number
            .checked_mul(size)
            .map(|bytes| bytes.div_ceil(1024))
            .filter(|kib| *kib <= MAX_KIB)
            .ok_or_else(|| "it is more than any host has".to_owned())?;
        u64::try_from(kib).map(Amount).map_err(|_| shape())
    }

    /// The number to write in `unit` (KiB where there is none), when the amount is a whole number
    /// of it.
    pub(super) fn in_unit(self, unit: Option<&str>) -> Option<String> {
        let size = size_of(unit.unwrap_or("KiB"))?;
        let bytes = u128::from(self.0) * 1024;
        bytes
            .is_multiple_of(size)
            .then(|| (bytes / size).to_string())
    }
}

/// Whether a unit counts in thousands.
pub(super) fn is_decimal(unit: &str) -> bool {
    matches!(
        unit.to_ascii_lowercase().as_str(),
        "kb" | "mb" | "gb" | "tb" | "pb" | "eb"
    )
}

/// The unit at the end of `8GiB`.
pub(super) fn unit_of(text: &str) -> &str {
    text.trim()
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim()
}

fn size_of(unit: &str) -> Option<u128> {
    UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, size)| *size)
}

impl fmt::Display for Amount {
    /// In the largest unit that gives a whole number: `8 GiB`, `1500 MiB`; otherwise roughly as
    /// well: `16459750 KiB (15.6 GiB)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, kib) in [
            ("EiB", 1 << 50),
            ("PiB", 1 << 40),
            ("TiB", 1 << 30),
            ("GiB", 1 << 20),
            ("MiB", 1 << 10),
        ] {
            if self.0 > 0 && self.0.is_multiple_of(kib) {
                return write!(f, "{} {unit}", self.0 / kib);
            }
        }
        write!(f, "{} KiB", self.0)?;
        // Tenths of a GiB, rounded down.
        let tenths = (self.0 * 10) >> 20;
        match tenths {
            0 => Ok(()),
            tenths => write!(f, " ({}.{} GiB)", tenths / 10, tenths % 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_libvirt_reads_them() {
        for (text, kib) in [
            ("8388608", 8_388_608),
            ("8388608KiB", 8_388_608),
            ("8GiB", 8_388_608),
            ("8 gib", 8_388_608),
            ("8G", 8_388_608),
            ("8192M", 8_388_608),
            ("8192mib", 8_388_608),
            ("1GB", 976_563),
            ("1KB", 1),
            ("1b", 1),
            ("2048bytes", 2),
            ("1TiB", 1_073_741_824),
            ("1TB", 976_562_500),
            ("1P", 1 << 40),
            ("1pib", 1 << 40),
            ("1PB", 976_562_500_000),
            ("1E", 1 << 50),
            ("4EiB", 1 << 52),
            ("1EB", 976_562_500_000_000),
        ] {
            assert_eq!(Amount::parse(text), Ok(Amount(kib)), "{text}");
        }
        for bad in [
            "",
            "GiB",
            "8.5GiB",
            "-8GiB",
            "8 XiB",
            "8ZiB",
            "8EiB",
            "5EiB",
            "340282366920938463463374607431768211455EiB",
            "0x8GiB",
            "99999999999999TiB",
            "340282366920938463463374607431768211456",
        ] {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_are_written_in_a_unit_and_for_people() {
        let amount = Amount(8_388_608);
        assert_eq!(amount.in_unit(Some("GiB")).as_deref(), Some("8"));
        assert_eq!(amount.in_unit(None).as_deref(), Some("8388608"));
        assert_eq!(amount.in_unit(Some("GB")), None);
        for (kib, said) in [
            (8_388_608, "8 GiB"),
            (1_536_000, "1500 MiB"),
            (976_563, "976563 KiB (0.9 GiB)"),
            (16_459_750, "16459750 KiB (15.6 GiB)"),
            (1000, "1000 KiB"),
            (1 << 30, "1 TiB"),
            (3 << 40, "3 PiB"),
            (1 << 50, "1 EiB"),
        ] {
            assert_eq!(Amount(kib).to_string(), said);
        }
    }
}
