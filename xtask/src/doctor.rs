//! `docs/doctor/`: a page per family of diagnosis codes in English and Chinese, and the table that
//! leads from the founding documents to code, rule and sample.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use roadstead_doctor::catalogue::{self, Entry, Source};

/// Where the rules are.
const RULES: &str = "crates/roadstead-doctor/src";
/// Where the samples are.
const SAMPLES: &str = "crates/roadstead-doctor/samples";
/// The test that makes captures.
const CAPTURES: &str = "crates/roadstead-doctor/tests/captures.rs";

/// Returns every page by its path.
pub(crate) fn pages(root: &Path) -> Result<Vec<(String, String)>, Vec<String>> {
    let fail = |error: std::io::Error| vec![format!("reading rules and samples: {error}")];
    let known = Known { rules: rules(root).map_err(fail)?, samples: samples(root).map_err(fail)? };
    let mut families: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in catalogue::all() {
        let family = entry.code.split('.').next().unwrap_or_default();
        families.entry(family).or_default().push(entry);
    }
    let mut pages = vec![("docs/doctor/README.md".to_owned(), index(&families, &known))];
    for (family, entries) in &families {
        pages.push((format!("docs/doctor/{family}.md"), page(family, entries, &known)));
    }
    Ok(pages)
}

/// Files that hold a rule and samples that show it, by code.
struct Known {
    rules: BTreeMap<String, Vec<String>>,
    samples: BTreeMap<String, Vec<String>>,
}

impl Known {
    fn of<'a>(map: &'a BTreeMap<String, Vec<String>>, code: &str) -> &'a [String] {
        map.get(code).map_or(&[], Vec::as_slice)
    }
}

/// Every source file that names a code suspects it.
fn rules(root: &Path) -> std::io::Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<String> =
        ["tracker.rs", "verdict.rs", "catalogue/platform.rs"].map(str::to_owned).into();
    for entry in std::fs::read_dir(root.join(RULES).join("sign"))? {
        files.push(format!("sign/{}", entry?.file_name().to_string_lossy()));
    }
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(root.join(RULES).join(&file))?;
        for entry in catalogue::all() {
            if text.contains(&format!("\"{}\"", entry.code)) {
                found.entry(entry.code.to_owned()).or_default().push(file.clone());
            }
        }
    }
    Ok(found)
}

/// Samples by the code that they must show first.
fn samples(root: &Path) -> std::io::Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let labels = std::fs::read_to_string(root.join(SAMPLES).join("labels.json"))?;
    let mut file = String::new();
    for line in labels.lines() {
        if let Some(value) = field(line, "file") {
            file = value;
        } else if let Some(code) = field(line, "primary") {
            found.entry(code).or_default().push(file.clone());
        }
    }
    let blocks = std::fs::read_to_string(root.join(SAMPLES).join("seeds.txt"))?;
    for line in blocks.lines() {
        if let Some((code, place)) = line.strip_prefix("= ").and_then(|head| head.split_once(" | "))
        {
            found.entry(code.to_owned()).or_default().push(format!("seeds.txt: {place}"));
        }
    }
    // Captures are made by their test, one case for each cause.
    let captures = std::fs::read_to_string(root.join(CAPTURES))?;
    for entry in catalogue::all() {
        if captures.contains(&format!("Some(\"{}\")", entry.code)) {
            found.entry(entry.code.to_owned()).or_default().push("tests/captures.rs".to_owned());
        }
    }
    Ok(found)
}

/// Returns the text of `"key": "text",`, one field a line.
fn field(line: &str, key: &str) -> Option<String> {
    let rest = line.trim().strip_prefix(&format!("\"{key}\": \""))?;
    Some(rest.trim_end_matches([',', '"']).to_owned())
}

