"""Does one thing for each kind of event when it is told to. Arguments: folder of its own, address of a name server."""

import http.client
import http.server
import os
import socket
import struct
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"order":7}\n'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def files(folder):
    path = os.path.join(folder, "orders.json")
    with open(path, "w") as file:
        file.write('{"order":7}\n')
    os.rename(path, path + ".done")
    os.unlink(path + ".done")
    os.mkdir(path)
    os.rmdir(path)
    try:
        open(os.path.join(folder, "prices.json"))
    except FileNotFoundError:
        pass


def connections():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = http.client.HTTPConnection("127.0.0.1", server.server_port)
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    client.request("GET", "/orders?id=7", headers={"X-Request-Id": "a-1", "User-Agent": "shop/1.0", **trace})
    client.getresponse().read()
    client.close()
    server.shutdown()
    server.server_close()
    with socket.socket() as refused:
        refused.bind(("127.0.0.1", 0))
        with socket.socket() as client:
            client.connect_ex(refused.getsockname())


def names(server):
    question = b"".join(bytes([len(label)]) + label for label in (b"orders", b"shop", b"test")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        asking.send(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + question + struct.pack("!2H", 1, 1))
        asking.recv(512)


def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def main(folder, name_server):
    print("ready", flush=True)
    kept = None
    for line in sys.stdin:
        match line.split():
            case ["everything"]:
                files(folder)
                connections()
                names(name_server)
                child()
                kept = open(os.path.join(folder, "journal"), "w"), socket.socketpair()
                kept[0].write("begun\n")
                kept[0].flush()
                kept[1][0].send(b"begun")
                print("order 7 is done", flush=True)
                print("done", flush=True)
            case ["flood"]:
                for _ in range(3000):
                    os.close(os.open(folder, os.O_RDONLY))
                print("done", flush=True)
            case ["become", *command]:
                os.execv(command[0], command)
            case ["end"]:
                sys.exit(7)


main(*sys.argv[1:])
