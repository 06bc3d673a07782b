"""A threaded HTTP server of the standard library: GET answers "python", POST the length of what came."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.reply("python\n")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.reply(f"{len(self.rfile.read(length))}\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
