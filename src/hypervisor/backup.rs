//! Copies of definitions, kept before they are replaced.
//!
//! One file per redefine, `STATE/virt-patch/backups/URI/UUID/TIME.xml`, holding exactly the
//! definition that was replaced, secrets included; so the directories are 0700 and the files
//! 0600. A backup is on the disk before [`write`] returns and is never overwritten. Nothing
//! here knows what a backup is of beyond its `<name>`, which it reads from the file itself: a
//! backup needs no index and outlives its domain.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::xml::text;

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// URI of the connection the domain was on. Of one that is too long for the name of a directory
    /// only the beginning is known, with `…` behind it, unless it was what [`Store::list`] was asked for.
    pub uri: String,
    /// UUID of the domain, in lower case with dashes.
    pub uuid: String,
    /// When it was made, to the second.
    pub time: SystemTime,
    /// Which one of that second, from 1.
    pub number: u32,
    /// The domain's name at that time; `None` when the file cannot be read or is no domain.
    pub name: Option<String>,
}

impl Backup {
    /// The definition.
    pub fn read(&self) -> Result<String, BackupError> {
        fs::read_to_string(&self.path)
            .map_err(|source| BackupError::new("read the backup", &self.path, source))
    }

    /// Whether it is meant by `word`: its time as [`Backup::time_text`] has it, or its file.
    pub fn is_called(&self, word: &str) -> bool {
        let file = Path::new(word);
        self.time_text() == word
            || self.path == file
            || file_name(&self.path) == word
            || fs::canonicalize(file)
                .is_ok_and(|file| fs::canonicalize(&self.path).is_ok_and(|own| own == file))
    }

    /// Whether the URI is all of it.
    pub fn has_whole_uri(&self) -> bool {
        !self.uri.ends_with(CUT)
    }

    /// When it was made, in UTC: `2026-11-22T05:12:44Z`.
    pub fn time_text(&self) -> String {
        humantime::format_rfc3339_seconds(self.time).to_string()
    }
}

/// A backup could not be written, found or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system refused.
    #[error("cannot {doing} '{}'", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither `XDG_STATE_HOME` nor `HOME` is an absolute path.
    #[error("no place for backups: set XDG_STATE_HOME or HOME to an absolute path")]
    NoHome,
}

impl BackupError {
    fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        BackupError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// What [`Store::write`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new backup.
    pub backup: Backup,
    /// Directories that others could read and that were closed to them.
    pub closed: Vec<PathBuf>,
}

