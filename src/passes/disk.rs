//! Give the guest its disks: OpenCore first, then macOS.
//!
//! **Ensures** a disk for every image given with `--disk`, in this order in the boot order, an
//! image with OpenCore in its name before the others. On virtio from macOS 11 on, on SATA before, with
//! `cache='none'` and `discard='unmap'`, and the format that the image itself has.
//! **Why.** The firmware starts the first disk in the boot order, and OpenCore finds macOS on the
//! others. Releases before Big Sur have no virtio driver and see no such disk. A raw image called
//! qcow2 does not start; a qcow2 called raw starts and is empty.
//! **Applies when** an image is given; new disks get names and places that are free.
//! **Leaves alone** other disks, but for their place in the boot order when ours come before them; a disk
//! that is there with the same source is changed, not added again, and stays a CD-ROM if it is one.
//! **Boot order.** libvirt refuses `<boot dev>` in `<os>` beside orders of devices: what it named gets
//! an order of its own, after the given images.
//! **Blocked** when an image does not exist, is neither raw nor qcow2, or is encrypted and the definition
//! has no `<encryption>` for it; and when a disk that is to be on SATA is read-only or has blocks of more
//! than 512 bytes, which SATA disks cannot have.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//!   <boot dev='hd'/>
//! </os>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! <devices>
//!   <disk type='file' device='disk'>
//!     <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
//!     <source file='/images/OpenCore.qcow2'/>
//!     <target dev='vda' bus='virtio'/>
//!     <boot order='1'/>
//!   </disk>
//! </devices>
//! ```

mod boot;
mod image;
mod obstacle;
mod target;

use roxmltree::Node;

use super::elements::{element, removed, with};
use super::settings::{Setting, Settings, absolute_path, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child};
use crate::macos::DiskBus;
use crate::merge::{Op, Patch};
use crate::text;
use image::Image;
use target::Targets;

/// The pass.
pub const PASS: Pass = Pass {
    name: "disk",
    summary: "the given images as disks, OpenCore first in the boot order",
    source: include_str!("disk.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: |document, settings, _| {
        let mut files = paths(settings);
        if !files.is_empty() {
            // One image must not become two disks because it was named by a link.
            let sources = document.devices("disk").filter_map(image::source);
            files.extend(sources.map(str::to_owned));
        }
        files
    },
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "disk.paths",
        values: "PATH,…",
        about: "images or block devices, in their boot order; a comma in a path is doubled (option --disk)",
        check: |value| split(value).iter().try_for_each(|path| absolute_path(path)),
    },
    Setting {
        key: "disk.bus",
        values: "virtio|sata",
        about: "their bus instead of the macOS release's",
        check: |value| one_of(value, &["virtio", "sata"]),
    },
    Setting {
        key: "disk.format",
        values: "raw|qcow2",
        about: "the format of images that cannot be looked at",
        check: |value| one_of(value, &["raw", "qcow2"]),
    },
];

/// As one value of `disk.paths`.
pub fn joined<S: AsRef<str>>(paths: &[S]) -> String {
    let escaped: Vec<String> = paths
        .iter()
        .map(|path| path.as_ref().replace(',', ",,"))
        .collect();
    escaped.join(",")
}

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let paths = paths(context.settings);
    if paths.is_empty() {
        return Outcome::NotApplicable("no image was given; --disk PATH adds one".to_owned());
    }
    let mut images = Vec::new();
    for path in &paths {
        match Image::look(path, context) {
            Ok(image) => {
                let is_there = |other: &Image<'_>| {
                    image.identity.is_some() && other.identity == image.identity
                };
                if !images.iter().any(is_there) {
                    images.push(image);
                }
            }
            Err(reason) => return Outcome::blocked(reason),
        }
    }
    // Stable: those of one kind stay in the order they were given in.
    images.sort_by_key(|image| !image.is_opencore);

    let release = context.settings.macos();
    let bus = context.settings.get("disk.bus").unwrap_or({
        match release.release.disk_bus {
            DiskBus::Virtio => "virtio",
            DiskBus::Sata => "sata",
        }
    });
    let text = match document.find(&["os", "boot"]) {
        Some(_) => include_str!("../../patches/disk.xml"),
        None => "<domain/>",
    };
    let mut patch = Patch::new("disk", text);
    let orders = boot::Orders::of(document, &images, context.facts);
    orders.move_others(&mut patch);
    let mut targets = Targets::of(document, bus);
    let mut stays = Vec::new();
    for (image, order) in images.iter().zip(&orders.of_images) {
        let disk = image.disk_of(document, context.facts);
        if let Some(kind) = disk.and_then(|disk| disk.attribute("device"))
            && kind != "disk"
        {
            let its_bus = disk.and_then(|disk| child(disk, "target")?.attribute("bus"));
            stays.push(format!(
                "'{}' is a {kind} and stays on {}",
                image.path,
                its_bus.unwrap_or("its bus")
            ));
        }
        if let Some(reason) = obstacle::of(document, image, disk, bus) {
            return Outcome::blocked(reason);
        }
        match disk {
            Some(disk) => update(disk, image, bus, *order, &mut targets, &mut patch),
            None => {
                let new = new(image, bus, &targets.next(), *order);
                patch.add(&["devices"], Op::Append, new);
            }
        }
    }
    let names: Vec<String> = images
        .iter()
        .map(|image| format!("'{}'", image.path))
        .collect();
    let bus_of = match context.settings.get("disk.bus") {
        Some(_) => bus.to_owned(),
        None => format!("{bus} for {release}"),
    };
    Ensure::new(
        patch,
        match stays.len() == names.len() {
            true => format!("{} in the boot order", names.join(", then ")),
            false => format!("{} in the boot order, on {bus_of}", names.join(", then ")),
        },
        format!(
            "{} there, in this boot order",
            text::count(names.len(), "disk")
        ),
    )
    .noting(stays)
    .into()
}

