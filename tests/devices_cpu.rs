//! The passes about processors: fake-core-count, pinning and iothread.

#![allow(clippy::unwrap_used)]

#[path = "common/table.rs"]
mod table;

use table::{domain, given, host};

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

#[test]
fn an_argument_that_enables_another_count() {
    for (argument, said) in [
        (
            "8",
            "blocked: the argument -smp 8 (line 4) wins over <vcpu> and <topology>, and its cpus would have to be 6; take it out of <qemu:commandline> first",
        ),
        (
            "6,maxcpus=8",
            "changed: macOS does not boot with 6 vCPUs, but with 6 enabled ones of 8",
        ),
    ] {
        given(&format!(
            "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  <vcpu>6</vcpu>\n  <qemu:commandline>\n    <qemu:arg value='-smp'/>\n    <qemu:arg value='{argument}'/>\n  </qemu:commandline>\n</domain>\n"
        ))
        .on(&host(EIGHT))
        .set("fake-core-count.vcpus=6")
        .run("fake-core-count")
        .says(said);
    }
}

/// `<cputune>` with these pins, `vcpu=cpuset …`.
fn pins(pins: &str) -> String {
    let pins: String = pins
        .split_whitespace()
        .map(|pin| {
            let (vcpu, cpuset) = pin.split_once('=').unwrap();
            format!("    <vcpupin vcpu='{vcpu}' cpuset='{cpuset}'/>\n")
        })
        .collect();
    format!("  <cputune>\n{pins}  </cputune>\n")
}

/// Intel's hybrid: six performance cores of two threads, four efficient ones of one.
fn hybrid() -> virt_patch::host::Facts {
    let mut facts = host("0,1 2,3 4,5 6,7 8,9 10,11 12 13 14 15");
    facts.cpu.efficient = vec![12, 13, 14, 15];
    facts
}

#[test]
fn pins_follow_the_real_siblings() {
    for (siblings, vcpus, threads, expected) in [
        // i and i + n.
        (EIGHT, 8, 2, "0=1 1=9 2=2 3=10 4=3 5=11 6=4 7=12"),
        // 2i and 2i + 1.
        ("0,1 2,3 4,5 6,7", 4, 2, "0=2 1=3 2=4 3=5"),
        // Neither.
        ("0,5 1,7 2,4 3,6", 4, 2, "0=1 1=7 2=2 3=4"),
        // A thread is offline: its core serves last.
        ("0,4 1 2,6 3,7", 4, 2, "0=2 1=6 2=3 3=7"),
        // The first core is offline altogether.
        ("1,5 2,6 3,7", 4, 2, "0=2 1=6 2=3 3=7"),
        // One thread per guest core: a host core each …
        ("0,4 1,5 2,6 3,7", 2, 1, "0=1 1=2"),
        // … and on a host without SMT.
        ("0 1 2 3 4", 4, 1, "0=1 1=2 2=3 3=4"),
        // One core.
        ("0,2 1,3", 2, 2, "0=1 1=3"),
    ] {
        let cores = vcpus / threads;
        let tail = topology(cores, threads);
        domain(&format!("  <vcpu>{vcpus}</vcpu>\n{tail}"))
            .on(&host(siblings))
            .run("pinning")
            .becomes_domain(&format!("  <vcpu>{vcpus}</vcpu>\n{}{tail}", pins(expected)))
            .notes(&[]);
    }
}

#[test]
fn pins_where_cores_differ() {
    for (facts, vcpus, threads, expected, notes) in [
        (hybrid(), 8, 2, "0=2 1=3 2=4 3=5 4=6 5=7 6=8 7=9", &[][..]),
        (
            hybrid(),
            12,
            2,
            "0=2 1=3 2=4 3=5 4=6 5=7 6=8 7=9 8=10 9=11 10=12 11=13",
            &[
                "no siblings on the host for the vCPUs 10-11: it has no more cores of 2 threads",
                "efficient cores for the vCPUs 10-11",
            ][..],
        ),
        (
            hybrid(),
            8,
            1,
            "0=2 1=4 2=6 3=8 4=10 5=12 6=13 7=14",
            &["efficient cores for the vCPUs 5-7"][..],
        ),
        (
            host("0 1 2 3 4"),
            4,
            2,
            "0=1 1=2 2=3 3=4",
            &["no siblings on the host for the vCPUs 0-3: it has no more cores of 2 threads"][..],
        ),
        (
            host("0,2 1,3"),
            2,
            1,
            "0=1 1=3",
            &["no host core of its own for the vCPU 1: there are more vCPUs than cores"][..],
        ),
    ] {
        let tail = topology(vcpus / threads, threads);
        domain(&format!("  <vcpu>{vcpus}</vcpu>\n{tail}"))
            .on(&facts)
            .run("pinning")
            .becomes_domain(&format!("  <vcpu>{vcpus}</vcpu>\n{}{tail}", pins(expected)))
            .notes(notes);
    }
}

