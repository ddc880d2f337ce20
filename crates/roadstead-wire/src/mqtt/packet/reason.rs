//! Reason codes of MQTT 5, used for every version; the codec narrows them for 3.x.
//!
//! Source: MQTT 5.0 section 2.4; return codes of 3.1.1 section 3.2.2.3.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $code:literal;)+) => {
        /// Why a packet was answered the way it was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $name = $value,)+
        }

        impl Reason {
            /// Every reason, in numeric order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the reason of a wire byte, `None` for an unassigned one.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Returns the name, for traces; the platform maps reasons to failure codes.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    /// Success, normal disconnection, or granted QoS 0.
    Success = 0x00, "success";
    /// Granted QoS 1.
    GrantedQoS1 = 0x01, "granted_qos1";
    /// Granted QoS 2.
    GrantedQoS2 = 0x02, "granted_qos2";
    /// The client disconnects but wants its will published.
    DisconnectWithWill = 0x04, "disconnect_with_will";
    /// Accepted, but nobody is subscribed.
    NoMatchingSubscribers = 0x10, "no_matching_subscribers";
    /// Nothing to unsubscribe.
    NoSubscriptionExisted = 0x11, "no_subscription_existed";
    /// Continue the authentication with another step.
    ContinueAuthentication = 0x18, "continue_authentication";
    /// Start a re-authentication.
    ReAuthenticate = 0x19, "re_authenticate";
    /// No more specific reason applies.
    UnspecifiedError = 0x80, "unspecified_error";
    /// The bytes break the format.
    MalformedPacket = 0x81, "malformed_packet";
    /// The packet is well formed but not allowed here.
    ProtocolError = 0x82, "protocol_error";
    /// Valid, but this receiver does not accept it.
    ImplementationSpecificError = 0x83, "implementation_specific_error";
    /// The protocol level is not spoken here.
    UnsupportedProtocolVersion = 0x84, "unsupported_protocol_version";
    /// The client identifier is not allowed.
    ClientIdentifierNotValid = 0x85, "client_identifier_not_valid";
    /// User name or password are wrong.
    BadUserNameOrPassword = 0x86, "bad_user_name_or_password";
    /// The peer may not do this.
    NotAuthorized = 0x87, "not_authorized";
    /// The server is not available.
    ServerUnavailable = 0x88, "server_unavailable";
    /// The server is busy; try again later.
    ServerBusy = 0x89, "server_busy";
    /// The client is banned.
    Banned = 0x8A, "banned";
    /// The server shuts down.
    ServerShuttingDown = 0x8B, "server_shutting_down";
    /// The authentication method is not supported.
    BadAuthenticationMethod = 0x8C, "bad_authentication_method";
    /// Nothing arrived for 1.5 keep-alive intervals.
    KeepAliveTimeout = 0x8D, "keep_alive_timeout";
    /// Another connection uses the same client identifier.
    SessionTakenOver = 0x8E, "session_taken_over";
    /// The topic filter is not accepted.
    TopicFilterInvalid = 0x8F, "topic_filter_invalid";
    /// The topic name is not accepted.
    TopicNameInvalid = 0x90, "topic_name_invalid";
    /// The packet identifier is already in use.
    PacketIdInUse = 0x91, "packet_id_in_use";
    /// The packet identifier is not known.
    PacketIdNotFound = 0x92, "packet_id_not_found";
    /// More unacknowledged messages than the Receive Maximum allows.
    ReceiveMaximumExceeded = 0x93, "receive_maximum_exceeded";
    /// The topic alias is zero or above the maximum.
    TopicAliasInvalid = 0x94, "topic_alias_invalid";
    /// The packet is bigger than the maximum packet size.
    PacketTooLarge = 0x95, "packet_too_large";
    /// Messages arrive too fast.
    MessageRateTooHigh = 0x96, "message_rate_too_high";
    /// A limit of the implementation or of the administrator is reached.
    QuotaExceeded = 0x97, "quota_exceeded";
    /// An administrator ended the connection.
    AdministrativeAction = 0x98, "administrative_action";
    /// The payload is not what the payload format indicator says.
    PayloadFormatInvalid = 0x99, "payload_format_invalid";
    /// Retained messages are not supported.
    RetainNotSupported = 0x9A, "retain_not_supported";
    /// This QoS is not supported.
    QoSNotSupported = 0x9B, "qos_not_supported";
    /// The client should use another server for now.
    UseAnotherServer = 0x9C, "use_another_server";
    /// The client should use another server for good.
    ServerMoved = 0x9D, "server_moved";
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9E, "shared_subscriptions_not_supported";
    /// Connections arrive too fast.
    ConnectionRateExceeded = 0x9F, "connection_rate_exceeded";
    /// The connection has lived for the longest allowed time.
    MaximumConnectTime = 0xA0, "maximum_connect_time";
    /// Subscription identifiers are not supported.
    SubscriptionIdsNotSupported = 0xA1, "subscription_ids_not_supported";
    /// Wildcard subscriptions are not supported.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard_subscriptions_not_supported";
}

impl Reason {
    /// Returns the wire byte of MQTT 5.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// Returns true for a refusal (0x80 and above).
    pub fn is_error(self) -> bool {
        self.byte() >= 0x80
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_reasons_map_both_ways() {
        for byte in 0..=u8::MAX {
            assert!(Reason::from_byte(byte).is_none_or(|reason| reason.byte() == byte));
        }
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_byte(reason.byte()), Some(reason));
            assert!(!reason.name().is_empty());
        }
    }
}
