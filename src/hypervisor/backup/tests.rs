#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

const UUID: &str = "5a6b0000-1111-2222-3333-444455556666";
const OTHER: &str = "ffffffff-1111-2222-3333-444455556666";
const URI: &str = "qemu:///system";

/// 2026-11-22T05:12:44Z and so many seconds later.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(1_795_324_364 + seconds, 500_000_000)
}

fn store() -> (tempfile::TempDir, Store) {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().as_os_str().to_owned();
    let store =
        Store::in_environment(|name| (name == "XDG_STATE_HOME").then(|| path.clone())).unwrap();
    (state, store)
}

fn domain(name: &str) -> String {
    format!("<domain>\n  <name>{name}</name>\n</domain>\n")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_is_exactly_the_definition_and_private() {
    let (state, store) = store();
    let definition = "<domain>\r\n  <!-- mine --><name> mac </name></domain>";
    let written = store.write(URI, UUID, definition, at(0)).unwrap();
    assert!(written.closed.is_empty());
    let expected =
        format!("virt-patch/backups/qemu%3A%2F%2F%2Fsystem/{UUID}/2026-11-22T05-12-44Z.xml");
    assert_eq!(written.backup.path, state.path().join(expected));
    assert_eq!(written.backup.read().unwrap(), definition);
    assert_eq!(written.backup.name.as_deref(), Some("mac"));
    assert_eq!(written.backup.time_text(), "2026-11-22T05:12:44Z");
    assert_eq!(mode(&written.backup.path), 0o600);
    for directory in written.backup.path.ancestors().skip(1).take(4) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert_eq!(store.list(None, None).unwrap(), [written.backup]);
}

#[test]
fn nothing_but_backups_is_left_behind() {
    let (_state, store) = store();
    let written = store.write(URI, UUID, &domain("a"), at(0)).unwrap();
    let directory = written.backup.path.parent().unwrap();
    assert_eq!(
        entries(directory).unwrap(),
        std::slice::from_ref(&written.backup.path)
    );
}

#[test]
fn backups_of_one_second_stand_beside_each_other() {
    let (_state, store) = store();
    let mut names = Vec::new();
    for round in 0..12 {
        let written = store
            .write(URI, UUID, &domain(&format!("vm{round}")), at(0))
            .unwrap();
        names.push(file_name(&written.backup.path));
    }
    assert_eq!(
        names[..3],
        [
            "2026-11-22T05-12-44Z.xml",
            "2026-11-22T05-12-44Z_2.xml",
            "2026-11-22T05-12-44Z_3.xml"
        ]
    );
    let listed: Vec<_> = store
        .list(None, None)
        .unwrap()
        .into_iter()
        .map(|backup| backup.name.unwrap())
        .collect();
    let expected: Vec<_> = (0..12).map(|round| format!("vm{round}")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_newest_stays_the_last_when_the_clock_is_set_back() {
    let (_state, store) = store();
    let names = [at(60), at(0), at(0), at(90)].map(|time| {
        let written = store.write(URI, UUID, &domain("a"), time).unwrap();
        assert_eq!(
            store.latest(None, UUID).unwrap().unwrap().path,
            written.backup.path
        );
        written.backup.number
    });
    assert_eq!(names, [1, 2, 3, 1]);
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let (_state, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            // Threads share a process id, so they must not share a second either.
            scope.spawn(move || store.write(URI, UUID, &domain("a"), at(writer)).unwrap());
        }
    });
    assert_eq!(store.list(None, None).unwrap().len(), 8);
}

#[test]
fn the_history_is_found_by_any_of_its_names() {
    let (_state, store) = store();
    store.write(URI, UUID, &domain("before"), at(0)).unwrap();
    store.write(URI, UUID, &domain("after"), at(10)).unwrap();
    store.write(URI, OTHER, &domain("other"), at(5)).unwrap();
    store
        .write("qemu+ssh://host/system", OTHER, &domain("before"), at(20))
        .unwrap();
    for (uri, given, expected) in [
        (Some(URI), Some("before"), vec!["before", "after"]),
        (Some(URI), Some("after"), vec!["before", "after"]),
        (Some(URI), Some(UUID), vec!["before", "after"]),
        (
            Some(URI),
            Some("5A6B0000111122223333444455556666"),
            vec!["before", "after"],
        ),
        (Some(URI), None, vec!["before", "other", "after"]),
        (None, Some(OTHER), vec!["other", "before"]),
        (None, Some("before"), vec!["before", "after", "before"]),
        (None, Some("nobody"), vec![]),
        (Some("qemu:///session"), None, vec![]),
    ] {
        let found = store.list(uri, given).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|backup| backup.name.as_deref().unwrap())
            .collect();
        assert_eq!(names, expected, "{uri:?} {given:?}");
    }
    assert_eq!(
        store
            .latest(Some(URI), "before")
            .unwrap()
            .unwrap()
            .name
            .as_deref(),
        Some("after")
    );
    assert_eq!(store.latest(Some(URI), "nobody").unwrap(), None);
}

#[test]
fn strangers_among_the_files_are_passed_over() {
    let (_state, store) = store();
    let written = store.write(URI, UUID, &domain("a"), at(0)).unwrap();
    let directory = written.backup.path.parent().unwrap();
    for name in [
        "notes.txt",
        ".2026-11-22T05-12-44Z.77.tmp",
        "2026-99-22T05-12-44Z.xml",
    ] {
        fs::write(directory.join(name), "x").unwrap();
    }
    fs::write(store.root().join("stray"), "x").unwrap();
    fs::write(directory.join("2026-11-22T05-12-45Z.xml"), "<domain").unwrap();
    let names: Vec<_> = store
        .list(None, None)
        .unwrap()
        .into_iter()
        .map(|backup| backup.name)
        .collect();
    assert_eq!(names, [Some("a".to_owned()), None]);
}

