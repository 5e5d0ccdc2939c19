//! Rows of tables: a definition, a host and settings, and what passes make of it. Every row is run
//! twice, and the second time nothing is left to do.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "every test binary compiles this module and uses its own part of it; a test fails by panicking"
)]

use virt_patch::document::Document;
use virt_patch::host::{Facts, FileFact, ImageFormat};
use virt_patch::passes::settings::Settings;
use virt_patch::passes::{self, Context};
use virt_patch::pipeline::{self, Plan, Step, Verdict};

/// A definition, the host it is for and what was asked.
pub struct Given {
    text: String,
    facts: Facts,
    settings: Settings,
    template: bool,
}

/// A definition with `inside` below `<domain type='kvm'>`.
pub fn domain(inside: &str) -> Given {
    given(&format!("<domain type='kvm'>\n{inside}</domain>\n"))
}

/// A q35 machine with these devices.
pub fn devices(devices: &str) -> Given {
    domain(&format!(
        "  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n  <devices>\n{devices}  </devices>\n"
    ))
}

/// A whole definition.
pub fn given(text: &str) -> Given {
    Given {
        text: text.to_owned(),
        facts: Facts::default(),
        settings: Settings::default(),
        template: false,
    }
}

impl Given {
    /// For this host.
    pub fn on(mut self, facts: &Facts) -> Given {
        self.facts = facts.clone();
        self
    }

    /// With settings: `key=value key=value`.
    pub fn set(mut self, settings: &str) -> Given {
        for pair in settings.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap();
            self.settings.set(key, value).unwrap();
        }
        self
    }

    /// The host has this image.
    pub fn image(self, path: &str, format: Option<ImageFormat>) -> Given {
        let fact = FileFact {
            exists: true,
            size: Some(1 << 30),
            format,
            ..FileFact::default()
        };
        self.file(path, fact)
    }

    /// This is known of a file on the host.
    pub fn file(mut self, path: &str, fact: FileFact) -> Given {
        self.facts.files.insert(path.to_owned(), fact);
        self
    }

    /// The definition is a new one, made from the template.
    pub fn new_machine(mut self) -> Given {
        self.template = true;
        self
    }

    /// Runs these passes, `a,b`, in this order; what they made stays as it is the second time.
    #[track_caller]
    pub fn run(&self, passes: &str) -> Ran {
        let steps: Vec<Step> = passes
            .split(',')
            .map(|name| Step::Pass(passes::find(name).unwrap_or_else(|| panic!("no pass {name}"))))
            .collect();
        let run = |text: &str, template| {
            let context = Context {
                facts: &self.facts,
                settings: &self.settings,
                template,
            };
            pipeline::run(text, &steps, &context).unwrap()
        };
        let plan = run(&self.text, self.template);
        let again = run(&plan.after, false);
        assert_eq!(again.after, plan.after, "not the same the second time");
        if self.template {
            assert_eq!(run(&plan.after, true).after, plan.after, "of a template");
        }
        Ran(plan)
    }
}

/// What came of it.
pub struct Ran(pub Plan);

impl Ran {
    /// The definition is this one then.
    #[track_caller]
    pub fn becomes(self, after: &str) -> Ran {
        assert_eq!(
            self.0.after, after,
            "\n--- got\n{}\n--- wanted\n{after}\n{:?}",
            self.0.after, self.0.steps
        );
        self
    }

    /// As [`Ran::becomes`], for what [`domain`] made.
    #[track_caller]
    pub fn becomes_domain(self, inside: &str) -> Ran {
        let after = domain(inside).text;
        self.becomes(&after)
    }

    /// As [`Ran::becomes`], for what [`devices`] made.
    #[track_caller]
    pub fn becomes_devices(self, inside: &str) -> Ran {
        let after = devices(inside).text;
        self.becomes(&after)
    }

    /// The definition stays as it was, byte for byte.
    #[track_caller]
    pub fn unchanged(self) -> Ran {
        assert_eq!(self.0.after, self.0.before, "{:?}", self.0.steps);
        self
    }

    /// The last pass says this: `verdict: reason`.
    #[track_caller]
    pub fn says(self, said: &str) -> Ran {
        let step = self.0.steps.last().unwrap();
        assert_eq!(format!("{}: {}", step.verdict.word(), step.reason), said);
        self
    }

    /// The last pass adds these notes, and no others.
    #[track_caller]
    pub fn notes(self, notes: &[&str]) -> Ran {
        assert_eq!(self.0.steps.last().unwrap().notes, notes);
        self
    }

    /// The first element of this name, with everything in it.
    #[track_caller]
    pub fn element(&self, name: &str) -> String {
        let document = Document::parse(&self.0.after).unwrap();
        let node = document
            .root()
            .descendants()
            .find(|node| node.has_tag_name(name))
            .unwrap_or_else(|| panic!("no <{name}> in\n{}", self.0.after));
        self.0.after[node.range()].to_owned()
    }

    /// No pass was blocked.
    #[track_caller]
    pub fn went_through(self) -> Ran {
        let blocked: Vec<_> = self.0.blocked().collect();
        assert!(blocked.is_empty(), "{blocked:?}");
        assert!(
            self.0
                .steps
                .iter()
                .any(|step| step.verdict != Verdict::NotApplicable)
        );
        self
    }
}

/// A host whose cores have these threads: `0,16 1,17`.
pub fn host(siblings: &str) -> Facts {
    let siblings: Vec<Vec<u32>> = siblings
        .split_whitespace()
        .map(|core| core.split(',').map(|id| id.parse().unwrap()).collect())
        .collect();
    let mut facts = Facts::default();
    facts.cpu.vendor = Some("GenuineIntel".to_owned());
    facts.cpu.threads = siblings
        .iter()
        .map(Vec::len)
        .max()
        .and_then(|n| u32::try_from(n).ok());
    facts.cpu.cores = u32::try_from(siblings.len()).ok();
    facts.cpu.sockets = Some(1);
    facts.cpu.dies = Some(1);
    facts.cpu.siblings = siblings;
    facts
}
