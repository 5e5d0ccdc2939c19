//! What Phyllome OS's definitions ask for.

use virt_patch::document::Document;
use virt_patch::host::{Firmware, Version};
use virt_patch::merge::{Patch, merged};
use virt_patch::passes::settings::Settings;
use virt_patch::passes::{self, Context};
use virt_patch::patches::SHIPPED;
use virt_patch::pipeline::{self, Plan, Step, Verdict};
use virt_patch::profile::Profile;

use crate::run::{host, pass};

const TEMPLATE: &str = include_str!("../../patches/template.xml");

#[test]
fn a_new_linux_desktop() {
    let plan = made("linux-desktop", true);
    for said in [
        "<domain type=\"kvm\">",
        "<description>a Linux desktop</description>",
        "<source type=\"memfd\"/>",
        "<access mode=\"shared\"/>",
        "<cpu mode=\"host-model\">",
        "<topology sockets=\"1\" dies=\"1\" cores=\"4\" threads=\"2\"/>",
        "<loader readonly=\"yes\" type=\"pflash\">/usr/share/OVMF/OVMF_CODE_4M.fd</loader>",
        "<model type=\"virtio\"/>",
        "<input type=\"tablet\" bus=\"virtio\"/>",
        "<input type=\"keyboard\" bus=\"virtio\"/>",
        "<memballoon model=\"virtio-non-transitional\"/>",
        "<rng model=\"virtio\">",
    ] {
        assert!(plan.after.contains(said), "{said} in\n{}", plan.after);
    }
    for gone in [
        "e1000e",
        "qxl",
        "bus=\"usb\"/>",
        "qemu:",
        "isa-applesmc",
        "enlightenments",
    ] {
        assert!(!plan.after.contains(gone), "{gone} in\n{}", plan.after);
    }
}

#[test]
fn a_new_windows_desktop() {
    let plan = made("windows-desktop", true);
    for said in [
        "<hyperv>",
        "<spinlocks state=\"on\" retries=\"8191\"/>",
        "<clock offset=\"localtime\">",
        "<timer name=\"hypervclock\" present=\"yes\"/>",
        "<timer name=\"hpet\" present=\"no\"/>",
        "<cpu mode=\"host-model\">",
    ] {
        assert!(plan.after.contains(said), "{said} in\n{}", plan.after);
    }
    // QEMU does not start an emulated guest with them.
    let emulated = made("windows-desktop", false);
    assert!(
        !emulated.after.contains("enlightenments"),
        "{}",
        emulated.after
    );
    assert!(
        emulated.after.contains("<domain type=\"qemu\">"),
        "{}",
        emulated.after
    );
}

#[test]
fn a_desktop_that_is_done_stays() {
    for profile in ["linux-desktop", "windows-desktop"] {
        let done = made(profile, true).after;
        let again = run(profile, &done, true, false);
        assert_eq!(again.after, done, "{profile}");
    }
}

#[test]
fn devices_of_an_existing_domain_become_virtio() {
    let before = "<devices>
  <interface type='network'>
    <mac address='52:54:00:00:00:01'/>
    <model type='rtl8139'/>
  </interface>
  <interface type='network'>
    <mac address='52:54:00:00:00:02'/>
  </interface>
  <interface type='hostdev'>
    <mac address='52:54:00:00:00:03'/>
  </interface>
  <input type='tablet' bus='usb'>
    <address type='usb' bus='0' port='1'/>
  </input>
  <input type='keyboard' bus='ps2'/>
  <video>
    <model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/>
    <address type='pci' slot='0x01'/>
  </video>
  <rng model='virtio-transitional'/>
</devices>";
    let after = "<devices>
  <interface type='network'>
    <mac address='52:54:00:00:00:01'/>
    <model type='virtio'/>
  </interface>
  <interface type='network'>
    <mac address='52:54:00:00:00:02'/>
    <model type='virtio'/>
  </interface>
  <interface type='hostdev'>
    <mac address='52:54:00:00:00:03'/>
  </interface>
  <input type='tablet' bus='virtio'/>
  <input type='keyboard' bus='ps2'/>
  <input type='keyboard' bus='virtio'/>
  <video>
    <model type='virtio' heads='1' primary='yes'/>
    <address type='pci' slot='0x01'/>
  </video>
  <rng model='virtio-transitional'/>
</devices>";
    let report = pass("virtio").makes(before, after);
    assert_eq!(
        report.reason,
        "rtl8139, <interface> and qxl became virtio, which costs less"
    );
    for model in ["virtio", "none", "virtio-vga"] {
        pass("virtio").keeps(&after.replace("'virtio' heads", &format!("'{model}' heads")));
    }
}

#[test]
fn the_enlightenments_are_for_kvm_only() {
    pass("enlightenments").is_not_for(
        "<domain type='qemu'/>",
        "the enlightenments need KVM, and QEMU does not start an emulated guest with them",
    );
    pass("enlightenments").is_not_for(
        "<features>\n  <hyperv mode='passthrough'/>\n</features>",
        "the guest has every enlightenment the host has",
    );
}

