//! The pass usb-input.

use crate::run::pass;

const NATIVE: &str = "<devices>\n  <input type='tablet' bus='usb'/>\n  <input type='keyboard' bus='usb'/>\n</devices>";

fn with_arguments(devices: &str, arguments: &[&str]) -> String {
    let arguments: String = arguments
        .iter()
        .map(|argument| format!("    <qemu:arg value='{argument}'/>\n"))
        .collect();
    format!(
        "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  {devices}\n  <qemu:commandline>\n{arguments}  </qemu:commandline>\n</domain>\n"
    )
}

const LITERAL: [&str; 5] = ["-usb", "-device", "usb-tablet", "-device", "usb-kbd"];

#[test]
fn tablet_and_keyboard_are_there_once() {
    for before in [
        "<devices/>",
        "<devices>\n  <input type='tablet' bus='usb'/>\n</devices>",
        NATIVE,
    ] {
        pass("usb-input").makes(before, NATIVE);
    }
    let mice = "<devices>\n  <input type='mouse' bus='ps2'/>\n  <input type='tablet' bus='virtio'/>\n</devices>";
    pass("usb-input").makes(
        mice,
        &mice.replace("\n</devices>", &NATIVE.replace("<devices>", "")),
    );
    // Either form will do.
    let literal = with_arguments("<devices/>", &LITERAL);
    pass("usb-input").keeps(&literal);
    pass("usb-input")
        .with("usb-input.style=literal")
        .keeps(&literal);
    pass("usb-input")
        .with("usb-input.style=literal")
        .keeps(NATIVE);
    let json = ["-device", "{\"driver\":\"usb-tablet\",\"bus\":\"usb.0\"}"];
    pass("usb-input").makes(
        &with_arguments("<devices/>", &json),
        &with_arguments(
            "<devices>\n    <input type='keyboard' bus='usb'/>\n  </devices>",
            &json,
        ),
    );
}

#[test]
fn they_can_be_arguments() {
    let literal = || pass("usb-input").with("usb-input.style=literal");
    literal().makes(
        "<domain type='kvm'>\n  <devices/>\n</domain>\n",
        &with_arguments("<devices/>", &LITERAL),
    );
    literal().makes(
        "<domain type='kvm'>\n  <devices>\n    <input type='tablet' bus='usb'/>\n  </devices>\n</domain>\n",
        &with_arguments(
            "<devices>\n    <input type='tablet' bus='usb'/>\n  </devices>",
            &["-usb", "-device", "usb-kbd"],
        ),
    );
    // QEMU 7.2: "slot 29 function 7 not available for ich9-usb-ehci1".
    let ich9 = "<devices>\n    <controller type='usb' model='ich9-ehci1'/>\n    <input type='tablet' bus='usb'/>\n    <input type='mouse' bus='usb'/>\n  </devices>";
    literal().is_blocked_on(
        &format!("<domain>\n  {ich9}\n</domain>"),
        "-usb puts ich9 controllers into the slot where libvirt has the one in line 3, and QEMU does not start with both; --set usb-input.style=native",
    );
    literal().on_the_template().makes(
        &format!("<domain type='kvm'>\n  {ich9}\n</domain>\n"),
        &with_arguments(
            "<devices>\n    <input type='mouse' bus='usb'/>\n  </devices>",
            &LITERAL,
        ),
    );
}

#[test]
fn usb_that_is_switched_off_blocks() {
    let off = "<devices>\n  <controller type='usb' model='none'/>\n</devices>";
    pass("usb-input").is_blocked_on(
        off,
        "line 3 switches USB off (<controller type='usb' model='none'/>), and macOS has no other input devices; take it out first",
    );
}
