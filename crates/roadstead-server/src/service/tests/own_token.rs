//! Tokens that devices make themselves: every way it ends is on record, with its stages.

use std::time::Duration;

use roadstead_core::attempt::{Attempt, Outcome, Stage};
use roadstead_core::exchange::{Answer, TokenText};
use roadstead_core::port::AttemptFilter;
use serde_json::json;

use super::{LAMP, NODE, PRODUCT, World};
use crate::config::Config;
use crate::service::{Caller, PhoneMark};
use crate::shell::Login;

const LIFE: Duration = Duration::from_secs(120);

impl World {
    async fn report_own(&self, login: &Login, token: &str) {
        let text = TokenText(token.into());
        let answer =
            self.platform.report_token(&login.account, "match", &text, &[], None, Some(LIFE)).await;
        assert_eq!(answer, Answer::Done);
    }

    async fn bind_own(&self, caller: &Caller, token: &str) -> &'static str {
        let bound = self.platform.bind(caller, token, Some((PRODUCT, NODE))).await;
        bound.map_or_else(|error| error.code(), |_| "ok")
    }

    /// Newest first.
    async fn records(&self) -> Vec<Attempt> {
        let filter = AttemptFilter { device: Some(LAMP.into()), ..AttemptFilter::default() };
        self.platform.attempts(&self.admin, filter, 99).await.expect("attempts")
    }
}

fn stages(attempt: &Attempt) -> Vec<Stage> {
    attempt.stages.iter().map(|mark| mark.stage).collect()
}

fn code(attempt: &Attempt) -> &str {
    match attempt.ending.as_ref().expect("it ended") {
        Outcome::Success => "ok",
        Outcome::Failure { code, .. } => code,
    }
}

#[tokio::test]
async fn success_and_each_refusal_are_recorded_with_their_stages() {
    let world = World::new().await;
    let mut login = world.log_in().await.expect("admitted");
    world.report_own(&login, "late").await;
    world.platform.clock.advance(LIFE);
    assert_eq!(world.bind_own(&world.ann, "late").await, "bind.expired");
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (1, "bind.expired"));
    let met = [Stage::Connected, Stage::TokenReported, Stage::DeviceFound];
    assert_eq!(stages(&records[0]), met);
    assert_eq!(records[0].user.as_ref(), Some(&world.ann.user));

    // A token that the device never reported; the phone asks again and again.
    for _ in 0..3 {
        assert_eq!(world.bind_own(&world.bob, "never").await, "bind.unknown_token");
    }
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (2, "bind.unknown_token"));
    assert_eq!(stages(&records[0]), [Stage::DeviceFound]);

    world.platform.clock.advance(Duration::from_secs(60));
    world.report_own(&login, "good").await;
    assert_eq!(world.bind_own(&world.ann, "good").await, "ok");
    assert_eq!(world.bind_own(&world.ann, "good").await, "ok", "twice is no second one");
    let topic = format!("$thing/up/property/{PRODUCT}/{NODE}");
    let report = json!({"method": "report", "clientToken": "1", "params": {"power_switch": 1}});
    world.publish(&mut login, &topic, report).await;
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (3, "ok"));
    let mut whole = met.to_vec();
    whole.extend([Stage::Bound, Stage::FirstReport]);
    assert_eq!((stages(&records[0]), records[0].method.as_deref()), (whole, Some("lan")));

    assert_eq!(world.bind_own(&world.bob, "good").await, "bind.already_used");
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (4, "bind.already_used"));
    // A stranger's guess about somebody's device leaves nothing.
    world.platform.clock.advance(Duration::from_secs(60));
    assert_eq!(world.bind_own(&world.bob, "guess").await, "bind.unknown_token");
    assert_eq!(world.records().await.len(), 4);
    let trace = world.trace(LAMP).await;
    assert!(trace.contains(&"bind bind.already_used".to_owned()), "{trace:?}");
}

#[tokio::test]
async fn a_phone_that_gave_the_device_its_network_has_it_all_in_its_own_attempt() {
    let world = World::new().await;
    let made = world.platform.create_bind_token(&world.ann, false).await.expect("token");
    let mark = PhoneMark { stage: Stage::CredentialsSent, at: None, detail: None };
    let device = Some((PRODUCT, NODE));
    let marked = world.platform.mark_attempt(&world.ann, &made.attempt, vec![mark], device, None);
    marked.await.expect("marked");
    // Old firmware does not know the phone's token and makes its own.
    let login = world.log_in().await.expect("admitted");
    world.report_own(&login, "used").await;
    world.report_own(&login, "own").await;
    assert_eq!(world.bind_own(&world.ann, "own").await, "ok");
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (1, "ok"));
    assert_eq!(records[0].id, made.attempt);
    for stage in [Stage::CredentialsSent, Stage::TokenReported, Stage::DeviceFound, Stage::Bound] {
        assert!(stages(&records[0]).contains(&stage), "{stage:?}: {records:?}");
    }
}

#[tokio::test]
async fn a_device_that_belongs_elsewhere_says_so() {
    let mut config = Config::default();
    config.region.peers.insert("eu".to_owned(), "192.0.2.1:1883".to_owned());
    let world = World::with_config(config, |_| {}).await;
    let moved = world.platform.move_to_region(world.space(), &LAMP.into(), "eu").await;
    moved.expect("moved");
    assert_eq!(world.bind_own(&world.ann, "there").await, "bind.other_region");
    let records = world.records().await;
    assert_eq!((records.len(), code(&records[0])), (1, "bind.other_region"));
}
