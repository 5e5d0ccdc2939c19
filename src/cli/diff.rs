//! `virt-patch diff`: what would change.

use std::borrow::Cow;

use anstyle::Style;
use anyhow::Context as _;

use super::args::DiffArgs;
use super::connection::Purpose;
use super::plan::{self, Job};
use super::show;
use super::source::Definition;
use super::{Exit, World};
use crate::document::{Document, Edit, Encoding, child, escape_attribute, qemu};
use crate::hypervisor::Mode;
use crate::pipeline::{Plan, StepReport};
use crate::report::diff::{DiffOptions, Labels, Marks, annotated, unified};
use crate::report::provenance::{self, Provenance};
use crate::report::{mask, verdicts};

pub(crate) fn run(args: &DiffArgs, world: &mut World<'_>) -> anyhow::Result<Exit> {
    let job = Job::new(&args.run)?;
    let mut worst = Exit::Done;
    let purpose = match args.show_secrets || job.says_secrets() {
        true => Purpose::Complete,
        false => Purpose::Look,
    };
    for definition in plan::definitions(&args.sources, purpose, world)? {
        let shown = definition.and_then(|definition| {
            let plan = job.plan(&definition, world)?;
            if args.qemu {
                return command_line(args, &definition, &plan, world);
            }
            show(args, &job, &definition, &plan, world)
        });
        worst = worst.max(super::check::or_report(shown, world));
    }
    Ok(worst)
}

fn show(
    args: &DiffArgs,
    job: &Job,
    definition: &Definition,
    plan: &Plan,
    world: &mut World<'_>,
) -> anyhow::Result<Exit> {
    let options = DiffOptions {
        context: args.unified,
        color: world.out.color && !args.json,
        terminal: world.out.terminal && !args.json,
    };
    let masked = masked(args, &plan.before, &plan.after);
    let diff_of = |labels: &Labels| match (args.annotate, args.by_pass) {
        (true, _) => annotated(
            &masked.before,
            &masked.after,
            labels,
            &options,
            &marks(plan),
        ),
        (_, true) => by_pass(args, plan, labels, &options),
        _ => unified(&masked.before, &masked.after, labels, &options),
    };
    let mut diff = diff_of(&definition.labels);
    let shows_mask = masked.hidden > 0 && diff.contains("*****");
    let is_recoded = definition.encoding != Encoding::Utf8 && !diff.is_empty();
    // A mask that is added would apply, and be the password.
    let remark = match (shows_mask, is_recoded) {
        (true, _) => Some("passwords masked"),
        (_, true) => Some("UTF-16 shown as UTF-8"),
        _ => None,
    };
    if let Some(remark) = remark {
        diff = diff_of(&definition.labels.with_remark(remark));
    }
    if args.json {
        let mut report = verdicts::object(&definition.name, &job.profile, plan, Some(&diff));
        verdicts::add_edits(&mut report, provenance::edits(plan, args.show_secrets));
        world.out.print(&format!("{report}\n"))?;
    } else {
        world.out.print(&diff)?;
        show::summary(&definition.name, plan, &mut world.out);
        if shows_mask {
            world.out.say(
                "passwords are masked, so this diff does not apply as a patch; --show-secrets shows them",
            );
        }
        if is_recoded {
            world.out.say(
                "the file is UTF-16 and this diff is not, so it does not apply as a patch; 'virt-patch render --in-place' changes the file",
            );
        }
    }
    Ok(super::check::exit(plan))
}

fn masked(args: &DiffArgs, before: &str, after: &str) -> mask::Masked {
    match args.show_secrets {
        true => mask::Masked {
            before: before.to_owned(),
            after: after.to_owned(),
            hidden: 0,
        },
        false => mask::mask_pair(before, after),
    }
}

/// The steps that changed something, with the text after each.
fn changes(plan: &Plan) -> impl Iterator<Item = (&StepReport, &str)> {
    plan.steps
        .iter()
        .filter_map(|step| step.after.as_deref().map(|after| (step, after)))
}

fn marks(plan: &Plan) -> Marks {
    let texts: Vec<&str> = std::iter::once(plan.before.as_str())
        .chain(changes(plan).map(|(_, after)| after))
        .collect();
    Marks {
        names: changes(plan).map(|(step, _)| step.name.clone()).collect(),
        provenance: Provenance::of(&texts),
    }
}

/// Each diff stands on the one before, so 'patch' takes all of them in their order.
fn by_pass(args: &DiffArgs, plan: &Plan, labels: &Labels, options: &DiffOptions) -> String {
    let mut out = String::new();
    let mut before = plan.before.as_str();
    let bold = match options.color {
        true => Style::new().bold(),
        false => Style::new(),
    };
    for (step, after) in changes(plan) {
        let masked = masked(args, before, after);
        out.push_str(&format!("{bold}{}{bold:#}: {}\n", step.name, step.reason));
        out.push_str(&unified(&masked.before, &masked.after, labels, options));
        before = after;
    }
    out
}

/// The command line libvirt would run before and after, one argument on each line: this is what shows
/// that a `-cpu` argument hides `<cpu>`.
fn command_line(
    args: &DiffArgs,
    definition: &Definition,
    plan: &Plan,
    world: &mut World<'_>,
) -> anyhow::Result<Exit> {
    let connection = world.open(Mode::ReadWrite)?;
    let native = |text: &str, which: &str| -> anyhow::Result<String> {
        let line = connection
            .to_native(&with_drivers(text))
            .with_context(|| format!("libvirt makes no command line of {which} definition"))?;
        Ok(one_on_each_line(&line))
    };
    let (mut before, mut after) = (
        native(&plan.before, "the present")?,
        native(&plan.after, "the new")?,
    );
    if !args.show_secrets {
        (before, after) = masked_arguments(&before, &after);
    }
    let labels = Labels::domain(&definition.name, "QEMU command line");
    let options = DiffOptions {
        color: world.out.color,
        terminal: world.out.terminal,
        ..DiffOptions::default()
    };
    world
        .out
        .print(&unified(&before, &after, &labels, &options))?;
    show::summary(&definition.name, plan, &mut world.out);
    Ok(super::check::exit(plan))
}

