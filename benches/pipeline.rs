//! The pipeline as a multiple of what parsing the same document costs.
//!
//! `cargo bench` prints the ratios, each the fastest of many runs, and fails where a limit is broken: a run that
//! changes nothing takes at most 1.5 parses, a full MacPro7,1 retrofit at most 12, however large the document is; a
//! patch of 200 elements merges into 1 MB in at most 3; the whole command `render` takes at most 3 times as long as
//! /bin/true, which does nothing but start and end.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::hint::black_box;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use virt_patch::document::Document;
use virt_patch::host::Facts;
use virt_patch::merge::{self, Patch};
use virt_patch::passes::{self, Context, settings::Settings};
use virt_patch::pipeline::{self, Step};
use virt_patch::profile::Profile;

const HOST: &str = include_str!("../fixtures/hosts/ryzen-5950x.json");
const TEMPLATE: &str = include_str!("../patches/template.xml");
const NO_OP_LIMIT: f64 = 1.5;
const RETROFIT_LIMIT: f64 = 12.0;
const MERGE_LIMIT: f64 = 3.0;
const COMMAND_LIMIT: f64 = 3.0;

fn main() -> ExitCode {
    let facts = Facts::from_json(HOST, "host").unwrap();
    let profile = Profile::shipped("macpro7,1").unwrap();
    let mut settings = Settings::default();
    for (key, value) in &profile.settings {
        settings.set(key, value).unwrap();
    }
    let context = Context {
        facts: &facts,
        settings: &settings,
        template: false,
    };
    let retrofit: Vec<Step> = profile
        .passes
        .iter()
        .map(|name| Step::Pass(passes::find(name).unwrap()))
        .collect();

    println!("document        size     parse    no-op  retrofit  (in parses)");
    let mut broken = false;
    for (name, disks) in [("small", 2), ("usual", 16), ("huge", 2_000)] {
        let text = document(disks);
        let run = |steps: &[Step]| {
            in_parses(&text, || {
                black_box(pipeline::run(black_box(&text), steps, &context).unwrap());
            })
        };
        let ((no_op, _), (full, parse)) = (run(&[]), run(&retrofit));
        println!(
            "{name:<9} {:>8} B {:>7.1} µs {no_op:>7.2} {full:>9.2}",
            text.len(),
            parse.as_secs_f64() * 1e6
        );
        broken |= no_op > NO_OP_LIMIT || full > RETROFIT_LIMIT;
    }
    println!("limits: no-op {NO_OP_LIMIT}, retrofit {RETROFIT_LIMIT}");
    broken |= merges_are_slow();
    broken |= the_command_is_slow();
    if broken {
        println!("a limit is broken");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Merges 200 elements into the huge document: all there already, all to be changed, all new, all to go;
/// and such as have many keys.
fn merges_are_slow() -> bool {
    let disks = |numbers: Range<u32>, op: &str, cache: &str| {
        let disk = |n: u32| {
            format!(
                "<disk type='file' device='disk'{op}><driver cache='{cache}'/><target dev='vd{n}' bus='virtio'/></disk>"
            )
        };
        patch_of(&numbers.map(disk).collect::<String>())
    };
    let hostdevs = |numbers: Range<u32>, more: &str| {
        patch_of(&numbers.map(|n| hostdev(n, more)).collect::<String>())
    };
    let many_hostdevs: String = (0..5_000).map(|n| hostdev(n, "<rom bar='on'/>")).collect();
    let of_hostdevs = document(2).replace("</devices>", &format!("{many_hostdevs}</devices>"));
    let of_disks = document(2_000);
    println!(
        "\n200 elements   merge  (in parses of {} and {} B, which are parsed as well)",
        of_disks.len(),
        of_hostdevs.len()
    );
    let mut broken = false;
    for (name, text, patch) in [
        ("there", &of_disks, disks(900..1_100, "", "none")),
        ("changed", &of_disks, disks(900..1_100, "", "writeback")),
        ("new", &of_disks, disks(5_000..5_200, "", "none")),
        (
            "removed",
            &of_disks,
            disks(900..1_100, " patch:op='remove'", "none"),
        ),
        (
            "appended",
            &of_disks,
            disks(5_000..5_200, " patch:op='append'", "none"),
        ),
        (
            "many keys",
            &of_hostdevs,
            hostdevs(2_000..2_200, "<rom bar='off'/>"),
        ),
    ] {
        let (ratio, _) = in_parses(text, || {
            let document = Document::parse_domain(black_box(text)).unwrap();
            black_box(merge::merged(&document, &patch).unwrap());
        });
        println!("{name:<12} {ratio:>7.2}");
        broken |= ratio > MERGE_LIMIT;
    }
    println!("limit: {MERGE_LIMIT}");
    broken
}

fn patch_of(devices: &str) -> Patch {
    Patch::new(
        "devices",
        format!("<domain xmlns:patch='urn:virt-patch:1'><devices>{devices}</devices></domain>"),
    )
}

fn hostdev(n: u32, more: &str) -> String {
    format!(
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n<source>\n<address domain='0x0000' bus='0x{:02x}' slot='0x{:02x}' function='0x{:x}'/>\n</source>\n{more}\n</hostdev>\n",
        n / 256,
        n / 8 % 32,
        n % 8
    )
}

/// The command as users have it. The one that is built for benches has what the tests' dependencies switch on
/// in others besides, such as asking at each start what the processor is.
fn shipped() -> PathBuf {
    let for_benches = Path::new(env!("CARGO_BIN_EXE_virt-patch"));
    let target = for_benches.ancestors().nth(2).unwrap().join("shipped");
    let mut build = Command::new(env!("CARGO"));
    build
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--release", "--bin", "virt-patch", "--target-dir"])
        .arg(&target);
    assert!(build.status().unwrap().success(), "{build:?}");
    target.join("release/virt-patch")
}

/// Renders files with the passes of macpro7,1 for this very host, and compares with /bin/true.
fn the_command_is_slow() -> bool {
    let directory = tempfile::tempdir().unwrap();
    // As `make install` puts it there. The page cache has what a linker wrote in single pages, and what was copied
    // or read in large pieces: the first takes a sixth longer to start.
    let command = directory.path().join("virt-patch");
    std::fs::copy(shipped(), &command).unwrap();
    let mut broken = false;
    println!("\nrender          time  (in times of /bin/true)");
    for (name, disks) in [("small", 2), ("usual", 16)] {
        let path = directory.path().join(name);
        std::fs::write(&path, document(disks)).unwrap();
        let run = |mut command: Command| {
            let start = Instant::now();
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.unwrap().success(), "{command:?}");
            start.elapsed()
        };
        let (mut nothing, mut whole) = (Duration::MAX, Duration::MAX);
        for _ in 0..300 {
            nothing = nothing.min(run(Command::new("/bin/true")));
            let mut render = Command::new(&command);
            render.arg("render").arg(&path);
            whole = whole.min(run(render));
        }
        let ratio = whole.as_secs_f64() / nothing.as_secs_f64();
        println!("{name:<12} {ratio:>7.2}");
        broken |= ratio > COMMAND_LIMIT;
    }
    println!("limit: {COMMAND_LIMIT}");
    broken
}

/// virt-manager's definition with this many disks more.
fn document(disks: usize) -> String {
    let mut more = String::new();
    for index in 0..disks {
        more.push_str(&format!(
            "    <disk type=\"file\" device=\"disk\">\n      <driver name=\"qemu\" type=\"qcow2\" cache=\"none\" discard=\"unmap\"/>\n      <source file=\"/var/lib/libvirt/images/disk-{index}.qcow2\"/>\n      <target dev=\"vd{index}\" bus=\"virtio\"/>\n      <address type=\"pci\" domain=\"0x0000\" bus=\"0x{:02x}\" slot=\"0x{:02x}\" function=\"0x0\"/>\n      <!-- the data of tenant {index}, do not move without asking, see the runbook for storage -->\n      <serial>SN-{index:08}</serial>\n    </disk>\n",
            index / 32,
            index % 32,
        ));
    }
    TEMPLATE.replace(
        "    <controller type=\"usb\" model=\"ich9-ehci1\"/>\n",
        &format!("{more}    <controller type=\"usb\" model=\"ich9-ehci1\"/>\n"),
    )
}

/// What `run` costs, as a multiple of parsing `text`, and that parse. Both are the fastest of many
/// that take turns: what else the machine does only ever adds, and adds to both.
fn in_parses(text: &str, mut run: impl FnMut()) -> (f64, Duration) {
    let began = Instant::now();
    let (mut parse, mut whole) = (Duration::MAX, Duration::MAX);
    let mut count = 0;
    while count < 20 || (began.elapsed() < Duration::from_millis(1500) && count < 20_000) {
        for _ in 0..3 {
            let start = Instant::now();
            black_box(roxmltree::Document::parse(black_box(text)).unwrap());
            parse = parse.min(start.elapsed());
        }
        let start = Instant::now();
        run();
        whole = whole.min(start.elapsed());
        count += 1;
    }
    (whole.as_secs_f64() / parse.as_secs_f64(), parse)
}
