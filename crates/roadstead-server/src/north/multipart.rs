//! `multipart/form-data` bodies: the parts of a body that is in memory already. Just what file
//! uploads need: a name, a file name and the bytes of each part.
//!
//! Source: RFC 7578, RFC 2046 §5.1; trap T23 (SDKs sign such bodies as `UNSIGNED-PAYLOAD`).

/// Most parts of a body that are looked at.
const PARTS_MAX: usize = 16;
/// Longest boundary, bytes (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Field name.
    pub name: &'a str,
    /// File name, if it is a file.
    pub file_name: Option<&'a str>,
    /// Content.
    pub bytes: &'a [u8],
}

/// Returns the boundary when the content type is `multipart/form-data`.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()).then_some(boundary)
}

/// Splits a body into its parts; `None` when it is malformed.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let mark = format!("--{boundary}");
    let between = format!("\r\n{mark}");
    let mut rest = match body.strip_prefix(mark.as_bytes()) {
        Some(rest) => rest,
        None => &body[find(body, between.as_bytes())? + between.len()..],
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        // White space may follow the boundary.
        let line = find(rest, b"\r\n")?;
        rest = &rest[line..];
        let end = find(rest, between.as_bytes())?;
        if parts.len() == PARTS_MAX {
            return None;
        }
        parts.push(part(&rest[..end])?);
        rest = &rest[end + between.len()..];
    }
}

/// Reads `\r\n`, headers, an empty line and the content.
fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let head = find(bytes, b"\r\n\r\n")?;
    let headers = std::str::from_utf8(&bytes[..head]).ok()?;
    let disposition = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (kind, parameters) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some(Part {
        name: parameter(parameters, "name")?,
        file_name: parameter(parameters, "filename"),
        bytes: &bytes[head + 4..],
    })
}

/// Returns a parameter of a header, without its quotes.
fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = parameters;
    loop {
        let (key, value) = rest.split_once('=')?;
        let (value, after) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let (value, after) = value.split_once(';').unwrap_or((value, ""));
                // A token holds no quotes (RFC 2045 §5.1).
                (!value.contains('"')).then_some((value, after))?
            }
        };
        if key.trim().trim_start_matches(';').trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim());
        }
        rest = after;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_of_an_sdk_is_split() {
        let kind = "multipart/form-data; charset=UTF-8; boundary=\"a b\"";
        assert_eq!(boundary(kind), Some("a b"));
        assert_eq!(boundary("multipart/form-data;boundary=xyz"), Some("xyz"));
        for not in ["application/json", "multipart/form-data", "multipart/mixed; boundary=x"] {
            assert_eq!(boundary(not), None, "{not}");
        }
        let body = b"ignored\r\n--xyz  \r\nContent-Disposition: form-data; name=\"file\"; \
            filename=\"A_B.zip\"\r\nContent-Type: application/zip\r\n\r\nPK\r\n--xy\r\n--xyz\r\n\
            content-disposition: form-data; name=app_id\r\n\r\n\r\n--xyz--\r\n";
        let file = Part { name: "file", file_name: Some("A_B.zip"), bytes: b"PK\r\n--xy" };
        let field = Part { name: "app_id", file_name: None, bytes: b"" };
        assert_eq!(parts(body, "xyz"), Some(vec![file, field]));
        let quote = b"--xyz\r\nContent-Disposition: form-data; name=a\"b\r\n\r\n\r\n--xyz--";
        for bad in [
            &b""[..],
            &quote[..],
            b"--xyz",
            b"--xyz\r\n\r\n\r\n\r\n--xyz--",
            b"--xyz\r\nx\r\n--xyz--",
        ] {
            assert_eq!(parts(bad, "xyz"), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents in proptest::collection::vec(any::<Vec<u8>>(), 1..4)) {
            let mut body = Vec::new();
            for content in &contents {
                prop_assume!(find(content, b"--bound").is_none());
                body.extend(b"--bound\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n");
                body.extend(content);
                body.extend(b"\r\n");
            }
            body.extend(b"--bound--\r\n");
            let read = parts(&body, "bound").expect("parts");
            let read: Vec<_> = read.into_iter().map(|part| part.bytes.to_vec()).collect();
            prop_assert_eq!(read, contents);
        }

        #[test]
        fn no_body_is_too_strange(body in "(--b|\r\n|content-disposition: form-data; |name=|\"|;|x){0,20}") {
            drop(parts(body.as_bytes(), "b"));
            prop_assert!(boundary(&body).is_none_or(|found| !found.is_empty()));
        }
    }
}
