//! Authorities, device certificates, templates and policies: over the API, at log-in, and at
//! every message.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509NameBuilder};
use roadstead_core::trust::Action;
use roadstead_dialects::cloud::{Account, Hello, Tls};

use super::*;
use crate::shell::{Peer, Services as _};

/// A certificate and its key.
struct Signed {
    certificate: X509,
    key: PKey<Private>,
}

/// Life of a test certificate: from a day before the clock of the tests, for so many days.
fn signed(issuer: Option<&Signed>, subject: &[(Nid, &str)], is_ca: bool, days: i64) -> Signed {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
    let key = PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key");
    let mut name = X509NameBuilder::new().expect("name");
    for (nid, value) in subject {
        name.append_entry_by_nid(*nid, value).expect("entry");
    }
    let name = name.build();
    let mut builder = X509::builder().expect("builder");
    builder.set_version(2).expect("version");
    let serial = BigNum::from_u32(7).and_then(|n| n.to_asn1_integer()).expect("serial");
    builder.set_serial_number(&serial).expect("serial");
    builder.set_subject_name(&name).expect("subject");
    let issuer_name = issuer.map_or(&*name, |issuer| issuer.certificate.subject_name());
    builder.set_issuer_name(issuer_name).expect("issuer");
    let start = NOW.as_secs() - 86_400;
    let at = |secs| Asn1Time::from_unix(secs).expect("time");
    builder.set_not_before(&at(start)).expect("start");
    builder.set_not_after(&at(start + days * 86_400)).expect("end");
    builder.set_pubkey(&key).expect("key");
    if is_ca {
        let constraints = BasicConstraints::new().critical().ca().build().expect("extension");
        builder.append_extension(constraints).expect("extension");
    }
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).expect("sign");
    Signed { certificate: builder.build(), key }
}

fn named(issuer: Option<&Signed>, common_name: &str, is_ca: bool) -> Signed {
    signed(issuer, &[(Nid::COMMONNAME, common_name)], is_ca, 365)
}

impl Signed {
    fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().expect("PEM")).expect("text")
    }

    fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("DER")
    }

    fn tls(&self, world: &World) -> Tls {
        let digest = |kind| self.certificate.digest(kind).expect("digest").to_vec();
        Tls::Certificate {
            sha1: Fingerprint::Sha1(digest(MessageDigest::sha1()).try_into().expect("20 bytes")),
            sha256: Fingerprint::Sha256(
                digest(MessageDigest::sha256()).try_into().expect("32 bytes"),
            ),
            common_name: None,
            authority: world.platform.vouch(&[self.der()]),
        }
    }
}

impl World {
    /// Uploads an authority and proves its key.
    async fn trust(&self, authority: &Signed) -> String {
        let made = self.admin("POST", "/certificates", json!({"content": authority.pem()})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.body["certificate_id"].as_str().expect("id").to_owned();
        let code = made.body["verify_code"].as_str().expect("code");
        let proof = named(Some(authority), code, false);
        let path = format!("/certificates/{id}/action?action_id=verify");
        let proved = self.admin("POST", &path, json!({"verify_content": proof.pem()})).await;
        assert_eq!(proved.status, 200, "{}", proved.text);
        id
    }

    /// Logs the device of a client id in with what TLS proved.
    async fn connect_as(&self, node: &str, tls: &Tls) -> Result<Account, &'static str> {
        let client_id = format!("{PRODUCT}{node}");
        let user = format!("{client_id};12010126;Q3Uz6;1895000000");
        let hello = Hello {
            level: 4,
            client_id: &client_id,
            user: Some(&user),
            password: None,
            tls,
            keep_alive_s: 60,
        };
        let peer = Peer { address: "192.0.2.1:5000".parse().expect("address"), transport: "tls" };
        let login = self.platform.login(hello, &peer).await;
        login.map(|login| login.account).map_err(|(refusal, _)| refusal.code)
    }
}

