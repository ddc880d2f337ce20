//! A receiver allocates when it is made and when it has a message, never per frame; and what it
//! holds fits into 16 kB.
#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use roadstead_wire::airlink::air::{Air, Dice, Weather, noise};
use roadstead_wire::airlink::{Event, Frame, Hopper, Keys, Mac, Plan, Request, Scheme};

/// The system's allocator; counts what each thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes asked for and not given back.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: everything is the system's allocator's; counting in a const-initialised thread local
// without a destructor allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `dealloc`; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SECRET: &[u8] = b"a1ProductSecretA1";

fn hopper() -> Hopper {
    listening(&Scheme::ALL)
}

fn listening(schemes: &[Scheme]) -> Hopper {
    let keys = Keys { product_secret: Some(SECRET.to_vec()), ..Keys::default() };
    let plan = Plan { channels: vec![6], ..Plan::default() };
    Hopper::new(plan, schemes, &keys, Duration::ZERO)
}

fn request(scheme: Scheme) -> Request<'static> {
    Request {
        ssid: b"TP-LINK_2F3A",
        password: b"12345678",
        bssid: Mac([2, 0, 0, 0, 0, 1]),
        phone_ip: [192, 168, 1, 100],
        phone_mac: Mac([2, 0, 0, 0, 0, 2]),
        key: (scheme == Scheme::SmartConfig).then_some(SECRET),
        extra: &[],
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random: [7; 20],
    }
}

/// Feeds frames up to the first message; returns how many there were and the allocations among
/// those that were no message.
fn feed(frames: &[Frame]) -> (usize, usize, bool) {
    let mut hopper = hopper();
    let mut allocations = 0;
    for (n, frame) in frames.iter().enumerate() {
        let before = COUNT.get();
        let said = hopper.hear(frame);
        let spent = COUNT.get() - before;
        if matches!(said, Some((_, Event::Complete(_)))) {
            return (n, allocations, true);
        }
        allocations += spent;
    }
    (frames.len(), allocations, false)
}

#[test]
fn the_count_counts() {
    let before = COUNT.get();
    let _ = std::hint::black_box(Box::new(7));
    assert!(COUNT.get() > before);
}

#[test]
fn noise_allocates_nothing() {
    let mut dice = Dice::new(1);
    let frames: Vec<Frame> = (0..50_000).map(|n| noise(&mut dice, n * 200, 6)).collect();
    assert_eq!(feed(&frames), (50_000, 0, false));
}

#[test]
fn a_sender_allocates_nothing_until_its_message_is_whole() {
    for scheme in Scheme::ALL {
        let request = request(scheme);
        let round = scheme.encode(&request).expect("the request fits");
        let weather = Weather { loss: 0.4, ..Weather::default() };
        let air = Air::new(&round, weather, request.phone_mac, request.bssid, 1);
        let frames: Vec<Frame> = air.take(20_000).collect();
        let (heard, allocations, found) = feed(&frames);
        assert!(found && heard > 20, "{scheme}: {heard}");
        assert_eq!(allocations, 0, "{scheme}");
    }
}

/// Everything a receiver holds, heap and table of talkers included, before, while and after it
/// hears senders at 40 % loss among foreign traffic.
#[test]
fn a_receiver_holds_at_most_16_kilobytes() {
    for scheme in Scheme::ALL {
        let request = request(scheme);
        let round = scheme.encode(&request).expect("the request fits");
        let weather = Weather { loss: 0.4, foreign: 1.0, ..Weather::default() };
        let frames: Vec<Frame> =
            Air::new(&round, weather, request.phone_mac, request.bssid, 1).take(20_000).collect();
        let before = LIVE.get();
        let mut hopper = listening(&[scheme]);
        let mut most = LIVE.get() - before;
        for frame in &frames {
            drop(hopper.hear(frame));
            most = most.max(LIVE.get() - before);
        }
        let bytes = most as usize + size_of::<Hopper>();
        println!("{scheme}: {bytes} bytes");
        assert!(bytes <= 16_000, "{scheme}: {bytes} bytes");
    }
}
