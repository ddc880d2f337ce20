//! What a phone saw on the way, told to its observer at once and to the platform when it is in
//! reach: in the device's own network it is not.

use std::time::{SystemTime, UNIX_EPOCH};

use roadstead_core::Timestamp;
use roadstead_core::attempt::Stage;

use crate::api::{Client, Facts, Mark};
use crate::{AppError, Event};

/// The journal of one attempt.
pub(crate) struct Journal<'a> {
    client: &'a Client,
    attempt: String,
    /// Stages that the platform has not been told.
    marks: Vec<Mark>,
    facts: Facts,
    observer: &'a mut dyn FnMut(Event),
}

impl<'a> Journal<'a> {
    /// Opens a journal.
    pub(crate) fn open(
        client: &'a Client,
        attempt: String,
        method: &str,
        observer: &'a mut dyn FnMut(Event),
    ) -> Self {
        let facts = Facts { method: Some(method.into()), ..Facts::default() };
        Self { client, attempt, marks: Vec::new(), facts, observer }
    }

    /// Notes which device it is.
    pub(crate) fn is_about(&mut self, product: String, device: String) {
        self.facts.product = Some(product);
        self.facts.device = Some(device);
    }

    /// Tells the observer alone.
    pub(crate) fn tell(&mut self, event: Event) {
        (self.observer)(event);
    }

    /// Notes a stage.
    pub(crate) fn mark(&mut self, stage: Stage, detail: Option<String>) {
        let at = date();
        let time_ms = at.as_millis();
        self.tell(Event::Stage { stage, time_ms, detail: detail.clone() });
        self.marks.push(Mark { stage, at, detail });
    }

    /// Tells the platform the stages it does not know yet; they wait while it is out of reach.
    pub(crate) async fn report(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        match self.client.report_stages(&self.attempt, &self.marks, &self.facts).await {
            Ok(()) => self.marks.clear(),
            Err(error) => tracing::debug!(code = error.code(), "stages wait"),
        }
    }

    /// Tells the platform the rest, and the reason when the attempt failed.
    pub(crate) async fn close(&mut self, error: Option<&AppError>) {
        self.report().await;
        let Some(error) = error else { return };
        let told = self.client.report_failure(&self.attempt, error.code(), &words(error)).await;
        if let Err(lost) = told {
            tracing::warn!(code = lost.code(), "the platform was not told the reason");
        }
    }
}

fn words(error: &AppError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn date() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as i64)
}
