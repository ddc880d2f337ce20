//! Reads a search.
//!
//! ```text
//! search    = "select" "*" "from" "device" ["where" any] ["order" "by" order {"," order}]
//!             ["limit" [offset ","] count]
//! any       = all {"or" all}            all  = term {"and" term}
//! term      = "(" any ")" | field op operand | field ["not"] "in" "(" operand {"," operand} ")"
//! field     = name | "tags" "[" text "]"
//! op        = "=" | "!=" | "<>" | ">" | "<" | ">=" | "<=" | "like"
//! order     = name ["asc" | "desc"]
//! ```
//!
//! Words of the language and names of fields may be written in any case. A text stands in single
//! or double quotes; a doubled quote inside is one quote.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Condition, Field, Op, Operand, Order, Search, Test};
use crate::limit::{SEARCH_BYTES_MAX, SEARCH_DEPTH_MAX, SEARCH_ORDERS_MAX, SEARCH_TERMS_MAX};
use crate::time::{Civil, Timestamp};

/// Why a text is no search: what is wrong, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at character {at}")]
pub struct SearchError {
    /// Characters before it, counted from 1.
    pub at: usize,
    /// What is wrong.
    pub what: Box<str>,
}

impl SearchError {
    /// Returns the stable code.
    pub fn code(&self) -> crate::Code {
        "search.syntax"
    }
}

/// Reads a whole search.
///
/// # Errors
///
/// [`SearchError`] names the place and what was expected there.
pub fn parse(text: &str) -> Result<Search, SearchError> {
    let mut reader = Reader::new(text)?;
    for word in ["select", "*", "from", "device"] {
        reader.expect(word)?;
    }
    let condition = match reader.takes("where") {
        true => Some(reader.any(0)?),
        false => None,
    };
    let mut order = Vec::new();
    if reader.takes("order") {
        reader.expect("by")?;
        order.push(reader.order()?);
        while reader.takes(",") {
            order.push(reader.order()?);
        }
        if order.len() > SEARCH_ORDERS_MAX {
            return Err(reader.wrong(&format!("at most {SEARCH_ORDERS_MAX} fields to order by")));
        }
    }
    let (mut offset, mut limit) = (0, None);
    if reader.takes("limit") {
        let first = reader.number()?;
        limit = Some(first);
        if reader.takes(",") {
            offset = first;
            limit = Some(reader.number()?);
        }
    }
    reader.end()?;
    Ok(Search { condition, order, offset, limit })
}