#[test]
fn firmware_is_kept_or_converted() {
    let os = |firmware: &str, inside: &str| {
        format!(
            "<os{firmware}>\n  <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n{inside}</os>\n<features>\n  <acpi/>\n</features>"
        )
    };
    let chosen_by_libvirt = os(" firmware='efi'", "  <loader secure='no'/>\n");
    let explicit = os(
        "",
        "  <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\n  <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>\n",
    );
    let on = |libvirt: Version| {
        pass("firmware").facts(|facts| {
            facts.libvirt = Some(libvirt);
            facts.firmware = Some(vec![ovmf()]);
        })
    };
    let (refusing, knowing) = (Version::new(9, 0, 0), Version::new(11, 3, 0));
    on(knowing).keeps(&chosen_by_libvirt);
    on(knowing)
        .with("firmware.style=keep")
        .keeps(&chosen_by_libvirt);
    // secure='no' beside firmware='efi' is what libvirt 8.6 to 9.1 refuse.
    let with_secure = explicit.replace("<loader", "<loader secure='no'");
    let report = on(refusing).makes(&chosen_by_libvirt, &with_secure);
    assert!(
        report.reason.starts_with("libvirt 8.6 to 9.1 refuse"),
        "{}",
        report.reason
    );
    let report = on(knowing)
        .with("firmware.style=explicit")
        .makes(&chosen_by_libvirt, &with_secure);
    assert!(
        report.reason.contains("were asked for"),
        "{}",
        report.reason
    );
    let features = os(
        " firmware='efi'",
        "  <firmware>\n    <feature enabled='no' name='secure-boot'/>\n  </firmware>\n",
    );
    on(refusing).keeps(&features);
    on(refusing)
        .with("firmware.style=explicit")
        .makes(&features, &explicit);
}

#[test]
fn environment_stays_and_can_be_set() {
    let namespace = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    let before = format!(
        "<domain type='kvm' {namespace}>\n  <qemu:commandline>\n    <qemu:arg value='-usb'/>\n    <qemu:env name='DISPLAY' value=':0'/>\n  </qemu:commandline>\n</domain>"
    );
    let patch = format!(
        "<domain {namespace}><qemu:commandline><qemu:env name='PIPEWIRE_LATENCY' value='512/48000'/></qemu:commandline></domain>"
    );
    let document = Document::parse_domain(&before).unwrap();
    let after = merged(&document, &Patch::new("env.xml", patch.as_str()))
        .unwrap()
        .unwrap();
    assert!(
        after.contains("<qemu:env name='DISPLAY' value=':0'/>\n    <qemu:env name='PIPEWIRE_LATENCY' value='512/48000'/>"),
        "{after}"
    );
    // The namespace is declared where it is needed, and only there.
    let plain = "<domain type='kvm'>\n  <name>m</name>\n</domain>";
    let document = Document::parse_domain(plain).unwrap();
    let after = merged(&document, &Patch::new("env.xml", patch))
        .unwrap()
        .unwrap();
    assert!(
        after.starts_with(&format!("<domain type='kvm' {namespace}>")),
        "{after}"
    );
    pass("usb-input").makes(
        "<devices/>",
        "<devices>\n  <input type='tablet' bus='usb'/>\n  <input type='keyboard' bus='usb'/>\n</devices>",
    );
}

fn made(profile: &str, kvm: bool) -> Plan {
    run(profile, TEMPLATE, kvm, true)
}

fn run(profile: &str, definition: &str, kvm: bool, template: bool) -> Plan {
    let mut facts = host();
    facts.kvm = Some(kvm);
    facts.firmware = Some(vec![ovmf()]);
    let profile = Profile::shipped(profile).unwrap();
    let mut settings = Settings::default();
    for (key, value) in &profile.settings {
        settings.set(key, value).unwrap();
    }
    let listed = |pass: &passes::Pass| {
        let is = |name: &String| name == pass.name;
        profile.passes.iter().any(is) || (template && profile.template_passes.iter().any(is))
    };
    let mut steps: Vec<Step> = passes::PASSES
        .iter()
        .filter(|pass| listed(pass))
        .map(Step::Pass)
        .collect();
    for name in &profile.patches {
        let shipped = SHIPPED.iter().find(|(shipped, _)| shipped == name);
        steps.push(Step::Patch(Patch::new(name, shipped.unwrap().1)));
    }
    let context = Context {
        facts: &facts,
        settings: &settings,
        template,
    };
    let plan = pipeline::run(definition, &steps, &context).unwrap();
    let blocked = plan
        .steps
        .iter()
        .find(|step| step.verdict == Verdict::Blocked);
    assert!(blocked.is_none(), "{blocked:?}");
    plan
}

fn ovmf() -> Firmware {
    Firmware {
        code: "/usr/share/OVMF/OVMF_CODE_4M.fd".to_owned(),
        vars: "/usr/share/OVMF/OVMF_VARS_4M.fd".to_owned(),
        code_size: Some(3_653_632),
        vars_size: Some(540_672),
        machines: vec!["pc-q35-*".to_owned()],
        ..Firmware::default()
    }
}
