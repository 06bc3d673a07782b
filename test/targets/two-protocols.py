"""A threaded server of two protocols: HTTP, and one that gives back what it gets. Each connection speaks the one that it
begins with; numbers of descriptors go from one to the other all the time. Argument: port on 127.0.0.1."""

import socket
import sys
import threading

LISTENERS = 4


def serve(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                if data.startswith(b"GET "):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                else:
                    connection.sendall(data)


with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64) as server:
    threads = [threading.Thread(target=serve, args=(server,), daemon=True) for _ in range(LISTENERS)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
