//! Threads that are cancelled (pthread_cancel) while they run one of our hooks.
//!
//! glibc up to 2.40 makes each call at which a thread may be cancelled like this: from here on at any instruction; the system
//! call; from here on not. A cancellation that comes in between unwinds the stack from the very instruction that the signal
//! found, which may be one of ours, beside the system call. No unwind table of the program's tells how to go on from there:
//! its clean-up handlers would run, but no C++ destructor. So there is one more hook, in glibc's handler of that signal,
//! where the thread's fate is settled: it tells the unwinder that the thread stood where our hook was entered from
//! (`scope_cancelled` in payload.c). From 2.41 on, and in musl, the library asks for the instruction first, and no hook
//! is inside the region that it means.
use crate::calls;
use crate::funnels::shape;
use crate::module::Module;
use crate::plan::{Entry, Plan};
use crate::scan::{self, Decoded};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

/// Adds the hook, if the module holds such a handler. One that could not be recognised is noted.
pub fn plan(module: &Module, plan: &mut Plan) {
    // mov %fs:cleanup_jmp_buf,%rdi; call __pthread_unwind
    const UNWIND: [Option<u8>; 10] = shape(b"\x64\x48\x8b\x3c\x25????\xe8");
    if !module.is_libc() && !module.is_libpthread() {
        return;
    }
    for at in module.find_shapes(&UNWIND) {
        let Some(decoded) = module.function_at(at).and_then(|f| scan::decode(module, &f)) else { continue };
        let Some(index) = decoded.instructions.iter().position(|i| i.ip() == at) else { continue };
        if !is_handler(&decoded) {
            continue;
        }
        match decoded.window(index, false) {
            Ok(window) if window.depth.is_some() => return plan.push(&window, Entry::Cancelled, calls::BY_NUMBER),
            Ok(_) => plan.skip("CancellationUnfollowed"),
            Err(e) => plan.partial_at("pthread_cancel", &decoded.function.name, at, e.text()),
        }
    }
    let asks_first = plan.is_musl || plan.hooks.iter().any(|h| h.entry == Entry::KeepCancel);
    if !asks_first && module.function_named(&["pthread_cancel"]).is_some() {
        plan.skip("CancellationUnknown");
    }
}

/// `handler(signal, info, context)`: nothing unless signal is 32 and info->si_code is SI_TKILL.
fn is_handler(decoded: &Decoded) -> bool {
    const SIGCANCEL: u64 = 32;
    const SI_TKILL: u64 = 0xffff_ffff_ffff_fffa;
    const SI_CODE: u64 = 8;
    let compares = |i: &Instruction, value: u64| i.mnemonic() == Mnemonic::Cmp && immediate(i) == Some(value);
    let mut body = decoded.instructions.iter().skip_while(|i| i.code() == Code::Endbr64);
    let signal =
        body.by_ref().take(8).any(|i| compares(i, SIGCANCEL) && i.op0_register().full_register() == Register::RDI);
    let code = |i: &Instruction| {
        compares(i, SI_TKILL) && i.op0_kind() == OpKind::Memory && i.memory_displacement64() == SI_CODE
    };
    signal && body.any(code)
}

fn immediate(i: &Instruction) -> Option<u64> {
    let of_kind = matches!(
        i.op1_kind(),
        OpKind::Immediate8
            | OpKind::Immediate8to32
            | OpKind::Immediate32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    );
    // As a signed number: the 32-bit forms leave the upper half clear.
    of_kind.then(|| i.immediate(1)).map(|n| if n >> 31 == 1 { n | 0xffff_ffff_0000_0000 } else { n })
}
