//! Parts of devices and sections that come.

use super::others::devices;
use super::*;

#[test]
fn one_that_changes_is_told_from_one_that_comes() {
    let graphics = |inside: &str| {
        devices(&format!(
            "<graphics type='spice' autoport='yes'{inside}</graphics>"
        ))
    };
    recorded_between(
        &graphics("><listen type='address'/>"),
        &graphics(
            " listen='127.0.0.1'><listen type='address' address='127.0.0.1'/><listen type='network' network='default'/>",
        ),
        &Keep::default(),
        "
<devices>
  <graphics patch:op=\"update\" type=\"spice\" listen=\"127.0.0.1\">
    <listen patch:op=\"update\" type=\"address\" address=\"127.0.0.1\"/>
    <listen patch:op=\"append\" type=\"network\" network=\"default\"/>
  </graphics>
</devices>
",
    );
}

/// A new clock gets an offset where the patch does not say that this is all of it.
#[test]
fn a_new_clock_is_no_more_than_it_was() {
    let with = |inside: &str| format!("<domain><name>a</name>{inside}</domain>");
    let timer = "<clock><timer name='rtc'/></clock>";
    for (before, after, patch) in [
        ("", "<clock/>", "<clock patch:op=\"replace\"/>\n"),
        (
            "",
            timer,
            "<clock patch:op=\"replace\">\n  <timer name=\"rtc\"/>\n</clock>\n",
        ),
        ("", "<clock offset='utc'/>", "<clock offset=\"utc\"/>\n"),
        (
            "<clock offset='utc'/>",
            "<clock/>",
            "<clock patch:unset=\"offset\"/>\n",
        ),
        (
            "",
            "<metadata><a:b xmlns:a='urn:a'><clock/></a:b></metadata>",
            "<domain xmlns:a=\"urn:a\" xmlns:patch=\"urn:virt-patch:1\">
  <metadata>
    <a:b>
      <clock/>
    </a:b>
  </metadata>
</domain>
",
        ),
    ] {
        let keep = Keep {
            defaults: true,
            ..Keep::default()
        };
        recorded_between(&with(before), &with(after), &keep, patch);
        becomes(&with(before), &with(after));
    }
    // In a definition that is replaced as well.
    becomes(
        "<domain><name>a</name><clock offset='utc'/></domain>",
        "<domain><clock/><name>a</name></domain>",
    );
}

/// All of it is recorded.
#[track_caller]
fn becomes(before: &str, after: &str) {
    let derived = derive(before, after, &Keep::ALL).unwrap();
    let patch = Patch::new("derived", derived.patch);
    let document = Document::parse_domain(before).unwrap();
    let got = merge::merged(&document, &patch).unwrap().unwrap();
    assert!(derive(&got, after, &Keep::ALL).unwrap().empty, "{got}");
}
