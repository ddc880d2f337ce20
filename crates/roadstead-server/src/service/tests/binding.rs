//! Tokens: every way to bind and every way not to.

use std::time::Duration;

use roadstead_core::attempt::{Outcome, Stage};
use roadstead_core::binding::BindingRole;
use roadstead_core::exchange::Downlink;
use roadstead_core::port::AttemptFilter;
use roadstead_core::product::Rebind;
use roadstead_core::{AttemptId, DeviceId, Secret};
use serde_json::json;

use super::{LAMP, NODE, PRODUCT, World};
use crate::service::{Caller, PhoneMark, TokenProgress, TokenStatus};

impl World {
    async fn status(&self, caller: &Caller, token: &Secret) -> TokenStatus {
        let token = token.expose_text().expect("text");
        self.platform.bind_token(caller, token).await.expect("status")
    }

    async fn bind_code(&self, caller: &Caller, token: &Secret) -> &'static str {
        let token = token.expose_text().expect("text");
        self.platform.bind(caller, token, None).await.map_or_else(|e| e.code(), |_| "ok")
    }

    /// Returns how an attempt ended: `ok`, a code, or nothing while it runs.
    async fn ending(&self, id: &AttemptId) -> Option<String> {
        match self.platform.attempt(&self.ann, id).await.expect("attempt").ending? {
            Outcome::Success => Some("ok".into()),
            Outcome::Failure { code, .. } => Some(code.into()),
        }
    }
}

#[tokio::test]
async fn a_report_binds_at_once_and_the_attempt_has_every_stage() {
    let world = World::new().await;
    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    assert_eq!(made.token.expose().len(), 32);
    assert_eq!(world.status(&world.ann, &made.token).await.state, TokenProgress::New);
    let mark = PhoneMark { stage: Stage::CredentialsSent, at: None, detail: None };
    let device = Some((PRODUCT, NODE));
    let marked = world.platform.mark_attempt(&world.ann, &made.attempt, vec![mark], device, None);
    marked.await.expect("marked");
    world.platform.clock.advance(Duration::from_secs(3));
    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.present(&mut login, &made.token).await, 0);
    assert_eq!(world.present(&mut login, &made.token).await, 0, "firmware repeats itself");
    assert_eq!(world.status(&world.ann, &made.token).await.state, TokenProgress::Bound);
    assert_eq!(world.bind_code(&world.ann, &made.token).await, "ok", "the two-step way agrees");

    let topic = format!("$thing/up/property/{PRODUCT}/{NODE}");
    for token in ["1", "2"] {
        let report =
            json!({"method": "report", "clientToken": token, "params": {"power_switch": 1}});
        world.publish(&mut login, &topic, report).await;
    }
    let attempt = world.platform.attempt(&world.ann, &made.attempt).await.expect("attempt");
    assert_eq!(attempt.ending, Some(Outcome::Success));
    let stages: Vec<_> = attempt.stages.iter().map(|mark| mark.stage).collect();
    let all = [
        Stage::TokenCreated,
        Stage::CredentialsSent,
        Stage::Connected,
        Stage::TokenReported,
        Stage::Bound,
        Stage::FirstReport,
    ];
    assert_eq!(stages, all);
    let trace = world.trace(LAMP).await;
    assert!(trace.contains(&"bind_token ok".into()) && trace.contains(&"bind ok".into()));
    let text = format!("{:?}", world.platform.store.trace(&LAMP.into(), None, None, 99).await);
    assert!(!text.contains(made.token.expose_text().expect("text")), "tokens are not traced");
}

