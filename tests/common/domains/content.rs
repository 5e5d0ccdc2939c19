//! What a domain says: legal for libvirt, and as odd as its users make it.

use super::{Choices, El, el};

/// A whole domain. The first choice everywhere is the commonest.
pub fn domain(c: &mut Choices<'_>) -> El {
    let vcpus = c.of(&[
        4u32, 6, 1, 2, 3, 5, 7, 8, 10, 12, 16, 24, 32, 48, 64, 65, 96, 128,
    ]);
    let named = c.chance(8);
    let mut domain = el("domain").a(
        "type",
        if c.chance(20) {
            c.of(&["xen", "lxc", "bhyve"])
        } else {
            c.of(&["kvm", "kvm", "qemu"])
        },
    );
    if named {
        domain = domain.a("id", 3);
    }
    domain
        .c(el("name").t(c.of(&["vm", "größe 🍏", "a & b", "it's \"new\"", "x]]>y"])))
        .maybe(
            c.chance(2)
                .then(|| el("uuid").t("c7a5fdbd-edaf-9455-926a-d65c16db1809")),
        )
        .maybe(
            c.chance(4)
                .then(|| el("description").t("  <vcpu>6</vcpu>\n two lines & more  ")),
        )
        .maybe(c.chance(4).then(metadata))
        .c(el("memory")
            .a("unit", c.of(&["KiB", "GiB", "b"]))
            .t(c.of(&[4_194_304, 8])))
        .maybe(
            c.chance(5)
                .then(|| el("memoryBacking").c(el("nosharepages"))),
        )
        .maybe(vcpu(c, vcpus))
        .maybe(vcpu_list(c, vcpus))
        .maybe(c.chance(6).then(|| el("iothreads").t(1)))
        .maybe(tuning(c, vcpus))
        .maybe(os(c))
        .maybe(features(c))
        .maybe(cpu(c, vcpus))
        .maybe(c.chance(3).then(clock))
        .maybe(c.chance(3).then(|| el("on_crash").t("destroy")))
        .maybe((!c.chance(12)).then(|| devices(c)))
        .maybe(
            c.chance(6)
                .then(|| el("seclabel").a("type", "none").a("model", "dac")),
        )
        .all(commandline(c))
        .maybe(c.chance(8).then(capabilities))
}

fn metadata() -> El {
    let inner = el("übung:größe")
        .a("xmlns:übung", "http://example.org/ü?a&b")
        .a("übung:wert", "„5“ > 4");
    el("metadata").c(inner.c(el("übung:vcpu").t("6")))
}

fn vcpu(c: &mut Choices<'_>, vcpus: u32) -> Option<El> {
    if vcpus == 1 && c.chance(2) {
        return None;
    }
    let mut vcpu = el("vcpu");
    if c.chance(2) {
        vcpu = vcpu.a("placement", c.of(&["static", "auto"]));
    }
    if c.chance(4) {
        vcpu = vcpu.a("cpuset", c.of(&["0-3", "1-4,^3,6"]));
    }
    if c.chance(4) {
        vcpu = vcpu.a("current", c.of(&[1, vcpus.div_ceil(2), vcpus]));
    }
    Some(vcpu.t(vcpus))
}

fn vcpu_list(c: &mut Choices<'_>, vcpus: u32) -> Option<El> {
    if vcpus > 16 || !c.chance(6) {
        return None;
    }
    let ordered = c.chance(3);
    let short = c.chance(3);
    let mut list = el("vcpus");
    for id in 0..if short { vcpus.div_ceil(2) } else { vcpus } {
        let off = id > 0 && c.chance(4);
        let mut entry = el("vcpu")
            .a("id", id)
            .a("enabled", if off { "no" } else { "yes" });
        entry = entry.a(
            "hotpluggable",
            if off || (id > 0 && c.chance(3)) {
                "yes"
            } else {
                "no"
            },
        );
        if ordered && !off {
            entry = entry.a("order", id + 1);
        }
        list = list.c(entry);
    }
    Some(list)
}

