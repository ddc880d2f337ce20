//! Every limit of the doctor, by name. Together they keep its memory below 64 MB for any input.

/// Longest line that is looked at in one piece, bytes; longer ones are read in pieces.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Devices told apart in one run; lines of further ones are counted with the last.
pub const DEVICES_MAX: usize = 256;
/// Evidence lines kept for one finding.
pub const EVIDENCE_MAX: usize = 4;
/// Longest text of an evidence line in an answer, characters.
pub const EVIDENCE_CHARS_MAX: usize = 300;
/// Longest evidence text kept before masking, bytes.
pub const EVIDENCE_BYTES_MAX: usize = 2048;
/// Line numbers of consequences listed for one finding.
pub const CAUSED_MAX: usize = 20;
/// Different findings of one device.
pub const FINDINGS_MAX: usize = 64;
/// Secret values remembered for masking.
pub const SECRETS_MAX: usize = 4096;
/// Longest secret value remembered, bytes.
pub const SECRET_BYTES_MAX: usize = 512;
/// Connection attempts remembered to recognise throttling.
pub const CONNECTS_MAX: usize = 16;
/// Bytes looked at to tell binary data from text.
pub const BINARY_PROBE_BYTES: usize = 64 * 1024;
/// Files of one run.
pub const FILES_MAX: usize = 1024;
/// Longest packet of a capture that is looked at, bytes; a longer pcap record ends the reading.
pub const PACKET_BYTES_MAX: usize = 256 * 1024;
/// Connections, names and requests of a capture that are watched at a time, each.
pub const FLOWS_MAX: usize = 1024;
