//! What keeps an image from being a disk of this definition.

use roxmltree::Node;

use super::image::Image;
use crate::document::{Document, child};

/// Why an image cannot be a disk, which it is already where `disk` is given.
pub(super) fn of(
    document: &Document<'_>,
    image: &Image<'_>,
    disk: Option<Node<'_, '_>>,
    bus: &str,
) -> Option<String> {
    if image.is_encrypted && !disk.is_some_and(has_encryption) {
        return Some(format!(
            "'{}' is encrypted, and without an <encryption> that names a secret of libvirt's the guest would see ciphertext, or not start; add this disk by hand (virsh secret-define), and give --disk images that are not encrypted",
            image.path
        ));
    }
    let disk = disk.filter(|disk| is_disk(*disk) && bus == "sata")?;
    let line = document.position(disk.range().start).line;
    // libvirt: "readonly sata disks are not supported".
    if child(disk, "readonly").is_some() {
        return Some(format!(
            "the disk in line {line} is read-only, which libvirt refuses on SATA; --set disk.bus=virtio has it on virtio, where the firmware sees it and macOS from 11 on, or take <readonly/> out, if the guest may write to '{}'",
            image.path
        ));
    }
    // QEMU does not start with another size, with or without discard.
    let size = child(disk, "blockio")?
        .attribute("logical_block_size")?
        .trim();
    size.parse::<u32>().is_ok_and(|size| size > SATA_BLOCK).then(|| {
        format!(
            "the disk in line {line} has blocks of {size} bytes (<blockio>), and QEMU's SATA disks have {SATA_BLOCK}, with which a guest does not find its partitions; --set disk.bus=virtio has it on virtio, which macOS from 11 on drives, or take <blockio> out, if nothing is on it yet"
        )
    })
}

/// Bytes in a block of every SATA and IDE disk of QEMU's.
const SATA_BLOCK: u32 = 512;

/// Not a CD-ROM, which stays where it is, nor a LUN, which is the host's own disk.
pub(super) fn is_disk(disk: Node<'_, '_>) -> bool {
    matches!(disk.attribute("device"), None | Some("disk"))
}

/// libvirt takes it in both places.
fn has_encryption(disk: Node<'_, '_>) -> bool {
    [Some(disk), child(disk, "source")]
        .into_iter()
        .flatten()
        .any(|parent| child(parent, "encryption").is_some())
}
