//! `patch:when`: small conditions over facts.
//!
//! ```text
//! condition  = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" condition ")" | operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "~") operand ]
//! operand    = name | number or version (9.1) | text in single or double quotes
//! ```
//!
//! There is no arithmetic and nothing is called. A fact that is not known makes what depends on
//! it unknown, and only that: `host.kvm or guest.type == 'qemu'` holds for a guest of that type
//! even where nothing is known of KVM. This module knows no fact by name.

use std::cmp::Ordering;

use wildmatch::WildMatch;

/// What is known under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It is this.
    Is(String),
    /// It is not known, and this is what is missing, as in `the host's CPU vendor`.
    Unknown(String),
    /// The user has to say it; this is how, as in `--set topology.vcpus=…`.
    Unset(String),
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That depends on this fact, which is not known.
    Unknown(String),
}

/// A condition that cannot be read, or compares what cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionError {
    /// Byte offset in the condition.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// The next step, where it is known.
    pub help: Option<String>,
}

/// Evaluates a condition; `fact` answers for names.
///
/// # Errors
/// Not a condition, an unknown name (whose error `fact` gives, with an offset of 0), or an order
/// asked of something that is no number.
pub fn evaluate(
    condition: &str,
    fact: &dyn Fn(&str) -> Result<Fact, ConditionError>,
) -> Result<Truth, ConditionError> {
    let tokens = tokens(condition)?;
    let mut parser = Parser {
        tokens: &tokens,
        end: condition.len(),
        depth: 0,
        fact,
    };
    let truth = parser.any()?;
    match parser.tokens.first() {
        None => Ok(truth),
        Some((offset, token)) => Err(error(
            *offset,
            format!("{} where the condition should end", token.shown()),
            Some("join two conditions with 'and' or 'or'; text stands in quotes"),
        )),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Literal(String),
    Operator(&'static str),
    Open,
    Close,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Name(text) | Token::Literal(text) => format!("'{text}'"),
            Token::Operator(operator) => format!("'{operator}'"),
            Token::Open => "'('".to_owned(),
            Token::Close => "')'".to_owned(),
        }
    }
}

