//! A device as a task: the runner's loop on tokio and real sockets.

use std::future::Future;
use std::pin::pin;

use roadstead_core::{Map, Secret, Value};
use roadstead_dialects::device::{Input, Machine, Request};
use roadstead_wire::softap::Qr;
use tokio::sync::mpsc;

use crate::app::Application;
use crate::event::AgentEvent;
use crate::hal::net::{Clock, Hardware, HardwareError, Inbound, Options};
use crate::hal::{Hal as _, StoreError};
use crate::runner::Runner;

/// Orders of the handle that wait for the loop.
const ORDERS_MAX: usize = 64;

/// A device on this machine's sockets.
pub struct Agent {
    runner: Runner,
    hardware: Hardware,
    inbox: mpsc::Receiver<Inbound>,
    orders: mpsc::Receiver<Order>,
    sender: mpsc::Sender<Order>,
    observer: Box<dyn FnMut(AgentEvent) + Send>,
    clock: Clock,
}

/// What the user at the device does.
enum Order {
    Change(Map<String, Value>),
    Request(Request),
}

/// Why a device stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Its storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be built on this machine.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
}

impl AgentError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Hardware(error) => error.code(),
        }
    }
}

/// The hand at a running device.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Order>);

impl Handle {
    /// Changes properties at the device; they are reported. False when the device has stopped.
    pub async fn change(&self, properties: Map<String, Value>) -> bool {
        self.0.send(Order::Change(properties)).await.is_ok()
    }

    /// Posts an event, answers a question, unbinds, resets, or shows a QR code to the camera.
    /// False when the device has stopped.
    pub async fn request(&self, request: Request) -> bool {
        self.0.send(Order::Request(request)).await.is_ok()
    }
}

impl Agent {
    /// Returns a device that is switched off.
    ///
    /// # Errors
    ///
    /// The data directory or a certificate file is not usable.
    pub fn new(
        machine: Box<dyn Machine>,
        application: Box<dyn Application>,
        options: Options,
    ) -> Result<Self, AgentError> {
        let (hardware, inbox) = Hardware::new(options)?;
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let runner = Runner::new(machine, application);
        let observer = Box::new(|_| {});
        Ok(Self { runner, hardware, inbox, orders, sender, observer, clock: Clock::new() })
    }

    /// Calls `observer` with every event. It runs in the device's loop and must not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl FnMut(AgentEvent) + Send + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Returns a hand at the device.
    pub fn handle(&self) -> Handle {
        Handle(self.sender.clone())
    }

    /// Returns what the QR code of the device says, if its own access point takes sealed messages.
    pub fn qr(&self) -> Option<&Qr> {
        self.hardware.qr()
    }

    /// Returns a secret that the device has stored, such as its own after registration.
    ///
    /// # Errors
    ///
    /// The data directory cannot be read.
    pub fn stored(&mut self, key: &str) -> Result<Option<Secret>, AgentError> {
        let all = self.hardware.store().load()?;
        Ok(all.into_iter().find(|(known, _)| **known == *key).map(|(_, value)| value))
    }

    /// Runs the device until `shutdown` resolves; an open session is closed with a goodbye.
    ///
    /// # Errors
    ///
    /// The device cannot keep what it must keep.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
        let mut shutdown = pin!(shutdown);
        let mut events = Vec::new();
        let (now, date) = (self.clock.tick(), self.clock.date());
        self.runner.start(Some(date), now, date, &mut self.hardware, &mut events)?;
        loop {
            for event in events.drain(..) {
                self.hardware.note(&event);
                (self.observer)(event);
            }
            let deadline = self.runner.deadline().map(|(tick, _)| self.clock.instant(tick));
            let wake = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let step = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(inbound) = self.inbox.recv() => {
                    self.hardware.accept(inbound).map(Step::Input)
                }
                Some(order) = self.orders.recv() => Some(Step::Order(order)),
                () = wake => Some(Step::Input(Input::Timeout)),
            };
            let (now, date) = (self.clock.tick(), self.clock.date());
            let (runner, hardware) = (&mut self.runner, &mut self.hardware);
            match step {
                None => {}
                Some(Step::Input(input)) => {
                    runner.feed(input, now, date, hardware, &mut events)?;
                }
                Some(Step::Order(Order::Change(properties))) => {
                    runner.change(properties, now, date, hardware, &mut events)?;
                }
                Some(Step::Order(Order::Request(request))) => {
                    runner.feed(Input::App(request), now, date, hardware, &mut events)?;
                }
            }
        }
        self.hardware.close().await;
        Ok(())
    }
}

enum Step {
    Input(Input),
    Order(Order),
}
