//! Lines for a shell, as users write them.

use std::path::Path;
use std::process::Command;

/// Runs a line in a shell that finds virt-patch: exit status, output, errors.
pub fn shell(place: &Path, line: &str) -> (i32, String, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_virt-patch"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", line])
        .current_dir(place)
        .env("PATH", path)
        .env("XDG_CONFIG_HOME", place.join("config"));
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
