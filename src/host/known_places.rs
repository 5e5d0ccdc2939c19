//! Where distributions put their UEFI builds for x86_64 guests, as data.
//!
//! Needed on hosts whose packages bring no QEMU firmware descriptor, and to recognise the
//! paths in a domain that was made on another distribution. Knows nothing about this host.
//!
//! Sources: the packages themselves (Debian 12 and 13 measured), the distributions' build files
//! for the others. OVMF without an explicit flash size is the 4 MiB layout (edk2 since 2017).

use std::fmt;

use super::ImageFormat::{self, Qcow2, Raw};

/// Flash size a build was made for. CODE and VARS fill it exactly, so the two belong together
/// only if they add up to one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeClass {
    /// CODE 1966080 bytes, VARS 131072.
    TwoMib,
    /// CODE 3653632 bytes, VARS 540672.
    FourMib,
}

impl SizeClass {
    /// Bytes of flash.
    pub const fn bytes(self) -> u64 {
        match self {
            SizeClass::TwoMib => 2 << 20,
            SizeClass::FourMib => 4 << 20,
        }
    }
}

impl fmt::Display for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SizeClass::TwoMib => "2 MiB",
            SizeClass::FourMib => "4 MiB",
        })
    }
}

/// The flash size that an image pair fills; `None` when the two do not belong together.
/// Sizes are as the guest sees them (virtual for qcow2), in bytes.
pub fn size_class(code_size: u64, vars_size: u64) -> Option<SizeClass> {
    let sum = code_size.checked_add(vars_size)?;
    [SizeClass::TwoMib, SizeClass::FourMib]
        .into_iter()
        .find(|class| class.bytes() == sum)
}

/// One UEFI build of one distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBuild {
    /// Who ships it.
    pub distribution: &'static str,
    /// Path of the CODE image.
    pub code: &'static str,
    /// Path of the VARS template that belongs to it.
    pub vars: &'static str,
    /// Flash size; `None` where releases differ under the same name.
    pub size: Option<SizeClass>,
    /// Format of both images.
    pub format: ImageFormat,
    /// Implements Secure Boot.
    pub secure_boot: bool,
    /// VARS has keys enrolled.
    pub enrolled_keys: bool,
    /// Needs System Management Mode.
    pub smm: bool,
    /// No current release ships it: kept because domains name it, and nobody misses it.
    pub retired: bool,
}

impl KnownBuild {
    /// Neither Secure Boot nor enrolled keys nor System Management Mode.
    pub const fn is_plain(&self) -> bool {
        !self.secure_boot && !self.enrolled_keys && !self.smm
    }

    const fn secure(mut self) -> Self {
        self.secure_boot = true;
        self.smm = true;
        self
    }

    const fn enrolled(mut self) -> Self {
        self.enrolled_keys = true;
        self.secure()
    }

    const fn retired(mut self) -> Self {
        self.retired = true;
        self
    }

    /// Secure Boot code in a build that does without System Management Mode.
    const fn without_smm(mut self) -> Self {
        self.secure_boot = true;
        self.smm = false;
        self
    }
}

/// The build whose CODE image has this path, whether or not it exists here. Where distributions
/// share a path, the first of the table; [`all_by_code_path`] gives the others.
pub fn by_code_path(path: &str) -> Option<&'static KnownBuild> {
    all_by_code_path(path).next()
}

/// Every build whose CODE image has this path: the same path can be a 2 MiB build on Debian and
/// a 4 MiB one on Alpine.
pub fn all_by_code_path(path: &str) -> impl Iterator<Item = &'static KnownBuild> {
    KNOWN_BUILDS.iter().filter(move |build| build.code == path)
}

const TWO: Option<SizeClass> = Some(SizeClass::TwoMib);
const FOUR: Option<SizeClass> = Some(SizeClass::FourMib);
const DIFFERS: Option<SizeClass> = None;

const fn build(
    distribution: &'static str,
    size: Option<SizeClass>,
    format: ImageFormat,
    code: &'static str,
    vars: &'static str,
) -> KnownBuild {
    KnownBuild {
        distribution,
        code,
        vars,
        size,
        format,
        secure_boot: false,
        enrolled_keys: false,
        smm: false,
        retired: false,
    }
}

