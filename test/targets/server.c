/* Serves the files of a directory over HTTP/1.1, and gives back what is posted to /echo; a thread a connection, which is
 * kept open. It uses nothing that musl 1.2.2 lacks. Arguments: the port on 127.0.0.1, the directory. */
#include "tester.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { HEAD_MAX = 8192, BODY_MAX = 1 << 20 };

struct connection {
  int fd;
  size_t length; /* bytes that were received and not used yet */
  char bytes[HEAD_MAX];
};

/* At least one more byte. 0: the peer has closed. */
static int receive(struct connection *c) {
  CHECK(c->length < sizeof c->bytes);
  const ssize_t n = recv(c->fd, c->bytes + c->length, sizeof c->bytes - c->length, 0);
  if (n > 0) c->length += (size_t)n;
  return n > 0;
}

static void use(struct connection *c, size_t length) {
  c->length -= length;
  memmove(c->bytes, c->bytes + length, c->length);
}

static int answer(const struct connection *c, const char *status, const void *body, size_t length, int is_head) {
  char head[200];
  const int size = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, length);
  struct iovec parts[2] = {{head, (size_t)size}, {(void *)body, is_head ? 0 : length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  while (parts[0].iov_len + parts[1].iov_len > 0) {
    ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (sent <= 0) return 0;
    for (int i = 0; i < 2; i++) {
      const size_t n = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
      parts[i].iov_base = (char *)parts[i].iov_base + n;
      parts[i].iov_len -= n;
      sent -= (ssize_t)n;
    }
  }
  return 1;
}

static int give_file(const struct connection *c, const char *path, int is_head) {
  struct stat about;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return answer(c, "404 Not Found", "", 0, is_head);
  CHECK(fstat(fd, &about) == 0);
  const size_t size = (size_t)about.st_size;
  char *const body = malloc(size + 1);
  CHECK(body != NULL);
  for (size_t done = 0; done < size;) {
    const ssize_t n = read(fd, body + done, size - done);
    if (n <= 0) fail("read of %s returned %zd", path, n);
    done += (size_t)n;
  }
  CHECK(close(fd) == 0);
  const int sent = answer(c, "200 OK", body, size, is_head);
  free(body);
  return sent;
}

static int give_back(struct connection *c, size_t length) {
  char *const body = malloc(length + 1);
  CHECK(body != NULL);
  for (size_t done = 0; done < length;) {
    if (c->length == 0 && !receive(c)) return free(body), 0;
    const size_t n = c->length < length - done ? c->length : length - done;
    memcpy(body + done, c->bytes, n);
    use(c, n);
    done += n;
  }
  const int sent = answer(c, "200 OK", body, length, 0);
  free(body);
  return sent;
}

/* One request and its answer. 0: the connection is over. */
static int serve_one(struct connection *c) {
  char *end;
  while ((end = memmem(c->bytes, c->length, "\r\n\r\n", 4)) == NULL)
    if (!receive(c)) return 0;
  *end = 0;
  char method[8], path[256];
  if (sscanf(c->bytes, "%7s /%255s", method, path) != 2 || strstr(path, "..") != NULL)
    return answer(c, "400 Bad Request", "", 0, 0), 0;
  size_t length = 0;
  for (char *line = strstr(c->bytes, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
    if (strncasecmp(line + 2, "content-length:", 15) == 0) length = strtoul(line + 17, NULL, 10);
  use(c, (size_t)(end + 4 - c->bytes));
  if (length > BODY_MAX) return 0;
  return is(method, "POST") ? give_back(c, length) : give_file(c, path, is(method, "HEAD"));
}

static void *serve(void *argument) {
  struct connection *const c = argument;
  while (serve_one(c)) {
  }
  CHECK(close(c->fd) == 0);
  free(c);
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count == 3 && chdir(arguments[2]) == 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(arguments[1]));
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 128) == 0);
  say("ready");
  for (;;) {
    struct connection *const c = malloc(sizeof *c);
    CHECK(c != NULL);
    c->length = 0;
    c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (c->fd < 0) fail("accept");
    CHECK(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, serve, c) == 0 && pthread_detach(thread) == 0);
  }
}
