//! Whether what is stored is what someone else made of the domain in the moment after our define: then it is
//! not ours to replace. Nothing on the connection tells; what is there and what is not does.

use std::collections::BTreeSet;

use super::compare::{Missing, missing};
use crate::document::DocumentError;

/// Whether `stored`, which should be `after` and is not, comes from someone who had `before` as well: it has
/// nothing of what was changed, and something that neither libvirt nor we can have made of it.
///
/// # Errors
/// One of the three is not well-formed.
pub(super) fn is_someone_elses(
    before: &str,
    after: &str,
    stored: &str,
) -> Result<bool, DocumentError> {
    let paths = |missing: &[Missing]| -> BTreeSet<String> {
        missing.iter().map(|one| one.path.clone()).collect()
    };
    let lost = missing(after, stored)?;
    // What was added or set, and what was taken out.
    let (added, removed) = (missing(after, before)?, missing(before, after)?);
    let (gone, new) = (missing(before, stored)?, missing(stored, before)?);
    let lost = paths(&lost);
    // A whole block of arguments is new where there was none, and theirs stands in its place.
    let is_lost = |path: &String| {
        let inside = format!("{path}/");
        lost.contains(path)
            || (path.ends_with("/commandline") && lost.iter().any(|one| one.starts_with(&inside)))
    };
    let is_ours = !paths(&added).iter().all(is_lost)
        || removed
            .iter()
            .any(|one| is_in(one, &gone) && !is_in(one, &added));
    if is_ours {
        return Ok(false);
    }
    // Of what we set libvirt may have had another opinion, and what we took out it may make anew.
    let is_below = |one: &Missing, others: &[Missing]| {
        others.iter().any(|other| {
            let rest = one.path.strip_prefix(&other.path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let theirs = |one: &Missing| {
        let is_libvirts = is_below(one, &removed) || (!one.is_element && is_below(one, &added));
        !is_libvirts
    };
    Ok(new.iter().chain(&gone).any(theirs))
}

/// A value that was changed is missing on both sides.
fn is_in(one: &Missing, others: &[Missing]) -> bool {
    others.iter().any(|other| other.path == one.path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const Q: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";

    fn domain(inside: &str, args: &[&str]) -> String {
        let args: String = args
            .iter()
            .map(|arg| format!("<qemu:arg value='{arg}'/>"))
            .collect();
        let block = match args.as_str() {
            "" => String::new(),
            args => format!("<qemu:commandline>{args}</qemu:commandline>"),
        };
        format!("<domain {Q}><name>a</name>{inside}{block}</domain>")
    }

    #[test]
    fn only_what_neither_of_us_made_is_someone_elses() {
        let vcpu = |n: u32| format!("<vcpu>{n}</vcpu>");
        let memory = |n: u32| format!("<memory>{n}</memory>");
        let pin = "<cputune><vcpupin vcpu='7' cpuset='0'/></cputune>";
        for (what, before, after, stored, expected) in [
            (
                "another argument than ours",
                domain("", &[]),
                domain("", &["-a"]),
                domain("", &["-b"]),
                true,
            ),
            (
                "an argument beside those that were there",
                domain("", &["-x"]),
                domain("", &["-x", "-a"]),
                domain("", &["-x", "-b"]),
                true,
            ),
            (
                "another value than the one we set",
                domain(&(memory(1) + &vcpu(2)), &[]),
                domain(&(memory(1) + &vcpu(4)), &[]),
                domain(&(memory(5) + &vcpu(2)), &[]),
                true,
            ),
            (
                "a device that was taken out",
                domain("<devices><rng/></devices>", &[]),
                domain("<devices><rng/></devices>", &["-a"]),
                domain("<devices/>", &[]),
                true,
            ),
            (
                "libvirt drops what we added",
                domain("", &[]),
                domain(pin, &[]),
                domain("", &[]),
                false,
            ),
            (
                "libvirt has another opinion of the value",
                domain(&memory(4), &[]),
                domain(&memory(8), &[]),
                domain(&memory(6), &[]),
                false,
            ),
            (
                "libvirt drops a part and adds to the rest",
                domain("", &[]),
                domain(&format!("{pin}<devices><rng/></devices>"), &[]),
                domain("<devices><rng/><controller/></devices>", &[]),
                false,
            ),
            (
                "libvirt makes anew what we took out, at another place",
                domain(
                    "<devices><memballoon><address slot='4'/></memballoon></devices>",
                    &[],
                ),
                domain("<devices/>", &[]),
                domain(
                    "<devices><memballoon><address slot='1'/></memballoon></devices>",
                    &[],
                ),
                false,
            ),
            (
                "another address for the one we took out, and a pin dropped",
                domain("<devices><rng><address slot='4'/></rng></devices>", &[]),
                domain(&format!("{pin}<devices><rng/></devices>"), &[]),
                domain("<devices><rng><address slot='1'/></rng></devices>", &[]),
                false,
            ),
            (
                "what we took out is out",
                domain(&format!("{}<title>t</title>", vcpu(2)), &[]),
                domain(&format!("{}{pin}", vcpu(2)), &[]),
                domain(&format!("{}<devices/>", vcpu(2)), &[]),
                false,
            ),
        ] {
            let found = is_someone_elses(&before, &after, &stored).unwrap();
            assert_eq!(found, expected, "{what}");
        }
    }
}
