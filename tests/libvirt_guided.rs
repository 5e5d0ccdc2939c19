//! The guided mode, as somebody at a terminal sees it: tmux, a real libvirt, keys.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/daemon.rs"]
mod daemon;
#[path = "common/screen.rs"]
mod screen;
#[path = "common/user.rs"]
mod user;

use std::fs;
use std::process::ExitCode;

use daemon::Daemon;
use screen::Screen;
use user::User;

fn main() -> ExitCode {
    daemon::main(tests![
        a_domain_is_led_to_its_new_definition,
        enter_alone_changes_nothing,
        what_is_blocked_is_left_out_or_set_right,
        a_setting_has_its_pass_run,
        a_new_machine_is_defined_with_what_was_added,
        a_file_is_changed_in_place,
        without_libvirt_there_are_files_and_new_machines,
        the_way_back_and_out,
    ])
}

/// The program as a shell starts it, with a state directory of the user's own.
fn program(user: &User) -> String {
    format!(
        "XDG_STATE_HOME={} {}",
        user.state().display(),
        env!("CARGO_BIN_EXE_virt-patch")
    )
}

fn tiny(name: &str, machine: &str) -> String {
    format!(
        "<domain type='qemu'>\n  <name>{name}</name>\n  <memory unit='MiB'>64</memory>\n  <vcpu>2</vcpu>\n  <os><type arch='x86_64' machine='{machine}'>hvm</type></os>\n  <features><acpi/></features>\n</domain>\n"
    )
}

/// Chooses the domain by typing its name.
fn choose(screen: &Screen, name: &str) {
    screen.shows("What is to be patched? (domains are those of qemu:///system)");
    screen.types(name);
}

/// The command line printed at the end.
fn printed(text: &str) -> Vec<String> {
    let (_, command) = text
        .split_once("The same from a command line:\n  ")
        .unwrap();
    shlex::split(command.lines().next().unwrap()).unwrap()
}

fn a_domain_is_led_to_its_new_definition(libvirt: &Daemon) {
    libvirt.define(&tiny("guided", "q35"));
    let before = libvirt.virsh(["dumpxml", "--inactive", "guided"]);
    let user = User::new();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "guided");
    screen.shows("Which profile?");
    screen.types("macpro5");
    let text = screen.shows("Which macOS is it to run?");
    assert!(
        text.contains("> Mojave 10.14, the newest for a MacPro5,1"),
        "{text}"
    );
    screen.types("el cap");
    let text = screen.shows("What is to run?");
    // The reasons are there to be read.
    assert!(
        text.contains("[x] applesmc      changed         macOS reads a key"),
        "{text}"
    );
    assert!(text.contains("[x] cpu-override  changed"), "{text}");
    // The first is the firmware: out with it.
    screen.keys(&["Space", "Enter"]);
    let text = screen.shows("What now?");
    assert!(
        text.contains("+    <qemu:arg value='Westmere-v2,vendor=GenuineIntel,+rdrand'/>"),
        "{text}"
    );
    assert!(text.contains("What is to run? 5 of 6"), "{text}");
    let stored = libvirt.virsh(["dumpxml", "--inactive", "guided"]);
    assert_eq!(stored, before, "nothing before the yes");
    screen.types("Redefine");
    let text = screen.shows("The same from a command line:");
    assert!(text.contains("Domain 'guided' redefined"), "{text}");
    let command = printed(&text);
    assert_eq!(
        command.join(" "),
        "virt-patch apply guided -p macpro5,1 --macos el-capitan --skip firmware"
    );
    screen.ended_with(0);
    let stored = libvirt.virsh(["dumpxml", "--inactive", "guided"]);
    assert!(stored.contains("Westmere-v2"), "{stored}");
    assert!(!stored.contains("<loader"), "{stored}");
    // What was printed is what was run: nothing is left to do for it.
    let mut again: Vec<&str> = command[1..].iter().map(String::as_str).collect();
    again.push("--yes");
    user.run(&again).exits(0).says("nothing to change");
}

