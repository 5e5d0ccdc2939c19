//! Give the guest a network device its macOS has a driver for.
//!
//! **Ensures** the model of every NIC: virtio from macOS 11 on, vmxnet3 for 10.15, e1000-82545em before.
//! On the template it adds one, on libvirt's network 'default', when there is none.
//! **Why.** macOS shows no network at all for a device without a driver, and libvirt takes any word for a
//! model.
//! **On the root bus** with `nic.root-bus=yes`: several guests did not see a NIC behind a root port that
//! can be hotplugged. It gets a slot that is free.
//! **Leaves alone** MAC addresses, sources and everything else of a NIC, and NICs without a model:
//! those passed through (`hostdev`, `vdpa`) and vhost-user, which is virtio only.
//!
//! ```xml,before
//! <devices>
//!   <interface type='network'>
//!     <mac address='52:54:00:12:34:56'/>
//!     <source network='default'/>
//!     <model type='e1000e'/>
//!   </interface>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <interface type='network'>
//!     <mac address='52:54:00:12:34:56'/>
//!     <source network='default'/>
//!     <model type='virtio'/>
//!   </interface>
//! </devices>
//! ```

use roxmltree::Node;

use super::elements::{element, removed, with};
use super::pci::{Address, Slots};
use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "nic",
    summary: "network devices that this macOS has a driver for",
    source: include_str!("nic.rs"),
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

const SETTINGS: &[Setting] = &[
    Setting {
        key: "nic.model",
        values: "MODEL",
        about: "virtio, vmxnet3, e1000-82545em or another of QEMU's, instead of the macOS release's",
        check: model,
    },
    Setting {
        key: "nic.root-bus",
        values: "yes|no",
        about: "put it on the root bus, for guests that do not see it behind a root port",
        check: |value| one_of(value, &["yes", "no"]),
    },
];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let release = context.settings.macos();
    let (model, why) = match context.settings.get("nic.model") {
        Some(model) => (model, format!("{model} was asked for")),
        None => (
            release.release.nic,
            format!("{} for {release}", release.release.nic),
        ),
    };
    let nics: Vec<Node<'_, '_>> = document.devices("interface").collect();
    if nics.is_empty() && !context.template {
        return Outcome::NotApplicable("the definition has no NIC".to_owned());
    }
    if nics.is_empty() {
        let patch = Patch::new("nic", include_str!("../../patches/nic.xml")).with("model", model);
        let patch = match on_root_bus(context) {
            true => match new_on_root(document, model) {
                Ok(patch) => patch,
                Err(reason) => return Outcome::blocked(reason),
            },
            false => patch,
        };
        return Ensure::new(patch, why, "").into();
    }

    let (fixed, nics): (Vec<_>, Vec<_>) = nics
        .into_iter()
        .partition(|nic| has_no_model(*nic) || is_teamed(*nic));
    if nics.is_empty() {
        return Outcome::NotApplicable(
            "no NIC of the definition can have another model".to_owned(),
        );
    }
    let mut patch = Patch::new("nic", "<domain/>");
    let mut slots = Slots::of(document, &[]);
    for nic in &nics {
        let mut changes = Vec::new();
        if !is_model(*nic, model) {
            changes.push(element("model", &[("type", model)]));
            if model != "virtio" {
                // What virtio's back end is tuned with; libvirt drops it for other models.
                changes.push(removed("driver"));
            }
        }
        if on_root_bus(context) && !is_on_root(*nic) {
            match root_address(document, &mut slots) {
                Ok(address) => changes.push(address.to_place(false)),
                Err(reason) => return Outcome::blocked(reason),
            }
        }
        if !changes.is_empty() {
            let nic_changed = with(element("interface", &[]), changes);
            patch.change(&["devices"], *nic, Op::Merge, nic_changed);
        }
    }
    let place = match on_root_bus(context) {
        true => ", on the root bus",
        false => "",
    };
    Ensure::new(
        patch,
        format!("{why}{place}"),
        format!("{}: {model}{place}", text::count(nics.len(), "NIC")),
    )
    .noting(fixed.iter().map(|nic| {
        let line = document.position(nic.range().start).line;
        match is_teamed(*nic) {
            true => format!(
                "the NIC in line {line} is one of a team, and libvirt takes no other model for it"
            ),
            false => format!(
                "the NIC in line {line} is of the type '{}' and keeps its model",
                nic.attribute("type").unwrap_or_default()
            ),
        }
    }))
    .into()
}

fn is_teamed(nic: Node<'_, '_>) -> bool {
    child(nic, "teaming").is_some()
}

fn on_root_bus(context: &Context<'_>) -> bool {
    context.settings.get("nic.root-bus") == Some("yes")
}

/// The default NIC, with an address.
fn new_on_root(document: &Document<'_>, model: &str) -> Result<Patch, String> {
    let address = root_address(document, &mut Slots::of(document, &[]))?;
    let nic = with(
        element("interface", &[("type", "network")]),
        [
            element("source", &[("network", "default")]),
            element("model", &[("type", model)]),
            address.to_place(false),
        ],
    );
    let mut patch = Patch::new("nic", "<domain/>");
    patch.add(&["devices"], Op::Append, nic);
    Ok(patch)
}

fn root_address(document: &Document<'_>, slots: &mut Slots) -> Result<Address, String> {
    let slot = slots
        .take_on_root(guest::machine(document))
        .ok_or_else(|| {
            format!(
                "the root bus of the machine type '{}' has no free slot; leave nic.root-bus out",
                guest::machine_name(document)
            )
        })?;
    Ok(Address {
        domain: 0,
        bus: 0,
        slot,
        function: 0,
    })
}

fn is_on_root(nic: Node<'_, '_>) -> bool {
    Address::of_device(nic).is_some_and(|address| address.bus == 0)
}

/// Whether it has this model; virtio has two more names, for its generations.
fn is_model(nic: Node<'_, '_>, wanted: &str) -> bool {
    let have = child(nic, "model").and_then(|model| model.attribute("type"));
    have.is_some_and(|have| {
        have == wanted
            || wanted == "virtio"
                && matches!(have, "virtio-transitional" | "virtio-non-transitional")
    })
}

fn has_no_model(nic: Node<'_, '_>) -> bool {
    matches!(
        nic.attribute("type"),
        Some("hostdev" | "vdpa" | "vhostuser")
    )
}

fn model(value: &str) -> Result<(), String> {
    // libvirt's schema has the same characters.
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if value.is_empty() || !value.chars().all(good) {
        return Err("it is one name such as virtio, vmxnet3 or e1000-82545em".to_owned());
    }
    Ok(())
}
