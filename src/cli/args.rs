//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::deferred::Deferred;
use super::source::SourceName;
use crate::derive::Keep;

const ABOUT: &str = "Retrofit libvirt domains: see exactly what changes, then change it.

virt-patch reads a domain definition (from libvirt, a file, standard input or virt-manager's \
default template), runs ordered patch passes over it and shows the difference. What no pass has \
to touch stays byte for byte.";

const SOURCES: &str = "\
SOURCE: '-', or nothing with piped input: standard input; with a '/' in it or ending in .xml: a \
file; otherwise a libvirt domain by name, UUID or ID.

Exit status: 0 nothing to do, 1 changes are due or a pass is blocked, 2 error.

Examples:
  virt-patch diff --template                     a new machine as a MacPro7,1
  virsh dumpxml --inactive --security-info vm | virt-patch diff
  virt-patch list                                passes, profiles and patches";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "virt-patch", version, about = "Retrofit libvirt domains: see exactly what changes, then change it", long_about = ABOUT, after_long_help = SOURCES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Without one, on a terminal: the guided mode.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Libvirt connection, as in virsh (default: LIBVIRT_DEFAULT_URI, then libvirt's choice)
    #[arg(short = 'c', long, value_name = "URI", global = true)]
    pub connect: Option<String>,
    /// Colours: auto looks at the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto, global = true)]
    pub color: When,
    /// No summary and no notes; errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: where facts come from, what was looked at
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would change, as a unified diff
    #[command(after_help = "Examples:
  virt-patch diff vm.xml                        the default profile, macpro7,1
  virt-patch diff vm.xml --pass topology,topoext
  virt-patch diff --template -p macpro5,1
  virt-patch diff vm.xml --annotate             with the maker of every line
  virt-patch diff --show-secrets vm.xml | patch -p1")]
    Diff(Deferred<DiffArgs>),
    /// Print the patched definition
    #[command(after_help = "Examples:
  virt-patch render vm.xml > new.xml
  virsh dumpxml --inactive --security-info vm | virt-patch render | virsh define --validate /dev/stdin
  virt-patch render --template --output mac.xml
  virt-patch render --in-place --pass '' --patch guest-agent vms/*.xml")]
    Render(Deferred<RenderArgs>),
    /// Say for each pass whether it has something to do
    #[command(after_help = "Examples:
  virt-patch check vm.xml
  find . -name '*.xml' -print0 | xargs -0 virt-patch check --quiet
  virt-patch check --json vm.xml")]
    Check(Deferred<CheckArgs>),
    /// Redefine a domain: diff, question, backup, redefine, verify
    #[command(after_help = "Examples:
  virt-patch apply vm -p macpro7,1
  virt-patch apply vm --pass topology --yes
  virt-patch apply --template --name mac -p macpro7,1
  virt-patch apply imported.xml --pass '' --replace")]
    Apply(Deferred<ApplyArgs>),
    /// Start a throw-away copy of the patched domain and ask QEMU what it really has
    #[command(after_help = "Examples:
  virt-patch preflight vm -p macpro7,1
  virt-patch apply vm -p macpro7,1 --preflight")]
    Preflight(Deferred<PreflightArgs>),
    /// Put the last backup of a domain back
    #[command(after_help = "Examples:
  virt-patch undo vm
  virt-patch undo --list")]
    Undo(Deferred<UndoArgs>),
    /// Show what is known of the host
    #[command(after_help = "Examples:
  virt-patch host
  virt-patch host --json > host.json            for --host host.json elsewhere
  virt-patch host --host local=/mnt/other-system")]
    Host(Deferred<HostArgs>),
    /// Write the patch that turns one definition into another
    #[command(
        long_about = "Write the patch that turns one definition into another

What you changed by hand in one domain becomes a patch for all the others. What libvirt adds by \
itself, and what makes a domain this one and no other, is left out unless --keep asks for it.",
        after_help = "Examples:
  virt-patch derive before.xml after.xml > edit.xml
  virsh dumpxml --inactive --security-info vm | virt-patch derive saved.xml -
  virt-patch derive before.xml vm --keep addresses,mac"
    )]
    Derive(Deferred<DeriveArgs>),
    /// List passes, profiles and patches, or explain one
    #[command(after_help = "Examples:
  virt-patch list
  virt-patch list topology
  virt-patch list macpro5,1
  virt-patch list virtiofs
  virt-patch list --profile-schema > profile.schema.json")]
    List(Deferred<ListArgs>),
    /// Print virt-manager's default definition for a new q35 machine
    #[command(after_help = "Examples:
  virt-patch template > vm.xml
  virt-patch template | virt-patch diff -p macpro7,1")]
    Template,
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  virt-patch completions bash > /usr/share/bash-completion/completions/virt-patch")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = "Examples:
  virt-patch man > virt-patch.1")]
    Man,
}

/// Which definitions.
#[derive(Debug, Args)]
pub struct Sources {
    /// Definitions: a file, '-' for standard input, or a domain's name, UUID or ID
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<SourceName>,
    /// virt-manager's default definition for a new machine instead of a SOURCE
    #[arg(long, conflicts_with = "sources")]
    pub template: bool,
}

/// What to run, and for which host.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Profile: macpro7,1 (default) or another that 'virt-patch list' shows, or a file
    #[arg(short, long, value_name = "NAME|FILE", help_heading = "What to run")]
    pub profile: Option<String>,
    /// Exactly these passes, in this order ('' for none), and no patches but those of --patch
    #[arg(long, value_name = "A,B,…", help_heading = "What to run")]
    pub pass: Option<String>,
    /// Leave these passes and patches out
    #[arg(
        long,
        value_name = "A,B,…",
        value_delimiter = ',',
        help_heading = "What to run"
    )]
    pub skip: Vec<String>,
    /// These passes as well; 'virt-patch list' shows them all
    #[arg(
        long,
        value_name = "A,B,…",
        value_delimiter = ',',
        help_heading = "What to run",
        conflicts_with = "pass"
    )]
    pub also: Vec<String>,
    /// A merge patch to run after the passes (repeatable, in this order)
    #[arg(long, value_name = "NAME|FILE", help_heading = "What to run")]
    pub patch: Vec<String>,
    /// A setting of a pass or a value of a patch; 'virt-patch list' shows them (repeatable)
    #[arg(long, value_name = "KEY=VALUE", help_heading = "What to run")]
    pub set: Vec<String>,
    /// Ask for this many vCPUs
    // A negative number is refused as what it is, and not taken for an option of that name.
    #[arg(
        long,
        value_name = "N",
        help_heading = "What to run",
        allow_negative_numbers = true
    )]
    pub vcpus: Option<u32>,
    /// Ask for this much memory, in any unit of libvirt: 8GiB, 8192MiB
    #[arg(long, value_name = "AMOUNT", help_heading = "What to run")]
    pub memory: Option<String>,
    /// Name of the new machine; it gets a fresh UUID as well (with --template)
    #[arg(long, value_name = "NAME", help_heading = "What to run")]
    pub name: Option<String>,
    /// The macOS release the guest is to run, by name or number: sonoma, 10.15
    #[arg(long, value_name = "RELEASE", help_heading = "What to run")]
    pub macos: Option<String>,
    /// An image or block device to be a disk: OpenCore first, then macOS (repeatable)
    #[arg(long, value_name = "PATH", help_heading = "What to run")]
    pub disk: Vec<PathBuf>,
    /// QEMU CPU model instead of the profile's
    #[arg(long, value_name = "MODEL", help_heading = "What to run")]
    pub cpu_model: Option<String>,
    /// Firmware CODE image instead of the host's choice
    #[arg(long, value_name = "PATH", help_heading = "What to run")]
    pub loader: Option<String>,
    /// Firmware VARS template that belongs to --loader
    #[arg(long, value_name = "PATH", help_heading = "What to run")]
    pub nvram_template: Option<String>,
    /// The 64 characters of the SMC key, if the published ones are not to be used
    /// (or the environment variable VIRT_PATCH_OSK)
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "What to run",
        conflicts_with = "osk_file"
    )]
    pub osk: Option<String>,
    /// A file with the SMC key
    #[arg(long, value_name = "FILE", help_heading = "What to run")]
    pub osk_file: Option<PathBuf>,
    /// Host facts: FILE.json, 'local', 'local=ROOT' (a directory that stands for /) or 'libvirt'
    #[arg(long, value_name = "HOST", help_heading = "Which host")]
    pub host: Option<String>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub run: RunArgs,
    /// Lines of context
    #[arg(short = 'U', long, value_name = "N", default_value_t = 3)]
    pub unified: usize,
    /// Say in front of every changed line which pass or patch made it
    #[arg(long, conflicts_with_all = ["json", "qemu"])]
    pub annotate: bool,
    /// One diff for each pass and patch, each on top of the one before
    #[arg(long, conflicts_with_all = ["json", "qemu", "annotate"])]
    pub by_pass: bool,
    /// The QEMU command line before and after instead of the definition
    #[arg(long, conflicts_with = "json")]
    pub qemu: bool,
    /// Show passwords, for a diff that applies
    #[arg(long)]
    pub show_secrets: bool,
    /// JSON, one object for each SOURCE on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub run: RunArgs,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Change the files themselves, each as a whole or not at all
    #[arg(short, long, conflicts_with_all = ["output", "template"])]
    pub in_place: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub run: RunArgs,
    /// JSON, one object for each SOURCE on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub run: RunArgs,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Redefine although a managed save image would restore the old hardware
    #[arg(long)]
    pub force: bool,
    /// First start a throw-away copy and ask QEMU what it really has
    #[arg(long)]
    pub preflight: bool,
    /// A definition from a file takes the place of the domain of that name or UUID
    #[arg(long)]
    pub replace: bool,
    /// JSON, one object for each domain on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `preflight`.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub run: RunArgs,
    /// JSON, one object for each SOURCE on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The domain, by name, UUID or ID; also one that is not defined any more
    pub domain: Option<String>,
    /// Show the backups there are
    #[arg(long)]
    pub list: bool,
    /// The backup of this time, as --list shows it, instead of the last (or its file)
    #[arg(
        long,
        value_name = "TIME|FILE",
        conflicts_with = "list",
        requires = "domain"
    )]
    pub to: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Undo although a managed save image would restore the present hardware
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `host`.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// JSON, as --host reads it
    #[arg(long)]
    pub json: bool,
    /// FILE.json, 'local' (default), 'local=ROOT' or 'libvirt'
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
}

/// Arguments of `derive`.
#[derive(Debug, Args)]
pub struct DeriveArgs {
    /// The definition as it was: a file, '-' or a domain
    pub before: SourceName,
    /// The definition as it became
    pub after: SourceName,
    /// What else is to be recorded; 'all' makes the one of the other exactly
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', value_parser = Keep::WORDS)]
    pub keep: Vec<String>,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// A pass, profile or patch to explain (also a file), or 'settings' or 'facts'
    pub name: Option<String>,
    /// The domains there are, one name on each line
    #[arg(long, conflicts_with = "name")]
    pub domains: bool,
    /// The JSON schema of profiles, for editors
    #[arg(long, conflicts_with_all = ["name", "domains"])]
    pub profile_schema: bool,
    /// JSON
    #[arg(long)]
    pub json: bool,
}

impl Cli {
    /// Whether the command needs a connection.
    pub fn needs_libvirt(&self) -> bool {
        let Some(command) = &self.command else {
            // The guided mode shows the domains there are.
            return true;
        };
        let host = match command {
            Command::Diff(Deferred(DiffArgs { run, .. }))
            | Command::Render(Deferred(RenderArgs { run, .. }))
            | Command::Check(Deferred(CheckArgs { run, .. })) => run.host.as_deref(),
            Command::Host(args) => match &args.host {
                Some(host) => Some(host.as_str()),
                None => self.global.connect.as_ref().map(|_| "libvirt"),
            },
            Command::Apply(_) | Command::Preflight(_) => Some("libvirt"),
            Command::Undo(args) if !args.list => Some("libvirt"),
            Command::List(args) if args.domains => Some("libvirt"),
            _ => None,
        };
        if matches!(command, Command::Diff(args) if args.qemu) {
            return true;
        }
        host == Some("libvirt") || self.first_domain().is_some()
    }

    /// The first SOURCE that is a libvirt domain.
    pub fn first_domain(&self) -> Option<&str> {
        let sources = match self.command.as_ref()? {
            Command::Diff(args) => &args.sources,
            Command::Render(args) => &args.sources,
            Command::Check(args) => &args.sources,
            Command::Apply(args) => &args.sources,
            Command::Preflight(args) => &args.sources,
            Command::Undo(args) => return args.domain.as_deref(),
            Command::Derive(args) => {
                let mut sources = [&args.before, &args.after].into_iter();
                return sources.find_map(|source| match source {
                    SourceName::Domain(name) => Some(name.as_str()),
                    _ => None,
                });
            }
            _ => return None,
        };
        sources.sources.iter().find_map(|source| match source {
            SourceName::Domain(name) => Some(name.as_str()),
            _ => None,
        })
    }
}
