//! [`Services`] for connections: each method goes to the file of its noun.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, SubDevices, Uplink};
use roadstead_core::session::{Ending, Epoch};
use roadstead_core::trace::Entry;
use roadstead_core::trust::Action;
use roadstead_core::{Code, DeviceId, Secret};
use roadstead_dialects::cloud::{Account, Claim, Hello, Refusal, Vouched};

use super::Platform;
use crate::shell::{Login, Peer, Services};

#[async_trait]
impl Services for Platform {
    fn psk(&self, identity: &[u8]) -> Option<Secret> {
        self.clouds.values().find_map(|cloud| {
            let Claim::Node { product, node } = cloud.psk_claim(identity)? else {
                return None;
            };
            // A frozen device gets its key, too: it is refused where it can be told the reason.
            let device = self.store.device_by_node_blocking(&(&*product).into(), &node);
            match device {
                Ok(device) => cloud.psk_key(&*device?),
                Err(error) => {
                    tracing::warn!(%error, "reading a device inside a TLS handshake");
                    None
                }
            }
        })
    }

    fn vouch(&self, chain: &[Vec<u8>]) -> Option<Box<Vouched>> {
        self.vouch_for(chain)
    }

    fn permits(&self, account: &Account, action: Action, topic: &str) -> bool {
        self.is_permitted(account, action, topic)
    }

    async fn login(&self, hello: Hello<'_>, peer: &Peer) -> Result<Login, (Refusal, u8)> {
        self.log_in(hello, peer).await
    }

    async fn stranger(&self, peer: &Peer, psk_identity: Option<&[u8]>, refusal: Refusal) {
        self.refused_early(peer, psk_identity, &refusal).await;
    }

    fn uplink(
        self: Arc<Self>,
        account: Account,
        epoch: Epoch,
        topic: &str,
        size: usize,
        uplink: Uplink,
    ) -> BoxFuture<'static, Answer> {
        let source = format!("{topic} {size} B{}", self.excerpt(&account, &uplink));
        let speaks_of_subs = matches!(&uplink, Uplink::SubDevices(SubDevices::Online(_)));
        Box::pin(async move {
            let answer = self.hear(&account, epoch, &source, uplink).await;
            if speaks_of_subs && let Answer::SubDevices(results) = &answer {
                self.subs_ready(&account, results).await;
            }
            answer
        })
    }

    async fn sub_account(&self, gateway: &Account, device: &SubDevice) -> Result<Account, Code> {
        self.sub_account_of(gateway, device).await
    }

    async fn pending(self: Arc<Self>, account: &Account, epoch: Epoch) -> Vec<(u64, Downlink)> {
        let device = &account.device.id;
        self.device_ready(device);
        self.send_away(&account.device);
        if let Err(error) = self.push_desired(account, epoch).await {
            tracing::warn!(%error, %device, "sending what is desired of a device");
        }
        self.waiting(device).await
    }

    async fn delivered(&self, device: &DeviceId, sequence: u64) {
        if let Err(error) = self.store.pop_pending(device, sequence).await {
            // It is delivered once more after the next log-in; that is allowed, losing it is not.
            tracing::warn!(%error, %device, "forgetting a delivered message");
        }
    }

    fn trace(&self, device: &DeviceId, entry: Entry) {
        self.note(device, entry);
    }

    async fn logout(&self, account: &Account, epoch: Epoch, ending: Ending) {
        self.log_out(account, epoch, ending).await;
    }
}
