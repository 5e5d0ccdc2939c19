//! From bytes to text and back: UTF-8 as it is, UTF-16 with a byte order mark decoded.

use super::error::Excerpt;

/// How the bytes of a document encode its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark (which stays part of the text).
    #[default]
    Utf8,
    /// UTF-16, little-endian, with a byte order mark.
    Utf16Le,
    /// UTF-16, big-endian, with a byte order mark.
    Utf16Be,
}

/// The text of a document and the encoding to give it back in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The text.
    pub text: String,
    /// The encoding it came in.
    pub encoding: Encoding,
}

/// Bytes that are no text virt-patch reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Not UTF-8 at this line.
    #[error(
        "it is not UTF-8: the byte 0x{byte:02x} in line {line}, column {column} begins no character"
    )]
    NotUtf8 {
        /// The first byte that is wrong.
        byte: u8,
        /// Its line, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
    /// A file of another kind, told by its first bytes.
    #[error("it is {}, and not UTF-8 text", .0.name)]
    Other(&'static OtherKind),
    /// Broken UTF-16.
    #[error("it is not UTF-16, although it begins with a UTF-16 byte order mark")]
    NotUtf16,
    /// UTF-16 without a byte order mark, or UTF-32.
    #[error("it is {0}, and not UTF-8 or UTF-16 with a byte order mark")]
    Wide(&'static str),
    /// The XML declaration names an encoding that is not read.
    #[error("it says encoding='{0}'; only UTF-8 and UTF-16 are read")]
    Encoding(String, Excerpt),
}

/// A kind of file that is sometimes taken for a definition.
#[derive(Debug, PartialEq, Eq)]
pub struct OtherKind {
    /// Its first bytes.
    magic: &'static [u8],
    /// What it is.
    pub name: &'static str,
    /// How to get at the definition, or at a program that prints what is in it, before the file's
    /// name; empty where there is none.
    pub reader: &'static str,
}

const OTHER_KINDS: &[OtherKind] = &[
    other(b"\x1f\x8b", "compressed with gzip", "gzip -dc"),
    other(b"\xfd7zXZ\0", "compressed with xz", "xz -dc"),
    other(b"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc"),
    other(b"BZh", "compressed with bzip2", "bzip2 -dc"),
    other(b"PK\x03\x04", "a ZIP archive", "unzip -p"),
    // virQEMUSaveHeader: what 'virsh save' and 'virsh managedsave' write.
    other(
        b"LibvirtQemudSave",
        "a saved state of a domain",
        "virsh save-image-dumpxml",
    ),
    other(b"QFI\xfb", "a qcow2 disk image", ""),
    other(b"\x7fELF", "a program", ""),
    // '<?xm', '<dom' and '<!--'
    other(
        b"\x4c\x6f\xa7\x94",
        "in EBCDIC",
        "iconv -f IBM-1047 -t UTF-8",
    ),
    other(
        b"\x4c\x84\x96\x94",
        "in EBCDIC",
        "iconv -f IBM-1047 -t UTF-8",
    ),
    other(
        b"\x4c\x5a\x60\x60",
        "in EBCDIC",
        "iconv -f IBM-1047 -t UTF-8",
    ),
];

const fn other(magic: &'static [u8], name: &'static str, reader: &'static str) -> OtherKind {
    OtherKind {
        magic,
        name,
        reader,
    }
}

impl Input {
    /// Decodes the bytes of a document.
    ///
    /// # Errors
    /// Empty, not in the encoding it claims, or in one that is not read.
    pub fn decode(bytes: &[u8]) -> Result<Input, InputError> {
        if let Some(kind) = OTHER_KINDS
            .iter()
            .find(|kind| bytes.starts_with(kind.magic))
        {
            return Err(InputError::Other(kind));
        }
        let (text, encoding) = match bytes {
            [] => return Err(InputError::Empty),
            // '<' in these, with its byte order mark or without.
            [0xff, 0xfe, 0, 0, ..] | [b'<', 0, 0, 0, ..] => {
                return Err(InputError::Wide("UTF-32LE"));
            }
            [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, b'<', ..] => {
                return Err(InputError::Wide("UTF-32BE"));
            }
            [b'<', 0, _, 0, ..] => return Err(InputError::Wide("UTF-16LE")),
            [0, b'<', 0, _, ..] => return Err(InputError::Wide("UTF-16BE")),
            [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes)?, Encoding::Utf16Le),
            [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes)?, Encoding::Utf16Be),
            _ => (utf8(bytes)?, Encoding::Utf8),
        };
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            return Err(InputError::Empty);
        }
        match declared_encoding(&text) {
            Some((name, at)) if !is_read(name) => Err(InputError::Encoding(
                name.to_owned(),
                Excerpt::of(&text, at),
            )),
            _ => Ok(Input { text, encoding }),
        }
    }
}

