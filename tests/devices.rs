//! The passes about devices.

#![allow(clippy::unwrap_used)]

#[path = "common/table.rs"]
mod table;

use table::given;

#[test]
fn the_guest_has_a_board() {
    let with = |args: &str| {
        format!(
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  <qemu:commandline>\n{args}  </qemu:commandline>\n</domain>\n"
        )
    };
    let type1 = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=1,serial=1'/>\n";
    let type2 = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=2'/>\n";
    given(&with(type1))
        .run("smbios")
        .becomes(&with(&format!("{type1}{type2}")));
    let own = "    <qemu:arg value='-smbios'/>\n    <qemu:arg value='type=2,manufacturer=Acidanthera'/>\n";
    given(&with(own)).run("smbios").unchanged();

    // libvirt describes the board when <os> asks for it, and only then.
    let board = |mode: &str| {
        format!(
            "<domain>\n  <sysinfo type='smbios'>\n    <baseBoard>\n      <entry name='product'>Mac</entry>\n    </baseBoard>\n  </sysinfo>\n  <os>\n    <smbios mode='{mode}'/>\n  </os>\n</domain>\n"
        )
    };
    given(&board("sysinfo"))
        .run("smbios")
        .unchanged()
        .says("satisfied: <sysinfo> describes a board");
    given(&board("emulate"))
        .run("smbios")
        .says("changed: macOS freezes at the second stage of the boot without a board record");
}
