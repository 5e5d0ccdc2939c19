#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn plain(before: &str, after: &str, context: usize) -> String {
    let options = DiffOptions {
        context,
        ..DiffOptions::default()
    };
    unified(before, after, &Labels::file("x.xml"), &options)
}

/// Applies a diff as `patch` would without fuzz or offset.
fn apply(before: &str, diff: &str) -> String {
    let (mut old, mut at, mut after) = (lines::split(before), 0, String::new());
    let mut diff = lines::split(diff).into_iter().skip(2).peekable();
    while let Some(header) = diff.next() {
        let range = header.split(['-', ' ']).nth(2).unwrap();
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        let (start, count): (usize, usize) = (start.parse().unwrap(), count.parse().unwrap());
        let start = if count == 0 { start } else { start - 1 };
        after.push_str(&old.splice(..start - at, []).collect::<String>());
        at = start + count;
        let mut removed = 0;
        while let Some(line) = diff.next_if(|line| !line.starts_with("@@")) {
            let no_newline = diff.next_if(|next| next.starts_with('\\')).is_some();
            let body = &line[1..line.len() - usize::from(no_newline)];
            if !line.starts_with('+') {
                assert_eq!(old.remove(0), body);
                removed += 1;
            }
            if !line.starts_with('-') {
                after.push_str(body);
            }
        }
        assert_eq!(removed, count, "hunk header {header}");
    }
    after.push_str(&old.concat());
    after
}

#[test]
fn equal_texts_have_no_diff() {
    for text in ["", "a", "a\n", "\r\n"] {
        assert_eq!(plain(text, text, 3), "");
    }
}

#[test]
fn headers_and_ends_are_as_diff_writes_them() {
    for (before, after, context, body) in [
        ("a\n", "b\n", 3, "@@ -1 +1 @@\n-a\n+b\n"),
        ("", "b\n", 3, "@@ -0,0 +1 @@\n+b\n"),
        ("a\n", "", 3, "@@ -1 +0,0 @@\n-a\n"),
        (
            "a",
            "a\n",
            3,
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n",
        ),
        (
            "a\nb",
            "A\nb",
            3,
            "@@ -1,2 +1,2 @@\n-a\n+A\n b\n\\ No newline at end of file\n",
        ),
        ("a\nb\nc\n", "a\nc\n", 0, "@@ -2 +1,0 @@\n-b\n"),
        (
            "1\n2\n3\n4\n5\n",
            "0\n2\n3\n4\n6\n",
            1,
            "@@ -1,2 +1,2 @@\n-1\n+0\n 2\n@@ -4,2 +4,2 @@\n 4\n-5\n+6\n",
        ),
        (
            "1\n2\n3\n4\n",
            "0\n2\n3\n6\n",
            1,
            "@@ -1,4 +1,4 @@\n-1\n+0\n 2\n 3\n-4\n+6\n",
        ),
        (
            "a\rb\n",
            "a\rc\n",
            usize::MAX,
            "@@ -1 +1 @@\n-a\rb\n+a\rc\n",
        ),
    ] {
        let expected = format!("--- a/x.xml\n+++ b/x.xml\n{body}");
        assert_eq!(plain(before, after, context), expected);
    }
}

#[test]
fn a_name_with_spaces_ends_in_a_tab() {
    let diff = unified(
        "a",
        "b",
        &Labels::file("my vm.xml"),
        &DiffOptions::default(),
    );
    assert!(
        diff.starts_with("--- a/my vm.xml\t\n+++ b/my vm.xml\t\n@@"),
        "{diff}"
    );
}

fn colored(before: &str, after: &str) -> String {
    let options = DiffOptions {
        color: true,
        ..DiffOptions::default()
    };
    unified(
        before,
        after,
        &Labels::domain("mac", "qemu:///system"),
        &options,
    )
}

/// Escape sequences as words.
fn readable(text: &str) -> String {
    [
        ("\x1b[0m", "{/}"),
        ("\x1b[1m\x1b[4m\x1b[31m", "{RED}"),
        ("\x1b[1m\x1b[4m\x1b[32m", "{GREEN}"),
        ("\x1b[1m", "{bold}"),
        ("\x1b[31m", "{red}"),
        ("\x1b[32m", "{green}"),
        ("\x1b[36m", "{cyan}"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, word)| {
        text.replace(escape, word)
    })
}

