//! One JSON file of the archive, and errors that name its line.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::{Map, Value};

use super::locate::{Step, line};
use crate::Problem;

/// A parsed file.
pub(super) struct File<'a> {
    path: &'a str,
    text: &'a str,
    /// The document.
    pub(super) root: Map<String, Value>,
}

impl<'a> File<'a> {
    /// Parses a file.
    pub(super) fn parse(path: &'a str, bytes: &'a [u8]) -> Result<Self, Problem> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let lines = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            bad(path, 1 + lines, "the text is not UTF-8")
        })?;
        let root: Value = serde_json::from_str(text)
            .map_err(|error| bad(path, error.line(), &format!("the JSON is wrong: {error}")))?;
        match root {
            Value::Object(root) => Ok(Self { path, text, root }),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(bad(path, 1, "the document is not an object `{…}`")),
        }
    }

    /// Returns an error at an element.
    pub(super) fn bad(&self, at: &[Step<'_>], rule: &str) -> Problem {
        bad(self.path, line(self.text, at), rule)
    }

    /// Returns the items of the list `key` of the object at `at`; `null` and absence are an empty
    /// list. Everything else is an error, as are items that are not objects.
    pub(super) fn objects<'v>(
        &self,
        parent: &'v Map<String, Value>,
        at: &[Step<'_>],
        key: &'static str,
    ) -> Result<Vec<&'v Map<String, Value>>, Problem> {
        let mut path = at.to_vec();
        path.push(Step::Key(key));
        let items = match parent.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => {
                return Err(self.bad(&path, &format!("the value of `{key}` is not an array `[…]`")));
            }
        };
        let object = |(n, item): (usize, &'v Value)| {
            item.as_object().ok_or_else(|| {
                let mut path = path.clone();
                path.push(Step::Index(n));
                self.bad(&path, &format!("an item of `{key}` is not an object `{{…}}`"))
            })
        };
        items.iter().enumerate().map(object).collect()
    }

    /// Returns a text that must be there.
    pub(super) fn text<'v>(
        &self,
        parent: &'v Map<String, Value>,
        at: &[Step<'_>],
        key: &'static str,
    ) -> Result<&'v str, Problem> {
        let mut path = at.to_vec();
        path.push(Step::Key(key));
        match parent.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
            Some(Value::String(_)) => Err(self.bad(&path, &format!("`{key}` is empty"))),
            Some(_) => Err(self.bad(&path, &format!("`{key}` is not a text"))),
            None => Err(self.bad(&path, &format!("`{key}` is missing"))),
        }
    }
}

fn bad(path: &str, line: usize, rule: &str) -> Problem {
    Problem::new("import.bad_model", format!("`{path}` line {line}: {rule}"))
}
