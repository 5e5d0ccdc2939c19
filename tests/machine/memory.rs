//! memory and memory-backing.

use virt_patch::document::Document;
use virt_patch::passes::guest;
use virt_patch::passes::settings::Settings;

use crate::run::{notes, pass};

#[test]
fn the_template_gets_a_quarter_of_the_host() {
    let case = pass("memory").on_the_template();
    let report = case.makes(
        "<memory>4194304</memory>\n<currentMemory>4194304</currentMemory>",
        "<memory>16459750</memory>\n<currentMemory>16459750</currentMemory>",
    );
    assert_eq!(
        report.reason,
        "4 GiB → 16459750 KiB (15.6 GiB); a quarter of the host's"
    );
    pass("memory")
        .on_the_template()
        .with("memory.size=8GiB")
        .makes(
            "<memory>4194304</memory>\n<currentMemory>4194304</currentMemory>",
            "<memory>8388608</memory>\n<currentMemory>8388608</currentMemory>",
        );
    pass("memory")
        .on_the_template()
        .facts(|facts| facts.memory_kib = None)
        .is_not_for(
            "<memory unit='GiB'>4</memory>",
            "the host's memory is not known; the template's 4 GiB stay, and --memory asks for more",
        );
}

#[test]
fn memory_is_what_was_asked_for() {
    for (settings, before, after) in [
        // The unit that is there stays where the amount is a whole number of it.
        (
            "memory.size=8GiB",
            "<memory unit='GiB'>4</memory>\n<currentMemory unit='GiB'>4</currentMemory>",
            "<memory unit='GiB'>8</memory>\n<currentMemory unit='GiB'>8</currentMemory>",
        ),
        (
            "memory.size=1536MiB",
            "<memory unit='GiB'>4</memory>\n<currentMemory unit='GiB'>4</currentMemory>",
            "<memory unit='KiB'>1572864</memory>\n<currentMemory unit='KiB'>1572864</currentMemory>",
        ),
        (
            "memory.size=8g",
            "<memory unit='KiB'>4194304</memory>\n<currentMemory unit='KiB'>4194304</currentMemory>",
            "<memory unit='KiB'>8388608</memory>\n<currentMemory unit='KiB'>8388608</currentMemory>",
        ),
        (
            "memory.size=8388608",
            "<memory>4194304</memory>",
            "<memory>8388608</memory>",
        ),
        (
            "memory.size=1GB",
            "<memory dumpCore='off'>4194304</memory>",
            "<memory dumpCore='off'>976563</memory>",
        ),
        (
            "memory.size=4TiB",
            "<memory unit='PiB'>1</memory>",
            "<memory unit='KiB'>4294967296</memory>",
        ),
        (
            "memory.size=2PiB",
            "<memory unit='P'>1</memory>",
            "<memory unit='P'>2</memory>",
        ),
        // The same amount in another unit is the same.
        (
            "memory.size=4GiB",
            "<memory>4194304</memory>",
            "<memory>4194304</memory>",
        ),
        (
            "memory.size=4096MiB",
            "<memory unit='GB'>8</memory>\n<currentMemory>1048576</currentMemory>",
            "<memory unit='KiB'>4194304</memory>\n<currentMemory>1048576</currentMemory>",
        ),
        // What is enabled at first stays, unless it was all, or would be more than there is.
        (
            "memory.size=2GiB",
            "<memory unit='GiB'>8</memory>\n<currentMemory unit='GiB'>4</currentMemory>",
            "<memory unit='GiB'>2</memory>\n<currentMemory unit='GiB'>2</currentMemory>",
        ),
        (
            "memory.size=8GiB memory.current=4GiB",
            "<memory unit='GiB'>4</memory>",
            "<memory unit='GiB'>8</memory>\n<currentMemory unit='KiB'>4194304</currentMemory>",
        ),
        (
            "memory.current=2GiB",
            "<memory unit='GiB'>4</memory>\n<currentMemory unit='GiB'>4</currentMemory>",
            "<memory unit='GiB'>4</memory>\n<currentMemory unit='GiB'>2</currentMemory>",
        ),
        (
            "memory.size=2GiB",
            "<name>m</name>",
            "<name>m</name>\n<memory unit='KiB'>2097152</memory>",
        ),
    ] {
        pass("memory").with(settings).makes(before, after);
    }
    pass("memory").is_not_for(
        "<memory unit='GiB'>4</memory>",
        "the memory of an existing domain stays; --memory asks for another amount",
    );
}

