//! The report for people, on a terminal.
//!
//! Every text from a log was masked and made printable before; colours are the caller's.

use crate::report::{Finding, Passage, Report, Severity, Status, Verdict};

/// The language of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// Returns the text of this language.
    pub fn pick<'a>(self, (en, zh): (&'a str, &'a str)) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

/// What a piece of text means; the caller paints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It needs attention.
    Warn,
    /// It matters less.
    Dim,
    /// It matters more.
    Strong,
}

/// Paints a piece of text.
pub type Painter<'a> = &'a dyn Fn(Mark, &str) -> String;

impl Report {
    /// Returns the report as text.
    pub fn to_text(&self, lang: Lang, paint: Painter<'_>) -> String {
        let page = Page { report: self, lang, paint };
        let mut out = page.head();
        for device in 0..self.devices.len() {
            out.push_str(&page.device(device));
        }
        for finding in &self.findings {
            out.push('\n');
            out.push_str(&page.finding(finding));
        }
        out
    }

    /// Returns one sentence that tells the result.
    pub fn headline(&self, lang: Lang) -> String {
        let code = self.findings.first().map_or("", |finding| finding.code);
        match self.verdict {
            Verdict::Healthy => lang
                .pick((
                    "Healthy: nothing in this log stops the device.",
                    "正常：日志中没有阻断设备的故障。",
                ))
                .to_owned(),
            Verdict::Fault => match lang {
                Lang::En => format!("Fault: `{code}`."),
                Lang::Zh => format!("故障：`{code}`。"),
            },
            Verdict::Incomplete => lang
                .pick((
                    "Incomplete: the log ends before a cause shows.",
                    "不完整：日志在原因出现之前结束。",
                ))
                .to_owned(),
            Verdict::NotRecognised => lang
                .pick((
                    "Not recognised: no known device SDK wrote this.",
                    "无法识别：不是已知设备 SDK 的日志。",
                ))
                .to_owned(),
        }
    }
}

struct Page<'a> {
    report: &'a Report,
    lang: Lang,
    paint: Painter<'a>,
}

impl Page<'_> {
    fn say(&self, en: &'static str, zh: &'static str) -> &'static str {
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    fn head(&self) -> String {
        let tone = match self.report.verdict {
            Verdict::Healthy => Mark::Good,
            Verdict::Fault => Mark::Bad,
            Verdict::Incomplete | Verdict::NotRecognised => Mark::Warn,
        };
        let mut out = format!("{}\n", (self.paint)(tone, &self.report.headline(self.lang)));
        for file in &self.report.files {
            let (lines, encoding) = (file.lines, file.encoding.name());
            let words = self.say("lines", "行");
            out.push_str(&(self.paint)(
                Mark::Dim,
                &format!("{}  {lines} {words}, {encoding}", file.path),
            ));
            out.push('\n');
        }
        out
    }

    fn device(&self, index: usize) -> String {
        let Some(device) = self.report.devices.get(index) else { return String::new() };
        let sdk = device.sdk.unwrap_or("?");
        let version = device.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
        let boots = device.boots;
        let boot = if boots > 1 {
            match self.lang {
                Lang::En => format!("  {boots} boots"),
                Lang::Zh => format!("  {boots} 次启动"),
            }
        } else {
            String::new()
        };
        let title =
            format!("{} {}", device.key, (self.paint)(Mark::Dim, &format!("{sdk}{version}{boot}")));
        let mut out = format!("\n{}\n", title.trim_start());
        for passage in self.report.stages.iter().filter(|passage| passage.device == index) {
            out.push_str(&self.passage(passage));
        }
        out
    }

    fn passage(&self, passage: &Passage) -> String {
        let (sign, tone) = match passage.status {
            Status::Done => ("✓", Mark::Good),
            Status::Failed => ("✗", Mark::Bad),
            Status::Open => ("…", Mark::Warn),
            Status::Skipped => ("·", Mark::Dim),
        };
        let place = match (passage.line, &passage.time) {
            (Some(line), Some(time)) => format!("{} {line}  {time}", self.say("line", "行")),
            (Some(line), None) => format!("{} {line}", self.say("line", "行")),
            (None, _) => self.say("passed", "已通过").to_owned(),
        };
        let name = passage.stage.id();
        let pad = " ".repeat(16_usize.saturating_sub(name.len()));
        format!("  {} {name}{pad} {}\n", (self.paint)(tone, sign), (self.paint)(Mark::Dim, &place))
    }

    fn finding(&self, finding: &Finding) -> String {
        let tone = match finding.severity {
            Severity::Error => Mark::Bad,
            Severity::Warning => Mark::Warn,
            Severity::Info => Mark::Dim,
        };
        let sure = (finding.confidence * 100.0).round();
        let times =
            if finding.count > 1 { format!("  ×{}", finding.count) } else { String::new() };
        let mut out = format!(
            "{} {}  {}\n",
            (self.paint)(tone, finding.severity.id()),
            (self.paint)(Mark::Strong, finding.code),
            (self.paint)(Mark::Dim, &format!("{sure} %{times}")),
        );
        for evidence in finding.evidence.iter().filter(|evidence| !evidence.text.is_empty()) {
            let file = match self.report.files.len() {
                0 | 1 => String::new(),
                _ => format!(
                    "{}:",
                    self.report.files.get(evidence.file).map_or("", |f| f.path.as_str())
                ),
            };
            let place = (self.paint)(Mark::Dim, &format!("{file}{:>6}", evidence.line));
            out.push_str(&format!(
                "  {place} {} {}\n",
                (self.paint)(tone, "│"),
                evidence.text.trim()
            ));
        }
        let remedy = self.lang.pick(finding.remedy);
        out.push_str(&format!("  {} {remedy}\n", self.say("Remedy:", "处理：")));
        if !finding.next.is_empty() && finding.severity == Severity::Error {
            out.push_str(&format!(
                "  {}\n",
                self.say(
                    "The log alone cannot decide; check next:",
                    "仅凭日志无法区分，请依次检查："
                )
            ));
            for (en, zh) in &finding.next {
                out.push_str(&format!("    - {}\n", self.lang.pick((en, zh))));
            }
        }
        if !finding.caused.is_empty() {
            let lines: Vec<String> = finding.caused.iter().map(u64::to_string).collect();
            let words = self.say("Consequences of it in lines", "由此引发的行：");
            out.push_str(&(self.paint)(Mark::Dim, &format!("  {words} {}\n", lines.join(", "))));
        }
        out
    }
}