fn tuning(c: &mut Choices<'_>, vcpus: u32) -> Option<El> {
    if !c.chance(3) {
        return None;
    }
    let mut tuning = el("cputune");
    if c.chance(3) {
        tuning = tuning.c(el("shares").t(2048));
    }
    let pins = c.of(&[1, vcpus, vcpus + 2]).min(20);
    tuning = tuning.all((0..pins).map(|id| el("vcpupin").a("vcpu", id).a("cpuset", id)));
    if c.chance(2) {
        tuning = tuning.c(el("emulatorpin").a("cpuset", "0-1"));
    }
    if c.chance(4) {
        let set = if vcpus > 1 {
            format!("0-{}", vcpus - 1)
        } else {
            "0".to_owned()
        };
        tuning = tuning.c(el("vcpusched")
            .a("vcpus", set)
            .a("scheduler", "fifo")
            .a("priority", 1));
    }
    if c.chance(10) {
        let set = vcpus - 1;
        let cache = el("cache")
            .a("id", 0)
            .a("level", 3)
            .a("type", "both")
            .a("size", 3);
        tuning = tuning.c(el("cachetune").a("vcpus", set).c(cache.a("unit", "MiB")));
    }
    Some(tuning)
}

const CODES: [&str; 10] = [
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_CODE.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2",
    "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
    "/opt/größe & co/CODE.fd",
    "/usr/share/DarwinUDK/x64/DUDK_CODE.fd",
    "/gone/efi.bin",
];

fn os(c: &mut Choices<'_>) -> Option<El> {
    if c.chance(16) {
        return None;
    }
    let mut kind = el("type");
    if !c.chance(6) {
        kind = kind.a(
            "arch",
            if c.chance(20) {
                c.of(&["aarch64", "i686"])
            } else {
                "x86_64"
            },
        );
    }
    if !c.chance(8) {
        kind = kind.a(
            "machine",
            c.of(&[
                "pc-q35-7.2",
                "q35",
                "pc-q35-4.2",
                "pc-i440fx-7.2",
                "pc",
                "pc-q35-10.0",
                "microvm",
            ]),
        );
    }
    let mut os = el("os");
    let kind = kind.t(if c.chance(20) { "linux" } else { "hvm" });
    let form = c.pick(8);
    if matches!(form, 1..=3) {
        os = os.a("firmware", c.of(&["efi", "efi", "efi", "bios"]));
    }
    os = os.c(kind);
    if matches!(form, 2 | 3) || c.chance(8) {
        let feature =
            |name: &str, enabled: &str| el("feature").a("enabled", enabled).a("name", name);
        let mut features = el("firmware");
        if c.chance(2) {
            features = features.c(feature("enrolled-keys", c.of(&["no", "yes"])));
        }
        os = os.c(features.c(feature("secure-boot", c.of(&["no", "yes"]))));
    }
    if matches!(form, 3..=6) {
        os = loader(os, c);
    }
    if c.chance(2) {
        os = os.c(el("boot").a("dev", "hd"));
    }
    Some(os.maybe(c.chance(4).then(|| el("bootmenu").a("enable", "yes"))))
}

fn loader(os: El, c: &mut Choices<'_>) -> El {
    let code = c.of(&CODES);
    let format = if code.ends_with("qcow2") {
        "qcow2"
    } else {
        "raw"
    };
    let mut loader = el("loader");
    if !c.chance(8) {
        loader = loader.a("readonly", "yes");
    }
    if !c.chance(8) {
        loader = loader.a("type", c.of(&["pflash", "pflash", "pflash", "rom"]));
    }
    if c.chance(5) {
        loader = loader.a("secure", c.of(&["no", "yes"]));
    }
    if c.chance(8) {
        loader = loader.a("stateless", c.of(&["no", "yes"]));
    }
    if c.chance(4) {
        loader = loader.a("format", format);
    }
    let os = os.c(loader.t(code));
    if c.chance(5) {
        return os;
    }
    let mut nvram = el("nvram");
    if !c.chance(4) {
        let of_code = code.replace("CODE", "VARS").replace(".secboot", "");
        nvram = nvram.a(
            "template",
            c.of(&[
                of_code.as_str(),
                "/usr/share/OVMF/OVMF_VARS.fd",
                "/gone/v.fd",
            ]),
        );
    }
    if c.chance(6) {
        nvram = nvram.a("templateFormat", format);
    }
    if c.chance(5) {
        nvram = nvram.a("format", format);
    }
    os.c(match c.pick(4) {
        0 | 1 => nvram.t("/var/lib/libvirt/qemu/nvram/vm_VARS.fd"),
        2 => nvram,
        _ => nvram
            .a("type", "file")
            .c(el("source").a("file", "/srv/größe_VARS_4M.fd")),
    })
}