#[tokio::test]
async fn the_two_step_way_waits_for_the_app() {
    let world = World::new().await;
    let made = world.platform.create_bind_token(&world.ann, false).await.expect("token");
    assert_eq!(world.bind_code(&world.ann, &made.token).await, "bind.not_reported");
    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.present(&mut login, &made.token).await, 0);
    let status = world.status(&world.ann, &made.token).await;
    assert_eq!((status.state, status.device), (TokenProgress::Reported, Some(LAMP.into())));
    assert_eq!(world.bind_code(&world.bob, &made.token).await, "bind.other_account");
    assert_eq!(world.ending(&made.attempt).await, None, "a stranger ends nothing");
    let text = made.token.expose_text().expect("text");
    let other = world.platform.bind(&world.ann, text, Some((PRODUCT, "NONE"))).await;
    assert_eq!(other.expect_err("no such device").code(), "device.unknown");
    let binding =
        world.platform.bind(&world.ann, text, Some((PRODUCT, NODE))).await.expect("bound");
    assert_eq!((binding.role, binding.device), (BindingRole::Owner, LAMP.into()));
    assert_eq!(world.ending(&made.attempt).await.as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_bad_token_gets_the_vendors_number_and_ends_its_attempt() {
    let world = World::new().await;
    let mut login = world.log_in().await.expect("admitted");
    // Nobody made it.
    let nobody = Secret::from("0123456789abcdef0123456789abcdef");
    assert_eq!(world.present(&mut login, &nobody).await, 404);
    let filter = AttemptFilter { device: Some(LAMP.into()), ..AttemptFilter::default() };
    let attempts = world.platform.attempts(&world.admin, filter, 9).await.expect("attempts");
    let [attempt] = &attempts[..] else { panic!("one attempt, got {attempts:?}") };
    let stages: Vec<_> = attempt.stages.iter().map(|mark| mark.stage).collect();
    assert_eq!(stages, [Stage::Connected]);
    assert!(matches!(&attempt.ending,
        Some(Outcome::Failure { code, .. }) if **code == *"bind.unknown_token"));

    // Expired.
    let late = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    world.platform.clock.advance(Duration::from_secs(600));
    assert_eq!(world.present(&mut login, &late.token).await, 410);
    assert_eq!(world.ending(&late.attempt).await.as_deref(), Some("bind.expired"));
    let status = world.status(&world.ann, &late.token).await;
    assert_eq!(status.state, TokenProgress::Expired);
    assert_eq!(status.reason.as_deref(), Some("bind.expired"));

    // Used: bound by Ann, given up, presented once more.
    let used = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    assert_eq!(world.present(&mut login, &used.token).await, 0);
    world.platform.unbind(&world.ann, &LAMP.into()).await.expect("unbound");
    assert_eq!(world.present(&mut login, &used.token).await, 409);
    assert_eq!(world.bind_code(&world.ann, &used.token).await, "bind.already_used");

    // Bob's token, while Ann owns the lamp.
    let again = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    assert_eq!(world.present(&mut login, &again.token).await, 0);
    let bobs = world.platform.create_bind_token(&world.bob, true).await.expect("token");
    assert_eq!(world.present(&mut login, &bobs.token).await, 403);
    let status = world.status(&world.bob, &bobs.token).await;
    assert_eq!(status.reason.as_deref(), Some("bind.bound_to_other"));

    let codes = ["unknown_token", "expired", "already_used", "bound_to_other"];
    let trace = world.trace(LAMP).await;
    for code in codes {
        assert!(trace.contains(&format!("bind_token bind.{code}")), "{code} in {trace:?}");
    }
}

#[tokio::test]
async fn the_second_device_with_a_token_does_not_spoil_it() {
    let world = World::new().await;
    let twin = world.create("TEST1", Some("AAAAAAAAAAAAAAAAAAAAAA==".into())).await;
    let made = world.platform.create_bind_token(&world.ann, false).await.expect("token");
    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.present(&mut login, &made.token).await, 0);
    let device = world.platform.device(world.space(), &twin).await.expect("twin").device;
    login.account.device = device.clone();
    let random = 7;
    login.session = login.cloud.session(&login.account, random);
    assert_eq!(world.present(&mut login, &made.token).await, 403);
    assert_eq!(world.ending(&made.attempt).await, None);
    assert_eq!(world.bind_code(&world.ann, &made.token).await, "ok");
}

