//! Every shipped patch against a real libvirt: what it makes of a new machine is defined, and what
//! libvirt stores satisfies it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/shell.rs"]
mod shell;

use std::process::{Command, ExitCode};

use daemon::Daemon;
use shell::shell;
use virt_patch::patches::SHIPPED;

fn main() -> ExitCode {
    daemon::main(tests![
        every_patch_is_defined_and_satisfied,
        all_patches_together_are_defined_and_satisfied,
        a_share_is_added_to_a_domain_that_has_one,
        graphics_that_listen_stop_doing_so,
        a_processor_model_makes_way_for_the_hosts,
        patches_keep_off_what_libvirt_would_refuse,
        patches_take_out_what_libvirt_would_refuse_beside_them,
        the_pipelines_of_the_readme_work,
    ])
}

/// virt-manager's default machine, for hosts without hardware virtualization.
fn new_machine(name: &str, machine: &str) -> String {
    let template = virt_patch(&["template"], None);
    template
        .replace("<domain type=\"kvm\">", "<domain type=\"qemu\">")
        .replace("mode=\"host-passthrough\"", "mode=\"maximum\"")
        .replace("machine=\"q35\"", &format!("machine=\"{machine}\""))
        .replace("<name>vm</name>", &format!("<name>{name}</name>"))
}

/// A machine of the old kind, of which libvirt makes all devices itself.
fn old_machine(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices><graphics type='spice' autoport='yes' passwd='secret'/></devices></domain>"
    )
}

/// The values of patches that have to be told something.
fn values(patch: &str) -> Vec<String> {
    match patch {
        "virtiofs" => vec!["--set".to_owned(), "virtiofs.source=/srv".to_owned()],
        _ => Vec::new(),
    }
}

fn virt_patch(arguments: &[&str], input: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_virt-patch"));
    command.args(arguments);
    let input_file = tempfile::NamedTempFile::new().unwrap();
    if let Some(input) = input {
        std::fs::write(&input_file, input).unwrap();
        command.stdin(input_file.reopen().unwrap());
    }
    let output = daemon::output_of(&mut command);
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn render(patches: &[&str], input: &str) -> String {
    let mut arguments = vec!["render".to_owned(), "--pass".to_owned(), String::new()];
    for patch in patches {
        arguments.extend(["--patch".to_owned(), (*patch).to_owned()]);
        arguments.extend(values(patch));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    virt_patch(&arguments, Some(input))
}

/// Defines what the patches make of a definition, and what they make of that; returns the latter.
fn defined(libvirt: &Daemon, name: &str, patches: &[&str], definition: &str) -> String {
    let patched = render(patches, definition);
    assert_eq!(render(patches, &patched), patched, "{name}: not idempotent");
    libvirt.define(&patched);
    let stored = libvirt.definition(name);
    assert_eq!(
        render(patches, &stored),
        stored,
        "{name}: libvirt stores something else"
    );
    stored
}

/// All patches; without an emulated TPM on the machine libvirt would define none, so there that
/// one is left out, except in CI.
fn patches() -> Vec<&'static str> {
    let swtpm = Command::new("swtpm_setup")
        .arg("--version")
        .output()
        .is_ok();
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    SHIPPED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| swtpm || in_ci || *name != "tpm")
        .collect()
}

fn every_patch_is_defined_and_satisfied(libvirt: &Daemon) {
    for patch in patches() {
        let name = format!("one-{patch}");
        defined(libvirt, &name, &[patch], &new_machine(&name, "q35"));
        // Once more into what libvirt made of the machine without it.
        let name = format!("old-{patch}");
        libvirt.define(&old_machine(&name));
        let old = libvirt.definition(&name);
        defined(libvirt, &name, &[patch], &old);
    }
}

fn all_patches_together_are_defined_and_satisfied(libvirt: &Daemon) {
    let stored = defined(libvirt, "all", &patches(), &new_machine("all", "q35"));
    for there in [
        "<access mode='shared'/>",
        "<hidden state='on'/>",
        "<target dir='share'/>",
        "<memballoon model='none'/>",
        "<target type='virtio' name='org.qemu.guest_agent.0'/>",
    ] {
        assert!(stored.contains(there), "{there} is not in\n{stored}");
    }
}

