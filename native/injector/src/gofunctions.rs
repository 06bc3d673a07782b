//! The table of functions that every Go program carries, stripped or not (runtime.pclntab; internal/abi, cmd/link).
//! Goroutine tracebacks need it, so `strip` and `-ldflags=-s` leave it. All offsets in it are checked: the file's
//! content is the target's to choose.
use crate::module::Function;
use std::ops::Range;

pub struct GoFunctions<'a> {
    table: &'a [u8],
    /// Address of the program's text in the target.
    text: u64,
    layout: Layout,
    count: usize,
    names: usize,
    functions: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Go 1.16 and 1.17: absolute addresses.
    Absolute,
    /// Since Go 1.18: 32-bit offsets from the start of the text.
    Relative,
}

impl<'a> GoFunctions<'a> {
    /// `table`: the section `.gopclntab`; `text`: where the section `.text` runs; `bias`: of the module.
    pub fn parse(table: &'a [u8], text: u64, bias: u64) -> Option<Self> {
        let word = |index: usize| -> Option<usize> {
            let at = 8 + 8 * index;
            usize::try_from(u64::from_le_bytes(table.get(at..at + 8)?.try_into().ok()?)).ok()
        };
        let magic = u32::from_le_bytes(table.get(..4)?.try_into().ok()?);
        if table.get(7) != Some(&8) {
            return None;
        }
        let (layout, names, functions) = match magic {
            0xffff_fff1 | 0xffff_fff0 => (Layout::Relative, word(3)?, word(7)?),
            0xffff_fffa => (Layout::Absolute, word(2)?, word(6)?),
            _ => return None,
        };
        let text = match layout {
            // Newer linkers leave the field zero, so that nothing in the table needs relocation.
            Layout::Relative if word(2)? != 0 => bias.wrapping_add(word(2)? as u64),
            Layout::Relative => text,
            Layout::Absolute => bias,
        };
        Some(Self { table, text, layout, count: word(0)?.min(1 << 24), names, functions })
    }

    /// Start address and offset of the description of function `index`; `count` itself gives the end of the last.
    fn entry(&self, index: usize) -> Option<(u64, usize)> {
        match self.layout {
            Layout::Relative => {
                let at = self.functions.checked_add(8 * index)?;
                let bytes = self.table.get(at..at + 4)?;
                let offset = self.table.get(at + 4..at + 8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                let start = u32::from_le_bytes(bytes.try_into().ok()?);
                Some((self.text.wrapping_add(start.into()), offset as usize))
            }
            Layout::Absolute => {
                let at = self.functions.checked_add(16 * index)?;
                let start = u64::from_le_bytes(self.table.get(at..at + 8)?.try_into().ok()?);
                let offset =
                    self.table.get(at + 8..at + 16).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap_or_default()));
                Some((self.text.wrapping_add(start), usize::try_from(offset).ok()?))
            }
        }
    }

    fn name(&self, description: usize) -> Option<&'a str> {
        let at = self.functions.checked_add(description)? + if self.layout == Layout::Relative { 4 } else { 8 };
        let offset = u32::from_le_bytes(self.table.get(at..at + 4)?.try_into().ok()?) as usize;
        let rest = self.table.get(self.names.checked_add(offset)?..)?;
        let length = rest.iter().take(1024).position(|&b| b == 0)?;
        std::str::from_utf8(&rest[..length]).ok()
    }

    fn function(&self, index: usize) -> Option<Function> {
        let (start, description) = self.entry(index)?;
        let (end, _) = self.entry(index + 1)?;
        let range: Range<u64> = start..end;
        (start < end).then(|| Function {
            name: self.name(description).unwrap_or_default().to_owned(),
            range,
            is_guess: false,
        })
    }

    /// The function that holds `address`.
    pub fn at(&self, address: u64) -> Option<Function> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.entry(middle)?.0 <= address { low = middle + 1 } else { high = middle }
        }
        self.function(low.checked_sub(1)?).filter(|f| f.range.contains(&address))
    }

    /// The first function with one of these names.
    pub fn named(&self, names: &[&str]) -> Option<Function> {
        (0..self.count)
            .find(|&i| self.entry(i).and_then(|(_, d)| self.name(d)).is_some_and(|n| names.contains(&n)))
            .and_then(|i| self.function(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two functions, `a` at text + 16 and `bc` at text + 48, ending at text + 64.
    fn table() -> Vec<u8> {
        let mut t = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
        let (names, functions) = (72u64, 80u64);
        for word in [2, 0, 0, names, 0, 0, 0, functions] {
            t.extend_from_slice(&u64::to_le_bytes(word));
        }
        t.extend_from_slice(b"a\0bc\0\0\0\0");
        for (start, description) in [(16u32, 20u32), (48, 28), (64, 0)] {
            t.extend_from_slice(&start.to_le_bytes());
            if description != 0 {
                t.extend_from_slice(&description.to_le_bytes());
            }
        }
        for (entry, name) in [(16u32, 0u32), (48, 2)] {
            t.extend_from_slice(&entry.to_le_bytes());
            t.extend_from_slice(&name.to_le_bytes());
        }
        t
    }

    #[test]
    fn functions_by_address_and_by_name() {
        let t = table();
        let g = GoFunctions::parse(&t, 0x40_0000, 0).expect("a table");
        let bc = Function { name: "bc".into(), range: 0x40_0030..0x40_0040, is_guess: false };
        assert_eq!(g.at(0x40_0030), Some(bc.clone()));
        assert_eq!(g.at(0x40_003f), Some(bc.clone()));
        assert_eq!(g.at(0x40_0040), None);
        assert_eq!(g.at(0x40_000f), None);
        assert_eq!(g.named(&["zz", "bc"]), Some(bc));
    }

    #[test]
    fn cut_tables_give_nothing_and_do_not_panic() {
        let t = table();
        for n in 0..t.len() {
            if let Some(g) = GoFunctions::parse(&t[..n], 0, 0) {
                let _ = (g.at(0x30), g.named(&["bc"]));
            }
        }
    }
}
