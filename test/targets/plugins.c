/* Libraries that come and go, with system calls of their own in them: each thread loads a copy, moves verified bytes
 * through it, and unloads it, once at a time or after a while.
 *
 * Arguments: copies of plugin.c's library, one a thread.
 *
 *   status -> "status LOADS"      quit -> same line, exit 0
 */
#include "tester.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

typedef ssize_t (*put)(int, const void *, size_t);
typedef ssize_t (*get)(int, void *, size_t);

static _Atomic uint64_t loads;
static _Atomic int stop;

static void *run(void *argument) {
  const char *const path = argument;
  const unsigned id = (unsigned)(size_t)argument;
  int ends[2];
  CHECK(pipe(ends) == 0);
  for (uint64_t turn = 0; !atomic_load(&stop); turn++) {
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail("dlopen: %s", dlerror());
    put plugin_write;
    get plugin_read;
    *(void **)&plugin_write = dlsym(library, "plugin_write");
    *(void **)&plugin_read = dlsym(library, "plugin_read");
    CHECK(plugin_write != NULL && plugin_read != NULL);
    const int stays = turn % 64 == 0; /* long enough to be hooked */
    for (unsigned i = 0; i < (stays ? 200 : 2); i++) {
      unsigned char bytes[300];
      fill(bytes, sizeof bytes, turn + i, id);
      if (plugin_write(ends[1], bytes, sizeof bytes) != (ssize_t)sizeof bytes) fail("write");
      memset(bytes, 0, sizeof bytes);
      if (plugin_read(ends[0], bytes, sizeof bytes) != (ssize_t)sizeof bytes) fail("read");
      verify(bytes, sizeof bytes, turn + i, id);
      if (stays) usleep(500);
    }
    CHECK(dlclose(library) == 0);
    atomic_fetch_add(&loads, 1);
    if (turn % 4 == 0) usleep(200);
  }
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count > 1 && count < 16);
  pthread_t threads[16];
  for (int i = 1; i < count; i++) CHECK(pthread_create(&threads[i], NULL, run, arguments[i]) == 0);
  say("ready %d", count);
  for (;;) {
    char word[16];
    next_command(word, sizeof word);
    if (is(word, "quit")) break;
    say("status %llu", (unsigned long long)loads);
  }
  atomic_store(&stop, 1);
  for (int i = 1; i < count; i++) pthread_join(threads[i], NULL);
  say("status %llu", (unsigned long long)loads);
  return 0;
}