fn index(families: &BTreeMap<&str, Vec<&Entry>>, known: &Known) -> String {
    let mut page = String::from(
        "# Diagnosis codes\n\n\
         `roadstead doctor FILE…` reads logs of device SDKs and names the first cause with the \
         lines that show it. Each code has a stable name, evidence and a remedy in English and \
         Chinese.\n\n\
         `roadstead doctor FILE…` 读取设备 SDK 日志，指出首个故障原因、证据行与处理办法。\n\n\
         This folder is written by `cargo xtask docs` from \
         `crates/roadstead-doctor/src/catalogue`, its rules and its samples.\n\n## Families\n\n",
    );
    for (family, entries) in families {
        let _ = writeln!(page, "- [{family}]({family}.md): {} codes", entries.len());
    }
    page.push_str(
        "\n## Coverage\n\n\
         Seeds: S0 Alibaba binding principles, S1 Alibaba troubleshooting, S2 Tencent \
         provisioning, S3 GizWits GAgent, S4 Huawei FAQ (`ch` chapter, `T13-1` its table). \
         The column \"decided by\" says whose view decides; what the platform and the phone know is \
         read from their records: traces, answers of the APIs, notifications, output of tools.\n\n\
         | seed | code | decided by | rule | sample |\n|---|---|---|---|---|\n",
    );
    let mut rows: Vec<&Entry> =
        families.values().flatten().copied().filter(|e| !e.seed.is_empty()).collect();
    rows.sort_by_key(|entry| (entry.seed, entry.code));
    for entry in rows {
        let family = entry.code.split('.').next().unwrap_or_default();
        let rules = Known::of(&known.rules, entry.code);
        let samples = Known::of(&known.samples, entry.code);
        let silent = catalogue::explained_only(entry.code);
        let rule = match silent {
            Some(_) => "explained on its page only".to_owned(),
            None if rules.is_empty() => "–".to_owned(),
            None => rules.join(", "),
        };
        let sample = match samples {
            [] => silent.unwrap_or("–").to_owned(),
            [one] => one.clone(),
            [first, more @ ..] => format!("{first} and {} more", more.len()),
        };
        let _ = writeln!(
            page,
            "| {} | [`{}`]({family}.md#{}) | {} | {rule} | {sample} |",
            entry.seed.replace('|', "\\|"),
            entry.code,
            anchor(entry.code),
            view(entry.source).0,
        );
    }
    page
}

fn page(family: &str, entries: &[&Entry], known: &Known) -> String {
    let mut page =
        format!("# `{family}`\n\nWritten by `cargo xtask docs`. [All codes](README.md)\n");
    for entry in entries {
        let stage = entry.stage.map(|stage| (stage.id(), stage.title()));
        let _ = write!(page, "\n## `{}`\n\n", entry.code);
        if let Some((id, (en, zh))) = stage {
            let _ = writeln!(page, "- Stage · 阶段: `{id}` ({en} · {zh})");
        }
        if let Some(why) = catalogue::explained_only(entry.code) {
            let _ = writeln!(page, "- Explained here only · 仅此说明: {why}");
        }
        let (en, zh) = view(entry.source);
        let _ = writeln!(page, "- Decided by · 依据: {en} · {zh}");
        let _ = writeln!(page, "- Evidence · 证据: {}", entry.evidence);
        if !entry.remark.is_empty() && entry.remark != "-" {
            let _ = writeln!(page, "- Do not confuse · 勿混淆: {}", entry.remark);
        }
        let _ = writeln!(page, "- Meaning and remedy: {}", entry.en);
        let _ = writeln!(page, "- 含义与处理：{}", entry.zh);
        let alike = catalogue::alternatives(entry.code);
        if !alike.is_empty() {
            let names: Vec<String> = alike.iter().map(|code| format!("`{code}`")).collect();
            let _ = writeln!(page, "- Looks like · 易混淆: {}", names.join(", "));
        }
        for (title, list) in [
            ("Rule · 规则", Known::of(&known.rules, entry.code)),
            ("Sample · 样例", Known::of(&known.samples, entry.code)),
        ] {
            if !list.is_empty() {
                let _ = writeln!(page, "- {title}: {}", list.join(", "));
            }
        }
        if !entry.seed.is_empty() {
            let _ = writeln!(page, "- Source · 出处: {}", entry.seed);
        }
    }
    page
}

/// The heading's anchor, as renderers make it.
fn anchor(code: &str) -> String {
    code.replace('.', "")
}

fn view(source: Source) -> (&'static str, &'static str) {
    match source {
        Source::Log => ("device log", "设备日志"),
        Source::Trace => ("platform", "平台侧记录"),
        Source::App => ("phone", "手机侧"),
        Source::LogOrTrace => ("device log or platform", "设备日志或平台侧记录"),
        Source::TraceOrApp => ("platform or phone", "平台或手机侧"),
        Source::Any => ("any view", "任一侧"),
    }
}