/// The definition with the driver that libvirt itself chooses for PCI devices of the host when it starts
/// them: asked for a command line it chooses none, and refuses ("invalid PCI passthrough type 'default'").
fn with_drivers(text: &str) -> Cow<'_, str> {
    let as_it_is = Cow::Borrowed(text);
    let Ok(document) = Document::parse(text) else {
        // libvirt will say what is wrong with it.
        return as_it_is;
    };
    let without_driver = document.devices("hostdev").filter(|hostdev| {
        hostdev.attribute("type") == Some("pci") && child(*hostdev, "driver").is_none()
    });
    let drivers = without_driver
        .filter_map(|hostdev| hostdev.first_child())
        .map(|first| Edit::insert(first.range().start, "<driver name='vfio'/>"));
    // Of a network card that is passed through libvirt makes no command line even with the driver, and the
    // device it makes of it is the same.
    let cards = document.devices("interface").filter_map(|card| {
        let source = child(card, "source").filter(|_| card.attribute("type") == Some("hostdev"))?;
        let inside: String = [Some(source), child(card, "address")]
            .into_iter()
            .flatten()
            .filter_map(|part| text.get(part.range()))
            .collect();
        Some(Edit::replace(
            card.range(),
            format!(
                "<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/>{inside}</hostdev>"
            ),
        ))
    });
    let edits = drivers.chain(cards).collect();
    document.splice(edits).map_or(as_it_is, Cow::Owned)
}

/// Masks the lines of two command lines by the rules for `<qemu:arg>`, as which they would stand in a
/// definition.
fn masked_arguments(before: &str, after: &str) -> (String, String) {
    let as_xml = |lines: &str| {
        let arg = |line: &str| format!("<qemu:arg value='{}'/>\n", escape_attribute(line, '\''));
        let args: String = lines.lines().map(arg).collect();
        format!("<domain xmlns:qemu='{}'>{args}</domain>", qemu::NAMESPACE)
    };
    let lines = |xml: &str| -> String {
        let Ok(document) = Document::parse(xml) else {
            return String::new();
        };
        let args = document.root().children();
        let values = args.filter_map(|arg| arg.attribute("value"));
        values.map(|value| format!("{value}\n")).collect()
    };
    let masked = mask::mask_pair(&as_xml(before), &as_xml(after));
    (lines(&masked.before), lines(&masked.after))
}

/// libvirt writes a shell command; here each option stands on a line of its own with its value.
fn one_on_each_line(command: &str) -> String {
    let mut words = shell_words(command).into_iter().peekable();
    let mut out = String::new();
    while let Some(word) = words.next() {
        out.push_str(&word);
        let takes_value = word.strip_prefix('-').is_some_and(qemu::takes_value);
        if takes_value && let Some(value) = words.next() {
            out.push(' ');
            out.push_str(&value);
        }
        out.push('\n');
    }
    out
}

/// The words of a shell command as libvirt quotes it: single quotes, and a backslash for a quote.
fn shell_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if !quoted => match chars.next() {
                // A continued line.
                Some('\n') | None => {}
                Some(literal) => word.get_or_insert_default().push(literal),
            },
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_secret_shows_as_changed_and_is_not_shown() {
        let line = |password: &str| {
            format!(
                "-name it's\n-object secret,id=s,data={password}\n-spice port=1,password={password}\n"
            )
        };
        let (before, after) = masked_arguments(&line("letmein42"), &line("letmein43"));
        assert!(
            before.starts_with("-name it's\n-object secret,id=s,data=*****"),
            "{before}"
        );
        assert!(
            !before.contains("letmein") && !after.contains("letmein"),
            "{before}{after}"
        );
        assert_ne!(before, after);
        let (before, after) = masked_arguments(&line("letmein42"), &line("letmein42"));
        assert_eq!(before, after);
    }

    #[test]
    fn devices_of_the_host_get_the_driver_that_libvirt_chooses() {
        let domain = |devices: &str| format!("<domain><devices>{devices}</devices></domain>");
        let pci = |inside: &str| {
            format!("<hostdev mode='subsystem' type='pci' managed='yes'>{inside}</hostdev>")
        };
        let source = "<source><address domain='0' bus='1' slot='0' function='0'/></source>";
        let usb = "<hostdev mode='subsystem' type='usb'><source/></hostdev>";
        let xen = format!("<driver name='xen'/>{source}");
        let vfio = "<driver name='vfio'/>";
        for (before, after) in [
            (pci(source), pci(&format!("{vfio}{source}"))),
            (
                pci(&format!("\r\n  {source}")) + &pci(source),
                pci(&format!("{vfio}\r\n  {source}")) + &pci(&format!("{vfio}{source}")),
            ),
            (pci(&xen), pci(&xen)),
            (usb.to_owned(), usb.to_owned()),
        ] {
            assert_eq!(with_drivers(&domain(&before)), domain(&after));
        }
        assert_eq!(with_drivers("<domain"), "<domain");
    }

    #[test]
    fn a_command_line_is_split_as_the_shell_would() {
        assert_eq!(
            one_on_each_line(
                "PATH=/bin qemu -S -object '{\"a\":\"it'\\''s\"}' \\\n-cpu 'a b' -usb"
            ),
            "PATH=/bin\nqemu\n-S\n-object {\"a\":\"it's\"}\n-cpu a b\n-usb\n"
        );
    }
}
