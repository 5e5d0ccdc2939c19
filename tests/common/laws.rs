//! What holds for every definition, whatever the host and whatever is asked for.

use std::collections::BTreeMap;

use roxmltree::{Document as Tree, Node, NodeType};
use virt_patch::document::{Document, Encoding, Input, qemu};
use virt_patch::merge;
use virt_patch::passes::{self, Outcome};
use virt_patch::pipeline::{Plan, PlanError, Step, Verdict};
use virt_patch::profile::Profile;
use virt_patch::report::diff::{DiffOptions, Labels, unified};

use super::{Job, hosts, verdict};

/// The five profiles in both CPU styles, spread over all hosts: every value of each at least once.
pub fn jobs() -> Vec<(String, Job)> {
    let profiles = [
        "macpro7,1",
        "macpro5,1",
        "macpro4,1",
        "macpro3,1",
        "macpro2,1",
    ];
    let styles = [None, Some("commandline"), Some("native")];
    let hosts = hosts::all();
    let count = hosts.len() * 2;
    (0..count)
        .map(|index| {
            let (host, facts) = &hosts[index % hosts.len()];
            let profile = profiles[index % profiles.len()];
            let style = styles[index % styles.len()];
            let mut job = Job::profile(profile, facts.clone());
            if let Some(style) = style {
                job = job.set("cpu-override.style", style);
            }
            if index % 4 == 1 {
                job = job.set("topology.vcpus", ["2", "8", "64"][index % 3]);
            }
            if index % 5 == 2 {
                job = job.set("topology.threads", "1");
            }
            if index % 7 == 3 {
                // As a new machine gets them; passes of several profiles may want opposite things.
                let profile = Profile::shipped(profile).unwrap();
                let listed = |name: &str| {
                    let mut names = profile.passes.iter().chain(&profile.template_passes);
                    names.any(|one| one == name)
                };
                let whole = passes::PASSES.iter().filter(|pass| listed(pass.name));
                job.steps = whole.map(Step::Pass).collect();
                job = devices(job, index);
            }
            job.template = index % 6 == 4;
            (format!("{profile} on '{host}', style {style:?}"), job)
        })
        .collect()
}

/// Asks for everything that only runs when it is asked for.
fn devices(job: Job, index: usize) -> Job {
    let release = ["tahoe", "10.15", "mojave"][index % 3];
    let display = ["keep", "remove"][index % 2];
    job.set("macos", release)
        .set("disk.paths", "/images/OpenCore.qcow2,/images/mac.qcow2")
        .set("disk.format", "qcow2")
        .set("nic.root-bus", "yes")
        .set("gpu.devices", "0000:01:00.0,0000:01:00.1,0000:02:00.0")
        .set("gpu.virtual-display", display)
        .set("evdev.keyboard", "usb-K-event-kbd")
        .set("evdev.mouse", "usb-M-event-mouse")
        .set("fake-core-count.vcpus", "6")
}

/// Without a step the bytes come back, whatever their encoding.
pub fn nothing_asked_nothing_changed(text: &str) -> Result<(), String> {
    let job = Job {
        steps: Vec::new(),
        ..Job::profile("macpro7,1", hosts::unknown())
    };
    let plan = job.run(text).map_err(|error| error.to_string())?;
    same("no pass", &plan.after, text)?;
    for encoding in [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be] {
        // A byte order mark of its own is what tells UTF-16.
        let text = match encoding {
            Encoding::Utf8 => text,
            _ => text.trim_start_matches('\u{feff}'),
        };
        let bytes = encoding.encode(text);
        let input = Input::decode(&bytes).map_err(|error| format!("{encoding:?}: {error}"))?;
        let plan = job.run(&input.text).map_err(|error| error.to_string())?;
        if input.encoding.encode(&plan.after) != bytes {
            return Err(format!("{encoding:?} does not come back byte for byte"));
        }
    }
    Ok(())
}

/// Everything a run promises.
pub fn a_run_keeps_its_promises(job: &Job, text: &str) -> Result<Plan, String> {
    let plan = match job.run(text) {
        Ok(plan) => plan,
        // A definition that says a thing twice is refused, not guessed at.
        Err(PlanError::Document(error)) if error.message.starts_with("a second <") => {
            return Ok(Plan {
                before: text.to_owned(),
                after: text.to_owned(),
                steps: Vec::new(),
                problems: Vec::new(),
            });
        }
        Err(error) => return Err(format!("{error:?}")),
    };
    same("before", &plan.before, text)?;
    well_formed(text, &plan.after)?;
    only_edits_change_bytes(job, &plan)?;
    if job
        .steps
        .iter()
        .all(|step| FOR_THE_PROCESSOR.contains(&step.name()))
    {
        what_no_pass_touches_stays(text, &plan.after)?;
    }
    the_diff_is_the_change(&plan)?;
    twice_is_once(job, &plan)?;
    Ok(plan)
}

