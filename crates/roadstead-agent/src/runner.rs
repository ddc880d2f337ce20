//! The driver of one device: machine, application and hardware abstraction, step by step.
//!
//! It is not a loop: the caller waits for inputs and for the deadline, in whatever way its
//! platform has.

use roadstead_core::{Tick, Timestamp};
use roadstead_dialects::device::{Event, Input, Machine, Output, Request};

use crate::app::Application;
use crate::event::AgentEvent;
use crate::hal::{Hal, StoreError};

/// One device.
pub struct Runner {
    machine: Box<dyn Machine>,
    application: Box<dyn Application>,
}

impl Runner {
    /// Returns a device that is switched off.
    pub fn new(machine: Box<dyn Machine>, application: Box<dyn Application>) -> Self {
        Self { machine, application }
    }

    /// Power on: feeds the machine what is stored. `date` is for the events; `clock` is the date
    /// the device itself may know.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written; the device must stop.
    pub fn start(
        &mut self,
        clock: Option<Timestamp>,
        now: Tick,
        date: Timestamp,
        hal: &mut dyn Hal,
        events: &mut Vec<AgentEvent>,
    ) -> Result<(), StoreError> {
        let stored = hal.store().load()?;
        self.feed(Input::Start { stored, clock }, now, date, hal, events)
    }

    /// Feeds one input and performs all work it causes, answers of the application included.
    ///
    /// # Errors
    ///
    /// The store cannot be written: the device must stop before it says what it cannot keep.
    pub fn feed(
        &mut self,
        input: Input,
        now: Tick,
        date: Timestamp,
        hal: &mut dyn Hal,
        events: &mut Vec<AgentEvent>,
    ) -> Result<(), StoreError> {
        let mut requests = Vec::new();
        self.step(input, now, date, hal, events, &mut requests)?;
        self.perform_requests(requests, now, date, hal, events)
    }

    /// The user at the device changed properties: the application decides what is reported.
    ///
    /// # Errors
    ///
    /// As [`Self::feed`].
    pub fn change(
        &mut self,
        properties: roadstead_core::Map<String, roadstead_core::Value>,
        now: Tick,
        date: Timestamp,
        hal: &mut dyn Hal,
        events: &mut Vec<AgentEvent>,
    ) -> Result<(), StoreError> {
        let mut requests = Vec::new();
        self.application.change(properties, &mut requests);
        self.perform_requests(requests, now, date, hal, events)
    }

    /// Returns when [`Input::Timeout`] is due, and why.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.machine.deadline()
    }

    fn perform_requests(
        &mut self,
        mut requests: Vec<Request>,
        now: Tick,
        date: Timestamp,
        hal: &mut dyn Hal,
        events: &mut Vec<AgentEvent>,
    ) -> Result<(), StoreError> {
        while !requests.is_empty() {
            let mut more = Vec::new();
            for request in requests {
                self.step(Input::App(request), now, date, hal, events, &mut more)?;
            }
            requests = more;
        }
        Ok(())
    }

    fn step(
        &mut self,
        input: Input,
        now: Tick,
        date: Timestamp,
        hal: &mut dyn Hal,
        events: &mut Vec<AgentEvent>,
        requests: &mut Vec<Request>,
    ) -> Result<(), StoreError> {
        let mut out = Vec::new();
        self.machine.handle(input, now, &mut out);
        for output in out {
            match output {
                Output::Wifi(action) => hal.wifi().perform(action),
                Output::Udp(action) => hal.net().udp(action),
                Output::Http(call) => hal.net().http(call),
                Output::Mqtt(action) => hal.net().mqtt(action),
                Output::Store { key, value } => hal.store().put(key, value.as_ref())?,
                Output::Stage { stage, detail } => {
                    events.push(AgentEvent::of_stage(date, stage, detail));
                }
                Output::Failed { code, detail } => {
                    events.push(AgentEvent::of_failure(date, code, detail));
                }
                Output::App(event) => {
                    self.tell(&event, requests);
                    events.push(AgentEvent::of_application(date, &event));
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event, requests: &mut Vec<Request>) {
        self.application.handle(event, requests);
    }
}
