//! boot, features, clock, lifecycle, watchdog and memballoon.

use virt_patch::host::Version;

use crate::run::{notes, pass};

const Q35: &str = "<os>\n  <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n</os>";

#[test]
fn the_disk_boots_and_the_menu_is_offered() {
    for (before, after) in [
        (
            "<os>\n  <type>hvm</type>\n</os>",
            "<os>\n  <type>hvm</type>\n  <boot dev='hd'/>\n  <bootmenu enable='yes'/>\n</os>",
        ),
        (
            "<os>\n  <type>hvm</type>\n  <boot dev='cdrom'/>\n  <bootmenu enable='no' timeout='3000'/>\n</os>",
            "<os>\n  <type>hvm</type>\n  <boot dev='cdrom'/>\n  <boot dev='hd'/>\n  <bootmenu enable='yes' timeout='3000'/>\n</os>",
        ),
        // libvirt refuses both kinds of order together.
        (
            "<os>\n  <type>hvm</type>\n</os>\n<devices>\n  <disk>\n    <boot order='1'/>\n  </disk>\n</devices>",
            "<os>\n  <type>hvm</type>\n  <bootmenu enable='yes'/>\n</os>\n<devices>\n  <disk>\n    <boot order='1'/>\n  </disk>\n</devices>",
        ),
    ] {
        pass("boot").makes(before, after);
    }
    pass("boot").is_blocked_on(
        "<os>\n  <boot dev='hd'/>\n</os>\n<devices>\n  <disk>\n    <boot order='1'/>\n  </disk>\n</devices>",
        "<boot dev=…> in line 3 and <boot order=…> in line 7 are two ways to say the boot order, and libvirt refuses both together; remove one",
    );
}

#[test]
fn acpi_and_apic_are_there() {
    for (before, after) in [
        (
            "<name>m</name>",
            "<name>m</name>\n<features>\n  <acpi/>\n  <apic/>\n</features>",
        ),
        (
            "<features>\n  <apic eoi='on'/>\n</features>",
            "<features>\n  <acpi/>\n  <apic eoi='on'/>\n</features>",
        ),
    ] {
        pass("features").makes(before, after);
    }
    pass("features").is_not_for(
        "<os>\n  <type arch='aarch64'>hvm</type>\n</os>",
        "the guest is for 'aarch64', not 'x86_64'",
    );
}

const CLOCK: &str = "<clock offset='utc'>
  <timer name='rtc' tickpolicy='catchup'/>
  <timer name='pit' tickpolicy='delay'/>
  <timer name='tsc' present='yes' mode='native'/>
  <timer name='hpet' present='yes'/>
</clock>";

#[test]
fn the_clock_has_its_timers() {
    for before in [
        "<clock offset='utc'/>",
        "<clock offset='localtime'/>",
        "<clock offset='variable' adjustment='3600' basis='utc'/>",
        "<clock offset='timezone' timezone='Europe/Berlin'/>",
    ] {
        pass("clock").makes(before, CLOCK);
    }
    pass("clock").keeps(
        "<clock offset='utc' adjustment='reset'>
  <timer name='rtc' tickpolicy='catchup' track='wall'/>
  <timer name='pit' tickpolicy='delay'/>
  <timer name='hpet' present='yes'/>
  <timer name='tsc' present='yes' mode='native'/>
  <timer name='kvmclock' present='no'/>
</clock>",
    );
}

#[test]
fn the_hpet_is_left_to_qemu_where_libvirt_would_refuse_it() {
    let refused = "<clock offset='utc'>
  <timer name='rtc' tickpolicy='catchup'/>
  <timer name='pit' tickpolicy='delay'/>
  <timer name='tsc' present='yes' mode='native'/>
</clock>";
    for (libvirt, qemu, after, note) in [
        ((9, 1, 0), (8, 2, 0), CLOCK, ""),
        ((9, 2, 0), (9, 0, 0), CLOCK, ""),
        ((8, 10, 0), (9, 0, 0), CLOCK, ""),
        (
            (9, 0, 0),
            (9, 0, 1),
            refused,
            "libvirt 9.0.0 refuses <timer name='hpet' present='yes'/> with QEMU 9.0.1 (9.2 does not); the hpet is left to QEMU",
        ),
    ] {
        let case = pass("clock").facts(|facts| {
            facts.libvirt = Some(Version::new(libvirt.0, libvirt.1, libvirt.2));
            facts.emulators[0].version = Some(Version::new(qemu.0, qemu.1, qemu.2));
        });
        let report = case.makes("<clock offset='utc'/>", after);
        assert_eq!(notes(&report), note);
        // One that is there already would be refused as well.
        if !note.is_empty() {
            case.makes(CLOCK, refused);
            case.keeps(
                &refused.replace("</clock>", "  <timer name='hpet' present='no'/>\n</clock>"),
            );
        }
    }
}