/// The facts a condition asks for, each once, in their order.
pub fn names(condition: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (_, token) in tokens(condition).unwrap_or_default() {
        if let Token::Name(name) = token
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The longer ones first: `<=` is not `<` and something.
const OPERATORS: [&str; 7] = ["==", "!=", "<=", ">=", "<", ">", "~"];

fn tokens(condition: &str) -> Result<Vec<(usize, Token)>, ConditionError> {
    let mut tokens = Vec::new();
    let mut rest = condition;
    loop {
        rest = rest.trim_start();
        let offset = condition.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let operator = OPERATORS.into_iter().find(|one| rest.starts_with(one));
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let (token, length) = if first == '(' {
            (Token::Open, 1)
        } else if first == ')' {
            (Token::Close, 1)
        } else if let Some(operator) = operator {
            (Token::Operator(operator), operator.len())
        } else if matches!(first, '\'' | '"') {
            let body = rest.get(1..).unwrap_or_default();
            let Some(end) = body.find(first) else {
                return Err(error(offset, "a quote that is not closed".to_owned(), None));
            };
            let text = body.get(..end).unwrap_or_default();
            (Token::Literal(text.to_owned()), end + 2)
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest.get(..length).unwrap_or_default().to_owned();
            match first.is_ascii_digit() {
                true => (Token::Literal(word), length),
                false => (Token::Name(word), length),
            }
        } else {
            return Err(unknown_sign(offset, rest, first));
        };
        tokens.push((offset, token));
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn unknown_sign(offset: usize, rest: &str, first: char) -> ConditionError {
    let help = match first {
        '=' => "write == for 'is equal to'",
        '&' => "write 'and'",
        '|' => "write 'or'",
        '!' => "write 'not'",
        _ => "there are ==, !=, <, <=, >, >=, ~, and, or, not and parentheses",
    };
    let sign: String = match first {
        '&' | '|' => rest.chars().take_while(|c| *c == first).collect(),
        _ => first.to_string(),
    };
    error(offset, format!("a condition knows no '{sign}'"), Some(help))
}

/// Nobody writes this many; a file made by mistake must not exhaust the stack.
const MAX_DEPTH: usize = 64;

struct Parser<'p> {
    tokens: &'p [(usize, Token)],
    end: usize,
    depth: usize,
    fact: &'p dyn Fn(&str) -> Result<Fact, ConditionError>,
}

impl<'p> Parser<'p> {
    fn any(&mut self) -> Result<Truth, ConditionError> {
        let mut truth = self.all()?;
        while self.word("or") {
            truth = match (truth, self.all()?) {
                (Truth::Yes, _) | (_, Truth::Yes) => Truth::Yes,
                (Truth::No, other) | (other, Truth::No) => other,
                (unknown, _) => unknown,
            };
        }
        Ok(truth)
    }

    fn all(&mut self) -> Result<Truth, ConditionError> {
        let mut truth = self.one()?;
        while self.word("and") {
            truth = match (truth, self.one()?) {
                (Truth::No, _) | (_, Truth::No) => Truth::No,
                (Truth::Yes, other) | (other, Truth::Yes) => other,
                (unknown, _) => unknown,
            };
        }
        Ok(truth)
    }

    fn one(&mut self) -> Result<Truth, ConditionError> {
        let offset = self.offset();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = "too many parentheses or 'not' in one another".to_owned();
            return Err(error(offset, message, None));
        }
        let truth = self.one_of_any_depth();
        self.depth -= 1;
        truth
    }

    fn one_of_any_depth(&mut self) -> Result<Truth, ConditionError> {
        if self.word("not") {
            return Ok(match self.one()? {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                unknown => unknown,
            });
        }
        if let Some((_, Token::Open)) = self.tokens.first() {
            let offset = self.offset();
            self.next();
            let truth = self.any()?;
            return match self.next() {
                Some((_, Token::Close)) => Ok(truth),
                _ => Err(error(
                    offset,
                    "a parenthesis that is not closed".to_owned(),
                    None,
                )),
            };
        }
        let (left_offset, left) = self.operand()?;
        let Some((offset, Token::Operator(operator))) = self.tokens.first() else {
            return flag(left_offset, left);
        };
        self.next();
        let (_, right) = self.operand()?;
        compare(*offset, operator, left, right)
    }

    fn operand(&mut self) -> Result<(usize, Fact), ConditionError> {
        let at = self.offset();
        match self.next() {
            Some((_, Token::Literal(text))) => Ok((at, Fact::Is(text.clone()))),
            Some((_, Token::Name(name))) if !matches!(name.as_str(), "and" | "or" | "not") => {
                match (self.fact)(name).map_err(|error| ConditionError {
                    offset: at,
                    ..error
                })? {
                    Fact::Unset(how) => Err(error(
                        at,
                        format!("'{name}' has no value"),
                        Some(how.as_str()),
                    )),
                    fact => Ok((at, fact)),
                }
            }
            Some((_, token)) => Err(error(
                at,
                format!("{} where a name or a value should stand", token.shown()),
                None,
            )),
            None => Err(error(
                self.end,
                "the condition ends where a name or a value should stand".to_owned(),
                None,
            )),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.first(), Some((_, Token::Name(name))) if name == word);
        if found {
            self.next();
        }
        found
    }

    fn next(&mut self) -> Option<&'p (usize, Token)> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn offset(&self) -> usize {
        self.tokens.first().map_or(self.end, |(offset, _)| *offset)
    }
}

/// A name by itself: `host.kvm`.
fn flag(offset: usize, fact: Fact) -> Result<Truth, ConditionError> {
    match fact {
        Fact::Is(value) if value == "yes" => Ok(Truth::Yes),
        Fact::Is(value) if value == "no" => Ok(Truth::No),
        Fact::Is(value) => Err(error(
            offset,
            format!("'{value}' is neither yes nor no"),
            Some("compare it with something, as in guest.arch == 'x86_64'"),
        )),
        Fact::Unknown(what) | Fact::Unset(what) => Ok(Truth::Unknown(what)),
    }
}

fn compare(
    offset: usize,
    operator: &str,
    left: Fact,
    right: Fact,
) -> Result<Truth, ConditionError> {
    let (left, right) = match (left, right) {
        (Fact::Is(left), Fact::Is(right)) => (left, right),
        (Fact::Unknown(what) | Fact::Unset(what), _)
        | (_, Fact::Unknown(what) | Fact::Unset(what)) => return Ok(Truth::Unknown(what)),
    };
    let numbers = numbers(&left).zip(numbers(&right));
    let order = numbers.map(|(left, right)| compare_numbers(&left, &right));
    let ordered = || {
        order.ok_or_else(|| {
            let odd = if self::numbers(&left).is_none() {
                &left
            } else {
                &right
            };
            error(
                offset,
                format!("'{operator}' compares numbers and versions, and '{odd}' is neither"),
                Some("compare text with ==, != or ~"),
            )
        })
    };
    let equal = order.map_or(left == right, |order| order == Ordering::Equal);
    let holds = match operator {
        "==" => equal,
        "!=" => !equal,
        "<" => ordered()? == Ordering::Less,
        "<=" => ordered()? != Ordering::Greater,
        ">" => ordered()? == Ordering::Greater,
        ">=" => ordered()? != Ordering::Less,
        _ => like(&left, &right),
    };
    Ok(if holds { Truth::Yes } else { Truth::No })
}

/// `9`, `9.1`, `8388608`: the numbers between the dots.
fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// As versions compare: 9.0 is 9.0.0, and 9.10 is more than 9.9.
fn compare_numbers(left: &[u64], right: &[u64]) -> Ordering {
    let part = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
    (0..left.len().max(right.len()))
        .map(|index| part(left, index).cmp(&part(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// `~`: the whole text by a pattern with `*` and `?`, or a part of it without those.
fn like(text: &str, pattern: &str) -> bool {
    match pattern.contains(['*', '?']) {
        true => WildMatch::new(pattern).matches(text),
        false => text.contains(pattern),
    }
}

fn error(offset: usize, message: String, help: Option<&str>) -> ConditionError {
    ConditionError {
        offset,
        message,
        help: help.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fact(name: &str) -> Result<Fact, ConditionError> {
        let is = |value: &str| Ok(Fact::Is(value.to_owned()));
        match name {
            "libvirt" => is("9.0.0"),
            "host.cpu.vendor" => is("AuthenticAMD"),
            "host.kvm" => is("yes"),
            "guest.machine" => is("pc-q35-7.2"),
            "guest.vcpus" => is("8"),
            "dark" => Ok(Fact::Unknown("the dark".to_owned())),
            "unset" => Ok(Fact::Unset("--set unset=…".to_owned())),
            _ => Err(error(0, format!("'{name}' is unknown"), None)),
        }
    }

    #[test]
    fn conditions() {
        let unknown = || Truth::Unknown("the dark".to_owned());
        for (condition, truth) in [
            ("host.cpu.vendor == 'AuthenticAMD'", Truth::Yes),
            ("host.cpu.vendor==\"GenuineIntel\"", Truth::No),
            ("host.cpu.vendor != 'GenuineIntel'", Truth::Yes),
            ("libvirt >= 9.1", Truth::No),
            ("libvirt >= 9", Truth::Yes),
            ("libvirt == 9.0", Truth::Yes),
            ("libvirt < 10", Truth::Yes),
            ("libvirt < '10'", Truth::Yes),
            ("libvirt <= 9.0.0", Truth::Yes),
            ("9.10 > 9.9", Truth::Yes),
            ("guest.vcpus > 7", Truth::Yes),
            ("guest.vcpus == 08", Truth::Yes),
            ("guest.machine ~ 'q35'", Truth::Yes),
            ("guest.machine ~ 'pc-*'", Truth::Yes),
            ("guest.machine ~ '*-7.?'", Truth::Yes),
            ("guest.machine ~ 'q35-*'", Truth::No),
            ("host.kvm", Truth::Yes),
            ("not host.kvm", Truth::No),
            ("not not host.kvm", Truth::Yes),
            (
                "host.kvm and libvirt >= 9.1 or guest.vcpus == 8",
                Truth::Yes,
            ),
            (
                "host.kvm and (libvirt >= 9.1 or guest.vcpus == 9)",
                Truth::No,
            ),
            (
                "not (libvirt >= 9.1) and not guest.machine ~ 'i440fx'",
                Truth::Yes,
            ),
            // What is not known decides only where nothing else does.
            ("dark", unknown()),
            ("not dark", unknown()),
            ("dark == 1", unknown()),
            ("1 >= dark", unknown()),
            ("dark or host.kvm", Truth::Yes),
            ("host.kvm or dark", Truth::Yes),
            ("dark or not host.kvm", unknown()),
            ("dark and not host.kvm", Truth::No),
            ("not host.kvm and dark", Truth::No),
            ("dark and host.kvm", unknown()),
        ] {
            assert_eq!(evaluate(condition, &fact).unwrap(), truth, "{condition}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (condition, offset, message) in [
            (
                "",
                0,
                "the condition ends where a name or a value should stand",
            ),
            (
                "libvirt >=",
                10,
                "the condition ends where a name or a value should stand",
            ),
            ("libvirt = 9", 8, "a condition knows no '='"),
            ("host.kvm && host.kvm", 9, "a condition knows no '&&'"),
            ("!host.kvm", 0, "a condition knows no '!'"),
            (
                "libvirt >= 9.1 host.kvm",
                15,
                "'host.kvm' where the condition should end",
            ),
            ("(host.kvm", 0, "a parenthesis that is not closed"),
            ("host.kvm)", 8, "')' where the condition should end"),
            ("'a", 0, "a quote that is not closed"),
            (
                "host.kvm == and",
                12,
                "'and' where a name or a value should stand",
            ),
            (
                "host.kvm == == 1",
                12,
                "'==' where a name or a value should stand",
            ),
            ("host.kvm and nonsense", 13, "'nonsense' is unknown"),
            ("unset == 1", 0, "'unset' has no value"),
            (
                "host.cpu.vendor > 3",
                16,
                "'>' compares numbers and versions, and 'AuthenticAMD' is neither",
            ),
            ("host.cpu.vendor", 0, "'AuthenticAMD' is neither yes nor no"),
            (
                &"(".repeat(100_000),
                64,
                "too many parentheses or 'not' in one another",
            ),
        ] {
            let error = evaluate(condition, &fact).unwrap_err();
            assert_eq!(
                (error.offset, error.message.as_str()),
                (offset, message),
                "{condition}"
            );
        }
    }
}