/// All backups of one user.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store under `$XDG_STATE_HOME`, or `$HOME/.local/state` where that is unset; the
    /// environment is passed in so that this reads none.
    pub fn in_environment(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Store, BackupError> {
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .ok_or(BackupError::NoHome)?;
        Ok(Store {
            root: state.join("virt-patch").join("backups"),
        })
    }

    /// The directory that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until no other virt-patch of this user redefines something. Held until the value
    /// is dropped, also when the process is killed.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn lock(&self) -> Result<File, BackupError> {
        let program = self.root.parent().unwrap_or(&self.root);
        make_private(program)?;
        let path = program.join("lock");
        let fail = |source| BackupError::new("lock", &path, source);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        file.lock().map_err(fail)?;
        Ok(file)
    }

    /// Keeps `definition`, and returns when it is on the disk.
    pub fn write(
        &self,
        uri: &str,
        uuid: &str,
        definition: &str,
        now: SystemTime,
    ) -> Result<Written, BackupError> {
        let by_uri = self.root.join(directory_name(uri));
        let directory = by_uri.join(escape(uuid));
        let mut closed = Vec::new();
        let program = self.root.parent().unwrap_or(&self.root);
        for level in [program, &self.root, &by_uri, &directory] {
            if make_private(level)? {
                closed.push(level.to_owned());
            }
        }
        // The newest is what `undo` takes, also after the clock was set back.
        let before = history(&directory, uri, uuid)?;
        let latest = before
            .iter()
            .map(|backup| (backup.time, backup.number))
            .max();
        let (time, number) = match latest {
            Some((time, number)) if time >= whole_seconds(now) => (time, number + 1),
            _ => (now, 1),
        };
        let stem = humantime::format_rfc3339_seconds(time)
            .to_string()
            .replace(':', "-");
        let (path, number) = place_new(&directory, &stem, number, definition)?;
        let backup = Backup {
            path,
            uri: uri.to_owned(),
            uuid: uuid.to_owned(),
            time: parse_time(&stem).unwrap_or(time),
            number,
            name: domain_name(definition),
        };
        Ok(Written { backup, closed })
    }

    /// Keeps what libvirt had stored before the old definition was put back: someone may have edited
    /// it in that moment. It is beside the backups and none of them, so `undo` never takes it.
    pub fn put_aside(
        &self,
        uri: &str,
        uuid: &str,
        definition: &str,
        now: SystemTime,
    ) -> Result<PathBuf, BackupError> {
        let by_uri = self.root.join(directory_name(uri));
        let directory = by_uri.join(escape(uuid));
        let program = self.root.parent().unwrap_or(&self.root);
        for level in [program, &self.root, &by_uri, &directory] {
            make_private(level)?;
        }
        let time = humantime::format_rfc3339_seconds(now).to_string();
        let stem = format!("{}.rolled-back", time.replace(':', "-"));
        Ok(place_new(&directory, &stem, 1, definition)?.0)
    }

    /// All backups, oldest first, of one connection when `uri` is given and of one domain when
    /// `domain` is. A domain is named by its UUID or by any name that one of its backups
    /// carries: the whole history is found after a rename and after the domain is gone.
    pub fn list(
        &self,
        uri: Option<&str>,
        domain: Option<&str>,
    ) -> Result<Vec<Backup>, BackupError> {
        let mut found = Vec::new();
        for by_uri in entries(&self.root)? {
            let name = file_name(&by_uri);
            // A name that is cut says only how its URI begins, so it is the names that are compared.
            let its_uri = match uri {
                Some(uri) if name == directory_name(uri) => uri.to_owned(),
                Some(_) => continue,
                None => uri_of(&name),
            };
            for directory in entries(&by_uri)? {
                let uuid = unescape(&file_name(&directory));
                let history = history(&directory, &its_uri, &uuid)?;
                if domain.is_none_or(|domain| is_of(&history, &uuid, domain)) {
                    found.extend(history);
                }
            }
        }
        found.sort_by(|a, b| (a.time, a.number, &a.path).cmp(&(b.time, b.number, &b.path)));
        Ok(found)
    }

    /// The newest of [`Store::list`].
    pub fn latest(&self, uri: Option<&str>, domain: &str) -> Result<Option<Backup>, BackupError> {
        Ok(self.list(uri, Some(domain))?.pop())
    }
}

/// Makes one directory that only its owner may use; its parent's parents are made with the
/// user's own mode. Answers whether an existing one had to be closed to others.
fn make_private(directory: &Path) -> Result<bool, BackupError> {
    let parent = directory.parent().unwrap_or(directory);
    let fail = |source| BackupError::new("create the directory", directory, source);
    fs::create_dir_all(parent).map_err(fail)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {
            sync(parent)?;
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => close(directory),
        Err(error) => Err(fail(error)),
    }
}

fn close(directory: &Path) -> Result<bool, BackupError> {
    let fail = |source| BackupError::new("make a private directory of", directory, source);
    let metadata = fs::metadata(directory).map_err(fail)?;
    if !metadata.is_dir() {
        return Err(fail(io::ErrorKind::NotADirectory.into()));
    }
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    Ok(true)
}

/// The content appears under its final name complete or not at all, and never in place of
/// another file.
fn place_new(
    directory: &Path,
    stem: &str,
    number: u32,
    content: &str,
) -> Result<(PathBuf, u32), BackupError> {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!(".{stem}.{}-{count}.tmp", std::process::id()));
    let placed = write_synced(&temporary, content)
        .and_then(|()| link_free(&temporary, directory, stem, number));
    // Gone after a rename; after a failure there is nothing better to do with it.
    let _ = fs::remove_file(&temporary);
    let placed = placed?;
    sync(directory)?;
    Ok(placed)
}

fn write_synced(path: &Path, content: &str) -> Result<(), BackupError> {
    let fail = |source| BackupError::new("write the backup", path, source);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    file.write_all(content.as_bytes()).map_err(fail)?;
    file.sync_all().map_err(fail)
}

