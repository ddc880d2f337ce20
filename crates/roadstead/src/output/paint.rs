//! Colours by meaning, not by name.

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It needs attention.
    Warn,
    /// It matters less.
    Dim,
    /// It matters more.
    Strong,
    /// A name or place to look at.
    Name,
}

/// Paints text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// Returns a painter that paints only when `colour` is set.
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Returns `text` in the colour of `tone` (ECMA-48 SGR).
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Dim => "2",
            Tone::Strong => "1",
            Tone::Name => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Returns how many columns `text` takes on a terminal; escape sequences take none, East Asian
/// wide characters two.
pub(crate) fn columns(text: &str) -> usize {
    let mut escape = false;
    let mut columns = 0;
    for c in text.chars() {
        match (escape, c) {
            (false, '\x1b') => escape = true,
            (true, 'm') => escape = false,
            (true, _) => {}
            (false, c) => columns += width(c),
        }
    }
    columns
}

/// Columns of one character: the wide blocks of Unicode UAX #11, everything else one.
fn width(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd);
    if wide { 2 } else { usize::from(!c.is_control()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_takes_no_columns() {
        let painted = Paint::new(true).tone(Tone::Good, "灯 on");
        assert_eq!(painted, "\x1b[32m灯 on\x1b[0m");
        assert_eq!(columns(&painted), 5);
        assert_eq!(Paint::new(false).tone(Tone::Bad, "x"), "x");
    }
}
