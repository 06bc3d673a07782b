//! One executable file as a target has mapped it: its bytes, its functions, and where they run.
//! The file's content is the target's to choose: everything is bounds-checked, nothing is trusted to be well-formed.
use crate::gofunctions::GoFunctions;
use crate::procfs::{Mapping, Process};
use gimli::UnwindSection;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// A file's bytes, mapped here read-only.
pub struct Bytes {
    at: *const u8,
    length: usize,
}

impl Bytes {
    fn map(file: &File) -> Option<Self> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok().filter(|&n| n > 0)?;
        // SAFETY: a private read-only mapping of an open file; unmapped in drop. A file that shrinks meanwhile ends
        // this process with SIGBUS, which harms no target: the kernel then releases its threads as they are.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        (at != libc::MAP_FAILED).then_some(Self { at: at.cast(), length })
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as self.
        unsafe { std::slice::from_raw_parts(self.at, self.length) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, unmapped once.
        unsafe { libc::munmap(self.at.cast_mut().cast(), self.length) };
    }
}

/// A function's extent in the target's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub range: Range<u64>,
    /// Its extent is inferred: no table says where it starts.
    pub is_guess: bool,
}

pub struct Module {
    pub path: String,
    pub bytes: Bytes,
    /// Its executable mappings in the target.
    pub text: Vec<Mapping>,
    /// Target address of the file's virtual address 0.
    pub bias: u64,
    /// By start address.
    symbols: BTreeMap<u64, Function>,
    /// Functions written by hand often have no size.
    pub unsized_symbols: BTreeMap<u64, String>,
    eh_frame: Option<(Range<usize>, u64)>,
    eh_frame_hdr: Option<(Range<usize>, u64)>,
    unwind_ranges: OnceCell<BTreeMap<u64, u64>>,
    pub go_version: Option<String>,
    is_static_program: bool,
    /// Section .gopclntab, and where .text runs.
    go_table: Option<(Range<usize>, u64)>,
}

impl Module {
    /// Of every program and library that the process may execute from: its executable mappings.
    pub fn mapped(maps: &[Mapping]) -> Vec<Vec<Mapping>> {
        let mut by_file: BTreeMap<(&str, u64), Vec<Mapping>> = BTreeMap::new();
        for m in maps.iter().filter(|m| m.execute && m.is_file() && !m.shared && !m.is_ring()) {
            by_file.entry((&m.device, m.inode)).or_default().push(m.clone());
        }
        by_file.into_values().collect()
    }

    /// `None`: the file can't be read, or is no 64-bit ELF file.
    pub fn load(process: &Process, text: Vec<Mapping>) -> Option<Self> {
        let first = text.first()?;
        let name = format!("map_files/{:x}-{:x}", first.start, first.end);
        Self::parse(Bytes::map(&process.file(&name, libc::O_RDONLY).ok()?)?, text)
    }

    /// A file on its own, as if it were mapped where it says. `None`: no 64-bit ELF file with code.
    pub fn of_file(file: &File, path: &str) -> Option<Self> {
        const PAGE: u64 = 4096;
        let bytes = Bytes::map(file)?;
        let elf = ElfFile64::<Endianness>::parse(&*bytes).ok()?;
        let executable = |p: &&object::elf::ProgramHeader64<Endianness>| {
            p.p_type(Endianness::Little) == object::elf::PT_LOAD
                && p.p_flags(Endianness::Little) & object::elf::PF_X != 0
        };
        let mapping = |p: &object::elf::ProgramHeader64<Endianness>| {
            let (address, offset) = (p.p_vaddr(Endianness::Little), p.p_offset(Endianness::Little));
            Mapping {
                start: address & !(PAGE - 1),
                end: address.saturating_add(p.p_filesz(Endianness::Little)).checked_next_multiple_of(PAGE).unwrap_or(0),
                offset: offset & !(PAGE - 1),
                path: path.to_owned(),
                read: true,
                execute: true,
                ..Mapping::default()
            }
        };
        let headers = elf.elf_program_headers().iter().filter(executable);
        let text = headers.map(mapping).filter(|m| m.start < m.end).collect();
        Self::parse(bytes, text)
    }

