//! Which line of a definition a refusal of libvirt speaks of.
//!
//! libvirt gives a line for text that is not well-formed; for everything else it names an element, an
//! attribute or a value. The line is then the changed one that says the most of those words. A few
//! messages name nothing that stands in the definition; what they mean is known.

use std::collections::HashSet;
use std::ops::Range;

use roxmltree::Node;

use crate::document::{Document, Excerpt, children};
use crate::idset;

/// The line of `after` that `message` most likely speaks of.
pub fn line_of(message: &str, before: &str, after: &str) -> Option<Excerpt> {
    let offset = numbered(message, after)
        .or_else(|| unnamed(message, after))
        .or_else(|| by_words(message, before, after))
        .or_else(|| by_values(message, before, after))?;
    Some(Excerpt::of(after, offset))
}

/// `(domain_definition):12: …`.
fn numbered(message: &str, after: &str) -> Option<usize> {
    let rest = message.split("(domain_definition):").nth(1)?;
    let number: usize = rest.split(':').next()?.trim().parse().ok()?;
    after
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .nth(number.checked_sub(2)?)
}

/// What a message means that says nothing of how the element or its value is written.
fn unnamed(message: &str, after: &str) -> Option<usize> {
    let document = Document::parse(after).ok()?;
    let says = |words: &str| message.contains(words);
    let to_blame = if says("CPU topology doesn't match maximum vcpu count") {
        document.find(&["cpu", "topology"])
    } else if says("maximum vCPU count must not be less than current") {
        document.find(&["vcpu"])
    } else if says("name ") && says("cannot contain '") {
        document.find(&["name"])
    } else if says("Number of CPUs in <numa> exceeds") || says("At least one numa node") {
        document
            .find(&["cpu", "numa"])
            .or_else(|| document.find(&["maxMemory"]))
    } else if says("Maximum CPUs greater than") {
        document.find(&["vcpu"])
    } else if says("spinlock retry count") {
        document.find(&["features", "hyperv", "spinlocks"])
    } else if says("IOMMU eim requires") {
        document.devices("iommu").next()
    } else if says("requires SMM feature") {
        document.find(&["os", "loader"])
    } else if says("per-device boot elements cannot be used together") {
        document.find(&["os", "boot"])
    } else if says("' used for more than one device") {
        last_device(&document, |node| {
            let order = message.split('\'').nth(1);
            children(node, "boot").any(|boot| boot.attribute("order") == order)
        })
    } else if says("non unique alias detected: ") {
        last_device(&document, |node| {
            let alias = message.split("detected: ").nth(1).map(str::trim);
            children(node, "alias").any(|one| one.attribute("name") == alias)
        })
    } else if says("' not defined in iothreadid") {
        last_device(&document, |node| {
            let iothread = message.split('\'').nth(1);
            children(node, "driver").any(|driver| driver.attribute("iothread") == iothread)
        })
    } else if says("VNC password is ") {
        let too_long = |node: &Node<'_, '_>| {
            let password = node.attribute("passwd").unwrap_or_default();
            node.attribute("type") == Some("vnc") && password.len() > 8
        };
        document.devices("graphics").find(too_long)
    } else if says("is not present in domain") {
        let vcpu: u32 = message.split('\'').nth(1)?.parse().ok()?;
        let tuning = document.find(&["cputune"])?;
        children(tuning, "vcpusched").find(|node| {
            let vcpus = node.attribute("vcpus").and_then(idset::parse);
            vcpus.is_some_and(|vcpus| vcpus.contains(&vcpu))
        })
    } else {
        let taken = message
            .split("double use of PCI Address ")
            .nth(1)
            .or_else(|| message.split("Invalid PCI address ").nth(1))?;
        let taken = taken.split_whitespace().next()?;
        let taken = pci_address(taken.trim_end_matches('.'))?;
        last_device(&document, |device| {
            children(device, "address").any(|address| {
                let number = |name: &str| address.attribute(name).map_or(Some(0), number);
                let address = ["domain", "bus", "slot", "function"].map(number);
                address == taken.map(Some)
            })
        })
    };
    to_blame.map(|node| node.range().start)
}

/// The last device that is meant: the one that was added to what was right before.
fn last_device<'a>(
    document: &'a Document<'_>,
    is_meant: impl Fn(Node<'a, 'a>) -> bool,
) -> Option<Node<'a, 'a>> {
    let devices = document.find(&["devices"])?;
    let mut devices = devices.children().filter(Node::is_element);
    devices.rfind(|device| is_meant(*device))
}

/// `0000:00:1f.2`, as libvirt prints it.
fn pci_address(text: &str) -> Option<[u32; 4]> {
    let mut parts = text.split([':', '.']);
    let mut next = || u32::from_str_radix(parts.next()?, 16).ok();
    Some([next()?, next()?, next()?, next()?])
}

