/* A static program whose system calls have no room for a hook: around each `syscall` stand instructions of one and two
 * bytes only, and each is the target of a jump. Sleeps a second at a time for ever. */
        .globl _start
        .text
_start: push $0
        push $1
again:  push %rsp
        pop %rdi
        push $0
        pop %rsi
        push $35                /* nanosleep */
        pop %rax
        jmp 1f
1:      syscall
2:      jmp again
        .section .note.GNU-stack,"",@progbits