fn a_share_is_added_to_a_domain_that_has_one(libvirt: &Daemon) {
    let first = defined(
        libvirt,
        "shares",
        &["virtiofs"],
        &new_machine("shares", "q35"),
    );
    let second = virt_patch(
        &[
            "render",
            "--pass=",
            "--patch=virtiofs",
            "--set=source=/usr",
            "--set=tag=usr",
        ],
        Some(&first),
    );
    libvirt.define(&second);
    let stored = libvirt.definition("shares");
    for there in ["<target dir='share'/>", "<target dir='usr'/>"] {
        assert!(stored.contains(there), "{there} is not in\n{stored}");
    }
}

fn graphics_that_listen_stop_doing_so(libvirt: &Daemon) {
    let template = new_machine("listen", "q35");
    let domain = template.replace(
        "<graphics type=\"spice\" port=\"-1\" tlsPort=\"-1\" autoport=\"yes\">",
        "<graphics type='spice' port='5901' listen='0.0.0.0'><listen type='address' address='0.0.0.0'/>",
    );
    assert_ne!(domain, template);
    let stored = defined(libvirt, "listen", &["spice-no-listen"], &domain);
    assert!(stored.contains("<listen type='none'/>"), "{stored}");
    assert!(!stored.contains("0.0.0.0"), "{stored}");
    assert!(stored.contains("<image compression='off'/>"), "{stored}");
}

fn a_processor_model_makes_way_for_the_hosts(libvirt: &Daemon) {
    let domain = new_machine("cpu", "q35").replace(
        "<cpu mode=\"maximum\"/>",
        "<cpu mode='custom' match='exact'><model fallback='forbid'>Penryn</model><vendor>Intel</vendor><topology sockets='1' cores='2' threads='1'/><feature policy='require' name='vmx'/></cpu>",
    );
    let stored = defined(libvirt, "cpu", &["native-cpu"], &domain);
    assert!(stored.contains("<cpu mode='maximum'"), "{stored}");
    assert!(!stored.contains("Penryn"), "{stored}");
    assert!(stored.contains("name='vmx'"), "{stored}");
}

/// Of each of these libvirt refuses what the patch would add.
fn patches_keep_off_what_libvirt_would_refuse(libvirt: &Daemon) {
    let machine = |name: &str, domain: &str, devices: &str| {
        format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>{domain}<devices>{devices}</devices></domain>"
        )
    };
    let cells = "<cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB' memAccess='private'/></numa></cpu>";
    for (patch, domain, devices) in [
        (
            "usb-tablet",
            "",
            "<controller type='usb' index='0' model='none'/>",
        ),
        ("spice-agent", "", "<graphics type='vnc' autoport='yes'/>"),
        ("spice-agent", "", ""),
        ("spice-no-listen", "", ""),
        (
            "spice-no-listen",
            "",
            "<graphics type='vnc' autoport='yes'/>",
        ),
        ("virtiofs", cells, ""),
        ("shared-memory", cells, ""),
    ] {
        let name = format!("off-{patch}");
        let text = machine(&name, domain, devices);
        assert_eq!(render(&[patch], &text), text, "{patch}");
    }
    // Here a part of the patch has a place.
    let passthrough = "<features><hyperv mode='passthrough'/></features>";
    let text = machine("off-hyperv", passthrough, "");
    let stored = defined(libvirt, "off-hyperv", &["hyperv"], &text);
    assert!(stored.contains("<hyperv mode='passthrough'>"), "{stored}");
    assert!(!stored.contains("<relaxed"), "{stored}");
    assert!(stored.contains("name='hypervclock'"), "{stored}");
}

/// Each of these is refused by libvirt when what the patch says is just added.
fn patches_take_out_what_libvirt_would_refuse_beside_them(libvirt: &Daemon) {
    for (index, (patch, sections, devices, gone)) in [
        (
            "local-time",
            "<clock offset='variable' adjustment='3600' basis='utc'/>",
            "",
            "adjustment",
        ),
        (
            "local-time",
            "<clock offset='timezone' timezone='Europe/Berlin'/>",
            "",
            "timezone",
        ),
        (
            "local-time",
            "<clock offset='absolute' start='1234567'/>",
            "",
            "start=",
        ),
        (
            "hugepages",
            "<memoryBacking><source type='anonymous'/></memoryBacking>",
            "",
            "anonymous",
        ),
        (
            "vfio-basics",
            "<features><ioapic driver='qemu'/></features>",
            "<iommu model='intel'><driver intremap='on'/></iommu>",
            "driver='kvm'",
        ),
        (
            "virtiofs",
            "",
            "<filesystem type='mount' accessmode='mapped'><driver type='path' wrpolicy='immediate'/><source dir='/usr'/><target dir='share'/></filesystem>",
            "wrpolicy",
        ),
        (
            "virtiofs",
            "",
            "<filesystem type='mount' accessmode='mapped' fmode='0644' dmode='0755' multidevs='remap'><source dir='/usr'/><target dir='share'/><readonly/></filesystem>",
            "readonly",
        ),
        (
            "virtiofs",
            "",
            "<filesystem type='mount' accessmode='squash' model='virtio-transitional'><source dir='/usr'/><target dir='share'/></filesystem>",
            "transitional",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("out-{index}-{patch}");
        let text = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>{sections}<devices>{devices}</devices></domain>"
        );
        libvirt.define(&text);
        let stored = defined(libvirt, &name, &[patch], &libvirt.definition(&name));
        assert!(!stored.contains(gone), "{patch}: {gone} is in\n{stored}");
    }
}

