//! A user of virt-patch: runs it with a state directory of their own, also on a terminal.

#![allow(
    dead_code,
    reason = "every test binary compiles this module and uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A user with a state directory of their own.
pub struct User {
    home: tempfile::TempDir,
}

impl User {
    pub fn new() -> User {
        User {
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virt-patch"));
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.state())
            .env("NO_COLOR", "1")
            .env_remove("VIRT_PATCH_OSK")
            .stdin(Stdio::null());
        command
    }

    /// A directory of theirs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file of theirs, for a command line.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Runs on a terminal, which `script` makes; what is written to the child is typed there.
    pub fn on_a_terminal(&self, arguments: &[&str]) -> Terminal {
        let program = env!("CARGO_BIN_EXE_virt-patch");
        let line = format!("exec {program} {}", arguments.join(" "));
        let log = self
            .home
            .path()
            .join(format!("terminal-{}", arguments.len()));
        let _ = fs::remove_file(&log);
        let child = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &line])
            .arg(&log)
            .env("XDG_STATE_HOME", self.state())
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Terminal { child, log }
    }

    pub fn backups(&self) -> Vec<PathBuf> {
        let output = self.run(&["undo", "--list"]);
        output
            .stdout
            .lines()
            .filter_map(|line| line.split("  ").last())
            .map(PathBuf::from)
            .collect()
    }
}

#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Does not say this anywhere.
    #[track_caller]
    pub fn never_says(self, words: &str) -> Run {
        assert!(!self.stderr.contains(words), "'{words}' in {self:#?}");
        self
    }

    /// The objects of JSON Lines on stdout, which has nothing else.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let object = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        };
        self.stdout.lines().map(object).collect()
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Run {
        assert!(self.stderr.contains(words), "no '{words}' in {self:#?}");
        self
    }
}

pub struct Terminal {
    child: Child,
    log: PathBuf,
}

impl Terminal {
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let began = Instant::now();
        while !self.screen().contains(words) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "no '{words}' on {}",
                self.screen()
            );
            sleep(Duration::from_millis(20));
        }
    }

    pub fn types(&mut self, text: &str) {
        self.types_if_there(text).unwrap();
    }

    /// As [`Terminal::types`]; an error when the program has ended.
    pub fn types_if_there(&mut self, text: &str) -> io::Result<()> {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
    }

    pub fn ends(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.screen())
    }
}