    fn parse(bytes: Bytes, text: Vec<Mapping>) -> Option<Self> {
        let first = text.first()?;
        let elf = ElfFile64::<Endianness>::parse(&*bytes).ok()?;
        let segment = elf.segments().find(|s| {
            let (offset, size) = s.file_range();
            size > 0 && offset & !0xfff <= first.offset && first.offset < offset.saturating_add(size)
        })?;
        let bias =
            first.start.wrapping_sub(segment.address().wrapping_sub(segment.file_range().0.wrapping_sub(first.offset)));
        let section = |name: &str| {
            let s = elf.section_by_name(name)?;
            let (offset, size) = s.file_range()?;
            let range = usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(size)?).ok()?;
            (range.end <= bytes.len()).then_some((range, s.address()))
        };
        let (mut symbols, mut unsized_symbols) = (BTreeMap::new(), BTreeMap::new());
        for s in elf.symbols().chain(elf.dynamic_symbols()) {
            let start = bias.wrapping_add(s.address());
            if s.kind() == SymbolKind::Text && s.size() == 0 && s.address() != 0 {
                unsized_symbols.insert(start, s.name().unwrap_or_default().to_owned());
            }
            if s.kind() == SymbolKind::Text && s.size() > 0 && s.address() != 0 {
                let name = s.name().unwrap_or_default().to_owned();
                symbols.entry(start).or_insert(Function {
                    name,
                    range: start..start.saturating_add(s.size()),
                    is_guess: false,
                });
            }
        }
        let go_version = section(".go.buildinfo").and_then(|(range, _)| go_version(&bytes[range]));
        let interpreted =
            elf.elf_program_headers().iter().any(|p| p.p_type.get(Endianness::Little) == object::elf::PT_INTERP);
        let is_static_program = !interpreted && elf.entry() != 0 && elf.dynamic_symbols().next().is_none();
        let eh_frame = section(".eh_frame");
        let eh_frame_hdr = section(".eh_frame_hdr").filter(|(range, _)| has_index(&bytes[range.clone()]));
        let text_at = section(".text").map_or(0, |(_, address)| bias.wrapping_add(address));
        let go_table =
            [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|n| section(n)).map(|(r, _)| (r, text_at));
        Some(Self {
            path: first.path.clone(),
            text,
            bias,
            symbols,
            unsized_symbols,
            eh_frame,
            eh_frame_hdr,
            unwind_ranges: OnceCell::new(),
            go_version,
            is_static_program,
            go_table,
            bytes,
        })
    }

    /// A C library, or a program that holds its own.
    pub fn is_libc(&self) -> bool {
        names_libc(&self.path) || self.is_static_program
    }

    /// Where glibc up to 2.33 has its threads.
    pub fn is_libpthread(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.starts_with("libpthread"))
    }

    pub fn is_go(&self) -> bool {
        self.go_version.is_some()
    }

    /// The file's bytes behind [address, address + length), where one executable mapping holds them all.
    pub fn code(&self, range: &Range<u64>) -> Option<&[u8]> {
        let m = self.text.iter().find(|m| m.start <= range.start && range.end <= m.end)?;
        let from = usize::try_from((range.start - m.start).checked_add(m.offset)?).ok()?;
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }

    pub fn is_text(&self, address: u64) -> bool {
        self.text.iter().any(|m| (m.start..m.end).contains(&address))
    }

    /// The file's bytes from `start` to `upto`, at most 64 KiB.
    pub fn code_from(&self, start: u64, upto: Option<u64>) -> Option<&[u8]> {
        let m = self.text.iter().find(|m| (m.start..m.end).contains(&start))?;
        let end = upto.unwrap_or(m.end).min(m.end).min(start.saturating_add(64 << 10));
        let file_end = m.start.saturating_add((self.bytes.len() as u64).saturating_sub(m.offset));
        self.code(&(start..end.min(file_end)))
    }

    /// Addresses that are, or may well be, starts of functions: of symbols, of the program's entry, and those that
    /// relocations put into data.
    pub fn function_seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = self.symbols.keys().copied().collect();
        seeds.extend(self.unsized_symbols.keys());
        seeds.extend(self.unwind_ranges.get_or_init(|| self.unwind_ranges()).keys());
        let Ok(elf) = ElfFile64::<Endianness>::parse(&*self.bytes) else { return seeds };
        seeds.push(self.bias.wrapping_add(elf.entry()));
        if let Some(relocations) = elf.dynamic_relocations() {
            seeds.extend(relocations.map(|(_, r)| self.bias.wrapping_add_signed(r.addend())));
        }
        // Without relocations (a static program at a fixed address): every word of its data that points into its text.
        for name in [".data", ".data.rel.ro", ".init_array", ".fini_array"] {
            let data = elf.section_by_name(name).and_then(|s| s.data().ok()).unwrap_or_default();
            seeds.extend(data.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default())));
        }
        seeds.retain(|&seed| self.is_text(seed));
        seeds
    }

    /// Addresses at which the two bytes of `syscall` stand, wanted or by chance.
    pub fn syscall_bytes(&self) -> Vec<u64> {
        let mut found = Vec::new();
        for (start, text) in self.each_text() {
            found.extend(text.windows(2).enumerate().filter(|(_, w)| w == b"\x0f\x05").map(|(i, _)| start + i as u64));
        }
        found
    }

    /// The first place in its text where `bytes` stand.
    pub fn find_bytes(&self, bytes: &[u8]) -> Option<u64> {
        self.each_text()
            .find_map(|(start, text)| text.windows(bytes.len()).position(|w| w == bytes).map(|at| start + at as u64))
    }

    /// The first place in its text that has this shape; `None` stands for any byte.
    pub fn find_shape(&self, shape: &[Option<u8>]) -> Option<u64> {
        self.find_shapes(shape).next()
    }

    /// Every such place.
    pub fn find_shapes(&self, shape: &[Option<u8>]) -> impl Iterator<Item = u64> {
        let fits = move |w: &[u8]| w.iter().zip(shape).all(|(b, s)| s.is_none_or(|s| s == *b));
        self.each_text().flat_map(move |(start, text)| {
            text.windows(shape.len()).enumerate().filter(move |(_, w)| fits(w)).map(move |(at, _)| start + at as u64)
        })
    }

    /// Where the bytes of a direct call of, or jump to, `target` stand.
    pub fn branch_bytes(&self, target: u64) -> Vec<u64> {
        let mut found = Vec::new();
        for (start, text) in self.each_text() {
            for (i, w) in text.windows(5).enumerate() {
                let at = start + i as u64;
                let by = i32::from_le_bytes([w[1], w[2], w[3], w[4]]);
                if matches!(w[0], 0xe8 | 0xe9) && (at + 5).wrapping_add_signed(by.into()) == target {
                    found.push(at);
                }
            }
        }
        found
    }

    /// Its executable mappings' bytes, with the address of each.
    fn each_text(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.text.iter().filter_map(|m| {
            let from = usize::try_from(m.offset).ok()?;
            let length = usize::try_from(m.end - m.start).ok()?;
            Some((m.start, self.bytes.get(from..from.saturating_add(length).min(self.bytes.len()))?))
        })
    }

    /// The function of one of these names: by symbol, else by Go's own table.
    pub fn function_named(&self, names: &[&str]) -> Option<Function> {
        let by_symbol = self.symbols.values().find(|f| names.contains(&f.name.as_str())).cloned();
        by_symbol.or_else(|| self.go_functions()?.named(names))
    }

    /// Whether Go's compiler or assembler made it; what its function table does not know was linked in by another language.
    pub fn is_go_code(&self, address: u64) -> bool {
        self.go_functions().is_none_or(|functions| functions.at(address).is_some())
    }

    fn go_functions(&self) -> Option<GoFunctions<'_>> {
        let (range, text) = self.go_table.as_ref()?;
        GoFunctions::parse(&self.bytes[range.clone()], *text, self.bias)
    }

    /// The function that holds `address`: by the unwind table (which every compiler writes, stripped or not), else by
    /// symbol, else by the function that ends before it. `None`: nothing says where to start decoding.
    pub fn function_at(&self, address: u64) -> Option<Function> {
        let by_symbol =
            self.symbols.range(..=address).next_back().map(|(_, f)| f).filter(|f| f.range.contains(&address));
        let named = |range: Range<u64>| {
            let name = by_symbol.map(|f| f.name.clone()).unwrap_or_default();
            Function { name, range, is_guess: false }
        };
        match self.unwind_range(address) {
            Some(range) if range.contains(&address) => Some(named(range)),
            other => by_symbol
                .cloned()
                .or_else(|| self.go_functions()?.at(address))
                .or_else(|| self.stretch_behind(&other?, address).map(named)),
        }
    }

    /// Every entry of an unwind table that has no index to search (static programs), by start.
    fn unwind_ranges(&self) -> BTreeMap<u64, u64> {
        let mut ranges = BTreeMap::new();
        let Some((frame_range, frame_address)) = self.eh_frame.as_ref() else { return ranges };
        let bases = gimli::BaseAddresses::default().set_eh_frame(self.bias.wrapping_add(*frame_address));
        let frames = gimli::EhFrame::new(&self.bytes[frame_range.clone()], gimli::LittleEndian);
        let mut entries = frames.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let gimli::CieOrFde::Fde(partial) = entry
                && let Ok(fde) = partial.parse(gimli::EhFrame::cie_from_offset)
            {
                ranges.insert(fde.initial_address(), fde.initial_address().saturating_add(fde.len()));
            }
        }
        ranges
    }

    /// The last function of the unwind table that starts at or before `address`.
    fn unwind_range(&self, address: u64) -> Option<Range<u64>> {
        let Some((hdr_range, hdr_address)) = self.eh_frame_hdr.as_ref() else {
            let ranges = self.unwind_ranges.get_or_init(|| self.unwind_ranges());
            return ranges.range(..=address).next_back().map(|(&start, &end)| start..end);
        };
        let (frame_range, frame_address) = self.eh_frame.as_ref()?;
        let bases = gimli::BaseAddresses::default()
            .set_eh_frame_hdr(self.bias.wrapping_add(*hdr_address))
            .set_eh_frame(self.bias.wrapping_add(*frame_address));
        let header =
            gimli::EhFrameHdr::new(&self.bytes[hdr_range.clone()], gimli::LittleEndian).parse(&bases, 8).ok()?;
        let frames = gimli::EhFrame::new(&self.bytes[frame_range.clone()], gimli::LittleEndian);
        let table = header.table()?;
        // A table that points in front of the frames is damaged, or a lie.
        let (gimli::Pointer::Direct(entry), gimli::Pointer::Direct(first)) =
            (table.lookup(address, &bases).ok()?, header.eh_frame_ptr())
        else {
            return None;
        };
        let offset = usize::try_from(entry.checked_sub(first)?).ok()?;
        let fde = frames.fde_from_offset(&bases, gimli::EhFrameOffset(offset), gimli::EhFrame::cie_from_offset).ok()?;
        let start = fde.initial_address();
        Some(start..start.checked_add(fde.len())?)
    }

    /// Hand-written code ends its unwind entry early where the stack is about to change (glibc's clone3, right before its
    /// system call): from the function's start on, decoding goes past that end.
    fn stretch_behind(&self, before: &Range<u64>, address: u64) -> Option<Range<u64>> {
        const LONGEST: u64 = 1024;
        const BEHIND: u64 = 32;
        let m = self.text.iter().find(|m| (m.start..m.end).contains(&address))?;
        let range = before.start..(address + BEHIND).min(m.end);
        (before.start >= m.start && before.end <= address && range.end - range.start <= LONGEST).then_some(range)
    }
}

