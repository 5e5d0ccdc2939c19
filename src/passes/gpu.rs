//! Hand devices of the host to the guest: a graphics card with its sound.
//!
//! **Ensures** a PCI host device for every address that was named, the functions of one card (`01:00.0`
//! graphics, `01:00.1` sound) as functions of one slot in the guest as well.
//! **Why.** macOS drives sound over HDMI and DisplayPort only when it is a function of the graphics card,
//! as on a real machine; libvirt would give each a root port of its own.
//! **Chooses** the slot the card has already, or a root port that no device uses, or a new one.
//! **On request** (`gpu.virtual-display=remove`) the virtual display goes: graphics, video, and what
//! libvirt refuses without SPICE (its channels, sound, USB redirection).
//! **Leaves alone** `managed`, `<driver>`, `<rom>` and the like of devices that are there, and other
//! host devices.
//! **Applies when** an address is named.
//!
//! ```xml,before
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! <devices>
//!   <controller type='pci' index='0' model='pcie-root'/>
//!   <controller type='pci' index='1' model='pcie-root-port'/>
//! </devices>
//! ```
//! ```xml,after
//! <os>
//!   <type arch='x86_64' machine='q35'>hvm</type>
//! </os>
//! <devices>
//!   <controller type='pci' index='0' model='pcie-root'/>
//!   <controller type='pci' index='1' model='pcie-root-port'/>
//!   <hostdev mode='subsystem' type='pci' managed='yes'>
//!     <source>
//!       <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
//!     </source>
//!     <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0' multifunction='on'/>
//!   </hostdev>
//!   <hostdev mode='subsystem' type='pci' managed='yes'>
//!     <source>
//!       <address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/>
//!     </source>
//!     <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x1'/>
//!   </hostdev>
//! </devices>
//! ```

mod place;
mod virtual_display;

use roxmltree::Node;

use super::elements::{element, with};
use super::pci::Address;
use super::settings::{Setting, Settings, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::{Document, child};
use crate::merge::{Op, Patch};
use crate::text;
use place::Places;

/// The pass.
pub const PASS: Pass = Pass {
    name: "gpu",
    summary: "PCI devices of the host, the functions of a card in one slot of the guest",
    source: include_str!("gpu.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    files: |_, settings, _| {
        let cards = cards(&addresses(settings));
        cards
            .iter()
            .flat_map(|card| card.all_functions())
            .map(sysfs)
            .collect()
    },
    settings: SETTINGS,
    run,
};

const SETTINGS: &[Setting] = &[
    Setting {
        key: "gpu.devices",
        values: "ADDRESS,…",
        about: "PCI addresses on the host as lspci -D prints them: 0000:01:00.0,0000:01:00.1",
        check: |value| {
            let bad = value
                .split(',')
                .find(|address| Address::parse(address.trim()).is_none());
            match bad {
                None => Ok(()),
                Some(bad) => Err(format!(
                    "'{bad}' is no PCI address like 0000:01:00.0 (lspci -D)"
                )),
            }
        },
    },
    Setting {
        key: "gpu.virtual-display",
        values: "keep|remove",
        about: "take graphics, video and what belongs to SPICE away",
        check: |value| one_of(value, &["keep", "remove"]),
    },
];

/// Whether the virtual display is to go.
pub fn removes_display(settings: &Settings) -> bool {
    settings.get("gpu.virtual-display") == Some("remove")
}

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let addresses = addresses(context.settings);
    let removes_display = removes_display(context.settings);
    if addresses.is_empty() && !removes_display {
        return Outcome::NotApplicable(
            "no device was named; --set gpu.devices=0000:01:00.0,0000:01:00.1 does (lspci -D)"
                .to_owned(),
        );
    }
    if let Some((address, line)) = addresses
        .iter()
        .find_map(|address| Some((address, nic(document, *address)?)))
    {
        return Outcome::blocked(format!(
            "{address} is the guest's NIC in line {line} already; leave it out of gpu.devices"
        ));
    }
    let mut patch = Patch::new(
        "gpu",
        match removes_display {
            true => include_str!("../../patches/gpu.xml"),
            false => "<domain/>",
        },
    );
    if removes_display {
        virtual_display::remove(document, &mut patch);
    }
    let cards = cards(&addresses);
    let moving: Vec<Node<'_, '_>> = addresses
        .iter()
        .filter_map(|address| hostdev(document, *address))
        .collect();
    let mut places = Places::of(document, &moving);
    for card in &cards {
        if let Err(reason) = give(document, card, &mut places, &mut patch) {
            return Outcome::blocked(reason);
        }
    }
    places.add_new_ports(&mut patch);

    let mut what = Vec::new();
    if !addresses.is_empty() {
        let list: Vec<String> = addresses.iter().map(Address::to_string).collect();
        what.push(format!("{} of the host in the guest", text::list(&list)));
    }
    if removes_display {
        what.push("no virtual display".to_owned());
    }
    let what = what.join(", ");
    Ensure::new(patch, what.clone(), what)
        .noting(notes(&cards, context))
        .into()
}

