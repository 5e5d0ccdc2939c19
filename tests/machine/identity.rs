//! The pass machine-name.

use virt_patch::passes::settings::Settings;

use crate::run::{notes, pass};

#[test]
fn a_new_machine_gets_an_identity() {
    let uuid = "6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55";
    for (settings, after) in [
        (
            "mac.model=MacPro7,1 cpu-override.model=Cascadelake-Server machine-name.name=DarwinKVM-MP71".to_owned(),
            "<name>DarwinKVM-MP71</name>\n<description>macOS on a MacPro7,1 using Cascadelake-Server</description>".to_owned(),
        ),
        (
            format!("mac.model=MacPro5,1 cpu-override.model=Westmere-v2 machine-name.uuid={uuid}"),
            format!("<name>macOS-MP51</name>\n<uuid>{uuid}</uuid>\n<description>macOS on a MacPro5,1 using Westmere-v2</description>"),
        ),
        ("machine-name.name=desktop".to_owned(), "<name>desktop</name>".to_owned()),
        (
            "machine-name.description=mine".to_owned(),
            "<name>vm</name>\n<description>mine</description>".to_owned(),
        ),
    ] {
        let case = pass("machine-name").on_the_template().with(&settings);
        case.makes("<name>vm</name>", &after);
    }
    let report = pass("machine-name")
        .on_the_template()
        .with("machine-name.name=71")
        .makes("<name>vm</name>", "<name>71</name>");
    assert_eq!(
        notes(&report),
        "virsh takes '71' for the ID of a running domain first"
    );
}

#[test]
fn an_existing_domain_keeps_its_identity() {
    pass("machine-name")
        .with("machine-name.name=other")
        .is_not_for(
            "<name>vm</name>\n<uuid>6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55</uuid>",
            "an existing domain keeps its name, description and UUID",
        );
}

#[test]
fn what_libvirt_refuses_is_refused_here() {
    for (key, value, reason) in [
        (
            "machine-name.name",
            "a/b",
            "libvirt refuses a name with a slash or a line break",
        ),
        (
            "machine-name.name",
            "",
            "a name is not empty, and has no space at its ends",
        ),
        (
            "machine-name.name",
            " a",
            "a name is not empty, and has no space at its ends",
        ),
        (
            "machine-name.uuid",
            "71",
            "it is like 6b1f0b5e-6d5f-4c60-9f3e-0a4c9d1f7e55",
        ),
    ] {
        let error = Settings::default().set(key, value).unwrap_err().to_string();
        assert!(error.ends_with(reason), "{error}");
    }
}
