"""uvicorn on uvloop and httptools: serves the files of a directory. Arguments: port on 127.0.0.1, directory."""

import pathlib
import sys

import uvicorn

port, root = sys.argv[1:]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (pathlib.Path(root) / scope["path"].lstrip("/")).read_bytes()
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


uvicorn.run(app, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", log_level="warning")