#[test]
fn what_else_counts_memory_follows() {
    let numa = |memory: &str, cells: &str| {
        format!("<memory unit='KiB'>{memory}</memory>\n<cpu>\n  <numa>\n{cells}\n  </numa>\n</cpu>")
    };
    let one = |memory: &str| format!("    <cell id='0' cpus='0-3' memory='{memory}' unit='KiB'/>");
    pass("memory").with("memory.size=8GiB").makes(
        &numa("4194304", &one("4194304")),
        &numa("8388608", &one("8388608")),
    );
    // libvirt takes the cell's, whatever <memory> says.
    pass("memory").with("memory.size=8GiB").makes(
        &numa("1024", &one("8388608")),
        &numa("8388608", &one("8388608")),
    );
    let two = "    <cell id='0' cpus='0-1' memory='2' unit='GiB'/>\n    <cell id='1' cpus='2-3' memory='2' unit='GiB'/>";
    pass("memory")
        .with("memory.size=4GiB")
        .keeps(&numa("4194304", two));
    for (domain, reason) in [
        (
            numa("4194304", two),
            "2 NUMA cells share the memory; say in <numa> how much each has",
        ),
        (
            "<maxMemory slots='4' unit='GiB'>6</maxMemory>\n<memory unit='GiB'>4</memory>"
                .to_owned(),
            "<maxMemory> in line 2 is smaller; raise it first",
        ),
        (
            "<memory unit='GiB'>4</memory>\n<devices>\n  <memory model='dimm'/>\n</devices>"
                .to_owned(),
            "a memory device (line 4) adds to <memory>; change both by hand",
        ),
        (
            "<memory unit='parsec'>4</memory>".to_owned(),
            "the amount of <memory> cannot be read: the units are b, KB, KiB, MB, MiB and so on to EB and EiB; K, M, G, T, P and E mean KiB to EiB",
        ),
    ] {
        pass("memory")
            .with("memory.size=8GiB")
            .is_blocked_on(&domain, reason);
    }
    pass("memory")
        .with("memory.size=2GiB memory.current=4GiB")
        .is_blocked_on(
            "<memory unit='GiB'>8</memory>",
            "memory.current (4 GiB) is more than the guest's memory (2 GiB)",
        );
}

#[test]
fn units_hosts_and_balloons_are_noted() {
    for (settings, note) in [
        (
            "memory.size=8GB",
            "GB counts in thousands; GiB is the unit of 1024 that memory comes in",
        ),
        ("memory.size=8GiB", ""),
        (
            "memory.size=128GiB",
            "the host has 65839000 KiB (62.7 GiB) in all",
        ),
        (
            "memory.current=1GiB",
            "without a memory balloon the guest has all of it from the start; --set memballoon.model=virtio gives it one",
        ),
    ] {
        let domain = "<domain>\n  <memory unit='GiB'>4</memory>\n  <devices>\n    <memballoon model='none'/>\n  </devices>\n</domain>";
        let plan = pass("memory").with(settings).plan(domain);
        assert_eq!(notes(&plan.steps[0]), note, "{settings}");
    }
}

#[test]
fn amounts_that_make_no_sense_are_refused() {
    for (value, reason) in [
        (
            "8",
            "8 KiB is less than any guest starts with (without a unit it is KiB)",
        ),
        ("512b", "1 KiB is less than any guest starts with"),
        (
            "8.5GiB",
            "it is a whole number with a unit, such as 8GiB or 8192MiB",
        ),
        (
            "lots",
            "it is a whole number with a unit, such as 8GiB or 8192MiB",
        ),
        ("99999999999TiB", "it is more than any host has"),
        ("16EiB", "it is more than any host has"),
    ] {
        let error = Settings::default().set("memory.size", value).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("'{value}' does not fit the setting 'memory.size': {reason}")
        );
    }
}

