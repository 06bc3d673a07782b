"""Requests files over and over, each on a connection of its own, and compares every byte. Argument: the base URL.

run -> "running"; pause -> "paused REQUESTS BYTES"; one PATH -> "got STATUS BYTES"; quit: the same as pause, then the end.
The body of /pattern/N must be N bytes: byte i is (7 * i + N) mod 251.
"""

import sys
import threading
import urllib.error
import urllib.request

base = sys.argv[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
running = threading.Event()
idle = threading.Event()
idle.set()
requests = received = 0


def fetch(size):
    global requests, received
    with opener.open(f"{base}/pattern/{size}", timeout=20) as response:
        body = response.read()
    if body != bytes((7 * i + size) % 251 for i in range(size)):
        print(f"FAIL the body of /pattern/{size} differs", flush=True)
        sys.exit(1)
    requests += 1
    received += len(body)


def work():
    turn = 0
    while True:
        running.wait()
        idle.clear()
        try:
            while running.is_set():
                turn += 1
                fetch((turn * 397) % 5000)
        except OSError as error:
            print(f"FAIL {error}", flush=True)
        finally:
            idle.set()


def pause():
    running.clear()
    idle.wait()
    print(f"paused {requests} {received}", flush=True)


threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    command, *rest = line.split()
    if command == "run":
        running.set()
        print("running", flush=True)
    elif command == "pause":
        pause()
    elif command == "one":
        try:
            with opener.open(base + rest[0], timeout=20) as response:
                print("got", response.status, len(response.read()), flush=True)
        except urllib.error.HTTPError as error:
            print("got", error.code, len(error.read()), flush=True)
    elif command == "quit":
        pause()
        break
