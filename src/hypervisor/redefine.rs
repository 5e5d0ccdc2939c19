//! Redefining a domain so that it is either the old one or the new one, never something between,
//! and so that the caller knows which.
//!
//! The order is the point: keep a backup that is on the disk, read again and compare (someone else may
//! have changed the domain since the diff was shown; nothing slow comes between this and the define),
//! define, read back, verify, and put the backup back when libvirt stored something else than it was
//! given. Knows nothing of passes or questions: what
//! has to hold in the stored definition is the caller's to say.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::backup::{BackupError, Store};
use crate::document::Document;

use super::{DomainInfo, Hypervisor, HypervisorError, Secrets, compare, host_lock, overtaken};

/// What is to be stored, and what was there when the user saw the diff.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// UUID of the domain that is there; `None` for a new one.
    pub uuid: Option<&'a str>,
    /// Its definition as the diff was made of it; empty for a new domain.
    pub before: &'a str,
    /// The definition to store.
    pub after: &'a str,
    /// libvirt itself printed it once, so it is taken as it is: see [`Hypervisor::define_again`].
    pub is_printed: bool,
}

/// What a redefine needs besides the change.
pub struct Means<'a> {
    /// The connection.
    pub hypervisor: &'a dyn Hypervisor,
    /// A new connection to the same URI, for when this one is lost on the way.
    pub reconnect: &'a dyn Fn() -> Result<Box<dyn Hypervisor>, HypervisorError>,
    /// Where backups are kept.
    pub store: &'a Store,
    /// What does not hold in the definition libvirt stored, as clauses; empty when all does.
    pub verify: &'a dyn Fn(&str) -> Vec<String>,
    /// How long a request of a lost connection may still arrive; [`PATIENCE`] for people.
    pub patience: Duration,
    /// Called once there is no way back but the backup's: a signal must not stop the process now.
    pub critical: &'a dyn Fn(bool),
}

/// A request that was on its way when the connection broke arrives within this, or hardly ever.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a redefine ended, when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redefined {
    /// Stored and verified.
    Applied {
        /// UUID of the domain.
        uuid: String,
        /// The backup of the old definition; `None` for a new domain, and where nothing changed.
        backup: Option<PathBuf>,
        /// libvirt makes the definition that it had of what it was given.
        is_as_before: bool,
        /// Directories of backups that others could read and that were closed to them.
        closed: Vec<PathBuf>,
    },
    /// The domain is not what the diff was made of any more; nothing was written.
    Conflict {
        /// Its definition now; empty when it has none any more.
        now: String,
    },
    /// What libvirt stored is not what it was given; the old definition is back.
    RolledBack {
        /// What did not hold.
        problems: Vec<String>,
        /// The backup of the old definition.
        backup: Option<PathBuf>,
        /// What libvirt had stored: it may be what someone else made of it in that moment.
        aside: Option<PathBuf>,
    },
}

/// Why a redefine failed. The message says which definition the domain has.
#[derive(Debug, thiserror::Error)]
pub enum RedefineError {
    /// Before anything was written.
    #[error("nothing was changed")]
    Before(#[source] HypervisorError),
    /// No backup, no redefine.
    #[error("nothing was changed, because there is no backup without which nothing is redefined")]
    Backup(#[from] BackupError),
    /// libvirt refused the new definition.
    #[error("libvirt refused the new definition; nothing was changed")]
    Refused(#[source] HypervisorError),
    /// The connection was lost, and the domain kept its old definition for a while.
    #[error(
        "the connection was lost, and {} s later the domain still {}; a request that is still on its way may change that{}",
        .after.as_secs(),
        if *.is_new { "was not defined" } else { "had its old definition" },
        backup_at(.backup)
    )]
    LostOld {
        /// It was to be a new domain.
        is_new: bool,
        /// How long it was looked at.
        after: Duration,
        /// The backup of the old definition.
        backup: Option<PathBuf>,
        /// What was lost.
        #[source]
        source: HypervisorError,
    },
    /// What libvirt stored is not right, and someone else has changed it since.
    #[error(
        "the stored definition is not right ({}), and someone else has changed the domain since, so the old one was not put back{}",
        .problems.join("; "),
        backup_at(.backup)
    )]
    Overtaken {
        /// What did not hold.
        problems: Vec<String>,
        /// The backup of the old definition.
        backup: Option<PathBuf>,
    },
    /// The definition was stored, and the domain is gone since.
    #[error(
        "the definition was stored, and then someone else removed the domain{}",
        backup_at(.backup)
    )]
    Gone {
        /// The backup of the old definition.
        backup: Option<PathBuf>,
        /// What libvirt says.
        #[source]
        source: HypervisorError,
    },
    /// The connection was lost, and nobody answers.
    #[error(
        "the connection was lost while the domain was redefined, and it is not known which definition it has{}",
        backup_at(.backup)
    )]
    LostUnknown {
        /// The backup of the old definition.
        backup: Option<PathBuf>,
        /// What was lost.
        #[source]
        source: HypervisorError,
    },
    /// The old definition could not be put back.
    #[error(
        "the stored definition is not right ({}), and the old one could not be put back{}",
        .problems.join("; "),
        backup_at(.backup)
    )]
    NotRolledBack {
        /// What did not hold.
        problems: Vec<String>,
        /// The backup of the old definition.
        backup: Option<PathBuf>,
        /// Why not.
        #[source]
        source: HypervisorError,
    },
}