fn features(c: &mut Choices<'_>) -> Option<El> {
    if c.chance(6) {
        return None;
    }
    let mut features = el("features");
    if !c.chance(4) {
        features = features.c(el("acpi"));
    }
    if c.chance(2) {
        features = features.c(el("apic"));
    }
    if c.chance(4) {
        let hyperv = el("hyperv")
            .a("mode", "custom")
            .c(el("relaxed").a("state", "on"));
        features = features.c(hyperv.c(el("spinlocks").a("state", "on").a("retries", 8191)));
    }
    if c.chance(4) {
        features = features.c(el("vmport").a("state", "off"));
    }
    Some(features.maybe(c.chance(4).then(|| el("smm").a("state", "on"))))
}

fn cpu(c: &mut Choices<'_>, vcpus: u32) -> Option<El> {
    let form = c.pick(8);
    if form == 7 {
        return None;
    }
    let mut cpu = el("cpu");
    cpu = match form {
        0 | 1 => cpu.a("mode", "host-passthrough").a("check", "none"),
        2 => cpu.a("mode", "host-model"),
        3 | 4 => cpu.a("mode", "custom").a("match", "exact"),
        5 => cpu.a("mode", "maximum"),
        _ => cpu,
    };
    if form == 0 && c.chance(4) {
        cpu = cpu.a("migratable", "on");
    }
    if matches!(form, 3 | 4) {
        let model = c.of(&["Penryn", "Cascadelake-Server", "Westmere-IBRS", "qemu64"]);
        let mut element = el("model").a("fallback", c.of(&["allow", "forbid"]));
        if c.chance(2) {
            element = element.a("vendor_id", c.of(&["GenuineIntel", "AuthenticAMD"]));
        }
        cpu = cpu.c(element.t(model));
    }
    if c.chance(2) {
        cpu = cpu.c(topology(c, vcpus));
    }
    if form == 0 && c.chance(4) {
        cpu = cpu.c(el("cache").a("mode", "passthrough"));
    }
    if form < 6 {
        let mut names = vec!["topoext", "invtsc", "vmx", "svm", "sse4.1"];
        for _ in 0..c.pick(4) {
            let name = names.remove(c.pick(names.len()));
            cpu = cpu.c(el("feature")
                .a("policy", c.of(&["require", "disable", "optional"]))
                .a("name", name));
        }
    }
    if c.chance(8) {
        cpu = cpu.c(numa(c, vcpus));
    }
    Some(cpu)
}

fn topology(c: &mut Choices<'_>, vcpus: u32) -> El {
    let threads = if vcpus.is_multiple_of(2) {
        c.of(&[2, 1])
    } else {
        1
    };
    let cores = vcpus / threads;
    let mut topology = el("topology");
    if c.chance(4) {
        topology = topology.a("sockets", cores).a("cores", 1);
    } else {
        topology = topology.a("sockets", 1);
        if c.chance(2) {
            topology = topology.a("dies", 1);
        }
        if c.chance(4) {
            topology = topology.a("clusters", 1);
        }
        topology = topology.a("cores", cores);
    }
    topology.a("threads", threads)
}

fn numa(c: &mut Choices<'_>, vcpus: u32) -> El {
    let cell = |id: u32, first: u32, last: u32| {
        let cpus = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        el("cell")
            .a("id", id)
            .a("cpus", cpus)
            .a("memory", 2_097_152)
            .a("unit", "KiB")
    };
    if vcpus > 1 && c.chance(2) {
        let half = vcpus / 2;
        return el("numa")
            .c(cell(0, 0, half - 1))
            .c(cell(1, half, vcpus - 1));
    }
    el("numa").c(cell(0, 0, vcpus - 1))
}

