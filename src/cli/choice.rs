//! Which profile, passes and patches were asked for, and the values given to them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::args::RunArgs;
use super::errors::{Advice, InFile};
use crate::merge::{Declared, Patch};
use crate::passes::settings::{self, SettingError, Settings};
use crate::passes::{self, PASSES, Pass};
use crate::patches::{Item, Kind, Library, LibraryError};
use crate::pipeline::Step;
use crate::profile::{Part, Place, Profile, ProfileError};
use crate::text;

/// A patch that is to run, with what it may be told.
pub(crate) struct Chosen {
    /// Its name, which settings and `--skip` call it.
    name: String,
    patch: Patch,
    declared: Vec<Declared>,
    /// `--skip` leaves it out.
    skipped: bool,
}

/// The profile called `given`.
pub(crate) fn profile(given: &str, library: &Library) -> anyhow::Result<Profile> {
    Profile::find(given, library).map_err(profile_error)
}

/// The patches of the profile, then those of `--patch`, in their order.
pub(crate) fn patches(
    args: &RunArgs,
    profile: &Profile,
    library: &Library,
) -> anyhow::Result<Vec<Chosen>> {
    // Exactly these passes, says --pass: a profile's patches are none of them.
    let own: &[String] = match args.pass {
        Some(_) => &[],
        None => &profile.patches,
    };
    let mut chosen = Vec::new();
    for name in own {
        let item = library
            .find(Kind::Patch, name, Path::new(""))
            .map_err(|error| match profile.place(Part::Patch, name) {
                Some(place) => {
                    let (message, help) = explained(&error);
                    InFile::profile(place, message, help).into()
                }
                None => not_found(error),
            });
        chosen.push(choose(item?)?);
    }
    for name in &args.patch {
        let item = library
            .find(Kind::Patch, name, Path::new(""))
            .map_err(not_found)?;
        chosen.push(choose(item)?);
    }
    for name in skipped(args) {
        let mut known = passes::find(&name).is_some();
        let is_meant =
            |one: &&mut Chosen| one.is_called(&name) || one.patch.name.eq_ignore_ascii_case(&name);
        for one in chosen.iter_mut().filter(is_meant) {
            one.skipped = true;
            known = true;
        }
        if !known {
            return Err(unknown_step(&name, &chosen));
        }
    }
    Ok(chosen)
}

/// The passes, then the patches; on the template those that complete it as well.
pub(crate) fn steps(
    args: &RunArgs,
    profile: &Profile,
    patches: &[Chosen],
    template: bool,
) -> anyhow::Result<Vec<Step>> {
    let named = |names: &[String], from_profile: bool| -> anyhow::Result<Vec<&'static Pass>> {
        let find = |name: &String| {
            pass(name).map_err(|(message, help)| {
                match profile.place(Part::Pass, name).filter(|_| from_profile) {
                    Some(place) => InFile::profile(place, message, Some(help)).into(),
                    None => anyhow::Error::new(Advice::new(message, help)),
                }
            })
        };
        names.iter().map(find).collect()
    };
    let mut chosen = match &args.pass {
        Some(list) => named(&split(list), false)?,
        None => named(&profile.passes, true)?,
    };
    if args.pass.is_none() {
        if template {
            add(&mut chosen, named(&profile.template_passes, true)?);
        }
        add(&mut chosen, asked_for(args));
        let also: Vec<String> = args.also.iter().flat_map(|names| split(names)).collect();
        add(&mut chosen, named(&also, false)?);
    }
    let skipped = skipped(args);
    chosen.retain(|pass| !skipped.iter().any(|name| name == pass.name));
    let mut steps: Vec<Step> = chosen.into_iter().map(Step::Pass).collect();
    let run = patches.iter().filter(|one| !one.skipped);
    steps.extend(run.map(|one| Step::Patch(one.patch.clone())));
    Ok(steps)
}

