//! Reading speed: bytes of real logs per second on one core.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use roadstead_doctor::Doctor;

fn main() {
    divan::main();
}

/// Bytes of one round.
const ROUND_BYTES: usize = 16 * 1024 * 1024;

/// Bytes given at once, as the command does.
const PIECE_BYTES: usize = 256 * 1024;

fn read(bytes: &[u8]) {
    let mut doctor = Doctor::new();
    doctor.begin("bench.log");
    bytes.chunks(PIECE_BYTES).for_each(|piece| doctor.feed(piece));
    black_box(doctor.finish());
}

fn round(line: impl Iterator<Item = u8> + Clone) -> Vec<u8> {
    line.cycle().take(ROUND_BYTES).collect()
}

/// Each SDK's own words, nearly every line with a sign: the worst case.
#[divan::bench(sample_count = 10, args = ["alibaba/l16_ok.log", "tencent/ok-softap-bind-plain.log", "gizwits/first_boot.log", "huawei/tiny-lwm2m-01.log"])]
fn sdk_log(bencher: Bencher<'_, '_>, name: &str) {
    let path = format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    let log = round(std::fs::read(path).expect("sample").into_iter());
    bencher.counter(BytesCount::of_slice(&log)).bench(|| read(&log));
}

/// Every sample after the other: all signs of all vendors, faults and their evidence.
#[divan::bench(sample_count = 10)]
fn every_sample(bencher: Bencher<'_, '_>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut all = Vec::new();
    for vendor in ["alibaba", "gizwits", "huawei", "tencent"] {
        let files = std::fs::read_dir(format!("{folder}/{vendor}")).expect("samples");
        let mut paths: Vec<_> = files.map(|file| file.expect("sample").path()).collect();
        paths.sort();
        for path in paths {
            all.extend(std::fs::read(path).expect("sample"));
        }
    }
    let log = round(all.into_iter());
    bencher.counter(BytesCount::of_slice(&log)).bench(|| read(&log));
}

/// An application's own chatter around a few signs: what long logs are made of.
#[divan::bench(sample_count = 20)]
fn application_log(bencher: Bencher<'_, '_>) {
    let chatter = b"2026-11-21 00:41:30,752 - MainThread - sensor.py[loop] - INFO: temperature 21.5 humidity 40 battery 3.61\n";
    let log = round(chatter.iter().copied());
    bencher.counter(BytesCount::of_slice(&log)).bench(|| read(&log));
}
