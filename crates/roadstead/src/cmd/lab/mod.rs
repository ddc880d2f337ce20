//! `roadstead lab`: experiments on simulated physics.

mod airlink;
mod gizwits;
mod picture;

use clap::Subcommand;

use crate::failure::Result;
use crate::output::Out;

/// Experiments without hardware.
#[derive(Subcommand, Debug)]
pub(crate) enum Lab {
    /// Success rate and time of the credential schemes on a simulated air.
    Airlink(airlink::Airlink),
    /// Success rate and time of configuring GizWits modules over SoftAP.
    Gizwits(gizwits::Gizwits),
}

impl Lab {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Airlink(command) => command.run(out),
            Self::Gizwits(command) => command.run(out),
        }
    }
}
