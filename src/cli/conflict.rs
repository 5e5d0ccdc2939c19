//! What someone else did to a domain since the diff was made of it.

use std::path::Path;

use super::World;
use super::connection::{must_be_stored, must_start_anew};
use crate::hypervisor::{DomainInfo, Hypervisor};
use crate::report::diff::{DiffOptions, Labels, unified};
use crate::report::mask;

/// The domain as it is now, after a question that may have stood there for hours; `None` when someone
/// undefined it meanwhile, which is then said.
///
/// # Errors
/// It cannot be looked at, or must not be redefined as it is now. Nothing was changed.
pub(super) fn look_again(
    info: &DomainInfo,
    connection: &dyn Hypervisor,
    force: bool,
    world: &mut World<'_>,
) -> anyhow::Result<Option<DomainInfo>> {
    let now = match connection.find(&info.uuid) {
        Err(error) if error.is_no_domain() => None,
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!(
                "'{}' could not be looked at again; nothing was changed",
                info.name
            )));
        }
        Ok(now) => Some(now),
    };
    let was_stored = info.persistent;
    let Some(now) = now.filter(|now| now.persistent || !was_stored) else {
        tell(&info.name, "", "", world);
        return Ok(None);
    };
    if was_stored {
        must_be_stored(&now)?;
    }
    must_start_anew(&now, force)?;
    Ok(Some(now))
}

/// Says what became of a domain that had the definition `before`: `now`, empty for none.
pub(super) fn tell(name: &str, before: &str, now: &str, world: &mut World<'_>) {
    let what = match (before.is_empty(), now.is_empty()) {
        (_, true) => {
            world.out.always(&format!(
                "'{name}' was undefined by someone else since the diff was made; nothing was changed by this."
            ));
            return;
        }
        (true, false) => "defined",
        (false, false) => "changed",
    };
    world.out.always(&format!(
        "'{name}' was {what} by someone else since the diff was made; nothing was changed by this. Their change:"
    ));
    let masked = mask::mask_pair(before, now);
    let labels = Labels::domain(name, "then and now");
    let options = DiffOptions {
        color: false,
        terminal: true,
        ..DiffOptions::default()
    };
    let diff = unified(&masked.before, &masked.after, &labels, &options);
    world.out.always(diff.trim_end());
}

/// Says where the definition is that did not stay.
pub(super) fn tell_aside(aside: Option<&Path>, world: &mut World<'_>) {
    if let Some(aside) = aside {
        world.out.always(&format!(
            "What libvirt had stored is kept in '{}'; if someone else edited the domain in that moment, their change is in it.",
            aside.display()
        ));
    }
}