#[tokio::test]
async fn an_authority_is_trusted_once_it_is_proved() {
    let world = World::with(|config| config.quota.authorities = 1).await;
    let root =
        signed(None, &[(Nid::COMMONNAME, "Acme CA"), (Nid::ORGANIZATIONNAME, "Acme")], true, 3650);
    let leaf = named(Some(&root), "lamp1", false);
    let made = world.admin("POST", "/certificates", json!({"content": root.pem()})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["cn_name"], "Acme CA");
    assert_eq!((&made.body["owner"], &made.body["status"]), (&json!("Acme"), &json!(false)));
    assert_eq!(made.body["expiry_date"].as_str().expect("date").len(), 16);
    assert_eq!(world.platform.vouch(&[leaf.der()]), None, "not proved yet");

    let id = made.body["certificate_id"].as_str().expect("id");
    let code = made.body["verify_code"].as_str().expect("code");
    let path = format!("/certificates/{id}/action?action_id=verify");
    let stranger = named(None, "Other CA", true);
    for (proof, expected) in [
        (named(Some(&root), "another", false).pem(), "certificate.proof"),
        (named(Some(&stranger), code, false).pem(), "certificate.proof"),
        (signed(Some(&root), &[(Nid::COMMONNAME, code)], false, 0).pem(), "certificate.proof"),
        ("no certificate".into(), "certificate.invalid"),
    ] {
        let refused = world.admin("POST", &path, json!({"verify_content": proof})).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!(expected)));
        assert_eq!(world.platform.vouch(&[leaf.der()]), None);
    }
    let proof = named(Some(&root), code, false).pem();
    let proved = world.admin("POST", &path, json!({"verify_content": proof})).await;
    assert_eq!((proved.status.as_u16(), &proved.body["status"]), (200, &json!(true)));
    let vouched = world.platform.vouch(&[leaf.der()]).expect("trusted");
    assert_eq!((&*vouched.authority, vouched.space.as_str()), (id, PROJECT));
    assert_eq!(vouched.subject["common_name"], "lamp1");

    let shown = world.admin("GET", &format!("/certificates/{id}"), Value::Null).await;
    assert_eq!(shown.body["content"], root.pem());
    let listed = world.admin("GET", "/certificates", Value::Null).await;
    assert_eq!(listed.body["page"]["count"], 1);
    assert!(listed.body["certificates"][0].get("content").is_none());
    let second = world.admin("POST", "/certificates", json!({"content": stranger.pem()})).await;
    assert_eq!((second.status.as_u16(), &second.body["code"]), (403, &json!("api.quota")));
    let gone = world.admin("DELETE", &format!("/certificates/{id}"), Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.platform.vouch(&[leaf.der()]), None);
}

#[tokio::test]
async fn chains_are_judged_by_signature_and_time() {
    let world = World::new().await;
    let root = named(None, "Root", true);
    let middle = named(Some(&root), "Middle", true);
    let leaf = named(Some(&middle), "lamp1", false);
    let stale = signed(Some(&root), &[(Nid::COMMONNAME, "lamp2")], false, 0);
    let forged = named(Some(&named(None, "Root", true)), "lamp3", false);
    world.trust(&root).await;
    let vouched = |chain: &[&Signed]| {
        let chain: Vec<_> = chain.iter().map(|one| one.der()).collect();
        world.platform.vouch(&chain).is_some()
    };
    assert!(vouched(&[&leaf, &middle]));
    assert!(!vouched(&[&leaf]), "the one between is missing");
    assert!(!vouched(&[&stale]), "expired");
    assert!(!vouched(&[&forged]), "the same name, another key");
    assert!(!vouched(&[]));
    assert_eq!(world.platform.vouch(&[b"no DER".to_vec()]), None);
    world.platform.clock().advance(Duration::from_secs(400 * 86_400));
    assert!(!vouched(&[&leaf, &middle]), "expired meanwhile");
}