const DEBIAN: &str = "Debian, Ubuntu";
const FEDORA: &str = "Fedora";
const RHEL: &str = "RHEL, CentOS";
const ARCH: &str = "Arch Linux";
const SUSE: &str = "openSUSE";
const NIXOS: &str = "NixOS";
const GENTOO: &str = "Gentoo";
const ALPINE: &str = "Alpine";
const QEMU: &str = "QEMU's own bundle";
const DARWIN: &str = "DarwinUDK";

/// The table. Order is preference: within a distribution the larger flash and the plain build
/// come first.
#[rustfmt::skip]
pub const KNOWN_BUILDS: &[KnownBuild] = &[
    build(DEBIAN, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    // 2 MiB builds: Debian up to 12, Ubuntu up to 23.04.
    build(DEBIAN, TWO, Raw, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    build(DEBIAN, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd").secure(),
    build(DEBIAN, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE_4M.secboot.strictnx.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd").secure(),
    build(DEBIAN, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd").enrolled(),
    build(DEBIAN, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd", "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd").enrolled(),
    build(DEBIAN, TWO, Raw, "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd").secure(),
    build(DEBIAN, TWO, Raw, "/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd").enrolled(),

    build(FEDORA, FOUR, Qcow2, "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
    build(FEDORA, TWO, Raw, "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    build(FEDORA, FOUR, Qcow2, "/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.secboot.qcow2").enrolled(),
    build(FEDORA, TWO, Raw, "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd").enrolled(),
    build(FEDORA, TWO, Raw, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    build(FEDORA, TWO, Raw, "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.secboot.fd").enrolled(),

    // The same names as Fedora's 2 MiB builds, with 4 MiB inside.
    build(RHEL, FOUR, Raw, "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    build(RHEL, FOUR, Raw, "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd").enrolled(),
    build(RHEL, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.secboot.fd").enrolled(),

    build(ARCH, FOUR, Raw, "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    build(ARCH, FOUR, Raw, "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd").secure(),
    // 2 MiB builds and the directory names before edk2-ovmf 202311.
    build(ARCH, TWO, Raw, "/usr/share/edk2/x64/OVMF_CODE.fd", "/usr/share/edk2/x64/OVMF_VARS.fd").retired(),
    build(ARCH, TWO, Raw, "/usr/share/edk2/x64/OVMF_CODE.secboot.fd", "/usr/share/edk2/x64/OVMF_VARS.fd").secure().retired(),
    build(ARCH, TWO, Raw, "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd").retired(),
    build(ARCH, TWO, Raw, "/usr/share/edk2-ovmf/x64/OVMF_CODE.secboot.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd").secure().retired(),
    build(ARCH, TWO, Raw, "/usr/share/ovmf/x64/OVMF_CODE.fd", "/usr/share/ovmf/x64/OVMF_VARS.fd").retired(),

    build(SUSE, FOUR, Raw, "/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
    build(SUSE, TWO, Raw, "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    build(SUSE, FOUR, Raw, "/usr/share/qemu/ovmf-x86_64-ms-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-ms-4m-vars.bin").enrolled().without_smm(),
    build(SUSE, TWO, Raw, "/usr/share/qemu/ovmf-x86_64-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-ms-vars.bin").enrolled().without_smm(),
    build(SUSE, DIFFERS, Raw, "/usr/share/qemu/ovmf-x86_64-smm-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-vars.bin").secure(),
    build(SUSE, DIFFERS, Raw, "/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin").enrolled(),

    // Links that survive upgrades and garbage collection, unlike store paths; nixpkgs before and
    // after its libvirtd module took QEMU's own builds.
    build(NIXOS, FOUR, Raw, "/run/libvirt/nix-ovmf/edk2-x86_64-code.fd", "/run/libvirt/nix-ovmf/edk2-i386-vars.fd"),
    build(NIXOS, DIFFERS, Raw, "/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd"),
    build(NIXOS, FOUR, Raw, "/run/current-system/sw/share/qemu/edk2-x86_64-code.fd", "/run/current-system/sw/share/qemu/edk2-i386-vars.fd"),
    build(NIXOS, FOUR, Raw, "/run/libvirt/nix-ovmf/edk2-x86_64-secure-code.fd", "/run/libvirt/nix-ovmf/edk2-i386-vars.fd").secure(),
    build(NIXOS, DIFFERS, Raw, "/run/libvirt/nix-ovmf/OVMF_CODE.ms.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.ms.fd").enrolled(),

    build(GENTOO, FOUR, Qcow2, "/usr/share/edk2/OvmfX64/OVMF_CODE_4M.qcow2", "/usr/share/edk2/OvmfX64/OVMF_VARS_4M.qcow2"),
    build(GENTOO, TWO, Raw, "/usr/share/edk2/OvmfX64/OVMF_CODE.fd", "/usr/share/edk2/OvmfX64/OVMF_VARS.fd"),
    build(GENTOO, TWO, Raw, "/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd"),
    build(GENTOO, FOUR, Qcow2, "/usr/share/edk2/OvmfX64/OVMF_CODE_4M.secboot.qcow2", "/usr/share/edk2/OvmfX64/OVMF_VARS_4M.secboot.qcow2").enrolled(),
    build(GENTOO, TWO, Raw, "/usr/share/edk2/OvmfX64/OVMF_CODE.secboot.fd", "/usr/share/edk2/OvmfX64/OVMF_VARS.secboot.fd").enrolled(),
    build(GENTOO, TWO, Raw, "/usr/share/edk2-ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2-ovmf/OVMF_VARS.secboot.fd").enrolled(),

    build(QEMU, FOUR, Raw, "/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
    build(QEMU, FOUR, Raw, "/usr/share/qemu/edk2-x86_64-secure-code.fd", "/usr/share/qemu/edk2-i386-vars.fd").secure(),
    build(QEMU, FOUR, Raw, "/usr/local/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd"),

    // Alpine's ovmf package: its only build has Secure Boot compiled in, no SMM and no keys
    // (setup mode: it starts unsigned programs). Debian's 2 MiB build has the same path.
    build(ALPINE, FOUR, Raw, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd").without_smm(),

    build(DARWIN, DIFFERS, Raw, "/usr/share/DarwinUDK/x64/DUDK_CODE.fd", "/usr/share/DarwinUDK/x64/DUDK_VARS.fd"),
    build(DARWIN, DIFFERS, Raw, "/usr/share/DarwinUDK/x64/OVMF_CODE.fd", "/usr/share/DarwinUDK/x64/OVMF_VARS.fd"),
    build(DARWIN, DIFFERS, Raw, "/usr/share/DarwinUDK/DUDK_CODE.fd", "/usr/share/DarwinUDK/DUDK_VARS.fd"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sizes_must_fill_the_flash() {
        for (code, vars, expected) in [
            (1_966_080, 131_072, TWO),
            (3_653_632, 540_672, FOUR),
            (3_653_632, 131_072, None),
            (1_966_080, 540_672, None),
            (4 << 20, 0, FOUR),
            (0, 0, None),
            (u64::MAX, 1, None),
        ] {
            assert_eq!(size_class(code, vars), expected, "{code}+{vars}");
        }
    }

    #[test]
    fn the_table_is_consistent() {
        let mut seen = BTreeSet::new();
        for known in KNOWN_BUILDS {
            assert!(
                seen.insert((known.distribution, known.code)),
                "twice: {known:?}"
            );
            assert!(
                known.code.starts_with('/') && known.vars.starts_with('/'),
                "{known:?}"
            );
            let directory = |path: &'static str| path.rsplit_once('/').unwrap().0;
            assert_eq!(directory(known.code), directory(known.vars), "{known:?}");
            assert_eq!(
                known.format == Qcow2,
                known.code.ends_with(".qcow2"),
                "{known:?}"
            );
            assert!(known.secure_boot || !known.enrolled_keys, "{known:?}");
            let loud = ["secboot", "secure", ".ms.", "-ms-", "-smm-", "snakeoil"];
            let named = loud.iter().any(|part| known.code.contains(part));
            assert_eq!(
                named || known.distribution == ALPINE,
                known.secure_boot,
                "{known:?}"
            );
        }
    }

    #[test]
    fn paths_of_other_distributions_are_recognised() {
        let arch = by_code_path("/usr/share/edk2/x64/OVMF_CODE.4m.fd").unwrap();
        assert_eq!(
            (arch.distribution, arch.size, arch.is_plain()),
            (ARCH, FOUR, true)
        );
        assert_eq!(by_code_path("/tmp/OVMF_CODE.fd"), None);
        let shared = all_by_code_path("/usr/share/OVMF/OVMF_CODE.fd");
        let sizes: Vec<_> = shared
            .map(|known| (known.distribution, known.size))
            .collect();
        assert_eq!(sizes, [(DEBIAN, TWO), (FEDORA, TWO), (ALPINE, FOUR)]);
    }
}
