//! A platform that decides as the dialect says and notes everything it is asked.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::product::{Auth, Product, Rebind, Registration};
use roadstead_core::session::{Ending, Epoch};
use roadstead_core::trace::Entry;
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp};
use roadstead_dialects::cloud::{Account, Claim, Cloud, Hello, Refusal};
use tokio::sync::{Notify, oneshot};

use super::{NODE, PRODUCT, SECRET};
use crate::directory::Directory;
use crate::shell::{Login, Peer, Services};

pub(super) struct Fake {
    cloud: Arc<dyn Cloud>,
    directory: Arc<Directory>,
    accounts: Mutex<Vec<Account>>,
    log: Mutex<Vec<String>>,
    changed: Notify,
    /// Answers to come; without one every uplink is done at once.
    answers: Mutex<VecDeque<oneshot::Receiver<Answer>>>,
    pub(super) waiting: Mutex<Vec<(u64, Downlink)>>,
}

pub(super) fn account(node: &str, fingerprint: Option<Fingerprint>) -> Account {
    let document = include_str!("../../../../roadstead-dialects/vectors/tencent-model-lamp.json");
    let document = serde_json::from_str(document).expect("JSON");
    let dialect = roadstead_dialects::find("tencent").expect("in this build");
    let auth = if fingerprint.is_some() { Auth::Certificate } else { Auth::Secret };
    let product = Product {
        id: PRODUCT.into(),
        space: "s".into(),
        dialect: "tencent".into(),
        name: "Lamp".into(),
        secret: None,
        auth,
        registration: Registration::Off,
        rebind: Rebind::Refuse,
        model: dialect.import_model(&document).expect("recognised").expect("imports"),
        attributes: Map::new(),
        created_at: Timestamp(0),
    };
    let device = Device {
        id: DeviceId::of_node(&product.id, node),
        space: "s".into(),
        product: PRODUCT.into(),
        node: node.into(),
        name: node.into(),
        secret: Some(Secret::from(SECRET)),
        fingerprint,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(0),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    };
    Account { product: Arc::new(product), device: Arc::new(device) }
}

impl Fake {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        let dialect = roadstead_dialects::find("tencent").expect("in this build");
        let cloud = dialect.cloud(&serde_json::json!({})).expect("default settings");
        Self {
            cloud: cloud.into(),
            directory,
            accounts: Mutex::new(vec![account(NODE, None)]),
            log: Mutex::default(),
            changed: Notify::new(),
            answers: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Enters another device, or replaces it.
    pub(super) fn enter(&self, account: Account) {
        let mut accounts = self.accounts.lock();
        accounts.retain(|known| known.device.id != account.device.id);
        accounts.push(account);
    }

    /// Lets the next uplink wait for an answer.
    pub(super) fn hold_answer(&self) -> oneshot::Sender<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.answers.lock().push_back(receiver);
        sender
    }

    fn note(&self, text: String) {
        self.log.lock().push(text);
        self.changed.notify_waiters();
    }

    /// Returns the notes so far.
    pub(super) fn notes(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Waits for a note that starts with `head`; returns it.
    pub(super) async fn noted(&self, head: &str) -> String {
        self.noted_times(head, 1).await
    }

    /// Waits for the `n`th note that starts with `head`.
    pub(super) async fn noted_times(&self, head: &str, n: usize) -> String {
        loop {
            let changed = self.changed.notified();
            let found =
                self.log.lock().iter().filter(|note| note.starts_with(head)).nth(n - 1).cloned();
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }

    fn find(&self, claim: &Claim) -> Option<Account> {
        let accounts = self.accounts.lock();
        let is_meant = |account: &&Account| match claim {
            Claim::Node { product, node } => {
                account.product.id.as_str() == &**product && account.device.node == *node
            }
            Claim::Device(id) => account.device.id == *id,
            Claim::Member { .. } => false,
        };
        accounts.iter().find(is_meant).cloned()
    }

    fn admit(&self, hello: Hello<'_>) -> Result<Account, Refusal> {
        if !self.cloud.recognizes(&hello) {
            return Err(Refusal::new("auth.malformed", "of no known dialect"));
        }
        let claim = self.cloud.identify(&hello)?;
        let unknown = || Refusal::new("auth.unknown_device", format!("{claim:?}"));
        let account = self.find(&claim).ok_or_else(unknown)?;
        self.cloud.admit(&hello, &account, Timestamp(0))?;
        Ok(account)
    }
}

#[async_trait]
impl Services for Fake {
    fn psk(&self, identity: &[u8]) -> Option<Secret> {
        let account = self.find(&self.cloud.psk_claim(identity)?)?;
        self.cloud.psk_key(&account.device)
    }

    async fn login(&self, hello: Hello<'_>, peer: &Peer) -> Result<Login, (Refusal, u8)> {
        match self.admit(hello) {
            Ok(account) => {
                let epoch = self.directory.next_epoch();
                self.note(format!("login {} {} {}", account.device.node, peer.transport, epoch.0));
                let session = self.cloud.session(&account, 7);
                Ok(Login { account, cloud: self.cloud.clone(), session, epoch })
            }
            Err(refusal) => {
                self.note(format!("refused {}", refusal.code));
                let code = self.cloud.connack(refusal.code);
                Err((refusal, code))
            }
        }
    }

    async fn stranger(&self, peer: &Peer, psk_identity: Option<&[u8]>, refusal: Refusal) {
        let identity = String::from_utf8_lossy(psk_identity.unwrap_or(b"-"));
        let (code, detail) = (refusal.code, refusal.detail);
        self.note(format!("stranger {code} {identity} {} {detail}", peer.transport));
    }

    fn uplink(
        self: Arc<Self>,
        account: Account,
        _epoch: Epoch,
        _topic: &str,
        _size: usize,
        uplink: Uplink,
    ) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let (node, name) = (&account.device.node, uplink.name());
            self.note(format!("uplink {node} {name}"));
            let answer = self.answers.lock().pop_front();
            match answer {
                Some(answer) => answer.await.expect("the test answers"),
                None => Answer::Done,
            }
        })
    }

    async fn sub_account(&self, gateway: &Account, device: &SubDevice) -> Result<Account, Code> {
        self.note(format!("sub {}", device.node));
        tokio::task::yield_now().await;
        let claim = Claim::Node { product: device.product.clone(), node: device.node.clone() };
        let found = self.find(&claim).ok_or("subdevice.unknown")?;
        let is_attached = found.device.gateway.as_ref() == Some(&gateway.device.id);
        is_attached.then_some(found).ok_or("subdevice.not_attached")
    }

    async fn pending(self: Arc<Self>, _: &Account, _: Epoch) -> Vec<(u64, Downlink)> {
        tokio::task::yield_now().await;
        self.waiting.lock().clone()
    }

    async fn delivered(&self, _device: &DeviceId, sequence: u64) {
        self.waiting.lock().retain(|(waiting, _)| *waiting != sequence);
        self.note(format!("delivered {sequence}"));
    }

    fn trace(&self, _device: &DeviceId, entry: Entry) {
        self.note(format!("trace {} {} {}", entry.what, entry.code, entry.text));
    }

    async fn logout(&self, account: &Account, epoch: Epoch, ending: Ending) {
        self.note(format!("logout {} {} {}", account.device.node, epoch.0, ending.code()));
    }
}
