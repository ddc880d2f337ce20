//! A file from the MCU for the cloud: pieces are collected and published as one message.
//!
//! Real firmware streams them under one length and fills the rest with garbage when the MCU
//! stops; here a file is whole or not sent. Topic and size limit are UNVERIFIED.
//!
//! Source: GizWits §2.5, last paragraph.

use alloc::vec::Vec;
use core::time::Duration;

use md5::{Digest as _, Md5};
use roadstead_core::Tick;

use super::super::serial::{Command, Frame, Illegal, Offer, Piece, Ready};
use super::Module;
use super::io::{Cx, Level, M2mAction, Output};
use super::uart::Tag;

/// Largest file of the MCU, bytes.
pub(super) const FILE_MAX: u32 = 256 * 1024;
/// Bytes of a piece that are asked for.
const PIECE: u16 = 256;
/// The file is given up after this long without a piece.
const PIECE_WAIT: Duration = Duration::from_secs(15);

/// A file under way.
pub(super) struct Bulk {
    size: usize,
    md5: Vec<u8>,
    bytes: Vec<u8>,
    next: u16,
    due: Tick,
}

impl Bulk {
    pub(super) fn deadline(&self) -> Tick {
        self.due
    }
}

impl Module {
    pub(super) fn bulk_offered(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let offer = Offer::parse(frame.payload)
            .filter(|offer| (1..=FILE_MAX).contains(&offer.size) && offer.md5.len() == 32);
        let Some(offer) = offer.filter(|_| self.m2m.is_running()) else {
            return self.illegal(frame.sn, Illegal::Other, cx);
        };
        self.answer(Command::FileOffer, frame.sn, &[], cx);
        let mut payload = Vec::new();
        Ready { md5: offer.md5, piece: PIECE }.emit(&mut payload);
        self.uart.link.push(Command::FileReady, 0, &payload, Tag::Own);
        self.bulk = Some(Bulk {
            size: offer.size as usize,
            md5: offer.md5.to_vec(),
            bytes: Vec::with_capacity(offer.size as usize),
            next: 1,
            due: cx.now + PIECE_WAIT,
        });
    }

    pub(super) fn bulk_piece(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let (Some(bulk), Some(piece)) = (&mut self.bulk, Piece::parse(frame.payload)) else {
            return self.illegal(frame.sn, Illegal::Other, cx);
        };
        bulk.due = cx.now + PIECE_WAIT;
        // A repeated piece is acknowledged and not taken again.
        if piece.number == bulk.next {
            bulk.next = bulk.next.wrapping_add(1);
            bulk.bytes.extend_from_slice(piece.data);
        }
        let is_over = bulk.bytes.len() >= bulk.size;
        self.answer(Command::FilePiece, frame.sn, &[], cx);
        if is_over {
            self.bulk_done(cx);
        }
    }

    fn bulk_done(&mut self, cx: &mut Cx<'_>) {
        let Some(bulk) = self.bulk.take() else { return };
        let md5 = hex::encode(Md5::digest(&bulk.bytes));
        if bulk.bytes.len() != bulk.size || !bulk.md5.eq_ignore_ascii_case(md5.as_bytes()) {
            return self.log(Level::Error, "file of the MCU differs from its sum", cx);
        }
        let topic = self.config.file_topic.replace("{did}", &self.flash.did);
        cx.put(Output::M2m(M2mAction::Publish { topic: &topic, payload: &bulk.bytes }));
    }

    pub(super) fn bulk_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.bulk.as_ref().is_some_and(|bulk| cx.now >= bulk.due) {
            self.bulk = None;
            self.log(Level::Error, "file of the MCU stopped", cx);
            self.uart.link.push(Command::ReceiverCancels, 0, &[], Tag::Own);
        }
    }
}
