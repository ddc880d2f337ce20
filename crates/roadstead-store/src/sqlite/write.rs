//! From a port method to the writer and back.

use roadstead_core::port::StoreError;
use tokio::sync::oneshot;

use super::Sqlite;
use super::error::engine;
use super::writer::{Job, Task, Tx};

/// What a job without a payload of note counts against the queue, bytes.
const JOB_BYTES: usize = 512;

impl Sqlite {
    /// Runs statements inside a group; all of them count or none.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(JOB_BYTES, true, run).await
    }

    /// Same for a single statement, which needs no savepoint.
    pub(super) async fn write_one<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(JOB_BYTES, false, run).await
    }

    /// Same with the bytes that count against the queue.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        savepoint: bool,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call { savepoint, run: Some(run), outcome: None, reply };
        self.put(bytes, Job::Task(Box::new(call)))?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Puts a job into the queue.
    pub(super) fn put(&self, bytes: usize, job: Job) -> Result<(), StoreError> {
        self.shared.queue.put(bytes, job)
    }
}

/// The failure of a job that the writer did not live to answer.
pub(super) fn stopped() -> StoreError {
    engine("writing", &"the writer has stopped")
}

struct Call<T, F> {
    savepoint: bool,
    run: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Task for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn savepoint(&self) -> bool {
        self.savepoint
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(run) = self.run.take() else { return false };
        self.outcome.insert(run(tx)).is_ok()
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        let answer = committed.and_then(|()| outcome.unwrap_or_else(|| Err(stopped())));
        let _ = reply.send(answer);
    }
}
