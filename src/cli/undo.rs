//! `virt-patch undo`: puts the last backup of a domain back, after the same diff and question.

use std::collections::HashSet;

use anyhow::Context as _;

use super::args::UndoArgs;
use super::connection::{must_start_anew, takes_effect};
use super::errors::Advice;
use super::source::{quoted, shell_word};
use super::{Exit, World, confirm, conflict};
use crate::document::Document;
use crate::hypervisor::backup::{Backup, BackupError, Store};
use crate::hypervisor::redefine::{self, Change, Means, Redefined};
use crate::hypervisor::{DomainInfo, Hypervisor, HypervisorError, Mode, Secrets};
use crate::merge::{self, Patch};
use crate::report::diff::{DiffOptions, Labels, unified};
use crate::report::mask;

pub(crate) fn run(args: &UndoArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let store = Store::in_environment(|name| std::env::var_os(name))?;
    if args.list {
        return list(args, &store, world);
    }
    let Some(given) = &args.domain else {
        return Err(Advice::new(
            "no domain was named",
            "'virt-patch undo --list' shows the backups there are",
        )
        .into());
    };
    if !args.dry_run {
        confirm::can_ask(args.yes, "undo")?;
    }
    confirm::guard_signals()?;
    let connection = world.open(Mode::ReadWrite)?;
    let uri = connection.uri()?;
    let info = match connection.find(given) {
        Ok(info) => Some(info),
        Err(error) if error.is_no_domain() => None,
        Err(error) => return Err(error.into()),
    };
    // A UUID outlives a change of name, and the domain itself.
    let key = info
        .as_ref()
        .map_or(given.as_str(), |info| info.uuid.as_str());
    let mut backups = store.list(Some(&uri), Some(key))?;
    // Another domain's name may be this one's UUID.
    if let Some(info) = &info {
        backups.retain(|backup| backup.uuid == info.uuid);
    }
    if let (Some(word), false) = (&args.to, backups.is_empty()) {
        backups = asked_for(word, given, backups)?;
    }
    let Some(mut backup) = backups.pop() else {
        return Err(no_backup(
            given,
            info.as_ref(),
            &*connection,
            &store,
            &world.connect_option(),
        )?
        .into());
    };
    // The backup of a redefine that did not happen says what the domain is: there is nothing to put
    // back from it, and more behind it.
    if let (Some(info), None) = (&info, &args.to) {
        let now = connection.definition(&info.uuid, Secrets::Included)?;
        let same = |backup: &Backup| -> anyhow::Result<bool> {
            Ok(definition(backup, Some(info), &world.connect_option())? == now)
        };
        let (last, newest) = (backup.time_text(), backup.path.clone());
        while same(&backup)?
            && let Some(earlier) = backups.pop()
        {
            backup = earlier;
        }
        if backup.path != newest && !same(&backup)? {
            if args.yes {
                world.out.say(&format!(
                    "'{}' is as it was at {last}; nothing to undo. The backup before that is of {}: undo without --yes shows it and asks.",
                    info.name,
                    backup.time_text()
                ));
                return Ok(Exit::Done);
            }
            world.out.say(&format!(
                "note: '{}' is as it was at {last}; this is the backup before that",
                info.name
            ));
        }
    }
    // By the name it had when the backup was made, it is found by the UUID it still has.
    let info = match info {
        Some(info) => Some(info),
        None => match connection.find(&backup.uuid) {
            Ok(info) => Some(info),
            Err(error) if error.is_no_domain() => None,
            Err(error) => return Err(error.into()),
        },
    };
    // One that runs on after it was undefined is stored again.
    if info.is_none() {
        must_be_free(backup.name.as_deref(), &*connection)?;
    }
    put_back(args, &store, &backup, info.as_ref(), &*connection, world)
}

/// The one backup that `--to` means.
fn asked_for(word: &str, given: &str, backups: Vec<Backup>) -> anyhow::Result<Vec<Backup>> {
    let (meant, others): (Vec<Backup>, Vec<Backup>) = backups
        .into_iter()
        .partition(|backup| backup.is_called(word));
    let listed = |backups: &[Backup], what: fn(&Backup) -> String| {
        backups.iter().map(what).collect::<Vec<_>>().join(", ")
    };
    match meant.as_slice() {
        [_] => Ok(meant),
        [] => Err(Advice::new(
            format!("there is no backup of '{given}' of {}", quoted(word)),
            format!("there are: {}", listed(&others, Backup::time_text)),
        )
        .into()),
        several => Err(Advice::new(
            format!("there are {} backups of '{given}' of {word}", several.len()),
            format!(
                "name one by its file: {}",
                listed(several, |backup| shell_word(
                    &backup.path.display().to_string()
                )
                .into_owned())
            ),
        )
        .into()),
    }
}

