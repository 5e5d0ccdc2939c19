//! What a definition promises of the machine QEMU will build.

use roxmltree::Node;

use crate::document::{Document, DocumentError, child, children, qemu, text_of};
use crate::merge::options;

/// What QEMU should have when it runs the definition. An absent part is not promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Processors that are there at the start.
    pub vcpus: Option<u32>,
    pub topology: Option<Topology>,
    /// QEMU's name of the CPU model.
    pub cpu_model: Option<String>,
    pub cpu_vendor: Option<String>,
    pub topoext: bool,
    pub applesmc: Option<AppleSmc>,
    /// Device that has the ACPI PCI hotplug property, and the value it should have.
    pub hotplug: Option<(String, bool)>,
}

/// An `isa-applesmc` device, and its key where the definition has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AppleSmc {
    pub osk: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topology {
    pub sockets: u32,
    pub dies: u32,
    pub cores: u32,
    pub threads: u32,
}

/// Name of the property that takes PCI hotplug away from the native mechanism.
pub(super) const HOTPLUG: &str = "acpi-pci-hotplug-with-bridge-support";

/// Reads the promises of a definition; `kvm` tells whether the processor is a real one.
pub(super) fn expected(definition: &str, kvm: bool) -> Result<Expected, DocumentError> {
    let document = Document::parse_domain(definition)?;
    let root = document.root();
    let mut expected = Expected {
        vcpus: vcpus(&document),
        topology: document.find(&["cpu", "topology"]).and_then(topology),
        applesmc: applesmc(root),
        hotplug: hotplug(root),
        ..Expected::default()
    };
    // An override on the command line replaces libvirt's own processor, all of it.
    match qemu::last(root, "cpu") {
        Some(group) => overridden(&mut expected, group.value()),
        None => defined(&mut expected, &document),
    }
    if !kvm && expected.cpu_model.as_deref() == Some("host") {
        expected.cpu_model = Some("max".to_owned());
    }
    Ok(expected)
}

fn vcpus(document: &Document<'_>) -> Option<u32> {
    let vcpu = document.find(&["vcpu"])?;
    let maximum = text_of(vcpu)?.parse().ok()?;
    let listed = document.find(&["vcpus"]).map(|list| {
        let enabled =
            children(list, "vcpu").filter(|vcpu| vcpu.attribute("enabled") == Some("yes"));
        u32::try_from(enabled.count()).unwrap_or(maximum)
    });
    let current = vcpu
        .attribute("current")
        .and_then(|current| current.parse().ok());
    listed.or(current).or(Some(maximum))
}

fn topology(node: Node<'_, '_>) -> Option<Topology> {
    let number = |name: &str| {
        node.attribute(name)
            .map_or(Some(1), |text| text.parse::<u32>().ok())
    };
    // QEMU 7.2 tells nothing of clusters on x86.
    Some(Topology {
        sockets: number("sockets")?,
        dies: number("dies")?,
        cores: number("cores")?.checked_mul(number("clusters")?)?,
        threads: number("threads")?,
    })
}

fn applesmc(root: Node<'_, '_>) -> Option<AppleSmc> {
    let groups = qemu::groups(root);
    let device = groups.iter().rfind(|group| {
        group.option == "device"
            && options::driver(group.value()).is_some_and(|(driver, _)| driver == "isa-applesmc")
    })?;
    Some(AppleSmc {
        osk: options::get(device.value(), "osk"),
    })
}

fn hotplug(root: Node<'_, '_>) -> Option<(String, bool)> {
    let groups = qemu::groups(root);
    groups
        .iter()
        .rev()
        .filter(|group| group.option == "global")
        .find_map(|group| {
            let property = options::property(group.value())?;
            let (device, name) = property.rsplit_once('.')?;
            let on = matches!(
                options::global_value(group.value())?.as_str(),
                "on" | "yes" | "true" | "y"
            );
            (name == HOTPLUG).then(|| (device.to_owned(), on))
        })
}

fn overridden(expected: &mut Expected, value: &str) {
    expected.cpu_model = value.split(',').next().map(str::to_owned);
    expected.cpu_vendor = options::get(value, "vendor");
    expected.topoext = options::get(value, "topoext").is_some_and(|state| state == "on")
        || has_flag(value, "+topoext");
}

fn has_flag(value: &str, flag: &str) -> bool {
    value.split(',').any(|part| part == flag)
}

fn defined(expected: &mut Expected, document: &Document<'_>) {
    let Some(cpu) = document.find(&["cpu"]) else {
        return;
    };
    let model = child(cpu, "model");
    expected.cpu_model = match cpu.attribute("mode") {
        Some("host-passthrough") => Some("host".to_owned()),
        Some("maximum") => Some("max".to_owned()),
        // The host's processor, when it is a better one.
        Some("custom") | None if cpu.attribute("match") == Some("minimum") => None,
        Some("custom") | None => model.and_then(text_of).map(str::to_owned),
        Some(_) => None,
    };
    expected.cpu_vendor = model
        .and_then(|model| model.attribute("vendor_id"))
        .map(str::to_owned);
    expected.topoext = children(cpu, "feature").any(|feature| {
        feature.attribute("name") == Some("topoext")
            && matches!(
                feature.attribute("policy"),
                None | Some("require" | "force")
            )
    });
}