const OWN: &str = "<memoryBacking>\n  <nosharepages/>\n</memoryBacking>";
const SHARED: &str =
    "<memoryBacking>\n  <source type='memfd'/>\n  <access mode='shared'/>\n</memoryBacking>";

#[test]
fn pages_are_not_shared_unless_memory_is() {
    for (before, after) in [
        ("<name>m</name>", format!("<name>m</name>\n{OWN}")),
        (
            "<memoryBacking>\n  <hugepages/>\n  <locked/>\n</memoryBacking>",
            "<memoryBacking>\n  <hugepages/>\n  <nosharepages/>\n  <locked/>\n</memoryBacking>"
                .to_owned(),
        ),
        // memfd alone is private.
        (
            "<memoryBacking>\n  <source type='memfd'/>\n</memoryBacking>",
            "<memoryBacking>\n  <nosharepages/>\n  <source type='memfd'/>\n</memoryBacking>"
                .to_owned(),
        ),
    ] {
        pass("memory-backing").makes(before, &after);
    }
    let shared = |line: usize| {
        format!(
            "the guest's memory is shared (line {line}), and the host merges no shared pages anyway; --skip memory-backing, or --set memory-backing.shared=yes for shared memory"
        )
    };
    pass("memory-backing").is_blocked_on(SHARED, &shared(4));
    let cells = "<cpu>\n  <numa>\n    <cell id='0' memAccess='shared'/>\n  </numa>\n</cpu>";
    pass("memory-backing").is_blocked_on(cells, &shared(4));
}

#[test]
fn shared_memory_is_set_up_for_virtiofs() {
    let case = pass("memory-backing").with("memory-backing.shared=yes");
    for (before, after) in [
        ("<name>m</name>", format!("<name>m</name>\n{SHARED}")),
        (
            "<memoryBacking>\n  <hugepages/>\n</memoryBacking>",
            SHARED.replace("<source", "<hugepages/>\n  <source"),
        ),
        // A file can be shared as well; anonymous memory cannot.
        (
            "<memoryBacking>\n  <source type='file'/>\n  <access mode='private'/>\n</memoryBacking>",
            SHARED.replace("memfd", "file"),
        ),
        (
            "<memoryBacking>\n  <source type='anonymous'/>\n</memoryBacking>",
            SHARED.to_owned(),
        ),
    ] {
        case.makes(before, &after);
    }
    case.is_blocked_on(
        OWN,
        "<nosharepages/> in line 3 keeps the host from merging pages, which it never does with shared memory: take it out first",
    );
    case.is_blocked_on(
        "<cpu>\n  <numa>\n    <cell id='0' memAccess='private'/>\n  </numa>\n</cpu>",
        "the NUMA cell in line 4 keeps its memory private (memAccess='private'): change it first",
    );
}

#[test]
fn virtiofs_without_shared_memory_is_reported() {
    let filesystem = "<devices><filesystem><driver type='virtiofs'/></filesystem></devices>";
    for (domain, reported) in [
        (format!("<domain>\n{filesystem}</domain>"), true),
        (format!("<domain>\n{SHARED}{filesystem}</domain>"), false),
        (
            format!(
                "<domain><cpu><numa><cell memAccess='shared'/><cell memAccess='shared'/></numa></cpu>{filesystem}</domain>"
            ),
            false,
        ),
        (
            format!(
                "<domain><cpu><numa><cell memAccess='shared'/><cell/></numa></cpu>{filesystem}</domain>"
            ),
            true,
        ),
        (
            "<domain><devices><filesystem><driver type='path'/></filesystem></devices></domain>"
                .to_owned(),
            false,
        ),
    ] {
        let document = Document::parse_domain(&domain).unwrap();
        let advice = guest::advice(&document);
        assert_eq!(!advice.is_empty(), reported, "{domain}");
        for problem in advice {
            assert_eq!(
                problem.message,
                "virtiofs needs shared memory, which the domain does not have; --set memory-backing.shared=yes adds it"
            );
        }
        // The same list a user sees.
        let plan = pass("features").plan(&domain);
        assert_eq!(!plan.problems.is_empty(), reported);
    }
}
