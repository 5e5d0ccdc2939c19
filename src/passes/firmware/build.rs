//! UEFI builds: which there are, which are fit for macOS, which belongs to a path.

use wildmatch::WildMatch;

use super::super::Context;
use super::os::Os;
use crate::document::Document;
use crate::host::known_places::{self, KnownBuild, SizeClass};
use crate::host::{FileFact, Firmware, ImageFormat, Version};
use crate::passes::guest;

/// The first libvirt with `format` on `<loader>` and `<nvram>`.
const KNOWS_QCOW2: Version = Version::new(9, 2, 0);

/// What the source of a build without a descriptor begins with.
const KNOWN_PLACE: &str = "known place: ";

/// What the pass knows of builds, from facts and the table of known places.
pub(super) struct Builds<'a> {
    context: &'a Context<'a>,
    /// The machine type as the definition says it.
    machine: String,
    /// And as descriptors do: they name versioned ones.
    versioned: String,
}

impl<'a> Builds<'a> {
    pub(super) fn new(document: &Document<'_>, context: &'a Context<'a>) -> Self {
        let machine = guest::machine_name(document);
        Builds {
            context,
            machine: machine.to_owned(),
            // An alias means the newest of its family.
            versioned: match machine {
                "q35" => "pc-q35-9.9".to_owned(),
                "pc" => "pc-i440fx-9.9".to_owned(),
                name => name.to_owned(),
            },
        }
    }

    pub(super) fn libvirt(&self) -> Option<Version> {
        self.context
            .settings
            .libvirt()
            .or(self.context.facts.libvirt)
    }

