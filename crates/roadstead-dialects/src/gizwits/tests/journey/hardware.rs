//! The hardware of a journey's module: notes what it is told to do; the world does it afterwards.

use std::string::{String, ToString as _};
use std::vec::Vec;

use super::world::{PASSWORD, SSID};
use crate::gizwits::module::{ConnId, M2mAction, Name, Outbox, Output};

/// From the module to the M2M server.
pub(super) enum Up {
    Connect(String, Vec<u8>),
    Subscribe(String),
    Publish(String, Vec<u8>),
    Ping,
    Closed,
}

/// Work of the module that the world performs after the module has finished a step.
pub(super) enum Todo {
    Serial(Vec<u8>),
    OpenAp,
    RadioOff,
    Join,
    Scan,
    Serve(bool),
    Datagram(Vec<u8>),
    Tcp(ConnId, Vec<u8>),
    CloseTcp(ConnId),
    Resolve(Name),
    Http(u32, String),
    Connect(String, Vec<u8>),
    Cloud(Up),
    Install,
    Restart,
}

#[derive(Default)]
pub(super) struct Hardware {
    pub(super) todo: Vec<Todo>,
    pub(super) flash: Vec<u8>,
    pub(super) log: Vec<String>,
}

impl Outbox for Hardware {
    fn put(&mut self, output: Output<'_>) {
        let todo = match output {
            Output::Serial(bytes) => Todo::Serial(bytes.to_vec()),
            Output::OpenAp { .. } => Todo::OpenAp,
            Output::Join { ssid, password } => {
                assert_eq!((ssid, password), (SSID, PASSWORD.as_bytes()));
                Todo::Join
            }
            Output::Monitor(_) | Output::RadioOff => Todo::RadioOff,
            Output::Scan => Todo::Scan,
            Output::Serve { lan, .. } => Todo::Serve(lan),
            Output::Udp { bytes, .. } | Output::Broadcast(bytes) => Todo::Datagram(bytes.to_vec()),
            Output::Tcp { conn, bytes } => Todo::Tcp(conn, bytes.to_vec()),
            Output::CloseTcp(conn) => Todo::CloseTcp(conn),
            Output::Resolve { name, .. } => Todo::Resolve(name),
            Output::Http { id, request, .. } => {
                Todo::Http(id, String::from_utf8_lossy(request).into_owned())
            }
            Output::M2m(action) => match action {
                M2mAction::Connect { did, passcode, .. } => {
                    Todo::Connect(did.to_string(), passcode.to_vec())
                }
                M2mAction::Subscribe(filter) => Todo::Cloud(Up::Subscribe(filter.to_string())),
                M2mAction::Publish { topic, payload } => {
                    Todo::Cloud(Up::Publish(topic.to_string(), payload.to_vec()))
                }
                M2mAction::Ping => Todo::Cloud(Up::Ping),
                M2mAction::Close => Todo::Cloud(Up::Closed),
            },
            Output::Install { .. } => Todo::Install,
            Output::Restart(_) => Todo::Restart,
            Output::Log { level, line } => {
                return self.log.push(std::format!("{}{line}", level.prefix()));
            }
            Output::Leds(_) | Output::Watchdog | Output::Event(_) => return,
        };
        self.todo.push(todo);
    }

    fn save(&mut self, record: &[u8]) -> bool {
        self.flash = record.to_vec();
        true
    }
}
