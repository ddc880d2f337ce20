//! WebConfig: a page in the own access point that takes network and password.
//!
//! Source: seed §6.3; GizWits §1.7; transcript webconfig. The words of the pages are this
//! project's own.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::Tick;

use super::super::lan::CREDENTIAL_MAX;
use super::Module;
use super::io::{ConnId, Cx, Level, Output};

/// Browsers at once.
const PAGES_MAX: usize = 4;
/// Longest request head, bytes.
const REQUEST_MAX: usize = 2048;
/// Time a browser may take for its request.
const PAGE_WAIT: Duration = Duration::from_secs(10);

/// Browsers on TCP 80.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

struct Page {
    conn: ConnId,
    request: Vec<u8>,
    due: Tick,
}

impl Pages {
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.0.iter().any(|page| page.conn == conn)
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.0.retain(|page| page.conn != conn);
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.0.iter().map(|page| page.due).min()
    }
}

/// Why a form was refused; the text is shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// No network name.
    #[error("The network name is missing.")]
    NoName,
    /// More than 32 bytes.
    #[error("Network name and password may have 32 characters each.")]
    TooLong,
    /// Not one of the allowed characters.
    #[error("Only letters, digits, minus, underscore and full stop are allowed.")]
    Character,
}

impl FormError {
    /// Returns the text in Chinese, as character references.
    fn chinese(self) -> &'static str {
        match self {
            Self::NoName => "&#x8BF7;&#x586B;&#x5199;&#x7F51;&#x7EDC;&#x540D;&#x79F0;&#x3002;",
            Self::TooLong => {
                "&#x7F51;&#x7EDC;&#x540D;&#x79F0;&#x548C;&#x5BC6;&#x7801;&#x6700;&#x591A;&#x5404; 32 &#x4E2A;&#x5B57;&#x7B26;&#x3002;"
            }
            Self::Character => {
                "&#x53EA;&#x80FD;&#x4F7F;&#x7528;&#x5B57;&#x6BCD;&#x3001;&#x6570;&#x5B57;&#x3001;&#x51CF;&#x53F7;&#x3001;&#x4E0B;&#x5212;&#x7EBF;&#x548C;&#x53E5;&#x70B9;&#x3002;"
            }
        }
    }
}

/// Reads the query of the form (seed §6.3_4 to _6): network and password.
///
/// # Errors
///
/// Which rule is broken.
pub fn check_form(query: &str) -> Result<(&str, &str), FormError> {
    let field =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let ssid = field("ssid").filter(|ssid| !ssid.is_empty()).ok_or(FormError::NoName)?;
    let password = field("pass").unwrap_or_default();
    for text in [ssid, password] {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !text.bytes().all(allowed) {
            return Err(FormError::Character);
        }
        if text.len() > CREDENTIAL_MAX {
            return Err(FormError::TooLong);
        }
    }
    Ok((ssid, password))
}

/// In English and Chinese. Chinese is written in character references: the head names the vendor's
/// coding, and the bytes are the same in all of them.
const FORM: &str = "<!doctype html><meta name=viewport content=\"width=device-width\">\
<title>Wi-Fi</title><h1>Connect this device / &#x8BBE;&#x5907;&#x914D;&#x7F51;</h1>\
<form action=\"web_config.cgi\">\
<p><label>Network / &#x7F51;&#x7EDC;&#x540D;&#x79F0;<br><input name=ssid maxlength=32 \
pattern=\"[A-Za-z0-9_.\\-]+\" required></label>\
<p><label>Password / &#x5BC6;&#x7801;<br><input name=pass maxlength=32 \
pattern=\"[A-Za-z0-9_.\\-]*\"></label>\
<p><button>Connect / &#x8FDE;&#x63A5;</button></form>";

fn page(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html;charset=gb2312\r\n\
         Content-Length: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Module {
    pub(super) fn accept_page(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        if self.pages.0.len() >= PAGES_MAX || !self.mode.takes_credentials() {
            return cx.put(Output::CloseTcp(conn));
        }
        self.pages.0.push(Page { conn, request: Vec::new(), due: cx.now + PAGE_WAIT });
    }

    pub(super) fn drop_pages(&mut self, cx: &mut Cx<'_>) {
        for page in core::mem::take(&mut self.pages).0 {
            cx.put(Output::CloseTcp(page.conn));
        }
    }

    pub(super) fn pages_timeout(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        while let Some(conn) = self.pages.0.iter().find(|p| now >= p.due).map(|p| p.conn) {
            self.pages.forget(conn);
            cx.put(Output::CloseTcp(conn));
        }
    }

    pub(super) fn page_data(&mut self, conn: ConnId, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(page) = self.pages.0.iter_mut().find(|page| page.conn == conn) else { return };
        page.request.extend_from_slice(bytes);
        let is_whole = page.request.windows(4).any(|end| end == b"\r\n\r\n");
        if !is_whole && page.request.len() <= REQUEST_MAX {
            return;
        }
        let request = core::mem::take(&mut page.request);
        self.pages.forget(conn);
        let answer = self.page(&request, cx);
        cx.put(Output::Tcp { conn, bytes: answer.as_bytes() });
        cx.put(Output::CloseTcp(conn));
    }

    fn page(&mut self, request: &[u8], cx: &mut Cx<'_>) -> String {
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = core::str::from_utf8(line).unwrap_or_default();
        let mut words = line.split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        if method != Some("GET") {
            return page("405 Method Not Allowed", "");
        }
        match target.split_once('?').unwrap_or((target, "")) {
            ("/", _) => page("200 OK", FORM),
            ("/web_config.cgi", query) => self.submit(query, cx),
            _ => page("404 Not Found", "Not here. <a href=\"/\">Back / &#x8FD4;&#x56DE;</a>"),
        }
    }

    fn submit(&mut self, query: &str, cx: &mut Cx<'_>) -> String {
        match check_form(query) {
            Err(error) => {
                self.log(Level::Warning, &format!("page: {error}"), cx);
                let chinese = error.chinese();
                page(
                    "200 OK",
                    &format!("<p>{error}<p>{chinese}<p><a href=\"/\">Back / &#x8FD4;&#x56DE;</a>"),
                )
            }
            Ok((ssid, password)) => {
                if !self.keep_network(ssid.as_bytes(), password.as_bytes(), "webconfig", cx) {
                    return page(
                        "500 Internal Server Error",
                        "<p>The device could not keep it. / &#x8BBE;&#x5907;&#x65E0;&#x6CD5;&#x4FDD;&#x5B58;&#x3002;",
                    );
                }
                self.leave_configuration(cx);
                page(
                    "200 OK",
                    "<p>The device has the network and restarts. / &#x8BBE;&#x5907;&#x5DF2;&#x4FDD;&#x5B58;&#x7F51;&#x7EDC;&#xFF0C;&#x6B63;&#x5728;&#x91CD;&#x542F;&#x3002;",
                )
            }
        }
    }
}
