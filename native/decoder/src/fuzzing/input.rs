//! A fuzzer's bytes, taken one after the other; past their end there are only zeros.

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, place| word | u64::from(self.byte()) << (8 * place))
    }

    /// Mostly small: one byte says how many follow.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..0xf0 => u64::from(byte),
            0xf0..0xf8 => u64::from(self.byte()) | u64::from(self.byte()) << 8,
            0xf8..0xfc => u64::from(u32::MAX),
            _ => self.word(),
        }
    }

    /// As many bytes as the next one says; 255: all that is left.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            255 => self.0.len(),
            length => usize::from(length).min(self.0.len()),
        };
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}
