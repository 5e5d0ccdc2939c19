//! f
use super::{Context, Needs, Outcome, Pass};
use crate::document::Document;
/// The pass.
pub const PASS: Pass = Pass {
    name: "firmware",
    summary: "an OVMF CODE image and the VARS template that belongs to it, without secure boot",
    source: include_str!("firmware.rs"),
    needs: Needs {
        cpu: false,
        firmware: true,
        emulators: false,
        machine: false,
    },
    run,
};
fn run(_: &Document<'_>, _: &Context<'_>) -> Outcome {
    Outcome::NotApplicable(String::new())
}
