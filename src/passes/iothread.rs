//! Keep the guest's input and output off the cores its vCPUs run on.
//!
//! **Ensures** an iothread that every virtio disk uses, and that it and the emulator's own threads
//! run on the host's first core, which the pass pinning leaves free.
//! **Why.** Without one, disks are served by the emulator's main thread, which also runs display, USB and
//! timers, and which the host may put on any core, a pinned vCPU's as well.
//! **Leaves alone** iothreads that are there (their first is used), disks that have one, disks on
//! SATA, SCSI and USB, which cannot have one, and the pins of other iothreads.
//! **Without a virtio disk** only the emulator is pinned.
//! **Blocked** when the host's cores are unknown.
//!
//! ```xml,before
//! <devices>
//!   <disk type='file' device='disk'>
//!     <driver name='qemu' type='qcow2'/>
//!     <source file='/images/mac.qcow2'/>
//!     <target dev='vda' bus='virtio'/>
//!   </disk>
//! </devices>
//! ```
//! ```xml,after
//! <iothreads>1</iothreads>
//! <cputune>
//!   <emulatorpin cpuset='0,8'/>
//!   <iothreadpin iothread='1' cpuset='0,8'/>
//! </cputune>
//! <devices>
//!   <disk type='file' device='disk'>
//!     <driver name='qemu' type='qcow2' iothread='1'/>
//!     <source file='/images/mac.qcow2'/>
//!     <target dev='vda' bus='virtio'/>
//!   </disk>
//! </devices>
//! ```

use roxmltree::Node;

use super::elements::{element, with};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child, children};
use crate::idset;
use crate::merge::{Op, Patch};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "iothread",
    summary: "virtio disks use an iothread on the host's first core, with the emulator",
    source: include_str!("iothread.rs"),
    needs: Needs {
        cpu: true,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: &[],
    run,
};

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let Some(core) = context.facts.cpu.siblings.first() else {
        return Outcome::blocked(
            "the host's first core is unknown; run this on the host, or give its facts with --host FILE",
        );
    };
    let core = idset::format(&core.iter().copied().collect());
    let mut patch = Patch::new("iothread", include_str!("../../patches/iothread.xml"))
        .with("core", core.clone());
    let disks: Vec<Node<'_, '_>> = document
        .devices("disk")
        .filter(|disk| can_have_one(*disk))
        .collect();
    if disks.is_empty() {
        return Ensure::new(
            patch,
            format!("the emulator stays on the host's first core ({core})"),
            format!("the emulator is on the host's first core ({core})"),
        )
        .noting(["no disk is on virtio, so none can use an iothread".to_owned()])
        .into();
    }

    let present = Iothreads::read(document);
    // One that a disk uses already is the one to pin.
    let used: Vec<&str> = disks.iter().filter_map(|disk| of_disk(*disk)).collect();
    let id = used
        .first()
        .map_or_else(|| present.first().to_string(), |id| (*id).to_owned());
    let elsewhere: Vec<String> = disks
        .iter()
        .filter(|disk| has_one(**disk) && of_disk(**disk) != Some(&id))
        .map(|disk| {
            format!(
                "the disk in line {} stays on an iothread of its own, which is left where it is",
                document.position(disk.range().start).line
            )
        })
        .collect();
    if present.count == 0 && present.listed.is_empty() {
        let mut iothreads = element("iothreads", &[]);
        iothreads
            .children
            .push(xmltree::XMLNode::Text("1".to_owned()));
        patch.add(&[], Op::Merge, iothreads);
    }
    let pin = [("iothread", id.as_str()), ("cpuset", core.as_str())];
    patch.add(&["cputune"], Op::Merge, element("iothreadpin", &pin));
    for disk in disks.iter().filter(|disk| !has_one(**disk)) {
        let driver = element("driver", &[("iothread", &id)]);
        let disk_with_driver = with(element("disk", &[]), [driver]);
        patch.change(&["devices"], *disk, Op::Merge, disk_with_driver);
    }
    let disks = text::count(disks.len() - elsewhere.len(), "virtio disk");
    Ensure::new(
        patch,
        format!("{disks} served by an iothread of its own, on the host's first core ({core}) with the emulator"),
        format!("{disks} served by an iothread, on the host's first core ({core})"),
    )
    .noting(elsewhere)
    .into()
}

/// The one iothread that a disk names.
fn of_disk<'a>(disk: Node<'a, '_>) -> Option<&'a str> {
    child(disk, "driver")?.attribute("iothread")
}

/// virtio-blk devices of QEMU itself; libvirt refuses an iothread for the others.
fn can_have_one(disk: Node<'_, '_>) -> bool {
    let target = child(disk, "target");
    let of_target = |name: &str| target.and_then(|target| target.attribute(name));
    let is_virtio = match of_target("bus") {
        Some(bus) => bus == "virtio",
        // libvirt tells the bus by the name where none is given.
        None => of_target("dev").is_some_and(|dev| dev.starts_with("vd")),
    };
    is_virtio && disk.attribute("type") != Some("vhostuser")
}

fn has_one(disk: Node<'_, '_>) -> bool {
    let driver = child(disk, "driver");
    driver.is_some_and(|driver| {
        // The second form, several iothreads for one disk, is that of libvirt 10.0.
        driver.attribute("iothread").is_some() || child(driver, "iothreads").is_some()
    })
}

/// The iothreads of a definition.
struct Iothreads {
    count: usize,
    /// Numbers from `<iothreadids>`.
    listed: Vec<u32>,
}

impl Iothreads {
    fn read(document: &Document<'_>) -> Iothreads {
        let count = document.text_at(&["iothreads"]);
        let list = document.find(&["iothreadids"]);
        Iothreads {
            count: count.and_then(|count| count.parse().ok()).unwrap_or(0),
            listed: list
                .into_iter()
                .flat_map(|list| children(list, "iothread"))
                .filter_map(|iothread| iothread.attribute("id")?.parse().ok())
                .collect(),
        }
    }

    /// libvirt raises their count to the length of the list, and gives those beyond it the lowest
    /// numbers that are free.
    fn first(&self) -> u32 {
        match self.listed.first() {
            Some(first) if self.listed.len() >= self.count && !self.listed.contains(&1) => *first,
            _ => 1,
        }
    }
}