/// The lines of README.md that are pipelines, as they stand there, and their variations.
fn the_pipelines_of_the_readme_work(libvirt: &Daemon) {
    let place = tempfile::tempdir().unwrap();
    let xml = "<domain type='qemu'>\n  <name>vm</name>\n  <memory unit='MiB'>64</memory>\n  <vcpu>2</vcpu>\n  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n  <features>\n    <acpi/>\n  </features>\n  <devices>\n    <graphics type='vnc'/>\n  </devices>\n</domain>\n";
    libvirt.define(&xml.replace("type='vnc'", "type='vnc' passwd='hunter22'"));
    let file = place.path().join("vm.xml");
    for name in ["vm.xml", "other.xml"] {
        std::fs::write(place.path().join(name), xml).unwrap();
    }
    let mut seen = Vec::new();
    for line in pipelines() {
        let first = line.split_whitespace().next().unwrap().to_owned();
        match first.as_str() {
            "virsh" => {
                let longer = line.replace(
                    "| virsh define",
                    "| virt-patch render --pass '' --patch shared-memory | virsh define",
                );
                assert_ne!(line, longer);
                for (line, shared) in [(&line, false), (&longer, true)] {
                    let (code, _, stderr) = shell(place.path(), line);
                    assert_eq!(code, 0, "{line}\n{stderr}");
                    let stored = libvirt.definition("vm");
                    assert!(stored.contains("passwd='hunter22'"), "{line}\n{stored}");
                    assert!(stored.contains("isa-applesmc"), "{line}\n{stored}");
                    let is_shared = stored.contains("<access mode='shared'/>");
                    assert_eq!(is_shared, shared, "{line}\n{stored}");
                }
            }
            "virt-patch" => {
                let git = line.replace("patch -p1", "git apply");
                assert_ne!(line, git);
                let mut results = Vec::new();
                for line in [&line, &git] {
                    std::fs::write(&file, xml).unwrap();
                    // 'diff' says with 1 that something changes.
                    let (code, _, stderr) = shell(place.path(), line);
                    assert_eq!(code, 1, "{line}\n{stderr}");
                    results.push(std::fs::read_to_string(&file).unwrap());
                    let (code, rest, stderr) = shell(place.path(), "virt-patch diff vm.xml");
                    assert_eq!((code, rest.as_str()), (0, ""), "{line}\n{stderr}");
                }
                assert_ne!(results[0], xml);
                assert_eq!(results[0], results[1]);
            }
            "find" => {
                // One of them is due: xargs says 123 for any status from 1 to 125.
                let (code, stdout, stderr) = shell(place.path(), &line);
                assert_eq!(code, 123, "{line}\n{stderr}");
                for name in ["./vm.xml:", "./other.xml:"] {
                    assert!(stdout.contains(name), "{line}\n{stdout}");
                }
            }
            "virt-install" => {
                if shell(place.path(), "virt-install --version").0 == 0 {
                    let (code, stdout, stderr) = shell(place.path(), &line);
                    assert_eq!(code, 1, "{line}\n{stderr}");
                    assert!(stdout.starts_with("--- "), "{line}\n{stdout}");
                }
            }
            _ => panic!("nobody knows what this should do: {line}"),
        }
        seen.push(first);
    }
    seen.sort();
    assert_eq!(seen, ["find", "virsh", "virt-install", "virt-patch"]);
}

/// The lines of shell blocks that have a pipe, without their comments.
fn pipelines() -> Vec<String> {
    let readme = include_str!("../README.md");
    readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned())
        .filter(|line| line.contains(" | "))
        .collect()
}