fn enter_alone_changes_nothing(libvirt: &Daemon) {
    libvirt.define(&tiny("enter", "q35"));
    let before = libvirt.virsh(["dumpxml", "--inactive", "enter"]);
    let user = User::new();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "enter");
    for question in [
        "Which profile?",
        "Which macOS is it to run?",
        "What is to run?",
        "What now?",
    ] {
        screen.shows(&format!("? {question}"));
        screen.keys(&["Enter"]);
    }
    screen.shows("virt-patch apply enter -p macpro7,1");
    screen.shows("Nothing was changed.");
    screen.ended_with(1);
    assert_eq!(libvirt.virsh(["dumpxml", "--inactive", "enter"]), before);
    assert!(user.backups().is_empty());
}

fn what_is_blocked_is_left_out_or_set_right(libvirt: &Daemon) {
    libvirt.define(&tiny("blocked", "pc"));
    let user = User::new();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "blocked");
    for question in [
        "Which profile?",
        "Which macOS is it to run?",
        "What is to run?",
        "What now?",
    ] {
        let text = screen.shows(&format!("? {question}"));
        if question == "What is to run?" {
            // The list has one line for each pass; a longer reason stands above it in full.
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(
                words.join(" ").contains("or does not see the NIC"),
                "{text}"
            );
        }
        screen.types(if question == "What now?" {
            "Add passes"
        } else {
            ""
        });
    }
    screen.shows("? What is to run besides?");
    screen.keys(&["machine", "Space", "Enter"]);
    let text = screen.shows("machine: blocked: ");
    assert!(
        !text.contains("Redefine 'blocked'"),
        "nothing to say yes to:\n{text}"
    );
    screen.types("Change a setting");
    screen.shows("? Which setting?");
    screen.types("machine.convert");
    screen.shows("? machine.convert?");
    screen.types("maybe");
    screen.shows("it is yes or no");
    screen.keys(&["BSpace", "BSpace", "BSpace", "BSpace", "BSpace"]);
    screen.types("yes");
    screen.shows("Redefine 'blocked' on qemu:///system");
    screen.types("throw-away");
    screen.shows("isa-applesmc");
    screen.types("Redefine");
    screen.shows("virt-patch apply blocked -p macpro7,1 --also machine --set machine.convert=yes");
    screen.ended_with(0);
    let stored = libvirt.virsh(["dumpxml", "--inactive", "blocked"]);
    assert!(stored.contains("machine='pc-q35-"), "{stored}");
}

fn a_setting_has_its_pass_run(libvirt: &Daemon) {
    libvirt.define(&tiny("i440fx", "pc"));
    let user = User::new();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "i440fx");
    for question in [
        "Which profile?",
        "Which macOS is it to run?",
        "What is to run?",
    ] {
        screen.shows(&format!("? {question}"));
        screen.types("");
    }
    screen.shows("? What now?");
    screen.types("Change a setting");
    screen.shows("? Which setting?");
    screen.types("machine.convert");
    screen.shows("pass machine runs then");
    screen.types("yes");
    screen.shows("pc-q35-");
    screen.types("Redefine");
    screen.shows("virt-patch apply i440fx -p macpro7,1 --set machine.convert=yes");
    screen.ended_with(0);
}

fn a_new_machine_is_defined_with_what_was_added(libvirt: &Daemon) {
    libvirt.define(&tiny("taken", "q35"));
    let user = User::new();
    fs::write(user.home().join("OpenCore.img"), vec![0; 1 << 20]).unwrap();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "A new machine");
    screen.shows("? What becomes of the result?");
    screen.types("libvirt");
    screen.shows("? Which profile?");
    screen.types("macpro7");
    screen.shows("? Which macOS is it to run?");
    screen.keys(&["Enter"]);
    screen.shows("? What is it called? (macOS-MP71)");
    screen.types("taken");
    screen.shows("there is a domain 'taken' already");
    screen.keys(&["BSpace", "BSpace", "BSpace", "BSpace", "BSpace"]);
    screen.types("new-mac");
    screen.shows("? An image for a disk?");
    screen.types("nowhere.img");
    screen.shows("No such file or directory");
    screen.keys(&["BSpace"; 11]);
    screen.keys(&["Open", "Tab"]);
    screen.shows("? An image for a disk? OpenCore.img");
    screen.keys(&["Enter"]);
    screen.shows("? And an image for disk 2?");
    screen.keys(&["Enter"]);
    screen.shows("? What is to run?");
    screen.keys(&["Enter"]);
    screen.shows("? What now?");
    screen.types("Add passes");
    screen.shows("? What is to run besides?");
    // SPICE is not in every libvirt; a serial console is.
    screen.keys(&["serial-console", "Space", "Enter"]);
    screen.shows("Define the new domain 'new-mac' on qemu:///system");
    screen.types("Define");
    let text = screen.shows("The same from a command line:");
    assert!(text.contains("Domain 'new-mac' defined."), "{text}");
    assert_eq!(
        printed(&text).join(" "),
        "virt-patch apply --template -p macpro7,1 --name new-mac --disk OpenCore.img --patch serial-console"
    );
    screen.ended_with(0);
    let stored = libvirt.virsh(["dumpxml", "--inactive", "new-mac"]);
    assert!(stored.contains("OpenCore.img"), "{stored}");
    assert!(stored.contains("<serial type='pty'>"), "{stored}");
}

