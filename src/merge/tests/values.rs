//! Values that libvirt reads as the same, or as others than they look.

use super::*;

fn domain(inside: &str) -> String {
    format!("<domain xmlns:patch='urn:virt-patch:1'>{inside}</domain>")
}

#[test]
fn an_amount_without_a_unit_has_libvirts_own() {
    for (before, patch, after) in [
        (
            "<memory unit='GiB'>4</memory>",
            "<memory>8388608</memory>",
            "<memory unit='KiB'>8388608</memory>",
        ),
        (
            "<memory unit='GiB'>4</memory>",
            "<memory dumpCore='on'>4</memory>",
            "<memory unit='KiB' dumpCore='on'>4</memory>",
        ),
        (
            "<maxMemory slots='2' unit='GiB'>4</maxMemory>",
            "<maxMemory slots='4'/>",
            "<maxMemory slots='4' unit='GiB'>4</maxMemory>",
        ),
        (
            "<memory unit='k'>4</memory>",
            "<memory>8</memory>",
            "<memory unit='k'>8</memory>",
        ),
        (
            "<memory>4</memory>",
            "<memory>8</memory>",
            "<memory>8</memory>",
        ),
        (
            "<memory unit='GiB'>4</memory>",
            "<memory patch:unset='unit'>8</memory>",
            "<memory>8</memory>",
        ),
        (
            "<memtune><hard_limit unit='GiB'>4</hard_limit></memtune>",
            "<memtune><hard_limit>8</hard_limit></memtune>",
            "<memtune><hard_limit unit='KiB'>8</hard_limit></memtune>",
        ),
        (
            "<cpu><numa><cell id='0' cpus='0' memory='4' unit='GiB'/></numa></cpu>",
            "<cpu><numa><cell id='0' memory='8'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0' memory='8' unit='KiB'/></numa></cpu>",
        ),
        (
            "<cpu><numa><cell id='0' cpus='0' memory='4' unit='GiB'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0-1'/></numa></cpu>",
            "<cpu><numa><cell id='0' cpus='0-1' memory='4' unit='GiB'/></numa></cpu>",
        ),
        (
            "<cpu><numa><cell id='0'><cache level='1'><line value='8' unit='B'/></cache></cell></numa></cpu>",
            "<cpu><numa><cell id='0'><cache level='1'><line value='16'/></cache></cell></numa></cpu>",
            "<cpu><numa><cell id='0'><cache level='1'><line value='16' unit='B'/></cache></cell></numa></cpu>",
        ),
        (
            "<devices><shmem name='a'><size unit='M'>4</size></shmem></devices>",
            "<devices><shmem name='a'><size>8388608</size></shmem></devices>",
            "<devices><shmem name='a'><size unit='B'>8388608</size></shmem></devices>",
        ),
        (
            "<features><smm state='on'><tseg unit='GiB'>1</tseg></smm></features>",
            "<features><smm><tseg>16</tseg></smm></features>",
            "<features><smm state='on'><tseg unit='MiB'>16</tseg></smm></features>",
        ),
    ] {
        check(&domain(before), &domain(patch), &domain(after));
    }
}

