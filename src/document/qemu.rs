//! `<qemu:commandline>`: arguments read as QEMU reads them, and the ways libvirt loses them.

use roxmltree::Node;

use super::{Document, Position, json};

/// The namespace of libvirt's QEMU extensions.
pub const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// Options that take no value in any QEMU from 5.2 to 10.0 (measured by running each), plus those
/// that older ones had. Everything else takes the next token, whatever it looks like.
const WITHOUT_VALUE: [&str; 46] = [
    "h",
    "help",
    "version",
    "S",
    "s",
    "usb",
    "snapshot",
    "nographic",
    "full-screen",
    "no-reboot",
    "no-shutdown",
    "no-user-config",
    "nodefaults",
    "only-migratable",
    "preconfig",
    "daemonize",
    "enable-kvm",
    "mem-prealloc",
    "enable-sync-profile",
    "no-fd-bootchk",
    "win2k-hack",
    "xen-attach",
    "xen-domid-restrict",
    "no-hpet",
    "no-acpi",
    "singlestep",
    "async-teardown",
    "audio-help",
    "portrait",
    "no-quit",
    "enable-fips",
    "sdl",
    "curses",
    "alt-grab",
    "ctrl-grab",
    "show-cursor",
    "no-kvm",
    "localtime",
    "nodefconfig",
    "rtc-td-hack",
    "no-kvm-irqchip",
    "no-kvm-pit-reinjection",
    "no-kvm-pit",
    "tdf",
    "perfmap",
    "jitdump",
];

/// One option of the QEMU command line with the elements it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a, 't> {
    /// The option's name without dashes; empty for a token that is no option (a disk image).
    pub option: &'a str,
    /// The `<qemu:arg>` of the option.
    pub option_arg: Node<'a, 't>,
    /// The `<qemu:arg>` of its value, where it takes one and one is there.
    pub value_arg: Option<Node<'a, 't>>,
}

impl<'a> Group<'a, '_> {
    /// The value, unescaped; empty when there is none.
    pub fn value(&self) -> &'a str {
        self.value_arg
            .and_then(|arg| arg.attribute("value"))
            .unwrap_or_default()
    }
}

impl Group<'_, '_> {
    /// QEMU takes what comes next for the value of this option, and there is nothing.
    pub fn lacks_value(&self) -> bool {
        self.value_arg.is_none() && !self.option.is_empty() && takes_value(self.option)
    }
}

/// The `<qemu:commandline>` elements libvirt reads: those directly below the root.
pub fn commandlines<'a, 't>(root: Node<'a, 't>) -> impl Iterator<Item = Node<'a, 't>> {
    root.children().filter(|node| is(*node, "commandline"))
}

/// All arguments of a domain as option groups, in the order QEMU gets them.
pub fn groups<'a, 't>(root: Node<'a, 't>) -> Vec<Group<'a, 't>> {
    let mut args = commandlines(root)
        .flat_map(|block| block.children())
        .filter(|node| is(*node, "arg"));
    let mut groups = Vec::new();
    while let Some(arg) = args.next() {
        let text = arg.attribute("value").unwrap_or_default();
        let option = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
        let takes_value = option.is_some_and(takes_value);
        groups.push(Group {
            option: option.unwrap_or_default(),
            option_arg: arg,
            value_arg: if takes_value { args.next() } else { None },
        });
    }
    groups
}

/// Whether QEMU takes the token after this option (named without dashes) as its value.
pub fn takes_value(option: &str) -> bool {
    // A token of several words is no option QEMU knows; what follows is not its value.
    !WITHOUT_VALUE.contains(&option) && !option.contains(char::is_whitespace)
}

/// The last group of an option: for most options the one QEMU obeys.
pub fn last<'a, 't>(root: Node<'a, 't>, option: &str) -> Option<Group<'a, 't>> {
    groups(root)
        .into_iter()
        .rfind(|group| group.option == option)
}

/// Something about a `qemu:commandline` that does not do what it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// What happens, and what to write instead.
    pub message: String,
}

