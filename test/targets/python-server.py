"""Serves the files of a directory, and gives back what is posted to /echo. Arguments: port on 127.0.0.1, directory."""

import functools
import http.server
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


port, root = sys.argv[1:]
with Server(("127.0.0.1", int(port)), functools.partial(Handler, directory=root)) as server:
    print("ready", flush=True)
    server.serve_forever()
