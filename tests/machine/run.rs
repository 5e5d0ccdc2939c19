//! Runs one pass over one definition, and looks at what came out.

use virt_patch::document::Document;
use virt_patch::host::{Emulator, Facts, Machine, Version};
use virt_patch::passes::settings::Settings;
use virt_patch::passes::{self, Context};
use virt_patch::pipeline::{self, Plan, Step, StepReport, Verdict};

/// A pass on its own, with what it decides from.
pub struct Case {
    pass: &'static str,
    pub facts: Facts,
    settings: Settings,
    template: bool,
}

/// A pass for an existing domain on [`host`].
pub fn pass(pass: &'static str) -> Case {
    Case {
        pass,
        facts: host(),
        settings: Settings::default(),
        template: false,
    }
}

impl Case {
    pub fn on_the_template(mut self) -> Self {
        self.template = true;
        self
    }

    /// `key=value key=value`; values have no spaces.
    #[track_caller]
    pub fn with(mut self, settings: &str) -> Self {
        for pair in settings.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap();
            self.settings.set(key, value).unwrap();
        }
        self
    }

    pub fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    /// The domain becomes this, and then stays so. Both are fragments below `<domain type='kvm'>`,
    /// or whole definitions.
    #[track_caller]
    pub fn makes(&self, before: &str, after: &str) -> StepReport {
        let (before, after) = (whole(before), whole(after));
        let plan = self.plan(&before);
        let report = plan.steps[0].clone();
        assert_eq!(
            plan.after, after,
            "\n{report:#?}\n--- got\n{}\n--- wanted\n{after}",
            plan.after
        );
        let wanted = if before == after {
            Verdict::Satisfied
        } else {
            Verdict::Changed
        };
        assert_eq!(report.verdict, wanted, "{report:#?}");
        let again = self.plan(&after);
        assert_eq!(again.after, after, "not the same when run again");
        assert_eq!(
            again.steps[0].verdict,
            Verdict::Satisfied,
            "{:#?}",
            again.steps[0]
        );
        report
    }

    /// The domain is right as it is.
    #[track_caller]
    pub fn keeps(&self, domain: &str) -> StepReport {
        self.makes(domain, domain)
    }

    #[track_caller]
    pub fn is_not_for(&self, domain: &str, reason: &str) {
        self.leaves(domain, Verdict::NotApplicable, reason);
    }

    #[track_caller]
    pub fn is_blocked_on(&self, domain: &str, reason: &str) {
        self.leaves(domain, Verdict::Blocked, reason);
    }

    #[track_caller]
    fn leaves(&self, domain: &str, verdict: Verdict, reason: &str) {
        let domain = whole(domain);
        let plan = self.plan(&domain);
        let report = &plan.steps[0];
        assert_eq!((report.verdict, report.reason.as_str()), (verdict, reason));
        assert_eq!(plan.after, domain);
    }

    #[track_caller]
    pub fn plan(&self, domain: &str) -> Plan {
        let context = Context {
            facts: &self.facts,
            settings: &self.settings,
            template: self.template,
        };
        let steps = [Step::Pass(passes::find(self.pass).unwrap())];
        let plan = pipeline::run(domain, &steps, &context).unwrap();
        Document::parse_domain(&plan.after).unwrap();
        plan
    }
}

/// Notes as one text.
pub fn notes(report: &StepReport) -> String {
    report.notes.join("|")
}

fn whole(fragment: &str) -> String {
    if fragment.starts_with("<domain") {
        return fragment.to_owned();
    }
    let lines: String = fragment.lines().map(|line| format!("  {line}\n")).collect();
    format!("<domain type='kvm'>\n{lines}</domain>\n")
}

/// A host with KVM, QEMU 7.2 and libvirt 9.0, as Debian 12.
pub fn host() -> Facts {
    let machine = |name: &str| Machine {
        name: name.to_owned(),
        ..Machine::default()
    };
    let mut facts = Facts::default();
    facts.cpu.vendor = Some("GenuineIntel".to_owned());
    facts.cpu.cores = Some(8);
    facts.cpu.threads = Some(2);
    facts.cpu.siblings = (0..8).map(|core| vec![core, core + 8]).collect();
    facts.memory_kib = Some(65_839_000);
    facts.kvm = Some(true);
    facts.libvirt = Some(Version::new(9, 0, 0));
    facts.emulators = vec![Emulator {
        path: "/usr/bin/qemu-system-x86_64".to_owned(),
        arch: "x86_64".to_owned(),
        version: Some(Version::new(7, 2, 22)),
        machines: [
            "q35",
            "pc",
            "pc-q35-2.4",
            "pc-q35-6.2",
            "pc-q35-7.2",
            "pc-i440fx-7.2",
        ]
        .map(machine)
        .to_vec(),
        ..Emulator::default()
    }];
    facts
}
