//! The laboratory: a phone configures a module over a lossy air, in virtual time.
//!
//! Both parties are the real machines, the MCU is the virtual one; the radio is invented: it
//! loses datagrams, and joining fails as often. What is measured is the seed's demand of 99 %
//! (seed §6.1_2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::{Code, Tick};

use super::app::{Onboard, OnboardInput, OnboardOutput, OnboardPolicy, OnboardTask};
use super::mcu::{self, Mcu, Panel};
use super::module::{Config, Input, Module, Network, Outbox, Output, Policy, RadioEvent};
use crate::device::Random;

/// Time an air takes for a datagram.
const AIR: u64 = 3;
/// Time a phone takes to change networks.
const CHANGE: u64 = 3_000;
/// Time a module takes to join, or to fail.
const JOIN: u64 = 2_000;
/// Time a module takes from reset to its first instruction.
const BOOT: u64 = 300;
/// A run ends after this long at the latest.
const RUN_MAX: u64 = 300_000;
const SSID: &[u8] = b"Office";
const PASSWORD: &str = "office-key";
const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Time until the phone knew, or gave up.
    pub ms: u64,
    /// `None` for success; the phone's code otherwise.
    pub failure: Option<Code>,
    /// Datagrams that were lost.
    pub lost: u32,
}

/// Configures one module; `loss` is the share of lost datagrams and failed joins, 0 to 1.
pub fn run(policy: &Policy, loss: f64, seed: u64) -> Run {
    World::new(policy.clone(), loss, seed).run()
}

enum Due {
    Power,
    Module(RadioEvent),
    Scanned,
    Udp(Vec<u8>),
    Serial(Vec<u8>),
    McuSerial(Vec<u8>),
    Phone(Option<Vec<u8>>, Where),
    Home,
}

/// Which network a phone is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Nowhere,
    AtModule,
    Home,
}

#[derive(Default)]
struct Hardware {
    todo: Vec<Todo>,
    flash: Vec<u8>,
}

enum Todo {
    Serial(Vec<u8>),
    OpenAp,
    CloseAp,
    Join,
    Scan,
    ToPhone(Vec<u8>),
    Restart,
}

impl Outbox for Hardware {
    fn put(&mut self, output: Output<'_>) {
        let todo = match output {
            Output::Serial(bytes) => Todo::Serial(bytes.to_vec()),
            Output::OpenAp { .. } => Todo::OpenAp,
            Output::Join { .. } => Todo::Join,
            Output::RadioOff | Output::Monitor(_) => Todo::CloseAp,
            Output::Scan => Todo::Scan,
            Output::Udp { bytes, .. } | Output::Broadcast(bytes) => Todo::ToPhone(bytes.to_vec()),
            Output::Restart(_) => Todo::Restart,
            // The run ends before the cloud begins.
            Output::Serve { .. }
            | Output::Tcp { .. }
            | Output::CloseTcp(_)
            | Output::Resolve { .. }
            | Output::Http { .. }
            | Output::M2m(_)
            | Output::Leds(_)
            | Output::Install { .. }
            | Output::Watchdog
            | Output::Log { .. }
            | Output::Event(_) => return,
        };
        self.todo.push(todo);
    }

    fn save(&mut self, record: &[u8]) -> bool {
        self.flash = record.to_vec();
        true
    }
}

struct World {
    module: Module,
    hardware: Hardware,
    mcu: Mcu,
    phone: Option<Onboard>,
    place: Where,
    /// Where the module is.
    air: Where,
    now: Tick,
    due: BTreeMap<(Tick, u64), Due>,
    count: u64,
    dice: Random,
    loss: u64,
    lost: u32,
    end: Option<Option<Code>>,
}

