"""Asks itself over one kept connection: each line of its input is a delay in seconds before the server's answer begins."""

import http.client
import http.server
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        time.sleep(float(self.path[1:]))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()
client = http.client.HTTPConnection("127.0.0.1", server.server_port)
print("ready", flush=True)
for line in sys.stdin:
    client.request("GET", "/" + line.strip())
    print("got", client.getresponse().read().decode(), flush=True)