/// Reads a condition alone: what stands after `where`, as a dynamic group keeps it.
///
/// # Errors
///
/// As [`parse`].
pub fn condition(text: &str) -> Result<Condition, SearchError> {
    let mut reader = Reader::new(text)?;
    let condition = reader.any(0)?;
    reader.end()?;
    Ok(condition)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(Box<str>),
    Sign(&'static str),
}

/// Signs, the longer ones before those that begin like them.
const SIGNS: [&str; 13] = ["!=", "<>", ">=", "<=", "=", ">", "<", "(", ")", "[", "]", ",", "*"];

struct Reader {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    terms: usize,
}

impl Reader {
    fn new(text: &str) -> Result<Self, SearchError> {
        if text.len() > SEARCH_BYTES_MAX {
            let what = format!("a search has at most {SEARCH_BYTES_MAX} bytes");
            return Err(SearchError { at: 1, what: what.into() });
        }
        let chars: Vec<char> = text.chars().collect();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while at < chars.len() {
            let c = chars[at];
            if c.is_whitespace() {
                at += 1;
                continue;
            }
            let start = at;
            let token = match c {
                '\'' | '"' => quoted(&chars, &mut at)?,
                c if is_word(c) => {
                    let rest = chars[at..].iter().copied();
                    let word: String = rest.take_while(|&c| is_word(c)).collect();
                    at += word.chars().count();
                    Token::Word(word)
                }
                _ => {
                    let fits = |sign: &&&str| {
                        sign.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c))
                    };
                    let Some(sign) = SIGNS.iter().find(fits) else {
                        let what = format!("`{c}` means nothing here");
                        return Err(SearchError { at: start + 1, what: what.into() });
                    };
                    at += sign.len();
                    Token::Sign(sign)
                }
            };
            tokens.push((start + 1, token));
        }
        Ok(Self { tokens, next: 0, end: chars.len() + 1, terms: 0 })
    }

    fn wrong(&self, what: &str) -> SearchError {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        SearchError { at, what: what.into() }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    /// Takes a word or sign if it comes next.
    fn takes(&mut self, expected: &str) -> bool {
        let found = match self.peek() {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(expected),
            Some(Token::Sign(sign)) => *sign == expected,
            Some(Token::Text(_)) | None => false,
        };
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, expected: &str) -> Result<(), SearchError> {
        match self.takes(expected) {
            true => Ok(()),
            false => Err(self.wrong(&format!("`{expected}` is missing"))),
        }
    }

    fn end(&self) -> Result<(), SearchError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("the search should end here")),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Condition, SearchError> {
        let mut parts = alloc::vec![self.all(depth)?];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(join(parts, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, SearchError> {
        let mut parts = alloc::vec![self.term(depth)?];
        while self.takes("and") {
            parts.push(self.term(depth)?);
        }
        Ok(join(parts, Condition::All))
    }

    fn term(&mut self, depth: usize) -> Result<Condition, SearchError> {
        if self.takes("(") {
            if depth >= SEARCH_DEPTH_MAX {
                return Err(self.wrong("the parentheses are nested too deeply"));
            }
            let inner = self.any(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let field = self.field()?;
        let op = self.op()?;
        let mut operands = Vec::new();
        if matches!(op, Op::In | Op::NotIn) {
            self.expect("(")?;
            operands.push(self.operand(&field)?);
            while self.takes(",") {
                operands.push(self.operand(&field)?);
            }
            self.expect(")")?;
        } else {
            operands.push(self.operand(&field)?);
        }
        if op == Op::Like && field == Field::CreatedAt {
            return Err(self.wrong("a date has no pattern"));
        }
        Ok(Condition::Test(Test { field, op, operands }))
    }

    fn field(&mut self) -> Result<Field, SearchError> {
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.wrong("the name of a field is missing"));
        };
        let name = word.to_ascii_lowercase();
        if name == "tags" {
            self.next += 1;
            self.expect("[")?;
            let Some(Token::Text(key)) = self.peek() else {
                return Err(self.wrong("the key of a tag in quotes is missing"));
            };
            let key = key.clone();
            self.next += 1;
            self.expect("]")?;
            return Ok(Field::Tag(key));
        }
        let Some(field) = named(&name) else {
            return Err(self.wrong(&format!("`{word}` is no field to search by")));
        };
        self.next += 1;
        Ok(field)
    }

    fn op(&mut self) -> Result<Op, SearchError> {
        for (sign, op) in [
            ("=", Op::Eq),
            ("!=", Op::Ne),
            ("<>", Op::Ne),
            (">=", Op::Ge),
            ("<=", Op::Le),
            (">", Op::Gt),
            ("<", Op::Lt),
            ("like", Op::Like),
            ("in", Op::In),
        ] {
            if self.takes(sign) {
                return Ok(op);
            }
        }
        if self.takes("not") {
            self.expect("in")?;
            return Ok(Op::NotIn);
        }
        Err(self.wrong("an operator such as `=` or `like` is missing"))
    }

    fn operand(&mut self, field: &Field) -> Result<Operand, SearchError> {
        self.terms += 1;
        if self.terms > SEARCH_TERMS_MAX {
            return Err(self.wrong("the search compares too often"));
        }
        let text: Box<str> = match self.peek() {
            Some(Token::Text(text)) => text.clone(),
            Some(Token::Word(word)) if word.bytes().all(|b| b.is_ascii_digit()) => {
                word.as_str().into()
            }
            Some(_) | None => return Err(self.wrong("a text in quotes is missing")),
        };
        let operand = if *field == Field::CreatedAt {
            let form = "a date is written `20261121T003818Z` or `2026-11-21T00:38:18.000Z`";
            Operand::Date(date(&text).ok_or_else(|| self.wrong(form))?)
        } else {
            Operand::Text(text)
        };
        self.next += 1;
        Ok(operand)
    }

    fn order(&mut self) -> Result<Order, SearchError> {
        let field = self.field()?;
        if matches!(
            field,
            Field::Group | Field::Tag(_) | Field::TagKey | Field::TagValue | Field::Status
        ) {
            self.next -= 1;
            return Err(self.wrong("nothing is ordered by this field"));
        }
        let descending = self.takes("desc");
        if !descending {
            // What it is without a word, too.
            self.takes("asc");
        }
        Ok(Order { field, descending })
    }

    fn number(&mut self) -> Result<u32, SearchError> {
        let number = match self.peek() {
            Some(Token::Word(word)) => word.parse().ok(),
            Some(_) | None => None,
        };
        let number = number.ok_or_else(|| self.wrong("a number is missing"))?;
        self.next += 1;
        Ok(number)
    }
}

fn join(mut parts: Vec<Condition>, make: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => make(parts),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn quoted(chars: &[char], at: &mut usize) -> Result<Token, SearchError> {
    let (start, quote) = (*at, chars[*at]);
    let mut text = String::new();
    *at += 1;
    loop {
        match chars.get(*at) {
            Some(&c) if c == quote && chars.get(*at + 1) == Some(&quote) => {
                text.push(quote);
                *at += 2;
            }
            Some(&c) if c == quote => {
                *at += 1;
                return Ok(Token::Text(text.into()));
            }
            Some('\0') => {
                return Err(SearchError { at: *at + 1, what: "a text has no NUL".into() });
            }
            Some(&c) => {
                text.push(c);
                *at += 1;
            }
            None => {
                return Err(SearchError { at: start + 1, what: "the quote does not end".into() });
            }
        }
    }
}

fn named(name: &str) -> Option<Field> {
    Some(match name {
        "app_id" => Field::Space,
        "create_time" => Field::CreatedAt,
        "device_id" => Field::Device,
        "device_name" => Field::Name,
        "fw_version" => Field::Firmware,
        "gateway_id" => Field::Gateway,
        "group_id" => Field::Group,
        "node_id" => Field::Node,
        "node_type" => Field::NodeType,
        "product_id" => Field::Product,
        "status" => Field::Status,
        "sw_version" => Field::Software,
        "tag_key" => Field::TagKey,
        "tag_value" => Field::TagValue,
        _ => return None,
    })
}

/// Reads `20261121T003818Z` and `2026-11-21T00:38:18[.000]Z`.
fn date(text: &str) -> Option<Timestamp> {
    let body = text.strip_suffix('Z')?;
    let (main, fraction) = body.split_once('.').unwrap_or((body, "000"));
    let (day, time) = main.split_once('T')?;
    let [year, month, dom] = fields(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let [milli, ..] = fields(fraction, '.', [3, 0, 0])?;
    let small = |number: u16| u8::try_from(number).ok();
    let civil = Civil {
        year: i64::from(year),
        month: small(month)?,
        day: small(dom)?,
        hour: small(hour)?,
        minute: small(minute)?,
        second: small(second)?,
        milli,
    };
    if !(1..=12).contains(&civil.month) || civil.hour > 23 || civil.minute > 59 || civil.second > 59
    {
        return None;
    }
    let date = Timestamp::from_civil(civil);
    // The thirtieth of February would be another day.
    (date.civil() == civil).then_some(date)
}

/// Cuts digits of these widths out of a text, with or without `between` between them.
fn fields(text: &str, between: char, widths: [usize; 3]) -> Option<[u16; 3]> {
    let mut rest = text;
    let mut found = [0; 3];
    for (n, (field, width)) in found.iter_mut().zip(widths).enumerate() {
        if n > 0 && text.contains(between) {
            rest = rest.strip_prefix(between)?;
        }
        let (digits, after) = rest.split_at_checked(width)?;
        if width > 0 {
            *field = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        }
        rest = after;
    }
    rest.is_empty().then_some(found)
}
