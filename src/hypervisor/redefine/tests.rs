//! Every way a redefine can end, with a hypervisor that fails where it is told to.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::rc::Rc;

use super::*;
use crate::host::Version;
use crate::hypervisor::{LibvirtError, MachineQuery, Mode, State};

const UUID: &str = "6b74db76-687b-41c8-b451-c548920a9847";
const OLD: &str = "<domain>\n  <name>vm</name>\n  <vcpu>3</vcpu>\n</domain>\n";
const NEW: &str = "<domain>\n  <name>vm</name>\n  <vcpu>4</vcpu>\n</domain>\n";

/// What `define` does.
#[derive(Clone, Copy, PartialEq)]
enum Define {
    Works,
    Refuses,
    /// Stores it, and the connection breaks before the answer.
    StoresAndBreaks,
    /// The connection breaks before it is stored.
    Breaks,
    /// Stores it without `<vcpu>`, as libvirt drops what it does not know.
    Drops,
    /// As `Drops`, and nothing can be defined afterwards.
    DropsAndRefuses,
}

struct Fake {
    stored: Rc<RefCell<String>>,
    define: Cell<Define>,
    broken: Cell<bool>,
}

impl Fake {
    fn new(stored: &Rc<RefCell<String>>, define: Define) -> Fake {
        Fake {
            stored: Rc::clone(stored),
            define: Cell::new(define),
            broken: Cell::new(false),
        }
    }

    fn error(code: u32, domain: u32) -> HypervisorError {
        HypervisorError::Libvirt {
            doing: "define the domain".to_owned(),
            source: LibvirtError {
                code,
                domain,
                message: "no".to_owned(),
            },
        }
    }

    fn lost() -> HypervisorError {
        Fake::error(38, 7)
    }

    fn alive(&self) -> Result<(), HypervisorError> {
        if self.broken.get() {
            Err(Fake::lost())
        } else {
            Ok(())
        }
    }
}

impl Hypervisor for Fake {
    fn uri(&self) -> Result<String, HypervisorError> {
        Ok("fake:///".to_owned())
    }
    fn mode(&self) -> Mode {
        Mode::ReadWrite
    }
    fn definition(&self, _: &str, _: Secrets) -> Result<String, HypervisorError> {
        self.alive()?;
        Ok(self.stored.borrow().clone())
    }
    fn define(&self, xml: &str) -> Result<String, HypervisorError> {
        self.alive()?;
        let xml = match self.define.get() {
            Define::Refuses => return Err(Fake::error(67, 20)),
            Define::Breaks => {
                self.broken.set(true);
                return Err(Fake::lost());
            }
            Define::StoresAndBreaks => {
                self.broken.set(true);
                *self.stored.borrow_mut() = xml.to_owned();
                return Err(Fake::lost());
            }
            Define::Drops => {
                self.define.set(Define::Works);
                xml.replace("  <vcpu>4</vcpu>\n", "")
            }
            Define::DropsAndRefuses => {
                self.define.set(Define::Refuses);
                xml.replace("  <vcpu>4</vcpu>\n", "")
            }
            Define::Works => xml.to_owned(),
        };
        *self.stored.borrow_mut() = xml;
        Ok(info().uuid)
    }
    fn define_again(&self, printed: &str) -> Result<String, HypervisorError> {
        self.alive()?;
        if self.define.get() == Define::Refuses {
            return Err(Fake::error(67, 20));
        }
        *self.stored.borrow_mut() = printed.to_owned();
        Ok(info().uuid)
    }
    fn undefine(&self, _: &str) -> Result<(), HypervisorError> {
        self.alive()?;
        self.stored.borrow_mut().clear();
        Ok(())
    }
    fn driver(&self) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn libvirt_version(&self) -> Result<Version, HypervisorError> {
        unreachable!()
    }
    fn hypervisor_version(&self) -> Result<Version, HypervisorError> {
        unreachable!()
    }
    fn host_name(&self) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn capabilities(&self) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn domain_capabilities(&self, _: &MachineQuery<'_>) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn expand_cpu(&self, _: &str) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn system_information(&self) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        let another = DomainInfo {
            name: "another".to_owned(),
            uuid: "00000000-687b-41c8-b451-c548920a9847".to_owned(),
            ..info()
        };
        Ok(vec![info(), another])
    }
    fn find(&self, given: &str) -> Result<DomainInfo, HypervisorError> {
        match self.stored.borrow().as_str() {
            "" => Err(HypervisorError::NoDomain {
                given: given.to_owned(),
                uri: "fake:///".to_owned(),
            }),
            _ => Ok(info()),
        }
    }
    fn to_native(&self, _: &str) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn create_transient(&self, _: &str) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn monitor(&self, _: &str, _: &str) -> Result<String, HypervisorError> {
        unreachable!()
    }
    fn destroy(&self, _: &str) -> Result<(), HypervisorError> {
        unreachable!()
    }
}

