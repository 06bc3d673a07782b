/* Where hooks arrive. Rules for everything in this file and below it:
 *   - no system call, no lock, no wait; general registers only; at most 448 bytes of a goroutine's stack (a test of the
 *     injector walks every way through here)
 *   - every register but rcx and r11 (dead around a system call) comes back as it was
 *   - the first test is `enabled`, so that a detached or forked copy costs two loads and a branch
 *
 * A trampoline (made by the injector, one a site) does:
 *   lea -128(%rsp),%rsp     the red zone; not in Go, which has none
 *   mov $nr,%ecx
 *   call scope_enter_post   or scope_enter_pre, scope_enter_go_post
 *   lea 128(%rsp),%rsp
 *   <the displaced instruction>
 *   jmp <the one after it>
 */
#define ENABLED 0
#define CLASS_TABLE 32
#define GO_TAG 80
#define TIMING 112

  .section .head, "ax"
  .globl scope_head
  .hidden scope_head
  .hidden scope_state_address
scope_head:
  .quad 0x31444c5941504353            /* "SCPAYLD1" */
  .long SCOPE_ABI_VERSION_VALUE
  .long 0                             /* padding */
  .globl scope_state_address
scope_state_address:
  .quad 0                             /* +16 filled in by the injector */
scope_go_target:
  .quad 0                             /* +24 Go's Syscall6 */
  .globl scope_features
  .hidden scope_features
scope_features:
  .long 0                             /* +32 bit 0: RDPID is there */
  .long 0
  .long scope_enter_post - scope_head /* +40, in the order of plan::Entry */
  .long scope_enter_pre - scope_head
  .long scope_enter_go_post - scope_head
  .long scope_enter_go_call - scope_head
  .long scope_enter_keep - scope_head
  .long scope_enter_keep_cancel - scope_head
  .long scope_enter_keep_cp - scope_head
  .long scope_enter_kept - scope_head
  .long scope_enter_kept_return - scope_head
  .long scope_enter_before_clone - scope_head
  .long scope_enter_cancelled - scope_head
  .globl scope_unwind_table
  .hidden scope_unwind_table
scope_unwind_table:
  .long 0                             /* +84 offset of its first row in this image, filled in by the injector */
  .long 0                             /* +88 rows */
  .long 0                             /* padding */
  .globl scope_areas
  .hidden scope_areas
scope_areas:
  .fill 2 * SCOPE_MAX_AREAS_VALUE, 8, 0 /* +96 struct scope_area[]: every area, filled in by the injector */

/* Every change of the stack pointer is told, for the table of unwind rows that the injector's build makes of it. */
.macro PUSHED what
  push \what
  .cfi_adjust_cfa_offset 8
.endm
.macro POPPED what
  pop \what
  .cfi_adjust_cfa_offset -8
.endm
.macro ENTRY name
  .p2align 4
\name:
  .cfi_startproc
.endm
.macro ENDED
  .cfi_endproc
.endm

/* struct frame, highest address first: result, a1 .. a6 */
.macro SAVE
  PUSHED %rax
  PUSHED %rdi
  PUSHED %rsi
  PUSHED %rdx
  PUSHED %r10
  PUSHED %r8
  PUSHED %r9
.endm
.macro RESTORE
  POPPED %r9
  POPPED %r8
  POPPED %r10
  POPPED %rdx
  POPPED %rsi
  POPPED %rdi
  POPPED %rax
.endm

  .section .entry, "ax"
  ENTRY scope_enter_post
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  SAVE
  mov %rsp, %rdi
  mov %r11, %rsi
  mov %ecx, %edx
  call scope_post
  RESTORE
1:
  ret
  ENDED

/* What is written to a file, or to a stream whose bytes nobody looks at, is counted behind the call: before it there is nothing
 * to do, which is found out with rcx and r11 alone. */
  ENTRY scope_enter_pre
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  cmp $SCOPE_WRITE, %ecx
  jne 2f
  cmpl $0, TIMING(%r11)
  jne 2f
  cmp $SCOPE_CLASS_COUNT_VALUE, %edi
  jae 2f
  mov %edi, %ecx
  add CLASS_TABLE(%r11), %rcx
  cmpb $SCOPE_CLASS_UNKNOWN_VALUE, (%rcx)
  jne 1f
  mov $SCOPE_WRITE, %ecx
2:
  SAVE
  mov %rsp, %rdi
  mov %r11, %rsi
  mov %ecx, %edx
  call scope_pre
  RESTORE
1:
  ret
  ENDED

/* Go, behind Syscall6's system call: r12 holds go_tag | number when scope_enter_go_call put it there, else anything. */
  ENTRY scope_enter_go_post
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  mov %r12, %rcx
  xor GO_TAG(%r11), %rcx
  cmp $SCOPE_NUMBERS, %rcx
  jae 1f
  xor %r12d, %r12d
  SAVE
  mov %rsp, %rdi
  mov %r11, %rsi
  mov %ecx, %edx
  or $SCOPE_GO_BIT, %edx
  call scope_post
  RESTORE
1:
  ret
  ENDED

