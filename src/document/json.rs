//! JSON as QEMU reads it in option values.

use serde_json::{Map, Value};

/// The object that an option value is; `None` when it is none but a list, which does not begin
/// with a brace.
pub(crate) fn object(value: &str) -> Option<serde_json::Result<Map<String, Value>>> {
    if !value.trim_start().starts_with('{') {
        return None;
    }
    // With single quotes the places stay the same.
    Some(serde_json::from_str(value).or_else(|_| serde_json::from_str(&double_quoted(value))))
}

/// JSON with texts in single quotes, which QEMU takes as well, with double ones.
fn double_quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut inside = None;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (inside, c) {
            (None, '\'' | '"') => {
                inside = Some(c);
                out.push('"');
            }
            (Some(quote), _) if c == quote => {
                inside = None;
                out.push('"');
            }
            (Some('\''), '"') => out.push_str("\\\""),
            (Some(_), '\\') => match rest.next() {
                Some('\'') => out.push('\''),
                next => {
                    out.push('\\');
                    out.extend(next);
                }
            },
            _ => out.push(c),
        }
    }
    out
}
