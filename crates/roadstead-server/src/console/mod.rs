//! The console's first page and the API documentation: static, embedded, self-contained.
//!
//! Everything the pages show comes from the API with the credentials of whoever looks; this module
//! only serves files. The policy allows nothing but these files and calls to this server.

mod doctor;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::header::{HeaderName, HeaderValue, X_FRAME_OPTIONS};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file: path, content type, content.
static FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("index.html")),
    ("/console/console.css", CSS, include_str!("console.css")),
    ("/console/console.js", JS, include_str!("console.js")),
    ("/console/words.js", JS, include_str!("words.js")),
    ("/console/mark.svg", SVG, include_str!("mark.svg")),
    ("/doctor", HTML, include_str!("doctor.html")),
    ("/console/doctor.css", CSS, include_str!("doctor.css")),
    ("/console/doctor.js", JS, include_str!("doctor.js")),
    ("/docs", HTML, include_str!("docs.html")),
    ("/docs/docs.css", CSS, include_str!("docs.css")),
    ("/docs/docs.js", JS, include_str!("docs.js")),
];

/// Returns the pages.
pub(crate) fn routes() -> Router {
    FILES.iter().fold(doctor::routes(), |router, (path, kind, content)| {
        router.route(path, get(async move || file(kind, content)))
    })
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let header = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = [
        header(CONTENT_TYPE, kind),
        header(CONTENT_SECURITY_POLICY, POLICY),
        header(CACHE_CONTROL, "no-cache"),
        header(REFERRER_POLICY, "no-referrer"),
        header(X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_fetch_nothing_from_elsewhere_and_hold_no_inline_code() {
        for (path, _, content) in &FILES {
            for foreign in ["http://", "https://", "//cdn"] {
                let own = content.replace("http://www.w3.org/", "");
                assert!(!own.contains(foreign), "{path} mentions {foreign}");
            }
            for inline in
                [" onclick=", " onload=", " style=\"", "javascript:", "innerHTML", "eval("]
            {
                assert!(!content.contains(inline), "{path} contains {inline}");
            }
        }
    }

    #[test]
    fn every_file_that_a_page_names_is_served() {
        for (page, kind, content) in FILES.iter().filter(|(_, kind, _)| *kind == HTML) {
            let names = content
                .split(['"', '\''])
                .filter(|text| text.starts_with("/console/") || text.starts_with("/docs/"));
            for name in names {
                assert!(FILES.iter().any(|(path, _, _)| path == &name), "{page} {kind}: {name}");
            }
        }
    }
}
