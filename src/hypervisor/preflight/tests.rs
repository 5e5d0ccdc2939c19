#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::host::Version;
use crate::hypervisor::compare::missing;
use crate::hypervisor::{DomainInfo, LibvirtError, MachineQuery, Mode, Secrets};
use std::cell::RefCell;
use std::collections::HashMap;

fn options(kvm: bool, scratch: bool) -> Options {
    Options {
        name: "copy".to_owned(),
        uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
        kvm,
        scratch: scratch.then(|| PathBuf::from("/scratch")),
    }
}

fn domain(inside: &str) -> String {
    format!(
        "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>real</name>\
         <uuid>ffffffff-0000-4000-8000-000000000001</uuid>{inside}</domain>"
    )
}

fn copy_of(inside: &str) -> Throwaway {
    throwaway(&domain(inside), &options(true, true)).unwrap()
}

#[test]
fn nothing_of_the_host_is_in_the_copy() {
    // Everything here that names the host has 'host' in it.
    let inside = "<title>host</title><metadata><x xmlns='urn:host'/></metadata>\
        <memoryBacking><source type='file'/><hugepages/></memoryBacking>\
        <numatune><memory nodeset='0' mode='strict'/></numatune>\
        <resource><partition>/host</partition></resource>\
        <os><type machine='q35'>hvm</type><loader type='pflash' readonly='no'>/code.fd</loader>\
        <nvram template='/vars.fd'>/host/nvram</nvram><kernel>/host/kernel</kernel></os>\
        <devices><disk type='file'><source file='/host/disk'/><backingStore><source file='/host/b'/></backingStore>\
        <target dev='vda' bus='virtio'/></disk>\
        <disk type='network' device='cdrom'><source protocol='http' name='host'/><target dev='sda' bus='sata'/></disk>\
        <disk type='block' device='lun'><source dev='/host'/><target dev='sdb' bus='scsi'/></disk>\
        <interface type='bridge'><source bridge='host0'/><target dev='host1'/><script path='/host'/><model type='e1000'/></interface>\
        <interface type='hostdev'><source/></interface>\
        <filesystem><source dir='/host'/><target dir='x'/></filesystem>\
        <serial type='unix'><source mode='bind' path='/host'/><log file='/host'/></serial>\
        <channel type='unix'><source path='/host'/><target type='virtio' name='a'/></channel>\
        <input type='evdev'><source dev='/host'/></input><input type='passthrough'><source evdev='/host'/></input>\
        <tpm model='tpm-tis'><backend type='passthrough'><device path='/host'/></backend></tpm>\
        <graphics type='vnc' listen='host' passwd='host'/><graphics type='spice'><gl rendernode='/host'/></graphics>\
        <audio id='1' type='jack'><input serverName='host'/></audio>\
        <video><model type='virtio'><acceleration rendernode='/host'/></model></video>\
        <hostdev mode='subsystem' type='pci'/><redirdev bus='usb' type='tcp'><source host='host'/></redirdev>\
        <rng model='virtio'><backend model='egd' type='udp'><source host='host'/></backend></rng>\
        <smartcard mode='host'/><shmem name='host'/><vsock/><memory model='nvdimm'><source><path>/host</path></source></memory>\
        </devices><seclabel model='dac'><label>host</label></seclabel>\
        <launchSecurity type='sev'/><qemu:commandline><qemu:arg value='-drive'/>\
        <qemu:arg value='id=d,file=/host'/><qemu:arg value='-device'/><qemu:arg value='ide-hd,drive=d'/>\
        <qemu:arg value='-device'/><qemu:arg value='{\"driver\":\"vfio-pci\",\"host\":\"0\",\"id\":\"v\"}'/>\
        <qemu:arg value='-object'/><qemu:arg value='input-linux,id=k,evdev=/host'/>\
        <qemu:arg value='-object'/><qemu:arg value='memory-backend-file,id=m,mem-path=/host'/>\
        <qemu:arg value='-device'/><qemu:arg value='ivshmem-plain,memdev=m'/>\
        <qemu:arg value='-chardev'/><qemu:arg value='socket,id=c,path=/host'/>\
        <qemu:arg value='-device'/><qemu:arg value='virtserialport,chardev=c'/>\
        <qemu:arg value='-monitor'/><qemu:arg value='tcp:host'/><qemu:arg value='/host/image'/>\
        <qemu:arg value='-device'/><qemu:arg value='isa-applesmc,osk=x'/><qemu:arg value='-usb'/>\
        </qemu:commandline>";
    for scratch in [true, false] {
        let copy = throwaway(&domain(inside), &options(true, scratch)).unwrap();
        assert!(!copy.xml.contains("host"), "{}", copy.xml);
        assert!(!copy.xml.contains("ffffffff"), "{}", copy.xml);
        assert!(
            copy.xml.contains("'isa-applesmc,osk=x'") && copy.xml.contains("'-usb'"),
            "{}",
            copy.xml
        );
    }
}

