//! `-smp` arguments, and `smp.…` of `-machine`, which win over `<vcpu>` and `<topology>`.

use crate::document::{Document, qemu};
use crate::merge::options::List;

/// Why such an argument makes another topology of this one; `None` when none does. Of the `count` vCPUs
/// `enabled` are there at the start.
///
/// libvirt's own `-smp` comes first, and QEMU takes of each key what is said last,
/// in whichever of the two options (measured with QEMU 7.2).
pub(in crate::passes) fn contradicts(
    document: &Document<'_>,
    count: u32,
    threads: u32,
    enabled: u32,
) -> Option<String> {
    let wanted = |key: &str| match key {
        "cpus" => Some(enabled),
        "maxcpus" => Some(count),
        "cores" => Some(count / threads.max(1)),
        "threads" => Some(threads),
        "sockets" | "dies" | "clusters" | "modules" | "books" | "drawers" => Some(1),
        _ => None,
    };
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let groups = qemu::groups(document.root());
    let mut said: Vec<(String, Option<u32>, &qemu::Group<'_, '_>)> = Vec::new();
    for group in &groups {
        let prefix = match group.option {
            "smp" => "",
            "machine" | "M" => "smp.",
            _ => continue,
        };
        let list = List::parse(group.value());
        // What leads -smp is its count, what leads -machine a type.
        let first = list.first().filter(|_| prefix.is_empty());
        let first = first.map(|text| ("cpus", number(text)));
        let keys = list.keys().filter_map(|key| {
            let value = list.get(key);
            Some((key.strip_prefix(prefix)?, value.as_deref().and_then(number)))
        });
        for (key, value) in first.into_iter().chain(keys) {
            said.retain(|(earlier, ..)| earlier != key);
            said.push((key.to_owned(), value, group));
        }
    }
    let (key, _, group) = said
        .into_iter()
        .find(|(key, value, _)| value.is_none() || *value != wanted(key.as_str()))?;
    let differs = match wanted(&key) {
        Some(wanted) => format!("its {key} would have to be {wanted}"),
        None => format!("what its {key} makes of them is not known"),
    };
    let it = match group.option {
        "smp" => "it".to_owned(),
        _ => format!("smp.{key}"),
    };
    Some(format!(
        "the argument -{} {} (line {}) wins over <vcpu> and <topology>, and {differs}; take {it} out of <qemu:commandline> first",
        group.option,
        group.value(),
        document.position(group.option_arg.range().start).line,
    ))
}