fn backup_at(backup: &Option<PathBuf>) -> String {
    match backup {
        Some(path) => format!("; its old definition is in '{}'", path.display()),
        None => String::new(),
    }
}

/// Stores a definition.
///
/// # Errors
/// See [`RedefineError`]: each says which definition the domain has.
pub fn redefine(change: &Change<'_>, means: &Means<'_>) -> Result<Redefined, RedefineError> {
    let hypervisor = means.hypervisor;
    let uri = hypervisor.uri().map_err(RedefineError::Before)?;
    // Two of us must not both find the domain unchanged and then overwrite each other.
    let _lock = means.store.lock()?;
    let _host = host_lock::of(&uri);
    let mut backup = None;
    let mut closed = Vec::new();
    if let Some(uuid) = change.uuid {
        let written = means
            .store
            .write(&uri, uuid, change.before, SystemTime::now())?;
        backup = Some(written.backup.path);
        closed = written.closed;
    }
    // A backup of what is still there would only hide the one before it from `undo`.
    let without_use = |backup: &mut Option<PathBuf>| {
        if let Some(path) = backup.take() {
            let _ = std::fs::remove_file(path);
        }
    };
    let now = match change.uuid {
        Some(uuid) => match hypervisor.definition(uuid, Secrets::Included) {
            Err(error) if error.is_no_domain() => Ok(Some(String::new())),
            now => now.map(|now| Some(now).filter(|now| now != change.before)),
        },
        None => new_since(change.after, hypervisor),
    };
    match now {
        Ok(None) => {}
        Ok(Some(now)) => {
            without_use(&mut backup);
            return Ok(Redefined::Conflict { now });
        }
        Err(error) => {
            without_use(&mut backup);
            return Err(RedefineError::Before(error));
        }
    }
    (means.critical)(true);
    let ended = define_and_verify(change, means, backup.as_ref());
    (means.critical)(false);
    match ended {
        Ok(Stored::Right { uuid, is_as_before }) => {
            if is_as_before {
                without_use(&mut backup);
            }
            Ok(Redefined::Applied {
                uuid,
                backup,
                is_as_before,
                closed,
            })
        }
        Ok(Stored::Wrong {
            problems,
            is_as_before,
            aside,
        }) => {
            if is_as_before {
                without_use(&mut backup);
            }
            Ok(Redefined::RolledBack {
                problems,
                backup,
                aside,
            })
        }
        Err(Ended::Refused(error)) => {
            without_use(&mut backup);
            Err(RedefineError::Refused(error))
        }
        Err(Ended::Failed(error)) => Err(*error),
    }
}

/// The definition of a domain that has this one's name or UUID, which a moment ago none had.
fn new_since(
    definition: &str,
    hypervisor: &dyn Hypervisor,
) -> Result<Option<String>, HypervisorError> {
    let Ok(document) = Document::parse(definition) else {
        // libvirt will say what is wrong with it.
        return Ok(None);
    };
    for key in ["uuid", "name"] {
        let Some(wanted) = document.text_at(&[key]) else {
            continue;
        };
        let has_it = |domain: &DomainInfo| match key {
            "uuid" => plain(&domain.uuid) == plain(wanted),
            _ => domain.name == wanted,
        };
        let found = match hypervisor.find(wanted) {
            Ok(found) if has_it(&found) => Some(found),
            // A name may read as the ID or the UUID of another, which is then found first.
            Ok(_) => hypervisor.domains()?.into_iter().find(has_it),
            Err(error) if error.is_no_domain() => None,
            Err(error) => return Err(error),
        };
        if let Some(found) = found {
            return hypervisor
                .definition(&found.uuid, Secrets::Included)
                .map(Some);
        }
    }
    Ok(None)
}

fn plain(uuid: &str) -> String {
    uuid.replace('-', "").to_lowercase()
}

enum Stored {
    Right {
        uuid: String,
        /// The old definition to the letter.
        is_as_before: bool,
    },
    Wrong {
        problems: Vec<String>,
        /// The old definition is back to the letter.
        is_as_before: bool,
        /// Where what was stored is kept.
        aside: Option<PathBuf>,
    },
}

enum Ended {
    Refused(HypervisorError),
    Failed(Box<RedefineError>),
}

