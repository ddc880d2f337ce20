//! Huawei IoTDA: so far its product models ([`model`]), which need no session.

pub mod model;