#[test]
fn what_the_guest_sees_stays() {
    let kept = "<vcpu current='2'>4</vcpu><cpu mode='custom' check='full'><model>Penryn</model>\
        <topology sockets='1' cores='4' threads='1'/></cpu><features><acpi/><pvspinlock state='on'/></features>\
        <clock offset='utc'><timer name='hpet' present='no'/></clock>\
        <devices><controller type='usb' model='qemu-xhci'/>\
        <disk device='disk'><driver name='qemu' cache='none' queues='2'/><target dev='vda' bus='virtio'/><serial>S</serial>\
        <boot order='1'/><address type='pci' slot='0x05'/></disk>\
        <disk device='cdrom'><target dev='sda' bus='sata'/></disk>\
        <interface><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>\
        <sound model='ich9'><audio id='1'/></sound><audio id='1'/><video><model type='qxl' ram='65536'/></video>\
        <channel><target type='virtio' name='com.redhat.spice.0'/></channel>\
        <input type='tablet' bus='usb'/><watchdog model='itco' action='none'/><memballoon model='none'/>\
        <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>\
        <qemu:commandline><qemu:arg value='-global'/><qemu:arg value='ICH9-LPC.x=off'/><qemu:env name='A' value='1'/>\
        </qemu:commandline>";
    let copy = copy_of(kept);
    let lost = missing(&domain(kept), &copy.xml).unwrap();
    let lost: Vec<_> = lost.into_iter().map(|loss| loss.what).collect();
    // Its own name and UUID, and nothing else, are new.
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(
        lost[0].contains("real") && lost[1].contains("ffffffff"),
        "{lost:?}"
    );
}

#[test]
fn files_of_the_copy() {
    let inside = "<os><loader type='pflash'>/code.fd</loader><nvram template='/vars.fd' type='file'>/n</nvram></os>\
        <devices><disk><target dev='vda' bus='virtio'/></disk><disk device='cdrom'><target dev='sda' bus='sata'/></disk>\
        <disk device='cdrom'><target dev='sdb' bus='usb'/></disk></devices>";
    let copy = copy_of(inside);
    assert_eq!(
        copy.images,
        [
            Path::new("/scratch/disk0.img"),
            Path::new("/scratch/disk1.img")
        ]
    );
    assert!(
        copy.xml
            .contains("<nvram template='/vars.fd'>/scratch/nvram</nvram>"),
        "{}",
        copy.xml
    );
    assert!(
        copy.xml
            .contains("<loader type='pflash' readonly='yes'>/code.fd</loader>"),
        "{}",
        copy.xml
    );

    let copy = throwaway(&domain(inside), &options(true, false)).unwrap();
    assert_eq!(copy.images, [] as [PathBuf; 0]);
    assert!(
        !copy.xml.contains("pflash") && !copy.xml.contains("nvram"),
        "{}",
        copy.xml
    );
    for what in [
        "disk devices",
        "the firmware: the copy started with QEMU's BIOS",
    ] {
        assert!(
            copy.left_out.iter().any(|left| left == what),
            "{:?}",
            copy.left_out
        );
    }
}

#[test]
fn numa_cells_keep_their_processors() {
    let copy = copy_of(
        "<memory unit='GiB'>64</memory><currentMemory>1</currentMemory><maxMemory slots='2' unit='GiB'>99</maxMemory>\
         <cpu><numa><cell id='0' cpus='0-1' memory='32' unit='GiB' memAccess='shared'/></numa></cpu>",
    );
    assert!(
        copy.xml
            .contains("<cell id='0' cpus='0-1' memory='64' unit='MiB'/>"),
        "{}",
        copy.xml
    );
    assert!(
        copy.xml.contains("<memory unit='MiB'>256</memory>"),
        "{}",
        copy.xml
    );
    assert!(
        !copy.xml.contains("axMemory") && !copy.xml.contains("currentMemory"),
        "{}",
        copy.xml
    );
}