fn a_file_is_changed_in_place(_: &Daemon) {
    let user = User::new();
    let file = user.file("vm.xml", &tiny("file", "q35"));
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "A file");
    screen.shows("? Which file?");
    screen.types("vm.xml");
    screen.shows("? What becomes of the result?");
    screen.types("itself");
    screen.shows("? Which profile?");
    screen.types("linux-desktop");
    // No Mac, no macOS.
    screen.shows("? What is to run?");
    screen.keys(&["Enter"]);
    screen.shows("Change 'vm.xml'");
    assert_eq!(fs::read_to_string(&file).unwrap(), tiny("file", "q35"));
    screen.types("Change 'vm");
    let text = screen.shows("The same from a command line:");
    assert!(text.contains("'vm.xml' is changed"), "{text}");
    assert_eq!(
        printed(&text).join(" "),
        "virt-patch render vm.xml -p linux-desktop --in-place"
    );
    screen.ended_with(0);
    assert!(fs::read_to_string(&file).unwrap().contains("memfd"));
}

fn without_libvirt_there_are_files_and_new_machines(_: &Daemon) {
    let user = User::new();
    // The plain program alone, as `cargo build --no-default-features` makes it.
    let alone = user.home().join("virt-patch");
    fs::copy(env!("CARGO_BIN_EXE_virt-patch"), &alone).unwrap();
    let screen = Screen::new(user.home(), "./virt-patch");
    let text = screen.shows("? What is to be patched?");
    assert!(text.contains("installed without libvirt support"), "{text}");
    screen.types("new");
    screen.shows("? What becomes of the result?");
    screen.keys(&["Enter"]);
    screen.shows("? To which file?");
    screen.types("virt-patch");
    screen.shows("it is there already, and would be lost");
    screen.types(".xml");
    screen.shows("? Which profile?");
    screen.types("linux");
    screen.shows("? What is it called?");
    screen.types("desk");
    screen.shows("? An image for a disk?");
    screen.keys(&["Enter"]);
    screen.shows("? What is to run?");
    screen.keys(&["Enter"]);
    screen.shows("Write 'virt-patch.xml'");
    screen.types("Write");
    screen
        .shows("virt-patch render --template -p linux-desktop --name desk --output virt-patch.xml");
    screen.ended_with(0);
    let written = fs::read_to_string(user.home().join("virt-patch.xml")).unwrap();
    assert!(written.contains("<name>desk</name>"), "{written}");
}

fn the_way_back_and_out(libvirt: &Daemon) {
    libvirt.define(&tiny("back", "q35"));
    let user = User::new();
    let screen = Screen::new(user.home(), &program(&user));
    choose(&screen, "back");
    screen.shows("? Which profile?");
    screen.types("macpro3");
    screen.shows("? Which macOS is it to run?");
    screen.keys(&["Enter"]);
    screen.shows("? What is to run?");
    screen.keys(&["Escape"]);
    screen.shows("? Which macOS is it to run?");
    screen.keys(&["Escape"]);
    // What was chosen is still there.
    screen.shows("> macpro3,1");
    screen.keys(&["Escape"]);
    screen.shows("? What is to be patched?");
    screen.keys(&["Escape"]);
    screen.shows("Nothing was changed.");
    screen.ended_with(1);
    screen.types(&program(&user));
    choose(&screen, "back");
    screen.shows("? Which profile?");
    screen.keys(&["C-c"]);
    screen.shows("interrupted; nothing was changed");
    screen.ended_with(130);
    // Nobody to lead: the usual usage error.
    screen.types(&format!("{} </dev/null", program(&user)));
    screen.shows("Usage: virt-patch [OPTIONS] <COMMAND>");
    screen.ended_with(2);
}