fn put_back(
    args: &UndoArgs,
    store: &Store,
    backup: &Backup,
    info: Option<&DomainInfo>,
    connection: &dyn Hypervisor,
    world: &mut World<'_>,
) -> anyhow::Result<Exit> {
    let uri = connection.uri()?;
    let after = definition(backup, info, &world.connect_option())?;
    let (before, name) = match info {
        Some(info) => (
            connection.definition(&info.uuid, Secrets::Included)?,
            info.name.clone(),
        ),
        None => (String::new(), backup.name.clone().unwrap_or_default()),
    };
    let masked = mask::mask_pair(&before, &after);
    let options = DiffOptions {
        color: world.out.color,
        terminal: world.out.terminal,
        ..DiffOptions::default()
    };
    let labels = Labels::domain(&name, &uri);
    world
        .out
        .print(&unified(&masked.before, &masked.after, &labels, &options))?;
    if before == after {
        world.out.say(&format!(
            "'{name}' is as it was at {}; nothing to undo",
            backup.time_text()
        ));
        return Ok(Exit::Done);
    }
    if args.dry_run {
        return Ok(Exit::Pending);
    }
    if let Some(info) = info {
        must_start_anew(info, args.force)?;
    }
    let question = match info {
        Some(info) if info.persistent => format!(
            "Put the definition of '{name}' of {} back on {uri}?",
            backup.time_text()
        ),
        Some(_) => format!(
            "'{name}' runs and is not defined any more. Define it as of {} on {uri}?",
            backup.time_text()
        ),
        None => format!(
            "'{name}' is not defined any more. Define it as of {} on {uri}?",
            backup.time_text()
        ),
    };
    if !args.yes && confirm::ask(&question)? != confirm::Answer::Yes {
        world.out.always("Nothing was changed.");
        return Ok(Exit::Pending);
    }
    let info = match info {
        Some(info) => match conflict::look_again(info, connection, args.force, world)? {
            Some(now) => Some(now),
            None => return Ok(Exit::Pending),
        },
        None => None,
    };
    let info = info.as_ref();
    let reconnect = || {
        let connector = world.connector.ok_or(HypervisorError::ReadOnly {
            doing: "connect again".to_owned(),
        })?;
        connector.open(Some(&uri), Mode::ReadWrite)
    };
    let change = Change {
        uuid: info.map(|info| info.uuid.as_str()),
        before: &before,
        after: &after,
        is_printed: true,
    };
    let means = Means {
        hypervisor: connection,
        reconnect: &reconnect,
        store,
        patience: redefine::PATIENCE,
        verify: &|_| Vec::new(),
        critical: &confirm::critical,
    };
    let ended = redefine::redefine(&change, &means)
        .with_context(|| format!("cannot put the definition of '{name}' back"))?;
    Ok(match ended {
        Redefined::Applied { .. } => {
            let effect = info.map_or_else(
                || "it takes effect when the domain is next started".to_owned(),
                takes_effect,
            );
            world.out.say(&format!(
                "Domain '{name}' is as it was at {}; {effect}.",
                backup.time_text()
            ));
            Exit::Done
        }
        Redefined::Conflict { now } => {
            conflict::tell(&name, &before, &now, world);
            Exit::Pending
        }
        Redefined::RolledBack {
            problems, aside, ..
        } => {
            world.out.always(&format!(
                "libvirt did not store what it was given, so '{name}' is as it was before. What was lost:"
            ));
            for problem in problems {
                world.out.always(&format!("  {problem}"));
            }
            conflict::tell_aside(aside.as_deref(), world);
            Exit::Pending
        }
    })
}

fn list(args: &UndoArgs, store: &Store, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let mut backups = store.list(None, args.domain.as_deref())?;
    // Under a name it got after the last of them, it is known to libvirt only.
    if let (true, Some(given)) = (backups.is_empty(), &args.domain)
        && let Ok(connection) = world.open(Mode::ReadOnly)
        && let Ok(info) = connection.find(given)
    {
        backups = store.list(None, Some(&info.uuid))?;
    }
    if backups.is_empty() {
        let root = store.root().display();
        let others = match &args.domain {
            Some(given) if !store.list(None, None)?.is_empty() => Some(given),
            _ => None,
        };
        world.out.say(&match others {
            Some(given) => format!(
                "there are no backups of {} in {root}; 'virt-patch undo --list' shows those of others",
                quoted(given)
            ),
            None => format!("there are no backups in {root}"),
        });
    }
    for backup in backups {
        let name = backup.name.as_deref().unwrap_or("?");
        world.out.print(&format!(
            "{}  {name}  {}  {}  {}\n",
            backup.time_text(),
            backup.uuid,
            backup.uri,
            backup.path.display()
        ))?;
    }
    Ok(Exit::Done)
}

