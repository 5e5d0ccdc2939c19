//! What conditions and placeholders of patches can ask: the host, the guest and the settings,
//! each under a name. The values are those the passes decide from.

use crate::document::Document;
use crate::merge::Facts;
use crate::merge::condition::Fact;
use crate::passes::guest::{self, QemuVersion};
use crate::passes::{Context, Needs, settings};

/// Something that has a name in conditions and placeholders.
pub struct Name {
    /// The name.
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static str,
    value: fn(&Document<'_>, &Context<'_>) -> Option<String>,
}

/// Every name beside the settings and what a patch declares itself.
pub const NAMES: &[Name] = &[
    Name {
        name: "host.cpu.vendor",
        about: "the host's CPU vendor: AuthenticAMD, GenuineIntel, HygonGenuine",
        value: |_, context| context.facts.cpu.vendor.clone(),
    },
    Name {
        name: "host.cpu.model",
        about: "the host's CPU model, as it calls itself",
        value: |_, context| context.facts.cpu.model.clone(),
    },
    Name {
        name: "host.cpu.sockets",
        about: "the host's number of sockets",
        value: |_, context| number(context.facts.cpu.sockets),
    },
    Name {
        name: "host.cpu.dies",
        about: "the host's number of dies per socket",
        value: |_, context| number(context.facts.cpu.dies),
    },
    Name {
        name: "host.cpu.cores",
        about: "the host's number of cores per die",
        value: |_, context| number(context.facts.cpu.cores),
    },
    Name {
        name: "host.cpu.threads",
        about: "the host's number of threads per core",
        value: |_, context| number(context.facts.cpu.threads),
    },
    Name {
        name: "host.cpu.features",
        about: "the host's CPU flags as Linux spells them, with a space between any two",
        value: |_, context| {
            context
                .facts
                .cpu
                .features
                .as_ref()
                .map(|flags| flags.join(" "))
        },
    },
    Name {
        name: "host.memory",
        about: "the host's memory in KiB",
        value: |_, context| number(context.facts.memory_kib),
    },
    Name {
        name: "host.kvm",
        about: "whether the host has hardware virtualization: yes or no",
        value: |_, context| context.facts.kvm.map(yes_or_no),
    },
    Name {
        name: "host.libvirt",
        about: "the version of libvirt",
        value: libvirt,
    },
    Name {
        name: "libvirt",
        about: "the version of libvirt, for short",
        value: libvirt,
    },
    Name {
        name: "host.qemu",
        about: "the version of the QEMU that runs the guest",
        value: qemu,
    },
    Name {
        name: "qemu",
        about: "the version of the QEMU that runs the guest, for short",
        value: qemu,
    },
    Name {
        name: "guest.name",
        about: "the guest's name",
        value: |document, _| document.text_at(&["name"]).map(str::to_owned),
    },
    Name {
        name: "guest.uuid",
        about: "the guest's UUID",
        value: |document, _| document.text_at(&["uuid"]).map(str::to_owned),
    },
    Name {
        name: "guest.type",
        about: "the guest's domain type: kvm, qemu, lxc, …",
        value: |document, _| document.root().attribute("type").map(str::to_owned),
    },
    Name {
        name: "guest.os",
        about: "the guest's kind of system: hvm, linux, exe",
        value: |document, _| document.text_at(&["os", "type"]).map(str::to_owned),
    },
    Name {
        name: "guest.arch",
        about: "the guest's architecture; x86_64 where none is named",
        value: |document, _| {
            let arch = document.attribute(&["os", "type"], "arch");
            Some(arch.unwrap_or("x86_64").to_owned())
        },
    },
    Name {
        name: "guest.machine",
        about: "the guest's machine type; pc where none is named",
        value: |document, _| Some(guest::machine_name(document).to_owned()),
    },
    Name {
        name: "guest.firmware",
        about: "the guest's firmware: efi or bios",
        value: |document, _| Some(firmware(document).to_owned()),
    },
    Name {
        name: "guest.vcpus",
        about: "the guest's number of vCPUs",
        value: |document, _| number(guest::vcpus(document)),
    },
    Name {
        name: "guest.cpu.mode",
        about: "the guest's <cpu mode>; custom where none is named",
        value: |document, _| {
            let mode = document.attribute(&["cpu"], "mode");
            Some(mode.unwrap_or("custom").to_owned())
        },
    },
    Name {
        name: "guest.memory.shared",
        about: "whether the guest's memory is shared with other processes: yes or no",
        value: |document, _| Some(yes_or_no(guest::sharing(document).is_some())),
    },
    Name {
        name: "guest.memory.private",
        about: "whether a NUMA cell of the guest keeps its memory to itself: yes or no",
        value: |document, _| Some(yes_or_no(guest::private_cell(document).is_some())),
    },
    Name {
        name: "guest.usb",
        about: "whether the guest has USB: yes, or no where it is switched off",
        value: |document, _| Some(yes_or_no(!guest::lacks_usb(document))),
    },
    Name {
        name: "guest.graphics",
        about: "the types of the guest's graphics, with a space between any two; none without any",
        value: |document, _| Some(graphics(document)),
    },
    Name {
        name: "guest.hyperv",
        about: "who chooses the guest's Hyper-V enlightenments: custom, passthrough, or none",
        value: |document, _| Some(hyperv(document).to_owned()),
    },
];