/// As libvirt reads it in an attribute.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn by_words(message: &str, before: &str, after: &str) -> Option<usize> {
    let words = telling(message);
    let old: HashSet<&str> = before.lines().map(str::trim).collect();
    let mut best: Option<(usize, usize)> = None;
    let mut changes = Vec::new();
    let mut offset = 0;
    for line in after.split_inclusive('\n') {
        let said = words.iter().filter(|word| says(line, word)).count();
        let changed = !old.contains(line.trim());
        let indent = line.len() - line.trim_start().len();
        let score = if said == 0 {
            0
        } else {
            said * 2 + usize::from(changed) * 3
        };
        if score > best.map_or(0, |(score, _)| score) {
            best = Some((score, offset + indent));
        }
        if changed {
            changes.push(offset + indent);
        }
        offset += line.len();
    }
    let (_, named) = best?;
    if !message.contains("validate") {
        return Some(named);
    }
    // The schema blames the element around the wrong one; what was fine before is not to blame.
    let inside = extent(after, named).unwrap_or(named..named + 1);
    let to_blame = changes.into_iter().find(|change| inside.contains(change));
    to_blame.or(Some(named))
}

/// Where no word of the message is marked as one of the definition: the changed line with the most
/// attribute values that are words of it, or the only line that changed.
fn by_values(message: &str, before: &str, after: &str) -> Option<usize> {
    let separates = |c: char| c.is_whitespace() || "'\"<>(),;".contains(c);
    let words: HashSet<&str> = message
        .split(separates)
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
        .collect();
    let old: HashSet<&str> = before.lines().map(str::trim).collect();
    let mut offset = 0;
    let mut changed = Vec::new();
    for line in after.split_inclusive('\n') {
        if !old.contains(line.trim()) {
            let values = line.split(['\'', '"']).skip(1).step_by(2);
            let said = values.filter(|value| words.contains(value)).count();
            let indent = line.len() - line.trim_start().len();
            changed.push((said, offset + indent));
        }
        offset += line.len();
    }
    if let [(_, only)] = changed.as_slice() {
        return Some(*only);
    }
    // Of equals the first.
    let (said, place) = changed.into_iter().rev().max_by_key(|(said, _)| *said)?;
    (said > 0).then_some(place)
}

/// From begin to end of the element whose start tag is at `offset`.
fn extent(text: &str, offset: usize) -> Option<Range<usize>> {
    let document = Document::parse(text).ok()?;
    let mut nodes = document.root().descendants();
    nodes
        .find(|node| node.is_element() && node.range().start == offset)
        .map(|node| node.range())
}

/// The words of a message that name something: quoted ones, and what follows "element" or
/// "attribute".
fn telling(message: &str) -> Vec<&str> {
    // The schema's own path and libvirt's fixed words say nothing of the definition.
    let fixed = [
        "domain",
        "interleave",
        "element",
        "xml",
        "for",
        "in",
        "is",
        "not",
    ];
    let quoted = message.split(['\'', '"', '‘', '’']).skip(1).step_by(2);
    let after_kind = message
        .split_whitespace()
        .zip(message.split_whitespace().skip(1))
        .filter(|(kind, _)| {
            matches!(
                kind.to_lowercase().as_str(),
                "element" | "attribute" | "model" | "feature" | "type"
            )
        })
        .map(|(_, word)| word);
    // `Cannot check QEMU binary /…`, and the schema's `has extra content: …`.
    let binary = message.split("QEMU binary ").nth(1).into_iter();
    let extra = message.split("extra content: ").skip(1);
    let at_once = binary
        .chain(extra)
        .filter_map(|rest| rest.split_whitespace().next());
    quoted
        .chain(after_kind)
        .chain(at_once)
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/'))
        .filter(|word| word.len() > 1 && !fixed.contains(&word.to_lowercase().as_str()))
        .collect()
}