impl World {
    fn new(policy: Policy, loss: f64, seed: u64) -> Self {
        let task = OnboardTask { ssid: SSID.into(), password: PASSWORD.into(), mac: None };
        let mut world = Self {
            module: Module::new(Config::new([2, 0x47, 0x49, 0x5A, 0, 1]), policy),
            hardware: Hardware::default(),
            mcu: Mcu::new(KEY, Panel::pet_house()),
            phone: Onboard::new(task, OnboardPolicy::default()).ok(),
            place: Where::Nowhere,
            air: Where::Nowhere,
            now: Tick::ZERO,
            due: BTreeMap::new(),
            count: 0,
            dice: Random::new(seed),
            loss: (loss.clamp(0.0, 1.0) * 10_000.0) as u64,
            lost: 0,
            end: None,
        };
        world.after(0, Due::Power);
        // The owner sees the access point and joins it.
        world.after(CHANGE, Due::Phone(None, Where::AtModule));
        world
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.due.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    fn is_lost(&mut self) -> bool {
        let lost = self.dice.below(10_000) < self.loss;
        self.lost += u32::from(lost);
        lost
    }

    fn run(mut self) -> Run {
        while self.end.is_none() && self.now.as_millis() < RUN_MAX {
            let due = self.due.first_key_value().map(|((tick, _), _)| *tick);
            let module = self.module.deadline().map(|(tick, _)| tick);
            let mcu = self.mcu.deadline();
            let phone = self.phone.as_ref().and_then(Onboard::deadline);
            let Some(next) = [due, module, mcu, phone].into_iter().flatten().min() else { break };
            self.now = self.now.max(next);
            if due == Some(next) {
                if let Some((_, due)) = self.due.pop_first() {
                    self.happen(due);
                }
            } else if module == Some(next) {
                self.feed(Input::Timeout);
            } else if mcu == Some(next) {
                self.feed_mcu(mcu::Input::Timeout);
            } else {
                self.feed_phone(OnboardInput::Timeout);
            }
        }
        let failure = self.end.unwrap_or(Some("attempt.never_connected"));
        Run { ms: self.now.as_millis(), failure, lost: self.lost }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Power => {
                let mut entropy = [0; 32];
                entropy.fill_with(|| self.dice.bits() as u8);
                let flash = core::mem::take(&mut self.hardware.flash);
                self.hardware.flash.clone_from(&flash);
                self.feed(Input::Start { flash: &flash, entropy, date: None });
            }
            Due::Module(event) => {
                self.air = match event {
                    RadioEvent::ApStarted => Where::AtModule,
                    RadioEvent::Joined(_) => Where::Home,
                    RadioEvent::ApFailed | RadioEvent::JoinFailed(_) | RadioEvent::Lost => {
                        Where::Nowhere
                    }
                };
                self.feed(Input::Radio(event));
            }
            Due::Scanned => {
                let networks = [Network { ssid: SSID.to_vec(), power: 70 }];
                self.feed(Input::Scanned(&networks));
            }
            Due::Udp(bytes) => {
                let from = ([10, 10, 100, 2], 40_001).into();
                self.feed(Input::Udp { from, bytes: &bytes });
            }
            Due::Serial(bytes) => self.feed(Input::Serial(&bytes)),
            Due::McuSerial(bytes) => self.feed_mcu(mcu::Input::Serial(&bytes)),
            Due::Phone(None, place) => {
                if self.air == Where::AtModule {
                    self.place = place;
                    self.feed_phone(OnboardInput::InModuleNetwork);
                } else {
                    self.after(1_000, Due::Phone(None, place));
                }
            }
            Due::Phone(Some(bytes), place) => {
                if self.place == place {
                    self.feed_phone(OnboardInput::Datagram(&bytes));
                }
            }
            Due::Home => {
                self.place = Where::Home;
                self.feed_phone(OnboardInput::Home);
            }
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.module.handle(input, self.now, &mut self.hardware);
        for todo in core::mem::take(&mut self.hardware.todo) {
            self.perform(todo);
        }
    }

    fn perform(&mut self, todo: Todo) {
        match todo {
            Todo::Serial(bytes) => self.after(1, Due::McuSerial(bytes)),
            Todo::OpenAp => self.after(JOIN, Due::Module(RadioEvent::ApStarted)),
            Todo::CloseAp => self.leave_air(),
            Todo::Join => {
                self.leave_air();
                let event = match self.is_lost() {
                    true => RadioEvent::JoinFailed(1),
                    false => RadioEvent::Joined([192, 168, 1, 23].into()),
                };
                self.after(JOIN, Due::Module(event));
            }
            Todo::Scan => self.after(0, Due::Scanned),
            Todo::ToPhone(bytes) => {
                if !self.is_lost() {
                    let air = self.air;
                    self.after(AIR, Due::Phone(Some(bytes), air));
                }
            }
            Todo::Restart => {
                self.leave_air();
                self.due.retain(|_, due| matches!(due, Due::Phone(..) | Due::Home));
                self.after(BOOT, Due::Power);
            }
        }
    }

    /// The module's network is gone, and whoever was in it notices.
    fn leave_air(&mut self) {
        self.air = Where::Nowhere;
        if self.place == Where::AtModule {
            self.place = Where::Nowhere;
            self.feed_phone(OnboardInput::NetworkLost);
        }
    }

    fn feed_mcu(&mut self, input: mcu::Input<'_>) {
        let mut wire = Vec::new();
        self.mcu.handle(input, self.now, &mut |output| {
            if let mcu::Output::Serial(bytes) = output {
                wire.push(bytes.to_vec());
            }
        });
        for bytes in wire {
            self.after(1, Due::Serial(bytes));
        }
    }

    fn feed_phone(&mut self, input: OnboardInput<'_>) {
        let Some(phone) = &mut self.phone else { return };
        let mut out = Vec::new();
        phone.handle(input, self.now, &mut out);
        for output in out {
            match output {
                OnboardOutput::Tell(bytes) => self.send_to(Where::AtModule, bytes),
                OnboardOutput::Broadcast(bytes) => self.send_to(Where::Home, bytes),
                OnboardOutput::GoHome => {
                    self.place = Where::Nowhere;
                    self.after(CHANGE, Due::Home);
                }
                OnboardOutput::Done(_) => self.end = Some(None),
                OnboardOutput::Failed(code, _) => self.end = Some(Some(code)),
            }
        }
    }

    fn send_to(&mut self, place: Where, bytes: Vec<u8>) {
        if self.air == place && !self.is_lost() {
            self.after(AIR, Due::Udp(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_succeeds_in_99_of_100_runs_at_ten_percent_loss() {
        for policy in [Policy::document(), Policy::firmware()] {
            let runs: Vec<Run> = (0..1000).map(|seed| run(&policy, 0.10, seed)).collect();
            let good = runs.iter().filter(|run| run.failure.is_none()).count();
            assert!(good >= 990, "{good} of 1000");
            assert!(runs.iter().any(|run| run.lost > 0));
        }
    }

    #[test]
    fn a_dead_air_fails_with_a_reason() {
        let run = run(&Policy::document(), 1.0, 1);
        assert_eq!(run.failure, Some("attempt.device_silent"));
    }
}
