//! Give macOS a number of vCPUs it would not boot with.
//!
//! **Ensures** a topology of the next power of two, of whose vCPUs only as many are enabled as were
//! asked for: `current`, and a `<vcpus>` list in which the others wait, disabled.
//! **Why.** XNU boots with a power of two of cores only, but what counts for it is the topology,
//! not how many of its processors are there: 6, 10, 12 or 14 enabled ones run. An enabled vCPU has
//! to be `hotpluggable='no'`, or QEMU starts with one and the rest appears as plugged in later.
//! **Applies when** a count is asked for (`fake-core-count.vcpus`), or the definition itself has one
//! that is no power of two.
//! **Leaves alone** a count that boots as it is.
//! **Blocked** when the vCPUs that are enabled would end in the middle of a core.
//!
//! ```xml,before
//! <vcpu>6</vcpu>
//! ```
//! ```xml,after
//! <vcpu current='6'>8</vcpu>
//! <vcpus>
//!   <vcpu id='0' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='1' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='2' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='3' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='4' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='5' enabled='yes' hotpluggable='no'/>
//!   <vcpu id='6' enabled='no' hotpluggable='yes'/>
//!   <vcpu id='7' enabled='no' hotpluggable='yes'/>
//! </vcpus>
//! <cpu>
//!   <topology sockets='1' dies='1' cores='4' threads='2'/>
//! </cpu>
//! ```

use super::elements::{element, with};
use super::settings::{Setting, Settings};
use super::{Context, Ensure, Needs, Outcome, Pass, guest, topology};
use crate::document::{Document, children};
use crate::merge::{Op, Patch};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fake-core-count",
    summary: "a number of vCPUs that is no power of two, enabled in a topology that is one",
    source: include_str!("fake_core_count.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "fake-core-count.vcpus",
    values: "N",
    about: "this many vCPUs, as 6, 10, 12 or 14, in a topology of the next power of two",
    check: count,
}];

/// How many vCPUs were asked for, when that is the work of this pass.
pub fn asked(settings: &Settings) -> Option<u32> {
    settings.number("fake-core-count.vcpus")
}

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let Some(present) = guest::vcpus(document) else {
        return Outcome::blocked("the text of <vcpu> is not a number");
    };
    let own = u32::try_from(guest::enabled_vcpus(document).len())
        .ok()
        .filter(|own| *own > 0)
        .unwrap_or(present);
    let Some(enabled) = asked(context.settings).or((!own.is_power_of_two()).then_some(own)) else {
        return Outcome::NotApplicable(format!(
            "macOS boots with {own} vCPUs as they are; ask for others with --set fake-core-count.vcpus=6"
        ));
    };
    let total = context
        .settings
        .number("topology.vcpus")
        .unwrap_or(enabled.next_power_of_two());
    if total <= enabled {
        return Outcome::blocked(format!(
            "{enabled} vCPUs cannot be enabled of {total}; leave --vcpus out"
        ));
    }
    if total > topology::XNU_MAX {
        return Outcome::blocked(format!(
            "{enabled} vCPUs need a topology of {total}, and macOS knows at most {} processors",
            topology::XNU_MAX
        ));
    }
    let threads = topology::threads_for(document, context, total);
    if enabled % threads != 0 {
        return Outcome::blocked(format!(
            "{enabled} vCPUs do not fill cores of {threads} threads; ask for an even number, or add --set topology.threads=1"
        ));
    }
    if let Some(reason) = topology::argument::contradicts(document, total, threads, enabled) {
        return Outcome::blocked(reason);
    }
    let patch = match topology::patch(document, present, total, threads) {
        Ok(patch) => patch.with("current", enabled.to_string()),
        Err(reason) => return Outcome::blocked(reason),
    };
    Ensure::new(
        listed(document, patch, enabled, total),
        format!(
            "macOS does not boot with {enabled} vCPUs, but with {enabled} enabled ones of {total}"
        ),
        format!("{enabled} of {total} vCPUs are enabled"),
    )
    .into()
}

/// `<vcpus>` with every vCPU in it: libvirt takes those it does not list for disabled, and counts
/// `current` anew from the list.
fn listed(document: &Document<'_>, mut patch: Patch, enabled: u32, total: u32) -> Patch {
    let there: Vec<_> = document
        .find(&["vcpus"])
        .map(|list| children(list, "vcpu").collect())
        .unwrap_or_default();
    let vcpu = |id: u32| {
        let (is_enabled, is_hotpluggable) = if id < enabled {
            ("yes", "no")
        } else {
            ("no", "yes")
        };
        element(
            "vcpu",
            &[
                ("id", &id.to_string()),
                ("enabled", is_enabled),
                ("hotpluggable", is_hotpluggable),
            ],
        )
    };
    // libvirt refuses a list that orders some of the enabled ones only.
    if there.iter().any(|vcpu| vcpu.attribute("order").is_some()) {
        let list = with(element("vcpus", &[]), (0..total).map(vcpu));
        patch.add(&[], Op::Replace, list);
        return patch;
    }
    for stray in there.iter().filter_map(|vcpu| vcpu.attribute("id")) {
        if stray.parse::<u32>().is_ok_and(|id| id >= total) {
            patch.add(&["vcpus"], Op::Remove, element("vcpu", &[("id", stray)]));
        }
    }
    for id in 0..total {
        patch.add(&["vcpus"], Op::Merge, vcpu(id));
    }
    patch
}

fn count(value: &str) -> Result<(), String> {
    match value.trim().parse::<u32>() {
        Err(_) => Err("it is a number".to_owned()),
        Ok(count) if count.is_power_of_two() => Err(format!(
            "macOS boots with {count} vCPUs as they are: --vcpus {count}"
        )),
        Ok(count) if (3..topology::XNU_MAX).contains(&count) => Ok(()),
        Ok(_) => Err(format!(
            "it is between 3 and {}: macOS knows at most {} processors",
            topology::XNU_MAX - 1,
            topology::XNU_MAX
        )),
    }
}
