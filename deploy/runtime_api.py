"""A double of the Lambda Runtime API, to run the packaged gateway outside Lambda: for the check of the Terraform module,
and for the benchmarks.

One process asks it for events, over kept connections, as Lambda's own does; what `invoke` hands out is answered in order.
"""

import json
import socket
import threading
import time
from queue import Empty, Queue

NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
SECONDS = 60  # that an event may take


class Failed(Exception):
    """The function said that it failed, or says nothing any more."""


class RuntimeApi:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.events, self.answers = Queue(), Queue()
        self.asked_at = Queue()  # when it was asked for an event, by the monotonic clock, in nanoseconds
        threading.Thread(target=self._accept, daemon=True).start()

    def environment(self, region):
        """What Lambda puts into the environment of a function's process."""
        return {
            "AWS_LAMBDA_RUNTIME_API": self.address,
            "AWS_LAMBDA_FUNCTION_NAME": "gateward",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_REGION": region,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "AWS_SESSION_TOKEN": "a-session-token",
        }

    def started(self, seconds=SECONDS):
        """Waits until an event is asked for, and says when that was; a function that cannot start has failed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return self.asked_at.get(timeout=0.01)
            except Empty:
                if not self.answers.empty():
                    raise Failed(self.answers.get()[1])
        raise Failed(f"no event was asked for in {seconds} s")

    def invoke(self, event, seconds=SECONDS):
        """Hands `event` out, and gives back the answer."""
        self.events.put((json.dumps(event), int((time.time() + seconds) * 1000)))
        try:
            path, body = self.answers.get(timeout=seconds)
        except Empty:
            raise Failed(f"no answer in {seconds} s")
        if not path.endswith("/response"):
            raise Failed(body)
        return json.loads(body)

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve_until_it_ends, args=(connection,), daemon=True).start()

    def _serve_until_it_ends(self, connection):
        try:
            self._serve(connection)
        except OSError:
            pass  # a process that was killed

    def _serve(self, connection):
        reader = connection.makefile("rb")
        while line := reader.readline():
            path = line.split()[1].decode()
            length = 0
            while (field := reader.readline().strip().lower()) != b"":
                if field.startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            body = reader.read(length)
            if path == NEXT:
                self.asked_at.put(time.monotonic_ns())
                self._hand_out(connection)
                continue
            self.answers.put((path, body.decode()))
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def _hand_out(self, connection):
        event, deadline = self.events.get()
        head = f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: id\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n"
        event = event.encode()
        connection.sendall(f"{head}Content-Length: {len(event)}\r\n\r\n".encode() + event)


def rest_event(method, path, body=None, headers=None, stage="default"):
    """What a REST API hands out for a request, as the Terraform module sets it up."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": None,
        "multiValueHeaders": {
            "Host": ["id.execute-api.us-east-2.amazonaws.com"],
            "X-Forwarded-For": ["192.0.2.1"],
            "X-Forwarded-Proto": ["https"],
            **{name: [value] for name, value in (headers or {}).items()},
        },
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "path": f"/{stage}{path}",
            "stage": stage,
            "domainName": "id.execute-api.us-east-2.amazonaws.com",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": body,
        "isBase64Encoded": False,
    }


TICK = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