/// libvirt stores one of the spellings.
#[test]
fn the_same_amount_in_another_unit_is_there() {
    for (before, patch) in [
        (
            "<memory unit='KiB'>1048576</memory>",
            "<memory unit='GiB'>1</memory>",
        ),
        (
            "<memory dumpCore='on'>1048576</memory>",
            "<memory unit='MiB' dumpCore='on'>1024</memory>",
        ),
        (
            "<memtune><hard_limit unit='KiB'>9437184</hard_limit></memtune>",
            "<memtune><hard_limit unit='G'>9</hard_limit></memtune>",
        ),
        (
            "<memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages></memoryBacking>",
            "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>",
        ),
        (
            "<memoryBacking><hugepages><page size='2048' unit='KiB' nodeset='0'/></hugepages></memoryBacking>",
            "<memoryBacking><hugepages><page size='2' unit='MiB' nodeset='0'/></hugepages></memoryBacking>",
        ),
        (
            "<cpu><numa><cell id='0' memory='524288' unit='KiB'/></numa></cpu>",
            "<cpu><numa><cell id='0' memory='512' unit='MiB'/></numa></cpu>",
        ),
        (
            "<devices><shmem name='a'><size unit='M'>32</size></shmem></devices>",
            "<devices><shmem name='a'><size unit='MiB'>32</size></shmem></devices>",
        ),
        (
            "<features><smm state='on'><tseg unit='MiB'>48</tseg></smm></features>",
            "<features><smm state='on'><tseg unit='M'>48</tseg></smm></features>",
        ),
    ] {
        check(&domain(before), &domain(patch), &domain(before));
    }
    // What stands beside the amount is another thing.
    check(
        &domain("<memory unit='KiB' dumpCore='on'>1048576</memory>"),
        &domain("<memory unit='GiB' dumpCore='off'>1</memory>"),
        &domain("<memory unit='KiB' dumpCore='off'>1048576</memory>"),
    );
}

#[test]
fn a_uuid_is_the_same_in_any_spelling() {
    let mdev = |uuid: &str, rest: &str| {
        format!(
            "<devices><hostdev mode='subsystem' type='mdev'{rest}><source><address uuid='{uuid}'/></source></hostdev></devices>"
        )
    };
    let (small, capital) = (
        "c2177883-f1bb-47f0-914d-32a22e3a8804",
        "C2177883-F1BB-47F0-914D-32A22E3A8804",
    );
    let bare = small.replace('-', "");
    for (there, said) in [
        (small, capital),
        (capital, small),
        (small, &bare),
        (&bare, capital),
    ] {
        check(
            &domain(&mdev(there, "")),
            &domain(&mdev(said, " display='off'")),
            &domain(&mdev(there, " display='off'")),
        );
        for name in ["uuid", "genid"] {
            let domain = |uuid| domain(&format!("<{name}>{uuid}</{name}>"));
            check(&domain(there), &domain(said), &domain(there));
        }
    }
    // Another, and what is no UUID.
    let other = small.replace('c', "d");
    check(
        &domain(&format!("<uuid>{small}</uuid>")),
        &domain(&format!("<uuid>{other}</uuid>")),
        &domain(&format!("<uuid>{other}</uuid>")),
    );
    check(
        "<domain><title>A</title></domain>",
        "<domain><title>a</title></domain>",
        "<domain><title>a</title></domain>",
    );
}

#[test]
fn blanks_that_the_guest_sees_are_a_part_of_the_text() {
    let disk = |inside: &str| {
        domain(&format!(
            "<devices><disk><target dev='sda'/>{inside}</disk></devices>"
        ))
    };
    for (before, patch, after) in [
        (
            "<serial>  A</serial>",
            "<serial>A</serial>",
            "<serial>A</serial>",
        ),
        (
            "<serial>A</serial>",
            "<serial>  A</serial>",
            "<serial>  A</serial>",
        ),
        (
            "<serial> A </serial>",
            "<serial> A </serial>",
            "<serial> A </serial>",
        ),
        ("", "<vendor> A </vendor>", "<vendor> A </vendor>"),
        (
            "<product> A <!-- --> </product>",
            "<product>A</product>",
            "<product>A<!-- --></product>",
        ),
        (
            "<serial>  A</serial>",
            "<serial patch:op='remove'>A</serial>",
            "<serial>  A</serial>",
        ),
        (
            "<serial> A</serial>",
            "<serial patch:op='replace'>A</serial>",
            "<serial>A</serial>",
        ),
        // What is on lines of its own is laid out so.
        (
            "<serial>B</serial>",
            "<serial>\n  A\n</serial>",
            "<serial>A</serial>",
        ),
        (
            "<serial>\n  A\n</serial>",
            "<serial>A</serial>",
            "<serial>\n  A\n</serial>",
        ),
        // Of these libvirt reads no blanks.
        ("<wwn> A </wwn>", "<wwn>A</wwn>", "<wwn> A </wwn>"),
    ] {
        check(&disk(before), &disk(patch), &disk(after));
    }
}
