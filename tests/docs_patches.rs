//! docs/patches.md is true: its examples are what happens, and every block in it is of an example.
//!
//! A block is a file by its info string: `xml before` is before.xml, `xml patch` patch.xml,
//! `xml after` after.xml, `toml profile` profile.toml and `json host` host.json. `xml before`
//! begins an example; so does a headline. `xml after` says what the patch or profile above it makes
//! of before.xml, with the options that the paragraph directly above has in ticks
//! (`--set tag=photos`). `console` has commands and what they print where those files are. A file
//! of which neither speaks is a mistake. Beside them there are `sh`, which tests/readme.rs reads,
//! and `text`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/user.rs"]
mod user;

use std::collections::BTreeMap;

use user::{Run, User};
use virt_patch::derive::Keep;
use virt_patch::merge::keys::names_of_keys;
use virt_patch::profile::schema;

const PAGE: &str = include_str!("../docs/patches.md");

/// The host the page names.
const HOST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/hosts/ryzen-5950x.json"
);

/// What is around a block that shows the inside of a definition.
const DOMAIN: &str = "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>";

const BEFORE: &str = "before.xml";
const PATCH: &str = "patch.xml";
const AFTER: &str = "after.xml";
const PROFILE: &str = "profile.toml";

/// The info strings, and the files such blocks are.
const FILES: [(&str, &str); 5] = [
    ("xml before", BEFORE),
    ("xml patch", PATCH),
    ("xml after", AFTER),
    ("toml profile", PROFILE),
    ("json host", "host.json"),
];

