//! Both engines do the same random calls and must always say the same; now and then the SQLite
//! one crashes, closes or checkpoints in between. `SEED=n` repeats one run.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::command::queue::{Input, Policy};
use roadstead_core::port::{
    BindQuery, BindReport, CommandFilter, DeviceFilter, Page, PresenceChange, Store, StoreError,
    TraceFilter,
};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::shadow::{Change, Expected, Values};
use roadstead_core::trace::Entries;
use roadstead_core::user::{Role, User};
use roadstead_core::{DeviceId, Secret, Timestamp, UserId};
use serde_json::json;

use super::super::{Options, Sqlite};
use super::{Folder, copy, device, digest, entry, seed, token};
use crate::Memory;

const SEEDS: std::ops::Range<u64> = 1..5;
const STEPS: u64 = 200;
const DAY_MS: u64 = 86_400_000;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

#[tokio::test]
async fn both_engines_agree() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).expect("a number"),
        Err(_) => SEEDS,
    };
    for seed in seeds {
        println!("SEED={seed}");
        run(seed).await;
    }
}

fn open(folder: &Folder) -> Arc<Sqlite> {
    let options = Options {
        checkpoint_age: Duration::from_millis(3),
        shadow_cache_bytes_max: 1000,
        ..Options::new(&folder.0)
    };
    Arc::new(Sqlite::open(options).expect("open"))
}

async fn prepare(store: &dyn Store) {
    let bob = User {
        id: "bob".into(),
        space: "s".into(),
        name: "bob".into(),
        role: Role::Member,
        password_hash: Secret::from("x"),
        created_at: Timestamp(1),
    };
    store.create_user(bob).await.expect("user");
}

async fn run(number: u64) {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let memory = Memory::new();
    seed(&memory).await;
    prepare(&memory).await;
    let mut folder = Folder::new();
    let mut sqlite = open(&folder);
    seed(&*sqlite).await;
    prepare(&*sqlite).await;
    for step in 0..STEPS {
        match random.below(40) {
            0 => {
                let crashed = Folder::new();
                copy(&folder.0, &crashed.0);
                drop(sqlite);
                folder = crashed;
                sqlite = open(&folder);
            }
            1 => {
                sqlite.close();
                drop(sqlite);
                sqlite = open(&folder);
            }
            2 => sqlite.checkpoint_now().await.expect("checkpoint"),
            _ => {
                let call = Call::random(&mut random, step);
                let (a, b) = (call.make(&memory).await, call.make(&*sqlite).await);
                assert_eq!(a, b, "step {step}: {call:?}");
            }
        }
        if step % 5 == 0 {
            let (a, b) = (look(&memory).await, look(&*sqlite).await);
            for (n, (a, b)) in a.iter().zip(&b).enumerate() {
                assert_eq!(a, b, "step {step}, line {n}");
            }
        }
    }
}

#[derive(Debug)]
struct Call {
    kind: u64,
    device: DeviceId,
    user: UserId,
    n: u64,
    step: u64,
}

impl Call {
    fn random(random: &mut Random, step: u64) -> Self {
        let device = DeviceId::new(format!("lamp{}", random.below(4)));
        let user = UserId::from(["ann", "bob"][random.below(2) as usize]);
        Self { kind: random.below(21), device, user, n: random.below(1000), step }
    }

