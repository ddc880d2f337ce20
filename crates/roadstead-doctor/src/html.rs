//! The report as one page that needs nothing else: no script, no network, no font.
//!
//! A policy in the page forbids loading anything, so that a page sent to a supplier stays what it
//! was. Every text is escaped after masking.

use crate::report::{Finding, Passage, Report, Severity, Status, Verdict};
use crate::text::Lang;

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1c2430;--dim:#667085;--bg:#fff;--card:#f6f7f9;--line:#dfe3e8;\
--good:#157f3d;--bad:#b42318;--warn:#a15c07}\
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ee;--dim:#98a2b3;--bg:#12161c;--card:#1b212a;\
--line:#303844;--good:#4ade80;--bad:#f97066;--warn:#fdb022}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:1.5rem;background:var(--bg);\
color:var(--fg);font:15px/1.5 system-ui,sans-serif}h1{font-size:1.35rem;margin:0 0 .25rem}\
h2{font-size:1rem;margin:1.5rem 0 .5rem}.dim{color:var(--dim)}.good{color:var(--good)}\
.bad{color:var(--bad)}.warn{color:var(--warn)}ol.bar{list-style:none;display:flex;flex-wrap:wrap;\
gap:.25rem;margin:0;padding:0}ol.bar li{border:1px solid var(--line);border-radius:.4rem;\
padding:.15rem .5rem;font-size:.85rem}ol.bar .failed{border-color:var(--bad);color:var(--bad);\
font-weight:600}ol.bar .done{color:var(--good)}ol.bar .open{color:var(--warn)}ol.bar .skipped\
{color:var(--dim)}article{background:var(--card);border:1px solid var(--line);border-left:4px solid \
var(--line);border-radius:.4rem;padding:.75rem 1rem;margin:.75rem 0}article.error{border-left-color:\
var(--bad)}article.warning{border-left-color:var(--warn)}pre{overflow-x:auto;margin:.5rem 0;\
padding:.5rem;background:var(--bg);border:1px solid var(--line);border-radius:.3rem;font-size:.82rem}\
code{font-size:.9em}p{margin:.35rem 0}ul{margin:.25rem 0;padding-left:1.25rem}";

impl Report {
    /// Returns the report as a self-contained page.
    pub fn to_html(&self, lang: Lang) -> String {
        let code = lang.pick(("en", "zh"));
        let title = lang.pick(("Device log diagnosis", "设备日志诊断"));
        let tone = match self.verdict {
            Verdict::Healthy => "good",
            Verdict::Fault => "bad",
            Verdict::Incomplete | Verdict::NotRecognised => "warn",
        };
        let mut out = format!(
            "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head><body><main>\n\
             <h1 class=\"{tone}\">{}</h1>\n",
            code_spans(&self.headline(lang)),
        );
        for file in &self.files {
            let words = lang.pick(("lines", "行"));
            out.push_str(&format!(
                "<p class=\"dim\">{} · {} {words} · {}</p>\n",
                escape(&file.path),
                file.lines,
                file.encoding.name()
            ));
        }
        for (index, device) in self.devices.iter().enumerate() {
            let version = device.version.as_deref().unwrap_or_default();
            out.push_str(&format!(
                "<section><h2>{} <span class=\"dim\">{} {}</span></h2>\n<ol class=\"bar\">",
                escape(&device.key),
                escape(device.sdk.unwrap_or("?")),
                escape(version)
            ));
            for stage in self.stages.iter().filter(|stage| stage.device == index) {
                out.push_str(&bar(stage, lang));
            }
            out.push_str("</ol>\n");
            for finding in self.findings.iter().filter(|finding| finding.device == index) {
                out.push_str(&card(finding, lang));
            }
            out.push_str("</section>\n");
        }
        if self.devices.is_empty() {
            self.findings.iter().for_each(|finding| out.push_str(&card(finding, lang)));
        }
        out.push_str("</main></body></html>\n");
        out
    }
}

fn bar(passage: &Passage, lang: Lang) -> String {
    let sign = match passage.status {
        Status::Done => "✓",
        Status::Failed => "✗",
        Status::Open => "…",
        Status::Skipped => "·",
    };
    let line =
        passage.line.map(|line| format!(" <span class=\"dim\">{line}</span>")).unwrap_or_default();
    let name = lang.pick(passage.stage.title());
    format!(
        "<li class=\"{}\" title=\"{}\">{sign} {name}{line}</li>",
        passage.status.id(),
        passage.stage.id()
    )
}

fn card(finding: &Finding, lang: Lang) -> String {
    let severity = match finding.severity {
        Severity::Error => lang.pick(("Error", "错误")),
        Severity::Warning => lang.pick(("Warning", "警告")),
        Severity::Info => lang.pick(("Note", "说明")),
    };
    let mut out = format!(
        "<article class=\"{}\"><p>{severity} · <code><b>{}</b></code> \
         <span class=\"dim\">{:.0} % · ×{}</span></p>\n",
        finding.severity.id(),
        finding.code,
        finding.confidence * 100.0,
        finding.count
    );
    let quoted: Vec<String> = finding
        .evidence
        .iter()
        .filter(|evidence| !evidence.text.is_empty())
        .map(|evidence| format!("{:>6} │ {}", evidence.line, escape(evidence.text.trim())))
        .collect();
    if !quoted.is_empty() {
        out.push_str(&format!("<pre>{}</pre>\n", quoted.join("\n")));
    }
    out.push_str(&format!(
        "<p><b>{}</b> {}</p>\n",
        lang.pick(("Remedy:", "处理：")),
        escape(lang.pick(finding.remedy))
    ));
    if !finding.next.is_empty() {
        out.push_str(&format!("<p>{}</p><ul>", lang.pick(("Check next:", "依次检查："))));
        for (en, zh) in &finding.next {
            out.push_str(&format!("<li>{}</li>", code_spans(lang.pick((en, zh)))));
        }
        out.push_str("</ul>\n");
    }
    if !finding.caused.is_empty() {
        let lines: Vec<String> = finding.caused.iter().map(u64::to_string).collect();
        let words = lang.pick(("Consequences in lines", "由此引发的行："));
        out.push_str(&format!("<p class=\"dim\">{words} {}</p>\n", lines.join(", ")));
    }
    out.push_str("</article>\n");
    out
}

/// Escapes a text for HTML, in elements and attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Escapes a text and shows what stands in backticks as code.
fn code_spans(text: &str) -> String {
    let mut out = String::new();
    for (n, part) in text.split('`').enumerate() {
        match n % 2 {
            0 => out.push_str(&escape(part)),
            _ => out.push_str(&format!("<code>{}</code>", escape(part))),
        }
    }
    out
}