#[test]
fn the_uuid_of_smbios_follows() {
    let copy = copy_of(
        "<sysinfo type='smbios'><system><entry name='uuid'>ffffffff</entry></system></sysinfo>",
    );
    assert!(
        copy.xml
            .contains("<entry name='uuid'>00000000-0000-4000-8000-000000000001</entry>"),
        "{}",
        copy.xml
    );
}

#[test]
fn without_kvm_the_processor_is_emulated() {
    let emulated = |inside: &str| {
        throwaway(&domain(inside), &options(false, true))
            .unwrap()
            .xml
    };
    let xml = emulated(
        "<cpu mode='host-passthrough' check='full' migratable='on'/><features><pvspinlock/></features>",
    );
    assert!(xml.starts_with("<domain type='qemu'"), "{xml}");
    assert!(
        xml.contains("<cpu mode='maximum' check='none' migratable='on'/>"),
        "{xml}"
    );
    assert!(!xml.contains("pvspinlock"), "{xml}");
    let xml = emulated(
        "<features><hyperv><vpindex state='on'/></hyperv></features><cpu mode='host-passthrough'><feature policy='force' name='invtsc'/></cpu>",
    );
    assert!(
        !xml.contains("hyperv") && xml.contains("policy='optional'"),
        "{xml}"
    );
    for (before, after) in [
        (
            "host,vendor=GenuineIntel,+avx",
            "max,vendor=GenuineIntel,+avx",
        ),
        ("host", "max"),
        ("hostile", "hostile"),
        ("Penryn,enforce,+avx", "Penryn,+avx"),
        (
            "host,vendor=GenuineIntel,enforce=on,hv_vpindex,+hv-synic,hv-vendor-id=a",
            "max,vendor=GenuineIntel",
        ),
    ] {
        let xml = emulated(&format!(
            "<qemu:commandline><qemu:arg value='-enable-kvm'/><qemu:arg value='-accel'/><qemu:arg value='kvm'/>\
             <qemu:arg value='-cpu'/><qemu:arg value='{before}'/></qemu:commandline>"
        ));
        assert!(
            xml.contains(&format!(
                "<qemu:arg value='-cpu'/>\n    <qemu:arg value='{after}'/>"
            )),
            "{xml}"
        );
        assert!(!xml.contains("kvm'"), "{xml}");
    }
}

#[test]
fn without_kvm_the_iommu_lacks_what_needs_it() {
    let iommu = |eim: &str| {
        format!(
            "<features><ioapic driver='qemu'/></features><devices><iommu model='intel'>\
             <driver intremap='on'{eim} caching_mode='on'/></iommu></devices>"
        )
    };
    let left_out = "the extended interrupt mode of the IOMMU (eim), which needs KVM".to_owned();
    let with = domain(&iommu(" eim='on'"));
    // One for emulation does not start with it.
    let for_emulation = with.replace("'kvm'", "'qemu'");
    for (definition, kvm, keeps) in [
        (&with, false, false),
        (&with, true, true),
        (&for_emulation, false, true),
    ] {
        let copy = throwaway(definition, &options(kvm, true)).unwrap();
        assert_eq!(copy.xml.contains("eim='on'"), keeps, "{}", copy.xml);
        assert_eq!(copy.left_out.contains(&left_out), !keeps, "{copy:?}");
        assert!(
            copy.xml.contains("<driver intremap='on'") && copy.xml.contains(" caching_mode='on'/>"),
            "{}",
            copy.xml
        );
    }
    let without = throwaway(&domain(&iommu("")), &options(false, true)).unwrap();
    assert!(!without.left_out.contains(&left_out), "{without:?}");
}

const KEY: &str = "0123456789012345678901234567890123456789012345678901234567890123";

fn mac(inside: &str) -> String {
    domain(&format!(
        "<vcpu current='2'>4</vcpu><cpu mode='host-passthrough'><topology sockets='1' cores='2' threads='2'/></cpu>{inside}"
    ))
}

