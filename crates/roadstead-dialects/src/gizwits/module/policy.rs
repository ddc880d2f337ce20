//! Timings and rules, where the document and real firmware differ and elsewhere.
//!
//! [`Policy::document`] is what the seed says; [`Policy::firmware`] is GAgent 04020006 as
//! measured, for rehearsals with what is in the field.
//!
//! Source: GizWits §8 and the sections named at the fields.

use core::time::Duration;

use super::super::serial::LinkPolicy;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Retransmission on the serial line (§2.1).
    pub link: LinkPolicy,
    /// Rounds of questions at the start before the module restarts (§2.7).
    pub handshake_rounds: u8,
    /// Heartbeat to the MCU after this long (seed §7.6_1).
    pub mcu_beat: Duration,
    /// Heartbeats come regardless of traffic.
    pub mcu_beat_always: bool,
    /// Silence of the MCU after which the module restarts (seed §7.6_2).
    pub mcu_dead: Duration,
    /// Silence of a phone after which it is dropped (seed §7.5_3).
    pub lan_idle: Duration,
    /// The same while the own access point is open.
    pub lan_idle_softap: Duration,
    /// Time a SoftAP configuration may take (seed §6.2_6).
    pub softap_for: Duration,
    /// Pause between two scans for the phone's list (seed §6.2_7).
    pub hotspot_every: Duration,
    /// Time an AirLink configuration may take (seed §6.4_4).
    pub airlink_for: Duration,
    /// After that: the former state, or SoftAP.
    pub airlink_restores: bool,
    /// AirLink is refused while connected (seed §6.4_3b).
    pub airlink_needs_absence: bool,
    /// Restart after configuration (seed §6.2_8), this long after the answer to the phone.
    pub config_restart: Option<Duration>,
    /// Credentials that are too long are acknowledged all the same.
    pub acknowledges_refused: bool,
    /// Announcements after power-on (seed §7.1_1).
    pub announcements: u8,
    /// Pause between them.
    pub announce_every: Duration,
    /// Pause between two looks at the router's signal (seed §4.4_3).
    pub signal_every: Duration,
    /// Signal levels rise and fall; otherwise old levels stick (§7.3).
    pub signal_falls: bool,
    /// Pause between two forced reports of status (seed §4.4_2).
    pub status_every: Duration,
    /// Changes of status are collected for this long.
    pub status_settle: Duration,
    /// PINGREQ after this long without the server's data (seed §8.8_1).
    pub m2m_beat: Duration,
    /// Silence after which the connection is given up (seed §8.8_2).
    pub m2m_dead: Duration,
    /// Longest time to CONNACK and to each SUBACK.
    pub m2m_wait: Duration,
    /// Back-off grows by this with each failure (seed §8.8_3).
    pub back_off: Duration,
    /// Failures after which the server's address is asked for anew (seed §8.8_4).
    pub provision_after: u32,
    /// Time without the server after which the module restarts (seed §8.8_5).
    pub cloud_lost: Duration,
    /// CONNACK 4 and error 9016 lead to a new registration (seed §8.4_5, §8.9_5).
    pub registers_anew: bool,
    /// Longest time to an answer of the API; grows by [`Self::back_off`] with each failure.
    pub http_wait: Duration,
    /// The same for firmware checks, which are not repeated (seed §9_2).
    pub ota_wait: Duration,
    /// How firmware is looked for.
    pub ota: OtaRule,
    /// Pause between two scans of the production test (seed §5_2).
    pub test_every: Duration,
    /// Time the production test looks for its router (seed §5_3).
    pub test_for: Duration,
    /// After the test: SoftAP without configuration (seed §5_6), or nothing.
    pub test_opens_softap: bool,
    /// Pause before joining is tried again (seed §12_2).
    pub rejoin: Duration,
    /// Time after which an unchanged address of the M2M server is looked up (seed §11_4).
    pub dns_every: Duration,
    /// LEDs go off after this long in the cloud (seed §4.1).
    pub leds_for: Duration,
    /// A list of hotspots ends the connection after this long (§1.3).
    pub hotspots_close: Duration,
    /// The unusual lengths of §1.2: 119 for module information, 15 for an empty passcode.
    pub length_lies: bool,
    /// A control without a number is answered by an empty report (§8).
    pub empty_reports: bool,
    /// Unknown commands of the MCU are answered even when their checksum is right (§2.2).
    pub names_unknown: bool,
    /// The two texts behind the device block of newer firmware (§1.4).
    pub discovery_texts: bool,
    /// DELETE of a reset may take this long.
    pub deregister_wait: Duration,
    /// Pause between two tries of a failing flash.
    pub flash_retry: Duration,
}

/// How new firmware is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtaRule {
    /// By the firmware id, API 4.0 (seed §9).
    FirmwareId,
    /// By a greater software version, API 4.1 (04020006).
    Version,
}

impl Policy {
    /// Returns what the seed says.
    pub fn document() -> Self {
        Self {
            link: LinkPolicy::default(),
            handshake_rounds: 10,
            mcu_beat: s(55),
            mcu_beat_always: false,
            mcu_dead: s(180),
            lan_idle: s(12),
            lan_idle_softap: s(12),
            softap_for: s(600),
            hotspot_every: s(15),
            airlink_for: s(60),
            airlink_restores: true,
            airlink_needs_absence: true,
            config_restart: Some(Duration::from_millis(500)),
            acknowledges_refused: false,
            announcements: 30,
            announce_every: s(1),
            signal_every: s(180),
            signal_falls: true,
            status_every: s(600),
            status_settle: Duration::ZERO,
            m2m_beat: s(55),
            m2m_dead: s(120),
            m2m_wait: s(10),
            back_off: s(10),
            provision_after: 10,
            cloud_lost: s(7200),
            registers_anew: true,
            http_wait: s(5),
            ota_wait: s(3),
            ota: OtaRule::FirmwareId,
            test_every: s(10),
            test_for: s(180),
            test_opens_softap: true,
            rejoin: s(10),
            dns_every: s(3600),
            leds_for: s(600),
            hotspots_close: Duration::from_millis(100),
            length_lies: false,
            empty_reports: false,
            names_unknown: true,
            discovery_texts: true,
            deregister_wait: s(2),
            flash_retry: s(5),
        }
    }

    /// Returns GAgent 04020006.
    pub fn firmware() -> Self {
        Self {
            mcu_beat_always: true,
            mcu_dead: s(275),
            // Fourteen turns of a loop of one second, the first one begun: 13 to 14 s measured.
            lan_idle: s(13),
            lan_idle_softap: s(70),
            softap_for: s(300),
            airlink_restores: false,
            airlink_needs_absence: false,
            config_restart: None,
            acknowledges_refused: true,
            signal_every: s(1),
            signal_falls: false,
            // Between none and one turn of its loop.
            status_settle: Duration::from_millis(500),
            m2m_beat: s(50),
            m2m_dead: s(150),
            registers_anew: false,
            ota: OtaRule::Version,
            test_opens_softap: false,
            length_lies: true,
            empty_reports: true,
            names_unknown: false,
            discovery_texts: false,
            ..Self::document()
        }
    }

    /// Shortens the pauses a demonstration would have to sit through.
    #[must_use]
    pub fn fast(mut self) -> Self {
        self.back_off = s(1);
        self.rejoin = s(1);
        self.config_restart = self.config_restart.map(|_| Duration::from_millis(200));
        self
    }
}
