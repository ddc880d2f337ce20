//! A connection that stays open, between its socket and its dialect: what the client says goes
//! in, what it is told comes out. Ends with [`LiveConnection`]'s drop.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::{Code, UserId};
use roadstead_dialects::cloud::{Desk as _, Live, News, Ports, Turn, Watch};

use super::Platform;
use super::desk::PlatformDesk;
use super::feed::Ears;

/// One client.
pub(crate) struct LiveConnection {
    desk: PlatformDesk,
    live: Box<dyn Live>,
    ears: Ears,
    user: Option<UserId>,
}

/// Something to tell the client.
pub(crate) struct Heard {
    news: Arc<News>,
    delivery: Option<u64>,
}

/// What to send, and whether to close then.
pub(crate) struct Said {
    /// Texts in order.
    pub(crate) texts: Vec<String>,
    /// Close after them.
    pub(crate) close: bool,
}

impl Platform {
    /// Opens a live connection of the dialect that has this path; `None` when there is none such,
    /// `Some(None)` when there are too many connections.
    pub(crate) fn live(
        self: &Arc<Self>,
        path: &str,
        ports: Ports,
    ) -> Option<Option<LiveConnection>> {
        let mut clouds = self.clouds.iter();
        let (dialect, live) = clouds.find_map(|(name, cloud)| Some((*name, cloud.live(path)?)))?;
        Some(self.connect_live(dialect, live, ports))
    }

    /// Opens a connection of an enterprise that events are pushed to; `None` when no dialect has
    /// such, or there are too many connections.
    pub(crate) fn push(self: &Arc<Self>, ports: Ports) -> Option<LiveConnection> {
        let mut clouds = self.clouds.iter();
        let (dialect, live) = clouds.find_map(|(name, cloud)| Some((*name, cloud.push()?)))?;
        self.connect_live(dialect, live, ports)
    }

    fn connect_live(
        self: &Arc<Self>,
        dialect: &'static str,
        live: Box<dyn Live>,
        ports: Ports,
    ) -> Option<LiveConnection> {
        let ears = self.feed.enter()?;
        let desk = PlatformDesk::new(self.clone(), dialect, ports);
        Some(LiveConnection { desk, live, ears, user: None })
    }
}

impl LiveConnection {
    /// Returns how long the client may be silent.
    pub(crate) fn silence_max(&self) -> Duration {
        self.live.silence_max()
    }

    /// Takes in a text of the client.
    pub(crate) async fn hear(&mut self, text: &str) -> Said {
        let mut turn = Turn::default();
        self.live.hear(&self.desk, text, &mut turn).await;
        self.take(turn)
    }

    /// Waits for something to tell; `None` when the connection cannot go on.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        tokio::select! {
            news = self.ears.news.recv() => Some(Heard { news: news?, delivery: None }),
            push = self.ears.pushes.recv() => {
                let (number, news) = push?;
                Some(Heard { news, delivery: Some(number) })
            }
        }
    }

    /// Tells the client.
    pub(crate) async fn tell(&mut self, heard: Heard) -> Said {
        let mut turn = Turn::default();
        self.live.happened(&self.desk, &heard.news, heard.delivery, &mut turn).await;
        self.take(turn)
    }

    fn take(&mut self, turn: Turn) -> Said {
        let Turn { say, watch, join, leave, acks, user, mut close } = turn;
        let feed = &self.desk.platform.feed;
        let id = self.ears.id;
        let perform = || -> Result<(), Code> {
            if let Some(user) = user {
                feed.belongs(id, user.clone())?;
                self.user = Some(user);
            }
            if let Some(mut watches) = watch {
                watches.extend(self.user.clone().map(Watch::User));
                feed.watch(id, watches)?;
            }
            acks.into_iter().for_each(|delivery| feed.confirm(id, delivery));
            leave.iter().for_each(|name| feed.leave_queue(id, name));
            join.into_iter().try_for_each(|join| feed.join(id, join))
        };
        if let Err(code) = perform() {
            self.desk.platform.observer.count("live", code);
            let at = self.desk.now();
            tracing::debug!(%code, %at, "a live connection is closed");
            close = true;
        }
        Said { texts: say, close }
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        self.desk.platform.feed.leave(self.ears.id);
    }
}