fn info() -> DomainInfo {
    DomainInfo {
        name: "vm".to_owned(),
        uuid: UUID.to_owned(),
        id: None,
        state: State::Shutoff,
        persistent: true,
        autostart: false,
        has_managed_save: false,
        snapshots: 0,
    }
}

/// Redefines OLD as NEW; answers how it ended, what is stored, and the backups.
fn run(
    define: Define,
    before: &str,
    daemon_returns: bool,
    verify: &dyn Fn(&str) -> Vec<String>,
) -> (Result<Redefined, RedefineError>, String, usize) {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_owned();
    let store = Store::in_environment(|name| {
        (name == "XDG_STATE_HOME").then(|| state.clone().into_os_string())
    })
    .unwrap();
    let stored = Rc::new(RefCell::new(OLD.to_owned()));
    let fake = Fake::new(&stored, define);
    let critical = Cell::new(0);
    let ended = redefine(
        &Change {
            uuid: Some(UUID),
            before,
            after: NEW,
            is_printed: false,
        },
        &Means {
            hypervisor: &fake,
            reconnect: &|| match daemon_returns {
                true => Ok(Box::new(Fake::new(&stored, Define::Works))),
                false => Err(Fake::lost()),
            },
            store: &store,
            patience: Duration::from_millis(300),
            verify,
            critical: &|begins| critical.set(critical.get() + if begins { 1 } else { -1 }),
        },
    );
    assert_eq!(critical.get(), 0, "a signal would be held back for ever");
    let backups = store.list(None, None).unwrap();
    for backup in &backups {
        assert_eq!(backup.read().unwrap(), OLD);
    }
    let now = stored.borrow().clone();
    (ended, now, backups.len())
}

fn nothing(_: &str) -> Vec<String> {
    Vec::new()
}

#[test]
fn a_redefine_that_works_leaves_a_backup() {
    let (ended, now, backups) = run(Define::Works, OLD, true, &nothing);
    assert!(matches!(
        ended,
        Ok(Redefined::Applied {
            backup: Some(_),
            ..
        })
    ));
    assert_eq!((now.as_str(), backups), (NEW, 1));
}

#[test]
fn a_domain_that_someone_else_changed_is_left_alone() {
    let (ended, now, backups) = run(
        Define::Works,
        "<domain>of the diff</domain>",
        true,
        &nothing,
    );
    assert!(matches!(ended, Ok(Redefined::Conflict { now }) if now == OLD));
    assert_eq!((now.as_str(), backups), (OLD, 0));
}

#[test]
fn a_refusal_changes_nothing_and_leaves_no_backup() {
    let (ended, now, backups) = run(Define::Refuses, OLD, true, &nothing);
    assert!(matches!(ended, Err(RedefineError::Refused(_))));
    assert_eq!((now.as_str(), backups), (OLD, 0));
}

#[test]
fn what_libvirt_drops_brings_the_old_definition_back() {
    let (ended, now, backups) = run(Define::Drops, OLD, true, &nothing);
    let Ok(Redefined::RolledBack {
        problems,
        aside: Some(aside),
        ..
    }) = ended
    else {
        panic!("{ended:?}");
    };
    assert!(problems[0].contains("vcpu"), "{problems:?}");
    assert!(aside.to_string_lossy().ends_with(".rolled-back.xml"));
    assert_eq!((now.as_str(), backups), (OLD, 0));
}

#[test]
fn a_pass_that_is_not_satisfied_afterwards_brings_the_old_definition_back() {
    let verify = |stored: &str| match stored {
        NEW => vec!["the pass topology is changed afterwards".to_owned()],
        _ => Vec::new(),
    };
    let (ended, now, backups) = run(Define::Works, OLD, true, &verify);
    let Ok(Redefined::RolledBack { backup: None, .. }) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!((now.as_str(), backups), (OLD, 0));
}

#[test]
fn an_old_definition_that_cannot_be_put_back_is_named_with_its_backup() {
    let (ended, _, backups) = run(Define::DropsAndRefuses, OLD, true, &nothing);
    let error = ended.unwrap_err();
    assert!(
        error.to_string().contains("its old definition is in '/"),
        "{error}"
    );
    assert_eq!(backups, 1);
}