/// The result is a definition, for a second parser as well.
fn well_formed(before: &str, after: &str) -> Result<(), String> {
    Document::parse_domain(after).map_err(|error| format!("not a domain: {error}\n{after}"))?;
    let other =
        |text: &str| xmltree::Element::parse(text.trim_start_matches('\u{feff}').as_bytes());
    match (other(before), other(after)) {
        (Ok(_), Err(error)) => Err(format!("another parser refuses it: {error}\n{after}")),
        _ => Ok(()),
    }
}

/// A second run finds nothing to do.
fn twice_is_once(job: &Job, plan: &Plan) -> Result<(), String> {
    let again = job.run(&plan.after).map_err(|error| error.to_string())?;
    same("second run", &again.after, &plan.after)?;
    if job.template {
        // Once it is written it is a user's own definition.
        let own = Job {
            template: false,
            ..job.clone()
        };
        let again = own.run(&plan.after).map_err(|error| error.to_string())?;
        same("second run, not as a template", &again.after, &plan.after)?;
    }
    for (first, second) in plan.steps.iter().zip(&again.steps) {
        let fine = match first.verdict {
            // What was taken out for an old QEMU is not applicable any more.
            Verdict::Changed => {
                matches!(second.verdict, Verdict::Satisfied | Verdict::NotApplicable)
            }
            Verdict::Satisfied | Verdict::NotApplicable if in_usual_order(job) => {
                second.verdict == first.verdict
            }
            // A later pass may have put the obstacle right, or made it applicable.
            _ => second.verdict != Verdict::Changed,
        };
        if !fine {
            return Err(format!(
                "{}: first '{}', then '{}'",
                first.name,
                verdict(first),
                verdict(second)
            ));
        }
    }
    Ok(())
}

fn in_usual_order(job: &Job) -> bool {
    let names: Vec<&str> = passes::PASSES.iter().map(|pass| pass.name).collect();
    let place = |step: &Step| names.iter().position(|name| *name == step.name());
    job.steps.iter().map(place).is_sorted()
}

/// Each step's text is the text before it with that step's edits spliced in, and the edits are
/// apart from each other.
fn only_edits_change_bytes(job: &Job, plan: &Plan) -> Result<(), String> {
    if !in_usual_order(job) {
        // Run more than once: there is no single text before each step.
        return Ok(());
    }
    let mut text = plan.before.clone();
    for (step, report) in job.steps.iter().zip(&plan.steps) {
        let Some(after) = &report.after else {
            continue;
        };
        let document = Document::parse_domain(&text).map_err(|error| error.to_string())?;
        let patch = match step {
            Step::Pass(pass) => match (pass.run)(&document, &job.context()) {
                Outcome::Ensure(ensure) => ensure.patch,
                other => return Err(format!("{}: changed by {other:?}", report.name)),
            },
            Step::Patch(patch) => patch.clone(),
        };
        let mut edits = merge::merge(&document, &patch).map_err(|error| error.to_string())?;
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        let (mut old, mut new) = (0, 0);
        for edit in &edits {
            let kept = edit
                .range
                .start
                .checked_sub(old)
                .ok_or_else(|| format!("{}: edits overlap at {:?}", report.name, edit.range))?;
            same(
                "kept",
                &after[new..new + kept],
                &text[old..edit.range.start],
            )?;
            new += kept;
            same("edit", &after[new..new + edit.text.len()], &edit.text)?;
            new += edit.text.len();
            old = edit.range.end;
        }
        same("rest", &after[new..], &text[old..])?;
        text.clone_from(after);
    }
    same("last step", &plan.after, &text)
}

/// Passes that leave the devices and all but a few branches alone.
const FOR_THE_PROCESSOR: [&str; 6] = [
    "firmware",
    "topology",
    "topoext",
    "applesmc",
    "hotplug",
    "cpu-override",
];

/// Children of the root that these change.
const TOUCHED: [&str; 8] = [
    "vcpu",
    "vcpus",
    "cputune",
    "os",
    "features",
    "cpu",
    "commandline",
    "devices",
];

