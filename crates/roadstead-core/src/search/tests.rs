//! What is read, what is refused and where, what holds.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::{Map, Timestamp};

fn device() -> Device {
    let mut info = Map::new();
    info.insert("fw_version".into(), "1.2".into());
    Device {
        id: "p_lamp".into(),
        space: "s".into(),
        product: "p".into(),
        node: "lamp".into(),
        name: "Kitchen 50%".into(),
        secret: None,
        fingerprint: None,
        gateway: None,
        frozen: false,
        info,
        created_at: Timestamp(1_795_221_498_000),
        activated_at: Some(Timestamp(1_795_221_499_000)),
        access: crate::device::Access::default(),
        tags: [("room".into(), "kitchen".into()), ("floor".into(), "1".into())].into(),
        number: 1,
    }
}

fn holds(text: &str) -> bool {
    let condition = condition(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let groups = ["g1".into(), "g2".into()];
    condition.holds(Subject { device: &device(), presence: &Presence::default(), groups: &groups })
}

#[test]
fn conditions_hold_or_not() {
    for text in [
        "product_id = 'p'",
        "PRODUCT_ID='p' AND node_id = \"lamp\"",
        "product_id = 'x' or status = 'OFFLINE'",
        "device_name like '%chen%' and device_name like 'K_tchen 50%'",
        "status in ('ONLINE','OFFLINE')",
        "status not in ('ONLINE')",
        "tags['room'] = 'kitchen' and tags['floor'] >= '1'",
        "tag_key = 'floor' and tag_value = 'kitchen'",
        "group_id = 'g2'",
        "gateway_id = 'p_lamp' and node_type = 'GATEWAY'",
        "fw_version < '1.3' and app_id <> 't'",
        "create_time > '20261121T003817Z' and create_time <= '2026-11-21T00:38:18Z'",
        "create_time in ('2026-11-21T00:38:18.000Z')",
        "(product_id = 'x' or node_id = 'lamp') and (status != 'ONLINE')",
        // `and` binds tighter than `or`.
        "product_id = 'p' or product_id = 'x' and node_id = 'x'",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "product_id = 'P'",
        "device_name like 'itchen%'",
        "sw_version = '1' or sw_version != '1' or sw_version not in ('1')",
        "tags['colour'] != 'red'",
        "group_id = 'g3'",
        "create_time < '20261121T003818Z'",
        "device_name like '_'",
        "device_name like ''",
        "(product_id = 'p' or product_id = 'x') and node_id = 'x'",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_whole_search_is_read() {
    let text = "Select * From device where node_id = 'it''s' \
                order by create_time desc, device_id limit 20, 10";
    let search = parse(text).expect("reads");
    assert_eq!((search.offset, search.limit), (20, Some(10)));
    let operand = Operand::Text("it's".into());
    let test = Test { field: Field::Node, op: Op::Eq, operands: vec![operand] };
    assert_eq!(search.condition, Some(Condition::Test(test)));
    assert_eq!(
        search.order,
        [
            Order { field: Field::CreatedAt, descending: true },
            Order { field: Field::Device, descending: false }
        ]
    );
    let all = parse("select * from device").expect("reads");
    assert_eq!(all, Search { condition: None, order: vec![], offset: 0, limit: None });
    assert_eq!(parse("select * from device limit 7").expect("reads").limit, Some(7));
}

#[test]
fn refusals_name_the_place() {
    for (text, at, part) in [
        ("", 1, "`select`"),
        ("select * from product", 15, "`device`"),
        ("select * from device where", 27, "field"),
        ("select * from device where secret = 'x'", 28, "`secret`"),
        ("select * from device where node_id ~ 'x'", 36, "`~`"),
        ("select * from device where node_id 'x'", 36, "operator"),
        ("select * from device where node_id = x", 38, "quotes"),
        ("select * from device where node_id = 'x", 38, "does not end"),
        ("select * from device where node_id in ()", 40, "quotes"),
        ("select * from device where (node_id = 'x'", 42, "`)`"),
        ("select * from device where create_time > '20260230T000000Z'", 42, "date"),
        ("select * from device where create_time like '2026%'", 45, "date"),
        ("select * from device where tags['a' = 'x'", 37, "`]`"),
        ("select * from device order by status", 31, "ordered"),
        ("select * from device limit -1", 28, "`-`"),
        ("select * from device limit x", 28, "number"),
        ("select * from device; drop table device", 21, "`;`"),
        ("select * from device limit 1 limit 2", 30, "end here"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.at == at && error.what.contains(part), "{text}: {error}");
    }
    let deep =
        format!("select * from device where {}node_id = 'x'{}", "(".repeat(17), ")".repeat(17));
    assert!(parse(&deep).expect_err("deep").what.contains("deep"));
    let long = format!("node_id in ({})", vec!["'x'"; 201].join(","));
    assert!(condition(&long).expect_err("many").what.contains("often"));
    assert!(condition(&"x".repeat(5000)).expect_err("long").what.contains("4096"));
    let orders = ["node_id"; 5].join(",");
    assert!(parse(&format!("select * from device order by {orders}")).is_err());
}

/// Writes a condition as its text.
fn write(condition: &Condition) -> String {
    let join = |parts: &[Condition], word: &str| {
        let parts: Vec<_> = parts.iter().map(|part| format!("({})", write(part))).collect();
        parts.join(word)
    };
    match condition {
        Condition::All(parts) => join(parts, " and "),
        Condition::Any(parts) => join(parts, " or "),
        Condition::Test(test) => {
            let field = match &test.field {
                Field::Tag(key) => format!("tags['{}']", key.replace('\'', "''")),
                Field::Space => "app_id".into(),
                Field::CreatedAt => "create_time".into(),
                Field::Device => "device_id".into(),
                Field::Firmware => "fw_version".into(),
                Field::Gateway => "gateway_id".into(),
                Field::Group => "group_id".into(),
                Field::Name => "device_name".into(),
                Field::Node => "node_id".into(),
                Field::NodeType => "node_type".into(),
                Field::Product => "product_id".into(),
                Field::Software => "sw_version".into(),
                Field::Status => "status".into(),
                Field::TagKey => "tag_key".into(),
                Field::TagValue => "tag_value".into(),
            };
            let operands: Vec<_> = test
                .operands
                .iter()
                .map(|operand| match operand {
                    Operand::Text(text) => format!("'{}'", text.replace('\'', "''")),
                    Operand::Date(date) => format!("'{date}'"),
                })
                .collect();
            let (op, list) = match test.op {
                Op::Eq => ("=", false),
                Op::Ne => ("!=", false),
                Op::Gt => (">", false),
                Op::Lt => ("<", false),
                Op::Ge => (">=", false),
                Op::Le => ("<=", false),
                Op::Like => ("like", false),
                Op::In => ("in", true),
                Op::NotIn => ("not in", true),
            };
            let operands = operands.join(", ");
            let operands = if list { format!("({operands})") } else { operands };
            format!("{field} {op} {operands}")
        }
    }
}

fn conditions() -> impl Strategy<Value = Condition> {
    let field = prop_oneof![
        Just(Field::Name),
        Just(Field::Status),
        Just(Field::Space),
        Just(Field::Device),
        Just(Field::Firmware),
        Just(Field::Gateway),
        Just(Field::Group),
        Just(Field::Node),
        Just(Field::NodeType),
        Just(Field::Product),
        Just(Field::Software),
        Just(Field::TagKey),
        Just(Field::TagValue),
        "[a-z'\"% ]{0,5}".prop_map(|key| Field::Tag(key.into())),
        Just(Field::CreatedAt),
    ];
    let op = prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Gt),
        Just(Op::Lt),
        Just(Op::Ge),
        Just(Op::Le),
        Just(Op::Like),
        Just(Op::In),
        Just(Op::NotIn),
    ];
    let texts = proptest::collection::vec("[^\0]{0,6}", 1..4);
    let date = 0i64..4_000_000_000_000;
    let test = (field, op, texts, date).prop_map(|(field, op, mut texts, date)| {
        let is_date = field == Field::CreatedAt;
        let op = if is_date && op == Op::Like { Op::Eq } else { op };
        if !matches!(op, Op::In | Op::NotIn) {
            texts.truncate(1);
        }
        let operand = |text: String| match is_date {
            true => Operand::Date(Timestamp(date)),
            false => Operand::Text(text.into()),
        };
        Condition::Test(Test { field, op, operands: texts.into_iter().map(operand).collect() })
    });
    test.prop_recursive(3, 16, 3, |inner| {
        let parts = proptest::collection::vec(inner, 2..4);
        prop_oneof![parts.clone().prop_map(Condition::All), parts.prop_map(Condition::Any)]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(given in conditions()) {
        let text = write(&given);
        prop_assume!(text.len() <= crate::limit::SEARCH_BYTES_MAX);
        prop_assert_eq!(condition(&text), Ok(given), "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (parse(&text).map_err(|e| e.to_string()), condition(&text).is_ok());
    }

    #[test]
    fn no_words_panic(
        words in proptest::collection::vec(
            prop_oneof![
                Just("select"), Just("*"), Just("from"), Just("device"), Just("where"), Just("("),
                Just(")"), Just("'a'"), Just("node_id"), Just("tags"), Just("["), Just("]"),
                Just("="), Just("not"), Just("in"), Just("like"), Just(","), Just("and"), Just("or"),
                Just("order"), Just("by"), Just("limit"), Just("5"), Just("create_time"),
            ],
            0..24,
        ),
    ) {
        let text = words.join(" ");
        if let Err(error) = parse(&text) {
            prop_assert!(error.at >= 1 && error.at <= text.chars().count() + 1);
        }
    }

    #[test]
    fn patterns_are_what_a_slow_matcher_says(pattern in "[ab%_]{0,6}", text in "[ab%]{0,8}") {
        fn slow(pattern: &[char], text: &[char]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some(('%', rest)) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
                Some((c, rest)) => {
                    text.split_first().is_some_and(|(t, after)| (*c == '_' || c == t) && slow(rest, after))
                }
            }
        }
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(like(&pattern, &text), slow(&chars(&pattern), &chars(&text)));
    }
}
