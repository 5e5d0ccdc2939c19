//! Give the guest a display that macOS shows a picture on.
//!
//! **Ensures** SPICE graphics without a listener, and virtio video from macOS 11 on, VGA before.
//! **Why.** macOS has no driver for QXL, Cirrus or Bochs and shows garbage or nothing. A listener on a
//! port is open to everybody who reaches it; viewers on the same host do not need one.
//! **Leaves alone** passwords and other properties of SPICE, VNC beside it, and further video devices.
//! **Not applicable** when `gpu.virtual-display=remove` takes the display away.
//!
//! ```xml,before
//! <devices>
//!   <graphics type='spice' port='-1' autoport='yes'/>
//!   <video>
//!     <model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/>
//!   </video>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <graphics type='spice'>
//!     <listen type='none'/>
//!   </graphics>
//!   <video>
//!     <model type='virtio' heads='1' primary='yes'/>
//!   </video>
//! </devices>
//! ```

use roxmltree::Node;

use super::elements::{element, removed, with};
use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, gpu, guest};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};

/// The pass.
pub const PASS: Pass = Pass {
    name: "display",
    summary: "SPICE without a listener, and a video device that this macOS shows a picture on",
    source: include_str!("display.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: super::no_files,
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "display.video",
    values: "virtio|vga",
    about: "the video device instead of the macOS release's; VGA works everywhere, with one resolution",
    check: |value| one_of(value, &["virtio", "vga"]),
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    if gpu::removes_display(context.settings) {
        return Outcome::NotApplicable(
            "the virtual display goes (gpu.virtual-display=remove)".to_owned(),
        );
    }
    let release = context.settings.macos();
    let (model, why) = match context.settings.get("display.video") {
        Some(model) => (model, "as display.video says".to_owned()),
        None => (release.release.video, format!("for {release}")),
    };
    let mut patch = Patch::new("display", include_str!("../../patches/display.xml"));
    let videos: Vec<Node<'_, '_>> = document.devices("video").collect();
    // libvirt takes the first for the primary one where none is marked.
    let primary = videos
        .iter()
        .find(|video| of_model(**video, "primary") == Some("yes"))
        .or(videos.first());
    match primary {
        Some(video) if of_model(*video, "type") == Some(model) => {}
        Some(video) if is_elsewhere(*video) => {
            return Outcome::blocked(format!(
                "the video device in line {} is drawn by another program (vhostuser), which knows virtio only; change its <driver> first, or --set display.video=virtio",
                document.position(video.range().start).line
            ));
        }
        Some(video) => patch.change(&["devices"], *video, Op::Merge, changed(model)),
        None => {
            let attributes = [("type", model), ("heads", "1"), ("primary", "yes")];
            let new = with(element("video", &[]), [element("model", &attributes)]);
            patch.add(&["devices"], Op::Append, new);
        }
    }
    let others = document
        .devices("graphics")
        .filter_map(|graphics| graphics.attribute("type"))
        .find(|kind| matches!(*kind, "vnc" | "rdp"));
    Ensure::new(
        patch,
        format!("SPICE without a listener, and {model} video {why}"),
        format!("SPICE without a listener, and {model} video"),
    )
    .noting(others.map(|kind| format!("{} stays beside SPICE", kind.to_uppercase())))
    .into()
}

fn is_elsewhere(video: Node<'_, '_>) -> bool {
    child(video, "driver").and_then(|driver| driver.attribute("name")) == Some("vhostuser")
}

fn of_model<'a>(video: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(video, "model")?.attribute(name)
}

/// Another model, without what only the old one has: libvirt refuses QXL's memories and virtio's 3D on
/// others, and more than one head on VGA.
fn changed(model: &str) -> xmltree::Element {
    let mut attributes = vec![("type", model)];
    let mut inside = Vec::new();
    match model {
        "virtio" => attributes.push(("patch:unset", "ram vram vram64 vgamem")),
        _ => {
            attributes.push(("heads", "1"));
            attributes.push(("patch:unset", "ram vram vram64 vgamem blob"));
            inside.push(removed("acceleration"));
        }
    }
    with(
        element("video", &[]),
        [with(element("model", &attributes), inside)],
    )
}
