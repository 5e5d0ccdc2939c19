//! From options and definitions to plans: steps, settings and host facts are worked out once,
//! then every definition goes through the same pipeline.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

use super::args::{RunArgs, Sources};
use super::choice::{self, Chosen};
use super::connection::{HostOf, Purpose};
use super::errors::{Advice, InFile};
use super::source::{self, Definition, SourceName, quoted};
use super::{World, host};
use crate::document::Document;
use crate::host::Facts;
use crate::host::local::{Local, Wanted};
use crate::hypervisor::Mode;
use crate::passes::settings::Settings;
use crate::passes::{Context, Needs};
use crate::patches::Library;
use crate::pipeline::{self, Plan, PlanError, Step};
use crate::profile::{self, Profile};
use crate::report::mask;

/// What to run, worked out from the options.
pub(crate) struct Job {
    /// Name of the profile in force.
    pub(crate) profile: String,
    /// On an existing domain.
    steps: Vec<Step>,
    /// On the template, which is completed besides.
    template_steps: Vec<Step>,
    pub(crate) settings: Settings,
    /// Only a new machine can be given a name.
    named: bool,
    host: HostName,
    /// What is to be said once, before the first plan.
    warnings: RefCell<Vec<String>>,
    /// What is to be said once, before the first plan for a machine that is there.
    note: RefCell<Option<String>>,
}

/// `--host`.
enum HostName {
    /// The connection's host for a domain, this machine otherwise.
    Default,
    Local(Local),
    Facts(Box<Facts>),
    Libvirt,
}

impl Job {
    /// What the options say; the default profile where they name none.
    pub(crate) fn new(args: &RunArgs) -> anyhow::Result<Job> {
        let given = args.profile.as_deref().unwrap_or(profile::DEFAULT);
        let library = Library::standard();
        let profile = choice::profile(given, &library)?;
        Job::of(args, profile, &library)
    }

    /// What the options say and nothing else, for what is written into a domain.
    pub(crate) fn explicit(args: &RunArgs) -> anyhow::Result<Job> {
        match args.profile {
            Some(_) => Job::new(args),
            None => {
                let mut none = Profile::default();
                none.name.push_str("none");
                Job::of(args, none, &Library::standard())
            }
        }
    }

    fn of(args: &RunArgs, profile: Profile, library: &Library) -> anyhow::Result<Job> {
        let mut patches = choice::patches(args, &profile, library)?;
        let settings = settings(args, &profile, &mut patches)?;
        let (host, mut warnings) = HostName::parse(args.host.as_deref())?;
        let template_steps = choice::steps(args, &profile, &patches, true)?;
        warnings.extend(choice::without_effect(args, &template_steps));
        let steps = choice::steps(args, &profile, &patches, false)?;
        Ok(Job {
            host,
            warnings: RefCell::new(warnings),
            note: RefCell::new(choice::left_alone(args, &profile, &steps)),
            steps,
            template_steps,
            profile: profile.name,
            settings,
            named: args.name.is_some(),
        })
    }

