//! Host facts as JSON: what `host --json` prints and `--host FILE` reads.

use super::{Cpu, Facts};

/// Far above any machine; products of the counts stay far below overflow.
const MAX_THREADS: u64 = 65536;

/// A text is not host facts. Every message names the file (`label`) and the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The text is not JSON.
    #[error("cannot read host facts from '{label}': line {line}, column {column}: {reason}")]
    Syntax {
        /// Where the text came from.
        label: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 at the end of a line.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A field has the wrong type or an impossible value.
    #[error("cannot read host facts from '{label}': {path}: {reason}")]
    Field {
        /// Where the text came from.
        label: String,
        /// The field, as in `cpu.siblings[3]`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Facts could not be written.
    #[error("cannot write host facts as JSON: {0}")]
    Write(String),
}

impl Facts {
    /// Reads facts; `label` names their origin in errors.
    ///
    /// Unknown keys are accepted, so that facts saved by a newer version can be read. `null`
    /// and an absent key both mean unknown.
    ///
    /// # Errors
    /// Text that is not JSON, fields of the wrong type, and values that cannot be true of any
    /// machine and would mislead a pass (no cores, a processor on two cores).
    pub fn from_json(text: &str, label: &str) -> Result<Facts, FactsError> {
        let field = |path: String, reason: String| FactsError::Field {
            label: label.to_owned(),
            path,
            reason,
        };
        // Without this, serde would take `[]` for facts about which nothing is known.
        let mut value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| syntax(&error, label))?;
        for (path, part) in [("the whole", "/"), ("cpu", "/cpu")] {
            let part = if part == "/" {
                Some(&value)
            } else {
                value.pointer(part)
            };
            let allowed =
                |part: &serde_json::Value| part.is_object() || (part.is_null() && path == "cpu");
            if part.is_some_and(|part| !allowed(part)) {
                let reason = "must be an object in braces".to_owned();
                return Err(field(path.to_owned(), reason));
            }
        }
        let facts: Facts = serde_path_to_error::deserialize(value.take())
            .map_err(|error| field(error.path().to_string(), error.inner().to_string()))?;
        match impossible(&facts) {
            Some((path, reason)) => Err(field(path, reason)),
            None => Ok(facts),
        }
    }

    /// The keys that [`Facts::from_json`] accepts and does not know: of a newer version, or
    /// misspelt. None for a text that is not facts.
    pub fn unknown_keys(text: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        let mut json = serde_json::Deserializer::from_str(text);
        // A field that may be absent is a step of its own in the path, '?'.
        let read: Result<Facts, _> = serde_ignored::deserialize(&mut json, |path| {
            unknown.push(path.to_string().replace(".?", ""));
        });
        read.map_or_else(|_| Vec::new(), |_| unknown)
    }

    /// Writes facts so that [`Facts::from_json`] reads the same; indented, with a final newline.
    ///
    /// # Errors
    /// None that facts can cause; kept because the serializer has an error type.
    pub fn to_json(&self) -> Result<String, FactsError> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| FactsError::Write(error.to_string()))?;
        text.push('\n');
        Ok(text)
    }
}

fn syntax(error: &serde_json::Error, label: &str) -> FactsError {
    let text = error.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason);
    FactsError::Syntax {
        label: label.to_owned(),
        line: error.line(),
        column: error.column(),
        reason: reason.to_owned(),
    }
}

fn impossible(facts: &Facts) -> Option<(String, String)> {
    if let Some(wrong) = impossible_cpu(&facts.cpu) {
        return Some(wrong);
    }
    if facts.memory_kib == Some(0) {
        return Some((
            "memory_kib".to_owned(),
            "no machine has no memory".to_owned(),
        ));
    }
    for (index, build) in facts.firmware.iter().flatten().enumerate() {
        for (name, image) in [("code", &build.code), ("vars", &build.vars)] {
            if !image.starts_with('/') {
                let path = format!("firmware[{index}].{name}");
                return Some((path, no_path(image)));
            }
        }
    }
    for (index, emulator) in facts.emulators.iter().enumerate() {
        if !emulator.path.starts_with('/') {
            let path = format!("emulators[{index}].path");
            return Some((path, no_path(&emulator.path)));
        }
    }
    None
}

/// What is wrong with a path that does not begin with a slash.
fn no_path(path: &str) -> String {
    match path.is_empty() {
        true => "is missing; it is an absolute path",
        false => "must be an absolute path",
    }
    .to_owned()
}

