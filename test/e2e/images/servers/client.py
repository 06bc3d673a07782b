"""client.py URL COUNT [LANES]: GETs, each over a connection of its own, LANES at a time; prints each answer. 1 on failure."""

import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

url, count = sys.argv[1], int(sys.argv[2])
lanes = int(sys.argv[3]) if len(sys.argv) > 3 else 1


def get(_: int) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read().decode()


with ThreadPoolExecutor(lanes) as pool:
    for answer in pool.map(get, range(count)):
        sys.stdout.write(answer)