/// Whether the word stands in the line as a whole.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        edge(line.get(..at).and_then(|before| before.chars().last()))
            && edge(
                line.get(at + word.len()..)
                    .and_then(|after| after.chars().next()),
            )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_finds_its_line() {
        let before = "<domain>\n  <vcpu>4</vcpu>\n  <devices>\n    <watchdog model='i6300esb'/>\n  </devices>\n</domain>\n";
        let after = before.replace("i6300esb", "itco").replace(
            "<devices>",
            "<cpu>\n    <topology sockets='1' cores='3' threads='1'/>\n  </cpu>\n  <devices>",
        );
        for (message, line) in [
            ("XML error: unknown watchdog model 'itco'", Some(7)),
            // What it names may have been there before.
            (
                "XML error: the element 'vcpu' is not what it should be",
                Some(2),
            ),
            (
                "XML document failed to validate against schema: Unable to validate doc\nExtra element devices in interleave",
                Some(7),
            ),
            (
                "unsupported configuration: CPU topology doesn't match maximum vcpu count",
                Some(4),
            ),
            ("internal error: something else", None),
            // A value of a changed line, whatever is said of it.
            ("internal error: something about a 1 that is not 3", Some(4)),
            (
                "(domain_definition):4: Opening and ending tag mismatch",
                Some(4),
            ),
            (
                "XML document failed to validate against schema: Unable to validate doc against /usr/share/libvirt/schemas/domain.rng\nExtra element cpu in interleave\nElement domain failed to validate content",
                Some(3),
            ),
        ] {
            let found = line_of(message, before, &after).map(|excerpt| excerpt.position.line);
            assert_eq!(found, line, "{message}");
        }
    }

    /// Messages of libvirt 9.0, each with the element it is about on a line of its own.
    #[test]
    fn what_libvirt_means_without_naming_it() {
        let before =
            "<domain>\n  <name>a</name>\n  <vcpu>2</vcpu>\n  <devices>\n  </devices>\n</domain>\n";
        let top = |line: &str| before.replace("  <devices>", &format!("  {line}\n  <devices>"));
        let devices = |lines: &str| before.replace("  </devices>", &format!("{lines}  </devices>"));
        let address = |device: &str, address: &str| {
            format!("    <{device}>\n      <address type='pci' {address}/>\n    </{device}>\n")
        };
        let validate = "XML document failed to validate against schema: Unable to validate doc against /usr/share/libvirt/schemas/domain.rng\n";
        for (message, after, line) in [
            (
                "XML error: Number of CPUs in <numa> exceeds the <vcpu> count".to_owned(),
                top("<cpu>\n    <numa>\n      <cell id='0' cpus='0-5' memory='64'/>\n    </numa>\n  </cpu>"),
                5,
            ),
            (
                "unsupported configuration: boot order '1' used for more than one device".to_owned(),
                devices("    <disk>\n      <boot order='1'/>\n    </disk>\n    <interface>\n      <boot order='1'/>\n    </interface>\n"),
                8,
            ),
            (
                "XML error: Invalid PCI address 0000:01:01.0. slot must be <= 0".to_owned(),
                devices(&address("sound", "bus='0x01' slot='0x01'")),
                5,
            ),
            (
                "unsupported configuration: Disk iothread '7' not defined in iothreadid".to_owned(),
                devices("    <disk>\n      <driver iothread='7'/>\n    </disk>\n"),
                5,
            ),
            (
                "XML error: non unique alias detected: ua-a".to_owned(),
                devices("    <rng>\n      <alias name='ua-a'/>\n    </rng>\n    <sound>\n      <alias name='ua-a'/>\n    </sound>\n"),
                8,
            ),
            (
                format!("{validate}Element domain has extra content: bogus"),
                top("<bogus/>"),
                4,
            ),
            (
                "Cannot check QEMU binary /nonexistent: No such file or directory".to_owned(),
                devices("    <emulator>/nonexistent</emulator>\n"),
                5,
            ),
            (
                "XML error: Attempted double use of PCI Address 0000:00:01.0".to_owned(),
                devices(
                    &[
                        address("sound", "domain='0x0000' bus='0x00' slot='0x01' function='0x0'"),
                        address("video", "slot='1'"),
                        address("watchdog", "slot='0x10'"),
                        address("rng", "bus='0x01' slot='0x01'"),
                    ]
                    .concat(),
                ),
                8,
            ),
            (
                "unsupported configuration: vCPU '2' is not present in domain definition".to_owned(),
                top("<cputune>\n    <vcpusched vcpus='0-1' scheduler='fifo' priority='1'/>\n    <vcpusched vcpus='0-7' scheduler='fifo' priority='1'/>\n  </cputune>"),
                6,
            ),
            (
                "unsupported configuration: maximum vCPU count must not be less than current vCPU count".to_owned(),
                before.replace("<vcpu>", "<vcpu current='4'>"),
                3,
            ),
            (
                "unsupported configuration: VNC password is 15 characters long, only 8 permitted".to_owned(),
                devices("    <graphics type='spice' passwd='123456789012345'/>\n    <graphics type='vnc' passwd='1234'/>\n    <graphics type='vnc' passwd='123456789012345'/>\n"),
                7,
            ),
            (
                "XML error: name x/y cannot contain '/'".to_owned(),
                before.replace(">a<", ">x/y<"),
                2,
            ),
        ] {
            let found = line_of(&message, before, &after).map(|excerpt| excerpt.position.line);
            assert_eq!(found, Some(line), "{message}");
        }
    }
}
