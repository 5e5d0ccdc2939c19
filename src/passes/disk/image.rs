//! What is known of an image that is to be a disk.

use std::borrow::Cow;

use roxmltree::Node;

use super::super::Context;
use crate::document::{Document, child};
use crate::host::{Device, Facts, Foreign, ImageFormat};

/// An image or block device.
pub(super) struct Image<'s> {
    pub(super) path: &'s str,
    pub(super) format: ImageFormat,
    pub(super) is_block: bool,
    /// The guest would see ciphertext.
    pub(super) is_encrypted: bool,
    /// Which file it is.
    pub(super) identity: Option<(u64, u64)>,
    /// By its name: nothing else tells it from outside.
    pub(super) is_opencore: bool,
}

impl<'s> Image<'s> {
    /// Looks it up in the facts; otherwise says why it cannot be a disk.
    pub(super) fn look(path: &'s str, context: &Context<'_>) -> Result<Image<'s>, String> {
        let said = match context.settings.get("disk.format") {
            Some("raw") => Some(ImageFormat::Raw),
            Some(_) => Some(ImageFormat::Qcow2),
            None => None,
        };
        let fact = context.facts.files.get(path);
        let image = |format, is_block| Image {
            path,
            format,
            is_block,
            is_encrypted: fact.is_some_and(|fact| fact.encrypted),
            identity: fact.and_then(|fact| fact.identity),
            is_opencore: is_opencore(path),
        };
        let Some(fact) = fact else {
            return said.map(|format| image(format, false)).ok_or_else(|| {
                format!("nothing is known of the image '{path}'; run this on its host, or say --set disk.format=raw or qcow2")
            });
        };
        match fact.device {
            Some(Device::Block) => return Ok(image(said.unwrap_or(ImageFormat::Raw), true)),
            Some(Device::Character) => {
                return Err(format!("'{path}' is a character device and holds no image"));
            }
            Some(Device::Directory) => {
                return Err(format!("'{path}' is a directory; name an image in it"));
            }
            Some(Device::Special) => {
                return Err(format!("'{path}' is a FIFO or socket and holds no image"));
            }
            None => {}
        }
        if !fact.exists {
            let is_node = path.starts_with("/dev/") && !path.starts_with("/dev/shm/");
            return Err(match is_node {
                true => {
                    format!("there is no device '{path}'; lsblk -p lists those that the host has")
                }
                false => format!(
                    "there is no image file '{path}'; check the path, or create one: qemu-img create -f qcow2 {} 128G",
                    word(path)
                ),
            });
        }
        match fact.foreign {
            Some(Foreign::Unknown) => {
                return Err(format!(
                    "'{path}' begins like a qcow2 image, but of a version that there is not (QEMU knows 2 and 3); it is damaged, or no image"
                ));
            }
            Some(foreign) if foreign.is_packed() => {
                return Err(format!("'{path}' is a {foreign} file; unpack it first"));
            }
            Some(foreign) => {
                return Err(format!(
                    "'{path}' is a {foreign} image; convert it first: qemu-img convert -O qcow2 {} {}",
                    word(path),
                    word(&format!("{path}.qcow2"))
                ));
            }
            None => {}
        }
        match fact.format.or(said) {
            Some(format) => Ok(image(format, false)),
            None => Err(format!(
                "the image '{path}' cannot be read, so its format is unknown; run this as a user who may, or say --set disk.format=raw or qcow2"
            )),
        }
    }

    /// The attribute of `<source>` that names it.
    pub(super) fn source_attribute(&self) -> &'static str {
        if self.is_block { "dev" } else { "file" }
    }

    /// The disk of the definition that has it as its source.
    pub(super) fn disk_of<'a>(
        &self,
        document: &'a Document<'_>,
        facts: &Facts,
    ) -> Option<Node<'a, 'a>> {
        document
            .devices("disk")
            .find(|disk| self.is_source_of(*disk, facts))
    }

    /// Whether a device has it as its source, by this path or another.
    pub(super) fn is_source_of(&self, device: Node<'_, '_>, facts: &Facts) -> bool {
        let identity = |path| facts.files.get(path).and_then(|fact| fact.identity);
        source(device).is_some_and(|path| {
            path == self.path || (self.identity.is_some() && self.identity == identity(path))
        })
    }
}

/// The path that a disk has as its source.
pub(super) fn source<'a>(disk: Node<'a, '_>) -> Option<&'a str> {
    let source = child(disk, "source")?;
    source.attribute("file").or_else(|| source.attribute("dev"))
}

/// OpenCore's own images, and what projects that build them call theirs.
pub(super) fn is_opencore(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    name.contains("opencore") || name.contains("open-core")
}

/// A path as it is typed in a shell.
fn word(path: &str) -> Cow<'_, str> {
    // Only a NUL byte cannot be quoted, and no path has one.
    shlex::try_quote(path).unwrap_or(Cow::from(path))
}