/// The passes whose own settings were given: what is asked for is done, whatever the profile lists.
fn asked_for(args: &RunArgs) -> Vec<&'static Pass> {
    let given = args
        .set
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .filter(|(_, value)| *value != "no")
        .map(|(key, _)| key.trim());
    let given: Vec<&str> = given_options(args)
        .map(|(key, _)| key)
        .chain(given)
        .collect();
    passes::PASSES
        .iter()
        .filter(|pass| {
            pass.settings
                .iter()
                .any(|setting| given.contains(&setting.key))
        })
        .collect()
}

/// The options that were given and are a setting of a pass: the setting, and the option.
fn given_options(args: &RunArgs) -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("memory.size", "--memory", args.memory.is_some()),
        ("disk.paths", "--disk", !args.disk.is_empty()),
        ("topology.vcpus", "--vcpus", args.vcpus.is_some()),
        (
            "cpu-override.model",
            "--cpu-model",
            args.cpu_model.is_some(),
        ),
        ("firmware.loader", "--loader", args.loader.is_some()),
        (
            "firmware.nvram-template",
            "--nvram-template",
            args.nvram_template.is_some(),
        ),
        ("applesmc.osk", "--osk", args.osk.is_some()),
        ("applesmc.osk", "--osk-file", args.osk_file.is_some()),
    ]
    .into_iter()
    .filter(|(_, _, is_given)| *is_given)
    .map(|(key, option, _)| (key, option))
}

/// What to say of options that nothing that runs looks at.
pub(crate) fn without_effect(args: &RunArgs, steps: &[Step]) -> Vec<String> {
    given_options(args)
        .filter(|(key, _)| !is_read(key, steps))
        .map(|(key, option)| {
            let pass = key.split('.').next().unwrap_or_default();
            format!("{option} changes nothing: pass {pass}, which it is for, does not run here")
        })
        .collect()
}

/// Whether one of the steps looks at this setting.
fn is_read(key: &str, steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Pass(pass) => pass.source.contains(&format!("\"{key}\"")),
        Step::Patch(patch) => patch.mentions(key),
    })
}

/// What to say where a release was chosen and passes that follow it leave an existing machine alone.
pub(crate) fn left_alone(args: &RunArgs, profile: &Profile, steps: &[Step]) -> Option<String> {
    const FOLLOW: [&str; 3] = ["nic", "usb", "display"];
    args.macos.as_ref().filter(|_| args.pass.is_none())?;
    let left: Vec<&str> = FOLLOW
        .into_iter()
        .filter(|name| profile.template_passes.iter().any(|pass| pass == name))
        .filter(|name| steps.iter().all(|step| step.name() != *name))
        .collect();
    (!left.is_empty()).then(|| {
        format!(
            "the devices of this machine stay as they are; --also {} fits them to the release",
            left.join(",")
        )
    })
}

/// Adds passes, each before the first that runs later.
fn add(chosen: &mut Vec<&'static Pass>, more: Vec<&'static Pass>) {
    let place = |pass: &Pass| passes::PASSES.iter().position(|one| one.name == pass.name);
    for pass in more {
        if chosen.iter().any(|one| one.name == pass.name) {
            continue;
        }
        let its = place(pass);
        let later = chosen.iter().position(|one| place(one) > its);
        chosen.insert(later.unwrap_or(chosen.len()), pass);
    }
}

/// Gives the settings of a profile to its passes and patches.
pub(crate) fn set_profiles(
    profile: &Profile,
    settings: &mut Settings,
    patches: &mut [Chosen],
) -> anyhow::Result<()> {
    let all: Vec<(&str, &str, &Place)> = profile.placed_settings().collect();
    for (index, (key, value, place)) in all.iter().enumerate() {
        // The last of one key counts, and what it overrules may be wrong for this profile.
        if all.iter().skip(index + 1).any(|(later, ..)| later == key) {
            continue;
        }
        // Of a patch that --pass left out nothing is loaded that could be told.
        let of_other = key.split_once('.').is_some_and(|(name, _)| {
            let is_its = |given: &String| {
                Path::new(given)
                    .file_stem()
                    .is_some_and(|stem| stem == name)
            };
            profile.patches.iter().any(is_its) && patches.iter().all(|one| one.name != name)
        });
        if of_other {
            continue;
        }
        give(key, value, settings, patches).map_err(|(message, help)| {
            let error = match *key {
                // The line has the key itself, which may be the user's own.
                "applesmc.osk" => advice(message, help),
                _ => anyhow::Error::new(InFile::profile(place, message, help)),
            };
            error.context(format!("cannot use the profile '{}'", profile.name))
        })?;
    }
    Ok(())
}