#[tokio::test]
async fn what_is_no_authority_is_refused() {
    let world = World::new().await;
    let root = named(None, "Root", true);
    let leaf = named(Some(&root), "lamp", false);
    for (content, text) in [
        (String::new(), "not a certificate in PEM"),
        ("x".repeat(70_000), "more than 65536 bytes"),
        (format!("{}{}", root.pem(), leaf.pem()), "2 certificates"),
        (leaf.pem(), "not the certificate of an authority"),
        (signed(None, &[(Nid::COMMONNAME, "Old")], true, 0).pem(), "it ended on"),
    ] {
        let refused = world.admin("POST", "/certificates", json!({"content": content})).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (400, &json!("certificate.invalid"))
        );
        assert!(
            refused.body["error_msg"].as_str().expect("text").contains(text),
            "{}",
            refused.text
        );
    }
    let id = world.trust(&root).await;
    let twice = world.admin("POST", "/certificates", json!({"content": root.pem()})).await;
    assert_eq!(twice.body["code"], "api.conflict");
    for body in [
        json!({"provision_enable": true}),
        json!({"template_id": "nothing"}),
        json!({"ocsp_enable": true}),
    ] {
        let refused = world.admin("PUT", &format!("/certificates/{id}"), body).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
    }
}

async fn furnish_template(world: &World, authority: &str, policy: &str) -> String {
    let product = json!({"product_id": PRODUCT, "name": "Lamp", "dialect": "tencent",
        "auth": "certificate"});
    assert_eq!(world.admin("POST", "/products", product).await.status, 201);
    let template = json!({"template_name": "lamps", "template_body": {
        "parameters": {
            "iotda::certificate::common_name": {"type": "String"},
            "iotda::certificate::organization": {"type": "String"}},
        "resources": {
            "device": {"node_id": {"ref": "iotda::certificate::common_name"},
                "device_name": {"ref": "iotda::certificate::organization"},
                "product_id": PRODUCT,
                "tags": [{"tag_key": "maker",
                    "tag_value": {"ref": "iotda::certificate::organization"}}]},
            "policy": {"policy_ids": [policy]}}}});
    let made = world.admin("POST", "/provisioning-templates", template.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["template_body"], template["template_body"]);
    let id = made.body["template_id"].as_str().expect("id").to_owned();
    let change = json!({"provision_enable": true, "template_id": id});
    let changed = world.admin("PUT", &format!("/certificates/{authority}"), change).await;
    assert_eq!((changed.status.as_u16(), &changed.body["template_id"]), (200, &json!(id)));
    id
}

async fn policy(world: &World, effect: &str, resource: &str) -> String {
    let body = json!({"policy_name": format!("{effect} {resource}").replace([' ', '/', ':', '*', '$', '{', '}'], "-"),
        "statement": [{"effect": effect, "resources": [resource],
            "actions": ["iotda:devices:publish", "iotda:devices:subscribe"]}]});
    let made = world.admin("POST", "/device-policies", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["statement"], body["statement"]);
    made.body["policy_id"].as_str().expect("id").to_owned()
}

