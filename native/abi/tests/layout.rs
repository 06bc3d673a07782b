//! Compiles the C header and compares every size, offset and constant with the Rust view of it.
use scope_abi as abi;
use std::fmt::Write as _;
use std::mem::offset_of;
use std::process::Command;

/// One line of C that prints `name value`, and the value that Rust expects.
struct Check(String, u64);

macro_rules! layout {
    ($checks:ident, $c:literal, $rust:ty, [$($field:ident),*]) => {
        $checks.push(Check(format!("sizeof(struct {})", $c), size_of::<$rust>() as u64));
        $($checks.push(Check(
            format!("__builtin_offsetof(struct {}, {})", $c, stringify!($field)),
            offset_of!($rust, $field) as u64,
        ));)*
    };
}

fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    layout!(checks, "scope_area", abi::Area, [address, length]);
    layout!(
        checks,
        "scope_shared",
        abi::Shared,
        [
            magic,
            abi_version,
            site_count,
            manifest,
            state_address,
            start_time,
            pid,
            state_value,
            total_bytes,
            ring_bytes,
            ring_count,
            capture_bytes,
            rings_ctl,
            class_table,
            pagemap,
            slots,
            code,
            rings,
            key,
            shared_address,
            attach_tsc,
            go_tag,
            code_bytes,
            areas,
            build
        ]
    );
    layout!(
        checks,
        "scope_ring",
        abi::Ring,
        [
            head,
            tail,
            lost_records,
            lost_read_calls,
            lost_read_bytes,
            lost_write_calls,
            lost_write_bytes,
            lost_recv_calls,
            lost_recv_bytes,
            lost_send_calls,
            lost_send_bytes,
            uncopied_calls,
            uncopied_bytes,
            lost_transfer_calls,
            lost_transfer_bytes
        ]
    );
    layout!(
        checks,
        "scope_state",
        abi::State,
        [
            enabled,
            abi_version,
            shared,
            rings_ctl,
            rings,
            class_table,
            pagemap,
            slots,
            ring_bytes,
            ring_mask,
            capture_bytes,
            key,
            go_tag,
            brk,
            vfork_who,
            mremap_who,
            timing
        ]
    );
    layout!(checks, "scope_record", abi::Record, [commit, tsc, who, result, size, a1, a2, a3, a4, kind, flags]);
    checks.push(Check("sizeof(struct scope_chunk)".into(), size_of::<abi::Chunk>() as u64));
    checks.push(Check("__builtin_offsetof(struct scope_chunk, type)".into(), offset_of!(abi::Chunk, kind) as u64));
    checks.push(Check("__builtin_offsetof(struct scope_chunk, index)".into(), offset_of!(abi::Chunk, index) as u64));
    checks.push(Check("__builtin_offsetof(struct scope_chunk, length)".into(), offset_of!(abi::Chunk, length) as u64));
    layout!(checks, "scope_tally", abi::Tally, [read_calls, read_bytes, write_calls, write_bytes]);
    layout!(checks, "scope_block", abi::Block, [key, readable, anonymous]);
    layout!(checks, "scope_slot", abi::Slot, [who, frame, number, arguments]);
    layout!(checks, "scope_site", abi::Site, [address, length, original, patched, kind]);
    layout!(checks, "scope_unwind", abi::Unwind, [start, resume, depth, saved]);
    let constants: &[(&str, u64)] = &[
        ("SCOPE_ABI_VERSION", abi::ABI_VERSION.into()),
        ("SCOPE_MAGIC", abi::MAGIC),
        ("SCOPE_CLASS_COUNT", abi::CLASS_COUNT as u64),
        ("SCOPE_MAX_RINGS", abi::MAX_RINGS as u64),
        ("SCOPE_MAX_AREAS", abi::MAX_AREAS as u64),
        ("SCOPE_MAX_CAPTURE", abi::MAX_CAPTURE.into()),
        ("SCOPE_TSC_SLACK", abi::TSC_SLACK),
        ("SCOPE_CLASS_UNKNOWN", abi::CLASS_UNKNOWN.into()),
        ("SCOPE_CLASS_FILE", abi::CLASS_FILE.into()),
        ("SCOPE_CLASS_OPAQUE", abi::CLASS_OPAQUE.into()),
        ("SCOPE_PHASE_MAPPED", abi::PHASE_MAPPED.into()),
        ("SCOPE_PHASE_PATCHING", abi::PHASE_PATCHING.into()),
        ("SCOPE_PHASE_ATTACHED", abi::PHASE_ATTACHED.into()),
        ("SCOPE_PHASE_DETACHED", abi::PHASE_DETACHED.into()),
        ("SCOPE_KIND_PAD", abi::KIND_PAD.into()),
        ("SCOPE_KIND_PRE", abi::KIND_PRE.into()),
        ("SCOPE_KIND_POST", abi::KIND_POST.into()),
        ("SCOPE_FLAG_TRUNCATED", abi::FLAG_TRUNCATED.into()),
        ("SCOPE_FLAG_NO_DATA", abi::FLAG_NO_DATA.into()),
        ("SCOPE_FLAG_GO", abi::FLAG_GO.into()),
        ("SCOPE_FLAG_TOTAL", abi::FLAG_TOTAL.into()),
        ("SCOPE_TALLIES", abi::TALLIES as u64),
        ("SCOPE_PAGEMAP_SLOT(0x3fffe37f31ull, 0ull)", abi::pagemap_slot(0x3f_ffe3_7f31, 0)),
        ("SCOPE_PAGEMAP_SLOT(0x3fffe37f31ull, 7ull)", abi::pagemap_slot(0x3f_ffe3_7f31, 7)),
        ("SCOPE_CHUNK_DATA", abi::CHUNK_DATA.into()),
        ("SCOPE_CHUNK_ADDR", abi::CHUNK_ADDR.into()),
        ("SCOPE_CHUNK_PATH", abi::CHUNK_PATH.into()),
        ("SCOPE_CHUNK_FDS", abi::CHUNK_FDS.into()),
        ("SCOPE_CHUNK_ARGS", abi::CHUNK_ARGS.into()),
        ("SCOPE_CHUNK_LENS", abi::CHUNK_LENS.into()),
        ("SCOPE_SLOTS", abi::SLOTS as u64),
        ("SCOPE_SLOT_PROBES", abi::SLOT_PROBES as u64),
        ("SCOPE_SITE_AROUND", abi::SITE_AROUND.into()),
        ("SCOPE_SITE_CANCELLED", abi::SITE_CANCELLED.into()),
        ("SCOPE_UNWIND_NONE", abi::UNWIND_NONE.into()),
        ("SCOPE_PAGEMAP_BLOCKS", abi::PAGEMAP_BLOCKS as u64),
        ("SCOPE_PAGEMAP_PROBES", abi::PAGEMAP_PROBES as u64),
        ("SCOPE_SITE_MAX", abi::SITE_MAX as u64),
        ("SCOPE_SITE_POST", abi::SITE_POST.into()),
        ("SCOPE_SITE_PRE", abi::SITE_PRE.into()),
        ("SCOPE_SITE_GO_CALL", abi::SITE_GO_CALL.into()),
        ("SCOPE_SITE_GO_POST", abi::SITE_GO_POST.into()),
    ];
    checks.extend(constants.iter().map(|(name, value)| Check((*name).into(), *value)));
    checks
}

#[test]
fn the_header_and_this_crate_agree() {
    let checks = checks();
    let mut source = String::from("#include \"scope_abi.h\"\n");
    for (i, Check(expression, value)) in checks.iter().enumerate() {
        writeln!(source, "_Static_assert(({expression}) == {value}ull, \"{i}: {expression} is not {value}\");")
            .expect("a string grows");
    }
    writeln!(source, "_Static_assert(sizeof(SCOPE_MEMFD_NAME) == {}, \"the name\");", abi::MEMFD_NAME.len() + 1)
        .expect("a string grows");
    let dir = std::env::temp_dir().join(format!("scope-abi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let file = dir.join("layout.c");
    std::fs::write(&file, source).expect("a temporary file");
    let output = Command::new("cc")
        .args(["-std=c11", "-fsyntax-only", "-I", env!("CARGO_MANIFEST_DIR")])
        .arg(&file)
        .output()
        .expect("a C compiler");
    std::fs::remove_dir_all(&dir).expect("removable");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