#[tokio::test]
async fn a_stranger_can_neither_watch_nor_hijack_somebodys_device() {
    let world = World::new().await;
    let platform = &world.platform;
    let device = Some((PRODUCT, NODE));
    let anns = platform.create_bind_token(&world.ann, true).await.expect("token");
    let bobs = platform.create_bind_token(&world.bob, true).await.expect("token");
    let named = platform.mark_attempt(&world.ann, &anns.attempt, vec![], device, None).await;
    assert_eq!(named.expect("marked").device, Some(LAMP.into()));
    let named = platform.mark_attempt(&world.bob, &bobs.attempt, vec![], device, None).await;
    assert_eq!(named.expect("marked").device, None, "it is in Ann's attempt");
    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.present(&mut login, &anns.token).await, 0);
    let named = platform.mark_attempt(&world.bob, &bobs.attempt, vec![], device, None).await;
    assert_eq!(named.expect("marked").device, None, "it is Ann's");
    let foreign = platform.attempt(&world.bob, &anns.attempt).await;
    assert_eq!(foreign.expect_err("not his").code(), "api.not_found");
}

#[tokio::test]
async fn rebinding_by_the_owner_ends_the_attempt_too() {
    let world = World::new().await;
    let mut login = world.log_in().await.expect("admitted");
    for auto_bind in [true, false] {
        let made = world.platform.create_bind_token(&world.ann, auto_bind).await.expect("token");
        assert_eq!(world.present(&mut login, &made.token).await, 0);
        assert_eq!(world.bind_code(&world.ann, &made.token).await, "ok");
        assert_eq!(world.ending(&made.attempt).await.as_deref(), Some("ok"));
    }
    assert_eq!(world.platform.bindings(&world.ann).await.expect("list").len(), 1);
}

#[tokio::test]
async fn a_device_with_tokens_of_nobody_leaves_one_attempt_a_minute() {
    let world = World::new().await;
    let mut login = world.log_in().await.expect("admitted");
    let count = async || {
        let filter = AttemptFilter { device: Some(LAMP.into()), ..AttemptFilter::default() };
        world.platform.attempts(&world.admin, filter, 99).await.expect("attempts").len()
    };
    for n in 0..20 {
        let token = Secret::from(format!("{n:032x}"));
        assert_eq!(world.present(&mut login, &token).await, 404);
    }
    assert_eq!(count().await, 1);
    world.platform.clock.advance(Duration::from_secs(60));
    assert_eq!(world.present(&mut login, &Secret::from("x")).await, 404);
    assert_eq!(count().await, 2);
}

#[tokio::test]
async fn transfer_policy_lets_the_holder_take_over() {
    let world = World::with(|product| product.rebind = Rebind::Transfer).await;
    let mut login = world.log_in().await.expect("admitted");
    for user in [&world.ann, &world.bob] {
        let made = world.platform.create_bind_token(user, true).await.expect("token");
        assert_eq!(world.present(&mut login, &made.token).await, 0);
    }
    assert_eq!(world.platform.bindings(&world.ann).await.expect("list"), []);
    assert_eq!(world.platform.bindings(&world.bob).await.expect("list").len(), 1);
}

#[tokio::test]
async fn a_refused_log_in_shows_on_the_token_and_ends_the_attempt_in_time() {
    let world = World::new().await;
    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    let device = Some((PRODUCT, NODE));
    let marked = world.platform.mark_attempt(&world.ann, &made.attempt, vec![], device, None);
    marked.await.expect("marked");
    let wrong = super::PASSWORD.replace('f', "0");
    assert!(world.hello("L4WG9V9M2MTEST2", super::USER, &wrong).await.is_err());
    let status = world.status(&world.ann, &made.token).await;
    assert_eq!(status.reason.as_deref(), Some("auth.bad_password"));
    assert_eq!(world.ending(&made.attempt).await, None, "the device may still come through");
    world.platform.clock.advance(Duration::from_secs(900));
    world.platform.sweep_attempts().await.expect("swept");
    assert_eq!(world.ending(&made.attempt).await.as_deref(), Some("auth.bad_password"));

    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    let marked = world.platform.mark_attempt(&world.ann, &made.attempt, vec![], device, None);
    marked.await.expect("marked");
    world.platform.freeze_device(world.space(), &LAMP.into(), true).await.expect("frozen");
    assert_eq!(world.refused().await.0, "auth.frozen");
    assert_eq!(world.ending(&made.attempt).await.as_deref(), Some("auth.frozen"));

    let silent = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    world.platform.clock.advance(Duration::from_secs(900));
    world.platform.sweep_attempts().await.expect("swept");
    assert_eq!(world.ending(&silent.attempt).await.as_deref(), Some("attempt.device_silent"));
}