#[tokio::test]
async fn an_unknown_device_registers_itself_by_its_certificate() {
    let world = World::new().await;
    let root = named(None, "Root", true);
    let authority = world.trust(&root).await;
    let allow = policy(&world, "ALLOW", "topic:lamps/${devices.deviceId}/*").await;
    let subject = [(Nid::COMMONNAME, "lamp9"), (Nid::ORGANIZATIONNAME, "Acme")];
    let leaf = signed(Some(&root), &subject, false, 365);
    let product_first = world.connect_as("lamp9", &leaf.tls(&world)).await.err();
    assert_eq!(product_first, Some("auth.unknown_product"));
    let template = furnish_template(&world, &authority, &allow).await;

    let poor = named(Some(&root), "lamp9", false);
    let refused = world.connect_as("lamp9", &poor.tls(&world)).await.err();
    assert_eq!(refused, Some("register.template"), "no organization");
    let refused = world.connect_as("lamp8", &leaf.tls(&world)).await.err();
    assert_eq!(refused, Some("register.template"), "another name than the certificate's");
    let nobody = signed(Some(&named(None, "Root", true)), &subject, false, 365);
    let refused = world.connect_as("lamp9", &nobody.tls(&world)).await.err();
    assert_eq!(refused, Some("auth.unknown_device"), "nobody vouches");
    assert_eq!(world.admin("GET", "/devices", Value::Null).await.body["page"]["count"], 0);

    let account = world.connect_as("lamp9", &leaf.tls(&world)).await.expect("registered");
    assert_eq!((&*account.device.node, &*account.device.name), ("lamp9", "Acme"));
    let shown = world.admin("GET", &format!("/devices/{}", account.device.id), Value::Null).await;
    assert_eq!(shown.body["tags"], json!([{"tag_key": "maker", "tag_value": "Acme"}]));
    let again = world.connect_as("lamp9", &leaf.tls(&world)).await.expect("known now");
    assert_eq!(again.device.id, account.device.id);
    let refused = world.connect_as("lamp9", &poor.tls(&world)).await.err();
    assert_eq!(refused, Some("auth.certificate_mismatch"));

    // The template's policy holds from the first message on.
    let own = format!("lamps/{}/up", account.device.id);
    assert!(world.platform.permits(&account, Action::Publish, &own));
    assert!(!world.platform.permits(&account, Action::Publish, "lamps/other/up"));

    let path = format!("/provisioning-templates/{template}");
    let kept = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(kept.body["code"], "api.conflict", "an authority uses it");

    // The certificate is known, and lets nobody in once it is switched off.
    let listed = world.admin("GET", "/device-certificates?common_name=lamp9", Value::Null).await;
    assert_eq!(listed.body["page"]["count"], 1, "{}", listed.text);
    let id = listed.body["device_certificates"][0]["certificate_id"].as_str().expect("id");
    let path = format!("/device-certificates/{id}");
    let devices = world.admin("POST", &format!("{path}/list-device"), json!({"limit": 5})).await;
    assert_eq!(devices.body["devices"][0]["node_id"], "lamp9");
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.body["code"], "api.conflict");
    let off = world.admin("PUT", &path, json!({"status": "INACTIVE"})).await;
    assert_eq!((off.status.as_u16(), &off.body["status"]), (200, &json!("INACTIVE")));
    assert_eq!(off.body["certificate_pem"], leaf.pem());
    let refused = world.connect_as("lamp9", &leaf.tls(&world)).await.err();
    assert_eq!(refused, Some("auth.certificate_inactive"));
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
}

