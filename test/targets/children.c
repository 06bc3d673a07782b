/* Makes children by every way that C libraries, shells and Go use. Each writes an amount of bytes of its own into a file
 * that bears the way's name, from its first moment on, and ends with a code of its own.
 *
 *   WAY -> "child WAY PID BYTES"       one of the ways below
 *   storm -> "storm CHILDREN"          one after the other by all ways until "stop", from a thread
 *   stop -> "stopped CHILDREN"         quit -> exit 0
 */
#include "tester.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#define CLEAR_SIGHAND 0x100000000ull

/* struct clone_args of linux/sched.h, which older headers lack. */
struct how {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

extern char **environ;
static const char *self;
static _Atomic int stop;
static _Atomic unsigned made;
static char stack[1 << 17] __attribute__((aligned(16)));

static unsigned bytes_of(const char *way) {
  unsigned n = 100;
  for (; *way; way++) n = n * 31 % 60000 + (unsigned char)*way;
  return n;
}

static unsigned code_of(const char *way) { return bytes_of(way) % 200 + 3; }

/* Only calls, no library state: also in a child of a thread. */
static int works(const char *way) {
  static char bytes[61000];
  const unsigned n = bytes_of(way);
  const int fd = open(way, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return 99;
  unsigned done = 0;
  while (done < n) {
    const ssize_t got = write(fd, bytes + done, n - done);
    if (got <= 0) return 98;
    done += (unsigned)got;
  }
  return close(fd) == 0 ? (int)code_of(way) : 97;
}

static int works_at(void *way) { _exit(works(way)); }

static int executes(void *way) {
  char *const arguments[] = {(char *)self, "child", way, NULL};
  execve(self, arguments, environ);
  _exit(96);
}

static pid_t by_fork(const char *way) {
  const pid_t pid = fork();
  if (pid == 0) _exit(works(way));
  return pid;
}

static pid_t by_fork_exec(const char *way) {
  const pid_t pid = fork();
  if (pid == 0) executes((char *)way);
  return pid;
}

static pid_t by_vfork(const char *way) {
  const pid_t pid = vfork();
  if (pid == 0) {
    char *const arguments[] = {(char *)self, "child", (char *)way, NULL};
    execve(self, arguments, environ);
    _exit(95);
  }
  return pid;
}

static pid_t by_clone(const char *way) { return clone(works_at, stack + sizeof stack, SIGCHLD, (void *)way); }

/* Without SIGCHLD the kernel tells of it as of a thread. */
static pid_t by_quiet_clone(const char *way) { return clone(works_at, stack + sizeof stack, 0, (void *)way); }

static pid_t by_files_clone(const char *way) {
  return clone(works_at, stack + sizeof stack, SIGCHLD | CLONE_FILES | CLONE_FS, (void *)way);
}

/* As Go starts a program. */
static pid_t by_vm_vfork_clone(const char *way) {
  return clone(executes, stack + sizeof stack, SIGCHLD | CLONE_VM | CLONE_VFORK, (void *)way);
}

static pid_t by_vm_clone(const char *way) {
  return clone(executes, stack + sizeof stack, SIGCHLD | CLONE_VM, (void *)way);
}

static pid_t by_clone3(const char *way) {
  struct how how = {.exit_signal = SIGCHLD};
  const pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
  if (pid == 0) _exit(works(way));
  return pid;
}

static pid_t by_clone3_pidfd(const char *way) {
  int pidfd = -1;
  struct how how = {.exit_signal = SIGCHLD, .flags = CLONE_PIDFD | CLEAR_SIGHAND, .pidfd = (uintptr_t)&pidfd};
  const pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
  if (pid == 0) _exit(works(way));
  close(pidfd);
  return pid;
}

static pid_t by_posix_spawn(const char *way) {
  char *const arguments[] = {(char *)self, "child", (char *)way, NULL};
  pid_t pid;
  CHECK(posix_spawn(&pid, self, NULL, NULL, arguments, environ) == 0);
  return pid;
}

/* The one who works is a grandchild; its parent hands its code on. */
static pid_t by_two_forks(const char *way) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const pid_t inner = fork();
  if (inner == 0) _exit(works(way));
  int status = 0;
  _exit(waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 94);
}

/* From a child on borrowed memory: what it forks has its own. */
static pid_t by_fork_in_vfork(const char *way) {
  const pid_t pid = vfork();
  if (pid != 0) return pid;
  const pid_t inner = (pid_t)syscall(SYS_fork);
  if (inner == 0) _exit(works(way));
  int status = 0;
  _exit(syscall(SYS_wait4, inner, &status, 0, NULL) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 93);
}

static const struct {
  const char *way;
  pid_t (*make)(const char *);
} ways[] = {
    {"fork", by_fork},           {"fork-exec", by_fork_exec},       {"vfork", by_vfork},
    {"clone", by_clone},         {"quiet-clone", by_quiet_clone},   {"files-clone", by_files_clone},
    {"vm-clone", by_vm_clone},   {"vm-vfork", by_vm_vfork_clone},   {"clone3", by_clone3},
    {"clone3-pidfd", by_clone3_pidfd}, {"posix_spawn", by_posix_spawn}, {"two-forks", by_two_forks},
    {"fork-in-vfork", by_fork_in_vfork},
};
enum { WAYS = sizeof ways / sizeof *ways };

static pid_t make(size_t i) {
  const pid_t pid = ways[i].make(ways[i].way);
  if (pid <= 0) fail("%s made no child", ways[i].way);
  int status = 0;
  if (waitpid(pid, &status, __WALL) != pid) fail("waitpid after %s", ways[i].way);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != (int)code_of(ways[i].way))
    fail("the child by %s ended with status %x, not code %u", ways[i].way, (unsigned)status, code_of(ways[i].way));
  atomic_fetch_add(&made, 1);
  return pid;
}

static void *storm(void *unused) {
  (void)unused;
  for (size_t i = 0; !atomic_load(&stop); i = (i + 1) % WAYS) make(i);
  return NULL;
}

int main(int count, char **arguments) {
  if (count == 3 && is(arguments[1], "child")) return works(arguments[2]);
  static char path[4096];
  CHECK(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  CHECK(count == 2 && chdir(arguments[1]) == 0);
  self = path;
  say("ready 1");
  pthread_t thread;
  int is_storming = 0;
  for (;;) {
    char word[32];
    next_command(word, sizeof word);
    if (is(word, "quit")) return 0;
    if (is(word, "storm")) {
      CHECK(pthread_create(&thread, NULL, storm, NULL) == 0);
      is_storming = 1;
      say("storm 0");
    } else if (is(word, "count")) {
      say("count %u", atomic_load(&made));
    } else if (is(word, "stop")) {
      atomic_store(&stop, 1);
      if (is_storming) pthread_join(thread, NULL);
      say("stopped %u", atomic_load(&made));
    } else {
      size_t i = 0;
      while (i < WAYS && !is(word, ways[i].way)) i++;
      if (i == WAYS) fail("no way %s", word);
      const pid_t pid = make(i);
      say("child %s %d %u", word, pid, bytes_of(word));
    }
  }
}
