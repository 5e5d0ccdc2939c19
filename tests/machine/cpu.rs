//! The pass cpu.

use crate::run::{notes, pass};

const PASSED: &str = "<cpu mode='host-passthrough' check='none' migratable='on'>\n  <cache mode='passthrough'/>\n</cpu>";

#[test]
fn the_host_processor_is_passed_through() {
    for (before, after) in [
        ("<name>m</name>", format!("<name>m</name>\n{PASSED}")),
        ("<cpu mode='host-passthrough'/>", PASSED.to_owned()),
        ("<cpu mode='host-model' check='partial'/>", PASSED.to_owned()),
        // A model, how it is to match, and a cache level go with the mode they belong to.
        (
            "<cpu mode='custom' match='exact' check='partial'>\n  <model fallback='allow'>Haswell</model>\n  <vendor>Intel</vendor>\n  <topology sockets='1' dies='1' cores='2' threads='1'/>\n  <cache level='3' mode='emulate'/>\n  <feature policy='disable' name='hle'/>\n</cpu>",
            "<cpu mode='host-passthrough' check='none' migratable='on'>\n  <topology sockets='1' dies='1' cores='2' threads='1'/>\n  <cache mode='passthrough'/>\n  <feature policy='disable' name='hle'/>\n</cpu>".to_owned(),
        ),
    ] {
        pass("cpu").makes(before, &after);
    }
}

#[test]
fn under_emulation_it_is_all_that_qemu_computes() {
    pass("cpu").makes(
        "<domain type='qemu'>\n  <cpu mode='host-passthrough'/>\n</domain>\n",
        "<domain type='qemu'>\n  <cpu mode='maximum' check='none' migratable='on'>\n    <cache mode='passthrough'/>\n  </cpu>\n</domain>\n",
    );
}

#[test]
fn a_host_without_kvm_is_noted() {
    let case = pass("cpu").facts(|facts| facts.kvm = Some(false));
    let report = case.makes("<cpu mode='host-passthrough'/>", PASSED);
    assert_eq!(
        notes(&report),
        "host-passthrough needs KVM, which the host does not have; the pass domain-type makes it a qemu domain"
    );
}

#[test]
fn another_mode_can_be_asked_for() {
    pass("cpu")
        .with("cpu.mode=host-model")
        .makes(PASSED, "<cpu mode='host-model' check='none'/>");
    pass("cpu").with("cpu.mode=maximum").makes(
        "<cpu mode='host-model'/>",
        &PASSED.replace("host-passthrough", "maximum"),
    );
}

#[test]
fn the_native_form_of_cpu_override_stays() {
    let native = "<cpu mode='custom' match='exact' check='none'>\n  <model fallback='forbid' vendor_id='GenuineIntel'>Cascadelake-Server</model>\n</cpu>";
    let reason = "cpu-override writes the processor into <cpu> (its native style)";
    pass("cpu").is_not_for(native, reason);
    pass("cpu")
        .with("cpu-override.style=native")
        .is_not_for("<cpu mode='host-model'/>", reason);
}
