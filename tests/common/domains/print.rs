//! How a domain is written: every way XML allows that says the same to libvirt.

use super::{Choices, El, el};

const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The whole text.
pub fn document(domain: &El, c: &mut Choices<'_>) -> String {
    let newline = c.of(&["\n", "\r\n", "mixed", ""]);
    let indent = c.of(&["  ", "\t", "", " ", "                 ", "ragged", "    "]);
    // How much of everything: from nothing strange to strange everywhere.
    let rarity = c.of(&[8, 3, 20]);
    let mut printer = Printer {
        c,
        out: String::new(),
        newline,
        indent,
        rarity,
        place: Declared::Root("qemu"),
    };
    printer.place = printer.declared(domain);
    printer.document(domain);
    printer.out
}

/// The same content in another order, as far as libvirt does not mind.
pub fn rearranged(mut domain: El, c: &mut Choices<'_>) -> El {
    if c.chance(3) {
        for _ in 0..c.pick(4) {
            let (a, b) = (c.pick(domain.children.len()), c.pick(domain.children.len()));
            domain.children.swap(a, b);
        }
    }
    let block = domain
        .children
        .iter()
        .position(|child| child.name == "qemu:commandline");
    if let Some(block) = block.filter(|_| c.chance(3)) {
        let at = c.pick(domain.children[block].children.len() + 1);
        let rest = domain.children[block].children.split_off(at);
        let place = block + c.pick(domain.children.len() - block) + 1;
        domain
            .children
            .insert(place, el("qemu:commandline").all(rest));
    }
    domain
}

/// Some branches of a domain as a merge patch.
pub fn patch(domain: &El, c: &mut Choices<'_>) -> String {
    let mut partial = el("domain");
    for child in &domain.children {
        if c.pick(4) == 1 && child.name != "description" {
            partial.children.push(cut(child, c));
        }
    }
    let text = document(&partial, &mut Choices::new(&[]));
    text.replacen("<domain", "<domain xmlns:patch='urn:virt-patch:1'", 1)
        .replace('$', "$$")
}

fn cut(element: &El, c: &mut Choices<'_>) -> El {
    let mut kept = el(&element.name);
    kept.attributes.clone_from(&element.attributes);
    kept.text.clone_from(&element.text);
    // What tells two elements apart stays in the patch.
    let identity = |child: &El| matches!(child.name.as_str(), "target" | "mac");
    if element.name == "qemu:commandline" {
        // One option with its value: two of a kind would contradict each other.
        let is_value = |child: &&El| !child.attributes[0].1.starts_with('-');
        let value = element.children.iter().skip(1).take_while(is_value);
        kept.children = element
            .children
            .iter()
            .take(1)
            .chain(value)
            .cloned()
            .collect();
        kept.children.retain(|child| child.name == "qemu:arg");
        return kept;
    }
    for child in &element.children {
        if identity(child) || c.pick(3) != 1 {
            kept.children.push(cut(child, c));
        }
        // Once more, with another directive maybe.
        if c.pick(16) == 1 {
            kept.children.push(cut(child, c));
        }
    }
    if !element.name.contains(':') && c.pick(6) == 1 {
        let op = c.of(&[
            "default", "replace", "remove", "append", "keep", "update", "remove!",
        ]);
        kept.attributes.push(("patch:op".to_owned(), op.to_owned()));
    }
    kept
}