#[test]
fn a_daemon_killed_during_the_define_tells_afterwards_which_definition_it_has() {
    let (ended, now, backups) = run(Define::Breaks, OLD, true, &nothing);
    let error = ended.unwrap_err();
    assert!(matches!(error, RedefineError::LostOld { .. }));
    // It may still arrive: the backup stays.
    assert!(
        error
            .to_string()
            .contains("may change that; its old definition is in '/"),
        "{error}"
    );
    assert_eq!((now.as_str(), backups), (OLD, 1));

    let (ended, now, backups) = run(Define::StoresAndBreaks, OLD, true, &nothing);
    assert!(matches!(ended, Ok(Redefined::Applied { .. })), "{ended:?}");
    assert_eq!((now.as_str(), backups), (NEW, 1));
}

#[test]
fn a_daemon_that_stays_away_leaves_the_backup_and_says_where() {
    let (ended, _, backups) = run(Define::Breaks, OLD, false, &nothing);
    let error = ended.unwrap_err();
    assert!(matches!(error, RedefineError::LostUnknown { .. }));
    assert!(
        error.to_string().contains("its old definition is in '/"),
        "{error}"
    );
    assert_eq!(backups, 1);
}

/// Defines NEW as a new domain beside what is stored, which is nothing if it is empty.
fn define_new(define: Define, there: &str) -> (Result<Redefined, RedefineError>, String) {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_owned();
    let store = Store::in_environment(|name| {
        (name == "XDG_STATE_HOME").then(|| state.clone().into_os_string())
    })
    .unwrap();
    let stored = Rc::new(RefCell::new(there.to_owned()));
    let ended = redefine(
        &Change {
            uuid: None,
            before: "",
            after: NEW,
            is_printed: false,
        },
        &Means {
            hypervisor: &Fake::new(&stored, define),
            reconnect: &|| Err(Fake::lost()),
            store: &store,
            patience: Duration::from_millis(300),
            verify: &nothing,
            critical: &|_| (),
        },
    );
    assert_eq!(store.list(None, None).unwrap(), []);
    let now = stored.borrow().clone();
    (ended, now)
}

#[test]
fn a_new_domain_is_there_or_not_at_all() {
    let (ended, now) = define_new(Define::Works, "");
    assert!(matches!(ended, Ok(Redefined::Applied { .. })), "{ended:?}");
    assert_eq!(now, NEW);

    let (ended, now) = define_new(Define::Drops, "");
    assert!(
        matches!(ended, Ok(Redefined::RolledBack { .. })),
        "{ended:?}"
    );
    assert_eq!(now, "");
}

#[test]
fn a_domain_that_someone_else_defined_meanwhile_is_not_replaced() {
    let (ended, now) = define_new(Define::Works, OLD);
    assert!(matches!(ended, Ok(Redefined::Conflict { now }) if now == OLD));
    assert_eq!(now, OLD);
}

/// `find` of this hypervisor takes everything for the domain 'vm'.
#[test]
fn a_name_that_reads_as_another_domain_is_no_conflict() {
    let stored = Rc::new(RefCell::new(OLD.to_owned()));
    let fake = Fake::new(&stored, Define::Works);
    for (inside, is_there) in [
        (format!("<name>{UUID}</name>"), false),
        ("<name>7</name>".to_owned(), false),
        ("<name>vm</name>".to_owned(), true),
        ("<name>another</name>".to_owned(), true),
        (format!("<name>7</name><uuid>{UUID}</uuid>"), true),
    ] {
        let now = new_since(&format!("<domain>{inside}</domain>"), &fake).unwrap();
        assert_eq!(now.is_some(), is_there, "{inside}");
    }
}

#[test]
fn without_a_backup_nothing_is_redefined() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    fs::write(&file, "a file where a directory should be").unwrap();
    let store = Store::in_environment(|name| {
        (name == "XDG_STATE_HOME").then(|| file.clone().into_os_string())
    })
    .unwrap();
    let stored = Rc::new(RefCell::new(OLD.to_owned()));
    let ended = redefine(
        &Change {
            uuid: Some(UUID),
            before: OLD,
            after: NEW,
            is_printed: false,
        },
        &Means {
            hypervisor: &Fake::new(&stored, Define::Works),
            reconnect: &|| Err(Fake::lost()),
            store: &store,
            patience: Duration::from_millis(300),
            verify: &nothing,
            critical: &|_| (),
        },
    );
    assert!(matches!(ended, Err(RedefineError::Backup(_))));
    assert_eq!(*stored.borrow(), OLD);
}
