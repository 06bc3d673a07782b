// Serves the files of a directory, and gives back what is posted to /echo. Whatever ends a step is an exception: the end
// of a connection, a file that is not there, and every answer; each is thrown past frames with destructors that made
// system calls a moment ago. Arguments: the port on 127.0.0.1, the directory.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

std::atomic<long> alive{0};

[[noreturn]] void fail(const char *what) {
  std::printf("FAIL %s\n", what);
  std::fflush(stdout);
  std::_Exit(1);
}

struct Closed {};

struct Answer {
  const char *status;
  std::string body;
};

struct Request {
  std::string method, path, body;
};

/* A descriptor that is closed however its scope is left. */
class Connection {
public:
  explicit Connection(int fd) : fd_(fd) { alive++; }
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;
  ~Connection() {
    if (close(fd_) != 0) fail("close in a destructor");
    alive--;
  }

  std::string line() {
    for (;;) {
      const size_t end = buffer_.find("\r\n");
      if (end != std::string::npos) {
        std::string found = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return found;
      }
      more();
    }
  }

  std::string bytes(size_t length) {
    while (buffer_.size() < length) more();
    std::string found = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return found;
  }

  void write_all(const std::string &text) {
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = send(fd_, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (n <= 0) throw Closed{};
      done += static_cast<size_t>(n);
    }
  }

private:
  void more() {
    char bytes[16384];
    const ssize_t n = read(fd_, bytes, sizeof bytes);
    if (n <= 0) throw Closed{};
    buffer_.append(bytes, static_cast<size_t>(n));
  }

  int fd_;
  std::string buffer_;
};

Request receive(Connection &from) {
  const std::string line = from.line();
  const size_t first = line.find(' '), second = line.find(' ', first + 1);
  if (second == std::string::npos) throw std::runtime_error("a request line without two spaces");
  Request request{line.substr(0, first), line.substr(first + 1, second - first - 1), {}};
  size_t length = 0;
  for (std::string header = from.line(); !header.empty(); header = from.line())
    if (strncasecmp(header.c_str(), "content-length:", 15) == 0) length = std::stoul(header.substr(15));
  request.body = from.bytes(length);
  return request;
}

[[noreturn]] void answer(const Request &request, const std::string &folder) {
  if (request.method == "POST" && request.path == "/echo") throw Answer{"200 OK", request.body};
  std::ifstream file(folder + request.path, std::ios::binary);
  if (!file) throw Answer{"404 Not Found", {}};
  throw Answer{"200 OK", std::string(std::istreambuf_iterator<char>(file), {})};
}

void serve(int fd, const std::string &folder) {
  try {
    Connection connection(fd);
    for (;;) {
      const Request request = receive(connection);
      try {
        answer(request, folder);
      } catch (const Answer &a) {
        std::string text = std::string("HTTP/1.1 ") + a.status + "\r\nContent-Length: " + std::to_string(a.body.size()) + "\r\n\r\n";
        if (request.method != "HEAD") text += a.body;
        connection.write_all(text);
      }
    }
  } catch (const Closed &) {
  } catch (const std::exception &e) {
    fail(e.what());
  }
}

} // namespace

int main(int count, char **arguments) {
  if (count != 3) fail("two arguments");
  const int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(arguments[1])));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 || listen(listener, 64) != 0) fail("listen");
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) fail("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::thread(serve, fd, std::string(arguments[2])).detach();
  }
}
