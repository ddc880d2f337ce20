//! The trie against a plain list of filters, and its memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Hit, Trie};
use crate::mqtt::topic::Filter;

fn hits(trie: &Trie<u32, u8>, name: &str) -> Vec<(u32, u8)> {
    let mut found = Vec::new();
    trie.matches(name, |hit| match hit {
        Hit::One(key, value) => found.push((*key, *value)),
        Hit::Group(group) => {
            let (key, value) = group.take_turn().expect("groups are never empty");
            found.push((*key, *value));
        }
    });
    found.sort_unstable();
    found
}

fn filter(text: &str) -> Filter<'_> {
    Filter::parse(text).unwrap()
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let mut trie = Trie::new();
    assert_eq!(trie.insert(filter("a/+"), 1, 0), None);
    assert_eq!(trie.insert(filter("a/+"), 1, 2), Some(0));
    assert_eq!(trie.len(), 1);
    assert_eq!(hits(&trie, "a/b"), [(1, 2)]);
    assert_eq!(trie.remove(filter("a/b"), &1), None, "another filter");
    assert_eq!(trie.remove(filter("a/+"), &1), Some(2));
    assert!(trie.is_empty() && trie.root.is_empty(), "nodes are freed");
}

#[test]
fn members_of_a_group_take_turns() {
    let mut trie = Trie::new();
    for key in 0..3 {
        trie.insert(filter("$share/g/a/#"), key, 0);
    }
    trie.insert(filter("$share/h/a/#"), 7, 0);
    trie.insert(filter("a/#"), 9, 0);
    let turns: Vec<_> = (0..4).map(|_| hits(&trie, "a/b")[0].0).collect();
    assert_eq!(turns, [0, 1, 2, 0]);
    assert_eq!(hits(&trie, "a").len(), 3, "one of g, one of h, the plain one");
    trie.remove(filter("$share/g/a/#"), &1);
    trie.remove(filter("$share/g/a/#"), &0);
    trie.remove(filter("$share/g/a/#"), &2);
    assert_eq!(hits(&trie, "a"), [(7, 0), (9, 0)]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "a", "b", "$x", "c"][..])
}

fn any_name() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("names are not empty", |name| !name.is_empty())
}

fn any_filter() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => level(), 2 => Just("+")];
    (prop::collection::vec(part, 0..4), any::<bool>(), any::<bool>())
        .prop_map(|(mut parts, hash, share)| {
            if hash || parts.is_empty() {
                parts.push("#");
            }
            let text = parts.join("/");
            if share { format!("$share/g{}/{text}", parts.len()) } else { text }
        })
        .prop_filter("valid", |text| Filter::parse(text).is_ok())
}

proptest! {
    #[test]
    fn finds_what_a_list_of_filters_finds(
        steps in prop::collection::vec((any_filter(), 0_u32..6, prop::bool::weighted(0.7)), 0..60),
        names in prop::collection::vec(any_name(), 1..10),
    ) {
        let mut trie = Trie::new();
        let mut model: Vec<(String, u32)> = Vec::new();
        for (text, key, insert) in steps {
            let known = model.iter().position(|(t, k)| *t == text && *k == key);
            if insert {
                let old = trie.insert(filter(&text), key, 0);
                prop_assert_eq!(old.is_some(), known.is_some());
                if known.is_none() { model.push((text, key)); }
            } else {
                prop_assert_eq!(trie.remove(filter(&text), &key).is_some(), known.is_some());
                known.map(|at| model.remove(at));
            }
            prop_assert_eq!(trie.len(), model.len());
        }
        for name in names {
            let mut expected: Vec<(String, u32)> = model
                .iter()
                .filter(|(text, _)| filter(text).matches(&name))
                .map(|(text, key)| match text.starts_with("$share/") {
                    true => (text.clone(), u32::MAX),
                    false => (String::new(), *key),
                })
                .collect();
            expected.sort();
            let groups = expected.iter().filter(|(text, _)| !text.is_empty());
            let mut group_names: Vec<_> = groups.map(|(text, _)| text.clone()).collect();
            group_names.dedup();
            let mut plain: Vec<_> =
                expected.iter().filter(|(text, _)| text.is_empty()).map(|(_, key)| *key).collect();
            let (mut got, mut got_groups) = (Vec::new(), 0);
            trie.matches(&name, |hit| match hit {
                Hit::One(key, _) => got.push(*key),
                Hit::Group(group) => { assert!(!group.is_empty()); got_groups += 1; }
            });
            got.sort_unstable();
            plain.sort_unstable();
            prop_assert_eq!(got, plain, "{}", name);
            prop_assert_eq!(got_groups, group_names.len(), "{}", name);
        }
        for (text, key) in model {
            prop_assert!(trie.remove(filter(&text), &key).is_some());
        }
        prop_assert!(trie.root.is_empty());
    }
}
