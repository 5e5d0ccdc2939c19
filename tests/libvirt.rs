//! The libvirt connection against real drivers.
//!
//! The test driver lives in the library itself and needs no daemon and no privilege.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../src/bin/virt-patch-libvirt/libvirt.rs"]
mod libvirt;

use std::os::unix::net::UnixListener;
use std::sync::Once;

use virt_patch::hypervisor::{
    Connector, Hypervisor, HypervisorError, MachineQuery, Mode, Secrets, State, facts,
};

/// A host of its own: test:///default is one host for the whole process.
fn open(mode: Mode) -> Box<dyn Hypervisor> {
    // The driver validates in this process, and libxml2 sets up the types of schemas without a lock:
    // the first definition must not be several.
    static SCHEMA_TYPES: Once = Once::new();
    SCHEMA_TYPES.call_once(|| {
        let xml = "<domain type='test'><name>first</name><memory>1024</memory><os><type>hvm</type></os></domain>";
        host_of_its_own(Mode::ReadWrite).define(xml).unwrap();
    });
    host_of_its_own(mode)
}

fn host_of_its_own(mode: Mode) -> Box<dyn Hypervisor> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/capabilities/test-driver.xml"
    );
    libvirt::Libvirt
        .open(Some(&format!("test://{file}")), mode)
        .unwrap()
}

/// The one domain of that host; it runs.
const TEST_UUID: &str = "6695eb01-f6a4-8304-79aa-97f2502e193f";

#[test]
fn a_connection_tells_where_it_leads() {
    let hypervisor = open(Mode::ReadOnly);
    let uri = hypervisor.uri().unwrap();
    assert!(uri.ends_with("/test-driver.xml"), "{uri}");
    assert_eq!(hypervisor.driver().unwrap(), "TEST");
    assert!(hypervisor.libvirt_version().unwrap().major >= 6);
    assert_eq!(hypervisor.mode(), Mode::ReadOnly);
}

#[test]
fn domains_are_found_by_id_uuid_and_name() {
    let hypervisor = open(Mode::ReadOnly);
    let dashless = TEST_UUID.replace('-', "");
    for given in ["1", TEST_UUID, &dashless, &TEST_UUID.to_uppercase(), "test"] {
        let found = hypervisor.find(given).unwrap();
        assert_eq!(
            (found.name.as_str(), found.uuid.as_str()),
            ("test", TEST_UUID),
            "{given}"
        );
        assert_eq!(
            (found.id, found.state, found.persistent),
            (Some(1), State::Running, true)
        );
    }
    for given in ["2", "Test", "", "-1", "6695eb01"] {
        let error = hypervisor.find(given).unwrap_err();
        assert!(error.is_no_domain(), "{given}: {error}");
        let expected = format!("no domain '{given}' on '{}'", hypervisor.uri().unwrap());
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_id_comes_before_a_name() {
    let hypervisor = open(Mode::ReadWrite);
    for name in ["1", "7"] {
        let xml = format!(
            "<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        );
        hypervisor.define(&xml).unwrap();
    }
    assert_eq!(hypervisor.find("1").unwrap().name, "test");
    assert_eq!(hypervisor.find("7").unwrap().name, "7");
    let names: Vec<_> = hypervisor
        .domains()
        .unwrap()
        .into_iter()
        .map(|domain| domain.name)
        .collect();
    assert_eq!(names, ["1", "7", "test"]);
}

#[test]
fn the_list_and_the_single_look_agree() {
    let hypervisor = open(Mode::ReadWrite);
    hypervisor
        .define("<domain type='test'><name>off</name><memory>1024</memory><os><type>hvm</type></os></domain>")
        .unwrap();
    for listed in hypervisor.domains().unwrap() {
        assert_eq!(hypervisor.find(&listed.uuid).unwrap(), listed);
    }
    assert_eq!(hypervisor.find("off").unwrap().state, State::Shutoff);
}

#[test]
fn a_definition_can_be_defined_and_undefined() {
    let hypervisor = open(Mode::ReadWrite);
    let xml = hypervisor.definition(TEST_UUID, Secrets::Included).unwrap();
    let changed = xml.replace("<on_reboot>restart", "<on_reboot>destroy");
    assert_ne!(changed, xml);
    assert_eq!(hypervisor.define(&changed).unwrap(), TEST_UUID);
    assert_eq!(
        hypervisor.definition(TEST_UUID, Secrets::Included).unwrap(),
        changed
    );

    let refused = hypervisor
        .define("<domain type='test'><name>x</name></domain>")
        .unwrap_err();
    assert_eq!(refused.to_string(), "cannot define the domain");
    assert!(refused.libvirt().is_some());

    hypervisor.destroy(TEST_UUID).unwrap();
    hypervisor.undefine(TEST_UUID).unwrap();
    assert!(
        hypervisor
            .definition(TEST_UUID, Secrets::Omitted)
            .unwrap_err()
            .is_no_domain()
    );
}

#[test]
fn a_read_only_connection_refuses_with_a_type() {
    let hypervisor = open(Mode::ReadOnly);
    let definition = hypervisor.definition(TEST_UUID, Secrets::Omitted).unwrap();
    assert!(definition.contains("<name>test</name>"));
    let refusals: [(&str, HypervisorError); 6] = [
        (
            "secrets",
            hypervisor
                .definition(TEST_UUID, Secrets::Included)
                .unwrap_err(),
        ),
        (
            "domcapabilities",
            hypervisor
                .domain_capabilities(&MachineQuery::default())
                .unwrap_err(),
        ),
        ("define", hypervisor.define("<domain/>").unwrap_err()),
        ("undefine", hypervisor.undefine(TEST_UUID).unwrap_err()),
        (
            "create",
            hypervisor.create_transient("<domain/>").unwrap_err(),
        ),
        ("destroy", hypervisor.destroy(TEST_UUID).unwrap_err()),
    ];
    for (what, error) in refusals {
        assert!(
            matches!(error, HypervisorError::ReadOnly { .. }),
            "{what}: {error:?}"
        );
        assert!(error.is_denied(), "{what}");
    }
}

#[test]
fn facts_say_what_stays_unknown() {
    let hypervisor = libvirt::Libvirt
        .open(Some("test:///default"), Mode::ReadOnly)
        .unwrap();
    let read = facts::read(&*hypervisor, &MachineQuery::default(), &|_| None).unwrap();
    assert_eq!(read.facts.cpu.siblings.len(), 16);
    let [unknown] = read.unknown.as_slice() else {
        panic!("{:?}", read.unknown);
    };
    assert_eq!(
        unknown.what,
        "which CPU models can be used: libvirt does not tell on a read-only connection"
    );
    assert!(unknown.is_detail);
}

#[test]
fn a_connection_that_cannot_be_made() {
    // A daemon that died leaves its socket behind, which refuses.
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    drop(UnixListener::bind(&socket).unwrap());
    let dead = format!("qemu+unix:///system?socket={}", socket.display());
    let nobody = format!("qemu+unix:///system?socket={}.not", socket.display());
    for (uri, unreachable) in [
        ("nope:///x", true),
        (&dead, true),
        (&nobody, true),
        ("a\0b", false),
    ] {
        let Err(error) = libvirt::Libvirt.open(Some(uri), Mode::ReadOnly) else {
            panic!("connected to {uri:?}")
        };
        assert_eq!(error.to_string(), format!("cannot connect to '{uri}'"));
        assert_eq!(error.is_unreachable(), unreachable, "{error:?}");
        assert!(!error.is_connection_lost(), "{error:?}");
    }
}
