//! The two names in a diff's header.

use std::fmt::Write;
use std::path::Path;

/// What the `---` and `+++` lines say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The text after `---`.
    pub old: String,
    /// The text after `+++`.
    pub new: String,
}

impl Labels {
    /// `a/PATH` and `b/PATH`: what `patch -p1` and `git apply` take off again, run from the
    /// directory that `path` is relative to (from `/` for an absolute path).
    ///
    /// Names that would break the header, and bytes that are not ASCII, are quoted as git quotes
    /// them (`core.quotePath`), which GNU patch reads too. A `..`, which both tools refuse, is for
    /// the caller to resolve.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let bytes = path.as_ref().as_os_str().as_encoded_bytes();
        let parts = bytes.split(|&byte| byte == b'/');
        let parts: Vec<&[u8]> = parts
            .filter(|part| !part.is_empty() && *part != b".")
            .collect();
        let relative = parts.join(&b'/');
        let label = |side: &[u8]| quoted(&[side, &relative].concat());
        Self {
            old: label(b"a/"),
            new: label(b"b/"),
        }
    }

    /// The same with a remark in the name, so that 'patch' finds no file of the name: for a diff that must
    /// not be applied.
    pub fn with_remark(&self, remark: &str) -> Self {
        let marked = |label: &String| match label.strip_suffix('"') {
            Some(quoted) => format!("{quoted} ({remark})\""),
            None => format!("{label} ({remark})"),
        };
        Self {
            old: marked(&self.old),
            new: marked(&self.new),
        }
    }

    /// `NAME (URI)` on both sides: a stored domain is no file that a patch could be applied to.
    pub fn domain(name: &str, uri: &str) -> Self {
        let label = format!("{name} ({uri})");
        // Only a line break could make anything else of the header.
        let label = if label.contains(['\n', '\r']) {
            quoted(label.as_bytes())
        } else {
            label
        };
        Self {
            old: label.clone(),
            new: label,
        }
    }
}

/// `name`, in double quotes with C escapes if git would quote it.
fn quoted(name: &[u8]) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    let mut text = String::with_capacity(name.len() + 2);
    for &byte in name {
        match byte {
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            0x0b => text.push_str("\\v"),
            0x0c => text.push_str("\\f"),
            b'\r' => text.push_str("\\r"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            byte if plain(byte) => text.push(byte as char),
            byte => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    // GNU patch takes a space at the end of a bare name for the blank before a timestamp.
    if name.iter().all(|&byte| plain(byte)) && !name.ends_with(b" ") {
        text
    } else {
        format!("\"{text}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_labels_are_what_patch_p1_strips() {
        for (path, label) in [
            ("vm.xml", "a/vm.xml"),
            ("./vm.xml", "a/vm.xml"),
            ("dir//./vm.xml", "a/dir/vm.xml"),
            ("/etc/libvirt/qemu/vm.xml", "a/etc/libvirt/qemu/vm.xml"),
            ("../vm.xml", "a/../vm.xml"),
            ("my vm.xml", "a/my vm.xml"),
            ("vm.xml ", "\"a/vm.xml \""),
            ("größe.xml", "\"a/gr\\303\\266\\303\\237e.xml\""),
            ("a\"b\\c.xml", "\"a/a\\\"b\\\\c.xml\""),
            ("tab\there\x1b[31m.xml", "\"a/tab\\there\\033[31m.xml\""),
        ] {
            let labels = Labels::file(path);
            assert_eq!(labels.old, label, "{path}");
            assert_eq!(labels.new, label.replacen("a/", "b/", 1), "{path}");
        }
    }

    #[test]
    fn a_remark_is_a_part_of_the_name() {
        for (path, label) in [
            ("vm.xml", "b/vm.xml (passwords masked)"),
            ("ü.xml", "\"b/\\303\\274.xml (passwords masked)\""),
        ] {
            assert_eq!(
                Labels::file(path).with_remark("passwords masked").new,
                label
            );
        }
    }

    #[test]
    fn domain_labels_name_the_connection_and_stay_on_one_line() {
        assert_eq!(
            Labels::domain("mac", "qemu:///system").old,
            "mac (qemu:///system)"
        );
        assert_eq!(
            Labels::domain("größe", "test:///default").new,
            "größe (test:///default)"
        );
        assert_eq!(Labels::domain("a\nb", "u").old, "\"a\\nb (u)\"");
    }
}