/// Where the QEMU namespace is declared.
#[derive(Clone, Copy, PartialEq)]
enum Declared {
    Root(&'static str),
    Block(&'static str),
    Default,
    Nowhere,
}

struct Printer<'c, 'b> {
    c: &'c mut Choices<'b>,
    out: String,
    newline: &'static str,
    indent: &'static str,
    rarity: usize,
    place: Declared,
}

const COMMENTS: [&str; 9] = [
    "<!-- keep -->",
    "<!---->",
    "<!-- <vcpu>6</vcpu> -->",
    "<!-- </domain> -->",
    "<!-- 'quote\" > ]]> & größe 🍏 -->",
    "<!--\n  two\r\n  lines\n-->",
    "<!-- <os>\n</os> -->",
    "<?keep this?>",
    "<?php echo '<vcpu>6</vcpu>' ?>",
];

impl Printer<'_, '_> {
    fn declared(&mut self, domain: &El) -> Declared {
        let used = domain
            .children
            .iter()
            .any(|child| child.name.starts_with("qemu:"));
        match (used, self.c.pick(6)) {
            (true, 1) => Declared::Root("q"),
            (true, 2) => Declared::Root("größe"),
            (true, 3) => Declared::Block("qemu"),
            (true, 4) => Declared::Default,
            (true, _) => Declared::Root("qemu"),
            (false, 1) => Declared::Root("q"),
            (false, 2) => Declared::Root("qemu"),
            (false, _) => Declared::Nowhere,
        }
    }

    fn document(&mut self, domain: &El) {
        if self.c.chance(8) {
            self.out.push('\u{feff}');
        }
        let declarations = [
            "",
            "<?xml version='1.0'?>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<?xml version = '1.0'  encoding='utf-8' standalone='yes' ?>",
        ];
        let declaration = self.c.of(&declarations);
        self.out.push_str(declaration);
        if !declaration.is_empty() {
            self.gap(0);
        }
        for _ in 0..self.c.pick(3) {
            self.comment();
            self.gap(0);
        }
        self.element(domain, 0);
        for _ in 0..self.c.pick(3) {
            self.gap(0);
            self.comment();
        }
        if !self.c.chance(3) && !self.newline.is_empty() {
            self.line_end();
        }
    }

    fn comment(&mut self) {
        let comment = self.c.of(&COMMENTS);
        self.out.push_str(comment);
    }

    fn odd(&mut self) -> bool {
        self.c.chance(self.rarity)
    }

    fn line_end(&mut self) {
        let end = match self.newline {
            "mixed" => self.c.of(&["\n", "\r\n"]),
            newline => newline,
        };
        self.out.push_str(end);
    }

    /// What stands between two elements.
    fn gap(&mut self, depth: usize) {
        if self.odd() {
            let space = self.c.of(&["", " ", "\t"]);
            self.out.push_str(space);
            self.comment();
        }
        if self.newline.is_empty() {
            return;
        }
        if self.odd() {
            let space = self.c.of(&[" ", "\t ", "   "]);
            self.out.push_str(space);
        }
        self.line_end();
        if self.odd() {
            self.indentation(depth);
            if self.c.chance(2) {
                self.comment();
            }
            self.line_end();
        }
        self.indentation(depth);
    }

    fn indentation(&mut self, depth: usize) {
        let indent = match self.indent {
            "ragged" => " ".repeat(self.c.pick(9)),
            indent => indent.repeat(depth),
        };
        self.out.push_str(&indent);
    }

    fn element(&mut self, element: &El, depth: usize) {
        let is_block = depth == 1 && element.name.starts_with("qemu:");
        let name = self.name(&element.name);
        self.out.push('<');
        self.out.push_str(&name);
        let mut attributes: Vec<(String, String)> = element.attributes.clone();
        let declare = |prefix: &str| (format!("xmlns:{prefix}"), QEMU.to_owned());
        match self.place {
            Declared::Root(prefix) if depth == 0 => attributes.push(declare(prefix)),
            Declared::Block(prefix) if is_block => attributes.push(declare(prefix)),
            Declared::Default if is_block => attributes.push(("xmlns".to_owned(), QEMU.to_owned())),
            _ => {}
        }
        if attributes.len() > 1 && self.odd() {
            let by = self.c.pick(attributes.len());
            attributes.rotate_left(by);
        }
        for (name, value) in &attributes {
            self.attribute(name, value, depth);
        }
        if self.odd() {
            let space = self.c.of(&[" ", "\n", "\t", "\r\n   "]);
            self.out.push_str(space);
        }
        self.content(element, &name, depth);
    }

    fn content(&mut self, element: &El, name: &str, depth: usize) {
        let empty = element.children.is_empty() && element.text.is_none();
        if empty && !self.odd() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        if let Some(text) = &element.text {
            // A number or path with a comment in its middle is no honest domain's.
            self.text(text, element.name == "description");
        } else if empty {
            let inner = self.c.of(&["", "  ", "\n   ", "<!-- empty -->", "\r\n"]);
            self.out.push_str(inner);
        }
        for child in &element.children {
            self.gap(depth + 1);
            self.element(child, depth + 1);
        }
        if !element.children.is_empty() {
            self.gap(depth);
        }
        self.out.push_str("</");
        self.out.push_str(name);
        if self.odd() {
            let space = self.c.of(&[" ", "\n", "\t"]);
            self.out.push_str(space);
        }
        self.out.push('>');
    }

    fn name(&self, name: &str) -> String {
        match (name.strip_prefix("qemu:"), self.place) {
            (Some(local), Declared::Root(prefix) | Declared::Block(prefix)) => {
                format!("{prefix}:{local}")
            }
            (Some(local), _) => local.to_owned(),
            (None, _) => name.to_owned(),
        }
    }

    fn attribute(&mut self, name: &str, value: &str, depth: usize) {
        match self.odd() {
            true if self.c.chance(2) => {
                self.out.push('\n');
                self.indentation(depth + 1);
            }
            true => self.out.push_str("  \t"),
            false => self.out.push(' '),
        }
        self.out.push_str(name);
        for sign in ["=", ""] {
            if self.odd() {
                let many = " ".repeat(300);
                let space = self.c.of(&[" ", "\n", "\t\r\n ", many.as_str()]);
                self.out.push_str(space);
            }
            self.out.push_str(sign);
        }
        let quote = if self.odd() { '"' } else { '\'' };
        self.out.push(quote);
        for character in value.chars() {
            self.character(character, &['&', '<', quote, '\n', '\t']);
        }
        self.out.push(quote);
    }

    fn text(&mut self, text: &str, cut: bool) {
        let pad = |this: &mut Self| {
            if this.odd() {
                let space = this.c.of(&[" ", "\n  ", "\t"]);
                this.out.push_str(space);
            }
        };
        if self.odd() {
            self.comment();
        }
        pad(self);
        if self.odd() && !text.contains("]]>") {
            let at = text
                .char_indices()
                .nth(self.c.pick(4))
                .map_or(0, |(at, _)| at);
            for character in text[..at].chars() {
                self.character(character, &['&', '<', '>']);
            }
            self.out.push_str("<![CDATA[");
            self.out.push_str(&text[at..]);
            self.out.push_str("]]>");
        } else {
            for character in text.chars() {
                if cut && self.c.chance(40) {
                    self.comment();
                }
                self.character(character, &['&', '<', '>']);
            }
        }
        pad(self);
        if self.odd() {
            self.comment();
        }
    }

    fn character(&mut self, character: char, special: &[char]) {
        let code = u32::from(character);
        let numeric = match self.c.pick(60) {
            57 => true,
            58 | 59 => {
                self.out.push_str(&format!("&#x{code:x};"));
                return;
            }
            _ => false,
        };
        match character {
            '\n' | '\t' if special.contains(&character) => self.out.push_str(&format!("&#{code};")),
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' if special.contains(&'>') => self.out.push_str("&gt;"),
            '\'' if special.contains(&'\'') => self.out.push_str("&apos;"),
            '"' if special.contains(&'"') => self.out.push_str("&quot;"),
            _ if numeric => self.out.push_str(&format!("&#{code};")),
            other => self.out.push(other),
        }
    }
}