fn clock() -> El {
    let timer = el("timer").a("name", "hpet").a("present", "no");
    el("clock")
        .a("offset", "utc")
        .c(el("timer").a("name", "rtc").a("tickpolicy", "catchup"))
        .c(timer)
}

fn devices(c: &mut Choices<'_>) -> El {
    let mut devices = el("devices");
    if !c.chance(4) {
        devices = devices.c(el("emulator").t(c.of(&[
            "/usr/bin/qemu-system-x86_64",
            "/usr/bin/qemu-system-x86_64",
            "/usr/libexec/qemu-kvm",
            "/opt/qemu größe/bin/qemu",
        ])));
    }
    for index in 0..c.pick(4) {
        let source = el("source").a(
            "file",
            format!("/var/lib/libvirt/images/a&b'{index}'.qcow2"),
        );
        let target = el("target")
            .a("dev", format!("sd{}", ["a", "b", "c"][index]))
            .a("bus", "sata");
        let driver = el("driver").a("name", "qemu").a("type", "qcow2");
        devices = devices.c(el("disk")
            .a("type", "file")
            .a("device", "disk")
            .c(driver)
            .c(source)
            .c(target));
    }
    if c.chance(2) {
        devices = devices.c(el("controller")
            .a("type", "pci")
            .a("index", 0)
            .a("model", "pcie-root"));
    }
    if c.chance(2) {
        let interface = el("interface")
            .a("type", "network")
            .c(el("mac").a("address", "52:54:00:11:22:33"));
        devices = devices.c(interface
            .c(el("source").a("network", "default"))
            .c(el("model").a("type", "virtio")));
    }
    if c.chance(3) {
        let graphics = el("graphics")
            .a("type", "vnc")
            .a("port", -1)
            .a("passwd", "p&ss'wörd");
        devices = devices.c(graphics.c(el("listen").a("type", "address")));
    }
    devices.maybe(c.chance(2).then(|| el("memballoon").a("model", "none")))
}

const GROUPS: [&[&str]; 16] = [
    &[
        "-cpu",
        "Penryn,vendor=GenuineIntel,+invtsc,vmware-cpuid-freq=on",
    ],
    &["-cpu", "Cascadelake-Server,vendor=GenuineIntel"],
    &["-cpu", "host,kvm=off,-hypervisor,topoext=on"],
    &["--cpu", "Westmere-v2,vendor=GenuineIntel,+rdrand,+topoext"],
    &["-device", "isa-applesmc,osk=wrong"],
    &[
        "-device",
        "isa-applesmc,osk=ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc",
    ],
    &[
        "-device",
        "{\"driver\":\"isa-applesmc\",\"osk\":\"wrong\",\"iobase\":768}",
    ],
    &[
        "-device",
        "{\"driver\": \"usb-tablet\", \"bus\": \"usb.0\"}",
    ],
    &["-device", "usb-kbd,bus=usb-bus.0"],
    &[
        "-global",
        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=on",
    ],
    &[
        "-global",
        "driver=ICH9-LPC,property=acpi-pci-hotplug-with-bridge-support,value=off",
    ],
    &["-global", "nec-usb-xhci.msi=off"],
    &["-smbios", "type=2"],
    &["-usb"],
    &["-device isa-applesmc"],
    &["-fw_cfg", "opt/größe,string=a&b<c>'d'\"e\""],
];

fn commandline(c: &mut Choices<'_>) -> Option<El> {
    if c.chance(2) {
        return None;
    }
    let mut block = el("qemu:commandline");
    for _ in 0..c.pick(5) {
        let group = c.of(&GROUPS);
        block = block.all(group.iter().map(|value| el("qemu:arg").a("value", value)));
        if c.chance(6) {
            block = block.c(el("qemu:env")
                .a("name", "QEMU_AUDIO_DRV")
                .a("value", "none"));
        }
    }
    Some(block)
}

fn capabilities() -> El {
    el("qemu:capabilities").c(el("qemu:del").a("capability", "device.json+hotplug"))
}
