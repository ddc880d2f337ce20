//! Method and response codes (RFC 7252 §12.1).

use core::fmt;

/// One byte: three bits of class, five of detail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// 0.00: a bare acknowledgement, reset or ping.
    pub const EMPTY: Self = Self::new(0, 0);
    /// 0.01.
    pub const GET: Self = Self::new(0, 1);
    /// 0.02.
    pub const POST: Self = Self::new(0, 2);
    /// 0.03.
    pub const PUT: Self = Self::new(0, 3);
    /// 0.04.
    pub const DELETE: Self = Self::new(0, 4);
    /// 2.04.
    pub const CHANGED: Self = Self::new(2, 4);
    /// 2.05.
    pub const CONTENT: Self = Self::new(2, 5);
    /// 4.00.
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    /// 4.01.
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    /// 4.02.
    pub const BAD_OPTION: Self = Self::new(4, 2);
    /// 4.04.
    pub const NOT_FOUND: Self = Self::new(4, 4);
    /// 4.05.
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    /// 5.00.
    pub const INTERNAL: Self = Self::new(5, 0);
    /// 5.03.
    pub const UNAVAILABLE: Self = Self::new(5, 3);

    /// Returns `class.detail`; both are cut to their bits.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self((class & 7) << 5 | detail & 31)
    }

    /// Returns the class: 0 a request, 2 a success, 4 and 5 a failure.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Returns the detail.
    pub const fn detail(self) -> u8 {
        self.0 & 31
    }

    /// Whether a request is carried.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.detail() != 0
    }

    /// Whether a response is carried.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
