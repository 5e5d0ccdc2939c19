//! `<os>` as the firmware pass reads it.

use roxmltree::Node;

use crate::document::{Document, child, children, text_of};
use crate::host::ImageFormat;

/// libvirt 9.0: "UEFI requires ACPI on this architecture".
pub(super) const NEEDS_ACPI: &str = "UEFI needs ACPI";

/// What a definition says about firmware.
#[derive(Debug, Default)]
pub(super) struct Os<'d> {
    /// `<os firmware=…>`.
    pub(super) firmware: Option<&'d str>,
    secure_boot: Option<bool>,
    enrolled_keys: Option<bool>,
    /// Path of the CODE image.
    pub(super) loader: Option<&'d str>,
    /// `<loader readonly=…>`.
    pub(super) readonly: Option<&'d str>,
    /// There is a `<firmware>`.
    has_features: bool,
    /// `<loader type=…>`.
    pub(super) loader_type: Option<&'d str>,
    /// `<loader secure=…>`.
    pub(super) secure: Option<&'d str>,
    /// `<loader stateless=…>`.
    pub(super) stateless: Option<&'d str>,
    /// `<loader format=…>`.
    pub(super) loader_format: Option<&'d str>,
    /// `<nvram template=…>`.
    pub(super) template: Option<&'d str>,
    /// `<nvram templateFormat=…>`.
    pub(super) template_format: Option<&'d str>,
    /// `<nvram format=…>`.
    pub(super) nvram_format: Option<&'d str>,
    /// Path of the domain's own nvram file.
    pub(super) nvram: Option<&'d str>,
    /// The path stands in `<nvram type='file'><source file=…>`.
    pub(super) nvram_in_source: bool,
    /// `<nvram type=…>` other than `file`: a block device or a network volume.
    pub(super) nvram_elsewhere: Option<&'d str>,
}

impl<'d> Os<'d> {
    pub(super) fn read(document: &'d Document<'_>) -> Os<'d> {
        let Some(os) = document.find(&["os"]) else {
            return Os::default();
        };
        let loader = child(os, "loader");
        let nvram = child(os, "nvram");
        let of =
            |node: Option<Node<'d, '_>>, name: &str| node.and_then(|node| node.attribute(name));
        let source = nvram.and_then(|nvram| child(nvram, "source"));
        Os {
            firmware: os.attribute("firmware"),
            secure_boot: feature(os, "secure-boot"),
            enrolled_keys: feature(os, "enrolled-keys"),
            loader: loader.and_then(text_of),
            readonly: of(loader, "readonly"),
            has_features: child(os, "firmware").is_some(),
            loader_type: of(loader, "type"),
            secure: of(loader, "secure"),
            stateless: of(loader, "stateless"),
            loader_format: of(loader, "format"),
            template: of(nvram, "template"),
            template_format: of(nvram, "templateFormat"),
            nvram_format: of(nvram, "format"),
            nvram: nvram
                .and_then(text_of)
                .or_else(|| source.and_then(|source| source.attribute("file"))),
            nvram_in_source: source.is_some(),
            nvram_elsewhere: of(nvram, "type").filter(|kind| *kind != "file"),
        }
    }

    /// Why a pair that is right is written another way.
    pub(super) fn form_problem(
        &self,
        document: &Document<'_>,
        code_format: ImageFormat,
        vars_format: ImageFormat,
    ) -> &'static str {
        let vars = vars_format.to_string();
        let other = |format: Option<&str>| format.is_some_and(|format| format != vars);
        if self.has_features && self.firmware.is_none() {
            "libvirt refuses <firmware> features without firmware='efi'"
        } else if self.loader_type != Some("pflash") {
            "without type='pflash' libvirt loads the image as ROM"
        } else if self.readonly != Some("yes") {
            "without readonly='yes' libvirt makes no nvram file"
        } else if self.loader_format.unwrap_or("raw") != code_format.to_string() {
            "the format of the images is not what the definition says"
        } else if other(self.template_format) || other(self.nvram_format) {
            "the format of the template is not what the definition says"
        } else if document.find(&["features", "acpi"]).is_none() {
            NEEDS_ACPI
        } else if vars_format == ImageFormat::Qcow2
            && (self.template_format.is_none() || self.nvram_format.is_none())
        {
            "the images are qcow2, and the definition does not say so of each"
        } else {
            "the pair is right, and is written the way every libvirt takes it"
        }
    }

    /// The definition is one of a guest that boots with BIOS.
    pub(super) fn means_bios(&self) -> bool {
        match self.loader {
            None => self.firmware != Some("efi"),
            Some(loader) => {
                let name = loader.rsplit('/').next().unwrap_or(loader);
                self.loader_type != Some("pflash") && name.contains("bios")
            }
        }
    }

    /// The features demand Secure Boot or enrolled keys.
    pub(super) fn demands_secure_boot(&self) -> bool {
        self.secure == Some("yes")
            || self.secure_boot == Some(true)
            || self.enrolled_keys == Some(true)
    }

    /// What stands beside firmware='efi' that libvirt before 9.2 refuses: all but `secure`.
    pub(super) fn has_more_than_a_choice(&self) -> bool {
        self.readonly.is_some()
            || self.loader_type.is_some()
            || self.loader_format.is_some()
            || self.template.is_some()
            || self.template_format.is_some()
            || self.nvram_format.is_some()
    }

    /// The features rule Secure Boot out. That keys are not enrolled is not enough: libvirt then
    /// takes the Secure Boot build with an empty variable store (measured with 11.3).
    pub(super) fn refuses_secure_boot(&self) -> bool {
        self.secure_boot == Some(false)
    }
}

fn feature(os: Node<'_, '_>, name: &str) -> Option<bool> {
    let firmware = child(os, "firmware")?;
    // libvirt takes the last of two.
    let feature = children(firmware, "feature")
        .filter(|feature| feature.attribute("name") == Some(name))
        .last()?;
    Some(feature.attribute("enabled") == Some("yes"))
}
