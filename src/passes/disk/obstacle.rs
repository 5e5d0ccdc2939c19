//! What keeps an image from being a disk of this definition.

use roxmltree::Node;

use super::image::Image;
use crate::document::child;

/// Why an image cannot be a disk, which it is already where `disk` is given.
pub(super) fn of(image: &Image<'_>, disk: Option<Node<'_, '_>>) -> Option<String> {
    if image.is_encrypted && !disk.is_some_and(has_encryption) {
        return Some(format!(
            "'{}' is encrypted, and without an <encryption> that names a secret of libvirt's the guest would see ciphertext, or not start; add this disk by hand (virsh secret-define), and give --disk images that are not encrypted",
            image.path
        ));
    }
    None
}

/// libvirt takes it in both places.
fn has_encryption(disk: Node<'_, '_>) -> bool {
    [Some(disk), child(disk, "source")]
        .into_iter()
        .flatten()
        .any(|parent| child(parent, "encryption").is_some())
}
