//! Devices of the throw-away copy: the guest's side stays, the host's side goes.

use super::throwaway::Copy;
use super::tree::Tree;

/// Rebuilds the `<devices>` of a copy.
pub(super) fn replace(copy: &mut Copy<'_>) {
    let Some(devices) = copy.domain.child_mut("devices") else {
        return;
    };
    let before = std::mem::take(&mut devices.children);
    let kept: Vec<Tree> = before
        .into_iter()
        .filter_map(|device| stand_in(copy, device))
        .collect();
    if let Some(devices) = copy.domain.child_mut("devices") {
        devices.children = kept;
    }
}

/// What stands in for a device; `None` when nothing can.
fn stand_in(copy: &mut Copy<'_>, device: Tree) -> Option<Tree> {
    match device.name.as_str() {
        "disk" => disk(copy, device),
        "interface" => interface(copy, device),
        "serial" | "parallel" | "console" | "channel" => Some(character_device(device)),
        "input" => input(copy, device),
        "graphics" => graphics(copy, device),
        "audio" => Some(audio(&device)),
        "video" => Some(video(copy, device)),
        "rng" => rng(copy, device),
        "hostdev" => dropped(copy, "devices of the host (hostdev)"),
        "redirdev" | "redirfilter" | "smartcard" => {
            dropped(copy, "redirected USB devices and smart cards")
        }
        "filesystem" => dropped(copy, "shared file systems"),
        "shmem" => dropped(copy, "shared memory (shmem)"),
        "tpm" => dropped(copy, "the TPM"),
        "memory" => dropped(copy, "memory devices"),
        "vsock" => dropped(copy, "vsock"),
        "lease" | "pstore" | "crypto" => dropped(copy, "leases, crypto and pstore devices"),
        _ => Some(device),
    }
}

fn dropped(copy: &mut Copy<'_>, what: &str) -> Option<Tree> {
    copy.without(what);
    None
}

/// A drive with an empty image of its own, or with no medium.
fn disk(copy: &mut Copy<'_>, mut disk: Tree) -> Option<Tree> {
    const GUEST_SIDE: [&str; 12] = [
        "driver", "target", "address", "alias", "boot", "serial", "wwn", "vendor", "product",
        "geometry", "blockio", "readonly",
    ];
    const WITHOUT_IMAGE: [&str; 3] = ["vhostuser", "vhostvdpa", "nvme"];
    let kind = disk.get("device").unwrap_or("disk").to_owned();
    let removable = matches!(kind.as_str(), "cdrom" | "floppy");
    let type_ = disk.get("type").unwrap_or_default().to_owned();
    if kind == "lun" || WITHOUT_IMAGE.contains(&type_.as_str()) {
        return dropped(
            copy,
            "disks that are devices of the host (lun, vhost-user, nvme)",
        );
    }
    copy.without("disk images, their formats and their back ends");
    disk.keep_only(&GUEST_SIDE);
    disk.attributes
        .retain(|(name, _)| name == "device" || name == "model");
    disk.set("type", "file");
    if let Some(driver) = disk.child_mut("driver") {
        driver.children.clear();
        driver.set("type", "raw");
    }
    let usb = disk.child("target").and_then(|target| target.get("bus")) == Some("usb");
    // A USB drive has no tray that could be empty.
    if removable && !usb {
        return Some(disk);
    }
    let Some(directory) = &copy.options.scratch else {
        return dropped(copy, "disk devices");
    };
    let image = directory.join(format!("disk{}.img", copy.images.len()));
    disk.children
        .push(Tree::new("source").with("file", &image.display().to_string()));
    copy.images.push(image);
    Some(disk)
}

/// The card without its cable: user networking, which reaches nothing while the guest is paused.
fn interface(copy: &mut Copy<'_>, mut interface: Tree) -> Option<Tree> {
    const GUEST_SIDE: [&str; 6] = ["mac", "model", "driver", "address", "alias", "boot"];
    if matches!(interface.get("type"), Some("hostdev" | "vdpa")) {
        return dropped(copy, "network devices of the host");
    }
    copy.without("the host's side of networks");
    interface.attributes.clear();
    interface.set("type", "user");
    interface.keep_only(&GUEST_SIDE);
    if let Some(driver) = interface.child_mut("driver") {
        driver.unset(&["name", "queues", "tx_queue_size"]);
    }
    Some(interface)
}

/// The port, with nobody at the other end.
fn character_device(mut device: Tree) -> Tree {
    device.keep_only(&["target", "address", "alias"]);
    device.attributes.clear();
    device.with("type", "null")
}

fn input(copy: &mut Copy<'_>, input: Tree) -> Option<Tree> {
    match input.get("type") {
        Some("passthrough" | "evdev") => dropped(copy, "input devices of the host"),
        _ => Some(input),
    }
}

/// Only SPICE changes what a guest sees (qxl), and it can do without a socket.
fn graphics(copy: &mut Copy<'_>, graphics: Tree) -> Option<Tree> {
    copy.without("graphics servers");
    let spice = graphics.get("type") == Some("spice");
    spice.then(|| {
        let listen = Tree::new("listen").with("type", "none");
        Tree::new("graphics")
            .with("type", "spice")
            .with_child(listen)
    })
}

/// The same number, which sound devices refer to, and no sound.
fn audio(device: &Tree) -> Tree {
    let silent = Tree::new("audio").with("type", "none");
    match device.get("id") {
        Some(id) => silent.with("id", id),
        None => silent,
    }
}

fn video(copy: &mut Copy<'_>, mut video: Tree) -> Tree {
    if let Some(model) = video.child_mut("model")
        && model.remove("acceleration")
    {
        copy.without("3D acceleration");
    }
    video
}

fn rng(copy: &mut Copy<'_>, rng: Tree) -> Option<Tree> {
    match rng
        .child("backend")
        .and_then(|backend| backend.get("model"))
    {
        Some("egd") => dropped(copy, "random numbers from a socket"),
        _ => Some(rng),
    }
}
