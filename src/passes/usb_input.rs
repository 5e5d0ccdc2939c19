//! Give the guest a keyboard and a pointer that is where the mouse is.
//!
//! **Ensures** a USB tablet and a USB keyboard, as `<input … bus='usb'/>`, or as QEMU arguments
//! (`-usb -device usb-tablet -device usb-kbd`) with `usb-input.style=literal`.
//! **Why.** macOS has drivers for neither PS/2 nor virtio input. A tablet reports positions; a
//! mouse reports movements, which drift away from the pointer of the viewer.
//! **Applies when** the guest is x86_64.
//! **Leaves alone** a tablet or keyboard that is there in either form, and other input devices.
//! **Blocked** when the domain switches USB off; as arguments, when it has ich9 USB controllers:
//! those of `-usb` sit in the same slot. On the template both make way.
//!
//! ```xml,before
//! <devices>
//!   <input type='tablet' bus='usb'/>
//! </devices>
//! ```
//! ```xml,after
//! <devices>
//!   <input type='tablet' bus='usb'/>
//!   <input type='keyboard' bus='usb'/>
//! </devices>
//! ```

use roxmltree::Node;

use super::settings::{Setting, one_of};
use super::{Context, Ensure, Needs, Outcome, Pass, guest, usb};
use crate::document::{Document, qemu};
use crate::merge::{Op, Patch, options};
use crate::text;

/// The pass.
pub const PASS: Pass = Pass {
    name: "usb-input",
    summary: "a USB tablet and a USB keyboard",
    source: include_str!("usb_input.rs"),
    needs: Needs {
        cpu: false,
        firmware: false,
        emulators: false,
        machine: false,
    },
    settings: SETTINGS,
    files: super::no_files,
    run,
};

const SETTINGS: &[Setting] = &[Setting {
    key: "usb-input.style",
    values: "native|literal",
    about: "<input bus='usb'/>, or -usb -device usb-tablet -device usb-kbd in qemu:commandline",
    check: |value| one_of(value, &["native", "literal"]),
}];

/// One input device in its two forms.
struct Input {
    /// `<input type=…>`.
    kind: &'static str,
    /// `-device`.
    driver: &'static str,
    /// The patch for this one as arguments.
    literal: &'static str,
}

const INPUTS: [Input; 2] = [
    Input {
        kind: "tablet",
        driver: "usb-tablet",
        literal: include_str!("../../patches/usb-input-literal-tablet.xml"),
    },
    Input {
        kind: "keyboard",
        driver: "usb-kbd",
        literal: include_str!("../../patches/usb-input-literal-keyboard.xml"),
    },
];

fn run(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    if let Some(reason) = guest::not_ours(document) {
        return Outcome::NotApplicable(reason);
    }
    let literal = context.settings.get("usb-input.style") == Some("literal");
    let missing: Vec<&Input> = INPUTS
        .iter()
        .filter(|input| !input.is_there(document, literal && context.template))
        .collect();
    let outcome = match (missing.is_empty(), literal) {
        (true, _) => Ok(Patch::new("usb-input", "<domain/>")),
        (false, true) => as_arguments(document, context, &missing),
        (false, false) => as_elements(document, &missing),
    };
    let mut patch = match outcome {
        Ok(patch) => patch,
        Err(reason) => return Outcome::blocked(reason),
    };
    let notes = match literal {
        true => Vec::new(),
        false => usb::make_room(document, missing.len(), &mut patch),
    };
    let names: Vec<&str> = missing.iter().map(|input| input.kind).collect();
    Ensure::new(
        patch,
        format!(
            "macOS drives USB input only, and there is no USB {}",
            text::list(&names)
        ),
        "a USB tablet and a USB keyboard are there",
    )
    .noting(notes)
    .into()
}

impl Input {
    /// In either form; on a new machine only the one that was asked for counts.
    fn is_there(&self, document: &Document<'_>, only_literal: bool) -> bool {
        let native = document.devices("input").any(|input| self.is(input));
        let literal = qemu::groups(document.root()).iter().any(|group| {
            group.option == "device"
                && options::driver(group.value()).is_some_and(|(driver, _)| driver == self.driver)
        });
        literal || (native && !only_literal)
    }

    fn is(&self, input: Node<'_, '_>) -> bool {
        input.attribute("type") == Some(self.kind) && input.attribute("bus") == Some("usb")
    }
}

fn as_elements(document: &Document<'_>, missing: &[&Input]) -> Result<Patch, String> {
    let off = controllers(document).find(|one| one.attribute("model") == Some("none"));
    if let Some(off) = off {
        return Err(format!(
            "line {} switches USB off (<controller type='usb' model='none'/>), and macOS has no other input devices; take it out first",
            document.position(off.range().start).line
        ));
    }
    let [input] = missing else {
        let both = include_str!("../../patches/usb-input.xml");
        return Ok(Patch::new("usb-input", both));
    };
    let mut patch = Patch::new("usb-input", "<domain/>");
    let mut element = xmltree::Element::new("input");
    for (name, value) in [("type", input.kind), ("bus", "usb")] {
        element.attributes.insert(name.to_owned(), value.to_owned());
    }
    patch.add(&["devices"], Op::Merge, element);
    Ok(patch)
}

fn as_arguments(
    document: &Document<'_>,
    context: &Context<'_>,
    missing: &[&Input],
) -> Result<Patch, String> {
    let text = match missing {
        [one] => one.literal,
        _ => include_str!("../../patches/usb-input-literal.xml"),
    };
    let mut patch = Patch::new("usb-input", text);
    let inputs: Vec<Node<'_, '_>> = document.devices("input").collect();
    for input in inputs.iter().filter(|_| context.template) {
        if INPUTS.iter().any(|one| one.is(*input)) {
            patch.remove_at(*input);
        }
    }
    // Measured with QEMU 7.2: "slot 29 function 7 not available for ich9-usb-ehci1".
    for controller in controllers(document).filter(|one| is_ich9(*one)) {
        if !context.template {
            return Err(format!(
                "-usb puts ich9 controllers into the slot where libvirt has the one in line {}, and QEMU does not start with both; --set usb-input.style=native",
                document.position(controller.range().start).line
            ));
        }
        patch.remove_at(controller);
    }
    Ok(patch)
}

fn controllers<'a>(document: &'a Document<'_>) -> impl Iterator<Item = Node<'a, 'a>> {
    document
        .devices("controller")
        .filter(|controller| controller.attribute("type") == Some("usb"))
}

fn is_ich9(controller: Node<'_, '_>) -> bool {
    let model = controller.attribute("model");
    model.is_some_and(|model| model.starts_with("ich9-"))
}