/// Gives one setting to whom it belongs: `PASS.NAME`, `PATCH.NAME`, or `NAME` for every patch that
/// declares it.
pub(crate) fn set(
    key: &str,
    value: &str,
    settings: &mut Settings,
    patches: &mut [Chosen],
) -> anyhow::Result<()> {
    give(key, value, settings, patches).map_err(|(message, help)| advice(message, help))
}

/// Gives the OSK from an option, a file or the environment, in this order.
pub(crate) fn set_osk(
    args: &RunArgs,
    profile: &Profile,
    settings: &mut Settings,
    patches: &mut [Chosen],
) -> anyhow::Result<()> {
    const KEY: &str = "applesmc.osk";
    if let Some(osk) = &args.osk {
        return set(KEY, osk, settings, patches);
    }
    if let Some(path) = &args.osk_file {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the OSK file '{}'", path.display()))?;
        let text = text.trim_start_matches('\u{feff}');
        let osk = text.trim_end_matches(['\r', '\n']);
        return set(KEY, osk, settings, patches)
            .with_context(|| format!("cannot use the OSK file '{}'", path.display()));
    }
    // The variable is there for every run, also for one that wants no key.
    let is_wanted = || steps(args, profile, patches, true).is_ok_and(|steps| is_read(KEY, &steps));
    match std::env::var("VIRT_PATCH_OSK") {
        Ok(osk) if !osk.is_empty() && is_wanted() => set(KEY, &osk, settings, patches)
            .context("cannot use the OSK of the environment variable VIRT_PATCH_OSK"),
        _ => Ok(()),
    }
}

/// A message and the next step.
type Explained = (String, Option<String>);

fn give(
    key: &str,
    value: &str,
    settings: &mut Settings,
    patches: &mut [Chosen],
) -> Result<(), Explained> {
    // A patch may call a value of its own what a pass calls a setting: both are told.
    let (mut taken, nearest) = match settings.set(key, value) {
        Ok(()) => (true, None),
        Err(error @ SettingError::Value { .. }) => return Err((error.to_string(), None)),
        Err(SettingError::Unknown { nearest, .. }) => (false, nearest),
    };
    for one in patches.iter_mut() {
        let name = match key.split_once('.') {
            Some((patch, name)) if one.is_called(patch) => name,
            Some(_) => continue,
            None => key,
        };
        if one.declared.iter().any(|declared| declared.name == name) {
            let value = Some(value.to_owned());
            one.patch.values.insert(name.to_owned(), value);
            taken = true;
        }
    }
    if taken {
        return Ok(());
    }
    Err(unknown_setting(key, nearest, patches))
}

fn unknown_setting(key: &str, nearest: Option<&str>, patches: &[Chosen]) -> Explained {
    let own: Vec<String> = patches
        .iter()
        .flat_map(|one| {
            let name = |declared: &Declared| format!("{}.{}", one.name, declared.name);
            one.declared.iter().map(name)
        })
        .collect();
    let short = own
        .iter()
        .filter_map(|name| name.split_once('.').map(|(_, short)| short));
    let keys = own
        .iter()
        .map(String::as_str)
        .chain(short)
        .chain(settings::all().map(|setting| setting.key));
    // The name without the pass's.
    let whole: Vec<String> = settings::all()
        .filter(|setting| setting.key.rsplit('.').next() == Some(key))
        .map(|setting| format!("'{}'", setting.key))
        .collect();
    let help = match text::nearest(key, keys).or(nearest) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None if !whole.is_empty() => format!("did you mean {}?", text::list_or(&whole)),
        None if own.is_empty() => {
            "'virt-patch list settings' shows them all; those of a patch count where it runs"
                .to_owned()
        }
        None => format!(
            "the patches take {}; 'virt-patch list settings' shows those of the passes",
            text::list(&own)
        ),
    };
    (format!("unknown setting '{key}'"), Some(help))
}