#[test]
fn open_directories_are_closed_and_named() {
    let (_state, store) = store();
    store.write(URI, UUID, &domain("a"), at(0)).unwrap();
    fs::set_permissions(store.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let written = store.write(URI, UUID, &domain("a"), at(1)).unwrap();
    assert_eq!(written.closed, [store.root()]);
    assert_eq!(mode(store.root()), 0o700);
}

#[test]
fn what_is_in_the_way_is_named() {
    let (state, store) = store();
    fs::write(state.path().join("virt-patch"), "").unwrap();
    let error = store.write(URI, UUID, &domain("a"), at(0)).unwrap_err();
    let place = state.path().join("virt-patch");
    assert_eq!(
        error.to_string(),
        format!("cannot make a private directory of '{}'", place.display())
    );

    fs::remove_file(&place).unwrap();
    symlink("/nowhere/at/all", &place).unwrap();
    let error = store.write(URI, UUID, &domain("a"), at(0)).unwrap_err();
    assert!(
        error.to_string().contains(&place.display().to_string()),
        "{error}"
    );
}

#[test]
fn the_place_follows_the_environment() {
    let place = |variables: &[(&str, &str)]| {
        let variables: Vec<_> = variables
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect();
        Store::in_environment(move |name| {
            variables
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.into())
        })
        .map(|store| store.root().display().to_string())
    };
    assert_eq!(
        place(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]).unwrap(),
        "/s/virt-patch/backups"
    );
    assert_eq!(
        place(&[("HOME", "/h")]).unwrap(),
        "/h/.local/state/virt-patch/backups"
    );
    // The XDG specification has relative paths ignored.
    let relative = [("HOME", "/h"), ("XDG_STATE_HOME", "state")];
    assert_eq!(
        place(&relative).unwrap(),
        "/h/.local/state/virt-patch/backups"
    );
    assert!(matches!(place(&[]), Err(BackupError::NoHome)));
}

#[test]
fn names_escape_and_come_back() {
    for text in [
        URI,
        "qemu+ssh://root@host:22/system?x=a%20b",
        "..",
        ".hidden",
        "naïve",
        "%",
        "%4",
    ] {
        let name = escape(text);
        assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        assert_eq!(unescape(&name), text);
    }
}

#[test]
fn what_is_put_aside_is_private_and_no_backup() {
    let (_state, store) = store();
    let first = store.put_aside(URI, UUID, "<a/>", at(0)).unwrap();
    let second = store.put_aside(URI, UUID, "<b/>", at(0)).unwrap();
    assert_eq!(file_name(&first), "2026-11-22T05-12-44Z.rolled-back.xml");
    assert_eq!(file_name(&second), "2026-11-22T05-12-44Z.rolled-back_2.xml");
    for (path, text) in [(&first, "<a/>"), (&second, "<b/>")] {
        assert_eq!(fs::read_to_string(path).unwrap(), text);
        assert_eq!(mode(path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
    assert_eq!(store.list(None, None).unwrap(), []);
}

#[test]
fn a_backup_goes_by_its_time_and_its_file() {
    let (_state, store) = store();
    let backup = store.write(URI, UUID, &domain("a"), at(0)).unwrap().backup;
    let path = backup.path.display().to_string();
    for (word, is_meant) in [
        ("2026-11-22T05:12:44Z", true),
        ("2026-11-22T05-12-44Z.xml", true),
        (path.as_str(), true),
        ("2026-11-22T05:12:45Z", false),
        ("2026-11-22", false),
        ("a", false),
    ] {
        assert_eq!(backup.is_called(word), is_meant, "{word}");
    }
}

#[test]
fn a_uri_of_any_length_has_a_directory_of_its_own() {
    let (_state, store) = store();
    let long = |end: &str| format!("qemu+ssh://host/system?keyfile=/{}{end}", "é/".repeat(200));
    let uris = [long("a"), long("b"), URI.to_owned()];
    for (uri, name) in uris.iter().zip(["a", "b", "c"]) {
        store.write(uri, UUID, &domain(name), at(0)).unwrap();
        store.put_aside(uri, UUID, &domain(name), at(0)).unwrap();
    }
    let names: Vec<_> = entries(store.root()).unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| file_name(name).len() <= 200));
    for (uri, name) in uris.iter().zip(["a", "b", "c"]) {
        let found = store.list(Some(uri), None).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|backup| (backup.uri.as_str(), backup.name.as_deref()))
            .collect();
        assert_eq!(found, [(uri.as_str(), Some(name))]);
        assert!(store.latest(Some(uri), UUID).unwrap().is_some());
    }
    // Asked for none, only the beginning is known, to a whole character.
    let all = store.list(None, None).unwrap();
    for backup in &all {
        let beginning = backup.uri.trim_end_matches('…');
        assert!(
            uris.iter().any(|uri| uri.starts_with(beginning)),
            "{backup:?}"
        );
        assert_eq!(backup.has_whole_uri(), backup.uri == URI);
    }
    assert_eq!(all.len(), 3);
}

#[test]
fn the_number_of_a_long_uri_never_changes() {
    // Of the reference implementation.
    for (text, number) in [
        ("", 0xcbf2_9ce4_8422_2325),
        ("a", 0xaf63_dc4c_8601_ec8c),
        ("foobar", 0x8594_4171_f739_67e8),
    ] {
        assert_eq!(fnv1a(text), number, "{text}");
    }
    let short = "x".repeat(200);
    assert_eq!(directory_name(&short), short);
    let cut = directory_name(&"x".repeat(201));
    assert_eq!(cut.len(), 200);
    assert!(cut.starts_with(&"x".repeat(183)), "{cut}");
}
