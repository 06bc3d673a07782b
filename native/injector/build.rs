//! Compiles the payload into a flat image, and its unwind table into rows (`struct scope_unwind`) that `assemble.rs` puts
//! behind it.
use gimli::{CfaRule, RegisterRule, UnwindSection, X86_64};
use object::{Object, ObjectSection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let source = here.join("../payload");
    for name in ["payload.c", "entry.S", "payload.lds", "build.sh"] {
        println!("cargo:rerun-if-changed={}", source.join(name).display());
    }
    println!("cargo:rerun-if-changed={}", here.join("../abi/scope_abi.h").display());
    let status = Command::new("sh").arg(source.join("build.sh")).arg(out.join("payload")).status();
    assert!(status.is_ok_and(|s| s.success()), "the payload did not build: a C compiler and binutils are needed");
    let rows = unwind_rows(&out.join("payload.elf"));
    fs::write(out.join("unwind.bin"), bytes_of(&rows)).expect("cargo's own folder can be written");
}

/// By start.
type Rows = BTreeMap<u32, scope_abi::Unwind>;

/// What a function of the payload must keep, in the order of `scope_unwind.saved`.
const KEPT: [gimli::Register; 6] = [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

fn unwind_rows(elf: &Path) -> Rows {
    let bytes = fs::read(elf).expect("build.sh has made it");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let section = file.section_by_name(".eh_frame").expect("an unwind table");
    let data = section.data().expect("with content");
    let frames = gimli::EhFrame::new(data, gimli::LittleEndian);
    let bases = gimli::BaseAddresses::default().set_eh_frame(section.address());
    let mut rows = Rows::new();
    let mut entries = frames.entries(&bases);
    while let Some(entry) = entries.next().expect("a well-formed table") {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(gimli::EhFrame::cie_from_offset).expect("a well-formed entry");
        let mut context = gimli::UnwindContext::new();
        let mut table = fde.rows(&frames, &bases, &mut context).expect("well-formed instructions");
        while let Some(row) = table.next_row().expect("well-formed instructions") {
            let start = offset(row.start_address());
            rows.insert(start, compact(row, start));
        }
        rows.entry(offset(fde.end_address())).or_insert(scope_abi::Unwind {
            start: offset(fde.end_address()),
            depth: scope_abi::UNWIND_NONE,
            ..Default::default()
        });
    }
    rows
}

fn offset(address: u64) -> u32 {
    u32::try_from(address).expect("an image that begins at 0")
}

fn compact(row: &gimli::UnwindTableRow<usize>, start: u32) -> scope_abi::Unwind {
    let &CfaRule::RegisterAndOffset { register: X86_64::RSP, offset } = row.cfa() else {
        panic!("at {start:#x} a frame is not found by the stack pointer: {:?}", row.cfa());
    };
    let saved = KEPT.map(|register| match row.register(register) {
        RegisterRule::Undefined | RegisterRule::SameValue => 0,
        RegisterRule::Offset(n) => u8::try_from(-n / 8).expect("a small frame"),
        other => panic!("at {start:#x} {register:?} is kept as {other:?}"),
    });
    scope_abi::Unwind { start, resume: 0, depth: u16::try_from(offset).expect("a small frame"), saved }
}

fn bytes_of(rows: &Rows) -> Vec<u8> {
    rows.values().flat_map(scope_abi::Unwind::to_bytes).collect()
}