#[test]
fn pins_that_are_there_are_replaced() {
    let tail = topology(2, 2);
    let wanted = pins("0=1 1=9 2=2 3=10");
    for before in [
        pins("0=0 1=1 2=2 3=3 7=7"),
        pins("3=10 0=0-15"),
        "  <cputune>\n    <shares>2048</shares>\n    <vcpupin vcpu='0' cpuset='5'/>\n    <emulatorpin cpuset='3'/>\n  </cputune>\n"
            .to_owned(),
    ] {
        let ran = domain(&format!("  <vcpu>4</vcpu>\n{before}{tail}"))
            .on(&host(EIGHT))
            .run("pinning")
            .says("changed: 4 vCPUs on 2 cores of the host; its first core (0,8) stays free");
        let tuning = ran.element("cputune");
        for line in wanted.lines().filter(|line| line.contains("vcpupin")) {
            assert!(tuning.contains(line.trim()), "{tuning}");
        }
        assert_eq!(tuning.matches("vcpupin").count(), 4, "{tuning}");
        for kept in ["<shares>", "<emulatorpin cpuset='3'/>"] {
            assert_eq!(tuning.contains(kept), before.contains(kept));
        }
    }
    domain(&format!("  <vcpu>4</vcpu>\n{wanted}{tail}"))
        .on(&host(EIGHT))
        .run("pinning")
        .unchanged()
        .says("satisfied: 2 guest cores have host cores of their own");
}

#[test]
fn only_vcpus_that_run_are_pinned() {
    let tail = topology(4, 2);
    domain(&format!(
        "  <vcpu current='6'>8</vcpu>\n{}{}{tail}",
        list(6, 8),
        pins("0=0 6=6 7=7")
    ))
    .on(&host("0,4 1,5 2,6 3,7"))
    .run("pinning")
    .becomes_domain(&format!(
        "  <vcpu current='6'>8</vcpu>\n{}{}{tail}",
        list(6, 8),
        pins("0=1 1=5 2=2 3=6 4=3 5=7")
    ));
}

#[test]
fn hosts_that_cannot_carry_the_pins() {
    for (facts, vcpus, said) in [
        (
            host("0,4 1,5 2,6 3,7"),
            8,
            "blocked: 8 vCPUs have no place: the host has 4 cores, the first stays free, and the others have 6 threads; ask for fewer with --vcpus",
        ),
        (
            host("0,1"),
            2,
            "blocked: 2 vCPUs have no place: the host has 1 core, the first stays free, and the others have 0 threads; ask for fewer with --vcpus",
        ),
        (
            host(""),
            2,
            "blocked: which threads of the host share a core is unknown; run this on the host, or give its facts with --host FILE",
        ),
    ] {
        domain(&format!(
            "  <vcpu>{vcpus}</vcpu>\n{}",
            topology(vcpus / 2, 2)
        ))
        .on(&facts)
        .run("pinning")
        .unchanged()
        .says(said);
    }
}

