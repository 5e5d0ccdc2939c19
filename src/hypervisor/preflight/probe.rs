//! What a running QEMU really has, asked over QMP. QEMU answers for itself: what libvirt or the
//! definition say is not asked here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Check;
use super::expect::{AppleSmc, Expected, HOTPLUG, Topology};
use crate::hypervisor::HypervisorError;

/// Sends one QMP command and returns the whole answer.
pub(super) type Ask<'a> = dyn FnMut(&str) -> Result<String, HypervisorError> + 'a;

/// Compares what is expected with what QEMU says.
pub(super) fn checks(
    expected: &Expected,
    ask: &mut Ask<'_>,
) -> Result<Vec<Check>, HypervisorError> {
    let mut probe = Probe { ask };
    let mut checks = Vec::new();
    let running = probe.call("query-cpus-fast", json!({}))?;
    let cpus = running.as_array().map_or(0, Vec::len);
    let first = running
        .pointer("/0/qom-path")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let accelerated =
        probe.call("query-kvm", json!({}))?.get("enabled") == Some(&Value::Bool(true));

    checks.extend(
        expected
            .vcpus
            .map(|vcpus| Check::of("vcpus", vcpus.to_string(), cpus.to_string())),
    );
    if let Some(topology) = expected.topology {
        checks.push(Check::of(
            "topology",
            topology.to_string(),
            probe.topology()?.to_string(),
        ));
    }
    if let Some(model) = &expected.cpu_model {
        checks.push(probe.model(model, &first)?);
    }
    if let Some(vendor) = &expected.cpu_vendor {
        let found = probe.property(&first, "vendor")?;
        checks.push(Check::of(
            "CPU vendor",
            vendor.clone(),
            text(found.as_ref()),
        ));
    }
    if expected.topoext {
        let found = probe.property(&first, "topoext")?;
        checks.push(topoext(found.as_ref(), accelerated));
    }
    if let Some(applesmc) = &expected.applesmc {
        checks.push(probe.applesmc(applesmc)?);
    }
    if let Some((device, on)) = &expected.hotplug {
        checks.push(probe.hotplug(device, *on)?);
    }
    Ok(checks)
}

struct Probe<'p, 'a> {
    ask: &'p mut Ask<'a>,
}

impl Probe<'_, '_> {
    /// The return value of a command; an error of QEMU's is one of ours.
    fn call(&mut self, command: &str, arguments: Value) -> Result<Value, HypervisorError> {
        self.try_call(command, arguments)?
            .map_err(|problem| bad_answer(command, problem))
    }

    /// The return value of a command, or QEMU's own error.
    fn try_call(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<Result<Value, String>, HypervisorError> {
        let answer =
            (self.ask)(&json!({ "execute": command, "arguments": arguments }).to_string())?;
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|error| bad_answer(command, error.to_string()))?;
        match (answer.get("return"), answer.pointer("/error/desc")) {
            (Some(value), _) => Ok(Ok(value.clone())),
            (None, Some(error)) => Ok(Err(text(Some(error)))),
            (None, None) => Err(bad_answer(
                command,
                "neither 'return' nor 'error'".to_owned(),
            )),
        }
    }

    /// A property; `None` when the object does not have it.
    fn property(&mut self, path: &str, name: &str) -> Result<Option<Value>, HypervisorError> {
        Ok(self
            .try_call("qom-get", json!({ "path": path, "property": name }))?
            .ok())
    }

    /// The objects of a type, wherever QEMU keeps devices.
    fn devices(&mut self, type_name: &str) -> Result<Vec<String>, HypervisorError> {
        let wanted = format!("child<{type_name}>");
        let mut found = Vec::new();
        for container in [
            "/machine/peripheral-anon",
            "/machine/peripheral",
            "/machine/unattached",
        ] {
            let listing = self.call("qom-list", json!({ "path": container }))?;
            for entry in listing.as_array().into_iter().flatten() {
                if entry.get("type").and_then(Value::as_str) == Some(&wanted) {
                    found.push(format!("{container}/{}", text(entry.get("name"))));
                }
            }
        }
        Ok(found)
    }

