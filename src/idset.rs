//! Sets of numbers as libvirt writes them: `0-3,^2,8`.

use std::collections::BTreeSet;

/// Reads a set; `None` when it is not one.
pub fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut set = BTreeSet::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (not, part) = match part.strip_prefix('^') {
            Some(part) => (true, part),
            None => (false, part),
        };
        let (first, last): (u32, u32) = match part.split_once('-') {
            Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
            None => (part.parse().ok()?, part.parse().ok()?),
        };
        // libvirt's own limit is 16,384 vCPUs; a range far beyond would only cost memory.
        if first > last || last > 65_535 {
            return None;
        }
        for id in first..=last {
            if not {
                set.remove(&id);
            } else {
                set.insert(id);
            }
        }
    }
    Some(set)
}

/// Writes a set with ranges, the shortest way.
pub fn format(set: &BTreeSet<u32>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for id in set {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => parts.push((*id, *id)),
        }
    }
    let part = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sets_are_read_and_written() {
        for (text, formatted) in [
            ("0", "0"),
            ("0-3", "0-3"),
            ("0-3,^2", "0-1,3"),
            ("4,0,1,2", "0-2,4"),
            ("", ""),
        ] {
            assert_eq!(format(&parse(text).unwrap()), formatted);
        }
        for bad in ["a", "3-1", "0-99999999", "1-", "-1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