    /// A patch names a secret: whether it is there already only a definition with its secrets tells.
    pub(crate) fn says_secrets(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Patch(patch) => mask::may_hold_secrets(&patch.text),
            Step::Pass(_) => false,
        })
    }

    /// Nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.template_steps.is_empty()
    }

    pub(crate) fn steps(&self, definition: &Definition) -> &[Step] {
        match definition.template {
            true => &self.template_steps,
            false => &self.steps,
        }
    }

    /// The plan for one definition.
    pub(crate) fn plan(
        &self,
        definition: &Definition,
        world: &mut World<'_>,
    ) -> anyhow::Result<Plan> {
        for warning in self.warnings.take() {
            world.out.warn(&warning);
        }
        if !definition.template
            && let Some(note) = self.note.take()
        {
            world.out.say(&format!("note: {note}"));
        }
        if self.named && !definition.is_new {
            return Err(Advice::new(
                format!(
                    "--name is for a new machine, and {} has its name",
                    quoted(&definition.name)
                ),
                "use it with --template",
            )
            .into());
        }
        let cannot = || format!("cannot read {}", quoted(&definition.name));
        let unreadable =
            |error| anyhow::Error::new(InFile::document(&definition.name, error)).context(cannot());
        let document = Document::parse_domain(&definition.text).map_err(unreadable)?;
        let facts = self.facts_for(definition, &document, world)?;
        world.out.details(|| host::decisive(&facts));
        let context = Context {
            facts: &facts,
            settings: &self.settings,
            template: definition.template,
        };
        pipeline::run_on(document, self.steps(definition), &context).map_err(|error| match error {
            PlanError::Document(error) => unreadable(error),
            PlanError::Patch(error) => InFile::merge(error).context(format!(
                "cannot merge a patch into {}",
                quoted(&definition.name)
            )),
            PlanError::Broken { .. } => error.into(),
        })
    }

    /// The facts for one definition, without those that nothing that runs would read.
    pub(crate) fn facts(
        &self,
        definition: &Definition,
        world: &mut World<'_>,
    ) -> anyhow::Result<Facts> {
        let document = Document::parse_domain(&definition.text)?;
        self.facts_for(definition, &document, world)
    }

    fn facts_for(
        &self,
        definition: &Definition,
        document: &Document<'_>,
        world: &mut World<'_>,
    ) -> anyhow::Result<Facts> {
        match (&self.host, &definition.host) {
            (HostName::Default | HostName::Libvirt, Some(host)) => {
                Ok(self.with_files(host.clone(), definition, document))
            }
            (HostName::Default, None) => Ok(self.probe(&Local::machine(), definition, document)),
            (HostName::Local(local), _) => Ok(self.probe(local, definition, document)),
            (HostName::Facts(facts), _) => Ok((**facts).clone()),
            (HostName::Libvirt, None) => {
                let connection = world.open(Mode::ReadOnly)?;
                let host = world.host_of(&*connection, &definition.text)?;
                Ok(self.with_files(host, definition, document))
            }
        }
    }

    fn with_files(
        &self,
        mut host: HostOf,
        definition: &Definition,
        document: &Document<'_>,
    ) -> Facts {
        if host.local {
            self.look_at_files(&Local::machine(), definition, document, &mut host.facts);
        }
        host.facts
    }

    fn probe(&self, local: &Local, definition: &Definition, document: &Document<'_>) -> Facts {
        let needs = pipeline::needs(self.steps(definition));
        let wanted = Wanted {
            cpu: needs.cpu,
            memory: needs.machine,
            kvm: needs.machine,
            firmware: pipeline::builds(self.steps(definition), document, &self.settings),
            emulators: needs.emulators,
            libvirt: needs != Needs::default(),
        };
        let mut facts = local.probe(&wanted);
        self.look_at_files(local, definition, document, &mut facts);
        facts
    }

    /// Adds what is to be known of the files and the emulator that the definition names.
    fn look_at_files(
        &self,
        local: &Local,
        definition: &Definition,
        document: &Document<'_>,
        facts: &mut Facts,
    ) {
        let steps = self.steps(definition);
        let needs = pipeline::needs(steps);
        pipeline::look_at_files(steps, document, &self.settings, facts, |path| {
            local.file(path)
        });
        if needs.emulators
            && let Some(path) = document.text_at(&["devices", "emulator"])
            && !facts.emulators.iter().any(|emulator| emulator.path == path)
        {
            facts.emulators.extend(local.emulator(path));
        }
    }
}

/// Reads the facts a command like `host` shows: everything.
pub(crate) fn all_facts(host: Option<&str>, world: &mut World<'_>) -> anyhow::Result<Facts> {
    // A URI asks for the host behind it.
    let host = host.or(world.uri.as_ref().map(|_| "libvirt"));
    let (host, warnings) = HostName::parse(host)?;
    for warning in warnings {
        world.out.warn(&warning);
    }
    Ok(match host {
        HostName::Default => Local::machine().probe(&Wanted::ALL),
        HostName::Local(local) => local.probe(&Wanted::ALL),
        HostName::Facts(facts) => *facts,
        HostName::Libvirt => {
            let connection = world
                .open(Mode::ReadWrite)
                .or_else(|_| world.open(Mode::ReadOnly))?;
            world.host_of(&*connection, "<domain/>")?.facts
        }
    })
}