    fn topology(&mut self) -> Result<Topology, HypervisorError> {
        let slots = self.call("query-hotpluggable-cpus", json!({}))?;
        let mut seen: [BTreeSet<u64>; 4] = Default::default();
        for slot in slots.as_array().into_iter().flatten() {
            for (level, name) in
                seen.iter_mut()
                    .zip(["socket-id", "die-id", "core-id", "thread-id"])
            {
                level.insert(
                    slot.pointer(&format!("/props/{name}"))
                        .and_then(Value::as_u64)
                        .unwrap_or(0),
                );
            }
        }
        let [sockets, dies, cores, threads] =
            seen.map(|level| u32::try_from(level.len()).unwrap_or(0));
        Ok(Topology {
            sockets,
            dies,
            cores,
            threads,
        })
    }

    /// Names and aliases of models are QEMU's to resolve.
    fn model(&mut self, expected: &str, first: &str) -> Result<Check, HypervisorError> {
        let found = text(self.property(first, "type")?.as_ref());
        let definitions = self.call("query-cpu-definitions", json!({}))?;
        let definitions = definitions.as_array().cloned().unwrap_or_default();
        let named = |name: &str| {
            definitions
                .iter()
                .find(|one| one.get("name").and_then(Value::as_str) == Some(name))
        };
        let type_of = |one: &Value| {
            one.get("typename")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let alias = named(expected)
            .and_then(|one| one.get("alias-of"))
            .and_then(Value::as_str)
            .and_then(named);
        let fits: Vec<_> = named(expected)
            .into_iter()
            .chain(alias)
            .filter_map(type_of)
            .collect();
        let name = definitions
            .iter()
            .find(|one| type_of(one).as_ref() == Some(&found))
            .map_or_else(|| found.clone(), |one| text(one.get("name")));
        let same = fits.contains(&found);
        Ok(Check {
            what: "CPU model".to_owned(),
            expected: expected.to_owned(),
            found: if same { expected.to_owned() } else { name },
            ok: Some(same),
        })
    }

    fn applesmc(&mut self, expected: &AppleSmc) -> Result<Check, HypervisorError> {
        let devices = self.devices("isa-applesmc")?;
        let key = match devices.first() {
            Some(device) => self.property(device, "osk")?,
            None => None,
        };
        let same = key.as_ref().and_then(Value::as_str) == expected.osk.as_deref();
        let (found, ok) = match (devices.len(), &expected.osk) {
            (0, _) => ("no device", false),
            // QEMU starts without a proper key and then answers the guest with a dummy.
            (1, None) => ("one device without a key", false),
            (1, Some(osk)) if osk.len() != OSK_LENGTH => {
                ("one device with a key of the wrong length", false)
            }
            (1, Some(_)) if same => ("one device with the key of the definition", true),
            (1, Some(_)) => ("one device with another key", false),
            _ => ("several devices", false),
        };
        Ok(Check {
            what: "Apple SMC".to_owned(),
            expected: "one device with the key of the definition".to_owned(),
            found: found.to_owned(),
            ok: Some(ok),
        })
    }

    fn hotplug(&mut self, device: &str, expected: bool) -> Result<Check, HypervisorError> {
        let found = match self.devices(device)?.first() {
            Some(path) => self.property(path, HOTPLUG)?,
            None => None,
        };
        let found = match found {
            Some(Value::Bool(on)) => on_off(on).to_owned(),
            _ => format!("no such property of {device}"),
        };
        Ok(Check::of(
            "ACPI PCI hotplug",
            on_off(expected).to_owned(),
            found,
        ))
    }
}

/// Bytes of the key `isa-applesmc` accepts; with any other it only warns and uses a dummy.
const OSK_LENGTH: usize = 64;

/// Emulation never shows the guest this feature, whatever was asked for: it proves nothing.
fn topoext(found: Option<&Value>, accelerated: bool) -> Check {
    let on = found == Some(&Value::Bool(true));
    let found = match (on, accelerated) {
        (true, _) => "on",
        (false, true) => "off",
        (false, false) => "cannot be seen without hardware virtualization",
    };
    Check {
        what: "topoext".to_owned(),
        expected: "on".to_owned(),
        found: found.to_owned(),
        ok: (on || accelerated).then_some(on),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    }
}

fn bad_answer(command: &str, problem: String) -> HypervisorError {
    HypervisorError::BadAnswer {
        doing: format!("ask QEMU with '{command}'"),
        problem,
    }
}
