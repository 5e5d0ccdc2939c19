//! Give the guest the USB controller its macOS drives.
//!
//! **Ensures** qemu-xhci (USB 3) from Catalina on, and ich9-ehci1 with its three companions (USB 2) before.
//! **Why.** macOS 14.4 dropped the drivers for USB 2 controllers: keyboard and mouse are dead then. Mojave
//! and older do not start with an xHCI controller of QEMU's.
//! **Replaces** every USB controller by one of the right kind with the same index, so that the
//! addresses of devices stay good. A port the new controller does not have is left to libvirt: xHCI
//! has 15, USB 2 has 6. Where more devices than that keep every port taken, one more is left: libvirt
//! adds a hub for them, which needs a port.
//! **Leaves alone** a controller that is right, and hubs and devices.
//!
//! ```xml,before
//! <devices>
//!   <controller type='usb' index='0' model='ich9-ehci1'/>
//!   <controller type='usb' index='0' model='ich9-uhci1'>
//!     <master startport='0'/>
//!   </controller>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
//! </devices>
//! ```

mod ports;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::elements::{element, with};
use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::macos::Usb;
use crate::merge::{Op, Patch};

/// The pass.
pub const PASS: Pass = Pass {
    name: "usb",
    summary: "the USB controller that this macOS drives",
    source: include_str!("usb.rs"),
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
    key: "usb.controller",
    values: "xhci|usb2",
    about: "qemu-xhci, or ich9-ehci1 with its companions, instead of the macOS release's",
    check: |value| one_of(value, &["xhci", "usb2"]),
}];

/// Ports of qemu-xhci at most, and what virt-manager gives it.
const XHCI_PORTS: u32 = 15;
/// What QEMU gives it where `ports` says nothing.
const XHCI_DEFAULT_PORTS: u32 = 4;
/// Ports of ich9-ehci1.
const EHCI_PORTS: u32 = 6;
/// The companions of ich9-ehci1, for slow devices, and the first of its ports each serves.
const COMPANIONS: [(&str, &str); 3] = [
    ("ich9-uhci1", "0"),
    ("ich9-uhci2", "2"),
    ("ich9-uhci3", "4"),
];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let release = context.settings.macos();
    let (usb, why) = match context.settings.get("usb.controller") {
        Some("usb2") => (Usb::Usb2, "as usb.controller says".to_owned()),
        Some(_) => (Usb::Usb3, "as usb.controller says".to_owned()),
        None => (release.release.usb, format!("for {release}")),
    };
    let name = match usb {
        Usb::Usb2 => "ich9-ehci1 with its companions",
        Usb::Usb3 => "qemu-xhci",
    };
    let new_ports = match usb {
        Usb::Usb2 => EHCI_PORTS,
        Usb::Usb3 => XHCI_PORTS,
    };
    let mut patch = Patch::new("usb", "<domain/>");
    let mut ports: BTreeMap<u32, u32> = BTreeMap::new();
    let mut is_new = false;
    for (index, controllers) in controllers(document) {
        let count = match is_right(&controllers, usb) {
            true => ports_of(&controllers, usb),
            false => {
                replace(&controllers, index, usb, &mut patch);
                is_new = true;
                new_ports
            }
        };
        ports.insert(index, count);
    }
    // libvirt adds a controller of its own choice where the first index has none (measured).
    if let Entry::Vacant(first) = ports.entry(0) {
        for controller in new(0, usb) {
            patch.add(&["devices"], Op::Append, controller);
        }
        first.insert(new_ports);
    }
    let notes = ports::free_lost(document, &ports, is_new, 0, &mut patch);
    Ensure::new(patch, format!("{name} {why}"), format!("{name} is there"))
        .noting(notes)
        .into()
}