    fn all(&self) -> &'a [Firmware] {
        self.context.facts.firmware.as_deref().unwrap_or_default()
    }

    /// What is known of a file on the host.
    pub(super) fn file(&self, path: &str) -> Option<FileFact> {
        self.context.facts.files.get(path).copied()
    }

    /// Why a build does not do; `None` when it does.
    pub(super) fn unfit(&self, build: &Firmware) -> Option<String> {
        if build.secure_boot || build.enrolled_keys {
            return Some("a Secure Boot build".to_owned());
        }
        if build.smm {
            return Some("needs SMM".to_owned());
        }
        if !self.is_for_the_machine(build) {
            return Some(format!("not for the machine type {}", self.machine));
        }
        self.unfit_format(build)
    }

    /// Whether there is a build that would do for another machine type; the machine type then.
    pub(super) fn only_for_others(&self) -> Option<&str> {
        let would_do = |build: &&Firmware| {
            let secure = build.secure_boot || build.enrolled_keys || build.smm;
            !secure && !self.is_for_the_machine(build) && self.unfit_format(build).is_none()
        };
        self.all()
            .iter()
            .any(|build| would_do(&build))
            .then_some(&self.machine)
    }

    /// As libvirt does it: `*` and `?` stand for others, nothing else does.
    fn is_for_the_machine(&self, build: &Firmware) -> bool {
        let mut patterns = build.machines.iter();
        build.machines.is_empty()
            || patterns.any(|pattern| {
                *pattern == self.machine || WildMatch::new(pattern).matches(&self.versioned)
            })
    }

    fn unfit_format(&self, build: &Firmware) -> Option<String> {
        let qcow2 =
            build.code_format == ImageFormat::Qcow2 || build.vars_format == ImageFormat::Qcow2;
        match self.libvirt() {
            Some(version) if qcow2 && version < KNOWS_QCOW2 => Some(format!(
                "qcow2, which libvirt {version} cannot use as firmware (9.2 can)"
            )),
            _ => None,
        }
    }

    /// Why a CODE image cannot be used for being qcow2.
    pub(super) fn cannot_be_qcow2(&self, code: &str) -> Option<String> {
        let version = self.libvirt().filter(|version| *version < KNOWS_QCOW2)?;
        (self.format_of(code) == ImageFormat::Qcow2)
            .then(|| format!("qcow2, which libvirt {version} cannot use as firmware (9.2 can)"))
    }

    /// The fit build to take: DarwinUDK's where it is preferred, then one like the old build (the
    /// domain keeps its nvram file), then the host's first.
    pub(super) fn best(&self, like: Option<(SizeClass, ImageFormat)>) -> Option<&'a Firmware> {
        let fit: Vec<&Firmware> = self
            .all()
            .iter()
            .filter(|build| self.unfit(build).is_none())
            .collect();
        let darwin = |build: &&&Firmware| build.code.starts_with("/usr/share/DarwinUDK/");
        let prefer = self.context.settings.get("firmware.prefer") == Some("darwinudk");
        let preferred = fit.iter().find(darwin).filter(|_| prefer);
        let alike = || {
            let (size, format) = like?;
            fit.iter()
                .filter(|build| prefer || !darwin(build))
                .find(|build| self.size_of(build) == Some(size) && build.vars_format == format)
        };
        let first = || fit.iter().find(|build| !darwin(build)).or(fit.first());
        preferred
            .or_else(alike)
            .or_else(first)
            .copied()
            .or_else(|| self.last_resort())
    }

    /// Whether libvirt finds a fit build for `firmware='efi'`, with what stands beside it: it goes by
    /// the host's descriptors, and takes every attribute for a demand. `None` when that cannot be told.
    pub(super) fn libvirt_finds(&self, os: &Os<'_>) -> Option<bool> {
        let is = |said: Option<&str>, its: &str| said.is_none_or(|said| said == its);
        let is_format =
            |said: Option<&str>, its: ImageFormat| said.is_none_or(|said| said == its.to_string());
        let fits = |build: &&Firmware| {
            !build.source.starts_with(KNOWN_PLACE)
                && self.unfit(build).is_none()
                && is(os.loader, &build.code)
                && is(os.template, &build.vars)
                && is_format(os.loader_format, build.code_format)
                && is_format(os.template_format, build.vars_format)
                && is_format(os.nvram_format, build.vars_format)
        };
        let facts = self.context.facts;
        if facts.firmware.as_deref()?.iter().any(|build| fits(&build)) {
            return Some(true);
        }
        // A remote host's list has the loaders only that are known here.
        (facts.firmware_autoselection != Some(true)).then_some(false)
    }

    /// Alpine ships one build only. It implements Secure Boot, but without enrolled keys and
    /// without SMM the guest starts in setup mode, where nothing is refused.
    fn last_resort(&self) -> Option<&'a Firmware> {
        self.all().iter().find(|build| {
            build.secure_boot
                && !build.enrolled_keys
                && !build.smm
                && build
                    .source
                    .strip_prefix(KNOWN_PLACE)
                    .is_some_and(|of| of.starts_with("Alpine"))
        })
    }

    /// Whether a CODE image is that build.
    pub(super) fn is_last_resort(&self, code: &str) -> bool {
        self.last_resort().is_some_and(|build| build.code == code)
            && self.all().iter().all(|build| self.unfit(build).is_some())
    }

    /// The host's builds with this CODE image.
    pub(super) fn with_code(&self, code: &str) -> impl Iterator<Item = &'a Firmware> {
        self.all().iter().filter(move |build| build.code == code)
    }

    /// Whether a CODE image is one of Secure Boot or SMM, by facts, by the table, by its name.
    pub(super) fn is_secure(&self, code: &str) -> bool {
        let mut known = self.with_code(code).peekable();
        if known.peek().is_some() {
            return !self.is_last_resort(code) && known.all(|build| build.secure_boot || build.smm);
        }
        match known_places::by_code_path(code) {
            Some(build) => build.secure_boot || build.smm,
            None => has_secure_name(code),
        }
    }

    /// Whether a file is the VARS template of a build.
    pub(super) fn is_template(&self, path: &str) -> bool {
        self.all().iter().any(|build| build.vars == path)
    }

    /// Whether a VARS template has keys enrolled.
    pub(super) fn has_keys(&self, vars: &str) -> bool {
        let mut known = self
            .all()
            .iter()
            .filter(|build| build.vars == vars)
            .peekable();
        match known.peek() {
            Some(_) => known.all(|build| build.enrolled_keys),
            None => has_secure_name(vars),
        }
    }

    /// Whether a CODE image or VARS template is on the host; `None` when nobody can tell.
    pub(super) fn exists(&self, path: &str) -> Option<bool> {
        if self
            .all()
            .iter()
            .any(|build| build.code == path || build.vars == path)
        {
            return Some(true);
        }
        if let Some(file) = self.file(path) {
            return Some(file.exists);
        }
        // A distribution's own path that the host's list does not have is not there; a path of
        // the user's own may be.
        let distribution =
            known_places::by_code_path(path).is_some() || path.starts_with("/usr/share/");
        (self.context.facts.firmware.is_some() && distribution).then_some(false)
    }

    /// The plain VARS template that belongs to a CODE image.
    pub(super) fn template_for(&self, code: &str) -> Option<String> {
        let listed = self
            .with_code(code)
            .find(|build| !build.enrolled_keys)
            .map(|build| build.vars.clone());
        let known = || {
            let build = known_places::by_code_path(code)?;
            (self.exists(build.vars) != Some(false)).then(|| build.vars.to_owned())
        };
        let beside = || {
            let guess = sibling(code)?;
            (self.exists(&guess) == Some(true)).then_some(guess)
        };
        listed.or_else(known).or_else(beside)
    }

    /// Bytes of a CODE image.
    fn code_bytes(&self, code: &str) -> Option<u64> {
        let listed = || self.with_code(code).find_map(|build| build.code_size);
        self.file(code).and_then(|file| file.size).or_else(listed)
    }

    /// Bytes of a VARS template or nvram file.
    fn vars_bytes(&self, vars: &str) -> Option<u64> {
        let listed = || {
            let mut builds = self.all().iter().filter(|build| build.vars == vars);
            builds.find_map(|build| build.vars_size)
        };
        self.file(vars).and_then(|file| file.size).or_else(listed)
    }

    /// Why a CODE image and a VARS template are no pair, by their sizes; `None` when they may be one.
    pub(super) fn no_pair(&self, code: &str, vars: &str) -> Option<String> {
        let (code, vars) = (self.code_bytes(code)?, self.vars_bytes(vars)?);
        if vars >= code {
            return Some(format!(
                "it has {vars} bytes and the loader {code}, and the variables are the smaller part"
            ));
        }
        // QEMU puts the variables right below CODE, where CODE looks for them only if the two fill its
        // flash. A build of one's own may be for a flash of another size.
        let fill = code.checked_add(vars).is_some_and(u64::is_power_of_two);
        (!fill).then(|| {
            format!(
                "{code} and {vars} bytes do not fill a flash of 2 or 4 MiB, and the guest finds no place for its variables"
            )
        })
    }

    /// Whether an image is CODE and VARS in one, which fills the flash alone.
    pub(super) fn is_combined(&self, code: &str) -> bool {
        let sizes = [SizeClass::TwoMib, SizeClass::FourMib];
        self.code_bytes(code)
            .is_some_and(|size| sizes.iter().any(|class| class.bytes() == size))
    }

    /// Flash size a CODE image is made for.
    pub(super) fn size_of_code(&self, code: &str) -> Option<SizeClass> {
        match self.code_bytes(code) {
            // CODE is the larger part: 1.9 of 2 MiB, 3.5 of 4.
            Some(size) if size > SizeClass::TwoMib.bytes() => Some(SizeClass::FourMib),
            Some(_) => Some(SizeClass::TwoMib),
            None => {
                let mut sizes = self.known_sizes(|build| build.code == code).into_iter();
                let first = sizes.next().flatten();
                first
                    .filter(|first| sizes.all(|size| size == Some(*first)))
                    .or_else(|| size_by_name(code))
            }
        }
    }

    /// Flash size a VARS template or nvram file is made for.
    pub(super) fn size_of_vars(&self, vars: &str) -> Option<SizeClass> {
        match self.vars_bytes(vars) {
            Some(size) => size_by_vars(size),
            None => {
                let mut builds = self.all().iter().filter(|build| build.vars == vars);
                builds
                    .find_map(|build| self.size_of_code(&build.code))
                    .or_else(|| {
                        self.known_sizes(|build| build.vars == vars)
                            .first()
                            .copied()?
                    })
                    .or_else(|| size_by_name(vars))
            }
        }
    }

    /// The template that belongs to a CODE image in its known place; where distributions share that, the
    /// likelier one's.
    pub(super) fn usual_template(&self, code: &str) -> Option<&'static str> {
        let rows = self.known(|build| build.code == code);
        rows.first().map(|build| build.vars)
    }

    /// Whose builds of that template are of another size than the one it is taken for.
    pub(super) fn size_is_a_guess(&self, vars: &str) -> Option<&'static str> {
        if self.vars_bytes(vars).is_some() {
            return None;
        }
        let rows = self.known(|build| build.vars == vars);
        let first = rows.first()?.size;
        let other = rows.iter().find(|build| build.size != first)?;
        Some(other.distribution)
    }

    /// The sizes of the known builds; where distributions share a path, the likelier first.
    fn known_sizes(&self, is_it: impl Fn(&KnownBuild) -> bool) -> Vec<Option<SizeClass>> {
        let rows = self.known(is_it);
        rows.iter().map(|build| build.size).collect()
    }

    /// The rows of the table. RHEL's builds have Fedora's names and another size, and RHEL's QEMU has
    /// machine types of its own.
    fn known(&self, is_it: impl Fn(&KnownBuild) -> bool) -> Vec<&'static KnownBuild> {
        let rhel = self.machine.contains("rhel");
        let rows = || {
            known_places::KNOWN_BUILDS
                .iter()
                .filter(|build| is_it(build))
        };
        let its = rows().filter(|build| build.distribution.contains("RHEL") == rhel);
        let its: Vec<&KnownBuild> = its.collect();
        match its.is_empty() {
            true => rows().collect(),
            false => its,
        }
    }

    pub(super) fn size_of(&self, build: &Firmware) -> Option<SizeClass> {
        self.size_of_code(&build.code)
    }

    /// Format of an image.
    pub(super) fn format_of(&self, path: &str) -> ImageFormat {
        let listed = self.all().iter().find_map(|build| {
            if build.code == path {
                Some(build.code_format)
            } else {
                (build.vars == path).then_some(build.vars_format)
            }
        });
        let by_name = match path.ends_with(".qcow2") {
            true => ImageFormat::Qcow2,
            false => ImageFormat::Raw,
        };
        listed
            .or_else(|| self.file(path).and_then(|file| file.format))
            .unwrap_or(by_name)
    }

    /// Every build and place that was looked at, with the reason why it does not do.
    pub(super) fn looked_at(&self) -> Vec<String> {
        let unfit = self.all().iter().filter_map(|build| {
            let reason = self.unfit(build)?;
            Some(format!("{} ({}): {reason}", build.code, build.source))
        });
        let over = self
            .context
            .facts
            .firmware_passed_over
            .iter()
            .map(|over| format!("{}: {}", over.place, over.reason));
        unfit.chain(over).collect()
    }
}

/// Flash size by the size of a variable store: 128 KiB go with 2 MiB, 528 KiB with 4 MiB.
pub(super) fn size_by_vars(size: u64) -> Option<SizeClass> {
    match size {
        131_072 => Some(SizeClass::TwoMib),
        540_672 => Some(SizeClass::FourMib),
        _ => None,
    }
}

/// The variable store beside a CODE image, by the names people and distributions use.
pub(super) fn sibling(code: &str) -> Option<String> {
    let (directory, name) = code.rsplit_once('/')?;
    let vars = if name.contains("CODE") {
        name.replace("CODE", "VARS")
    } else if name.contains("code") {
        name.replace("code", "vars")
    } else {
        return None;
    };
    Some(format!("{directory}/{vars}"))
}

fn size_by_name(path: &str) -> Option<SizeClass> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    name.contains("4m").then_some(SizeClass::FourMib)
}

fn has_secure_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    // openSUSE's flavours have SMM, or keys of its own or Microsoft's.
    let words = [
        "secboot",
        "secure",
        ".ms.",
        "-ms-",
        "snakeoil",
        "-smm-",
        "-suse-",
        "-opensuse-",
    ];
    words.iter().any(|word| name.contains(word))
}