/// Whether an unwind table's header (Linux Standard Base, 10.6.2) has an index that can be searched: its number of entries
/// in 32 bits, as every linker writes it. gimli multiplies the number, and a wider one, which only a lie can be, overflows.
fn has_index(header: &[u8]) -> bool {
    const UDATA4: u8 = 3; // DW_EH_PE_udata4
    header.get(2) == Some(&UDATA4)
}

/// Whether a file is a C library, by its name. musl's is its dynamic loader as well.
pub fn names_libc(path: &str) -> bool {
    let name = path.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
    ["libc.so", "libc-2.", "ld-musl", "libc.musl"].iter().any(|n| name.starts_with(n))
}

/// Reads the version out of Go's build information (cmd/internal/buildid, debug/buildinfo): since Go 1.18 it stands in line.
fn go_version(section: &[u8]) -> Option<String> {
    if !section.starts_with(b"\xff Go buildinf:") {
        return None;
    }
    if section.get(15)? & 2 == 0 {
        return Some("go before 1.18".to_owned());
    }
    let (mut length, mut at, mut shift) = (0usize, 32, 0);
    loop {
        let byte = *section.get(at)?;
        length |= usize::from(byte & 0x7f) << shift;
        at += 1;
        shift += 7;
        if byte & 0x80 == 0 || shift > 28 {
            break;
        }
    }
    let text = section.get(at..at.checked_add(length.min(64))?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const NUMBER_OF_ENTRIES: usize = 2;
    const UDATA8: u8 = 4;

    /// This test's own program with its unwind table's header changed; where its `main` is.
    fn own_program(change: impl FnOnce(&mut [u8])) -> Module {
        let mut file = std::fs::read("/proc/self/exe").expect("its own program");
        let range = {
            let elf = ElfFile64::<Endianness>::parse(&*file).expect("an ELF file");
            let (offset, size) = elf.section_by_name(".eh_frame_hdr").expect("a header").file_range().expect("in it");
            offset as usize..(offset + size) as usize
        };
        change(&mut file[range]);
        let path = std::env::temp_dir().join(format!("scope-module-{}", std::process::id()));
        File::create(&path).expect("a file").write_all(&file).expect("room");
        let module = Module::of_file(&File::open(&path).expect("it"), "/program").expect("a program");
        std::fs::remove_file(&path).expect("it was there");
        module
    }

    #[test]
    fn an_index_whose_number_of_entries_is_a_lie_is_not_searched() {
        let honest = own_program(|_| {});
        assert!(honest.eh_frame_hdr.is_some());
        let lying = own_program(|header| {
            header[NUMBER_OF_ENTRIES] = UDATA8;
            header[8..16].fill(0xff);
        });
        assert!(lying.eh_frame_hdr.is_none());
        let address = honest.symbols.keys().copied().find(|&at| honest.unwind_range(at).is_some()).expect("a function");
        assert_eq!(lying.unwind_range(address), honest.unwind_range(address), "found without the index");
    }
}