/// A domain that is gone comes back under its old name, which may be another's by now.
fn must_be_free(name: Option<&str>, connection: &dyn Hypervisor) -> anyhow::Result<()> {
    let Some(name) = name else { return Ok(()) };
    match connection.find(name) {
        Ok(other) if other.name == name => Err(Advice::new(
            format!(
                "the backup is of a domain '{name}' that is gone, and another one has that name now (UUID {})",
                other.uuid
            ),
            format!(
                "rename that one first: virsh domrename {} NEW",
                shell_word(name)
            ),
        )
        .into()),
        Ok(_) => Ok(()),
        Err(error) if error.is_no_domain() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a backup puts back.
fn definition(backup: &Backup, info: Option<&DomainInfo>, connect: &str) -> anyhow::Result<String> {
    let text = backup.read().map_err(|error| match error {
        BackupError::Io { source, .. } => anyhow::Error::new(source),
        other => anyhow::Error::new(other),
    });
    let definition = text.and_then(|text| match info {
        Some(info) => named(&text, &info.name),
        None => {
            Document::parse_domain(&text)?;
            Ok(text)
        }
    });
    definition.map_err(|error| {
        let domain = shell_word(info.map_or(&backup.uuid, |info| &info.name));
        error.context(Advice::new(
            format!("the backup '{}' cannot be read", backup.path.display()),
            format!(
                "'virt-patch {connect}undo {domain} --to TIME|FILE' puts an older one back; 'virt-patch undo --list {domain}' shows them"
            ),
        ))
    })
}

/// A rename since the backup stays: libvirt refuses another name for the same UUID.
fn named(definition: &str, name: &str) -> anyhow::Result<String> {
    let document = Document::parse_domain(definition)?;
    let patch = Patch::new("name", "<domain><name>${name}</name></domain>").with("name", name);
    Ok(merge::merged(&document, &patch)?.unwrap_or_else(|| definition.to_owned()))
}

fn no_backup(
    given: &str,
    info: Option<&DomainInfo>,
    connection: &dyn Hypervisor,
    store: &Store,
    connect: &str,
) -> anyhow::Result<Advice> {
    let uri = connection.uri()?;
    let uri = uri.as_str();
    // The name may have gone to another machine since.
    let of_name = store.latest(Some(uri), given)?;
    if let (Some(info), Some(backup)) = (info, of_name) {
        return Ok(Advice::new(
            format!(
                "there is no backup of '{given}' on {uri}: it has the UUID {}, and the backups of that name are of {}",
                info.uuid, backup.uuid
            ),
            format!(
                "to put that other domain back, name it by its UUID: virt-patch {connect}undo {}",
                backup.uuid
            ),
        ));
    }
    let elsewhere = store.list(None, Some(given))?;
    let help = match elsewhere.last() {
        Some(backup) if !backup.has_whole_uri() => format!(
            "there is one of the connection whose URI begins with {}: name that with -c ({})",
            backup.uri.trim_end_matches('…'),
            backup.path.display()
        ),
        Some(backup) => format!(
            "there is one of {}: virt-patch -c {} undo {}",
            backup.uri,
            shell_word(&backup.uri),
            shell_word(given)
        ),
        // Renamed and then undefined, it is known by its old name only.
        None => match (info, gone(uri, connection, store)?.as_slice()) {
            (None, [backup, others @ ..]) => format!(
                "if it had another name before: virt-patch {connect}undo {}{}",
                shell_word(backup.name.as_deref().unwrap_or(&backup.uuid)),
                match others {
                    [] => String::new(),
                    others => format!(
                        " (or one of {} more that are not defined any more; see 'virt-patch undo --list')",
                        others.len()
                    ),
                }
            ),
            _ => "'virt-patch undo --list' shows the backups there are; only apply and undo make them"
                .to_owned(),
        },
    };
    Ok(Advice::new(
        format!("there is no backup of '{given}' on {uri}"),
        help,
    ))
}

/// The last backup of each domain of this connection that is not defined any more, the newest first.
fn gone(uri: &str, connection: &dyn Hypervisor, store: &Store) -> anyhow::Result<Vec<Backup>> {
    let there: HashSet<String> = connection
        .domains()?
        .into_iter()
        .map(|domain| domain.uuid)
        .collect();
    let mut seen = HashSet::new();
    let mut backups = store.list(Some(uri), None)?;
    backups.reverse();
    backups.retain(|backup| !there.contains(&backup.uuid) && seen.insert(backup.uuid.clone()));
    Ok(backups)
}
