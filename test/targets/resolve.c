/* Looks names up with the C library's resolver, at a name server of the harness's choice.
 * Argument: its IPv4 address (port 53).    A NAME -> "address ..." or "error N"
 */
#include "tester.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>

int main(int count, char **arguments) {
  CHECK(count == 2);
  CHECK(res_init() == 0);
  _res.nscount = 1;
  _res.nsaddr_list[0].sin_family = AF_INET;
  _res.nsaddr_list[0].sin_port = htons(53);
  CHECK(inet_pton(AF_INET, arguments[1], &_res.nsaddr_list[0].sin_addr) == 1);
  say("ready 1");
  for (;;) {
    char name[256], text[INET6_ADDRSTRLEN];
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    next_command(name, sizeof name);
    const int result = getaddrinfo(name, NULL, &hints, &found);
    if (result != 0) {
      say("error %d", result);
      continue;
    }
    CHECK(inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text) != NULL);
    say("address %s", text);
    freeaddrinfo(found);
  }
}