fn arguments(values: &[&str]) -> String {
    let args: String = values
        .iter()
        .map(|value| format!("<qemu:arg value='{value}'/>"))
        .collect();
    mac(&format!("<qemu:commandline>{args}</qemu:commandline>"))
}

#[test]
fn promises_of_a_definition() {
    let read = |xml: &str| expect::expected(xml, true).unwrap();
    let plain = read(&mac(""));
    assert_eq!(
        (plain.vcpus, plain.cpu_model.as_deref()),
        (Some(2), Some("host"))
    );
    assert_eq!(
        plain.topology.unwrap().to_string(),
        "1 sockets, 1 dies, 2 cores, 2 threads"
    );
    assert_eq!(
        (plain.applesmc, plain.hotplug, plain.topoext),
        (None, None, false)
    );
    assert_eq!(
        expect::expected(&mac(""), false)
            .unwrap()
            .cpu_model
            .as_deref(),
        Some("max")
    );

    let retrofitted = read(&arguments(&[
        "-device",
        &format!("isa-applesmc,osk={KEY}"),
        "-global",
        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        "-cpu",
        "Penryn,vendor=GenuineIntel,+topoext",
    ]));
    assert_eq!(retrofitted.cpu_model.as_deref(), Some("Penryn"));
    assert_eq!(retrofitted.cpu_vendor.as_deref(), Some("GenuineIntel"));
    assert!(retrofitted.topoext);
    assert_eq!(retrofitted.applesmc.unwrap().osk.as_deref(), Some(KEY));
    assert_eq!(retrofitted.hotplug, Some(("ICH9-LPC".to_owned(), false)));

    let native = read(&domain(
        "<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no'/></vcpus>\
         <cpu mode='custom'><model vendor_id='GenuineIntel'>Penryn</model><feature name='topoext'/></cpu>",
    ));
    assert_eq!((native.vcpus, native.topoext), (Some(1), true));
    assert_eq!(native.cpu_vendor.as_deref(), Some("GenuineIntel"));
}

/// A QEMU that answers from a table of `command path property` → return value.
fn qemu(properties: &[(&str, Value)]) -> HashMap<String, Value> {
    let mut answers: HashMap<String, Value> = HashMap::from([
        (
            "query-kvm".to_owned(),
            json!({ "enabled": true, "present": true }),
        ),
        (
            "query-cpus-fast".to_owned(),
            json!([{ "qom-path": "/cpu0" }, { "qom-path": "/cpu1" }]),
        ),
        (
            "query-cpu-definitions".to_owned(),
            json!([
                { "name": "host", "typename": "host-x86_64-cpu" },
                { "name": "Westmere-IBRS", "typename": "Westmere-IBRS-x86_64-cpu", "alias-of": "Westmere-v2" },
                { "name": "Westmere-v2", "typename": "Westmere-v2-x86_64-cpu" },
                { "name": "Penryn", "typename": "Penryn-x86_64-cpu" },
            ]),
        ),
        (
            "query-hotpluggable-cpus".to_owned(),
            json!([
                { "props": { "socket-id": 0, "core-id": 0, "thread-id": 0 } },
                { "props": { "socket-id": 0, "core-id": 0, "thread-id": 1 } },
                { "props": { "socket-id": 0, "core-id": 1, "thread-id": 0 } },
                { "props": { "socket-id": 0, "core-id": 1, "thread-id": 1 } },
            ]),
        ),
        (
            "qom-list /machine/peripheral-anon".to_owned(),
            json!([{ "name": "device[0]", "type": "child<isa-applesmc>" }]),
        ),
        ("qom-list /machine/peripheral".to_owned(), json!([])),
        (
            "qom-list /machine/unattached".to_owned(),
            json!([{ "name": "device[5]", "type": "child<ICH9-LPC>" }]),
        ),
    ]);
    for (path, value) in properties {
        answers.insert(format!("qom-get {path}"), value.clone());
    }
    answers
}

use serde_json::{Value, json};

