#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const QEMU: &str = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";

/// Each `‹secret›` in `marked` must be found, and nothing else.
#[track_caller]
fn check(marked: &str) {
    let text = marked.replace(['‹', '›'], "");
    assert!(Document::parse(&text).is_ok(), "not well-formed: {text}");
    assert_eq!(mark(&text, &secrets(&text)), marked);
}

/// The same for the search without structure.
#[track_caller]
fn check_malformed(marked: &str) {
    let text = marked.replace(['‹', '›'], "");
    assert!(Document::parse(&text).is_err(), "well-formed: {text}");
    assert_eq!(mark(&text, &secrets(&text)), marked);
    assert_eq!(mask_malformed(&text), mask_one(&text));
}

fn mark(text: &str, ranges: &[Range<usize>]) -> String {
    let mut text = text.to_owned();
    for range in ranges.iter().rev() {
        text.insert(range.end, '›');
        text.insert(range.start, '‹');
    }
    text
}

#[test]
fn what_libvirt_hides_is_a_secret() {
    check(
        "<domain><devices><graphics type='vnc' passwd='‹s3cr3t›' passwdValidTo='2026'/></devices></domain>",
    );
    check("<domain><graphics type=\"spice\" passwd = \"‹a'b&quot;c&#x20;›\"/></domain>");
    check(
        "<d:domain xmlns:d='urn:x'><d:graphics type='rdp' username='joe' d:passwd='‹x›'/></d:domain>",
    );
    check("<g passwd=''/>");
    check(&format!("<g a='1'\n\tpasswd{}=\t'‹x›'/>", " ".repeat(300)));
    check(
        "<source><cookies>\n <cookie name='a>b'>‹one&amp;two›</cookie>\n <cookie name='c'>\n  ‹three›\n </cookie></cookies></source>",
    );
    check(
        "<cookies><cookie name='a'>‹x<![CDATA[</cookie>]]><!-- > --><passwd/>›</cookie><cookie name='b'/><cookie> </cookie></cookies>",
    );
    check(
        "<x><!-- <graphics passwd='x'/> --><passwd>y</passwd><![CDATA[<graphics passwd='z'/>]]></x>",
    );
}

#[test]
fn secrets_in_qemu_arguments_are_found_in_every_form() {
    for value in [
        "secret,id=s,data=‹x›",
        "secret,id=s,data=‹a,,b=c,,›,format=raw",
        "secret,data=‹a&#x2c;&#44;b›,id=s",
        "id=s,qom-type=secret,data=‹my pass -word›",
        "secret&#x2c;id=s,data&#61;‹&#x78;›",
        "-object secret,id=s,data=‹x y› -cpu host,data=y",
        "-object &quot;secret,id=s,data=‹x›&quot;",
        "port=5900,password=‹x›,addr=::1",
        ":1,password=on",
        ":1,password=off,tls-creds=t",
        "initiator-name=i,user=u,password=‹on and on›",
        "file=/x,password-secret=s,data=y",
        "secret_keyring,id=s,data=y",
        "isa-applesmc,osk=x",
        "secret,id=s,file=/run/secret",
        "secret,id=s,data=",
        "",
        "{&quot;qom-type&quot;:&quot;secret&quot;,&quot;id&quot;:&quot;s&quot;,&quot;data&quot;:&quot;‹a\\&quot;b,c›&quot;}",
        "{&quot;data&quot; : &quot;‹x›&quot; , &quot;qom-\\u0074ype&quot;:&quot;secret&quot;}",
        "{&quot;driver&quot;:&quot;x&quot;,&quot;data&quot;:&quot;y&quot;,&quot;password&quot;:‹123›}",
        "{&quot;vnc&quot;:[&quot;data&quot;,{&quot;password&quot;:true,&quot;password&quot;:&quot;on&quot;}]}",
        "file=json:{&quot;driver&quot;:&quot;ssh&quot;,&quot;password&quot;:&quot;‹x›&quot;}",
        "{&quot;qom-type&quot;:&quot;secret&quot;,&quot;data&quot;:&quot;‹never closed›",
    ] {
        check(&format!(
            "<domain {QEMU}><qemu:commandline><qemu:arg value='-object'/><qemu:arg value='{value}'/>\
             </qemu:commandline></domain>"
        ));
        // No prefix, or a block that libvirt drops: still a secret.
        check(&format!(
            "<domain><commandline><arg value=\"{value}\"/></commandline></domain>"
        ));
    }
    check(&format!(
        "<domain {QEMU}><qemu:arg value='{{\"qom-type\":\"secret\",\"data\":\"‹x›\"}}'/></domain>"
    ));
    check("<entry name='x' value='secret,data=x'/>");
}