#[tokio::test]
async fn a_policy_holds_as_long_as_it_is_bound() {
    let world = World::new().await;
    world.furnish().await;
    let device = world.platform.store().device(&LAMP.into()).await.expect("read").expect("lamp");
    let product = world.platform.store().product(&PRODUCT.into()).await.expect("read");
    let account = Account { product: product.expect("product"), device };
    let may = |topic: &str| world.platform.permits(&account, Action::Publish, topic);
    let allow = policy(&world, "ALLOW", "topic:a/*").await;
    let deny = policy(&world, "DENY", "topic:a/secret").await;
    assert!(may("b"), "nothing is bound");
    let bind = |id: &str, verb: &str, kind: &str, target: &str| {
        let path = format!("/device-policies/{id}/{verb}");
        let body = json!({"target_type": kind, "target_ids": [target]});
        let world = &world;
        async move {
            let done = world.admin("POST", &path, body).await;
            assert_eq!(done.status, 200, "{}", done.text);
            done.body
        }
    };
    let bound = bind(&allow, "bind", "product", PRODUCT).await;
    assert_eq!(bound["success_targets"], json!([PRODUCT]));
    assert!(may("a/secret") && !may("b"));
    bind(&deny, "bind", "app", PROJECT).await;
    assert!(may("a/x") && !may("a/secret"));
    let failed = bind(&deny, "bind", "device", "nobody").await;
    assert_eq!(failed["success_targets"], json!([]));
    assert_eq!(failed["failure_targets"][0]["error_code"], "IOTDA.014000");
    bind(&deny, "bind", "device", LAMP).await;
    let path = format!("/device-policies/{deny}/list-targets");
    let targets = world.admin("POST", &path, json!({})).await.body;
    assert_eq!(targets["page"]["count"], 2);
    assert_eq!(targets["targets"][0], json!({"target_type": "device", "target_id": LAMP}));

    let change = json!({"statement": [{"effect": "DENY", "resources": ["topic:a/x"],
        "actions": ["iotda:devices:publish"]}]});
    let changed = world.admin("PUT", &format!("/device-policies/{deny}"), change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(!may("a/x") && may("a/secret"), "from the next message on");

    // What was bound before the process began holds after it.
    world.platform.recall_for_test().await;
    assert!(!may("a/x") && may("a/secret") && !may("b"));

    bind(&deny, "unbind", "app", PROJECT).await;
    assert_eq!(world.admin("DELETE", &format!("/devices/{LAMP}"), Value::Null).await.status, 204);
    assert!(may("a/x"), "the binding of a deleted device is gone");
    assert_eq!(
        world.admin("DELETE", &format!("/device-policies/{allow}"), Value::Null).await.status,
        204
    );
    assert!(may("b"));
}

#[tokio::test]
async fn wrong_policies_and_templates_are_refused() {
    let world = World::with(|config| config.quota.policies = 1).await;
    let statement = |effect: &str, action: &str, resource: &str| json!([{"effect": effect, "actions": [action], "resources": [resource]}]);
    let good = statement("ALLOW", "iotda:devices:publish", "topic:/a");
    for (name, statement) in [
        ("", good.clone()),
        ("p", json!([])),
        ("p", statement("MAYBE", "iotda:devices:publish", "topic:/a")),
        ("p", statement("ALLOW", "iotda:devices:fly", "topic:/a")),
        ("p", statement("ALLOW", "iotda:devices:publish", "/a")),
    ] {
        let body = json!({"policy_name": name, "statement": statement});
        let refused = world.admin("POST", "/device-policies", body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (400, &json!("api.bad_request"))
        );
    }
    let body = json!({"policy_name": "p", "statement": good});
    assert_eq!(world.admin("POST", "/device-policies", body.clone()).await.status, 201);
    let body = json!({"policy_name": "q", "statement": body["statement"]});
    assert_eq!(world.admin("POST", "/device-policies", body).await.body["code"], "api.quota");
    for body in [
        json!({"template_name": "t"}),
        json!({"template_name": "t", "template_body": {"parameters": {}}}),
        json!({"template_name": "t", "template_body": {"parameters": {}, "resources": {"device": {
            "node_id": {"ref": "iotda::certificate::common_name"}, "product_id": "p"}}}}),
    ] {
        let refused = world.admin("POST", "/provisioning-templates", body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (400, &json!("api.bad_request"))
        );
    }
    let listed = world.admin("GET", "/provisioning-templates", Value::Null).await;
    assert_eq!(listed.body["page"]["count"], 0);
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing() {
    let world = World::new().await;
    let root = named(None, "Root", true);
    let id = world.trust(&root).await;
    let policy = policy(&world, "ALLOW", "topic:/a").await;
    let token = world.token(OTHER, Role::Operator).await;
    for (method, path) in [
        ("GET", format!("/certificates/{id}")),
        ("DELETE", format!("/certificates/{id}")),
        ("GET", format!("/device-policies/{policy}")),
        ("DELETE", format!("/device-policies/{policy}")),
    ] {
        let path = format!("/v5/iot/{OTHER}{path}");
        let answer = world.call(method, &path, Some(&token), None).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (404, &json!("api.not_found")));
    }
    // The other tenant may trust the same authority; whose device it is decides whose word counts.
    let body = json!({"content": root.pem()});
    let path = format!("/v5/iot/{OTHER}/certificates");
    assert_eq!(world.call("POST", &path, Some(&token), Some(body)).await.status, 201);
}
