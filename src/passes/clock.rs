//! Give the guest the clock and timers macOS expects.
//!
//! **Ensures** a clock in UTC with the timers rtc (ticks that were missed are caught up), pit
//! (delayed), hpet and tsc (the host's own).
//! **Why.** macOS keeps the hardware clock in UTC, and takes time from TSC and HPET; every real
//! Mac has both.
//! **Applies when** the guest is x86_64. libvirt 9.0 and 9.1 refuse an HPET with QEMU 9.0 and
//! later, which has no `-no-hpet` any more; there the machine type's own HPET is left to QEMU.
//! **Leaves alone** further timers, and the basis of an `adjustment` when the clock is in UTC.
//!
//! ```xml,before
//! <clock offset='localtime'>
//!   <timer name='hpet' present='no'/>
//! </clock>
//! ```
//! ```xml,after
//! <clock offset='utc'>
//!   <timer name='rtc' tickpolicy='catchup'/>
//!   <timer name='pit' tickpolicy='delay'/>
//!   <timer name='tsc' present='yes' mode='native'/>
//!   <timer name='hpet' present='yes'/>
//! </clock>
//! ```

use super::guest::QemuVersion;
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, children};
use crate::host::Version;
use crate::merge::{Op, Patch};

/// The pass.
pub const PASS: Pass = Pass {
    name: "clock",
    summary: "a clock in UTC with the timers macOS expects",
    source: include_str!("clock.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: true,
        machine: false,
    },
    settings: &[],
    files: super::no_files,
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let mut patch = Patch::new("clock", include_str!("../../patches/clock.xml"));
    let mut notes = Vec::new();
    let refused = hpet_is_refused(document, context);
    match &refused {
        None => patch.add(&["clock"], Op::Merge, hpet("yes")),
        Some(why) => {
            if hpet_is_on(document) {
                patch.add(&["clock"], Op::Remove, hpet("yes"));
            }
            notes.push(why.clone());
        }
    }
    // Both are about another offset; libvirt refuses a time zone beside UTC, and makes an offset of its
    // own of an adjustment in seconds.
    let adjusted = document
        .attribute(&["clock"], "adjustment")
        .is_some_and(|adjustment| adjustment != "reset");
    let other = adjusted
        || document
            .attribute(&["clock"], "offset")
            .is_some_and(|offset| offset != "utc");
    let patch = match other {
        true => Patch {
            text: include_str!("../../patches/clock-utc.xml").to_owned(),
            ..patch
        },
        false => patch,
    };
    let satisfied = match refused {
        None => "UTC, with rtc, pit, hpet and tsc",
        Some(_) => "UTC, with rtc, pit and tsc",
    };
    Ensure::new(
        patch,
        "macOS keeps the clock in UTC, and takes time from the TSC and the HPET",
        satisfied,
    )
    .noting(notes)
    .into()
}

/// Why this libvirt does not take `present='yes'` with this QEMU.
fn hpet_is_refused(document: &Document<'_>, context: &Context<'_>) -> Option<String> {
    let libvirt = guest::libvirt(context)?;
    let qemu = match guest::qemu_version(document, context.facts) {
        QemuVersion::Exactly(version) | QemuVersion::AtLeast(version) => version,
        QemuVersion::Unknown => return None,
    };
    let broken = (Version::new(9, 0, 0)..Version::new(9, 2, 0)).contains(&libvirt)
        && qemu >= Version::new(9, 0, 0);
    broken.then(|| {
        format!("libvirt {libvirt} refuses <timer name='hpet' present='yes'/> with QEMU {qemu} (9.2 does not); the hpet is left to QEMU")
    })
}

fn hpet_is_on(document: &Document<'_>) -> bool {
    document.find(&["clock"]).is_some_and(|clock| {
        children(clock, "timer").any(|timer| {
            timer.attribute("name") == Some("hpet") && timer.attribute("present") == Some("yes")
        })
    })
}

fn hpet(present: &str) -> xmltree::Element {
    let mut timer = xmltree::Element::new("timer");
    for (name, value) in [("name", "hpet"), ("present", present)] {
        timer.attributes.insert(name.to_owned(), value.to_owned());
    }
    timer
}
