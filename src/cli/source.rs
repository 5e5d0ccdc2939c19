//! From what was typed to a definition's text.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use super::args::Sources;
use super::connection::HostOf;
use super::errors::Advice;
use crate::document::{Encoding, Input, InputError};
use crate::report::diff::Labels;

/// virt-manager's default definition for a new q35 machine, as virt-install 4.1.0 prints it
/// (`virt-install --osinfo generic --machine q35 --disk none --import --print-xml`), without
/// what is to be different for every machine: UUID and MAC address.
pub(crate) const TEMPLATE: &str = include_str!("../../patches/template.xml");

/// No definition of a domain is anywhere near; a disk image given by mistake is.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// A SOURCE as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceName {
    /// `-`.
    Stdin,
    /// A path: it has a `/` or ends in `.xml`.
    File(PathBuf),
    /// A domain's name, UUID or ID.
    Domain(String),
    /// `--template`.
    Template,
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceName::Stdin => f.write_str("-"),
            SourceName::File(path) => write!(f, "{}", path.display()),
            SourceName::Domain(name) => f.write_str(name),
            SourceName::Template => f.write_str("--template"),
        }
    }
}

impl FromStr for SourceName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => SourceName::Stdin,
            path if path.contains('/') || path.ends_with(".xml") => SourceName::File(path.into()),
            name => SourceName::Domain(name.to_owned()),
        })
    }
}

/// A definition with what is needed to speak of it.
#[derive(Debug)]
pub(crate) struct Definition {
    /// What messages call it.
    pub(crate) name: String,
    /// What a diff calls it.
    pub(crate) labels: Labels,
    /// The text.
    pub(crate) text: String,
    /// How to write it back.
    pub(crate) encoding: Encoding,
    /// It is the template.
    pub(crate) template: bool,
    /// It is to become a domain that is not there yet.
    pub(crate) is_new: bool,
    /// The host behind the connection it came from.
    pub(crate) host: Option<HostOf>,
    /// libvirt gave it with all the passwords it has.
    pub(crate) has_passwords: bool,
}

impl Sources {
    /// What to read: what was named, the template, or standard input when it is piped.
    pub(crate) fn names(&self) -> anyhow::Result<Vec<SourceName>> {
        if self.template {
            return Ok(vec![SourceName::Template]);
        }
        if !self.sources.is_empty() {
            return Ok(self.sources.clone());
        }
        if io::stdin().is_terminal() {
            return Err(Advice::new(
                "no SOURCE was given",
                "name a file (vm.xml), '-' for standard input, a libvirt domain, or --template",
            )
            .into());
        }
        Ok(vec![SourceName::Stdin])
    }
}

/// A word as it is typed in a shell, with no more quotes than a person would type.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    match word {
        // After `--` it is no option.
        word if word.starts_with('-') => Cow::from(format!("-- {word}")),
        word if !word.is_empty() && word.chars().all(plain) => Cow::from(word),
        // Only a NUL byte cannot be quoted, and no name of a domain and no prompt has one.
        word => shlex::try_quote(word).unwrap_or(Cow::from(word)),
    }
}

/// Reads a file, standard input or the template. Domains are read elsewhere, from a connection.
pub(crate) fn read(source: &SourceName) -> anyhow::Result<Definition> {
    let (name, labels, bytes) = match source {
        SourceName::Template => {
            return Ok(Definition {
                name: "template".to_owned(),
                labels: Labels::file("template.xml"),
                text: TEMPLATE.to_owned(),
                encoding: Encoding::Utf8,
                template: true,
                is_new: true,
                host: None,
                has_passwords: false,
            });
        }
        SourceName::Stdin => {
            let bytes =
                read_all(io::stdin().lock(), 64 * 1024).context("cannot read standard input")?;
            if bytes.is_empty() {
                return Err(Advice::new(
                    "standard input is empty",
                    "it is read for '-', and where no SOURCE is given; does the command before the pipe print a definition?",
                )
                .into());
            }
            (
                "standard input".to_owned(),
                Labels::file("stdin.xml"),
                bytes,
            )
        }
        SourceName::File(path) => {
            let shown = path.display().to_string();
            let bytes = File::open(path)
                .and_then(read_file)
                .with_context(|| format!("cannot read '{shown}'"))?;
            (shown.clone(), Labels::file(within(path)), bytes)
        }
        SourceName::Domain(name) => {
            return Err(Advice::new(
                format!("'{name}' is a libvirt domain, and there is no connection"),
                format!("for a file of that name write ./{name}"),
            )
            .into());
        }
    };
    decoded(&name, labels, &bytes)
}

