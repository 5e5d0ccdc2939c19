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
