//! `<qemu:commandline>`: arguments read as QEMU reads them, and the ways libvirt loses them.

use roxmltree::Node;

use super::{Document, Position};

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
/// several words. Measured with libvirt 9.0 and 11.3.
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
    for group in groups(root) {
        let text = group.option_arg.attribute("value").unwrap_or_default();
        if !group.option.is_empty() && text.trim().contains(char::is_whitespace) {
            let words: Vec<String> = text
                .split_whitespace()
                .map(|word| format!("<qemu:arg value='{word}'/>"))
                .collect();
            report(
                group.option_arg,
                format!(
                    "several words in one argument: QEMU takes '{text}' as one option it does not know; write {}",
                    words.join(" ")
                ),
            );
        }
    }
    problems
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
    match name.namespace() {
        Some(NAMESPACE) if below_root => {}
        Some(NAMESPACE) => report(
            node,
            format!(
                "libvirt drops this <{written}> without a word: it stands inside <{}>; move it to the end of <domain>, after </devices>",
                node.parent().map_or("?", |parent| parent.tag_name().name()),
            ),
        ),
        Some(other) if looks_like_arguments(node) => report(
            node,
            format!(
                "libvirt drops this <{written}> without a word: its namespace is '{other}'; write xmlns:qemu='{NAMESPACE}'"
            ),
        ),
        None if name.name() == "commandline" => report(
            node,
            format!(
                "libvirt drops this <commandline> without a word: it has no prefix; write <qemu:commandline> with xmlns:qemu='{NAMESPACE}' on <domain>, and <qemu:arg> inside"
            ),
        ),
        _ => {}
    }
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