/// Makes room for `coming` more devices on the controllers that are there; says what that takes.
pub(super) fn make_room(document: &Document<'_>, coming: usize, patch: &mut Patch) -> Vec<String> {
    let all = controllers(document);
    // Of others than these it is not known; libvirt's own choice has six.
    let has = |controllers: &[Node<'_, '_>]| {
        let is_xhci = |one: &Node<'_, '_>| {
            one.attribute("model")
                .is_some_and(|model| model.ends_with("-xhci"))
        };
        match controllers.iter().any(is_xhci) {
            true => ports_of(controllers, Usb::Usb3),
            false => EHCI_PORTS,
        }
    };
    let ports = all
        .iter()
        .map(|(index, controllers)| (*index, has(controllers)));
    match all.is_empty() {
        true => Vec::new(),
        false => ports::free_lost(document, &ports.collect(), false, coming, patch),
    }
}

/// The USB controllers by index. Those of one index are one controller with its companions; where
/// there is no index, libvirt counts up, companions along with theirs.
fn controllers<'a>(document: &'a Document<'_>) -> BTreeMap<u32, Vec<Node<'a, 'a>>> {
    let mut found: BTreeMap<u32, Vec<Node<'a, 'a>>> = BTreeMap::new();
    let mut unnumbered: Vec<Node<'a, 'a>> = Vec::new();
    for controller in document.devices("controller") {
        if controller.attribute("type") != Some("usb") {
            continue;
        }
        match controller
            .attribute("index")
            .and_then(|index| index.parse().ok())
        {
            Some(index) => found.entry(index).or_default().push(controller),
            None => unnumbered.push(controller),
        }
    }
    for controller in unnumbered {
        let is_companion = controller
            .attribute("model")
            .is_some_and(|model| model.starts_with("ich9-uhci"));
        let last = found.keys().next_back().copied();
        let index = match last {
            Some(last) if is_companion => last,
            Some(last) => last + 1,
            None => 0,
        };
        found.entry(index).or_default().push(controller);
    }
    found
}

fn is_right(controllers: &[Node<'_, '_>], usb: Usb) -> bool {
    let models: BTreeSet<&str> = controllers
        .iter()
        .filter_map(|controller| controller.attribute("model"))
        .collect();
    match usb {
        Usb::Usb3 => models == BTreeSet::from(["qemu-xhci"]),
        Usb::Usb2 => {
            let all = COMPANIONS.iter().map(|(model, _)| *model);
            models == all.chain(["ich9-ehci1"]).collect()
        }
    }
}

fn ports_of(controllers: &[Node<'_, '_>], usb: Usb) -> u32 {
    let said = controllers
        .iter()
        .find_map(|controller| controller.attribute("ports")?.parse().ok());
    match usb {
        Usb::Usb2 => EHCI_PORTS,
        Usb::Usb3 => said.unwrap_or(XHCI_DEFAULT_PORTS),
    }
}

/// One controller takes the place of the first, the rest goes or stands behind it. Their PCI
/// addresses go as well: the functions of one slot do not fit the other kind.
fn replace(controllers: &[Node<'_, '_>], index: u32, usb: Usb, patch: &mut Patch) {
    let mut new = new(index, usb).into_iter();
    for controller in controllers {
        match new.next() {
            Some(new) => patch.change(&["devices"], *controller, Op::Replace, new),
            None => {
                let gone = element("controller", &[]);
                patch.change(&["devices"], *controller, Op::Remove, gone);
            }
        }
    }
    for controller in new {
        patch.add(&["devices"], Op::Append, controller);
    }
}

fn new(index: u32, usb: Usb) -> Vec<xmltree::Element> {
    let index = index.to_string();
    let controller = |model: &str| {
        element(
            "controller",
            &[("type", "usb"), ("index", &index), ("model", model)],
        )
    };
    match usb {
        Usb::Usb3 => {
            let mut xhci = controller("qemu-xhci");
            xhci.attributes
                .insert("ports".to_owned(), XHCI_PORTS.to_string());
            vec![xhci]
        }
        Usb::Usb2 => {
            let companion = |(model, port): (&str, &str)| {
                with(
                    controller(model),
                    [element("master", &[("startport", port)])],
                )
            };
            std::iter::once(controller("ich9-ehci1"))
                .chain(COMPANIONS.map(companion))
                .collect()
        }
    }
}
