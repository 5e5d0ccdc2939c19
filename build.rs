//! Links GCC's unwinder into the binaries, where its compiler has it as an archive.
//!
//! Rust links libgcc_s for it: a library more to find, map and relocate at each start, whose constructor also asks the
//! processor what it is, which traps in a virtual machine: a fifth of what a filter pays that runs for a
//! millisecond. Without the archive (another linker, another C library) all is as Rust has it.

use std::env;
use std::path::Path;
use std::process::Command;

/// Of GCC: what libgcc_s has of unwinding.
const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let is_gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|of| of == "gnu");
    // Another machine's compiler may be set up in ways that are not seen from here.
    let is_native = env::var("HOST") == env::var("TARGET");
    if is_gnu && is_native && compiler_has(ARCHIVE) {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
}

/// A compiler that has no such file prints the name as it got it.
fn compiler_has(file: &str) -> bool {
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let answer = Command::new(linker)
        .arg(format!("-print-file-name={file}"))
        .output();
    answer.is_ok_and(|answer| {
        let path = String::from_utf8_lossy(&answer.stdout);
        let path = Path::new(path.trim());
        path.is_absolute() && path.is_file()
    })
}
