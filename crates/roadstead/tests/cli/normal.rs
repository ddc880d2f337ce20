//! Takes out of an output what differs from run to run (paths, ports, dates, ids) and what editors
//! strip (blanks at the end of a line).

use std::path::Path;

/// Returns `text` with placeholders for everything that differs.
pub(crate) fn normalise(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "[FOLDER]");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    let text = replace(&text, "127.0.0.1:", digits, "127.0.0.1:[PORT]");
    let text = replace_word(&text, is_date, "[DATE]");
    let text = replace_word(&text, is_mark, "#[TRACE]");
    let text = replace_word(&text, |word| matches!(word.len(), 24 | 32) && is_hex(word), "[ID]");
    ago(&text).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Replaces `prefix` and the `len` bytes after it.
fn replace(text: &str, prefix: &str, len: impl Fn(&str) -> usize, with: &str) -> String {
    let mut parts = text.split(prefix);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match len(part) {
            0 => out.push_str(prefix),
            n => {
                out.push_str(with);
                out.push_str(&part[n..]);
                continue;
            }
        }
        out.push_str(part);
    }
    out
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Replaces words, which end at blanks, quotes and commas.
fn replace_word(text: &str, differs: impl Fn(&str) -> bool, with: &str) -> String {
    let ends = [' ', '\n', '"', ',', '`', '/'];
    text.split_inclusive(ends)
        .map(|word| {
            let core = word.trim_end_matches(ends);
            match differs(core) {
                true => word.replacen(core, with, 1),
                false => word.to_owned(),
            }
        })
        .collect()
}

/// `20261121T003818Z` and RFC 3339 in UTC.
fn is_date(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || "-:.".contains(c);
    word.len() >= 16
        && word
            .strip_suffix('Z')
            .and_then(|word| word.split_once('T'))
            .is_some_and(|(day, time)| day.chars().all(plain) && time.chars().all(plain))
}

/// What ties the hops of one message together.
fn is_mark(word: &str) -> bool {
    word.strip_prefix('#').is_some_and(|id| id.len() == 8 && is_hex(id))
}

fn is_hex(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Replaces `12 ms ago` by `[AGO]`.
fn ago(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let Some(end) = line.find(" ago") else { return line.to_owned() };
            let head = line[..end].trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let head = head.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("{head}[AGO]{}", &line[end + " ago".len()..])
        })
        .collect()
}

#[test]
fn what_differs_is_taken_out() {
    let text = "at 127.0.0.1:41234 since 20261121T003818Z, 4.2 s ago in /tmp/x/data\n\
                {\"id\":\"0123456789abcdef0123456789abcdef\",\"at\":\"2026-11-21T00:38:18.123Z\"}\n";
    let expected = "at 127.0.0.1:[PORT] since [DATE], [AGO] in [FOLDER]/data\n\
                    {\"id\":\"[ID]\",\"at\":\"[DATE]\"}\n";
    assert_eq!(normalise(text, Path::new("/tmp/x")), expected);
}
