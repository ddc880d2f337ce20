//! Percent-coding of paths and queries as the signature sees them.
//!
//! Not a router and not a form decoder: it only brings what was sent into the one form that both
//! sides sign. Source: Huawei §10.2.

/// Longest path or query that is looked at, bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Returns the path with each segment decoded and encoded again, ending with `/` (T22). `None`
/// when it is not percent-encoded UTF-8.
pub(super) fn canonical_path(path: &str) -> Option<String> {
    if path.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut out = String::with_capacity(path.len() + 1);
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        encode(&decode(segment, false)?, &mut out);
    }
    if !out.ends_with('/') {
        out.push('/');
    }
    Some(out)
}

/// Returns the pairs of a query sorted by key, then value, both encoded. `None` when it is not
/// percent-encoded UTF-8.
pub(super) fn canonical_query(query: &str) -> Option<String> {
    let mut out = String::with_capacity(query.len());
    let mut pairs = parse(query)?;
    pairs.sort();
    for (n, (key, value)) in pairs.iter().enumerate() {
        if n > 0 {
            out.push('&');
        }
        encode(key, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    Some(out)
}

/// Splits a query into decoded pairs, in order; empty parts are skipped.
fn parse(query: &str) -> Option<Vec<(String, String)>> {
    if query.len() > TEXT_BYTES_MAX {
        return None;
    }
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(key, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes `%XX`, and `+` as a space where the form coding of queries allows it.
fn decode(text: &str, form: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            b'+' if form => b' ',
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// Encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_end_with_a_slash_and_are_encoded_once() {
        for (path, expected) in [
            ("/v5/iot", Some("/v5/iot/")),
            ("/v5/iot/", Some("/v5/iot/")),
            ("/a b/%41%2f", Some("/a%20b/A%2F/")),
            ("/%E4%B8%AD", Some("/%E4%B8%AD/")),
            ("/100%", None),
            ("/%zz", None),
            ("/%ff", None),
        ] {
            assert_eq!(canonical_path(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_by_key_then_value() {
        for (query, expected) in [
            ("", Some("")),
            ("b=2&a=1", Some("a=1&b=2")),
            ("a=2&a=1", Some("a=1&a=2")),
            ("a", Some("a=")),
            ("&&a=b+c&", Some("a=b%20c")),
            ("a=%2B", Some("a=%2B")),
            ("a=%", None),
        ] {
            assert_eq!(canonical_query(query).as_deref(), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_stable(text in "\\PC{0,80}") {
            if let Some(once) = canonical_query(&text) {
                prop_assert!(once.is_ascii());
                prop_assert_eq!(canonical_query(&once), Some(once));
            }
            if let Some(once) = canonical_path(&text) {
                prop_assert_eq!(canonical_path(&once), Some(once));
            }
        }

        #[test]
        fn pairs_survive(pairs in proptest::collection::vec((".{1,8}", ".{0,8}"), 0..6)) {
            let mut text = String::new();
            for (key, value) in &pairs {
                text.push('&');
                encode(key, &mut text);
                text.push('=');
                encode(value, &mut text);
            }
            prop_assert_eq!(parse(&text), Some(pairs));
        }
    }
}
