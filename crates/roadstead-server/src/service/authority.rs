//! Certificate authorities of device makers: uploaded, proved, and asked whether they vouch for a
//! client's certificate; and the device certificates that were seen.
//!
//! Revocation (OCSP) is not checked: an operator switches a certificate off instead.
//!
//! Source: Huawei §9.9; RFC 5280 §6.

use std::sync::Arc;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509NameRef, X509Ref, X509StoreContext};
use parking_lot::RwLock;
use roadstead_core::port::{Page, StoreError, TrustFilter};
use roadstead_core::trust::{
    Authority, CERTIFICATE_DEVICES_MAX, DeviceCertificate, Subject, Template, TrustKind,
    Trusted as _,
};
use roadstead_core::{SpaceId, Timestamp};
use roadstead_dialects::Problem;
use roadstead_dialects::cloud::{Account, Hello, Refusal, Tls, Vouched};

use super::{Error, Platform};

/// Largest certificate that is read, bytes of PEM.
const PEM_BYTES_MAX: usize = 64 * 1024;
/// Authorities read per call while they are recalled.
const RECALL_PAGE: u32 = 100;

/// The verified authorities, ready to be asked.
#[derive(Default)]
pub(super) struct Authorities(RwLock<Option<Arc<Anchors>>>);

struct Anchors {
    store: X509Store,
    /// Digest of the certificate and what is to be said of it.
    known: Vec<(String, Arc<Authority>)>,
}

/// What an update of an authority changes; `None` leaves a field as it is.
#[derive(Default)]
pub struct AuthorityPatch {
    /// Unknown devices register themselves.
    pub provision: Option<bool>,
    /// Id of the template; an empty one removes it.
    pub template: Option<Box<str>>,
}

impl Platform {
    /// Keeps an authority; it is trusted once it is proved ([`Platform::verify_authority`]).
    ///
    /// # Errors
    ///
    /// `certificate.invalid`, `api.conflict`, `api.quota`.
    pub async fn add_authority(&self, space: &SpaceId, pem: &str) -> Result<Authority, Error> {
        let certificate = parse(pem)?;
        let now = self.clock.now();
        let read = || -> Result<Authority, ErrorStack> {
            let name = certificate.subject_name();
            Ok(Authority {
                id: self.random.id().get(..24).unwrap_or_default().into(),
                space: space.clone(),
                common_name: entry(name, Nid::COMMONNAME).into(),
                owner: entry(name, Nid::ORGANIZATIONNAME).into(),
                pem: String::from_utf8_lossy(&certificate.to_pem()?).into_owned().into(),
                digest: digest(&certificate)?.into(),
                verified: false,
                verify_code: self.random.id().into(),
                provision: false,
                template: None,
                effective_at: time(certificate.not_before())?,
                expires_at: time(certificate.not_after())?,
                created_at: now,
            })
        };
        let authority = read().map_err(|error| invalid(format!("reading it: {error}")))?;
        if !can_sign(&certificate)? {
            return Err(invalid("it is not the certificate of an authority (CA:TRUE)".into()));
        }
        if authority.expires_at <= now {
            return Err(invalid(format!("it ended on {}", authority.expires_at)));
        }
        self.keep_trust(authority.clone(), self.config.quota.authorities).await?;
        Ok(authority)
    }

    /// Changes how unknown devices of an authority are treated.
    ///
    /// # Errors
    ///
    /// `api.not_found`, also of the template; `api.bad_request` for provisioning without one.
    pub async fn update_authority(
        &self,
        space: &SpaceId,
        id: &str,
        patch: AuthorityPatch,
    ) -> Result<Authority, Error> {
        let mut authority: Authority = self.trusted(space, id).await?;
        if let Some(template) = patch.template {
            authority.template = match template.is_empty() {
                true => None,
                false => Some(self.trusted::<Template>(space, &template).await?.id),
            };
        }
        authority.provision = patch.provision.unwrap_or(authority.provision);
        if authority.provision && authority.template.is_none() {
            return Err(Error::Invalid("provision_enable: needs a template_id".into()));
        }
        self.replace_trust(authority.clone()).await?;
        self.recall_authorities().await?;
        Ok(authority)
    }

    /// Trusts an authority whose key somebody has proved to hold: with a certificate that it
    /// signed and that carries the verify code as its common name.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `certificate.invalid`, `certificate.proof`.
    pub async fn verify_authority(
        &self,
        space: &SpaceId,
        id: &str,
        proof: &str,
    ) -> Result<Authority, Error> {
        let mut authority: Authority = self.trusted(space, id).await?;
        let proof = parse(proof)?;
        let unproved = |text: &str| Error::Rule(Problem::new("certificate.proof", text));
        if entry(proof.subject_name(), Nid::COMMONNAME) != *authority.verify_code {
            return Err(unproved("the common name of the proof is not the verify code"));
        }
        let signed = || -> Result<bool, ErrorStack> {
            let issuer = X509::from_pem(authority.pem.as_bytes())?;
            proof.verify(&*issuer.public_key()?)
        };
        if !signed().unwrap_or(false) {
            return Err(unproved("the proof is not signed by the authority"));
        }
        if !lives(&proof, self.clock.now()) {
            return Err(unproved("the proof is expired or not yet valid"));
        }
        authority.verified = true;
        self.replace_trust(authority.clone()).await?;
        self.recall_authorities().await?;
        Ok(authority)
    }

