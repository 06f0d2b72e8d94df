#!/usr/bin/env python3
"""The two ends that bench/instructions.sh puts around the gateway: an upstream, and a client.

    traffic.py upstream                         answers every GET with 200 and 128 bytes; prints its port
    traffic.py routes URL KEY COUNT UPSTREAM    puts COUNT routes by the APISIX Admin API
    traffic.py ready URL                        waits until the gateway has read its routes
    traffic.py gets PORT CONNECTIONS COUNT      sends COUNT GETs over CONNECTIONS kept connections

It takes nothing but Python 3, and looks at every answer: a figure for requests that failed would be a fine figure.
"""

import json
import selectors
import socket
import sys
import time
import urllib.error
import urllib.request

# What a browser's call of an API carries, and a route in the middle of the others.
GET = (
    "GET /api/v1/service250/items/17?page=2 HTTP/1.1\r\n"
    "Host: api.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: application/json, text/plain, */*\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/items\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    "X-Trace: 4bf92f3577b34da6a3ce929d0e0e4736\r\n"
    "\r\n"
).encode()

BODY = b"x" * 128
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY


def upstream():
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    unanswered = {}
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(connection, selectors.EVENT_READ)
                unanswered[connection] = b""
                continue
            connection = key.fileobj
            try:
                received = connection.recv(65536)
            except ConnectionError:
                received = b""
            if not received:
                ready.unregister(connection)
                del unanswered[connection]
                connection.close()
                continue
            *requests, rest = (unanswered[connection] + received).split(b"\r\n\r\n")
            unanswered[connection] = rest
            connection.sendall(ANSWER * len(requests))


def routes(url, key, count, upstream):
    for number in range(count):
        route = {
            "uri": f"/api/v1/service{number}/*",
            "upstream": {"type": "roundrobin", "nodes": {upstream: 1}},
        }
        request = urllib.request.Request(
            f"{url}/apisix/admin/routes/r{number}",
            data=json.dumps(route).encode(),
            headers={"X-API-KEY": key, "Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


def ready(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=60):
                return
        except urllib.error.HTTPError:
            time.sleep(0.5)
    sys.exit("the gateway is not ready after a minute")


def gets(port, connections, count):
    """Each connection has one request under way; a round ends when all have their answer."""
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(connections)]
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while count > 0:
        round_of = sockets[:count]
        for connection in round_of:
            connection.sendall(GET)
        for connection in round_of:
            check(read_answer(connection))
        count -= len(round_of)


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received or len(received.split(b"\r\n\r\n", 1)[1]) < len(BODY):
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
        if not received.startswith(b"HTTP/1.1 200 "[: len(received)]):
            break
    return received


def check(answer):
    if not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(BODY)):
        sys.exit(f"an answer that is not the upstream's: {answer!r}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["upstream"]:
            upstream()
        case ["routes", url, key, count, node]:
            routes(url, key, int(count), node)
        case ["ready", url]:
            ready(url)
        case ["gets", port, connections, count]:
            gets(int(port), int(connections), int(count))
        case _:
            sys.exit(__doc__)
