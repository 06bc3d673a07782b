/* Makes a child that ends at once and is never waited for: "ready PID". Ends with its input. */
#include "tester.h"

int main(void) {
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) _exit(0);
  usleep(100000);
  say("ready %d", pid);
  char word[16];
  for (;;) next_command(word, sizeof word);
}