/// Finds blocks that libvirt drops without a word (wrong namespace, none, or inside another
/// element; an undeclared prefix is already an error of the parser), and arguments that hold
/// several words, none, or lack their value. Measured with libvirt 9.0 and 11.3.
pub fn problems(document: &Document<'_>) -> Vec<Problem> {
    let root = document.root();
    let mut problems = Vec::new();
    let mut report = |node: Node<'_, '_>, message: String| {
        problems.push(Problem {
            position: document.position(node.range().start),
            message,
        });
    };
    // Only the two levels where such a block is found in practice: a walk over all of a large
    // definition would cost more than parsing it.
    for outer in root.children().filter(Node::is_element) {
        lost_block(outer, true, &mut report);
        if matches!(
            outer.tag_name().name(),
            "devices" | "os" | "cpu" | "features" | "metadata"
        ) {
            for inner in outer.children().filter(Node::is_element) {
                lost_block(inner, false, &mut report);
            }
        }
    }
    for child in commandlines(root).flat_map(|block| block.children()) {
        let name = child.tag_name();
        if is(child, "arg") && child.attribute("value").is_none() {
            report(
                child,
                "libvirt refuses an argument without a value: write <qemu:arg value='…'/>"
                    .to_owned(),
            );
        } else if child.is_element()
            && name.namespace() != Some(NAMESPACE)
            && matches!(name.name(), "arg" | "env")
        {
            report(
                child,
                format!(
                    "libvirt drops this <{0}> without a word: it lacks the prefix of the block around it; write <qemu:{0}>",
                    name.name()
                ),
            );
        }
    }
    for group in groups(root) {
        let text = group.option_arg.attribute("value").unwrap_or_default();
        if let Some(message) = several_words(text) {
            report(group.option_arg, message);
        }
        let value = group.value_arg.filter(|_| holds_an_option(&group));
        if let Some(arg) = value {
            report(
                arg,
                format!(
                    "several words in one argument: QEMU takes all of it as one value of -{}; write a <qemu:arg> for each option",
                    name_of(group.option)
                ),
            );
        }
        if let Some(arg) = group.value_arg.filter(|_| has_blank_name(&group)) {
            report(
                arg,
                format!(
                    "a blank behind a comma: QEMU takes it for a part of the next name in the value of -{}, and does not start; take it out",
                    name_of(group.option)
                ),
            );
        }
        if let (Some(arg), Some(error)) = (group.value_arg, broken_json(&group)) {
            report(
                arg,
                format!(
                    "broken JSON, {error}: QEMU reads what begins with a brace as JSON, and does not start; write it again, or as a list: driver,key=value"
                ),
            );
        }
        let name = name_of(group.option);
        let rest = group.option.get(name.len()..).unwrap_or_default();
        if rest.starts_with('=') && takes_value(name) {
            report(
                group.option_arg,
                format!(
                    "QEMU takes '-{name}=…' as one option it does not know, and does not start; write <qemu:arg value='-{name}'/> and one more <qemu:arg> for the value"
                ),
            );
        } else if group.lacks_value() {
            report(
                group.option_arg,
                format!(
                    "the option '-{}' lacks its value, and QEMU does not start: write one more <qemu:arg>, or take this one out",
                    name_of(group.option)
                ),
            );
        }
    }
    problems
}

/// An option without what someone may have written behind it: messages must not show secrets.
pub fn name_of(option: &str) -> &str {
    let end = option.find(['=', ',', ' ']).unwrap_or(option.len());
    option.get(..end).unwrap_or_default()
}

/// What to say of an option with words behind it in the same argument; `None` for what is none.
pub fn several_words(text: &str) -> Option<String> {
    let is_option = text.len() > 1 && text.starts_with('-');
    if !is_option || !text.trim().contains(char::is_whitespace) {
        return None;
    }
    // What follows may be a secret.
    let option = name_of(text.split_whitespace().next().unwrap_or_default());
    Some(format!(
        "several words in one argument: QEMU takes '{option} …' as one option it does not know; write <qemu:arg value='{option}'/> and one more <qemu:arg> for the rest"
    ))
}