#[test]
fn what_happens_at_the_end_of_a_run() {
    let after = "<on_poweroff>destroy</on_poweroff>\n<on_reboot>restart</on_reboot>\n<on_crash>restart</on_crash>";
    for before in [
        "<on_poweroff>destroy</on_poweroff>\n<on_reboot>restart</on_reboot>\n<on_crash>destroy</on_crash>",
        "<on_reboot>destroy</on_reboot>",
        after,
    ] {
        pass("lifecycle").makes(before, after);
    }
}

#[test]
fn the_watchdog_is_quiet_where_there_is_one() {
    let devices = |inside: &str| match inside {
        "" => format!("{Q35}\n<devices/>"),
        inside => format!("{Q35}\n<devices>\n{inside}\n</devices>"),
    };
    let none = devices("  <watchdog model='itco' action='none'/>");
    let newer = || pass("watchdog").with("host.libvirt=11.3.0");
    for before in [
        "",
        "  <watchdog model='itco'/>",
        "  <watchdog model='itco' action='reset'/>",
    ] {
        newer().makes(&devices(before), &none);
    }
    let other =
        "  <watchdog model='i6300esb' action='poweroff'/>\n  <watchdog model='itco' action=";
    let report = newer().makes(
        &devices(&format!("{other}'none'/>")),
        &devices(&format!("{other}'poweroff'/>")),
    );
    assert_eq!(
        notes(&report),
        "the domain has a watchdog of its own with the action poweroff, and libvirt wants one action for all"
    );
    let i440fx = "<os>\n  <type machine='pc-i440fx-7.2'>hvm</type>\n</os>";
    newer().is_not_for(i440fx, "only q35 machines have this watchdog");

    // libvirt 9.0 refuses the model, also in a definition that a newer one wrote.
    pass("watchdog").is_not_for(
        &devices(""),
        "libvirt 9.0.0 does not know the itco watchdog (9.1 does), and adds none",
    );
    let plan = pass("watchdog").plan(&format!("<domain>{none}</domain>"));
    assert_eq!(
        plan.steps[0].reason,
        "libvirt 9.0.0 refuses the model itco (9.1 knows it)"
    );
    assert!(!plan.after.contains("watchdog"), "{}", plan.after);
    pass("watchdog").facts(|facts| facts.libvirt = None).is_not_for(
        &devices(""),
        "the version of libvirt is not known, and one before 9.1 refuses this watchdog; --set host.libvirt=VERSION says it",
    );
}

#[test]
fn there_is_no_balloon_unless_asked_for() {
    let none = "<devices>\n  <memballoon model='none'/>\n</devices>";
    for before in [
        "<devices/>",
        "<devices>\n  <memballoon model='virtio'>\n    <stats period='5'/>\n    <address type='pci' slot='0x07'/>\n  </memballoon>\n</devices>",
        none,
    ] {
        pass("memballoon").makes(before, none);
    }
    let with = |model: &str| pass("memballoon").with(&format!("memballoon.model={model}"));
    for (machine, model, note) in [
        ("pc-q35-7.2", "virtio", ""),
        ("pc-q35-7.2", "virtio-non-transitional", ""),
        (
            "pc-q35-7.2",
            "virtio-transitional",
            "virtio-transitional is a conventional PCI device, for which libvirt adds a bridge to q35; virtio-non-transitional needs none",
        ),
        ("pc-i440fx-7.2", "virtio-transitional", ""),
    ] {
        let domain = |balloon: &str| {
            format!(
                "<os>\n  <type machine='{machine}'>hvm</type>\n</os>\n<devices>\n  <memballoon model='{balloon}' autodeflate='on'/>\n</devices>"
            )
        };
        let report = with(model).makes(&domain("none"), &domain(model));
        assert_eq!(notes(&report), note, "{machine} {model}");
    }
    // libvirt 9.0: "No PCI buses available".
    with("virtio").is_blocked_on(
        "<os>\n  <type machine='isapc'>hvm</type>\n</os>",
        "the machine type 'isapc' has no PCI bus, so libvirt refuses a balloon of any model; --set memballoon.model=none",
    );
}
