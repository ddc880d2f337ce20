//! The only integration test binary of the workspace: the real server over real sockets.
//!
//! | module | what it shows |
//! |---|---|
//! | `journey` | a device comes home: phone, device library and platform together |
//! | `refusal` | every bad input gets its answer and its reason, and costs nobody else anything |
//! | `crash` | `kill -9` anywhere loses nothing acknowledged and leaves nothing half-done |
//! | `downlink` | messages and commands wait, leave in order and end as the device decided |
//! | `faults` | `why` names each of 60 injected faults, in the doctor's words too |
//! | `huawei` | a device of a vendor without phones: every system topic, gateway and children, the traps |
//! | `lan` | a device that speaks CoAP: phones, local control, clients from outside |
//! | `gizwits` | a module on stock clients: registers, logs in, obeys; nothing it cannot read is sent |
//! | `gizwits_open` | phone and enterprise of that vendor: open API, WebSocket, pushed events |
//! | `clients` | the vendors' published packages drive the platform |
//! | `alibaba` | one port for everything, regions, bind tokens of devices, the vendor's throttle |
//! | `child` | the server as a separate process, for `crash` |
#![allow(clippy::print_stdout, reason = "a skipped client and a seed are told")]

mod alibaba;
mod api;
mod child;
mod clients;
mod crash;
mod downlink;
mod faults;
mod gizwits;
mod gizwits_open;
mod huawei;
mod journey;
mod lan;
mod mqtt;
mod platform;
mod refusal;