/// Branches of no pass's concern stay byte for byte and in order, and so do comments and
/// processing instructions everywhere but inside an element that goes.
fn what_no_pass_touches_stays(before: &str, after: &str) -> Result<(), String> {
    let (old, new) = (tree(before)?, tree(after)?);
    let branches = |text: &str, tree: &Tree<'_>| -> Vec<String> {
        tree.root_element()
            .children()
            .filter(|node| node.is_element() && !TOUCHED.contains(&node.tag_name().name()))
            .map(|node| text[node.range()].to_owned())
            .collect()
    };
    if branches(before, &old) != branches(after, &new) {
        return Err(format!("an untouched branch changed:\n{after}"));
    }
    for name in ["devices", "features"] {
        let children = |text: &str, tree: &Tree<'_>| -> Vec<String> {
            let node = tree
                .root_element()
                .children()
                .find(|node| node.has_tag_name(name));
            node.into_iter()
                .flat_map(|node| node.children())
                .filter(|node| node.is_element() && !node.has_tag_name("acpi"))
                .map(|node| text[node.range()].to_owned())
                .collect()
        };
        if children(before, &old) != children(after, &new) {
            return Err(format!("something in <{name}> changed:\n{after}"));
        }
    }
    let (had, has) = (remarks(before, &old), remarks(after, &new));
    for (remark, count) in had {
        if has.get(&remark).copied().unwrap_or(0) < count {
            return Err(format!("lost: {remark}\n{after}"));
        }
    }
    Ok(())
}

/// Comments and processing instructions with how often they stand there, except inside elements
/// that a pass may take out as a whole.
fn remarks(text: &str, tree: &Tree<'_>) -> BTreeMap<String, usize> {
    const GOES: [&str; 6] = ["firmware", "vcpupin", "vcpusched", "vcpu", "cache", "arg"];
    let goes = |node: Node<'_, '_>| {
        node.ancestors().any(|outer| {
            GOES.contains(&outer.tag_name().name())
                && outer
                    .parent_element()
                    .is_some_and(|parent| parent.parent_element().is_some())
        })
    };
    let mut found = BTreeMap::new();
    for node in tree.root().descendants() {
        if matches!(node.node_type(), NodeType::Comment | NodeType::PI) && !goes(node) {
            *found.entry(text[node.range()].to_owned()).or_insert(0) += 1;
        }
    }
    found
}

/// A diff with everything as context holds both texts line by line.
fn the_diff_is_the_change(plan: &Plan) -> Result<(), String> {
    let options = DiffOptions {
        context: usize::MAX,
        color: false,
        terminal: false,
    };
    let diff = unified(&plan.before, &plan.after, &Labels::file("x.xml"), &options);
    if !plan.changed() {
        return same("diff of equal texts", &diff, "");
    }
    let (mut before, mut after) = (String::new(), String::new());
    let mut last = "";
    for line in diff.split_inclusive('\n').skip(2) {
        let Some((mark, text)) = line.split_at_checked(1) else {
            continue;
        };
        match mark {
            " " => {
                before.push_str(text);
                after.push_str(text);
            }
            "-" => before.push_str(text),
            "+" => after.push_str(text),
            "\\" => {
                if last != "+" {
                    before.pop();
                }
                if last != "-" {
                    after.pop();
                }
            }
            _ => {}
        }
        last = mark;
    }
    same("before, from the diff", &before, &plan.before)?;
    same("after, from the diff", &after, &plan.after)
}

/// What a definition means: no comments, no formatting, no order where libvirt has none.
pub fn meaning(text: &str) -> Result<String, String> {
    let tree = tree(text)?;
    let root = tree.root_element();
    let mut out = String::new();
    let mut children: Vec<Node<'_, '_>> = root
        .children()
        .filter(|node| node.is_element() && !qemu::is(*node, "commandline"))
        .collect();
    children.sort_by_key(|node| node.tag_name().name());
    attributes(root, &mut out);
    for child in children {
        element(child, &mut out);
    }
    for name in ["arg", "env"] {
        for node in qemu::commandlines(root).flat_map(|block| block.children()) {
            if qemu::is(node, name) {
                element(node, &mut out);
            }
        }
    }
    Ok(out)
}

fn element(node: Node<'_, '_>, out: &mut String) {
    let name = node.tag_name();
    out.push_str(&format!(
        "\n<{{{}}}{}",
        name.namespace().unwrap_or_default(),
        name.name()
    ));
    attributes(node, out);
    let text: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .collect();
    out.push_str(&format!(" {:?}>", text.trim()));
    node.children()
        .filter(Node::is_element)
        .for_each(|child| element(child, out));
    out.push('/');
}

fn attributes(node: Node<'_, '_>, out: &mut String) {
    let mut attributes: Vec<String> = node
        .attributes()
        .map(|attribute| format!(" {}={:?}", attribute.name(), attribute.value()))
        .collect();
    attributes.sort();
    out.extend(attributes);
}

fn tree(text: &str) -> Result<Tree<'_>, String> {
    Tree::parse(text).map_err(|error| error.to_string())
}

pub fn same(what: &str, have: &str, want: &str) -> Result<(), String> {
    if have == want {
        return Ok(());
    }
    Err(format!("{what} differs\nhave:\n{have}\nwant:\n{want}"))
}
