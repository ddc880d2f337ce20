//! One push queue: news of a product for the connections that share it.
//!
//! ```text
//! offered --> waiting --(a connection has room)--> on its way --confirmed--> gone
//!                ^---------- the connection left ------'
//! ```
//!
//! Connections take turns. Nothing is sent twice to a connection that stays; what a connection
//! leaves unconfirmed goes back in its old place. The queue lives as long as the server runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roadstead_dialects::cloud::News;
use tokio::sync::mpsc;

/// News that wait in one queue; the oldest goes when there is one more.
const WAITING_MAX: usize = 10_000;
/// News on their way to one connection, whatever it asks for.
const WINDOW_MAX: u16 = 1000;

/// News on their way: a number, and what happened.
pub(super) type Delivery = (u64, Arc<News>);

/// One queue.
#[derive(Default)]
pub(super) struct Queue {
    /// Kinds that are kept; as the last connection wanted.
    kinds: Vec<Box<str>>,
    waiting: VecDeque<Delivery>,
    members: Vec<Member>,
    turn: usize,
}

struct Member {
    id: u64,
    window: usize,
    on_way: BTreeMap<u64, Arc<News>>,
    pushes: mpsc::UnboundedSender<Delivery>,
}

impl Queue {
    /// Lets a connection take part; joining again changes its window.
    pub(super) fn join(
        &mut self,
        id: u64,
        window: u16,
        kinds: Vec<Box<str>>,
        pushes: mpsc::UnboundedSender<Delivery>,
    ) {
        self.kinds = kinds;
        let window = usize::from(window.clamp(1, WINDOW_MAX));
        match self.members.iter_mut().find(|member| member.id == id) {
            Some(member) => member.window = window,
            None => self.members.push(Member { id, window, on_way: BTreeMap::new(), pushes }),
        }
        self.dispatch();
    }

    /// Takes a connection out; what it had not confirmed waits again, in order.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(at) = self.members.iter().position(|member| member.id == id) else { return };
        let mut back = self.members.remove(at).on_way;
        back.extend(self.waiting.drain(..));
        self.waiting = back.into_iter().collect();
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
        }
        self.dispatch();
    }

    /// Takes news in if the queue keeps that kind; true when something older was lost for it.
    pub(super) fn offer(&mut self, next: &mut u64, kind: &str, news: &Arc<News>) -> bool {
        if !self.kinds.iter().any(|wanted| **wanted == *kind) {
            return false;
        }
        *next += 1;
        self.waiting.push_back((*next, news.clone()));
        self.dispatch();
        let is_full = self.waiting.len() > WAITING_MAX;
        if is_full {
            self.waiting.pop_front();
        }
        is_full
    }

    /// Forgets a delivery; false when it was not that connection's.
    pub(super) fn confirm(&mut self, id: u64, delivery: u64) -> bool {
        let member = self.members.iter_mut().find(|member| member.id == id);
        let known = member.is_some_and(|member| member.on_way.remove(&delivery).is_some());
        if known {
            self.dispatch();
        }
        known
    }

    /// Sends what waits to connections with room, in turn.
    fn dispatch(&mut self) {
        while let Some((number, news)) = self.waiting.front() {
            let count = self.members.len();
            let turns = (0..count).map(|n| (self.turn + n) % count);
            let has_room = |at: &usize| {
                let member = &self.members[*at];
                member.on_way.len() < member.window && !member.pushes.is_closed()
            };
            let Some(at) = turns.into_iter().find(has_room) else { return };
            let delivery = (*number, news.clone());
            self.waiting.pop_front();
            self.turn = (at + 1) % count;
            let member = &mut self.members[at];
            member.on_way.insert(delivery.0, delivery.1.clone());
            // A connection that has just ended leaves, and it comes back then.
            drop(member.pushes.send(delivery));
        }
    }
}

#[cfg(test)]
mod tests {
    use roadstead_core::Timestamp;
    use roadstead_dialects::cloud::Happening;

    use super::super::tests::World;
    use super::*;

    struct Bench {
        queue: Queue,
        next: u64,
        news: Arc<News>,
    }

    impl Bench {
        async fn new() -> Self {
            let world = World::new().await;
            let account = world.account().await;
            let news = News { at: Timestamp(1), account, what: Happening::Offline };
            Self { queue: Queue::default(), next: 0, news: Arc::new(news) }
        }

        fn offer(&mut self, count: usize) -> usize {
            let mut lost = 0;
            for _ in 0..count {
                lost += usize::from(self.queue.offer(&mut self.next, "off", &self.news));
            }
            lost
        }

        fn join(&mut self, id: u64, window: u16) -> mpsc::UnboundedReceiver<Delivery> {
            let (pushes, ears) = mpsc::unbounded_channel();
            self.queue.join(id, window, vec!["off".into()], pushes);
            ears
        }
    }

    fn numbers(ears: &mut mpsc::UnboundedReceiver<Delivery>) -> Vec<u64> {
        std::iter::from_fn(|| ears.try_recv().ok()).map(|delivery| delivery.0).collect()
    }

    #[tokio::test]
    async fn connections_take_turns_within_their_windows() {
        let mut bench = Bench::new().await;
        assert_eq!(bench.offer(1), 0, "a queue without a member keeps nothing yet");
        let (mut one, mut two) = (bench.join(1, 2), bench.join(2, 9));
        bench.offer(6);
        assert_eq!(numbers(&mut one), [1, 3]);
        assert_eq!(numbers(&mut two), [2, 4, 5, 6]);
        assert!(!bench.queue.confirm(2, 1), "not its delivery");
        assert!(bench.queue.confirm(1, 1));
        assert!(!bench.queue.confirm(1, 1), "twice");
        bench.offer(2);
        assert_eq!((numbers(&mut one), numbers(&mut two)), (vec![7], vec![8]));
    }

    #[tokio::test]
    async fn what_is_not_confirmed_comes_again_after_a_disconnection_only() {
        let mut bench = Bench::new().await;
        let mut one = bench.join(1, 3);
        bench.offer(5);
        assert_eq!(numbers(&mut one), [1, 2, 3]);
        bench.queue.confirm(1, 2);
        assert_eq!(numbers(&mut one), [4]);
        bench.queue.leave(1);
        bench.offer(1);
        let mut two = bench.join(2, 10);
        assert_eq!(numbers(&mut two), [1, 3, 4, 5, 6], "in the old order");
    }

    #[tokio::test]
    async fn a_queue_without_its_connections_is_kept_and_bounded() {
        let mut bench = Bench::new().await;
        drop(bench.join(1, 1));
        bench.queue.leave(1);
        assert_eq!(bench.offer(WAITING_MAX), 0);
        assert_eq!(bench.offer(2), 2, "the oldest go");
        let mut two = bench.join(2, u16::MAX);
        let first = numbers(&mut two);
        assert_eq!((first.len(), first.first()), (usize::from(WINDOW_MAX), Some(&3)));
    }

    #[tokio::test]
    async fn only_the_kinds_that_are_wanted_are_kept() {
        let mut bench = Bench::new().await;
        let mut one = bench.join(1, 9);
        let news = bench.news.clone();
        bench.queue.offer(&mut bench.next, "on", &news);
        bench.offer(1);
        assert_eq!(numbers(&mut one), [1]);
    }
}
