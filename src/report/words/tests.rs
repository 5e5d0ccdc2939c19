#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn a_name_a_number_and_an_attribute_are_one_word_each() {
    for (line, expected) in [
        (
            "  <vcpu placement='a b'>12</vcpu>",
            &[
                "<",
                "vcpu",
                "placement='a b'",
                ">",
                "12",
                "<",
                "/",
                "vcpu",
                ">",
            ][..],
        ),
        ("a = \"-1.5\" b\t", &["a = \"-1.5\"", "b", ""]),
        ("don't 'x' v=''", &["don", "'", "t", "'", "x", "'", "v=''"]),
        (
            "/usr/OVMF_4M.fd größe",
            &["/", "usr", "/", "OVMF_4M.fd", "größe"],
        ),
        ("v='open", &["v", "=", "'", "open"]),
        ("", &[]),
    ] {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(|word| &line[word.range.clone()]).collect();
        assert_eq!(words, expected, "{line}");
    }
    let line = "value=',,x,y=1'";
    let value = value(line, 5).unwrap();
    let items: Vec<&str> = items(line, &value).iter().map(|item| item.key).collect();
    assert_eq!(items, [",", ",", "x", ",", "y=1"]);
}

/// Marks the changed words of the lines of a block with brackets.
#[track_caller]
fn check(old: &[&str], new: &[&str], marked_old: &[&str], marked_new: &[&str]) {
    let mark = |lines: &[&str], ranges: &[Vec<Range<usize>>]| -> Vec<String> {
        let mark_one = |(line, ranges): (&&str, &Vec<Range<usize>>)| {
            let mut line = line.to_string();
            for range in ranges.iter().rev() {
                line.replace_range(range.clone(), &format!("[{}]", &line[range.clone()]));
            }
            line
        };
        lines.iter().zip(ranges).map(mark_one).collect()
    };
    let changed = changed(old, new);
    assert_eq!(mark(old, &changed.old), marked_old);
    assert_eq!(mark(new, &changed.new), marked_new);
}

#[test]
fn changed_words_are_found() {
    check(
        &["  <vcpu placement='static'>2</vcpu>"],
        &["  <vcpu placement='static'>8</vcpu>"],
        &["  <vcpu placement='static'>[2]</vcpu>"],
        &["  <vcpu placement='static'>[8]</vcpu>"],
    );
    check(
        &["<topology sockets='1' cores='1' threads='1'/>"],
        &["<topology sockets='1' dies='1' cores='4' threads='1'/>"],
        &["<topology sockets='1' cores='[1]' threads='1'/>"],
        &["<topology sockets='1' [dies='1'] cores='[4]' threads='1'/>"],
    );
    check(
        &["<qemu:arg value='Haswell,vendor=GenuineIntel,+avx'/>"],
        &["<qemu:arg value='Haswell,+topoext,vendor=GenuineIntel,+avx'/>"],
        &["<qemu:arg value='Haswell,vendor=GenuineIntel,+avx'/>"],
        &["<qemu:arg value='Haswell[,+topoext],vendor=GenuineIntel,+avx'/>"],
    );
    check(
        &["<a b='1' c=\"x\" d='0,2'/>"],
        &["<a c='x' b='1' d='0,3,4' e='5'/>"],
        &["<a b='1' [c=\"x\"] d='0,[2]'/>"],
        &["<a [c='x'] b='1' d='0,[3,4]' [e='5']/>"],
    );
    check(
        &["<a b=\"x\" />"],
        &["<a b='x'/>"],
        &["<a b[=\"x\"][ ]/>"],
        &["<a b[='x']/>"],
    );
    check(&["<a/> "], &["<a/>"], &["<a/>[ ]"], &["<a/>"]);
    check(&["\t<a/>"], &["  <a/>"], &["[\t]<a/>"], &["[  ]<a/>"]);
}

#[test]
fn lines_are_paired_with_the_line_they_became() {
    check(
        &["<loader type='rom'>/usr/share/a.fd</loader>"],
        &[
            "<boot dev='hd'/>",
            "<loader type='pflash'>/usr/share/b.fd</loader>",
            "<nvram/>",
        ],
        &["<loader type='[rom]'>/usr/share/[a.fd]</loader>"],
        &[
            "<boot dev='hd'/>",
            "<loader type='[pflash]'>/usr/share/[b.fd]</loader>",
            "<nvram/>",
        ],
    );
    check(
        &["<acpi/>"],
        &["<disk type='x'>"],
        &["<acpi/>"],
        &["<disk type='x'>"],
    );
    check(&["a"; 65], &["b"], &["a"; 65], &["b"]);
}
