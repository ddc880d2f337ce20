//! Every limit of the domain, by name. Operators change those that have a config key.

use core::time::Duration;

/// Longest product, device or node identifier, bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest display name, bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Largest message payload accepted from a device, bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Largest reported plus desired state of one device, bytes of JSON.
pub const SHADOW_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of a property value.
pub const VALUE_DEPTH_MAX: usize = 8;
/// Largest thing model document, bytes.
pub const MODEL_BYTES_MAX: usize = 1024 * 1024;
/// Life of a bind token. Must exceed a device's 300 s provisioning time-out (Tencent §6.4).
pub const BIND_TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Unexpired bind tokens of one user.
pub const BIND_TOKENS_PER_USER_MAX: usize = 32;
/// Guests that share one device.
pub const GUESTS_PER_DEVICE_MAX: usize = 32;
/// An attempt without an ending is closed as timed out after this.
pub const ATTEMPT_LIFE: Duration = Duration::from_secs(900);
/// Stage marks kept per attempt.
pub const ATTEMPT_STAGES_MAX: usize = 64;
/// Time a device gets to answer a synchronous command when the caller names none.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(20);
/// Longest time a caller may ask a synchronous command to wait.
pub const COMMAND_DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Asynchronous commands that wait for one device (Huawei §8.2).
pub const COMMANDS_PENDING_MAX: usize = 20;
/// Ended asynchronous commands kept per device.
pub const COMMANDS_KEPT_MAX: usize = 200;
/// How long an asynchronous command waits when the caller names no time (Huawei §8.2).
pub const COMMAND_EXPIRE: Duration = Duration::from_secs(24 * 3600);
/// Longest time that a caller may name.
pub const COMMAND_EXPIRE_MAX: Duration = Duration::from_secs(48 * 3600);
/// Largest parameters of a command, bytes of JSON (Huawei §9.5).
pub const COMMAND_PARAMS_BYTES_MAX: usize = 32 * 1024;
/// Messages that wait for one device (Huawei §8.4).
pub const MESSAGES_PENDING_MAX: usize = 20;
/// Finished messages kept per device.
pub const MESSAGES_KEPT_MAX: usize = 100;
/// How long a message waits when the caller names no time, and at most (Huawei §8.4).
pub const MESSAGE_LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// The life of a message is a multiple of this.
pub const MESSAGE_LIFE_STEP: Duration = Duration::from_secs(5 * 60);
/// Notices of the platform kept for a device that is offline.
pub const PENDING_PER_DEVICE_MAX: usize = 64;
/// Text kept per trace entry, bytes; longer text is cut.
pub const TRACE_TEXT_BYTES_MAX: usize = 512;
/// Largest body of a record of the sides for phones, bytes.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Items one page of a list returns at the most.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Items beyond which a list of a narrowed choice stops counting; what it has is "at least".
pub const COUNT_MAX: u64 = 10_000;
/// Sub-devices one gateway may have (Huawei §1).
pub const SUB_DEVICES_MAX: usize = 50_000;
/// Levels of sub-devices below a device that connects directly (Huawei §1).
pub const GATEWAY_DEPTH_MAX: usize = 2;
/// Longest key and value of a tag, characters (Huawei §9.7).
pub const TAG_KEY_CHARS_MAX: usize = 64;
/// See [`TAG_KEY_CHARS_MAX`].
pub const TAG_VALUE_CHARS_MAX: usize = 128;
/// Tags of one device when the operator says nothing else (Huawei §15).
pub const TAGS_MAX: usize = 10;
/// Longest search or rule of a dynamic group, bytes.
pub const SEARCH_BYTES_MAX: usize = 4096;
/// Deepest nesting of parentheses in a search.
pub const SEARCH_DEPTH_MAX: usize = 16;
/// Comparisons and listed values of one search.
pub const SEARCH_TERMS_MAX: usize = 200;
/// Fields that a search may be ordered by.
pub const SEARCH_ORDERS_MAX: usize = 4;
