// C++ threads that are cancelled: the stack is unwound through `catch (...) { throw; }`, and every destructor runs, in
// order.
//
// Argument: "waiting" for threads that sleep in a call by then, "busy" for threads that go in and out of calls without
// end, and are cancelled at any instruction.
//
//   status  -> "status CANCELLED"      quit -> same line, exit 0
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

constexpr int DEPTH = 5;
constexpr int PATIENCE_S = 30;

[[noreturn]] void fail(const char *what, int n) {
  std::printf("FAIL %s (%d)\n", what, n);
  std::fflush(stdout);
  std::_Exit(1);
}

void check(bool condition, const char *what) {
  if (!condition) fail(what, 0);
}

bool waiting;

struct Victim {
  int ends[2];
  std::atomic<pid_t> begun{0};
  std::atomic<bool> over{false};
  int destroyed = 0, caught = 0, disordered = 0;
};

struct Guard {
  Victim &victim;
  int level;
  ~Guard() {
    if (level != DEPTH - 1 - victim.destroyed) victim.disordered++;
    victim.destroyed++;
  }
};

void in_calls(Victim &victim) {
  char byte = 7;
  victim.begun = gettid();
  if (waiting) {
    if (recv(victim.ends[0], &byte, 1, 0) >= 0) fail("recv came back", 0);
  }
  while (!victim.over) {
    check(write(victim.ends[1], &byte, 1) == 1, "write");
    check(read(victim.ends[0], &byte, 1) == 1 && byte == 7, "read");
  }
}

void descend(Victim &victim, int level) {
  Guard guard{victim, level};
  try {
    if (level + 1 == DEPTH) in_calls(victim);
    else descend(victim, level + 1);
  } catch (...) {
    victim.caught++;
    throw;
  }
}

void *run(void *argument) {
  descend(*static_cast<Victim *>(argument), 0);
  return nullptr;
}

/* Whether the thread sleeps (proc(5): the third field of its stat). */
bool sleeps(pid_t tid) {
  char path[64], text[128] = "";
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  std::FILE *file = std::fopen(path, "r");
  check(file != nullptr && std::fgets(text, sizeof text, file) != nullptr, "stat of a thread");
  std::fclose(file);
  const char *end = std::strrchr(text, ')');
  return end != nullptr && end[2] == 'S';
}

std::atomic<unsigned long> cancelled{0};
std::atomic<bool> stop{false};

void *lane(void *) {
  unsigned seed = static_cast<unsigned>(pthread_self() >> 12) | 1;
  while (!stop) {
    Victim victim;
    // What is written to one end of a pipe comes out of the other; sockets stay silent.
    check(waiting ? socketpair(AF_UNIX, SOCK_STREAM, 0, victim.ends) == 0 : pipe(victim.ends) == 0, "a pair of ends");
    pthread_t thread;
    check(pthread_create(&thread, nullptr, run, &victim) == 0, "pthread_create");
    while (victim.begun == 0) sched_yield();
    while (waiting && !sleeps(victim.begun)) sched_yield();
    seed = seed * 1103515245u + 12345u;
    const unsigned delay = seed >> 16 & 255;
    if (delay > 40) usleep(delay);
    check(pthread_cancel(thread) == 0, "pthread_cancel");
    timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    void *result = nullptr;
    check(pthread_timedjoin_np(thread, &result, &limit) == 0, "a cancelled thread did not end");
    check(result == PTHREAD_CANCELED, "a cancelled thread ended otherwise");
    if (victim.destroyed != DEPTH) fail("destructors that ran", victim.destroyed);
    if (victim.caught != DEPTH) fail("handlers that ran", victim.caught);
    if (victim.disordered != 0) fail("destructors out of order", victim.disordered);
    check(close(victim.ends[0]) == 0 && close(victim.ends[1]) == 0, "close");
    cancelled++;
  }
  return nullptr;
}

} // namespace

int main(int count, char **arguments) {
  waiting = count > 1 && std::strcmp(arguments[1], "waiting") == 0;
  pthread_t threads[2];
  for (pthread_t &thread : threads) check(pthread_create(&thread, nullptr, lane, nullptr) == 0, "pthread_create");
  std::puts("ready");
  std::fflush(stdout);
  char word[16];
  while (std::fgets(word, sizeof word, stdin) != nullptr && std::strcmp(word, "quit\n") != 0) {
    std::printf("status %lu\n", cancelled.load());
    std::fflush(stdout);
  }
  stop = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  std::printf("status %lu\n", cancelled.load());
  return 0;
}