impl Chosen {
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn choose(item: Item) -> anyhow::Result<Chosen> {
    let shown = item.shown();
    let patch = Patch::new(shown.clone(), item.text);
    let declared = patch
        .declared()
        .map_err(InFile::merge)
        .with_context(|| format!("cannot use the patch '{shown}'"))?;
    Ok(Chosen {
        name: item.name,
        patch,
        declared,
        skipped: false,
    })
}

fn skipped(args: &RunArgs) -> Vec<String> {
    args.skip.iter().flat_map(|names| split(names)).collect()
}

fn split(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

fn pass(name: &str) -> Result<&'static Pass, (String, String)> {
    let known = || PASSES.iter().map(|pass| pass.name);
    passes::find(name).ok_or_else(|| {
        let is_patch = crate::patches::SHIPPED
            .iter()
            .any(|(patch, _)| *patch == name);
        let help = match text::nearest(name, known()) {
            _ if is_patch => format!("it is a patch: --patch {name}"),
            Some(nearest) => format!("did you mean '{nearest}'?"),
            None => format!("there are {}", text::list(&known().collect::<Vec<_>>())),
        };
        (format!("unknown pass '{name}'"), help)
    })
}

fn unknown_step(name: &str, patches: &[Chosen]) -> anyhow::Error {
    let known = PASSES
        .iter()
        .map(|pass| pass.name)
        .chain(patches.iter().map(|one| one.name.as_str()));
    let help = match text::nearest(name, known) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => "--skip takes passes, and patches that would run".to_owned(),
    };
    Advice::new(
        format!("no pass and no patch of this run is called '{name}'"),
        help,
    )
    .into()
}

pub(crate) fn not_found(error: LibraryError) -> anyhow::Error {
    match explained(&error) {
        (message, help) if matches!(error, LibraryError::Unknown { .. }) => advice(message, help),
        (_, Some(help)) => {
            let message = error.to_string();
            anyhow::Error::new(error).context(Advice::new(message, help))
        }
        (_, None) => error.into(),
    }
}

fn explained(error: &LibraryError) -> Explained {
    match error {
        LibraryError::Unknown {
            kind,
            name,
            nearest,
            known,
        } => {
            let help = match nearest {
                _ if *kind == Kind::Patch && passes::find(name).is_some() => {
                    format!("it is a pass: --pass {name}")
                }
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None if *kind == Kind::Patch => {
                    format!("'virt-patch list' shows all; for a file write ./{name} or {name}.xml")
                }
                None => format!("there are {}; for a file write ./{name}", text::list(known)),
            };
            (error.to_string(), Some(help))
        }
        LibraryError::Read { source, .. } => (format!("{error}: {source}"), None),
    }
}

pub(crate) fn profile_error(error: ProfileError) -> anyhow::Error {
    match error {
        ProfileError::Library(error) => not_found(error),
        ProfileError::Malformed {
            message,
            help,
            place,
        } => {
            let file = place.file.clone();
            anyhow::Error::new(InFile::profile(&place, message, help))
                .context(format!("cannot use the profile '{file}'"))
        }
        ProfileError::Extends { name, by, source } => profile_error(*source).context(format!(
            "cannot use the profile '{by}', which extends '{name}'"
        )),
    }
}

fn advice(message: String, help: Option<String>) -> anyhow::Error {
    match help {
        Some(help) => Advice::new(message, help).into(),
        None => anyhow::Error::msg(message),
    }
}
