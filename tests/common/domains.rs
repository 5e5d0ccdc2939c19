//! Domains as no program would write them: any legal content in any legal formatting.
//!
//! A stream of random bytes makes all choices. An exhausted stream chooses the plainest way, so
//! that a failing case shrinks to a domain that a person can read. The same content is printed
//! twice, plainly and with hostility: what a pass decides must not depend on which it reads.

mod content;
mod print;

use std::fmt;

use proptest::prelude::*;

/// One content in two formattings.
#[derive(Clone)]
pub struct Domain {
    pub plain: String,
    pub hostile: String,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plain:\n{}\nhostile:\n{}", self.plain, self.hostile)
    }
}

/// Any domain.
pub fn domain() -> impl Strategy<Value = Domain> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    (bytes(300), bytes(1500)).prop_map(|(content, format)| from_bytes(&content, &format))
}

/// The domain that these choices make.
pub fn from_bytes(content: &[u8], format: &[u8]) -> Domain {
    let domain = content::domain(&mut Choices::new(content));
    let mut format = Choices::new(format);
    let rearranged = print::rearranged(domain.clone(), &mut format);
    Domain {
        plain: print::document(&domain, &mut Choices::new(&[])),
        hostile: print::document(&rearranged, &mut format),
    }
}

/// A partial domain to merge: a few branches of a whole one.
pub fn partial() -> impl Strategy<Value = String> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    (bytes.clone(), bytes).prop_map(|(content, cut)| {
        let domain = content::domain(&mut Choices::new(&content));
        print::patch(&domain, &mut Choices::new(&cut))
    })
}

/// Where decisions come from.
pub struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Choices {
            bytes: bytes.iter(),
        }
    }

    /// A number below `n`; 0 at the end of the stream.
    pub fn pick(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % n
    }

    /// True once in `n` times; never at the end of the stream.
    pub fn chance(&mut self, n: usize) -> bool {
        self.pick(n) == n - 1
    }

    /// One of these; the first at the end of the stream.
    pub fn of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.pick(options.len())]
    }
}

/// An element. A name with `qemu:` is one of libvirt's QEMU namespace, whatever its prefix will be.
#[derive(Debug, Clone)]
pub struct El {
    name: String,
    attributes: Vec<(String, String)>,
    text: Option<String>,
    children: Vec<El>,
}

fn el(name: &str) -> El {
    El {
        name: name.to_owned(),
        attributes: Vec::new(),
        text: None,
        children: Vec::new(),
    }
}

impl El {
    fn a(mut self, name: &str, value: impl fmt::Display) -> El {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    fn t(mut self, text: impl fmt::Display) -> El {
        self.text = Some(text.to_string());
        self
    }

    fn c(mut self, child: El) -> El {
        self.children.push(child);
        self
    }

    fn maybe(self, child: Option<El>) -> El {
        match child {
            Some(child) => self.c(child),
            None => self,
        }
    }

    fn all(mut self, children: impl IntoIterator<Item = El>) -> El {
        self.children.extend(children);
        self
    }
}