#[test]
fn malformed_text_is_searched_without_structure() {
    for marked in [
        "<graphics type='vnc' passwd='‹s3cr3t›'",
        "<graphics type='vnc' passwd='‹s3cr3t port=\"5900\"/>›\n<a b='c'/>",
        "<graphics type='vnc' passwd='‹s3cr3t›' port=\"5900\">\n<a b='c'/>",
        "<graphics passwd='‹s3cr3t/>›\r\n  <graphics type='vnc' passwd=\"‹two›\"/>",
        "<graphics passwd='‹it's s3cr3t›' type='vnc'/>",
        "<graphics passwd='‹a<b›' /><x>",
        "<graphics passwd=‹s3cr3t/›><x>",
        "<graphics passwd '‹s3cr3t›'/><x>",
        "<graphics passwd=‹“s3 cr3t” type='vnc'›\n",
        "<graphics passwd=‹&quot;s3 cr3t&quot; type='vnc'/>›\n",
        "<graphics passwd='‹a\nb›'><x>",
        "<graphics passwd='‹cut off›",
        "<!-- <x passwd='‹y›'> -- >",
        "<a passwdValidTo='2026' my-passwd='x' passwd=''>",
        "passwd: x <passwd>y</passwd>",
        "<cookie name='a'>‹x<y›</cookie><z>",
        "<v:cookie name='a'>\n ‹x›\n</v:cookie><z>",
        "<cookie name='a'>‹x</cokie>›\n</cookies>",
        "<cookie name='a'/>x",
        "<cookies>\n<cookie name='a'>‹cut off›",
        "<qemu:arg value='secret,id=s,data=‹x›'/>",
        "<qemu:arg value='secret,id=s,data=‹x/>›\n<qemu:arg value='-cpu'/>",
        "<qemu:arg value='-object/><qemu:arg value='secret,id=s,data=‹x›'/>",
        "<qemu:arg value='-spice'/><qemu:arg value=\"password=‹x›,port=1\"/>",
        "<!DOCTYPE domain [<!ENTITY e 'x'>]><graphics passwd='‹&e;›'/>",
        "größe passwd='‹größe›' ",
    ] {
        check_malformed(marked);
    }
}

#[test]
fn changed_secrets_show_as_changed_and_nothing_else_does() {
    let text = |a: &str, b: &str| format!("<d><g passwd='{a}'/>\n<h passwd='{b}'/>{a}</d>");
    for (before, after, masked_before, masked_after) in [
        (
            ("x", "y"),
            ("x", "y"),
            ("*****", "*****"),
            ("*****", "*****"),
        ),
        (
            ("x", "y"),
            ("x", "z"),
            ("*****", "***** (before)"),
            ("*****", "***** (after)"),
        ),
        (
            ("x", "y"),
            ("v", "w"),
            ("***** (before)", "***** (before)"),
            ("***** (after)", "***** (after)"),
        ),
        (
            ("x", "y"),
            ("y", "x"),
            ("***** (1)", "***** (2)"),
            ("***** (2)", "***** (1)"),
        ),
        (
            ("x", "x"),
            ("x", "y"),
            ("*****", "*****"),
            ("*****", "***** (after)"),
        ),
        (("x", "x"), ("x", ""), ("*****", "*****"), ("*****", "")),
        (
            ("x", "&#120;"),
            ("x", "x"),
            ("*****", "***** (before)"),
            ("*****", "*****"),
        ),
    ] {
        let masked = mask_pair(&text(before.0, before.1), &text(after.0, after.1));
        let expect = |mask: (&str, &str), a| {
            text(mask.0, mask.1).replace(&format!("{}</d>", mask.0), &format!("{a}</d>"))
        };
        assert_eq!(masked.before, expect(masked_before, before.0));
        assert_eq!(masked.after, expect(masked_after, after.0));
        assert_eq!(masked.hidden, 2);
    }
    assert_eq!(mask_pair("<a/>", "<g passwd='x'/>").hidden, 1);
    assert_eq!(mask_pair("<a/>", "<a/>").hidden, 0);
}