fn answer(answers: &HashMap<String, Value>, command: &str) -> String {
    let command: Value = serde_json::from_str(command).unwrap();
    let part = |pointer: &str| {
        command
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let words = [
        part("/execute"),
        part("/arguments/path"),
        part("/arguments/property"),
    ];
    let question = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    match answers.get(&question) {
        Some(value) => json!({ "return": value, "id": "libvirt-1" }).to_string(),
        None => json!({ "error": { "class": "GenericError", "desc": "not found" } }).to_string(),
    }
}

fn check(xml: &str, properties: &[(&str, Value)]) -> Vec<(String, String, Option<bool>)> {
    let answers = qemu(properties);
    let expected = expect::expected(xml, true).unwrap();
    let checks = probe::checks(&expected, &mut |command| Ok(answer(&answers, command))).unwrap();
    checks
        .into_iter()
        .map(|check| (check.what, check.found, check.ok))
        .collect()
}

#[track_caller]
fn finds(xml: &str, properties: &[(&str, Value)], what: &str, found: &str, ok: Option<bool>) {
    let checks = check(xml, properties);
    let check = checks
        .iter()
        .find(|check| check.0 == what)
        .unwrap_or_else(|| panic!("{checks:?}"));
    assert_eq!((check.1.as_str(), check.2), (found, ok));
}

#[test]
fn what_qemu_says_is_compared() {
    let host = [("/cpu0 type", json!("host-x86_64-cpu"))];
    finds(&mac(""), &host, "vcpus", "2", Some(true));
    finds(
        &mac(""),
        &host,
        "topology",
        "1 sockets, 1 dies, 2 cores, 2 threads",
        Some(true),
    );
    finds(&mac(""), &host, "CPU model", "host", Some(true));
    let penryn = [
        ("/cpu0 type", json!("Penryn-x86_64-cpu")),
        ("/cpu0 vendor", json!("AuthenticAMD")),
    ];
    finds(&mac(""), &penryn, "CPU model", "Penryn", Some(false));
    let overridden = arguments(&["-cpu", "Penryn,vendor=GenuineIntel,topoext=on"]);
    finds(
        &overridden,
        &penryn,
        "CPU vendor",
        "AuthenticAMD",
        Some(false),
    );
    // A name that QEMU knows as an alias.
    let versioned = [("/cpu0 type", json!("Westmere-v2-x86_64-cpu"))];
    finds(
        &arguments(&["-cpu", "Westmere-IBRS"]),
        &versioned,
        "CPU model",
        "Westmere-IBRS",
        Some(true),
    );
}

#[test]
fn topoext_is_judged_with_kvm_only() {
    let xml = arguments(&["-cpu", "host,topoext=on"]);
    finds(
        &xml,
        &[("/cpu0 topoext", json!(true))],
        "topoext",
        "on",
        Some(true),
    );
    finds(
        &xml,
        &[("/cpu0 topoext", json!(false))],
        "topoext",
        "off",
        Some(false),
    );
    let mut answers = qemu(&[("/cpu0 topoext", json!(false))]);
    answers.insert(
        "query-kvm".to_owned(),
        json!({ "enabled": false, "present": true }),
    );
    let expected = expect::expected(&xml, false).unwrap();
    let checks = probe::checks(&expected, &mut |command| Ok(answer(&answers, command))).unwrap();
    assert_eq!(
        checks
            .iter()
            .find(|check| check.what == "topoext")
            .unwrap()
            .ok,
        None
    );
}

#[test]
fn the_key_is_compared_and_never_shown() {
    let smc = |osk: &str| arguments(&["-device", &format!("isa-applesmc,osk={osk}")]);
    let has = |osk: &str| [("/machine/peripheral-anon/device[0] osk", json!(osk))];
    let other = KEY.replace('0', "9");
    finds(
        &smc(KEY),
        &has(KEY),
        "Apple SMC",
        "one device with the key of the definition",
        Some(true),
    );
    finds(
        &smc(KEY),
        &has(&other),
        "Apple SMC",
        "one device with another key",
        Some(false),
    );
    finds(
        &smc("short"),
        &has("short"),
        "Apple SMC",
        "one device with a key of the wrong length",
        Some(false),
    );
    finds(
        &arguments(&["-device", "isa-applesmc"]),
        &[],
        "Apple SMC",
        "one device without a key",
        Some(false),
    );
    assert!(!format!("{:?}", check(&smc(KEY), &has(&other))).contains("0123"));
}

#[test]
fn the_hotplug_property_is_read_from_its_device() {
    let xml = |value: &str| {
        arguments(&[
            "-global",
            &format!("{value}.acpi-pci-hotplug-with-bridge-support=off"),
        ])
    };
    let has = |on: bool| {
        [(
            "/machine/unattached/device[5] acpi-pci-hotplug-with-bridge-support",
            json!(on),
        )]
    };
    finds(
        &xml("ICH9-LPC"),
        &has(false),
        "ACPI PCI hotplug",
        "off",
        Some(true),
    );
    finds(
        &xml("ICH9-LPC"),
        &has(true),
        "ACPI PCI hotplug",
        "on",
        Some(false),
    );
    finds(
        &xml("PIIX4_PM"),
        &has(false),
        "ACPI PCI hotplug",
        "no such property of PIIX4_PM",
        Some(false),
    );
}

#[test]
fn answers_that_are_none_are_errors() {
    let expected = expect::expected(&mac(""), true).unwrap();
    for (answer, problem) in [
        ("{}", "neither 'return' nor 'error'"),
        (r#"{"error":{"desc":"CommandNotFound"}}"#, "CommandNotFound"),
    ] {
        let error = probe::checks(&expected, &mut |_| Ok(answer.to_owned()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("query-cpus-fast") && error.ends_with(problem),
            "{error}"
        );
    }
}

/// A QEMU connection that starts what it does not refuse.
struct Fake {
    refuse: fn(&str) -> Option<&'static str>,
    driver: &'static str,
    log: RefCell<Vec<String>>,
    answers: HashMap<String, Value>,
}

fn fake(refuse: fn(&str) -> Option<&'static str>) -> Fake {
    let answers = qemu(&[("/cpu0 type", json!("host-x86_64-cpu"))]);
    Fake {
        refuse,
        driver: "QEMU",
        log: RefCell::default(),
        answers,
    }
}

impl Fake {
    fn run(&self, xml: &str) -> (Result<Report, PreflightError>, Vec<String>) {
        let scratch = tempfile::tempdir().unwrap();
        let report = run(self, xml, Some(scratch.path()));
        assert_eq!(
            fs::read_dir(scratch.path()).unwrap().count(),
            0,
            "files are left behind"
        );
        (report, self.log.take())
    }
}

fn unused<T>() -> Result<T, HypervisorError> {
    Err(HypervisorError::ReadOnly {
        doing: "do this in a test".to_owned(),
    })
}

impl Hypervisor for Fake {
    fn driver(&self) -> Result<String, HypervisorError> {
        Ok(self.driver.to_owned())
    }

    fn create_transient(&self, xml: &str) -> Result<String, HypervisorError> {
        let image = xml
            .split("file='")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        assert!(
            image.is_none_or(|image| Path::new(image).is_file()),
            "{xml}"
        );
        let kind = if xml.contains("type='kvm'") {
            "kvm"
        } else {
            "qemu"
        };
        self.log.borrow_mut().push(format!("start {kind}"));
        match (self.refuse)(xml) {
            None => Ok("the-copy".to_owned()),
            Some(message) => Err(HypervisorError::Libvirt {
                doing: "start".to_owned(),
                source: LibvirtError {
                    code: 1,
                    domain: 10,
                    message: message.to_owned(),
                },
            }),
        }
    }

    fn monitor(&self, uuid: &str, command: &str) -> Result<String, HypervisorError> {
        assert_eq!(uuid, "the-copy");
        Ok(answer(&self.answers, command))
    }

    fn destroy(&self, uuid: &str) -> Result<(), HypervisorError> {
        self.log.borrow_mut().push(format!("destroy {uuid}"));
        Ok(())
    }

    fn uri(&self) -> Result<String, HypervisorError> {
        unused()
    }
    fn mode(&self) -> Mode {
        Mode::ReadWrite
    }
    fn libvirt_version(&self) -> Result<Version, HypervisorError> {
        unused()
    }
    fn hypervisor_version(&self) -> Result<Version, HypervisorError> {
        unused()
    }
    fn host_name(&self) -> Result<String, HypervisorError> {
        unused()
    }
    fn capabilities(&self) -> Result<String, HypervisorError> {
        unused()
    }
    fn domain_capabilities(&self, _: &MachineQuery<'_>) -> Result<String, HypervisorError> {
        unused()
    }
    fn expand_cpu(&self, _: &str) -> Result<String, HypervisorError> {
        unused()
    }
    fn system_information(&self) -> Result<String, HypervisorError> {
        unused()
    }
    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        unused()
    }
    fn find(&self, _: &str) -> Result<DomainInfo, HypervisorError> {
        unused()
    }
    fn definition(&self, _: &str, _: Secrets) -> Result<String, HypervisorError> {
        unused()
    }
    fn define_again(&self, _: &str) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn define(&self, _: &str) -> Result<String, HypervisorError> {
        unused()
    }
    fn undefine(&self, _: &str) -> Result<(), HypervisorError> {
        unused()
    }
    fn to_native(&self, _: &str) -> Result<String, HypervisorError> {
        unused()
    }
}

fn with_disk() -> String {
    mac("<devices><disk><target dev='vda' bus='virtio'/></disk></devices>")
}

#[test]
fn a_copy_is_destroyed_after_the_questions() {
    let (report, log) = fake(|_| None).run(&with_disk());
    let report = report.unwrap();
    assert!(report.kvm && report.is_good(), "{report:?}");
    assert_eq!(log, ["start kvm", "destroy the-copy"]);
}

#[test]
fn without_working_kvm_the_copy_is_emulated() {
    let refuse = |xml: &str| {
        xml.contains("type='kvm'")
            .then_some("failed to initialize kvm: Permission denied")
    };
    let (report, log) = fake(refuse).run(&with_disk());
    assert!(!report.unwrap().kvm);
    assert_eq!(log, ["start kvm", "start qemu", "destroy the-copy"]);
}

#[test]
fn a_definition_that_does_not_start_is_the_finding() {
    let refusals: [fn(&str) -> Option<&'static str>; 2] = [
        |_| Some("unable to find CPU model 'X'"),
        |_| Some("eim=on requires accel=kvm,kernel-irqchip=split"),
    ];
    for refuse in refusals {
        let (report, log) = fake(refuse).run(&with_disk());
        let error = report.unwrap_err();
        assert!(
            matches!(error, PreflightError::DoesNotStart { .. }),
            "{error:?}"
        );
        assert_eq!(log, ["start kvm"]);
    }
}

#[test]
fn a_copy_is_destroyed_when_the_questions_fail() {
    let mut fake = fake(|_| None);
    fake.answers.clear();
    let (report, log) = fake.run(&with_disk());
    assert!(matches!(report.unwrap_err(), PreflightError::Connection(_)));
    assert_eq!(log, ["start kvm", "destroy the-copy"]);
}

#[test]
fn other_hypervisors_are_refused() {
    let (report, log) = Fake {
        driver: "LXC",
        ..fake(|_| None)
    }
    .run(&with_disk());
    assert!(matches!(
        report.unwrap_err(),
        PreflightError::NotQemu { .. }
    ));
    let xen = with_disk().replace("'kvm'", "'xen'");
    let message = fake(|_| None).run(&xen).0.unwrap_err().to_string();
    assert_eq!(
        message,
        "a domain of type 'xen' on a QEMU connection cannot be tried: that takes QEMU"
    );
    assert!(log.is_empty());
}

#[test]
fn what_a_killed_process_left_behind_is_removed() {
    let parent = tempfile::tempdir().unwrap();
    let make = |name: &str, minutes: u64| {
        let path = parent.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("disk.img"), "").unwrap();
        let made = std::time::SystemTime::now() - Duration::from_secs(60 * minutes);
        File::open(&path).unwrap().set_modified(made).unwrap();
        path
    };
    let stale = make("virt-patch-preflight-stale", 2);
    let young = make("virt-patch-preflight-young", 0);
    let held = make("virt-patch-preflight-held", 2);
    let other = make("images", 2);
    let link = parent.path().join("virt-patch-preflight-link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let lock = File::open(&held).unwrap();
    lock.lock().unwrap();

    let scratch = Scratch::make(parent.path(), "own").unwrap();
    assert!(!stale.exists());
    for path in [&young, &held, &other, &link, &scratch.path] {
        assert!(path.exists(), "{}", path.display());
    }
    // Its own is held for as long as it lives.
    let own = File::open(&scratch.path).unwrap();
    assert!(own.try_lock().is_err());
    let path = scratch.path.clone();
    drop(scratch);
    assert!(!path.exists());
}
