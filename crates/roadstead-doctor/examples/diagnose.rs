//! Diagnoses one log from standard input and prints the JSON answer: the smallest use of the
//! library.

use std::io::{Read as _, Write as _};

use roadstead_doctor::Doctor;

fn main() -> std::io::Result<()> {
    let mut doctor = Doctor::new();
    doctor.begin("stdin");
    let mut piece = vec![0; 64 * 1024];
    let mut input = std::io::stdin().lock();
    loop {
        let count = input.read(&mut piece)?;
        if count == 0 {
            break;
        }
        doctor.feed(&piece[..count]);
    }
    writeln!(std::io::stdout(), "{:#}", doctor.finish().to_json())
}
