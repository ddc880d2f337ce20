//! The cable between a device and the platform, which can be pulled: a relay of TCP connections.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A cable in somebody's hand.
#[derive(Clone)]
pub(super) struct Cable(Arc<watch::Sender<bool>>);

impl Cable {
    /// Lays a plugged cable from whoever connects to `listener` to `platform`.
    pub(super) fn lay(listener: TcpListener, platform: SocketAddr) -> (Self, JoinHandle<()>) {
        let (plug, plugged) = watch::channel(true);
        let task = tokio::spawn(async move {
            loop {
                // An error is a caller that left before it was let in.
                let Ok((near, _)) = listener.accept().await else { continue };
                if *plugged.borrow() {
                    tokio::spawn(carry(near, platform, plugged.clone()));
                }
            }
        });
        (Self(Arc::new(plug)), task)
    }

    /// Cuts every connection, and refuses others.
    pub(super) fn pull(&self) {
        self.0.send_replace(false);
    }

    /// Lets connections through again.
    pub(super) fn plug(&self) {
        self.0.send_replace(true);
    }
}

/// Carries one connection until it ends or the cable is pulled.
async fn carry(mut near: TcpStream, platform: SocketAddr, mut plugged: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(platform).await else { return };
    // What is small is small on both sides: modules read one packet per segment.
    let _ = near.set_nodelay(true).and(far.set_nodelay(true));
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = plugged.wait_for(|plugged| !*plugged) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_pulled_cable_carries_nothing_and_a_plugged_one_everything() {
        let bind = || TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
        let (near, far) = (bind().await.expect("a port"), bind().await.expect("a port"));
        let (at, platform) = (near.local_addr(), far.local_addr().expect("address"));
        let (at, (cable, task)) = (at.expect("address"), Cable::lay(near, platform));
        for _ in 0..2 {
            let mut device = TcpStream::connect(at).await.expect("plugged");
            let (mut served, _) = far.accept().await.expect("carried");
            device.write_all(b"hello").await.expect("sent");
            let mut heard = [0; 5];
            served.read_exact(&mut heard).await.expect("carried");
            assert_eq!(&heard, b"hello");
            cable.pull();
            assert_eq!(device.read(&mut heard).await.unwrap_or(0), 0, "cut");
            let mut refused = TcpStream::connect(at).await.expect("the near end is there");
            assert_eq!(refused.read(&mut heard).await.unwrap_or(0), 0, "nobody at the far end");
            cable.plug();
        }
        task.abort();
    }
}