/// The functions of one card, lowest first.
struct Card {
    functions: Vec<Address>,
}

impl Card {
    /// The guest's function for each of the host's: the same number where function 0 is among
    /// them, because a slot without it does not exist for the guest.
    fn in_guest(&self) -> Vec<(Address, u32)> {
        let has_first = self
            .functions
            .first()
            .is_some_and(|first| first.function == 0);
        (0..)
            .zip(&self.functions)
            .map(|(count, host)| (*host, if has_first { host.function } else { count }))
            .collect()
    }

    /// Every function the host's slot could have.
    fn all_functions(&self) -> impl Iterator<Item = Address> {
        let first = self.functions.first().copied();
        first
            .into_iter()
            .flat_map(|first| (0..8).map(move |function| Address { function, ..first }))
    }
}

fn addresses(settings: &Settings) -> Vec<Address> {
    let mut addresses: Vec<Address> = settings
        .get("gpu.devices")
        .into_iter()
        .flat_map(|list| list.split(','))
        .filter_map(|address| Address::parse(address.trim()))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn cards(addresses: &[Address]) -> Vec<Card> {
    let slot = |address: &Address| (address.domain, address.bus, address.slot);
    addresses
        .chunk_by(|one, other| slot(one) == slot(other))
        .map(|functions| Card {
            functions: functions.to_vec(),
        })
        .collect()
}

/// The line of a NIC that is this device of the host.
fn nic(document: &Document<'_>, host: Address) -> Option<usize> {
    let mut nics = document.devices("interface").filter(|nic| {
        let source = child(*nic, "source").and_then(|source| child(source, "address"));
        nic.attribute("type") == Some("hostdev") && source.and_then(Address::of) == Some(host)
    });
    let nic = nics.next()?;
    Some(document.position(nic.range().start).line)
}

/// The definition's host device with this source.
fn hostdev<'a>(document: &'a Document<'_>, host: Address) -> Option<Node<'a, 'a>> {
    document.devices("hostdev").find(|hostdev| {
        let source = child(*hostdev, "source").and_then(|source| child(source, "address"));
        hostdev.attribute("type") == Some("pci") && source.and_then(Address::of) == Some(host)
    })
}

/// Puts a card into one slot of the guest.
fn give(
    document: &Document<'_>,
    card: &Card,
    places: &mut Places,
    patch: &mut Patch,
) -> Result<(), String> {
    let present = card
        .functions
        .iter()
        .find_map(|host| Address::of_device(hostdev(document, *host)?));
    let slot = places.slot_for(present)?;
    let several = card.functions.len() > 1;
    for (host, function) in card.in_guest() {
        let place = Address { function, ..slot };
        // libvirt sets the bit for the slot's first function.
        let place = place.to_place(several && function == 0);
        match hostdev(document, host) {
            Some(there) => {
                let moved = with(element("hostdev", &[]), [place]);
                patch.change(&["devices"], there, Op::Merge, moved);
            }
            None => {
                let attributes = [("mode", "subsystem"), ("type", "pci"), ("managed", "yes")];
                let source = with(element("source", &[]), [host.to_source()]);
                let new = with(element("hostdev", &attributes), [source, place]);
                patch.add(&["devices"], Op::Append, new);
            }
        }
    }
    Ok(())
}

/// A file that every PCI device has.
fn sysfs(address: Address) -> String {
    format!("/sys/bus/pci/devices/{address}/vendor")
}

/// Devices that are not there, and functions of a card that stay behind.
fn notes(cards: &[Card], context: &Context<'_>) -> Vec<String> {
    let is_there = |address: Address| {
        let fact = context.facts.files.get(&sysfs(address));
        fact.map(|fact| fact.exists)
    };
    let mut notes = Vec::new();
    for card in cards {
        for function in &card.functions {
            if is_there(*function) == Some(false) {
                notes.push(format!("the host has no PCI device {function}"));
            }
        }
        for other in card.all_functions() {
            if is_there(other) == Some(true) && !card.functions.contains(&other) {
                notes.push(format!(
                    "{other} is a function of the same card; it can be given to the guest as well, and mostly has to"
                ));
            }
        }
    }
    notes
}
