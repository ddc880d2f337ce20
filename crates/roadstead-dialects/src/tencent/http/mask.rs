//! Takes secrets out of the SDK's log lines.
//!
//! The provisioning log holds `SSID:…|PSW:…|TOKEN:…` in clear, the MQTT log whole payloads.
//!
//! Source: Tencent §5.4, §13.4, §14 rule 17.

use alloc::string::String;

/// What replaces a secret.
const MASKED: &str = "***";
/// What stands before a secret, and what ends it.
const MARKS: [(&str, End); 7] = [
    // A password may hold `|`; only the next member ends it.
    ("PSW:", End::Text("|TOKEN:")),
    ("TOKEN:", End::Word),
    ("secret:", End::Word),
    ("\"token\":\"", End::Text("\"")),
    ("\"password\":\"", End::Text("\"")),
    ("\"psk\":\"", End::Text("\"")),
    ("\"signature\":\"", End::Text("\"")),
];

#[derive(Clone, Copy)]
enum End {
    /// The text, or the end of the line.
    Text(&'static str),
    /// A blank, a `|`, or the end of the line.
    Word,
}

/// Returns `line` with every known secret masked.
pub(super) fn mask(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((start, end)) = next_secret(rest) {
        masked.push_str(&rest[..start]);
        masked.push_str(MASKED);
        rest = &rest[end..];
    }
    masked.push_str(rest);
    masked
}

/// Returns where the first secret starts and ends.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    let found = |&(mark, end): &(&str, End)| Some((text.find(mark)? + mark.len(), end));
    let (start, end) = MARKS.iter().filter_map(found).min_by_key(|&(start, _)| start)?;
    let secret = &text[start..];
    let line = secret.find(['\r', '\n']).unwrap_or(secret.len());
    let len = match end {
        End::Text(text) => secret[..line].find(text),
        End::Word => secret[..line].find([' ', '|', ',', ';']),
    };
    Some((start, start + len.unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (line, expected) in [
            ("a|SSID:lab|PSW:p|ss|TOKEN:69f9|x", "a|SSID:lab|PSW:***|TOKEN:***|x"),
            ("PSW:only\r\nnext", "PSW:***\r\nnext"),
            (r#"{"token":"69f9","a":1}"#, r#"{"token":"***","a":1}"#),
            ("Device secret decode err, secret:abc", "Device secret decode err, secret:***"),
            ("nothing here", "nothing here"),
            ("PSW:", "PSW:***"),
        ] {
            assert_eq!(mask(line), expected);
        }
    }

    proptest! {
        #[test]
        fn no_secret_survives(
            before in "[a-z |]{0,20}",
            password in "[A-Z0-9|]{8,20}",
            token in "[0-9a-f]{32}",
        ) {
            let line = std::format!("{before}SSID:x|PSW:{password}|TOKEN:{token}");
            let masked = mask(&line);
            prop_assert!(!masked.contains(&password) && !masked.contains(&token));
        }

        #[test]
        fn any_text_is_masked_without_panic(line in "\\PC{0,80}(PSW:|TOKEN:)?\\PC{0,20}") {
            let _ = mask(&line);
        }
    }
}
