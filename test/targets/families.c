/* Makes every system call that opens, moves or closes, once each or a known number of times, on a file or socket that
 * carries the call's name, so that the event it must give can be told from all others. The amounts differ call by call.
 * test/extended/families.spec.ts holds the same amounts.
 *
 * Argument: a directory of its own.   go -> "done", exit 0 after the next line of input
 */
#include "tester.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

static unsigned char bytes[8192];

/* A system call in the program's own text, of the shape that compilers and libraries give it. glibc 2.36 has no wrapper
 * for these calls, and its syscall(2) does not tell from outside which one it makes. */
#define DIRECT(number, a, b, c, d) \
  ({ \
    long result; \
    register long r10 __asm__("r10") = (long)(d); \
    __asm__ volatile( \
        "mov %[nr], %%eax\n\tsyscall\n\tcmp $-4095, %%rax\n\tjb 1f\n1:" \
        : "=&a"(result) \
        : [nr] "i"(number), "D"((long)(a)), "S"((long)(b)), "d"((long)(c)), "r"(r10) \
        : "rcx", "r11", "memory", "cc"); \
    result; \
  })

static int make(const char *name) {
  const int fd = openat(AT_FDCWD, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) fail("cannot make %s", name);
  return fd;
}

/* A file that holds 4096 bytes, at its start; made by a first descriptor that moved nothing. */
static int filled(const char *name) {
  const int quiet = make(name);
  CHECK(ftruncate(quiet, 4096) == 0 && close(quiet) == 0);
  const int fd = open(name, O_RDWR);
  CHECK(fd >= 0);
  return fd;
}

static void opening(void) {
  int fd = open("by-open", O_RDWR | O_CREAT, 0600);
  CHECK(fd >= 0 && close(fd) == 0);
  CHECK((fd = (int)DIRECT(SYS_open, "by-plain-open", O_RDWR | O_CREAT, 0600, 0)) >= 0 && close(fd) == 0);
  const int here = open(".", O_RDONLY | O_DIRECTORY);
  CHECK((fd = openat(here, "by-openat", O_RDWR | O_CREAT, 0600)) >= 0 && close(fd) == 0);
  struct open_how how = {.flags = O_RDWR | O_CREAT, .mode = 0600};
  CHECK((fd = (int)DIRECT(SYS_openat2, here, "by-openat2", &how, sizeof how)) >= 0 && close(fd) == 0);
  CHECK((fd = creat("by-creat", 0600)) >= 0 && close(fd) == 0);
  CHECK(close(here) == 0);
  CHECK(open("not-there", O_RDONLY) == -1 && errno == ENOENT);
}

static void file_writes(void) {
  struct iovec two[2] = {{bytes, 10}, {bytes + 10, 20}};
  int fd;
  CHECK((fd = make("by-write")) >= 0 && write(fd, bytes, 101) == 101 && write(fd, bytes, 102) == 102 && close(fd) == 0);
  CHECK((fd = make("by-pwrite64")) >= 0 && pwrite(fd, bytes, 103, 5) == 103 && close(fd) == 0);
  CHECK((fd = make("by-writev")) >= 0 && writev(fd, two, 2) == 30 && close(fd) == 0);
  two[1].iov_len = 21;
  CHECK((fd = make("by-pwritev")) >= 0 && pwritev(fd, two, 2, 3) == 31 && close(fd) == 0);
  two[1].iov_len = 22;
  CHECK((fd = make("by-pwritev2")) >= 0 && pwritev2(fd, two, 2, 3, RWF_DSYNC) == 32 && close(fd) == 0);
}

static void file_reads(void) {
  unsigned char to[512];
  struct iovec two[2] = {{to, 10}, {to + 10, 23}};
  int fd;
  CHECK((fd = filled("by-read")) >= 0 && read(fd, to, 111) == 111 && read(fd, to, 112) == 112 && close(fd) == 0);
  CHECK((fd = filled("by-pread64")) >= 0 && pread(fd, to, 113, 7) == 113 && close(fd) == 0);
  CHECK((fd = filled("by-readv")) >= 0 && readv(fd, two, 2) == 33 && close(fd) == 0);
  two[1].iov_len = 24;
  CHECK((fd = filled("by-preadv")) >= 0 && preadv(fd, two, 2, 5) == 34 && close(fd) == 0);
  two[1].iov_len = 25;
  CHECK((fd = filled("by-preadv2")) >= 0 && preadv2(fd, two, 2, 5, 0) == 35 && close(fd) == 0);
}

