//! A GizWits module forwards without allocating, measured with a counting allocator.
//!
//! A test binary of its own, because the allocator is global. It counts per thread.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the sink counts some outputs only")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use roadstead_core::{Tick, Timestamp};
use roadstead_dialects::gizwits::lan::{Message, TCP_PORT};
use roadstead_dialects::gizwits::mcu::{Mcu, Panel};
use roadstead_dialects::gizwits::module::{
    Config, Flash, Input, M2mAction, M2mEvent, Module, Outbox, Output, Policy, RadioEvent, TcpEvent,
};
use roadstead_dialects::gizwits::serial::{Frame, encode};
use roadstead_wire::http::Head;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: forwards to the system allocator unchanged and only counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above with the same layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const DID: &str = "GzwDemo0123456789ABCDE";
const PASSCODE: &str = "ABCDEFGHJK";
const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";

/// Counts what the module does; keeps only what the test must answer.
#[derive(Default)]
struct Sink {
    serial: usize,
    tcp: usize,
    publishes: usize,
    http: Option<u32>,
    is_connecting: bool,
    is_subscribing: bool,
    resolves: Option<roadstead_dialects::gizwits::module::Name>,
    joins: bool,
    last_sn: u8,
}

impl Outbox for Sink {
    fn put(&mut self, output: Output<'_>) {
        match output {
            Output::Serial(bytes) => {
                self.serial += 1;
                self.last_sn = bytes.get(5).copied().unwrap_or_default();
            }
            Output::Tcp { .. } => self.tcp += 1,
            Output::M2m(M2mAction::Publish { .. }) => self.publishes += 1,
            Output::M2m(M2mAction::Connect { .. }) => self.is_connecting = true,
            Output::M2m(M2mAction::Subscribe(_)) => self.is_subscribing = true,
            Output::Http { id, .. } => self.http = Some(id),
            Output::Resolve { name, .. } => self.resolves = Some(name),
            Output::Join { .. } => self.joins = true,
            _ => {}
        }
    }

    fn save(&mut self, _record: &[u8]) -> bool {
        true
    }
}

fn wire(cmd: u8, sn: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&Frame { cmd, sn, flags: 0, payload }, &mut out);
    out
}

fn lan(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.emit(&mut out);
    out
}

/// A module in the cloud, with two phones.
fn running(sink: &mut Sink) -> Module {
    let flash = Flash {
        did: DID.into(),
        passcode: Some(PASSCODE.into()),
        product_key: KEY.into(),
        network: Some((b"Office"[..].into(), "key".into())),
        ..Flash::default()
    };
    let mut module = Module::new(Config::new([2, 0, 0, 0, 0, 1]), Policy::document());
    let flash = flash.store();
    let date = Some(Timestamp(1_795_221_233_000));
    module.handle(Input::Start { flash: &flash, entropy: [7; 32], date }, Tick::ZERO, sink);
    let mut info = Vec::new();
    Mcu::new(KEY, Panel::pet_house()).info().emit(&mut info);
    module.handle(Input::Serial(&wire(2, 0, &info)), Tick::ZERO, sink);
    for turn in 0..50 {
        let now = Tick::from_millis(turn);
        let ack = wire(0x0E, sink.last_sn, &[]);
        module.handle(Input::Serial(&ack), now, sink);
        if std::mem::take(&mut sink.joins) {
            let joined = RadioEvent::Joined([127, 0, 0, 1].into());
            module.handle(Input::Radio(joined), now, sink);
        }
        if let Some(name) = sink.resolves.take() {
            let address = Ok([127, 0, 0, 1].into());
            module.handle(Input::Resolved { name, address }, now, sink);
        }
        if let Some(id) = sink.http.take() {
            // The first answer is the provision, the others are firmware checks.
            let place = b"host=127.0.0.1&port=1883&server_ts=1795221233&";
            let head = Head { status: 200, headers: Vec::new(), length: None };
            module.handle(Input::Http { id, result: Ok((&head, place)) }, now, sink);
        }
        if std::mem::take(&mut sink.is_connecting) {
            module.handle(Input::M2m(M2mEvent::Connected), now, sink);
        }
        if std::mem::take(&mut sink.is_subscribing) {
            module.handle(Input::M2m(M2mEvent::Subscribed(true)), now, sink);
        }
    }
    assert!(module.status().cloud, "in the cloud");
    for conn in 0..2 {
        let now = Tick::from_millis(100);
        let opened = TcpEvent::Opened(TCP_PORT);
        module.handle(Input::Tcp { conn, event: opened }, now, sink);
        let login = lan(&Message::Login(PASSCODE.as_bytes()));
        module.handle(Input::Tcp { conn, event: TcpEvent::Data(&login) }, now, sink);
    }
    let ack = wire(0x0E, sink.last_sn, &[]);
    module.handle(Input::Serial(&ack), Tick::from_millis(101), sink);
    assert!(module.status().app);
    module
}

#[test]
fn forwarding_allocates_nothing() {
    let mut sink = Sink::default();
    let mut module = running(&mut sink);
    let control = lan(&Message::ControlSn { sn: 7, p0: &[1, 1, 1, 0, 0, 0, 0] });
    let read = lan(&Message::Control(&[2]));
    let topic = format!("app2dev/{DID}/usr4567890123456789012");
    let reports: Vec<Vec<u8>> =
        (0..=255).map(|sn| wire(5, sn, &[4, 0xFF, 0x55, 3, 4, 5, 6, 7, 8, 9, sn])).collect();
    let acks: Vec<Vec<u8>> = (0..=255).map(|sn| wire(4, sn, &[])).collect();
    let round = |n: u64, module: &mut Module, sink: &mut Sink| {
        let now = Tick::from_millis(200) + Duration::from_millis(n);
        let questions = [
            Input::Tcp { conn: 0, event: TcpEvent::Data(&control) },
            Input::Tcp { conn: 1, event: TcpEvent::Data(&read) },
            Input::M2m(M2mEvent::Message { topic: &topic, payload: &control }),
        ];
        for question in questions {
            module.handle(question, now, sink);
            module.handle(Input::Serial(&acks[usize::from(sink.last_sn)]), now, sink);
        }
        module.handle(Input::Serial(&reports[n as usize % 256]), now, sink);
    };
    // Every peer is heard once.
    for n in 0..4 {
        round(n, &mut module, &mut sink);
    }
    let (before, sink_before) = (ALLOCATIONS.get(), (sink.serial, sink.tcp, sink.publishes));
    for n in 4..1004 {
        round(n, &mut module, &mut sink);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "1000 rounds of four frames each way");
    // Each round: three questions and one acknowledgement to the MCU; the two numbered answers,
    // the read's, and the report to two phones; the report and an answer to the cloud.
    let done =
        (sink.serial - sink_before.0, sink.tcp - sink_before.1, sink.publishes - sink_before.2);
    assert_eq!(done, (4 * 1000, 4 * 1000, 2 * 1000));
}