#[test]
fn line_numbers_stay() {
    assert_eq!(
        mask_one("<g passwd='a\nb\r\n\r\nc'\n/>"),
        "<g passwd='*****\n\r\n\r\n'\n/>"
    );
    assert_eq!(
        mask_one("<cookie>\n a\n</cookie>"),
        "<cookie>\n *****\n</cookie>"
    );
}

/// A document with secrets in every place, made of the given values.
fn document(values: &[String]) -> String {
    let value = |index: usize| values.get(index).map_or("", String::as_str);
    format!(
        "<domain {QEMU}>\n<graphics passwd='{}' type='vnc'/>\n<cookies><cookie name='a'>{}</cookie></cookies>\n\
         <qemu:arg value='secret,id=s,data={}'/>\n<qemu:arg value='port=1,password={}'/>\n\
         <qemu:arg value='{{\"qom-type\":\"secret\",\"data\":\"{}\"}}'/>\n<!-- {} -->\n</domain>\n",
        value(0),
        value(1),
        value(2),
        value(3),
        value(4),
        value(5)
    )
}

fn values() -> impl Strategy<Value = Vec<String>> {
    let value = prop::sample::select(
        &[
            "",
            "x",
            "y",
            "on",
            "*****",
            "***** (before)",
            "***** (1)",
            "a&#98;",
            "a\nb",
            "a\r\nb",
            "a,,b",
            " x ",
        ][..],
    );
    prop::collection::vec(value.prop_map(str::to_owned), 6)
}

proptest! {
    #[test]
    fn masked_texts_differ_exactly_when_the_texts_do(a in values(), b in values()) {
        let (a, b) = (document(&a), document(&b));
        let masked = mask_pair(&a, &b);
        prop_assert_eq!(masked.before == masked.after, a == b, "{:#?}", masked);
        prop_assert_eq!(masked.before.lines().count(), a.lines().count());
        prop_assert_eq!(masked.after.lines().count(), b.lines().count());
        let same = mask_pair(&a, &a);
        prop_assert_eq!(&same.before, &same.after);
        prop_assert_eq!(&same.before, &mask_one(&a));
    }

    #[test]
    fn no_secret_survives_in_its_place(secrets in prop::collection::vec("[A-Z]{3,12}", 5)) {
        let mut values = secrets.clone();
        values.push(String::from("comment"));
        let text = document(&values);
        for masked in [mask_one(&text), mask_malformed(&text), mask_malformed(&text[..text.len() - 4])] {
            for secret in &secrets {
                prop_assert!(!masked.contains(secret.as_str()), "{} in {}", secret, masked);
            }
            prop_assert_eq!(masked.matches("*****").count(), 5);
        }
    }

    #[test]
    fn ranges_are_sorted_disjoint_and_inside_whatever_the_text(
        parts in prop::collection::vec(prop::sample::select(&[
            "passwd", "=", "'", "\"", "<", ">", "/", "cookie", "</cookie>", "value", "secret,", "data=",
            "password=", "{", "}", ":", ",", "\\", "\\u", "&", "&#120;", ";", " ", "\n", "\r", "-object ", "é", "x",
        ][..]), 0..40)
    ) {
        let text = parts.concat();
        let found = secrets(&text);
        prop_assert!(found.iter().all(|range| !range.is_empty() && text.get(range.clone()).is_some()));
        prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert_eq!(mask_malformed(&text).matches('\n').count(), text.matches('\n').count());
        prop_assert!(arg::secrets(&text).iter().all(|range| text.get(range.clone()).is_some()));
    }
}

/// Not a benchmark: the quadratic work this guards against would take minutes.
#[test]
fn hostile_sizes_stay_affordable() {
    for part in [
        "value='",
        "passwd='",
        "<cookie>",
        "passwd=\"x\n",
        "value='secret,data=",
        "value='{\"data\":'",
        "&#",
        "<a",
        "value",
    ] {
        let start = std::time::Instant::now();
        mask_one(&part.repeat(100_000));
        assert!(
            start.elapsed().as_secs() < 60,
            "{part}: {:?}",
            start.elapsed()
        );
    }
}