#[test]
fn a_coloured_diff_marks_the_changed_words() {
    let before = "<domain type='kvm'>
  <name>mac</name>
  <vcpu placement='static'>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>
    <boot dev='hd'/>
  </os>
  <cpu mode='host-passthrough'>
    <topology sockets='2' cores='1' threads='1'/>
  </cpu>
</domain>
";
    let after = "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>mac</name>
  <vcpu placement='static'>8</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>
    <boot dev='hd'/>
  </os>
  <cpu mode='host-passthrough'>
    <topology sockets='1' dies='1' cores='4' threads='2'/>
  </cpu>
  <qemu:commandline>
    <qemu:arg value='-global'/>
  </qemu:commandline>
</domain>
";
    insta::assert_snapshot!(readable(&colored(before, after)), @r"
    {bold}--- mac (qemu:///system)	{/}
    {bold}+++ mac (qemu:///system)	{/}
    {cyan}@@ -1,12 +1,16 @@{/}
    {red}-<domain type='kvm'>{/}
    {green}+<domain type='kvm' {/}{GREEN}xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'{/}{green}>{/}
       <name>mac</name>
    {red}-  <vcpu placement='static'>{/}{RED}2{/}{red}</vcpu>{/}
    {green}+  <vcpu placement='static'>{/}{GREEN}8{/}{green}</vcpu>{/}
       <os>
         <type arch='x86_64' machine='q35'>hvm</type>
    {red}-    <loader readonly='yes' type='pflash'>/usr/share/OVMF/{/}{RED}OVMF_CODE_4M.ms.fd{/}{red}</loader>{/}
    {green}+    <loader readonly='yes' type='pflash'>/usr/share/OVMF/{/}{GREEN}OVMF_CODE_4M.fd{/}{green}</loader>{/}
    {green}+    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>{/}
         <boot dev='hd'/>
       </os>
       <cpu mode='host-passthrough'>
    {red}-    <topology sockets='{/}{RED}2{/}{red}' cores='{/}{RED}1{/}{red}' threads='{/}{RED}1{/}{red}'/>{/}
    {green}+    <topology sockets='{/}{GREEN}1{/}{green}' {/}{GREEN}dies='1'{/}{green} cores='{/}{GREEN}4{/}{green}' threads='{/}{GREEN}2{/}{green}'/>{/}
       </cpu>
    {green}+  <qemu:commandline>{/}
    {green}+    <qemu:arg value='-global'/>{/}
    {green}+  </qemu:commandline>{/}
     </domain>
    ");
}

#[test]
fn nothing_that_a_terminal_acts_on_reaches_it() {
    let (before, after) = ("a\rb\n\x1b[2J\u{202e}\n", "a\rb\n\x1b]0;x\x07\u{9b}\n");
    let shown = "@@ -1,2 +1,2 @@\n a^Mb\n-␛[2J<U+202E>\n+␛]0;x␇<U+009B>\n";
    let options = DiffOptions {
        terminal: true,
        ..DiffOptions::default()
    };
    let diff = unified(before, after, &Labels::domain("m\x1b", "u"), &options);
    assert_eq!(diff, format!("--- m␛ (u)\t\n+++ m␛ (u)\t\n{shown}"));
}

#[test]
fn carriage_returns_are_shown_where_they_tell_something() {
    let terminal = |before, after| {
        let options = DiffOptions {
            terminal: true,
            ..DiffOptions::default()
        };
        let diff = unified(before, after, &Labels::file("x"), &options);
        diff.split_once("@@\n").unwrap().1.to_owned()
    };
    assert_eq!(terminal("a\r\nb\r\n", "a\r\nc\r\n"), " a\n-b\n+c\n");
    assert_eq!(terminal("a\nb\r\n", "a\nb\n"), " a\n-b^M\n+b\n");
}

/// Texts that have made some tool stumble, and two of them with much in common.
fn texts() -> impl Strategy<Value = (String, String)> {
    let piece = || {
        prop::sample::select(
            &[
                "a\n",
                "b\n",
                "  <x/>\n",
                "</x>\n",
                "a",
                "\n",
                "\r\n",
                "\r",
                "\x0c",
                "\u{85}",
                "\u{2028}",
                "\t",
                " ",
                "--- a/x\n",
                "+++ b/x\n",
                "@@ -1 +1 @@\n",
                "\\ No newline at end of file\n",
                "-",
                "+",
                "-- x\n",
                "diff --git a/x b/x\n",
                "größe='1'",
                "\x1b[31m",
                "\u{202e}",
                "<v a='1,2'>3</v>\n",
                "<v a='1'>4</v>\n",
            ][..],
        )
    };
    let pieces = move |most| prop::collection::vec(piece(), 0..most);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, pieces(3)), 0..5);
    (pieces(40), edits).prop_map(|(pieces, edits)| {
        let mut changed = pieces.clone();
        for (index, removed, added) in edits {
            let at = index.index(changed.len() + 1);
            let end = (at + removed).min(changed.len());
            changed.splice(at..end, added);
        }
        (pieces.concat(), changed.concat())
    })
}

/// `text` without our own escape sequences; it cannot have others, since a coloured diff shows them.
fn without_escapes(text: &str) -> String {
    let mut text = text.to_owned();
    for code in ["0", "1", "4", "31", "32", "36"] {
        text = text.replace(&format!("\x1b[{code}m"), "");
    }
    text
}

proptest! {
    #[test]
    fn a_diff_applies_byte_for_byte((before, after) in texts(), context in 0..5_usize) {
        let diff = plain(&before, &after, context);
        prop_assert_eq!(diff.is_empty(), before == after);
        prop_assert_eq!(apply(&before, &diff), after);
    }

    #[test]
    fn colour_adds_escape_sequences_and_nothing_else((before, after) in texts()) {
        let options = DiffOptions { context: 3, color: false, terminal: true };
        let uncolored = unified(&before, &after, &Labels::domain("mac", "qemu:///system"), &options);
        prop_assert_eq!(without_escapes(&colored(&before, &after)), uncolored);
    }
}

/// Not a benchmark: the quadratic or cubic work this guards against would take minutes.
#[test]
fn hostile_sizes_stay_affordable() {
    let lines = |count: u64, kinds: u64| -> String {
        let mut state = 1_u64;
        let line = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            format!("<x{}/>\n", (state >> 33) % kinds)
        };
        (0..count).map(line).collect()
    };
    for (before, after) in [
        (lines(20_000, 2), lines(15_000, 2).replace('1', "2")),
        (lines(20_000, 2), lines(20_001, 3)),
        (lines(20_000, 1 << 30), lines(20_000, 1 << 29)),
        (lines(20_000, 100), lines(10_000, 100).repeat(2)),
        ("a='1' ".repeat(200_000), "a='2' ".repeat(200_000)),
        ("x\n".repeat(150_000), "x\n".repeat(100_000)),
    ] {
        let start = std::time::Instant::now();
        let diff = plain(&before, &after, 3);
        colored(&before, &after);
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        assert_eq!(apply(&before, &diff), after);
    }
}
