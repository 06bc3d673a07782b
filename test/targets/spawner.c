/* Starts children for ever, from several threads at once, and checks what each said and how it ended: posix_spawn (clone
 * with CLONE_VM and CLONE_VFORK), vfork and execve, fork with I/O of the child's own.
 *
 * Arguments: how many threads (default 2), and "vfork" for nothing but vfork: every second child then makes its calls on
 * its parent's memory and ends without an execve.
 *
 *   status -> "status CHILDREN"      quit -> same line, exit 0
 */
#include "tester.h"

#include <pthread.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern char **environ;
static _Atomic uint64_t children;
static _Atomic int stop;
static const char *self;
static unsigned parents = 2;

static void expect(pid_t pid, int in, unsigned code) {
  char text[64];
  size_t length = 0;
  for (;;) {
    const ssize_t n = read(in, text + length, sizeof text - length);
    if (n < 0) fail("read of a child's words");
    if (n == 0) break;
    length += (size_t)n;
  }
  close(in);
  char wanted[64];
  const int size = snprintf(wanted, sizeof wanted, "child %u\n", code);
  if (length != (size_t)size || memcmp(text, wanted, length) != 0) fail("a child said %.*s", (int)length, text);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) fail("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != (int)(code & 63)) fail("a child ended with status %x", (unsigned)status);
  atomic_fetch_add(&children, 1);
}

static pid_t by_posix_spawn(char *const *arguments, int out, unsigned code) {
  (void)code;
  pid_t pid;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  CHECK(posix_spawn(&pid, self, &actions, NULL, arguments, environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

static pid_t by_vfork(char *const *arguments, int out, unsigned code) {
  (void)code;
  const pid_t pid = vfork();
  if (pid == 0) {
    dup2(out, 1);
    execve(self, arguments, environ);
    _exit(99);
  }
  return pid;
}

static pid_t by_fork(char *const *arguments, int out, unsigned code) {
  (void)arguments;
  const pid_t pid = fork();
  if (pid == 0) {
    char text[64];
    const int length = snprintf(text, sizeof text, "child %u\n", code);
    _exit(write(out, text, (size_t)length) == length ? (int)(code & 63) : 98);
  }
  return pid;
}

static pid_t by_vfork_alone(char *const *arguments, int out, unsigned code) {
  (void)arguments;
  char text[64];
  const int length = snprintf(text, sizeof text, "child %u\n", code);
  const pid_t pid = vfork();
  if (pid == 0) _exit(write(out, text, (size_t)length) == length ? (int)(code & 63) : 96);
  return pid;
}

typedef pid_t (*way)(char *const *, int, unsigned);
static const way all[] = {by_posix_spawn, by_vfork, by_fork}, storm[] = {by_vfork, by_vfork_alone};
static const way *ways = all;
static unsigned way_count = sizeof all / sizeof *all;

static void *run(void *argument) {
  for (unsigned turn = (unsigned)(size_t)argument; !atomic_load(&stop); turn += parents) {
    int ends[2];
    char code[16];
    snprintf(code, sizeof code, "%u", turn);
    char *const arguments[] = {(char *)self, "child", code, NULL};
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t pid = ways[(turn / parents) % way_count](arguments, ends[1], turn);
    CHECK(pid > 0);
    close(ends[1]);
    expect(pid, ends[0], turn);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count > 2 && is(arguments[1], "child")) {
    printf("child %s\n", arguments[2]);
    return fflush(stdout) == 0 ? atoi(arguments[2]) & 63 : 97;
  }
  static char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  CHECK(length > 0);
  self = path;
  if (count > 1) parents = (unsigned)atoi(arguments[1]);
  if (count > 2 && is(arguments[2], "vfork")) ways = storm, way_count = sizeof storm / sizeof *storm;
  pthread_t threads[64];
  CHECK(parents > 0 && parents <= sizeof threads / sizeof *threads);
  for (size_t i = 0; i < parents; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
  say("ready %u", parents + 1);
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)children);
  }
  atomic_store(&stop, 1);
  for (unsigned i = 0; i < parents; i++) pthread_join(threads[i], NULL);
  say("status %llu", (unsigned long long)children);
  return 0;
}