fn define_and_verify(
    change: &Change<'_>,
    means: &Means<'_>,
    backup: Option<&PathBuf>,
) -> Result<Stored, Ended> {
    let lost = |source: HypervisorError| {
        Ended::Failed(Box::new(RedefineError::LostUnknown {
            backup: backup.cloned(),
            source,
        }))
    };
    let mut again = None;
    let defined = match change.is_printed {
        true => means.hypervisor.define_again(change.after),
        false => means.hypervisor.define(change.after),
    };
    let uuid = match defined {
        Ok(uuid) => uuid,
        Err(error) if !error.is_connection_lost() => return Err(Ended::Refused(error)),
        Err(error) => {
            // Whether it was stored is only known to a daemon that answers.
            let Some(connection) = reconnected(means) else {
                return Err(lost(error));
            };
            match changed_yet(&*connection, change, means.patience) {
                Ok(None) => {
                    return Err(Ended::Failed(Box::new(RedefineError::LostOld {
                        is_new: change.uuid.is_none(),
                        after: means.patience,
                        backup: backup.cloned(),
                        source: error,
                    })));
                }
                Ok(Some(uuid)) => {
                    again = Some(connection);
                    uuid
                }
                Err(error) => return Err(lost(error)),
            }
        }
    };
    let mut hypervisor = again.as_deref().unwrap_or(means.hypervisor);
    let mut stored = hypervisor.definition(&uuid, Secrets::Included);
    let after_loss;
    if stored
        .as_ref()
        .is_err_and(HypervisorError::is_connection_lost)
        && let Some(connection) = reconnected(means)
    {
        after_loss = connection;
        hypervisor = after_loss.as_ref();
        stored = hypervisor.definition(&uuid, Secrets::Included);
    }
    let stored = stored.map_err(|source| match source.is_no_domain() {
        true => Ended::Failed(Box::new(RedefineError::Gone {
            backup: backup.cloned(),
            source,
        })),
        false => lost(source),
    })?;
    let mut problems: Vec<String> = match compare::missing(change.after, &stored) {
        Ok(missing) => missing
            .iter()
            .map(|missing| format!("line {}: {}: {}", missing.line, missing.path, missing.what))
            .collect(),
        Err(error) => vec![format!("what libvirt stored cannot be read: {error}")],
    };
    problems.extend((means.verify)(&stored));
    if problems.is_empty() {
        return Ok(Stored::Right {
            is_as_before: change.uuid.is_some() && stored == change.before,
            uuid,
        });
    }
    // What someone else made of it meanwhile is not ours to throw away.
    let is_theirs = change.uuid.is_some()
        && overtaken::is_someone_elses(change.before, change.after, &stored).unwrap_or(false);
    if is_theirs
        || hypervisor
            .definition(&uuid, Secrets::Included)
            .is_ok_and(|now| now != stored)
    {
        return Err(Ended::Failed(Box::new(RedefineError::Overtaken {
            problems,
            backup: backup.cloned(),
        })));
    }
    // The rollback must not fail for want of a file that only helps to understand it.
    let aside = hypervisor.uri().ok().and_then(|uri| {
        let aside = means
            .store
            .put_aside(&uri, &uuid, &stored, SystemTime::now());
        aside.ok()
    });
    let back = match change.uuid {
        Some(_) => hypervisor.define_again(change.before).map(|_| ()),
        None => hypervisor.undefine(&uuid),
    };
    match back {
        Ok(()) => Ok(Stored::Wrong {
            problems,
            aside,
            is_as_before: change.uuid.is_some_and(|uuid| {
                let now = hypervisor.definition(uuid, Secrets::Included);
                now.is_ok_and(|now| now == change.before)
            }),
        }),
        Err(source) => Err(Ended::Failed(Box::new(RedefineError::NotRolledBack {
            problems,
            backup: backup.cloned(),
            source,
        }))),
    }
}

/// The UUID of the domain once it has another definition than before, or is there at all, now or
/// within `patience`: the daemon may still be at work on what was asked of it over the connection that
/// is gone.
fn changed_yet(
    hypervisor: &dyn Hypervisor,
    change: &Change<'_>,
    patience: Duration,
) -> Result<Option<String>, HypervisorError> {
    let began = Instant::now();
    loop {
        let changed = match change.uuid {
            Some(uuid) => {
                let now = hypervisor.definition(uuid, Secrets::Included)?;
                (now != change.before).then(|| uuid.to_owned())
            }
            None => new_since(change.after, hypervisor)?.and_then(|now| {
                let now = Document::parse(&now).ok()?;
                now.text_at(&["uuid"]).map(str::to_owned)
            }),
        };
        if changed.is_some() {
            return Ok(changed);
        }
        if began.elapsed() >= patience {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100).min(patience));
    }
}

/// A daemon that was restarted needs a moment.
fn reconnected(means: &Means<'_>) -> Option<Box<dyn Hypervisor>> {
    const TRIES: u32 = 10;
    (0..TRIES).find_map(|attempt| {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(500));
        }
        (means.reconnect)().ok()
    })
}

#[cfg(test)]
mod tests;
