//! A terminal that is looked at: tmux runs the program, keys are typed, and what is tested is what stands
//! on the screen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One window of 100 columns and 70 lines; it ends with the value.
pub struct Screen {
    socket: PathBuf,
}

impl Screen {
    /// Starts a shell in `place`, and types `line` there.
    pub fn new(place: &Path, line: &str) -> Screen {
        let socket = place.join("tmux");
        let screen = Screen { socket };
        let place = place.to_str().unwrap();
        let size = ["-x", "100", "-y", "70"];
        let mut start = vec!["-f", "/dev/null", "new-session", "-d", "-c", place];
        start.extend(size);
        start.push("PS1='$ ' exec sh");
        screen.tmux(&start);
        screen.types(line);
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Types text, then Enter.
    pub fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    /// Presses keys, as tmux names them.
    pub fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    /// What stands there now.
    pub fn text(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p", "-J"]).stdout).unwrap()
    }

    /// Waits until this stands there; what stands there then.
    #[track_caller]
    pub fn shows(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            if text.contains(words) {
                return text;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "no '{words}' on\n{text}"
            );
            sleep(Duration::from_millis(30));
        }
    }

    /// Empties the screen, once the program has ended with `status`.
    #[track_caller]
    pub fn ended_with(&self, status: u8) {
        self.types("echo status $?.");
        self.shows(&format!("status {status}."));
        self.types("clear");
        self.shows("$ ");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .output();
    }
}