#[test]
fn every_block_is_of_an_example() {
    let (_, strays) = read(PAGE);
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn every_example_is_what_happens() {
    let (examples, _) = read(PAGE);
    let wrong: Vec<String> = examples.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(example: &Example) -> Option<String> {
    let (printed, shown) = match &example.claim {
        Claim::Becomes(arguments) => {
            let run = example.render(BEFORE, arguments);
            (run.stdout + &run.stderr, &example.files[AFTER])
        }
        Claim::Prints(shown) => (example.print(shown), shown),
    };
    (printed != *shown).then(|| {
        format!(
            "docs/patches.md:{}: what happens:\n{printed}what the page says:\n{shown}",
            example.line
        )
    })
}

#[test]
fn nothing_changes_the_second_time() {
    let (examples, _) = read(PAGE);
    for example in examples {
        let Claim::Becomes(arguments) = &example.claim else {
            continue;
        };
        let run = example.render(AFTER, arguments);
        let patch = example.files.get(PATCH);
        if patch.is_some_and(|patch| patch.contains("patch:op=\"remove!\"")) {
            // What there has to be is gone: there is no output either.
            assert_eq!(run.stdout, "", "line {}", example.line);
            run.exits(2).says("there is no such");
        } else {
            assert_eq!(run.stdout, example.files[AFTER], "line {}", example.line);
            run.exits(0);
        }
    }
}

#[test]
fn every_operation_and_directive_has_an_example() {
    let operations = arms(include_str!("../src/merge/patch.rs"), "fn named(");
    let directives = arms(
        include_str!("../src/merge/resolve.rs"),
        "match attribute.name() {",
    );
    assert!(operations.contains(&"merge"), "{operations:?}");
    assert!(directives.contains(&"op"), "{directives:?}");
    let (examples, _) = read(PAGE);
    let patches: String = examples
        .iter()
        .filter(|example| matches!(example.claim, Claim::Becomes(_)))
        .filter_map(|example| example.files.get(PATCH))
        .map(String::as_str)
        .collect();
    let operations = operations
        .iter()
        .map(|word| format!(" patch:op=\"{word}\""));
    let directives = directives.iter().map(|word| format!(" patch:{word}=\""));
    let values = ["<patch:value name=\"", " default=\""].map(str::to_owned);
    for wanted in operations.chain(directives).chain(values) {
        assert!(patches.contains(&wanted), "no example has{wanted}");
    }
}

/// The words of the match arms behind `start`, up to the end of the function.
fn arms(source: &'static str, start: &str) -> Vec<&'static str> {
    let (_, rest) = source.split_once(start).unwrap();
    let (body, _) = rest.split_once("\n    }\n").unwrap();
    body.lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"))
        .map(|(word, _)| word)
        .collect()
}

#[test]
fn the_tables_have_what_the_program_knows() {
    let bare = |cell: &str| cell.trim_matches(['`', '<', '>']).to_owned();
    for row in rows("| in | element | told apart by |") {
        let [parent, name, keys] = row.as_slice() else {
            panic!("three cells: {row:?}");
        };
        let known = names_of_keys(&bare(parent), &bare(name));
        assert_eq!(ticked(keys), known, "{row:?}");
    }
    let first_column = |head: &str| -> Vec<&'static str> {
        let rows = rows(head);
        rows.iter().flat_map(|row| ticked(row[0])).collect()
    };
    let schema = schema();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(first_column("| key | what it is |"), keys);
    assert_eq!(first_column("| word | records |"), Keep::WORDS);
}

/// The cells of the table with this head.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(head).unwrap();
    rest.lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn a_block_of_no_example_is_found() {
    for (page, found) in [
        ("", "there is no example"),
        (
            "```console\n$ virt-patch list\n```\n```xml\n<vcpu/>\n```\n  ```toml\n  ```\n~~~sh\n~~~\n",
            "line 4: 'xml' is of no example; line 7: 'toml' is of no example; line 9: '~~~sh' is of no example",
        ),
        (
            "```console\nno command\n```\n",
            "line 1: no command; there is no example",
        ),
        // A patch without a result, and one for which another was shown.
        (
            "```xml before\n```\n```xml patch\n```\n# Else\n```xml patch\n```\n```xml patch\n```\n```console\n$ virt-patch list ./patch.xml\n```\n",
            "line 1: before.xml is of no example; line 3: patch.xml is of no example; line 6: patch.xml is of no example",
        ),
        // Two definitions that nothing makes one of.
        (
            "```console\n$ virt-patch list\n```\n```xml before\n```\n```xml after\n```\n",
            "line 6: after.xml is of no example; line 4: before.xml is of no example",
        ),
        (
            "```xml before\n```\n```xml patch\n```\n```toml profile\npatches = ['./patch.xml']\n```\n```xml after\n```\n```sh\n```\n```text\n```\n",
            "",
        ),
    ] {
        let (_, strays) = read(page);
        assert_eq!(strays.join("; "), found, "{page}");
    }
}

#[test]
fn the_options_of_an_example_stand_above_its_result() {
    let page = "```xml before\n```\n```xml patch\n```\nNot `--skip x`.\n\nWith `--set a=b c` and `d`, `--vcpus\n4`:\n\n```xml after\n```\n";
    let (examples, _) = read(page);
    assert_eq!(examples[0].line, 10);
    let Claim::Becomes(arguments) = &examples[0].claim else {
        panic!("it is no console");
    };
    assert_eq!(
        arguments.join("|"),
        "--pass||--patch|patch.xml|--set|a=b|c|--vcpus|4"
    );
}

/// Something the page says that can be tried.
struct Example {
    /// Where.
    line: usize,
    /// The files there are, by name.
    files: BTreeMap<&'static str, String>,
    claim: Claim,
}

enum Claim {
    /// With these arguments before.xml is rendered as after.xml.
    Becomes(Vec<String>),
    /// The commands of a console print what stands in it.
    Prints(String),
}

impl Example {
    fn render(&self, file: &str, arguments: &[String]) -> Run {
        let command = ["render", file].map(str::to_owned);
        self.run(command.iter().chain(arguments))
    }

    /// The console, with what is printed today.
    fn print(&self, console: &str) -> String {
        let run = |line: &str| {
            let run = self.run(&shlex::split(line.strip_prefix("$ virt-patch ")?).unwrap());
            // What scripts see of an error is its status.
            let is_error = run.stderr.starts_with("error: ");
            assert_eq!(run.code == Some(2), is_error, "{line}\n{run:#?}");
            Some(format!("{line}\n{}{}", run.stdout, run.stderr))
        };
        console.lines().filter_map(run).collect()
    }

    /// Runs virt-patch where the files are, and with no library but the one that is shipped.
    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a String>) -> Run {
        let user = User::new();
        for (name, text) in &self.files {
            user.file(name, text);
        }
        let mut arguments: Vec<&str> = arguments.into_iter().map(String::as_str).collect();
        if matches!(arguments[0], "check" | "diff" | "render") && !arguments.contains(&"--host") {
            arguments.extend(["--host", HOST]);
        }
        let mut command = user.command(&arguments);
        command
            .current_dir(user.home())
            .env("XDG_CONFIG_HOME", user.home().join("config"));
        Run::of(command.output().unwrap())
    }
}

/// The examples of a page, and what is wrong with its blocks.
fn read(page: &str) -> (Vec<Example>, Vec<String>) {
    let mut reader = Reader::default();
    let mut prose = String::new();
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        let fence = ["```", "~~~"]
            .into_iter()
            .find(|fence| text.trim_start().starts_with(fence));
        if let Some(fence) = fence {
            let inside = lines
                .by_ref()
                .map(|(_, text)| text)
                .take_while(|text| !text.trim_start().starts_with(fence));
            let inside = inside.map(|text| format!("{text}\n")).collect();
            let info = text.trim().trim_start_matches('`');
            reader.block(line, info, inside, &prose);
            prose.clear();
        } else {
            if text.starts_with('#') {
                reader.begin();
            }
            prose.push_str(text);
            prose.push('\n');
        }
    }
    reader.begin();
    if reader.examples.is_empty() {
        reader.strays.push("there is no example".to_owned());
    }
    (reader.examples, reader.strays)
}