/* Go, instead of `call Syscall6` in RawSyscall6 (ABIInternal: rax = number; rbx rcx rdi rsi r8 r9 = arguments;
 * r12, r13, rdx free). Leaves nothing on the goroutine's stack: ends in a jump. */
  ENTRY scope_enter_go_call
  mov scope_state_address(%rip), %r13
  xor %r12d, %r12d
  cmpl $0, ENABLED(%r13)
  je 1f
  cmp $SCOPE_NUMBERS, %rax
  jae 1f
  bt %rax, scope_wanted(%rip)
  jnc 1f
  mov GO_TAG(%r13), %r12
  or %rax, %r12
  bt %rax, scope_before(%rip)
  jc 2f
  cmpl $0, TIMING(%r13)
  je 1f
  bt %rax, scope_timed(%rip)
  jnc 1f
2:
  PUSHED %rax
  PUSHED %rbx
  PUSHED %rcx
  PUSHED %rdi
  PUSHED %rsi
  PUSHED %r8
  PUSHED %r9
  mov %eax, %edx
  or $SCOPE_GO_BIT, %edx
  mov %rsp, %rdi
  mov %r13, %rsi
  call scope_pre
  POPPED %r9
  POPPED %r8
  POPPED %rsi
  POPPED %rdi
  POPPED %rcx
  POPPED %rbx
  POPPED %rax
1:
  jmp *scope_go_target(%rip)
  ENDED

/* Around a call whose arguments are gone behind it. Each gets, in ecx or eax, the distance from the stack pointer here to
 * where it was when the library's function was entered: by that the two find each other. */

/* Before a `syscall`: number in rax, arguments as the kernel wants them; rcx is free. */
  ENTRY scope_enter_keep
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  SAVE
  mov %rsp, %rdi
  mov %r11, %rsi
  mov %eax, %edx
  lea 56(%rsp,%rcx), %rcx
  call scope_keep
  RESTORE
1:
  ret
  ENDED

/* At glibc's `call __internal_syscall_cancel`: arguments as C passes them, the number as the seventh; rax is free. */
  ENTRY scope_enter_keep_cancel
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  PUSHED %rax
  PUSHED %rdi
  PUSHED %rsi
  PUSHED %rdx
  PUSHED %rcx
  PUSHED %r8
  PUSHED %r9
  mov %rsp, %rdi
  mov %r11, %rsi
  mov 56+16(%rsp), %edx
  lea 56(%rsp,%rax), %rcx
  call scope_keep
  POPPED %r9
  POPPED %r8
  POPPED %rcx
  POPPED %rdx
  POPPED %rsi
  POPPED %rdi
  POPPED %rax
1:
  ret
  ENDED

/* At musl's `call __syscall_cp`: number and five arguments as C passes them, the sixth as the seventh; rax is free. */
  ENTRY scope_enter_keep_cp
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  PUSHED %rdi
  PUSHED %rax
  PUSHED %rsi
  PUSHED %rdx
  PUSHED %rcx
  PUSHED %r8
  PUSHED %r9
  pushq 56+16(%rsp)
  .cfi_adjust_cfa_offset 8
  mov %edi, %edx
  mov %rsp, %rdi
  mov %r11, %rsi
  lea 64(%rsp,%rax), %rcx
  call scope_keep
  POPPED %r9
  POPPED %r9
  POPPED %r8
  POPPED %rcx
  POPPED %rdx
  POPPED %rsi
  POPPED %rax
  POPPED %rdi
1:
  ret
  ENDED

/* At musl's `call __clone`: function, stack, flags and so on as C passes them. */
  ENTRY scope_enter_before_clone
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  PUSHED %rdi
  PUSHED %rdx /* where the frame has a1: the call's flags */
  PUSHED %rsi
  PUSHED %rdx
  PUSHED %rcx
  PUSHED %r8
  PUSHED %r9
  mov %rsp, %rdi
  mov %r11, %rsi
  mov $SCOPE_CLONE, %edx
  call scope_pre
  POPPED %r9
  POPPED %r8
  POPPED %rcx
  POPPED %rdx
  POPPED %rsi
  POPPED %rdx
  POPPED %rdi
1:
  ret
  ENDED

/* Behind the call: result in rax; rcx is free. */
  ENTRY scope_enter_kept
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  SAVE
  mov %r11, %rdi
  lea 56(%rsp,%rcx), %rsi
  mov %rax, %rdx
  call scope_kept
  RESTORE
1:
  ret
  ENDED

/* At the branch to musl's `__syscall_ret`: result in rdi, all else free but what a function must keep. */
  ENTRY scope_enter_kept_return
  mov scope_state_address(%rip), %r11
  cmpl $0, ENABLED(%r11)
  je 1f
  lea (%rsp,%rcx), %rsi
  PUSHED %rdi
  mov %rdi, %rdx
  mov %r11, %rdi
  call scope_kept
  POPPED %rdi
1:
  ret
  ENDED

/* In glibc's handler of its own signal for cancellation, where it has made up its mind: the thread will not come back. All
 * registers but those that a function must keep are free. */
  ENTRY scope_enter_cancelled
  lea (%rsp,%rcx), %rdi
  call scope_cancelled
  ret
  ENDED

  .section .note.GNU-stack, "", @progbits
