//! Laws for every domain in every formatting, tried on generated ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use common::domains::{domain, partial};
use common::{Job, hosts, laws, verdict};
use virt_patch::document::{Document, Input};
use virt_patch::merge::{self, Patch};
use virt_patch::pipeline::{Plan, Step};
use virt_patch::report::{diff, mask};

fn fail(reason: String) -> TestCaseError {
    TestCaseError::fail(reason)
}

/// A plan's verdicts, with the numbers of lines taken out.
fn verdicts(plan: &Plan) -> Vec<String> {
    let without_line = |reason: String| {
        let mut words: Vec<&str> = Vec::new();
        for word in reason.split(' ') {
            let after_line = words.last().is_some_and(|last| last.ends_with("line"));
            words.push(if after_line { "N" } else { word });
        }
        words.join(" ")
    };
    plan.steps
        .iter()
        .map(|step| format!("{} {}", step.name, without_line(verdict(step))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_a_pass_every_byte_comes_back(domain in domain()) {
        laws::nothing_asked_nothing_changed(&domain.hostile).map_err(fail)?;
    }

    #[test]
    fn a_run_keeps_its_promises(domain in domain(), which in 0usize..14) {
        let (name, job) = &laws::jobs()[which];
        let promise = laws::a_run_keeps_its_promises(job, &domain.hostile);
        prop_assert!(promise.is_ok(), "{name}: {}", promise.unwrap_err());
    }

    #[test]
    fn formatting_decides_nothing(domain in domain(), which in 0usize..14) {
        let (name, job) = &laws::jobs()[which];
        let plain = job.run(&domain.plain).unwrap();
        let hostile = job.run(&domain.hostile).unwrap();
        prop_assert_eq!(verdicts(&plain), verdicts(&hostile), "{}", name);
        let (plain, hostile) = (laws::meaning(&plain.after).unwrap(), laws::meaning(&hostile.after).unwrap());
        prop_assert_eq!(plain, hostile, "{}", name);
    }

    #[test]
    fn any_passes_in_any_order_keep_the_promises(domain in domain(), which in 0usize..14, order in any::<u64>()) {
        let (name, mut job) = laws::jobs().swap_remove(which);
        let mut order = order;
        for index in (1..job.steps.len()).rev() {
            job.steps.swap(index, usize::try_from(order).unwrap() % (index + 1));
            order /= 7;
        }
        job.steps.truncate(1 + which % 6);
        // What the machine is comes first in any order: the others are for that machine.
        let place = |step: &Step| !matches!(step.name(), "domain-type" | "emulator" | "machine");
        job.steps.sort_by_key(place);
        let promise = laws::a_run_keeps_its_promises(&job, &domain.hostile);
        let names: Vec<&str> = job.steps.iter().map(|step| step.name()).collect();
        prop_assert!(promise.is_ok(), "{name}, {names:?}: {}", promise.unwrap_err());
    }

    #[test]
    fn merging_a_patch_twice_is_merging_it_once(domain in domain(), patch in partial()) {
        let patch = Patch::new("patch", patch);
        let document = Document::parse_domain(&domain.hostile).unwrap();
        let Ok(Some(once)) = merge::merged(&document, &patch) else { return Ok(()) };
        let again = Document::parse_domain(&once).map_err(|error| fail(format!("{error}\n{once}")))?;
        let twice = merge::merged(&again, &patch);
        // A patch that appends may make its own other half ambiguous: refused, nothing changed.
        prop_assert!(!matches!(twice, Ok(Some(_))), "once:\n{}\ntwice:\n{:?}", once, twice);
    }

    #[test]
    fn no_text_makes_it_panic(domain in domain(), cuts in proptest::collection::vec(any::<(u16, u16, u8)>(), 0..6)) {
        let mut bytes = domain.hostile.into_bytes();
        for (at, length, what) in cuts {
            let at = usize::from(at) % (bytes.len() + 1);
            let end = (at + usize::from(length) % 40).min(bytes.len());
            let junk: &[u8] = [&b""[..], b"<", b"&", b"]]>", b"<!--", b"\xff", b"\0", b"'", b"<![CDATA[", b">", b"<vcpu>", b"&#0;"][usize::from(what) % 12];
            bytes.splice(at..end, junk.iter().copied());
        }
        survives(&bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }
}

fn survives(bytes: &[u8]) {
    let Ok(input) = Input::decode(bytes) else {
        return;
    };
    let _ = mask::mask_malformed(&input.text);
    let job = Job::profile("macpro7,1", hosts::debian_12());
    match job.run(&input.text) {
        Err(error) => drop(error.to_string()),
        Ok(plan) => {
            let masked = mask::mask_pair(&plan.before, &plan.after);
            let options = diff::DiffOptions {
                context: 3,
                color: true,
                terminal: true,
            };
            let labels = diff::Labels::file("x.xml");
            let _ = diff::unified(&masked.before, &masked.after, &labels, &options);
        }
    }
}