/* Bytes that never pass through the program. */
static void copies(void) {
  int from, to, ends[2];
  CHECK((from = filled("sendfile-in")) >= 0 && (to = make("sendfile-out")) >= 0);
  CHECK(sendfile(to, from, NULL, 1001) == 1001);
  CHECK(close(from) == 0 && close(to) == 0);
  CHECK((from = filled("copy-in")) >= 0 && (to = make("copy-out")) >= 0);
  CHECK(copy_file_range(from, NULL, to, NULL, 1002, 0) == 1002);
  CHECK(close(from) == 0 && close(to) == 0);
  CHECK(pipe(ends) == 0);
  CHECK((from = filled("splice-in")) >= 0 && (to = make("splice-out")) >= 0);
  CHECK(splice(from, NULL, ends[1], NULL, 1003, 0) == 1003);
  CHECK(splice(ends[0], NULL, to, NULL, 1003, 0) == 1003);
  CHECK(close(from) == 0 && close(to) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void deleting(void) {
  CHECK(close(make("to-unlink")) == 0 && unlink("to-unlink") == 0);
  CHECK(close(make("to-unlinkat")) == 0 && unlinkat(AT_FDCWD, "to-unlinkat", 0) == 0);
  CHECK(close(make("to-rename")) == 0 && rename("to-rename", "renamed") == 0);
  CHECK(close(make("to-renameat")) == 0 && renameat(AT_FDCWD, "to-renameat", AT_FDCWD, "renamed-at") == 0);
  CHECK(close(make("to-renameat2")) == 0);
  CHECK(renameat2(AT_FDCWD, "to-renameat2", AT_FDCWD, "renamed-at2", RENAME_NOREPLACE) == 0);
}

/* Numbers that come and go: each file is closed only by the call named, as the last of its descriptors. */
static void duplicating(void) {
  int fd, copy;
  CHECK((fd = make("by-dup")) >= 0 && (copy = dup(fd)) >= 0 && close(fd) == 0);
  CHECK(write(copy, bytes, 121) == 121 && close(copy) == 0);
  CHECK((fd = make("by-dup2")) >= 0 && dup2(fd, 500) == 500 && close(fd) == 0);
  CHECK(write(500, bytes, 122) == 122 && close(500) == 0);
  CHECK((fd = make("by-dup3")) >= 0 && dup3(fd, 501, O_CLOEXEC) == 501 && close(fd) == 0);
  CHECK(write(501, bytes, 123) == 123 && close(501) == 0);
  CHECK((fd = make("by-dupfd")) >= 0 && (copy = fcntl(fd, F_DUPFD, 502)) == 502 && close(fd) == 0);
  CHECK(write(copy, bytes, 124) == 124 && close(copy) == 0);
  CHECK((fd = make("by-dupfd-cloexec")) >= 0 && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 503)) == 503 && close(fd) == 0);
  CHECK(write(copy, bytes, 125) == 125 && close(copy) == 0);
  CHECK((fd = make("by-close-range")) >= 0 && dup2(fd, 504) == 504 && close(fd) == 0);
  CHECK(write(504, bytes, 126) == 126 && close_range(504, 510, 0) == 0);
  CHECK((fd = make("by-replacing")) >= 0 && dup2(fd, 505) == 505 && close(fd) == 0);
  CHECK(write(505, bytes, 127) == 127);
  CHECK((fd = make("replacement")) >= 0 && dup2(fd, 505) == 505 && close(fd) == 0); /* closes by-replacing */
  CHECK(write(505, bytes, 128) == 128 && close(505) == 0);
}

/* A port that the kernel chose is known only from outside: a descriptor must live a moment for that to be seen. Listings may
 * take a twentieth of the time, and one of some milliseconds is none too rare: then the next may come 100 ms later. */
static void breathe(void) { usleep(500000); }

static void message(struct msghdr *m, struct iovec *part, size_t length) {
  memset(m, 0, sizeof *m);
  *part = (struct iovec){bytes, length};
  m->msg_iov = part;
  m->msg_iovlen = 1;
}

/* Six messages from `a` to `b`, by every call there is: 1 239 bytes. */
static void messages(int a, int b) {
  struct msghdr one;
  struct iovec part, parts[3];
  struct mmsghdr many[3];
  CHECK(send(a, bytes, 201, 0) == 201 && recv(b, bytes, 201, 0) == 201);
  CHECK(sendto(a, bytes, 202, 0, NULL, 0) == 202 && recvfrom(b, bytes, 202, 0, NULL, NULL) == 202);
  message(&one, &part, 203);
  CHECK(sendmsg(a, &one, 0) == 203);
  message(&one, &part, 203);
  CHECK(recvmsg(b, &one, 0) == 203);
  for (int i = 0; i < 3; i++) message(&many[i].msg_hdr, &parts[i], 210 + (size_t)i);
  CHECK(sendmmsg(a, many, 3, 0) == 3 && many[2].msg_len == 212);
  for (int i = 0; i < 3; i++) message(&many[i].msg_hdr, &parts[i], 300);
  CHECK(recvmmsg(b, many, 3, 0, NULL) == 3 && many[2].msg_len == 212);
}

