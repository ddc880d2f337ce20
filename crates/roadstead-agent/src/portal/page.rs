//! The pages of the access point, in Chinese and English. Everything that came from somebody is
//! escaped; no page needs a script or another host.

use roadstead_wire::softap::form::FormError;
use roadstead_wire::softap::{Progress, Reason};

/// Language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// Chooses by `lang=` of the query, or by the browser's `Accept-Language`.
    pub(super) fn choose(query: &str, accepted: &str) -> Self {
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("lang="));
        let first = accepted.split(',').next().unwrap_or_default().trim();
        let is_chinese = match asked {
            Some(asked) => asked == "zh",
            None => first.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("zh")),
        };
        if is_chinese { Self::Chinese } else { Self::English }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    fn say(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

const STYLE: &str = "body{font:1.05rem/1.5 system-ui,sans-serif;margin:0;background:#f4f6f8;\
color:#1b2733}main{max-width:26rem;margin:0 auto;padding:1.5rem 1.2rem}h1{font-size:1.45rem;\
margin:.4rem 0 1rem}label{display:block;margin:.9rem 0 .25rem;font-weight:600}input:not([type=\
checkbox]){box-sizing:border-box;width:100%;padding:.75rem;font-size:1.05rem;border:1px solid \
#9aa8b5;border-radius:.5rem;background:#fff}button{width:100%;margin:1.4rem 0;padding:.85rem;\
font-size:1.1rem;border:0;border-radius:.5rem;background:#0b5cad;color:#fff}small,.hint{color:\
#52616f}.bad{background:#fdeceb;border-left:.3rem solid #b3261e;padding:.7rem .9rem;\
border-radius:.3rem}.good{background:#e7f4ea;border-left:.3rem solid #1e7d34;padding:.7rem .9rem;\
border-radius:.3rem}ol{padding-left:1.4rem}li{margin:.35rem 0;color:#7a8894}li.done{color:#1e7d34}\
li.now{color:#1b2733;font-weight:600}nav{text-align:right}a{color:#0b5cad}details{margin:1rem 0}";

/// Escapes text for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
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

fn frame(language: Language, title: &str, head: &str, body: &str) -> String {
    let (tag, other) = match language {
        Language::English => ("en", "<a href=\"?lang=zh\" lang=zh>中文</a>"),
        Language::Chinese => ("zh-CN", "<a href=\"?lang=en\" lang=en>English</a>"),
    };
    format!(
        "<!doctype html><html lang={tag}><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title>{head}<style>{STYLE}\
         </style><main><nav>{other}</nav><h1>{title}</h1>{body}</main></html>"
    )
}

/// The form; with the name that was entered and why it was refused.
pub(super) fn form(
    language: Language,
    device: &str,
    ssid: &str,
    error: Option<FormError>,
) -> String {
    let say = |english, chinese| language.say(english, chinese);
    let problem = error.map_or_else(String::new, |error| {
        format!("<p class=bad role=alert>{}</p>", form_error(language, error))
    });
    let title = say("Connect this device", "设备配网");
    let body = format!(
        "<p class=hint>{} <b>{}</b></p>{problem}<form method=post action=\"/configure?lang={}\">\
         <label for=s>{}</label><input id=s name=ssid value=\"{}\" required maxlength=64 \
         autocapitalize=none autocorrect=off spellcheck=false autocomplete=off>\
         <label for=p>{}</label><input id=p name=password type=password maxlength=64 \
         autocomplete=off><small>{}</small>\
         <details><summary>{}</summary><label for=t>{}</label><input id=t name=token maxlength=64 \
         autocapitalize=none autocorrect=off spellcheck=false autocomplete=off><small>{}</small>\
         <p><label><input type=checkbox name=hex value=1> {}</label></details>\
         <button>{}</button></form><p class=hint>{}</p>",
        say("Device", "设备"),
        escape(device),
        language.tag(),
        say("Network name (2.4 GHz Wi-Fi)", "网络名称（2.4 GHz Wi-Fi）"),
        escape(ssid),
        say("Password", "密码"),
        say("Leave empty for an open network.", "开放网络请留空。"),
        say("More", "更多选项"),
        say("Bind token", "绑定令牌"),
        say("If your app shows one.", "如果您的 App 显示了令牌，请填写。"),
        say("The name is written in hexadecimal", "网络名称为十六进制"),
        say("Connect", "连接"),
        say(
            "This page is not encrypted: whoever is in the device's network can read along. Use \
             the QR code and the app where you can.",
            "本页面未加密，连接到设备热点的人可能看到内容。建议使用二维码和 App 配网。",
        ),
    );
    frame(language, title, "", &body)
}

/// What there is when only the app may configure.
pub(super) fn scan(language: Language) -> String {
    let title = language.say("Connect this device", "设备配网");
    let text = language
        .say("Scan the QR code of the device with the app.", "请使用 App 扫描设备上的二维码。");
    frame(language, title, "", &format!("<p>{text}</p>"))
}

/// How far the device is; reloads itself until the end.
pub(super) fn status(
    language: Language,
    ssid: &str,
    (progress, reason): (Progress, Option<Reason>),
) -> String {
    let say = |english, chinese| language.say(english, chinese);
    let title = say("Connecting", "正在连接");
    let steps = [
        (Progress::Joining, say("The device joins the network", "设备正在连接网络")),
        (Progress::Joined, say("The device is in the network", "设备已连接网络")),
        (Progress::Online, say("The device is on line", "设备已上线")),
        (Progress::Bound, say("The device is yours", "设备已绑定")),
    ];
    let mut list = String::from("<ol>");
    for (step, words) in steps {
        let class = match step {
            step if step < progress || progress == Progress::Bound => "done",
            step if step == progress => "now",
            _ => "next",
        };
        list.push_str(&format!("<li class={class}>{words}</li>"));
    }
    list.push_str("</ol>");
    let is_over = reason.is_some() || progress >= Progress::Online || progress == Progress::Waiting;
    let head = if is_over { "" } else { "<meta http-equiv=refresh content=2>" };
    let network = format!("<p class=hint>{} <b>{}</b></p>", say("Network", "网络"), escape(ssid));
    let again = format!("<p><a href=\"/?lang={}\">{}</a></p>", language.tag(), say("Back", "返回"));
    let body = match reason {
        Some(reason) => {
            format!("{network}<p class=bad role=alert>{}</p>{again}", failure(language, reason))
        }
        None if progress == Progress::Waiting => format!(
            "<p>{}</p>{again}",
            say("The device waits for a network.", "设备正在等待网络信息。")
        ),
        None if progress >= Progress::Online => format!(
            "{network}{list}<p class=good>{}</p>",
            say("Done. Go back to your own network.", "完成。请切换回您自己的网络。")
        ),
        None => format!("{network}{list}"),
    };
    frame(language, title, head, &body)
}

fn failure(language: Language, reason: Reason) -> &'static str {
    let (english, chinese) = match reason {
        Reason::WrongPassword => (
            "The password is wrong. Check capitals and spaces, and try again.",
            "密码错误。请检查大小写和空格后重试。",
        ),
        Reason::NotFound => (
            "The network was not found. Check its name; the device needs 2.4 GHz.",
            "未找到该网络。请检查名称，设备仅支持 2.4 GHz 网络。",
        ),
        Reason::NoAddress => (
            "The network gave no address. Restart the router, or look at its DHCP and filters.",
            "未获取到 IP 地址。请重启路由器，或检查 DHCP 与访问限制。",
        ),
        Reason::NoCloud => (
            "The device is in the network but does not reach the platform. Check internet access.",
            "设备已连接网络，但无法访问云平台。请检查互联网连接。",
        ),
        Reason::TokenRefused => (
            "The platform refused the bind token. Make a new one in the app.",
            "平台拒绝了绑定令牌。请在 App 中重新获取。",
        ),
        Reason::Other => ("The device reported an error. Try again.", "设备报告错误，请重试。"),
    };
    language.say(english, chinese)
}

fn form_error(language: Language, error: FormError) -> &'static str {
    let (english, chinese) = match error {
        FormError::Unreadable => ("The form was not readable.", "表单无法读取。"),
        FormError::NoName => ("The network name is missing.", "请填写网络名称。"),
        FormError::NameTooLong => (
            "A network name has at most 32 bytes; a Chinese character takes three.",
            "网络名称最多 32 字节，一个汉字占 3 字节。",
        ),
        FormError::NotHex => ("The network name is not hexadecimal.", "网络名称不是十六进制。"),
        FormError::Password => (
            "A password has 8 to 63 characters, or 64 hexadecimal digits.",
            "密码应为 8 至 63 个字符，或 64 位十六进制数字。",
        ),
        FormError::Token => ("This is not a bind token.", "绑定令牌无效。"),
    };
    language.say(english, chinese)
}