/// Every definition that was named, read one by one so that one failure does not hide the others.
pub(crate) fn definitions(
    sources: &Sources,
    purpose: Purpose,
    world: &mut World<'_>,
) -> anyhow::Result<Vec<anyhow::Result<Definition>>> {
    let names: Vec<SourceName> = sources.names()?;
    Ok(names
        .iter()
        .map(|name| match name {
            SourceName::Domain(name) => world.domain(name, purpose),
            other => source::read(other),
        })
        .collect())
}

impl HostName {
    /// The host, and what is odd about its description.
    fn parse(host: Option<&str>) -> anyhow::Result<(HostName, Vec<String>)> {
        let fine = |host: HostName| Ok((host, Vec::new()));
        let Some(host) = host else {
            return fine(HostName::Default);
        };
        if host == "libvirt" {
            return fine(HostName::Libvirt);
        }
        if host == "local" {
            return fine(HostName::Local(Local::machine()));
        }
        if let Some(root) = host.strip_prefix("local=") {
            let local = Local::root(Path::new(root))
                .with_context(|| format!("cannot read the host under '{root}'"))?;
            return fine(HostName::Local(local));
        }
        let json = fs::read_to_string(host).with_context(|| {
            Advice::new(
                format!("cannot read the host facts '{host}'"),
                "--host takes FILE.json (from 'virt-patch host --json'), local, local=ROOT or libvirt",
            )
        })?;
        let facts = Facts::from_json(&json, host)
            .with_context(|| format!("cannot read the host facts '{host}'"))?;
        let warnings = Facts::unknown_keys(&json)
            .into_iter()
            .map(|key| format!("'{host}': the key '{key}' is unknown, and is not read"))
            .collect();
        Ok((HostName::Facts(Box::new(facts)), warnings))
    }
}

fn settings(args: &RunArgs, profile: &Profile, patches: &mut [Chosen]) -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    choice::set_profiles(profile, &mut settings, patches)?;
    let vcpus = args.vcpus.map(|vcpus| vcpus.to_string());
    // Without a name libvirt makes one up, and what is shown of the template stays the same.
    let uuid = args.name.as_ref().map(|_| Uuid::new_v4().to_string());
    let disks = disks(args)?;
    let own_options = [
        ("disk.paths", disks.as_deref()),
        ("topology.vcpus", vcpus.as_deref()),
        ("memory.size", args.memory.as_deref()),
        ("machine-name.name", args.name.as_deref()),
        ("machine-name.uuid", uuid.as_deref()),
        ("macos", args.macos.as_deref()),
        ("cpu-override.model", args.cpu_model.as_deref()),
        ("firmware.loader", args.loader.as_deref()),
        ("firmware.nvram-template", args.nvram_template.as_deref()),
    ];
    // What the profile's model needs besides belongs to that model alone.
    if args.cpu_model.is_some() {
        settings.unset("cpu-override.features");
    }
    for (key, value) in own_options {
        if let Some(value) = value {
            choice::set(key, value, &mut settings, patches)?;
        }
    }
    choice::set_osk(args, profile, &mut settings, patches)?;
    for pair in &args.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Advice::new(
                format!("'--set {pair}' has no '='"),
                "write --set KEY=VALUE; 'virt-patch list settings' shows the keys",
            )
        })?;
        choice::set(key.trim(), value, &mut settings, patches)?;
    }
    Ok(settings)
}

/// The images, by their whole paths: libvirt stores a relative one, and the start fails.
fn disks(args: &RunArgs) -> anyhow::Result<Option<String>> {
    let mut paths = Vec::new();
    for path in &args.disk {
        let whole = std::path::absolute(path)
            .with_context(|| format!("cannot tell where the disk '{}' is", path.display()))?;
        let whole = whole.into_os_string().into_string().map_err(|whole| {
            Advice::new(
                format!("the path of the disk '{}' is not UTF-8", whole.display()),
                "a definition cannot hold it; rename the file",
            )
        })?;
        paths.push(whole);
    }
    Ok((!paths.is_empty()).then(|| crate::passes::disk::joined(&paths)))
}