/// `path` for a diff's header. `patch` and `git apply` refuse a name with `..`; such a file goes by its
/// absolute name, which they take from `/`.
fn within(path: &Path) -> Cow<'_, Path> {
    if path.components().any(|part| part == Component::ParentDir)
        && let Ok(absolute) = path.canonicalize()
    {
        return absolute.into();
    }
    path.into()
}

/// The definition in the bytes of a file.
pub(crate) fn from_bytes(name: &str, bytes: &[u8]) -> anyhow::Result<Definition> {
    decoded(name, Labels::file(name), bytes)
}

fn decoded(name: &str, labels: Labels, bytes: &[u8]) -> anyhow::Result<Definition> {
    let input = Input::decode(bytes)
        .map_err(|error| decoding(error, name))
        .with_context(|| format!("cannot read {}", quoted(name)))?;
    Ok(Definition {
        name: name.to_owned(),
        labels,
        text: input.text,
        encoding: input.encoding,
        template: false,
        is_new: false,
        host: None,
        has_passwords: false,
    })
}

/// `'vm.xml'`, but `standard input`.
pub(crate) fn quoted(name: &str) -> String {
    match name {
        "standard input" => name.to_owned(),
        name => format!("'{name}'"),
    }
}

fn read_file(file: File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory",
        ));
    }
    read_all(file, metadata.len())
}

/// `expected`: the length, where it is known; one more is room to see the end.
fn read_all(reader: impl Read, expected: u64) -> io::Result<Vec<u8>> {
    let room = expected.min(MAX_SIZE) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    reader.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 64 MiB, which no definition is",
        ));
    }
    Ok(bytes)
}

fn decoding(error: InputError, name: &str) -> anyhow::Error {
    let file = if name == "standard input" {
        "FILE"
    } else {
        name
    };
    let help = match &error {
        InputError::Encoding(encoding, _) => Some(format!(
            "convert it: iconv -f {encoding} -t UTF-8 {file}, and change encoding='{encoding}' to 'UTF-8'"
        )),
        InputError::NotUtf8 { .. } => Some(format!(
            "convert it, for example: iconv -f ISO-8859-1 -t UTF-8 {file}"
        )),
        InputError::Wide(encoding) => Some(format!(
            "convert it: iconv -f {encoding} -t UTF-8 {file}, and write 'UTF-8' where its first line names an encoding"
        )),
        InputError::Other(kind) if !kind.reader.is_empty() => Some(format!(
            "virt-patch reads what this prints: {} {file}",
            kind.reader
        )),
        InputError::Other(_) => {
            Some("a domain's definition comes from 'virsh dumpxml --inactive DOMAIN'".to_owned())
        }
        InputError::Empty | InputError::NotUtf16 => None,
    };
    match help {
        Some(help) => Advice::new(error.to_string(), help).into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_by_its_look() {
        for (text, source) in [
            ("-", SourceName::Stdin),
            ("vm.xml", SourceName::File("vm.xml".into())),
            ("./vm", SourceName::File("./vm".into())),
            ("/etc/vm", SourceName::File("/etc/vm".into())),
            ("vm", SourceName::Domain("vm".into())),
            ("3", SourceName::Domain("3".into())),
        ] {
            assert_eq!(text.parse(), Ok(source));
        }
    }
}