#[test]
fn fewer_vcpus_are_asked_for_where_they_were_given() {
    for (siblings, settings, said) in [
        // Those the pass takes: no power of two, and cores are filled.
        (
            "0,6 1,7 2,8 3,9 4,10 5,11",
            "fake-core-count.vcpus=14",
            "ask for fewer with --set fake-core-count.vcpus=10",
        ),
        (
            "0,5 1,6 2,7 3,8 4,9",
            "fake-core-count.vcpus=14",
            "ask for fewer with --set fake-core-count.vcpus=6",
        ),
        (
            "0,2 1,3",
            "fake-core-count.vcpus=14",
            "ask for fewer with --vcpus, without fake-core-count",
        ),
        // The definition has 14 itself.
        (
            "0,6 1,7 2,8 3,9 4,10 5,11",
            "",
            "ask for fewer with --set fake-core-count.vcpus=10 where that pass runs, and with --vcpus where it does not",
        ),
    ] {
        let ran = domain(&format!(
            "  <vcpu current='14'>16</vcpu>\n{}{}",
            list(14, 16),
            topology(8, 2)
        ))
        .on(&host(siblings))
        .set(settings)
        .run("pinning");
        let reason = &ran.0.steps[0].reason;
        let help = reason.rsplit("; ").next().unwrap();
        assert_eq!(help, said, "{reason}");
        ran.unchanged();
    }
}

const DISK: &str = "    <disk type='file' device='disk'>\n      <driver name='qemu' type='qcow2'/>\n      <source file='/a.qcow2'/>\n      <target dev='vda' bus='virtio'/>\n    </disk>\n";

#[test]
fn virtio_disks_get_an_iothread() {
    let devices = |disks: &str| format!("  <devices>\n{disks}  </devices>\n");
    let with_one = |id: &str| DISK.replace("'qcow2'/>", &format!("'qcow2' iothread='{id}'/>"));
    let tuning = |id: &str| {
        format!(
            "  <cputune>\n    <emulatorpin cpuset='0,8'/>\n    <iothreadpin iothread='{id}' cpuset='0,8'/>\n  </cputune>\n"
        )
    };
    let sata = DISK.replace("vda", "sda").replace("virtio", "sata");
    for (before, after) in [
        (
            devices(DISK),
            format!(
                "  <iothreads>1</iothreads>\n{}{}",
                tuning("1"),
                devices(&with_one("1"))
            ),
        ),
        // One that a disk uses is the one of all.
        (
            format!(
                "  <iothreads>2</iothreads>\n{}",
                devices(&format!("{DISK}{}", with_one("2").replace("vda", "vdb")))
            ),
            format!(
                "  <iothreads>2</iothreads>\n{}{}",
                tuning("2"),
                devices(&format!(
                    "{}{}",
                    with_one("2"),
                    with_one("2").replace("vda", "vdb")
                ))
            ),
        ),
        (
            format!(
                "  <iothreadids>\n    <iothread id='4'/>\n  </iothreadids>\n{}",
                devices(DISK)
            ),
            format!(
                "  <iothreadids>\n    <iothread id='4'/>\n  </iothreadids>\n{}{}",
                tuning("4"),
                devices(&with_one("4"))
            ),
        ),
        (
            format!("  <iothreads>0</iothreads>\n{}", devices(DISK)),
            format!(
                "  <iothreads>1</iothreads>\n{}{}",
                tuning("1"),
                devices(&with_one("1"))
            ),
        ),
        // No bus: libvirt tells by the name. SATA cannot have one.
        (
            devices(&format!("{}{sata}", DISK.replace(" bus='virtio'", ""))),
            format!(
                "  <iothreads>1</iothreads>\n{}{}",
                tuning("1"),
                devices(&format!(
                    "{}{sata}",
                    with_one("1").replace(" bus='virtio'", "")
                ))
            ),
        ),
        (
            devices(&sata),
            format!(
                "  <cputune>\n    <emulatorpin cpuset='0,8'/>\n  </cputune>\n{}",
                devices(&sata)
            ),
        ),
    ] {
        domain(&before)
            .on(&host(EIGHT))
            .run("iothread")
            .becomes_domain(&after);
    }
    let two = format!(
        "  <iothreads>4</iothreads>\n{}{}",
        tuning("4"),
        devices(&format!(
            "{}{}",
            with_one("4"),
            with_one("3").replace("vda", "vdb")
        ))
    );
    domain(&two)
        .on(&host(EIGHT))
        .run("iothread")
        .unchanged()
        .says("satisfied: 1 virtio disk served by an iothread, on the host's first core (0,8)");
    domain(&devices(DISK)).run("iothread").unchanged().says(
        "blocked: the host's first core is unknown; run this on the host, or give its facts with --host FILE",
    );
}
