//! The passes about processors: fake-core-count, pinning and iothread.

#![allow(clippy::unwrap_used)]

#[path = "common/table.rs"]
mod table;

use table::{domain, host};

/// Eight cores of two threads, numbered i and i + 8.
const EIGHT: &str = "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15";

fn topology(cores: u32, threads: u32) -> String {
    format!(
        "  <cpu mode='host-passthrough'>\n    <topology sockets='1' dies='1' cores='{cores}' threads='{threads}'/>\n  </cpu>\n"
    )
}

/// `<vcpus>` with `enabled` of `total`.
fn list(enabled: u32, total: u32) -> String {
    let entries: String = (0..total)
        .map(|id| match id < enabled {
            true => format!("    <vcpu id='{id}' enabled='yes' hotpluggable='no'/>\n"),
            false => format!("    <vcpu id='{id}' enabled='no' hotpluggable='yes'/>\n"),
        })
        .collect();
    format!("  <vcpus>\n{entries}  </vcpus>\n")
}

#[test]
fn counts_that_are_no_power_of_two() {
    for (asked, total, cores) in [
        (6, 8, 4),
        (10, 16, 8),
        (12, 16, 8),
        (14, 16, 8),
        (24, 32, 16),
    ] {
        let wanted = format!(
            "  <vcpu placement='static' current='{asked}'>{total}</vcpu>\n{}{}",
            list(asked, total),
            topology(cores, 2)
        );
        // The topology pass makes room and is satisfied with what comes of it; alone, the pass
        // makes the same.
        for passes in ["topology,fake-core-count", "fake-core-count"] {
            for vcpus in ["2", "64"] {
                let before = format!(
                    "  <vcpu placement='static'>{vcpus}</vcpu>\n  <cpu mode='host-passthrough'/>\n"
                );
                domain(&before)
                    .on(&host(EIGHT))
                    .set(&format!("fake-core-count.vcpus={asked}"))
                    .run(passes)
                    .becomes_domain(&wanted);
            }
        }
        // Without the setting the topology pass leaves such a definition alone.
        domain(&wanted)
            .on(&host(EIGHT))
            .run("topology,fake-core-count")
            .unchanged()
            .says(&format!("satisfied: {asked} of {total} vCPUs are enabled"));
    }
}

#[test]
fn a_definition_that_counts_so_already() {
    let six = format!(
        "  <vcpu current='6'>8</vcpu>\n{}{}",
        list(6, 8),
        topology(4, 2)
    );
    for (before, after) in [
        (
            "  <vcpu>6</vcpu>\n  <cpu mode='host-passthrough'/>\n".to_owned(),
            six.clone(),
        ),
        // `current` alone does the same for QEMU; the list says it.
        (
            format!("  <vcpu current='6'>8</vcpu>\n{}", topology(4, 2)),
            six.clone(),
        ),
        // An order of some is refused by libvirt, so the list is written anew.
        (
            format!(
                "  <vcpu current='6'>8</vcpu>\n  <vcpus>\n    <vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>\n  </vcpus>\n{}",
                topology(4, 2)
            ),
            String::new(),
        ),
    ] {
        let ran = domain(&before).on(&host(EIGHT));
        match after.as_str() {
            "" => {
                let ran = ran.set("fake-core-count.vcpus=6").run("fake-core-count");
                assert_eq!(ran.element("vcpus"), list(6, 8).trim());
            }
            after => {
                ran.run("fake-core-count").becomes_domain(after);
            }
        }
    }
    // Back to a count that boots: nothing is left of it.
    domain(&six)
        .on(&host(EIGHT))
        .set("topology.vcpus=4")
        .run("topology")
        .becomes_domain(&format!(
            "  <vcpu>4</vcpu>\n{}{}",
            list(4, 4),
            topology(2, 2)
        ));
}

#[test]
fn counts_the_pass_does_not_make() {
    for (vcpus, settings, said) in [
        (
            "4",
            "",
            "not-applicable: macOS boots with 4 vCPUs as they are; ask for others with --set fake-core-count.vcpus=6",
        ),
        (
            "4",
            "fake-core-count.vcpus=6 topology.vcpus=4",
            "blocked: 6 vCPUs cannot be enabled of 4; leave --vcpus out",
        ),
        (
            "4",
            "fake-core-count.vcpus=7",
            "blocked: 7 vCPUs do not fill cores of 2 threads; ask for an even number, or add --set topology.threads=1",
        ),
        (
            "96",
            "",
            "blocked: 96 vCPUs need a topology of 128, and macOS knows at most 64 processors",
        ),
    ] {
        domain(&format!("  <vcpu>{vcpus}</vcpu>\n"))
            .on(&host(EIGHT))
            .set(settings)
            .run("fake-core-count")
            .says(said)
            .unchanged();
    }
}