/// Goes through a page from its top.
#[derive(Default)]
struct Reader {
    /// The files so far of the example it is in.
    files: BTreeMap<&'static str, File>,
    /// The last one that can run: patch.xml or profile.toml.
    last: Option<&'static str>,
    examples: Vec<Example>,
    strays: Vec<String>,
}

struct File {
    line: usize,
    text: String,
    /// Something speaks of it.
    used: bool,
}

impl Reader {
    fn block(&mut self, line: usize, info: &str, text: String, prose: &str) {
        match (info, FILES.into_iter().find(|(its, _)| *its == info)) {
            ("sh" | "text", _) => {}
            ("console", _) => self.console(line, text),
            (_, Some((_, name))) => self.file(line, name, text, prose),
            _ => self
                .strays
                .push(format!("line {line}: '{info}' is of no example")),
        }
    }

    fn console(&mut self, line: usize, text: String) {
        let commands: String = text.lines().filter(|line| line.starts_with("$ ")).collect();
        if commands.is_empty() {
            self.strays.push(format!("line {line}: no command"));
        } else {
            self.claim(line, &commands, Claim::Prints(text));
        }
    }

    fn file(&mut self, line: usize, name: &'static str, text: String, prose: &str) {
        if name == BEFORE {
            self.begin();
        }
        let file = File {
            line,
            text: match name {
                BEFORE | AFTER => definition(text),
                _ => text,
            },
            used: false,
        };
        if let Some(old) = self.files.insert(name, file) {
            self.leave(name, &old);
        }
        match name {
            PATCH | PROFILE => self.last = Some(name),
            AFTER => self.result(line, prose),
            _ => {}
        }
    }

    fn result(&mut self, line: usize, prose: &str) {
        let mut arguments = match self.last {
            Some(PATCH) => ["--pass", "", "--patch", PATCH].map(str::to_owned).to_vec(),
            Some(_) => ["-p", "./profile.toml"].map(str::to_owned).to_vec(),
            // Two definitions are for a command, such as derive.
            None => return,
        };
        let above = prose.trim().rsplit("\n\n").next().unwrap_or_default();
        let options = ticked(above).into_iter().filter(|it| it.starts_with("--"));
        arguments.extend(options.flat_map(|option| shlex::split(option).unwrap()));
        let words = format!("{BEFORE} {AFTER} {}", arguments.join(" "));
        self.claim(line, &words, Claim::Becomes(arguments));
    }

    /// One more example, with all files that are there; it uses those that `words` name.
    fn claim(&mut self, line: usize, words: &str, claim: Claim) {
        let mut words = words.to_owned();
        if let Some(profile) = self.files.get(PROFILE)
            && words.contains(PROFILE)
        {
            words.push_str(&profile.text);
        }
        for (name, file) in &mut self.files {
            file.used |= words.contains(name);
        }
        let files = self.files.iter();
        self.examples.push(Example {
            line,
            files: files
                .map(|(name, file)| (*name, file.text.clone()))
                .collect(),
            claim,
        });
    }

    /// What comes is another example.
    fn begin(&mut self) {
        for (name, file) in std::mem::take(&mut self.files) {
            self.leave(name, &file);
        }
        self.last = None;
    }

    fn leave(&mut self, name: &str, file: &File) {
        if !file.used {
            self.strays
                .push(format!("line {}: {name} is of no example", file.line));
        }
    }
}

/// A block shows a definition, or the inside of one.
fn definition(block: String) -> String {
    if block.starts_with("<domain") {
        return block;
    }
    let inside: String = block.lines().map(|line| format!("  {line}\n")).collect();
    format!("{DOMAIN}\n{inside}</domain>\n")
}

fn ticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