fn new(image: &Image<'_>, bus: &str, dev: &str, order: u32) -> xmltree::Element {
    let kind = if image.is_block { "block" } else { "file" };
    with(
        element("disk", &[("type", kind), ("device", "disk")]),
        [
            element(
                "driver",
                &[
                    ("name", "qemu"),
                    ("type", &image.format.to_string()),
                    ("cache", "none"),
                    ("discard", "unmap"),
                ],
            ),
            element("source", &[(image.source_attribute(), image.path)]),
            element("target", &[("dev", dev), ("bus", bus)]),
            element("boot", &[("order", &order.to_string())]),
        ],
    )
}

/// A disk that has this source already.
fn update(
    disk: Node<'_, '_>,
    image: &Image<'_>,
    bus: &str,
    order: u32,
    targets: &mut Targets,
    patch: &mut Patch,
) {
    let format = image.format.to_string();
    let mut driver = vec![("type", format.as_str())];
    let mut changed = Vec::new();
    if obstacle::is_disk(disk) {
        driver.extend([("cache", "none"), ("discard", "unmap")]);
        if target::bus(disk) != Some(bus) {
            // Names are kept apart by bus, and addresses are of another kind.
            let dev = targets.next();
            let target = [
                ("dev", dev.as_str()),
                ("bus", bus),
                ("patch:unset", "rotation_rate removable tray"),
            ];
            changed.push(element("target", &target));
            changed.push(removed("address"));
            // Only SCSI disks and IDE ones have these.
            changed.extend(["vendor", "product", "wwn", "geometry"].map(removed));
            if bus == "sata" {
                // Only virtio disks have these.
                driver.push((
                    "patch:unset",
                    "iothread queues queue_size iommu ats packed event_idx ioeventfd page_per_vq",
                ));
            }
        }
    }
    if child(disk, "driver").is_none() {
        driver.insert(0, ("name", "qemu"));
    }
    changed.insert(0, element("driver", &driver));
    changed.push(element("boot", &[("order", &order.to_string())]));
    let moves = target::bus(disk) != Some(bus);
    let own: &[(&str, &str)] = match moves {
        // virtio-transitional and its like.
        true => &[("patch:unset", "model")],
        false => &[],
    };
    patch.change(
        &["devices"],
        disk,
        Op::Merge,
        with(element("disk", own), changed),
    );
}

fn paths(settings: &Settings) -> Vec<String> {
    let mut paths = settings.get("disk.paths").map(split).unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

/// Paths between commas; a doubled comma belongs to a path.
fn split(value: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = value;
    let mut path = String::new();
    while let Some((before, after)) = rest.split_once(',') {
        path.push_str(before);
        match after.strip_prefix(',') {
            Some(after) => {
                path.push(',');
                rest = after;
            }
            None => {
                paths.push(std::mem::take(&mut path));
                rest = after;
            }
        }
    }
    path.push_str(rest);
    paths.push(path);
    paths
}
