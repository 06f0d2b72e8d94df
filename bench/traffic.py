#!/usr/bin/env python3
"""The two ends that are put around a program under callgrind: an upstream that answers, and a client that counts.

They take nothing but Python 3: a program under callgrind is slower than they are. The client looks at every answer, for
a figure for requests that failed would be a fine figure.

    traffic.py PORT     answers every request with 200 and 128 bytes
"""

import selectors
import socket
import sys

from load import HEADERS

BODY = b"x" * 128
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class WrongAnswer(Exception):
    pass


def upstream(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
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
            # A body has no empty line in it here, so each empty line is the end of one request's head.
            *heads, rest = (unanswered[connection] + received).split(b"\r\n\r\n")
            unanswered[connection] = rest
            connection.sendall(ANSWER * len(heads))


def send(request, port, count):
    """Each connection has one request under way; a round ends when all have their answer."""
    message = written(request)
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(request.connections)]
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while count > 0:
        round_of = sockets[:count]
        for connection in round_of:
            connection.sendall(message)
        for connection in round_of:
            read_answer(connection)
        count -= len(round_of)
    for connection in sockets:
        connection.close()


def written(request):
    headers = {"Host": "api.example.com", **HEADERS, **request.headers}
    method = "GET"
    if request.body_bytes:
        method = "POST"
        headers |= {"Content-Type": "application/json", "Content-Length": str(request.body_bytes)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + b"x" * request.body_bytes


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received or len(received.split(b"\r\n\r\n", 1)[1]) < len(BODY):
        piece = connection.recv(65536)
        received += piece
        if not piece or not received.startswith(b"HTTP/1.1 200 "[: len(received)]):
            break
    if not (received.startswith(b"HTTP/1.1 200 ") and received.endswith(BODY)):
        raise WrongAnswer(f"not the upstream's answer: {received[:400]!r}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    upstream(int(sys.argv[1]))