fn link_free(
    temporary: &Path,
    directory: &Path,
    stem: &str,
    mut number: u32,
) -> Result<(PathBuf, u32), BackupError> {
    loop {
        let path = directory.join(backup_name(stem, number));
        match rename_new(temporary, &path) {
            Ok(()) => return Ok((path, number)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(BackupError::new("write the backup", &path, error)),
        }
    }
}

/// Renames without replacing. File systems that cannot do that in one step can link.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        answer => Ok(answer?),
    }
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| BackupError::new("write the directory", directory, source))
}

/// `2026-11-22T05-12-44Z.xml`, then `…Z_2.xml`: both sort by time as plain text.
fn backup_name(stem: &str, number: u32) -> String {
    if number == 1 {
        format!("{stem}.xml")
    } else {
        format!("{stem}_{number}.xml")
    }
}

fn parse_name(name: &str) -> Option<(SystemTime, u32)> {
    let stem = name.strip_suffix(".xml")?;
    let (stem, number) = match stem.split_once('_') {
        Some((stem, number)) => (stem, number.parse().ok()?),
        None => (stem, 1),
    };
    Some((parse_time(stem)?, number))
}

/// As in the name of a file.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn parse_time(stem: &str) -> Option<SystemTime> {
    let (date, time) = stem.split_once('T')?;
    humantime::parse_rfc3339(&format!("{date}T{}", time.replace('-', ":"))).ok()
}

fn history(directory: &Path, uri: &str, uuid: &str) -> Result<Vec<Backup>, BackupError> {
    let mut found = Vec::new();
    for path in entries(directory)? {
        let Some((time, number)) = parse_name(&file_name(&path)) else {
            continue;
        };
        let name = fs::read_to_string(&path)
            .ok()
            .and_then(|definition| domain_name(&definition));
        found.push(Backup {
            path,
            uri: uri.to_owned(),
            uuid: uuid.to_owned(),
            time,
            number,
            name,
        });
    }
    Ok(found)
}

fn is_of(history: &[Backup], uuid: &str, domain: &str) -> bool {
    let dashless = |text: &str| text.replace('-', "").to_ascii_lowercase();
    dashless(uuid) == dashless(domain)
        || history
            .iter()
            .any(|backup| backup.name.as_deref() == Some(domain))
}

fn domain_name(definition: &str) -> Option<String> {
    let parsed = roxmltree::Document::parse(definition).ok()?;
    text(parsed.root_element(), &["name"]).map(str::to_owned)
}

/// What is in a directory; nothing when it does not exist.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let fail = |source| BackupError::new("read the directory", directory, source);
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // A stray file among the directories is none of ours.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    listing
        .map(|entry| entry.map(|entry| entry.path()).map_err(fail))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default()
        .into_owned()
}

/// What stands for the rest of a URI that is not known.
const CUT: char = '…';

/// The directory of a URI: the URI escaped, and of one that is too long for a name (255 bytes nearly
/// everywhere) the beginning, with a number behind it that only the same URI has. No escape has a `~`.
fn directory_name(uri: &str) -> String {
    const LONGEST: usize = 200;
    const BEGINNING: usize = LONGEST - "~0123456789abcdef".len();
    let escaped = escape(uri);
    if escaped.len() <= LONGEST {
        return escaped;
    }
    let beginning = (0..=BEGINNING)
        .rev()
        .filter_map(|end| uri.get(..end).map(escape))
        .find(|beginning| beginning.len() <= BEGINNING);
    format!("{}~{:016x}", beginning.unwrap_or_default(), fnv1a(&escaped))
}

/// What is known of the URI of a directory.
fn uri_of(name: &str) -> String {
    match name.split_once('~') {
        Some((beginning, _)) => format!("{}{CUT}", unescape(beginning)),
        None => unescape(name),
    }
}

/// FNV-1a of 64 bits. Not `DefaultHasher`, which may give other numbers with the next compiler: the
/// directory would not be found again.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// One file name from any text: all but letters, digits and a few marks becomes `%XX`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for (index, byte) in text.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || b"-_+@".contains(&byte) || (byte == b'.' && index > 0);
        if plain {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
