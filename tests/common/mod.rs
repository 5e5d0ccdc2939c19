//! What several test programs share: hosts, runs, hostile domains and the laws that hold for all.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod domains;
pub mod hosts;
pub mod laws;

use virt_patch::host::Facts;
use virt_patch::passes::settings::Settings;
use virt_patch::passes::{self, Context};
use virt_patch::pipeline::{self, Plan, PlanError, Step, StepReport};
use virt_patch::profile::Profile;

/// One way to run the pipeline.
#[derive(Debug, Clone)]
pub struct Job {
    pub facts: Facts,
    pub settings: Settings,
    pub steps: Vec<Step>,
    pub template: bool,
}

impl Job {
    /// A shipped profile for a host.
    pub fn profile(name: &str, facts: Facts) -> Job {
        let profile = Profile::shipped(name).unwrap();
        let mut settings = Settings::default();
        for (key, value) in &profile.settings {
            settings.set(key, value).unwrap();
        }
        let steps = profile
            .passes
            .iter()
            .map(|name| Step::Pass(passes::find(name).unwrap()))
            .collect();
        Job {
            facts,
            settings,
            steps,
            template: false,
        }
    }

    /// One pass, without a profile's settings.
    pub fn pass(name: &str, facts: Facts) -> Job {
        Job {
            facts,
            settings: Settings::default(),
            steps: vec![Step::Pass(passes::find(name).unwrap())],
            template: false,
        }
    }

    /// Only these passes of it.
    pub fn only(mut self, names: &[&str]) -> Job {
        self.steps.retain(|step| names.contains(&step.name()));
        self
    }

    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Job {
        self.settings.set(key, value).unwrap();
        self
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            facts: &self.facts,
            settings: &self.settings,
            template: self.template,
        }
    }

    pub fn run(&self, text: &str) -> Result<Plan, PlanError> {
        pipeline::run(text, &self.steps, &self.context())
    }
}

/// `verdict: reason`, or the verdict alone where there is no reason.
pub fn verdict(step: &StepReport) -> String {
    match step.reason.as_str() {
        "" => step.verdict.word().to_owned(),
        reason => format!("{}: {reason}", step.verdict.word()),
    }
}
