//! The example at the head of each pass is what the pass does.

use crate::run::pass;

/// Pass, and the settings its example is about.
const EXAMPLES: &[(&str, &str)] = &[
    ("domain-type", ""),
    ("emulator", ""),
    ("machine", ""),
    ("memory", "memory.size=8GiB"),
    ("memory-backing", ""),
    ("boot", ""),
    ("features", ""),
    ("cpu", ""),
    ("clock", ""),
    ("enlightenments", ""),
    ("lifecycle", ""),
    ("memballoon", ""),
    ("usb-input", ""),
    ("virtio", ""),
    ("watchdog", "host.libvirt=11.3.0"),
];

#[test]
fn every_example_is_what_happens() {
    for (name, settings) in EXAMPLES {
        let (before, after) = example(name);
        pass(name).with(settings).makes(&before, &after);
    }
}

#[test]
fn the_example_of_a_new_machines_name_is_what_happens() {
    let (before, after) = example("machine-name");
    pass("machine-name")
        .on_the_template()
        .with("mac.model=MacPro7,1 cpu-override.model=Cascadelake-Server machine-name.uuid=6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55")
        .makes(&before, &after);
}

fn example(name: &str) -> (String, String) {
    let explanation =
        virt_patch::passes::explanation(virt_patch::passes::find(name).unwrap().source);
    let block = |which: &str| {
        let (_, rest) = explanation
            .split_once(&format!("```xml,{which}\n"))
            .unwrap();
        rest.split_once("\n```").unwrap().0.to_owned()
    };
    (block("before"), block("after"))
}
