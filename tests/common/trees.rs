//! Builds the directory trees described in fixtures/trees/*.toml.
//!
//! A description is a few kilobytes; the tree it stands for has images of their true sizes, as
//! sparse files. Include it with `#[path = "common/trees.rs"] mod trees;`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One description.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// What this is, for people.
    #[allow(dead_code)]
    about: String,
    /// Another description to start from.
    extends: Option<String>,
    /// MemTotal of /proc/meminfo.
    memory_kib: Option<u64>,
    /// Written as /proc/cpuinfo.
    cpu: Option<Cpu>,
    /// Raw files and their sizes.
    #[serde(default)]
    sizes: BTreeMap<String, u64>,
    /// qcow2 images and their virtual sizes; only the header is there.
    #[serde(default)]
    qcow2: BTreeMap<String, u64>,
    /// Symbolic links and their targets.
    #[serde(default)]
    links: BTreeMap<String, String>,
    /// x86_64 ELF executables: a header and this text.
    #[serde(default)]
    elf: BTreeMap<String, String>,
    /// Files with these contents.
    #[serde(default)]
    text: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cpu {
    vendor: String,
    model: String,
    cores: u32,
    threads: u32,
}

/// Builds fixtures/trees/NAME.toml in a new temporary directory.
pub fn build(name: &str) -> tempfile::TempDir {
    let keep = tempfile::tempdir().expect("a temporary directory");
    build_into(keep.path(), name);
    keep
}

/// Builds fixtures/trees/NAME.toml in `root`, over what is there.
pub fn build_into(root: &Path, name: &str) {
    let path = directory().join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let tree: Description =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    if let Some(base) = &tree.extends {
        build_into(root, base);
    }
    for (path, size) in &tree.sizes {
        create(root, path).set_len(*size).expect("a sparse file");
    }
    for (path, size) in &tree.qcow2 {
        let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
        header.resize(24, 0);
        header.extend(size.to_be_bytes());
        let file = create(root, path);
        file.write_all_at(&header, 0).expect("a qcow2 header");
        file.set_len(256 * 1024).expect("a sparse file");
    }
    for (path, text) in &tree.elf {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(62u16.to_le_bytes());
        bytes.resize(64, 0);
        bytes.extend(text.bytes());
        let file = create(root, path);
        file.write_all_at(&bytes, 0).expect("an executable");
        file.set_permissions(PermissionsExt::from_mode(0o755))
            .expect("its mode");
    }
    for (path, text) in &tree.text {
        create(root, path)
            .write_all_at(text.as_bytes(), 0)
            .expect("a text file");
    }
    if let Some(cpu) = &tree.cpu {
        let file = create(root, "/proc/cpuinfo");
        file.write_all_at(cpu.as_cpuinfo().as_bytes(), 0)
            .expect("a text file");
    }
    if let Some(kib) = tree.memory_kib {
        let text = format!("MemTotal:       {kib} kB\n");
        create(root, "/proc/meminfo")
            .write_all_at(text.as_bytes(), 0)
            .expect("a text file");
    }
    for (path, target) in &tree.links {
        let path = place(root, path);
        symlink(target, &path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
}

impl Cpu {
    /// One socket; the second threads of all cores follow the first ones, as on AMD.
    fn as_cpuinfo(&self) -> String {
        let Cpu {
            vendor,
            model,
            cores,
            threads,
        } = self;
        let record = |id: u32| {
            format!(
                "processor\t: {id}\nvendor_id\t: {vendor}\nmodel name\t: {model}\nphysical id\t: 0\n\
                 siblings\t: {}\ncore id\t\t: {}\ncpu cores\t: {cores}\nflags\t\t: fpu sse4_2 avx2\n\n",
                cores * threads,
                id % cores,
            )
        };
        (0..cores * threads).map(record).collect()
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees")
}

fn create(root: &Path, path: &str) -> File {
    let path = place(root, path);
    File::create(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn place(root: &Path, path: &str) -> PathBuf {
    let below = path
        .strip_prefix('/')
        .unwrap_or_else(|| panic!("{path} is not absolute"));
    let path = root.join(below);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    path
}
