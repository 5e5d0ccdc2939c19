//! macOS releases: what each asks of a machine, and which Mac models run it.
//!
//! The one table that the setting `macos` chooses from; passes for the CPU, network, disks, USB
//! and video read it. Knows nothing about XML and hosts.
//!
//! Sources. Mac models: Apple's lists of the Macs each release supports, as far as DarwinKVM's chart
//! goes. Instruction sets: what reports of guests that stop agree on (kholia/OSX-KVM#207,
//! Coopydood/ultimate-macOS-KVM#10; dortania's legacy patcher keeps the same list). Network: virtio
//! without further drivers from 11 on (johncolby/macOS-KVM#1), vmxnet3 in between
//! (kholia/OSX-KVM#98), e1000-82545em before. Disks: as virtio networks, one release later than the
//! first reports of success (SpaceinvaderOne/Macinabox#10). USB: 14.4 drives xHCI only
//! (kholia/OSX-KVM#238), and xHCI works long before (quickemu-project/quickemu#981) but not in Mojave
//! (notAperson535/OneClick-macOS-Simple-KVM#129).

use std::fmt;

use crate::text;

/// One release.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// As `--macos` takes it: `big-sur`.
    pub name: &'static str,
    /// As Apple writes it: `Big Sur`.
    pub title: &'static str,
    /// `10.15`, `11`.
    pub number: &'static str,
    /// The least instruction set its binaries use.
    pub minimum: Instructions,
    /// libvirt's model of a network device it has a driver for.
    pub nic: &'static str,
    /// The bus of its disks.
    pub disk_bus: DiskBus,
    /// The USB controller it drives.
    pub usb: Usb,
    /// libvirt's model of a video device: `virtio` where there is a driver, otherwise `vga`, whose
    /// picture the firmware sets up.
    pub video: &'static str,
}

/// Instruction sets that releases came to need; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Less than any Mac with Intel's 64-bit processors has.
    Sse3,
    /// Every 64-bit Intel Mac: SSSE3.
    Ssse3,
    /// Penryn.
    Sse41,
    /// Nehalem.
    Sse42,
    /// Haswell.
    Avx2,
}

/// Bus of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    /// `virtio`.
    Virtio,
    /// `sata`.
    Sata,
}

/// Generation of the USB controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usb {
    /// `ich9-ehci1` with its three UHCI companions.
    Usb2,
    /// `qemu-xhci`.
    Usb3,
}

/// One Mac model.
#[derive(Debug, PartialEq, Eq)]
pub struct Mac {
    /// As SMBIOS names it.
    pub model: &'static str,
    /// Year it came out.
    pub year: u16,
    /// Name of the first release in [`RELEASES`] it runs.
    first: &'static str,
    /// Name of the last one.
    last: &'static str,
}

/// All releases, oldest first.
pub const RELEASES: &[Release] = &[
    old("lion", "Lion", "10.7", Instructions::Ssse3),
    old(
        "mountain-lion",
        "Mountain Lion",
        "10.8",
        Instructions::Ssse3,
    ),
    old("mavericks", "Mavericks", "10.9", Instructions::Ssse3),
    old("yosemite", "Yosemite", "10.10", Instructions::Ssse3),
    old("el-capitan", "El Capitan", "10.11", Instructions::Ssse3),
    old("sierra", "Sierra", "10.12", Instructions::Sse41),
    old("high-sierra", "High Sierra", "10.13", Instructions::Sse41),
    old("mojave", "Mojave", "10.14", Instructions::Sse41),
    Release {
        nic: "vmxnet3",
        usb: Usb::Usb3,
        ..old("catalina", "Catalina", "10.15", Instructions::Sse42)
    },
    new("big-sur", "Big Sur", "11", Instructions::Sse42),
    new("monterey", "Monterey", "12", Instructions::Sse42),
    new("ventura", "Ventura", "13", Instructions::Avx2),
    new("sonoma", "Sonoma", "14", Instructions::Avx2),
    new("sequoia", "Sequoia", "15", Instructions::Avx2),
    new("tahoe", "Tahoe", "26", Instructions::Avx2),
];

/// The last release for Intel processors.
const NEWEST: &Release = &RELEASES[RELEASES.len() - 1];

/// The Mac models there are profiles for, newest first. Releases before Lion are not in the
/// table, though the older models run them as well.
pub const MACS: &[Mac] = &[
    mac("MacPro7,1", 2019, "catalina", "tahoe"),
    mac("MacPro5,1", 2010, "lion", "mojave"),
    mac("MacPro4,1", 2009, "lion", "el-capitan"),
    mac("MacPro3,1", 2008, "lion", "el-capitan"),
    mac("MacPro2,1", 2007, "lion", "lion"),
];

