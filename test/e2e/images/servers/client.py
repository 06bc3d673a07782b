"""client.py URL COUNT: GETs one after the other, each over a connection of its own; prints each answer. 1 on failure."""

import sys
import urllib.request

url, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    with urllib.request.urlopen(url, timeout=5) as response:
        sys.stdout.write(response.read().decode())
