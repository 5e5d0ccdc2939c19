//! Keep the guest's memory pages its own, or share them with virtiofs.
//!
//! **Ensures** `<nosharepages/>`; shared memory from memfd instead where the domain has a virtiofs
//! filesystem, which needs it, or with `memory-backing.shared=yes`.
//! **Why.** The host's page merging (KSM) costs processor time, and lets one guest measure what
//! another has in memory. It never touches shared memory, so `<nosharepages/>` beside that says
//! nothing; who writes both meant one of them.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** huge pages, locking, and a memory source that can be shared.
//! **Blocked** when the domain has the other of the two, or a NUMA cell keeps its memory private.
//!
//! ```xml,before
//! <memory unit='GiB'>8</memory>
//! ```
//! ```xml,after
//! <memory unit='GiB'>8</memory>
//! <memoryBacking>
//!   <nosharepages/>
//! </memoryBacking>
//! ```

use roxmltree::Node;

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest};
use crate::document::Document;
use crate::merge::Patch;
use crate::merge::condition::Fact;

/// The pass.
pub const PASS: Pass = Pass {
    name: "memory-backing",
    summary: "memory pages of the guest's own, or shared ones for virtiofs",
    source: include_str!("memory_backing.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "memory-backing.shared",
    values: "yes|no",
    about: "shared memory from memfd, for virtiofs, instead of nosharepages",
    check: |value| one_of(value, &["yes", "no"]),
}];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let shared = match context.settings.get("memory-backing.shared") {
        Some(asked) => asked == "yes",
        None => guest::virtiofs(document).next().is_some(),
    };
    match conflict(document, shared) {
        Some(reason) => Outcome::blocked(reason),
        None if shared => Ensure::new(
            shared_memory(document),
            "virtiofs reads the guest's memory from another process, so it has to be shared",
            "the guest's memory is shared",
        )
        .into(),
        None => Ensure::new(
            Patch::new(
                "memory-backing",
                include_str!("../../patches/memory-backing.xml"),
            ),
            "merging pages costs the host time, and tells guests about each other",
            "the host merges none of the guest's pages",
        )
        .into(),
    }
}

fn shared_memory(document: &Document<'_>) -> Patch {
    let text = include_str!("../../patches/shared-memory.xml");
    let mut patch = Patch::new("memory-backing", text);
    // What the patch asks for: `conflict` has seen to it.
    let private = Fact::Is("no".to_owned());
    patch
        .facts
        .insert("guest.memory.private".to_owned(), private);
    let source = document.find(&["memoryBacking", "source"]);
    // Anonymous memory has no file descriptor that another process could be given.
    if let Some(source) = source.filter(|source| source.attribute("type") == Some("anonymous")) {
        let mut memfd = xmltree::Element::new("source");
        memfd
            .attributes
            .insert("type".to_owned(), "memfd".to_owned());
        patch.merge_at(source, memfd);
    }
    patch
}

/// Why the domain cannot have what it is to have.
fn conflict(document: &Document<'_>, shared: bool) -> Option<String> {
    let line = |node: Node<'_, '_>| document.position(node.range().start).line;
    if shared {
        if let Some(node) = document.find(&["memoryBacking", "nosharepages"]) {
            return Some(format!(
                "<nosharepages/> in line {} keeps the host from merging pages, which it never does with shared memory: take it out first",
                line(node)
            ));
        }
        let private = guest::private_cell(document)?;
        return Some(format!(
            "the NUMA cell in line {} keeps its memory private (memAccess='private'): change it first",
            line(private)
        ));
    }
    let has = guest::sharing(document).or_else(|| guest::virtiofs(document).next())?;
    if guest::sharing(document).is_none() {
        return Some(format!(
            "the virtiofs filesystem in line {} needs shared memory, of which the host merges no pages anyway; leave memory-backing.shared=no out",
            line(has)
        ));
    }
    Some(format!(
        "the guest's memory is shared (line {}), and the host merges no shared pages anyway; --skip memory-backing, or --set memory-backing.shared=yes for shared memory",
        line(has)
    ))
}