/// Before virtio drivers.
const fn old(
    name: &'static str,
    title: &'static str,
    number: &'static str,
    minimum: Instructions,
) -> Release {
    Release {
        name,
        title,
        number,
        minimum,
        nic: "e1000-82545em",
        disk_bus: DiskBus::Sata,
        usb: Usb::Usb2,
        video: "vga",
    }
}

/// With virtio drivers.
const fn new(
    name: &'static str,
    title: &'static str,
    number: &'static str,
    minimum: Instructions,
) -> Release {
    Release {
        name,
        title,
        number,
        minimum,
        nic: "virtio",
        disk_bus: DiskBus::Virtio,
        usb: Usb::Usb3,
        video: "virtio",
    }
}

const fn mac(model: &'static str, year: u16, first: &'static str, last: &'static str) -> Mac {
    Mac {
        model,
        year,
        first,
        last,
    }
}

/// A release, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The release.
    pub release: &'static Release,
    /// A clause for reasons: `as --macos says`, `the newest for a MacPro7,1`.
    pub why: String,
    /// What does not go together.
    pub note: Option<String>,
}

impl Choice {
    /// What was asked for, or the newest release of the Mac model, or the newest there is.
    /// `release` and `model` are values of the settings `macos` and `mac.model`.
    pub fn of(release: Option<&str>, model: Option<&str>) -> Choice {
        let mac = model.and_then(Mac::find);
        match (release.and_then(|asked| Release::find(asked).ok()), mac) {
            (Some(release), mac) => Choice {
                release,
                why: "as --macos says".to_owned(),
                note: mac.filter(|mac| !mac.runs(release)).map(|mac| {
                    format!(
                        "a {} does not run {release}: it runs {}",
                        mac.model,
                        mac.range()
                    )
                }),
            },
            (None, Some(mac)) => Choice {
                release: mac.newest(),
                why: format!("the newest for a {}; --macos chooses another", mac.model),
                note: None,
            },
            (None, None) => Choice {
                release: NEWEST,
                why: "the newest; --macos chooses another".to_owned(),
                note: None,
            },
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.release, self.why)
    }
}

impl Release {
    /// The release of a name (`big-sur`, `Big Sur`, `bigsur`) or number (`11`, `11.6`, `10.13.6`), in
    /// any case, with or without `macOS` before it.
    ///
    /// # Errors
    /// There is none; what was perhaps meant.
    pub fn find(text: &str) -> Result<&'static Release, String> {
        let typed = plain(text);
        let typed = ["macosx", "macos", "osx"]
            .into_iter()
            .find_map(|prefix| typed.strip_prefix(prefix))
            .unwrap_or(&typed);
        let found = RELEASES
            .iter()
            .find(|release| plain(release.name) == typed || release.has_number(typed));
        found.ok_or_else(|| {
            let names = RELEASES.iter().flat_map(|one| [one.name, one.number]);
            match text::nearest(text.trim(), names) {
                Some(nearest) if typed.len() > 2 => format!("did you mean '{nearest}'?"),
                _ => "it is a release from lion (10.7) to tahoe (26), by name or number".to_owned(),
            }
        })
    }

    /// Whether `typed` is this release's number, or one of its updates'. Big Sur also called
    /// itself 10.16.
    fn has_number(&self, typed: &str) -> bool {
        let is = |number: &str| {
            typed
                .strip_prefix(number)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let digits = typed
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        digits && (is(self.number) || (self.number == "11" && is("10.16")))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.title, self.number)
    }
}

impl Mac {
    /// The model of this name, in any case.
    pub fn find(model: &str) -> Option<&'static Mac> {
        MACS.iter()
            .find(|mac| mac.model.eq_ignore_ascii_case(model.trim()))
    }

    /// The releases it runs, oldest first.
    pub fn releases(&self) -> &'static [Release] {
        let index = |name: &str| RELEASES.iter().position(|release| release.name == name);
        match (index(self.first), index(self.last)) {
            (Some(first), Some(last)) => RELEASES.get(first..=last).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether Apple lets it run a release.
    pub fn runs(&self, release: &Release) -> bool {
        self.releases().contains(release)
    }

    /// The newest release it runs.
    pub fn newest(&self) -> &'static Release {
        self.releases().last().unwrap_or(NEWEST)
    }

    /// `Catalina 10.15 and later`, `up to Mojave 10.14`.
    pub fn range(&self) -> String {
        match self.releases() {
            [first, .., last] if last == NEWEST => format!("{first} and later"),
            _ => format!("up to {}", self.newest()),
        }
    }
}

