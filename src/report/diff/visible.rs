//! Characters that a terminal would act on, shown instead.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every character that moves, hides or reorders text replaced by something to look
/// at: `␛` for escape, `^M` for a carriage return, `<U+202E>` for a bidirectional override.
///
/// Tabs stay. So do the zero-width joiners, which emoji and several scripts are written with.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\r' => shown.push_str("^M"),
            // U+2400 and following are the pictures of the C0 controls, in their order.
            c if acts(c) && c < ' ' => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            '\x7f' => shown.push('␡'),
            c if acts(c) => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "<U+{:04X}>", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn acts(c: char) -> bool {
    match c {
        '\t' => false,
        // Arabic letter mark, zero-width space and direction marks, line and paragraph
        // separators and bidirectional embeddings, isolates and other invisible operators, and
        // the byte order mark.
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_all_else_stays() {
        for (text, shown) in [
            ("<name>größe 🐧</name>\t", "<name>größe 🐧</name>\t"),
            ("\x1b[31mred", "␛[31mred"),
            ("\0\x07\x08\x0b\x0c\x7f", "␀␇␈␋␌␡"),
            ("a\rb", "a^Mb"),
            ("\u{9b}31m", "<U+009B>31m"),
            ("a\u{202e}b\u{2066}c", "a<U+202E>b<U+2066>c"),
            ("a\u{2028}b\u{feff}", "a<U+2028>b<U+FEFF>"),
            ("👩\u{200d}👦", "👩\u{200d}👦"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }
}