fn impossible_cpu(cpu: &Cpu) -> Option<(String, String)> {
    let mut product: u64 = 1;
    for (name, value) in [
        ("sockets", cpu.sockets),
        ("dies", cpu.dies),
        ("cores", cpu.cores),
        ("threads", cpu.threads),
    ] {
        if value == Some(0) {
            return Some((
                format!("cpu.{name}"),
                "must be at least 1, or null".to_owned(),
            ));
        }
        product = product.saturating_mul(u64::from(value.unwrap_or(1)));
    }
    if product > MAX_THREADS {
        let reason = format!("sockets, dies, cores and threads make {product} processors");
        return Some(("cpu".to_owned(), reason));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, core) in cpu.siblings.iter().enumerate() {
        let path = format!("cpu.siblings[{index}]");
        if core.is_empty() {
            return Some((path, "a core without processors".to_owned()));
        }
        if let Some(twice) = core.iter().find(|id| !seen.insert(**id)) {
            return Some((path, format!("processor {twice} is listed twice")));
        }
    }
    let online = cpu.offline.iter().find(|id| seen.contains(id))?;
    let reason = format!("processor {online} is in cpu.siblings, which lists online ones");
    Some(("cpu.offline".to_owned(), reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::super::Version;
    use super::*;

    fn error(text: &str) -> String {
        let error = Facts::from_json(text, "host.json").unwrap_err().to_string();
        error
            .strip_prefix("cannot read host facts from 'host.json': ")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn keys_that_are_not_read_are_named() {
        let text = r#"{"cpu": {"vendr": "x"}, "colour": 1, "firmware": [{"code": "/c", "vars": "/v", "size": 4}]}"#;
        let unknown = Facts::unknown_keys(text);
        assert_eq!(unknown, ["cpu.vendr", "colour", "firmware.0.size"]);
        assert!(Facts::unknown_keys("[").is_empty());
        let own = Facts::from_json(include_str!("../../fixtures/hosts/ryzen-5950x.json"), "x");
        let written = own.unwrap().to_json().unwrap();
        assert!(Facts::unknown_keys(&written).is_empty());
    }

    #[test]
    fn unknown_is_null_or_absent_and_unknown_keys_are_accepted() {
        for text in [
            "{}",
            r#"{"cpu": null, "memory_kib": null, "firmware": null, "emulators": null}"#,
            r#"{"cpu": {"vendor": null, "siblings": null, "clusters": 4}, "colour": ["blue"]}"#,
        ] {
            assert_eq!(
                Facts::from_json(text, "x").unwrap(),
                Facts::default(),
                "{text}"
            );
        }
        let facts = Facts::from_json(r#"{"libvirt": "9.0", "firmware": []}"#, "x").unwrap();
        assert_eq!(facts.libvirt, Some(Version::new(9, 0, 0)));
        assert_eq!(facts.firmware, Some(vec![]));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"{"cpu": {"cores": 2, "siblings": [[0, 2], [1, 3]]}, "libvirt": "9.0.0"}"#;
        let facts = Facts::from_json(text, "x").unwrap();
        let written = facts.to_json().unwrap();
        assert!(written.ends_with("}\n"), "{written}");
        assert_eq!(Facts::from_json(&written, "x").unwrap(), facts);
    }

    #[test]
    fn mistakes_are_located() {
        for (text, expected) in [
            ("", "line 1, column 0: EOF while parsing a value"),
            (
                "{\n  \"cpu\": {,\n}",
                "line 2, column 11: key must be a string",
            ),
            ("{} x", "line 1, column 4: trailing characters"),
            ("[]", "the whole: must be an object in braces"),
            ("null", "the whole: must be an object in braces"),
            (r#"{"cpu": []}"#, "cpu: must be an object in braces"),
            (
                r#"{"cpu": {"cores": "16"}}"#,
                r#"cpu.cores: invalid type: string "16", expected u32"#,
            ),
            (
                r#"{"cpu": {"cores": -1}}"#,
                "cpu.cores: invalid value: integer `-1`, expected u32",
            ),
            (
                r#"{"cpu": {"siblings": [[0], [true]]}}"#,
                "cpu.siblings[1][0]: invalid type: boolean `true`, expected u32",
            ),
            (
                r#"{"emulators": [{"path": "/q", "version": "new"}]}"#,
                "emulators[0].version: 'new' is not a version like 9.0.0",
            ),
            (
                r#"{"firmware": [{"code": "/c", "vars": "/v", "code_format": "vmdk"}]}"#,
                "firmware[0].code_format: unknown variant `vmdk`, expected `raw` or `qcow2`",
            ),
            (
                r#"{"cpu": {"threads": 0}}"#,
                "cpu.threads: must be at least 1, or null",
            ),
            (
                r#"{"cpu": {"cores": 0}}"#,
                "cpu.cores: must be at least 1, or null",
            ),
            (
                r#"{"cpu": {"cores": 4294967295, "threads": 4294967295}}"#,
                "cpu: sockets, dies, cores and threads make 18446744065119617025 processors",
            ),
            (
                r#"{"cpu": {"siblings": [[0], []]}}"#,
                "cpu.siblings[1]: a core without processors",
            ),
            (
                r#"{"cpu": {"siblings": [[0, 1], [1]]}}"#,
                "cpu.siblings[1]: processor 1 is listed twice",
            ),
            (
                r#"{"cpu": {"siblings": [[0, 1]], "offline": [1]}}"#,
                "cpu.offline: processor 1 is in cpu.siblings, which lists online ones",
            ),
            (
                r#"{"memory_kib": 0}"#,
                "memory_kib: no machine has no memory",
            ),
            (
                r#"{"firmware": [{"code": "OVMF.fd"}]}"#,
                "firmware[0].code: must be an absolute path",
            ),
            (
                r#"{"firmware": [{"code": "/OVMF.fd"}]}"#,
                "firmware[0].vars: is missing; it is an absolute path",
            ),
            (
                r#"{"emulators": [{}]}"#,
                "emulators[0].path: is missing; it is an absolute path",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }
}