impl Encoding {
    /// The bytes of `text` in this encoding.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
        match self {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf16Le => units().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => units().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<String, InputError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let bad = error.utf8_error().valid_up_to();
        // An encoding that the document itself names explains more than a byte number.
        let start: String =
            String::from_utf8_lossy(bytes.get(..bad.min(200)).unwrap_or(bytes)).into();
        if let Some((name, at)) = declared_encoding(&start).filter(|(name, _)| !is_read(name)) {
            return InputError::Encoding(name.to_owned(), Excerpt::of(&start, at));
        }
        let before = bytes.get(..bad).unwrap_or_default();
        InputError::NotUtf8 {
            byte: bytes.get(bad).copied().unwrap_or_default(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(before)
                .rsplit('\n')
                .next()
                .map_or(0, |line| line.chars().count())
                + 1,
        }
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, InputError> {
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err(InputError::NotUtf16);
    };
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).map_err(|_| InputError::NotUtf16)
}

/// The `encoding` of the XML declaration and where it stands.
fn declared_encoding(text: &str) -> Option<(&str, usize)> {
    let start = text.find("<?xml")?;
    // <?xml-stylesheet …?> is no declaration.
    if !text.get(start + 5..)?.starts_with(char::is_whitespace) {
        return None;
    }
    if !text.get(..start)?.trim_start_matches('\u{feff}').is_empty() {
        return None;
    }
    let declaration = text.get(start..start + text.get(start..)?.find("?>")?)?;
    let after = declaration.split_once("encoding")?.1.trim_start();
    let value = after.strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let name = value.get(1..)?.split(quote).next()?;
    Some((name, text.find(name)?))
}

fn is_read(name: &str) -> bool {
    ["utf-8", "utf8", "utf-16", "utf16", "us-ascii", "ascii"]
        .iter()
        .any(|read| name.eq_ignore_ascii_case(read))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_read_comes_back_byte_for_byte() {
        for bytes in [
            b"<domain/>".to_vec(),
            b"\xef\xbb\xbf<domain/>\r\n".to_vec(),
            b"<?xml version='1.0' encoding='UTF-8'?><domain/>".to_vec(),
            Encoding::Utf16Le.encode("<?xml version='1.0' encoding='UTF-16'?><domain>ä🍏</domain>"),
            Encoding::Utf16Be.encode("<domain/>"),
        ] {
            let input = Input::decode(&bytes).unwrap();
            assert_eq!(input.encoding.encode(&input.text), bytes);
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let message = |bytes: &[u8]| Input::decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "it is empty");
        assert_eq!(message(b" \n\t"), "it is empty");
        assert_eq!(
            message(b"<a>\n\xfc</a>"),
            "it is not UTF-8: the byte 0xfc in line 2, column 1 begins no character"
        );
        let latin = "it says encoding='ISO-8859-1'; only UTF-8 and UTF-16 are read";
        assert_eq!(
            message(b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>"),
            latin
        );
        assert_eq!(
            message(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>"),
            latin
        );
        for (bytes, what) in [
            (&b"\x1f\x8b\x08\0"[..], "compressed with gzip"),
            (b"BZh91AY", "compressed with bzip2"),
            (b"QFI\xfb\0\0\0\x03", "a qcow2 disk image"),
            (b"LibvirtQemudSave\x02", "a saved state of a domain"),
            (b"\x4c\x84\x96\x94\x81\x89\x95", "in EBCDIC"),
        ] {
            assert_eq!(message(bytes), format!("it is {what}, and not UTF-8 text"));
        }
        assert_eq!(message(b"\xff\xfea"), InputError::NotUtf16.to_string());
        for (bytes, encoding) in [
            (&b"<\0a\0/\0>\0"[..], "UTF-16LE"),
            (b"\0<\0a\0/\0>", "UTF-16BE"),
            (b"<\0\0\0a\0\0\0", "UTF-32LE"),
            (b"\xff\xfe\0\0<\0\0\0", "UTF-32LE"),
            (b"\0\0\xfe\xff\0\0\0<", "UTF-32BE"),
        ] {
            assert_eq!(
                message(bytes),
                format!("it is {encoding}, and not UTF-8 or UTF-16 with a byte order mark")
            );
        }
    }
}