    /// Makes the call; returns all that the caller sees but made-up ids.
    async fn make(&self, store: &dyn Store) -> String {
        let Self { kind, device: lamp, user, n, step } = self;
        let now = Timestamp(*step as i64);
        let digest = digest(n % 12);
        match kind {
            0 => show(store.create_device(device(lamp.as_str())).await),
            1 if n % 3 == 0 => show(store.delete_device(lamp).await),
            2 => {
                let entries = vec![entry(n * 500_000), entry((n % 2) * DAY_MS + n)];
                let entries = Entries { device: lamp.clone(), entries };
                show(store.append_trace(vec![entries]).await)
            }
            3 => show(store.push_pending(lamp, "k", &n.to_string(), now).await),
            4 => match store.pending(lamp).await.expect("read").first() {
                Some((first, ..)) => show(store.pop_pending(lamp, *first).await),
                None => String::new(),
            },
            5 | 6 => {
                let online = n % 2 == 0;
                let presence = Presence {
                    online,
                    epoch: Epoch(step.saturating_sub(n % 4)),
                    online_at: Some(now),
                    ending: (!online).then_some(Ending::Lost),
                    ..Presence::default()
                };
                let change = PresenceChange { device: lamp.clone(), presence };
                show(store.set_presence(vec![change]).await)
            }
            7 => show(store.note_refusal(lamp, "auth.frozen", now).await),
            8 if n % 4 == 0 => show(store.recover_presence(now).await),
            9 => {
                let mut token = token(n % 12);
                token.user = (n % 5 != 0).then(|| user.clone());
                token.auto_bind = n % 2 == 0;
                show(store.create_token(token).await)
            }
            10 => {
                let report = BindReport { digest, device: lamp.clone(), now, own_life: None };
                let answer = store.report_token(report).await;
                show(answer.map(|decided| decided.map(|view| (view.token, view.newly_bound))))
            }
            11 => {
                let (device, user) = ((n % 2 == 0).then(|| lamp.clone()), user.clone());
                let answer = store.bind_token(BindQuery { digest, device, user, now }).await;
                show(answer.map(|decided| decided.map(|view| (view.token, view.newly_bound))))
            }
            12 => show(store.unbind(lamp).await.map(|decided| decided.map(|ended| ended.len()))),
            13 => show(store.share(lamp, user, now).await.map(|d| d.map(|binding| binding.role))),
            14 => show(store.transfer(lamp, user, now).await.map(|d| d.map(|b| b.role))),
            15 if n % 3 == 1 => {
                let command = crate::suite::outbox_command(lamp, &format!("c{}", n % 9), *step);
                show(store.create_command(command, 3).await)
            }
            16 if n % 3 == 1 => {
                let (id, policy) = (format!("c{}", n % 9), Policy::RELIABLE);
                let input = match n % 4 {
                    0 => Input::Acked,
                    1 => Input::Lost,
                    2 => Input::Cancel,
                    _ => Input::Unsendable("command.offline".into()),
                };
                show(store.step_command(lamp, &id.as_str().into(), input, now, policy).await)
            }
            17 if n % 3 == 1 => match n % 4 {
                0 => show(
                    store
                        .due_commands(Timestamp(*step as i64 + 40_000), 0, Policy::RELIABLE, 2)
                        .await,
                ),
                1 => show(store.recover_commands(now, Policy::RELIABLE).await),
                _ => show(store.next_command(lamp, now, 0, Policy::RELIABLE).await),
            },
            15 if n % 5 == 0 => show(store.drop_trace(Timestamp((n * 1_000_000) as i64)).await),
            _ => {
                let serde_json::Value::Object(properties) = json!({ format!("k{}", n % 5): format!("{n}{:1$}", "", (n * 37 % 30_000) as usize) })
                else {
                    panic!("object")
                };
                let values = Values { properties, at: now };
                let service: Box<str> = format!("s{}", n % 2).into();
                let change = match n % 7 {
                    0 if n % 2 == 0 => Change::Forget,
                    0 => Change::ClearDesired { service: None },
                    1 | 2 => Change::Desire { service, values },
                    _ => Change::Report { service, values },
                };
                let trace = (n % 3 != 0).then(|| entry(*step));
                let versions = (n % 4 == 0)
                    .then(|| Expected { service: format!("s{}", n % 3).into(), version: n % 5 });
                let (expected, changes) = (versions.into_iter().collect(), vec![change]);
                let answer = store.change_shadow_if(lamp, expected, changes, trace).await;
                assert_ne!(answer, Err(StoreError::Busy));
                show(answer)
            }
        }
    }
}

/// Returns all that can be read, without made-up ids.
async fn look(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    for n in 0..4 {
        let lamp = DeviceId::new(format!("lamp{n}"));
        seen.push(show(store.shadow(&lamp).await));
        seen.push(show(store.presence(&lamp).await));
        seen.push(show(store.trace(&lamp, None, None, 1000).await));
        seen.push(show(store.trace(&lamp, Some(Timestamp(100)), None, 3).await));
        let until = Some(Timestamp(DAY_MS as i64 + 600));
        seen.push(show(store.trace(&lamp, None, until, 5).await));
        let page = Page { limit: 50, ..Page::default() };
        seen.push(show(store.commands(&lamp, &CommandFilter::default(), &page).await));
        let waiting = store.pending(&lamp).await.expect("read");
        seen.push(format!("{:?}", waiting.iter().map(|(_, _, body)| body).collect::<Vec<_>>()));
        let bindings = store.bindings_of_device(&lamp).await.expect("read");
        let mut named: Vec<_> = bindings
            .iter()
            .map(|b| format!("{:?} {} {:?}", b.role, b.user, b.created_at))
            .collect();
        named.sort();
        seen.push(named.join(", "));
        let found = store.device(&lamp).await.expect("read");
        seen.push(format!("{:?}", found.map(|device| (device.activated_at, device.node.clone()))));
    }
    for n in 0..12 {
        let view = store.token(&digest(n)).await.expect("read");
        seen.push(format!("{:?}", view.map(|view| (view.token, view.binding.map(|b| b.user)))));
    }
    let found = store.search_trace(&TraceFilter::new("s".into()), 500).await.expect("search");
    let mut hops: Vec<String> = found.hops.iter().map(show).collect();
    assert!(found.hops.windows(2).all(|pair| pair[0].1.at >= pair[1].1.at), "newest first");
    hops.sort();
    seen.push(show(hops));
    let page = Page { limit: 10, ..Page::default() };
    let list = store.devices(&"s".into(), &DeviceFilter::default(), &page).await.expect("list");
    seen.push(format!("{:?}", list.items.iter().map(|(d, p)| (&d.id, p)).collect::<Vec<_>>()));
    seen.push(show(store.count_devices(&"s".into()).await));
    seen
}

fn show(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}