static void sockets(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
  messages(pair[0], pair[1]);
  CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);

  for (int family = 0; family < 2; family++) { /* IPv4, IPv6 */
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = family ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t size = family ? sizeof six : sizeof four;
    const int domain = family ? AF_INET6 : AF_INET;
    const int listener = socket(domain, SOCK_STREAM, 0);
    CHECK(bind(listener, address, size) == 0 && listen(listener, 5) == 0);
    CHECK(getsockname(listener, address, &size) == 0);
    breathe();
    const int caller = socket(domain, SOCK_STREAM, 0);
    CHECK(connect(caller, address, size) == 0);
    struct sockaddr_in6 peer;
    socklen_t peer_size = sizeof peer;
    struct sockaddr *from = (struct sockaddr *)&peer;
    const int called =
        family ? accept4(listener, from, &peer_size, SOCK_CLOEXEC) : accept(listener, from, &peer_size);
    CHECK(called >= 0);
    CHECK(send(caller, bytes, 221, 0) == 221 && recv(called, bytes, 221, MSG_PEEK) == 221); /* looks: moves nothing */
    CHECK(recv(called, bytes, 221, 0) == 221);
    CHECK(write(called, bytes, 222) == 222 && read(caller, bytes, 222) == 222);
    breathe();
    CHECK(shutdown(caller, SHUT_WR) == 0 && recv(called, bytes, 1, 0) == 0);
    CHECK(close(caller) == 0 && close(called) == 0 && close(listener) == 0);

    const int heard = socket(domain, SOCK_DGRAM, 0);
    if (family) six.sin6_port = 0;
    else four.sin_port = 0;
    CHECK(bind(heard, address, size) == 0 && getsockname(heard, address, &size) == 0);
    const int speaker = socket(domain, SOCK_DGRAM, 0);
    CHECK(sendto(speaker, bytes, 231, 0, address, size) == 231);
    CHECK(recvfrom(heard, bytes, 300, 0, NULL, NULL) == 231);
    CHECK(close(speaker) == 0 && close(heard) == 0);
  }

  struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "listening.sock"};
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr *)&local, sizeof local) == 0 && listen(listener, 5) == 0);
  const int caller = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(caller, (struct sockaddr *)&local, sizeof local) == 0);
  const int called = accept4(listener, NULL, NULL, 0);
  CHECK(called >= 0);
  CHECK(write(caller, bytes, 241) == 241 && read(called, bytes, 241) == 241);
  CHECK(close(caller) == 0 && close(called) == 0 && close(listener) == 0);

  const int refused = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(1)};
  CHECK(connect(refused, (struct sockaddr *)&nobody, sizeof nobody) == -1 && errno == ECONNREFUSED);
  CHECK(close(refused) == 0);
}

static int only_exits(void *argument) { _exit((int)(intptr_t)argument); }

static void reap(pid_t pid, int code) {
  int status = 0;
  CHECK(pid > 0 && waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void children(void) {
  static char stack[65536] __attribute__((aligned(16)));
  char *const truth[] = {"true", NULL};
  pid_t pid = fork();
  if (pid == 0) _exit(3);
  reap(pid, 3);
  say("child fork %d", pid);
  pid = vfork();
  if (pid == 0) {
    execve("/bin/true", truth, NULL);
    _exit(9);
  }
  reap(pid, 0);
  say("child vfork %d", pid);
  pid = clone(only_exits, stack + sizeof stack, SIGCHLD, (void *)5);
  reap(pid, 5);
  say("child clone %d", pid);
  struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } how = {.exit_signal = SIGCHLD};
  pid = (pid_t)DIRECT(SYS_clone3, &how, sizeof how, 0, 0);
  if (pid == 0) _exit(6);
  reap(pid, 6);
  say("child clone3 %d", pid);
}

int main(int count, char **arguments) {
  CHECK(count == 2 && chdir(arguments[1]) == 0);
  char word[16];
  say("ready 1");
  next_command(word, sizeof word);
  CHECK(is(word, "go"));
  opening();
  file_writes();
  file_reads();
  copies();
  deleting();
  duplicating();
  sockets();
  children();
  CHECK(write(2, "a line of console\n", 18) == 18);
  say("done");
  next_command(word, sizeof word);
  return 0;
}
