/* Becomes another program under conditions that containers, sandboxes and hardened services have.
 *
 *   launch CONDITION… -- PROGRAM ARGUMENT…
 *
 *   seccomp=default   what a container's default filter refuses is refused (EPERM; clone3: ENOSYS)
 *   seccomp=kill      memfd_create and mappings that can be executed end the process
 *   mdwe              memory is never made executable once it was writable (PR_SET_MDWE)
 *   root=DIRECTORY    a root of its own, read-only, in a mount namespace of its own
 *   namespaces        user, mount, PID, network, IPC and UTS namespaces of its own; the program is a child, and this
 *                     process waits for it and ends as it did
 */
#include "tester.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* What the default filters of containerd and Docker leave out for a container without capabilities. */
static const unsigned refused[] = {
    SYS_acct, SYS_add_key, SYS_bpf, SYS_clock_adjtime, SYS_clock_settime, SYS_delete_module, SYS_fanotify_init,
    SYS_finit_module, SYS_fsconfig, SYS_fsmount, SYS_fsopen, SYS_fspick, SYS_get_mempolicy, SYS_init_module, SYS_ioperm,
    SYS_iopl, SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, SYS_kcmp, SYS_kexec_file_load,
    SYS_kexec_load, SYS_keyctl, SYS_lookup_dcookie, SYS_mbind, SYS_mount, SYS_move_mount, SYS_move_pages,
    SYS_open_by_handle_at, SYS_open_tree, SYS_perf_event_open, SYS_pivot_root, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_ptrace, SYS_quotactl, SYS_reboot, SYS_request_key, SYS_set_mempolicy, SYS_setns,
    SYS_settimeofday, SYS_swapoff, SYS_swapon, SYS_syslog, SYS_umount2, SYS_unshare, SYS_userfaultfd, SYS_vhangup,
};

enum { MOST = 512 };
static struct sock_filter program[MOST];
static unsigned short length;

static void add(struct sock_filter instruction) {
  CHECK(length < MOST);
  program[length++] = instruction;
}

static void load(unsigned offset) { add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); }

static void when(unsigned value, unsigned verdict) {
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* The filter is one that the program is kept from changing, as containers are. */
static void filter(int kills) {
  length = 0;
  load(offsetof(struct seccomp_data, nr));
  if (kills) {
    when(SYS_memfd_create, SECCOMP_RET_KILL_PROCESS);
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3));
    load(offsetof(struct seccomp_data, args[2]));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  } else {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) when(refused[i], SECCOMP_RET_ERRNO | EPERM);
    when(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
  }
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const struct sock_fprog whole = {length, program};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0);
}

static void enter_root(const char *folder) {
  CHECK(unshare(CLONE_NEWNS) == 0);
  CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  CHECK(mount(folder, folder, NULL, MS_BIND, NULL) == 0);
  CHECK(mount(NULL, folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
  CHECK(chroot(folder) == 0 && chdir("/") == 0);
}

static void put(const char *path, const char *text) {
  const int fd = open(path, O_WRONLY);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void enter_namespaces(void) {
  CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0);
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", "0 0 1");
  put("/proc/self/gid_map", "0 0 1");
  struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback) == 0 && close(fd) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    return;
  }
  close(0), close(1), close(2);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int count, char **arguments) {
  int at = 1, kills = -1;
  for (; at < count && !is(arguments[at], "--"); at++) {
    const char *condition = arguments[at];
    if (is(condition, "seccomp=default")) kills = 0;
    else if (is(condition, "seccomp=kill")) kills = 1;
    else if (is(condition, "mdwe")) CHECK(prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0);
    else if (strncmp(condition, "root=", 5) == 0) enter_root(condition + 5);
    else if (is(condition, "namespaces")) enter_namespaces();
    else fail("unknown condition %s", condition);
  }
  CHECK(at + 1 < count);
  /* Last of all: execve itself maps code, and that is the kernel's doing; the loader's own mappings would be ended. */
  if (kills >= 0) filter(kills);
  execv(arguments[at + 1], arguments + at + 1);
  fail("cannot execute %s", arguments[at + 1]);
}