    /// Forgets an authority; its devices do not log in again.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn delete_authority(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        self.trusted::<Authority>(space, id).await?;
        self.store.delete_trust(TrustKind::Authority, id).await?;
        Ok(self.recall_authorities().await?)
    }

    /// Reads the verified authorities anew.
    pub(super) async fn recall_authorities(&self) -> Result<(), StoreError> {
        let _gate = self.trust_gate.lock().await;
        let mut known = Vec::new();
        let mut page = Page { limit: RECALL_PAGE, ..Page::default() };
        loop {
            let filter = TrustFilter::default();
            let listing = self.store.trusts(TrustKind::Authority, &filter, &page).await?;
            let Some(last) = listing.items.last() else { break };
            page.after = Some(last.id().into());
            let verified = listing.items.into_iter().filter_map(Authority::from_object);
            known.extend(verified.filter(|authority| authority.verified).map(Arc::new));
        }
        let anchors = Anchors::of(known);
        *self.authorities.0.write() = anchors.map(Arc::new);
        Ok(())
    }

    /// Returns what a verified authority says of a client's certificate.
    pub(super) fn vouch_for(&self, chain: &[Vec<u8>]) -> Option<Box<Vouched>> {
        let anchors = self.authorities.0.read().clone()?;
        match anchors.vouch(chain, self.clock.now()) {
            Ok(vouched) => vouched.map(Box::new),
            Err(error) => {
                tracing::debug!(%error, "reading a client's certificate");
                None
            }
        }
    }

    /// Refuses a device whose certificate was switched off, and remembers one seen first.
    pub(super) async fn note_certificate(
        &self,
        hello: &Hello<'_>,
        account: &Account,
    ) -> Result<(), Refusal> {
        let Tls::Certificate { sha256, authority: Some(vouched), .. } = hello.tls else {
            return Ok(());
        };
        let failed = |error: StoreError| Refusal::new(error.code(), "reading the certificate");
        let (digest, device) = (sha256.to_string(), &account.device.id);
        let filter = TrustFilter {
            space: Some(vouched.space.clone()),
            key: Some(digest.as_str().into()),
            ..TrustFilter::default()
        };
        let page = Page { limit: 1, ..Page::default() };
        let found = self.store.trusts(TrustKind::Certificate, &filter, &page).await;
        let found = found.map_err(failed)?.items.pop().and_then(DeviceCertificate::from_object);
        let now = self.clock.now();
        let kept = match found {
            Some(known) if !known.active => {
                let detail = format!("certificate `{}` is inactive", known.id);
                return Err(Refusal::new("auth.certificate_inactive", detail));
            }
            Some(known)
                if known.devices.contains(device)
                    || known.devices.len() >= CERTIFICATE_DEVICES_MAX =>
            {
                Ok(())
            }
            Some(mut known) => {
                known.devices.push(device.clone());
                self.store.update_trust(known.into()).await
            }
            None => {
                let fresh = DeviceCertificate {
                    id: self.random.id().get(..24).unwrap_or_default().into(),
                    space: vouched.space.clone(),
                    common_name: vouched.subject.get("common_name").map_or("", |cn| cn).into(),
                    digest: digest.into(),
                    pem: vouched.pem.clone(),
                    authority: vouched.authority.clone(),
                    active: true,
                    devices: vec![device.clone()],
                    expires_at: vouched.expires_at,
                    created_at: now,
                };
                self.store.create_trust(fresh.into()).await
            }
        };
        match kept {
            // Two log-ins at the same time.
            Ok(()) | Err(StoreError::Exists | StoreError::Missing) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Switches a device certificate on or off. Off ends the connections of its devices.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn set_certificate_status(
        &self,
        space: &SpaceId,
        id: &str,
        active: bool,
    ) -> Result<DeviceCertificate, Error> {
        let mut certificate: DeviceCertificate = self.trusted(space, id).await?;
        certificate.active = active;
        self.replace_trust(certificate.clone()).await?;
        if !active {
            certificate.devices.iter().for_each(|device| self.revoke(device));
        }
        Ok(certificate)
    }

    /// Forgets a device certificate; one that is used again is seen first again. Only an inactive
    /// one may be forgotten.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.conflict` while it is active.
    pub async fn delete_certificate(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        let certificate: DeviceCertificate = self.trusted(space, id).await?;
        if certificate.active {
            return Err(Error::Conflict("the certificate is active; set it INACTIVE first".into()));
        }
        Ok(self.store.delete_trust(TrustKind::Certificate, id).await?)
    }
}

impl Anchors {
    /// Returns `None` when there is nobody to ask.
    fn of(authorities: Vec<Arc<Authority>>) -> Option<Self> {
        let mut builder = X509StoreBuilder::new().ok()?;
        // An intermediate authority may be registered alone; time is ours to judge.
        let flags = X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME;
        builder.set_flags(flags).ok()?;
        let mut known = Vec::new();
        for authority in authorities {
            let added = X509::from_pem(authority.pem.as_bytes())
                .and_then(|certificate| builder.add_cert(certificate));
            match added {
                Ok(()) => known.push(((*authority.digest).to_owned(), authority)),
                Err(error) => {
                    tracing::warn!(%error, id = &*authority.id, "an authority is unusable");
                }
            }
        }
        (!known.is_empty()).then(|| Self { store: builder.build(), known })
    }

    fn vouch(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<Option<Vouched>, ErrorStack> {
        let [own, others @ ..] = chain else { return Ok(None) };
        let own = X509::from_der(own)?;
        let mut untrusted = Stack::new()?;
        for other in others {
            untrusted.push(X509::from_der(other)?)?;
        }
        let mut context = X509StoreContext::new()?;
        let anchor = context.init(&self.store, &own, &untrusted, |context| {
            if !context.verify_cert()? {
                return Ok(None);
            }
            let Some(chain) = context.chain() else { return Ok(None) };
            if !chain.iter().all(|certificate| lives(certificate, now)) {
                return Ok(None);
            }
            chain.iter().last().map(digest).transpose()
        })?;
        let known = anchor.and_then(|anchor| self.known.iter().find(|(d, _)| *d == anchor));
        let Some((_, authority)) = known else { return Ok(None) };
        Ok(Some(Vouched {
            authority: authority.id.clone(),
            space: authority.space.clone(),
            subject: subject(own.subject_name()),
            pem: String::from_utf8_lossy(&own.to_pem()?).into_owned().into(),
            expires_at: time(own.not_after())?,
        }))
    }
}

/// Returns the log-in without the word of an authority of another space than the device's.
pub(super) fn without_strangers(tls: &Tls, space: &SpaceId) -> Option<Tls> {
    match tls {
        Tls::Certificate { sha1, sha256, common_name, authority: Some(vouched) }
            if vouched.space != *space =>
        {
            Some(Tls::Certificate {
                sha1: sha1.clone(),
                sha256: sha256.clone(),
                common_name: common_name.clone(),
                authority: None,
            })
        }
        Tls::None | Tls::Server | Tls::Psk { .. } | Tls::Certificate { .. } => None,
    }
}

/// Reads exactly one certificate.
fn parse(pem: &str) -> Result<X509, Error> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(invalid(format!("it has more than {PEM_BYTES_MAX} bytes")));
    }
    let mut all = X509::stack_from_pem(pem.as_bytes())
        .map_err(|_| invalid("it is not a certificate in PEM".into()))?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), more) => Err(invalid(format!("{} certificates; one is expected", more + 1))),
        (None, _) => Err(invalid("it is not a certificate in PEM".into())),
    }
}