/// The facts for patches of one definition.
pub fn facts(document: &Document<'_>, context: &Context<'_>) -> Facts {
    let named = NAMES.iter().map(|name| {
        let fact = match (name.value)(document, context) {
            Some(value) => Fact::Is(value),
            None => Fact::Unknown(subject(name.about).to_owned()),
        };
        (name.name.to_owned(), fact)
    });
    let set = settings::all().map(|setting| {
        let fact = match context.settings.get(setting.key) {
            Some(value) => Fact::Is(value.to_owned()),
            None => Fact::Unset(format!("say it with --set {}=…", setting.key)),
        };
        (setting.key.to_owned(), fact)
    });
    // The other way round a version that was set would hide the one that is there.
    set.chain(named).collect()
}

/// Which facts of the host a patch may ask for.
pub fn needs(patch: &crate::merge::Patch) -> Needs {
    Needs {
        // libvirt's version comes along with these.
        cpu: patch.mentions("host.cpu")
            || patch.mentions("libvirt")
            || patch.mentions("host.libvirt"),
        emulators: patch.mentions("qemu") || patch.mentions("host.qemu"),
        machine: patch.mentions("host.kvm") || patch.mentions("host.memory"),
        ..Needs::default()
    }
}

/// What the description speaks of, without the values it lists.
fn subject(about: &str) -> &str {
    about.split([':', ';', ',']).next().unwrap_or(about)
}

fn libvirt(_: &Document<'_>, context: &Context<'_>) -> Option<String> {
    let version = context.settings.libvirt().or(context.facts.libvirt)?;
    Some(version.to_string())
}

fn qemu(document: &Document<'_>, context: &Context<'_>) -> Option<String> {
    match guest::qemu_version(document, context.facts) {
        QemuVersion::Exactly(version) => Some(version.to_string()),
        QemuVersion::AtLeast(_) | QemuVersion::Unknown => None,
    }
}

fn firmware(document: &Document<'_>) -> &'static str {
    let efi = document.attribute(&["os"], "firmware") == Some("efi")
        || document.attribute(&["os", "loader"], "type") == Some("pflash");
    if efi { "efi" } else { "bios" }
}

fn graphics(document: &Document<'_>) -> String {
    let types = document.devices("graphics");
    let types: Vec<&str> = types.filter_map(|one| one.attribute("type")).collect();
    match types.as_slice() {
        [] => "none".to_owned(),
        types => types.join(" "),
    }
}

/// libvirt's default for the mode is custom.
fn hyperv<'a>(document: &'a Document<'_>) -> &'a str {
    match document.find(&["features", "hyperv"]) {
        Some(hyperv) => hyperv.attribute("mode").unwrap_or("custom"),
        None => "none",
    }
}

fn number(value: Option<impl ToString>) -> Option<String> {
    value.map(|number| number.to_string())
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::{self, Version};
    use crate::merge::Patch;
    use crate::passes::settings::Settings;

    #[test]
    fn every_name_has_a_value_or_says_what_is_missing() {
        let mut host = host::Facts::default();
        let mut settings = Settings::default();
        let bare = Document::parse_domain("<domain/>").unwrap();
        let unknown = facts(
            &bare,
            &Context {
                facts: &host,
                settings: &settings,
                template: false,
            },
        );
        let missing = |name: &str| match &unknown[name] {
            Fact::Unknown(what) => what.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(missing("host.cpu.vendor"), "the host's CPU vendor");
        assert_eq!(missing("host.memory"), "the host's memory in KiB");
        assert_eq!(
            missing("qemu"),
            "the version of the QEMU that runs the guest"
        );
        assert_eq!(missing("guest.machine"), "Is(\"pc\")");
        assert!(matches!(unknown["topology.vcpus"], Fact::Unset(_)));

        host.kvm = Some(true);
        host.libvirt = Some(Version::new(9, 0, 0));
        host.cpu.features = Some(vec!["a".to_owned(), "b".to_owned()]);
        settings.set("topology.vcpus", "8").unwrap();
        settings.set("host.libvirt", "11.3.0").unwrap();
        let full = Document::parse_domain(
            "<domain type='kvm'><name>n</name><vcpu>4</vcpu><os><type machine='pc-q35-7.2'>hvm</type><loader type='pflash'>/x</loader></os></domain>",
        )
        .unwrap();
        let known = facts(
            &full,
            &Context {
                facts: &host,
                settings: &settings,
                template: false,
            },
        );
        for (name, value) in [
            ("host.kvm", "yes"),
            ("libvirt", "11.3.0"),
            ("host.libvirt", "11.3.0"),
            ("host.cpu.features", "a b"),
            ("topology.vcpus", "8"),
            ("guest.name", "n"),
            ("guest.type", "kvm"),
            ("guest.os", "hvm"),
            ("guest.machine", "pc-q35-7.2"),
            ("guest.firmware", "efi"),
            ("guest.vcpus", "4"),
            ("guest.cpu.mode", "custom"),
            ("guest.memory.shared", "no"),
            ("guest.memory.private", "no"),
            ("guest.usb", "yes"),
            ("guest.graphics", "none"),
            ("guest.hyperv", "none"),
        ] {
            assert_eq!(known[name], Fact::Is(value.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_a_patch_asks_for_is_gathered() {
        let needs = |text: &str| {
            let needs = needs(&Patch::new("p", text));
            (needs.cpu, needs.emulators, needs.machine)
        };
        assert_eq!(needs("<os/>"), (false, false, false));
        assert_eq!(needs("<os a='${host.cpu.vendor}'/>"), (true, false, false));
        assert_eq!(needs("<os a='${libvirt}${qemu}'/>"), (true, true, false));
        assert_eq!(needs("<os patch:when='host.kvm'/>"), (false, false, true));
    }
}