/// Whether what looks like the next option stands in the same argument as the value of this one. Texts
/// for the guest may say anything.
fn holds_an_option(group: &Group<'_, '_>) -> bool {
    let is_option = |word: &str| {
        let name = word.strip_prefix('-').unwrap_or_default();
        name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    !matches!(group.option, "append" | "fw_cfg" | "smbios")
        && group.value().split_whitespace().skip(1).any(is_option)
}

/// What is wrong with the JSON of an option that may have some. QEMU asks for the brace only.
fn broken_json(group: &Group<'_, '_>) -> Option<String> {
    let takes_json = matches!(
        group.option,
        "device" | "object" | "netdev" | "blockdev" | "audiodev" | "display" | "compat"
    );
    if !takes_json || !group.value().starts_with('{') {
        return None;
    }
    let error = json::object(group.value())?.err()?;
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Some(format!("{what} at its character {}", error.column()))
}

/// Whether a name in a list `first,key=value,…` begins with a blank. In a literal a comma is doubled.
fn has_blank_name(group: &Group<'_, '_>) -> bool {
    let is_list = matches!(
        group.option,
        "cpu"
            | "machine"
            | "M"
            | "device"
            | "smbios"
            | "smp"
            | "accel"
            | "rtc"
            | "object"
            | "netdev"
            | "drive"
            | "blockdev"
            | "chardev"
            | "fsdev"
            | "audiodev"
            | "tpmdev"
    );
    let value = group.value();
    is_list
        && !value.trim_start().starts_with('{')
        && value
            .replace(",,", "")
            .split(',')
            .skip(1)
            .any(|part| part.starts_with(char::is_whitespace))
}

fn lost_block(node: Node<'_, '_>, below_root: bool, report: &mut impl FnMut(Node<'_, '_>, String)) {
    let name = node.tag_name();
    if !matches!(name.name(), "commandline" | "capabilities" | "override") {
        return;
    }
    let written = match node.lookup_prefix(name.namespace().unwrap_or_default()) {
        Some(prefix) => format!("{prefix}:{}", name.name()),
        None => name.name().to_owned(),
    };
    let fault = match name.namespace() {
        Some(NAMESPACE) => None,
        // bhyve and xen have such blocks of their own.
        Some(other) if is_of_the_driver(node, other) => return,
        Some(other) if looks_like_arguments(node) => Some(format!(
            "its namespace is '{other}'; write xmlns:qemu='{NAMESPACE}'"
        )),
        None if name.name() == "commandline" => Some(format!(
            "it has no prefix; write <qemu:commandline> with xmlns:qemu='{NAMESPACE}' on <domain>, and <qemu:arg> inside"
        )),
        _ => return,
    };
    let place = (!below_root).then(|| {
        format!(
            "it stands inside <{}>; move it to the end of <domain>, after </devices>",
            node.parent().map_or("?", |parent| parent.tag_name().name()),
        )
    });
    let faults: Vec<String> = fault.into_iter().chain(place).collect();
    if !faults.is_empty() {
        let faults = faults.join("; and ");
        report(
            node,
            format!("libvirt drops this <{written}> without a word: {faults}"),
        );
    }
}

/// Whether a namespace is that of the hypervisor driver that runs the domain.
fn is_of_the_driver(node: Node<'_, '_>, namespace: &str) -> bool {
    let root = node.document().root_element();
    root.attribute("type")
        .is_some_and(|kind| namespace == format!("http://libvirt.org/schemas/domain/{kind}/1.0"))
}

fn looks_like_arguments(node: Node<'_, '_>) -> bool {
    node.children().any(|child| {
        matches!(
            child.tag_name().name(),
            "arg" | "env" | "add" | "del" | "device"
        )
    })
}

/// Whether a node is the element `name` of the QEMU namespace.
pub fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace() == Some(NAMESPACE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What libvirt 9.0 and 11.3 do with each was measured: they drop it, refuse it or hand it on.
    #[test]
    fn what_does_not_do_what_it_looks_like() {
        let uri = format!("xmlns:qemu='{NAMESPACE}'");
        let block = "<qemu:commandline><qemu:arg value='-usb'/></qemu:commandline>";
        let args = |args: &str| {
            format!("<domain {uri}>\n<qemu:commandline>\n{args}</qemu:commandline></domain>")
        };
        for (text, problem) in [
            (format!("<domain {uri}>{block}</domain>"), None),
            (
                format!(
                    "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.1'>\n{block}</domain>"
                ),
                Some(
                    "2: libvirt drops this <qemu:commandline> without a word: its namespace is 'http://libvirt.org/schemas/domain/qemu/1.1'; write xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
                ),
            ),
            (
                "<domain>\n<commandline><arg value='-usb'/></commandline></domain>".to_owned(),
                Some(
                    "2: libvirt drops this <commandline> without a word: it has no prefix; write <qemu:commandline> with xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' on <domain>, and <qemu:arg> inside",
                ),
            ),
            (
                format!("<domain {uri}><devices>\n{block}</devices></domain>"),
                Some(
                    "2: libvirt drops this <qemu:commandline> without a word: it stands inside <devices>; move it to the end of <domain>, after </devices>",
                ),
            ),
            // Two faults at once.
            (
                "<domain><devices>\n<commandline><arg value='-usb'/></commandline></devices></domain>".to_owned(),
                Some(
                    "2: libvirt drops this <commandline> without a word: it has no prefix; write <qemu:commandline> with xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' on <domain>, and <qemu:arg> inside; and it stands inside <devices>; move it to the end of <domain>, after </devices>",
                ),
            ),
            (
                format!(
                    "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.1'><devices>\n{block}</devices></domain>"
                ),
                Some(
                    "2: libvirt drops this <qemu:commandline> without a word: its namespace is 'http://libvirt.org/schemas/domain/qemu/1.1'; write xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'; and it stands inside <devices>; move it to the end of <domain>, after </devices>",
                ),
            ),
            (
                args("<arg value='-usb'/>"),
                Some(
                    "3: libvirt drops this <arg> without a word: it lacks the prefix of the block around it; write <qemu:arg>",
                ),
            ),
            (
                args("<qemu:arg/>"),
                Some("3: libvirt refuses an argument without a value: write <qemu:arg value='…'/>"),
            ),
            (
                args("<qemu:arg value='-cpu host'/>"),
                Some(
                    "3: several words in one argument: QEMU takes '-cpu …' as one option it does not know; write <qemu:arg value='-cpu'/> and one more <qemu:arg> for the rest",
                ),
            ),
            (
                args("<qemu:arg value='-cpu'/>\n<qemu:arg value='host -usb'/>"),
                Some(
                    "4: several words in one argument: QEMU takes all of it as one value of -cpu; write a <qemu:arg> for each option",
                ),
            ),
            (
                args("<qemu:arg value='-smp=8'/>"),
                Some(
                    "3: QEMU takes '-smp=…' as one option it does not know, and does not start; write <qemu:arg value='-smp'/> and one more <qemu:arg> for the value",
                ),
            ),
            (
                args("<qemu:arg value='-usb'/>\n<qemu:arg value='-cpu'/>"),
                Some(
                    "4: the option '-cpu' lacks its value, and QEMU does not start: write one more <qemu:arg>, or take this one out",
                ),
            ),
            (
                args("<qemu:arg value='-cpu'/>\n<qemu:arg value='host, +avx'/>"),
                Some(
                    "4: a blank behind a comma: QEMU takes it for a part of the next name in the value of -cpu, and does not start; take it out",
                ),
            ),
            (
                args("<qemu:arg value='-device'/>\n<qemu:arg value=\"{'driver':'isa-applesmc'\"/>"),
                Some(
                    "4: broken JSON, EOF while parsing an object at its character 24: QEMU reads what begins with a brace as JSON, and does not start; write it again, or as a list: driver,key=value",
                ),
            ),
            (
                args("<qemu:arg value='-device'/><qemu:arg value=\"{'driver':'usb-tablet'}\"/>"),
                None,
            ),
            // Another driver's own block, and the same in a domain of QEMU's.
            (
                "<domain type='bhyve' xmlns:b='http://libvirt.org/schemas/domain/bhyve/1.0'><b:commandline><b:arg value='-usb'/></b:commandline></domain>".to_owned(),
                None,
            ),
            (
                "<domain type='kvm' xmlns:b='http://libvirt.org/schemas/domain/bhyve/1.0'>\n<b:commandline><b:arg value='-usb'/></b:commandline></domain>".to_owned(),
                Some(
                    "2: libvirt drops this <b:commandline> without a word: its namespace is 'http://libvirt.org/schemas/domain/bhyve/1.0'; write xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
                ),
            ),
            // Texts for the guest, and names with spaces.
            (
                args("<qemu:arg value='-smbios'/><qemu:arg value='type=1,manufacturer=A,, B'/>"),
                None,
            ),
            (
                args("<qemu:arg value='-append'/><qemu:arg value='init=/bin/sh -x'/>"),
                None,
            ),
            (
                args("<qemu:arg value='-cpu'/><qemu:arg value='host,model-id=A - B'/>"),
                None,
            ),
        ] {
            let document = Document::parse(&text).unwrap();
            let found = problems(&document);
            let found: Vec<String> = found
                .iter()
                .map(|one| format!("{}: {}", one.position.line, one.message))
                .collect();
            assert_eq!(found, problem.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }
}