/// True for certificates that may sign others: basic constraints with CA, or the self-signed ones
/// of version 1 that have no extensions.
fn can_sign(certificate: &X509Ref) -> Result<bool, Error> {
    let text = certificate.to_text().map_err(|error| invalid(error.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    let is_old = !text.contains("X509v3 extensions:");
    let is_own_issuer =
        certificate.issuer_name().try_cmp(certificate.subject_name()).is_ok_and(|o| o.is_eq());
    Ok(text.contains("CA:TRUE") || (is_old && is_own_issuer))
}

fn entry(name: &X509NameRef, nid: Nid) -> String {
    let entry = name.entries_by_nid(nid).next();
    entry.and_then(|entry| entry.data().to_string().ok()).unwrap_or_default()
}

/// Returns the fields that templates may use.
fn subject(name: &X509NameRef) -> Subject {
    let fields = [
        ("country", Nid::COUNTRYNAME),
        ("organization", Nid::ORGANIZATIONNAME),
        ("organizational_unit", Nid::ORGANIZATIONALUNITNAME),
        ("distinguished_name_qualifier", Nid::DNQUALIFIER),
        ("state_name", Nid::STATEORPROVINCENAME),
        ("common_name", Nid::COMMONNAME),
        ("serial_number", Nid::SERIALNUMBER),
    ];
    let values = fields.map(|(field, nid)| (field.to_owned(), entry(name, nid)));
    values.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn digest(certificate: &X509Ref) -> Result<String, ErrorStack> {
    Ok(hex::encode(certificate.digest(MessageDigest::sha256())?))
}

fn lives(certificate: &X509Ref, now: Timestamp) -> bool {
    let within = || -> Result<bool, ErrorStack> {
        Ok(time(certificate.not_before())? <= now && now <= time(certificate.not_after())?)
    };
    within().unwrap_or(false)
}

fn time(at: &Asn1TimeRef) -> Result<Timestamp, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(at)?;
    Ok(Timestamp((i64::from(since.days) * 86_400 + i64::from(since.secs)) * 1000))
}

fn invalid(text: String) -> Error {
    Problem::new("certificate.invalid", text).into()
}