/// The text without what people write differently.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

impl Instructions {
    /// What a processor with these features has, in Linux's or QEMU's spelling (`sse4_1`,
    /// `sse4.1`).
    pub fn of_features<'a>(features: impl Iterator<Item = &'a str> + Clone) -> Instructions {
        let has = |name: &str| {
            let is_it = |one: &str| {
                let letters = one.bytes().map(|letter| match letter {
                    b'.' | b'-' => b'_',
                    letter => letter,
                });
                one.len() == name.len() && letters.eq(name.bytes())
            };
            features.clone().any(is_it)
        };
        [Instructions::Avx2, Instructions::Sse42, Instructions::Sse41]
            .into_iter()
            .find(|set| has(set.feature()))
            .unwrap_or(Instructions::Ssse3)
    }

    /// What a QEMU CPU model has; `None` for one that is not in the table.
    /// Source: `target/i386/cpu.c` of QEMU 10.0, the oldest model of each family.
    pub fn of_model(model: &str) -> Option<Instructions> {
        const FAMILIES: &[(&str, Instructions)] = &[
            ("Conroe", Instructions::Ssse3),
            ("core2duo", Instructions::Ssse3),
            ("486", Instructions::Sse3),
            ("athlon", Instructions::Sse3),
            ("coreduo", Instructions::Sse3),
            ("kvm", Instructions::Sse3),
            ("n270", Instructions::Ssse3),
            ("pentium", Instructions::Sse3),
            ("phenom", Instructions::Sse3),
            ("qemu", Instructions::Sse3),
            ("Opteron_G1", Instructions::Sse3),
            ("Opteron_G2", Instructions::Sse3),
            ("Opteron_G3", Instructions::Sse3),
            ("Opteron_G", Instructions::Sse42),
            ("Denverton", Instructions::Sse42),
            ("Snowridge", Instructions::Sse42),
            ("KnightsMill", Instructions::Avx2),
            ("Dhyana", Instructions::Avx2),
            ("YongFeng", Instructions::Avx2),
            ("Penryn", Instructions::Sse41),
            ("Nehalem", Instructions::Sse42),
            ("Westmere", Instructions::Sse42),
            ("SandyBridge", Instructions::Sse42),
            ("IvyBridge", Instructions::Sse42),
            ("Haswell", Instructions::Avx2),
            ("Broadwell", Instructions::Avx2),
            ("Skylake", Instructions::Avx2),
            ("Cascadelake", Instructions::Avx2),
            ("Cooperlake", Instructions::Avx2),
            ("Icelake", Instructions::Avx2),
            ("SapphireRapids", Instructions::Avx2),
            ("GraniteRapids", Instructions::Avx2),
            ("SierraForest", Instructions::Avx2),
            ("EPYC", Instructions::Avx2),
        ];
        FAMILIES
            .iter()
            .find(|(family, _)| model.starts_with(family))
            .map(|(_, set)| *set)
    }

    /// The feature that stands for it, as Linux spells it.
    pub fn feature(self) -> &'static str {
        match self {
            Instructions::Sse3 => "pni",
            Instructions::Ssse3 => "ssse3",
            Instructions::Sse41 => "sse4_1",
            Instructions::Sse42 => "sse4_2",
            Instructions::Avx2 => "avx2",
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Instructions::Sse3 => "SSE3",
            Instructions::Ssse3 => "SSSE3",
            Instructions::Sse41 => "SSE4.1",
            Instructions::Sse42 => "SSE4.2",
            Instructions::Avx2 => "AVX2",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn releases_are_found_as_people_write_them() {
        for (typed, name) in [
            ("sonoma", "sonoma"),
            ("Sonoma", "sonoma"),
            ("14", "sonoma"),
            ("14.4.1", "sonoma"),
            ("macOS 14", "sonoma"),
            ("Big Sur", "big-sur"),
            ("bigsur", "big-sur"),
            ("big_sur", "big-sur"),
            ("10.16", "big-sur"),
            ("EL-CAPITAN", "el-capitan"),
            ("OS X El Capitan", "el-capitan"),
            ("macosx10.7", "lion"),
            ("10.7", "lion"),
            ("10.13.6", "high-sierra"),
            ("10.1", ""),
            ("26", "tahoe"),
            ("16", ""),
            ("snow leopard", ""),
            ("", ""),
        ] {
            let found = Release::find(typed).map_or("", |release| release.name);
            assert_eq!(found, name, "{typed}");
        }
    }

    #[test]
    fn a_slip_is_understood() {
        for (typed, message) in [
            ("senoma", "did you mean 'sonoma'?"),
            ("Ventrua", "did you mean 'ventura'?"),
            ("el-captain", "did you mean 'el-capitan'?"),
            (
                "16",
                "it is a release from lion (10.7) to tahoe (26), by name or number",
            ),
        ] {
            assert_eq!(Release::find(typed).unwrap_err(), message);
        }
    }

    #[test]
    fn the_chart_of_models() {
        let chart: Vec<String> = MACS
            .iter()
            .map(|mac| format!("{}: {}", mac.model, mac.range()))
            .collect();
        assert_eq!(
            chart,
            [
                "MacPro7,1: Catalina 10.15 and later",
                "MacPro5,1: up to Mojave 10.14",
                "MacPro4,1: up to El Capitan 10.11",
                "MacPro3,1: up to El Capitan 10.11",
                "MacPro2,1: up to Lion 10.7",
            ]
        );
        for mac in MACS {
            assert!(!mac.releases().is_empty(), "{}", mac.model);
        }
    }

    #[test]
    fn what_a_release_has() {
        for (name, minimum, nic, bus, usb, video) in [
            (
                "lion",
                "SSSE3",
                "e1000-82545em",
                DiskBus::Sata,
                Usb::Usb2,
                "vga",
            ),
            (
                "sierra",
                "SSE4.1",
                "e1000-82545em",
                DiskBus::Sata,
                Usb::Usb2,
                "vga",
            ),
            (
                "mojave",
                "SSE4.1",
                "e1000-82545em",
                DiskBus::Sata,
                Usb::Usb2,
                "vga",
            ),
            (
                "catalina",
                "SSE4.2",
                "vmxnet3",
                DiskBus::Sata,
                Usb::Usb3,
                "vga",
            ),
            (
                "big-sur",
                "SSE4.2",
                "virtio",
                DiskBus::Virtio,
                Usb::Usb3,
                "virtio",
            ),
            (
                "ventura",
                "AVX2",
                "virtio",
                DiskBus::Virtio,
                Usb::Usb3,
                "virtio",
            ),
            (
                "tahoe",
                "AVX2",
                "virtio",
                DiskBus::Virtio,
                Usb::Usb3,
                "virtio",
            ),
        ] {
            let release = Release::find(name).unwrap();
            assert_eq!(release.minimum.to_string(), minimum, "{name}");
            assert_eq!(
                (release.nic, release.disk_bus, release.usb, release.video),
                (nic, bus, usb, video),
                "{name}"
            );
        }
    }

    #[test]
    fn the_choice_follows_the_model_and_says_so() {
        for (release, model, said, note) in [
            (
                None,
                Some("MacPro7,1"),
                "Tahoe 26 (the newest for a MacPro7,1; --macos chooses another)",
                None,
            ),
            (
                None,
                Some("macpro5,1"),
                "Mojave 10.14 (the newest for a MacPro5,1; --macos chooses another)",
                None,
            ),
            (
                Some("10.15"),
                Some("MacPro7,1"),
                "Catalina 10.15 (as --macos says)",
                None,
            ),
            (
                Some("ventura"),
                Some("MacPro5,1"),
                "Ventura 13 (as --macos says)",
                Some("a MacPro5,1 does not run Ventura 13: it runs up to Mojave 10.14"),
            ),
            (
                None,
                None,
                "Tahoe 26 (the newest; --macos chooses another)",
                None,
            ),
        ] {
            let choice = Choice::of(release, model);
            assert_eq!(choice.to_string(), said);
            assert_eq!(choice.note.as_deref(), note);
        }
    }

    #[test]
    fn instruction_sets() {
        for (model, set) in [
            ("Conroe-v1", Some(Instructions::Ssse3)),
            ("Penryn", Some(Instructions::Sse41)),
            ("Westmere-v2", Some(Instructions::Sse42)),
            ("Cascadelake-Server", Some(Instructions::Avx2)),
            ("Opteron_G5", Some(Instructions::Sse42)),
            ("Opteron_G3", Some(Instructions::Sse3)),
            ("qemu64", Some(Instructions::Sse3)),
            ("max", None),
        ] {
            assert_eq!(Instructions::of_model(model), set, "{model}");
        }
        for (features, set) in [
            (&["sse4_1", "sse4_2", "avx", "avx2"][..], Instructions::Avx2),
            (&["sse4.1", "sse4.2"], Instructions::Sse42),
            (&["ssse3"], Instructions::Ssse3),
        ] {
            assert_eq!(Instructions::of_features(features.iter().copied()), set);
        }
    }
}