#[tokio::test]
async fn the_device_learns_that_it_was_given_up_now_or_later() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let mut login = world.log_in().await.expect("admitted");
    let link = world.connect(&login);
    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    assert_eq!(world.present(&mut login, &made.token).await, 0);
    world.platform.unbind(&world.ann, &lamp).await.expect("unbound");
    link.told.notified().await;
    assert_eq!(*link.sent.lock(), [Downlink::Unbound]);

    world.platform.directory.leave(&lamp, login.epoch);
    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    assert_eq!(world.present(&mut login, &made.token).await, 0);
    let binding = world.platform.bindings(&world.ann).await.expect("list").remove(0);
    let bobs = world.platform.end_binding(&world.bob, &binding.id).await;
    assert_eq!(bobs.expect_err("not his").code(), "api.not_found");
    world.platform.end_binding(&world.ann, &binding.id).await.expect("ended");
    let waiting = world.platform.waiting(&lamp).await;
    assert!(waiting.iter().any(|(_, request)| *request == Downlink::Unbound));
}

#[tokio::test]
async fn owners_share_and_transfer_guests_only_control() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let platform = &world.platform;
    let code =
        |result: Result<_, crate::service::Error>| result.map_or_else(|e| e.code(), |()| "ok");
    let early = platform.share(&world.ann, &lamp, "bob").await;
    assert_eq!(early.expect_err("not bound").code(), "bind.not_bound");
    let mut login = world.log_in().await.expect("admitted");
    let made = platform.create_bind_token(&world.ann, true).await.expect("token");
    world.present(&mut login, &made.token).await;
    assert_eq!(code(platform.check_access(&world.bob, &lamp).await), "bind.not_bound");
    let guest = platform.share(&world.ann, &lamp, "bob").await.expect("shared");
    assert_eq!(guest.role, BindingRole::Guest);
    assert_eq!(code(platform.check_access(&world.bob, &lamp).await), "ok");
    let shared = platform.share(&world.bob, &lamp, "ann").await;
    assert_eq!(shared.expect_err("a guest").code(), "bind.not_bound");
    let owner = platform.transfer(&world.ann, &lamp, "bob").await.expect("transferred");
    assert_eq!((owner.role, owner.user), (BindingRole::Owner, world.bob.user.clone()));
    assert_eq!(code(platform.check_access(&world.ann, &lamp).await), "bind.not_bound");
}

#[tokio::test]
async fn an_operator_gives_a_device_that_reports_no_token() {
    let world = World::new().await;
    let (platform, lamp) = (&world.platform, DeviceId::from(LAMP));
    let give = async |caller, to| platform.give(caller, &lamp, to).await.map_err(|e| e.code());
    assert_eq!(give(&world.ann, "ann").await.map(|b| b.role), Err("api.forbidden"));
    assert_eq!(give(&world.admin, "nobody").await.map(|b| b.role), Err("api.not_found"));
    let unknown = platform.give(&world.admin, &"other".into(), "ann").await;
    assert_eq!(unknown.expect_err("no such device").code(), "device.unknown");
    assert_eq!(platform.bindings_of_device(&world.admin, &lamp).await.expect("list"), []);

    let given = give(&world.admin, "ann").await.expect("given");
    assert_eq!((given.role, &given.user), (BindingRole::Owner, &world.ann.user));
    assert_eq!(give(&world.admin, "ann").await.map(|b| b.id), Ok(given.id), "twice is no error");
    assert!(platform.check_access(&world.ann, &lamp).await.is_ok());
    assert!(platform.check_access(&world.bob, &lamp).await.is_err());
    let handed = give(&world.admin, "bob").await.expect("handed over");
    assert_eq!((handed.role, &handed.user), (BindingRole::Owner, &world.bob.user));
    assert_eq!(platform.bindings_of_device(&world.admin, &lamp).await.expect("list").len(), 1);
    let trace = world.trace(LAMP).await;
    assert!(trace.contains(&"bind ok".to_owned()), "{trace:?}");
}
