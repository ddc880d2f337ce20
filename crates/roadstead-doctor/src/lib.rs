//! From a device's log to the cause and the remedy.
//!
//! [`Doctor`] reads logs of the vendors' device SDKs in pieces of any size and gives a [`Report`]:
//! which SDK wrote it, how far each device came, what failed first, the lines that show it, what
//! to do, and what to check where the log alone cannot decide. Nothing here reads a clock, a file
//! or a network; the caller does.
//!
//! ```text
//! bytes ─ input ─> lines ─ sign ─> tracker (device × family) ─ verdict ─> report
//!                    └─ mask learns secrets ──────────────────────────────────┘
//! ```
//!
//! Add a diagnosis: a row in `catalogue/`, a row in a table of `sign/`, a sample with its
//! expectation in `samples/`.

mod automaton;
pub mod capture;
pub mod catalogue;
mod engine;
mod html;
pub mod input;
pub mod limit;
mod mask;
mod redact;
mod report;
mod sign;
mod stage;
mod text;
mod tracker;
mod verdict;

pub use engine::Doctor;
pub use report::{Device, Evidence, FileNote, Finding, Passage, Report, Severity, Status, Verdict};
pub use stage::Stage;
pub use text::{Lang, Mark, Painter};
