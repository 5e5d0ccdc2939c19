//! Where new elements go.

use super::*;

fn inside(before: &str, elements: &[&str], after: &str) -> String {
    let elements: String = elements.iter().map(|one| format!("\n    {one}")).collect();
    format!("<domain xmlns:patch='urn:virt-patch:1'>\n  {before}{elements}\n  {after}\n</domain>")
}

#[test]
fn what_libvirt_sorts_by_a_number_stands_by_it() {
    for (around, element) in [
        ("cputune", "<vcpupin vcpu='N' cpuset='N'/>"),
        ("cputune", "<iothreadpin iothread='N' cpuset='N'/>"),
        ("vcpus", "<vcpu id='N'/>"),
        ("numatune", "<memnode cellid='N' mode='strict'/>"),
    ] {
        let numbers = |numbers: &str| {
            let all = numbers.split_whitespace();
            let all: Vec<String> = all.map(|number| element.replace('N', number)).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            inside(&format!("<{around}>"), &all, &format!("</{around}>"))
        };
        for (before, patch, after) in [
            ("0 2", "1", "0 1 2"),
            ("1", "0", "0 1"),
            ("0", "1 0", "0 1"),
            ("0 3", "5 4 2 1 0", "0 1 2 3 4 5"),
            ("2 10", "9", "2 9 10"),
            ("4 0 2", "1", "4 0 1 2"),
            ("", "2 0 1", "0 1 2"),
        ] {
            let before = match before {
                "" => inside(
                    &format!("<{around}>"),
                    &["<!-- -->"],
                    &format!("</{around}>"),
                ),
                before => numbers(before),
            };
            let after = match before.contains("<!-- -->") {
                true => numbers(after).replacen(
                    &format!("<{around}>"),
                    &format!("<{around}>\n    <!-- -->"),
                    1,
                ),
                false => numbers(after),
            };
            check(&before, &numbers(patch), &after);
        }
        // One that goes is no neighbour for long.
        let gone = format!(
            "{} patch:op='remove'/>",
            element.replace('N', "2").trim_end_matches("/>")
        );
        let new = element.replace('N', "1");
        check(
            &numbers("2 3"),
            &inside(
                &format!("<{around}>"),
                &[&gone, &new],
                &format!("</{around}>"),
            ),
            &numbers("1 3"),
        );
    }
    let cells =
        |cells: &str| format!("<domain><cpu><numa>{cells}<interconnects/></numa></cpu></domain>");
    check(
        &cells("<cell id='1'/>"),
        &cells("<cell id='2'/><cell id='0'/>"),
        &cells("<cell id='0'/><cell id='1'/><cell id='2'/>"),
    );
}

#[test]
fn parts_of_devices_stand_where_libvirt_writes_them() {
    for (before, patch, after) in [
        (
            "<rng><backend/><address/></rng>",
            "<rng><driver/><rate/><alias/></rng>",
            "<rng><rate/><backend/><driver/><alias/><address/></rng>",
        ),
        (
            "<serial><target port='0'/><address/></serial>",
            "<serial><alias/><log/><protocol/><source/></serial>",
            "<serial><source/><protocol/><log/><target port='0'/><alias/><address/></serial>",
        ),
        (
            "<disk><source><host/><timeout/></source></disk>",
            "<disk><source><cookies/><ssl/><reservations/></source></disk>",
            "<disk><source><host/><ssl/><cookies/><timeout/><reservations/></source></disk>",
        ),
        (
            "<hostdev><source><address/></source></hostdev>",
            "<hostdev><source><product/><vendor/></source></hostdev>",
            "<hostdev><source><vendor/><product/><address/></source></hostdev>",
        ),
    ] {
        let domain = |device: &str| format!("<domain><devices>{device}</devices></domain>");
        check(&domain(before), &domain(patch), &domain(after));
    }
}

/// libvirt 9.0: "Only the first console can be a serial port".
#[test]
fn the_console_of_the_serial_port_is_the_first() {
    let serial = "<console type='pty'>\n      <target type='serial'/>\n    </console>";
    let virtio = "<console type='pty'>\n      <target type='virtio'/>\n    </console>";
    let socket = "<console type='unix'><target type='virtio' port='1'/></console>";
    let devices = |all: &[&str]| inside("<devices>", all, "</devices>");
    for (before, patch, after) in [
        (vec![virtio], vec![serial], vec![serial, virtio]),
        (vec![virtio], vec![virtio, serial], vec![serial, virtio]),
        (
            vec!["<rng/>"],
            vec![virtio, serial],
            vec![serial, virtio, "<rng/>"],
        ),
        (vec![serial], vec![virtio], vec![serial, virtio]),
        (
            vec![virtio, socket],
            vec![serial],
            vec![serial, virtio, socket],
        ),
    ] {
        check(&devices(&before), &devices(&patch), &devices(&after));
    }
}
