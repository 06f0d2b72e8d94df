"""A Lambda function behind an API Gateway that wants a signature (AWS_IAM) or an API key.

It computes Signature V4 again with botocore over what came in, so that it is a judge with no code in common with
Gateward: method, path, query, the signed headers as received, and the digest of the body that really came.
Wrong signatures are answered with 403 and the sentence that AWS would say. What is right is answered with an echo.

Under the two paths of Lambda's Invoke API it is that instead: there are functions called `echo` (returns the event),
`integration` (answers as API Gateway wants it), `crash`, `busy-N` (throttles N calls, then echoes), `slow` (never
answers in time) and, of those that stream, `stream`, `stream-crash` and `echo`.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import hmac
import json
import re
import struct
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
INVOKE = re.compile(
    r"/(?:2015-03-31/functions/(?P<buffered>[^/]+)/invocations"
    r"|2021-11-15/functions/(?P<streamed>[^/]+)/response-streaming-invocations)"
)
LARGEST_EVENT = {"RequestResponse": 6 * 1024 * 1024, "Event": 1024 * 1024}
CLOCK_SKEW = datetime.timedelta(minutes=5)


class Forbidden(Exception):
    """What the caller is told with status 403."""


class ExactSigner(SigV4Auth):
    """Takes the headers that the caller signed, where botocore would choose for itself."""

    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def check_signature(settings, method, target, headers, body):
    """Raises Forbidden unless the request was signed as AWS wants it."""
    given = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not given:
        raise Forbidden("Missing Authentication Token")
    stamp = headers.get("x-amz-date", "")
    try:
        signed_at = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Forbidden("Date must be in ISO-8601 'basic format'") from None
    if abs(datetime.datetime.now(datetime.timezone.utc) - signed_at) > CLOCK_SKEW:
        raise Forbidden("Signature expired or not yet current")
    scope = f"{settings.access_key}/{stamp[:8]}/{settings.region}/{settings.service}/aws4_request"
    if given["credential"] != scope:
        raise Forbidden("Credential should be scoped to a valid key, date, region, service")

    signed = given["signed"].split(";")
    must_be_signed = {"host"} | {name.lower() for name in headers.keys() if name.lower().startswith("x-amz-")}
    unsigned = sorted(must_be_signed - set(signed))
    if unsigned or signed != sorted(signed):
        raise Forbidden("'Host' and every 'X-Amz-' header must be in SignedHeaders, in order: " + ", ".join(unsigned))
    digest = headers.get("x-amz-content-sha256")
    if digest is not None and digest != hashlib.sha256(body).hexdigest():
        raise Forbidden("The provided 'x-amz-content-sha256' header does not match what was computed")

    received = HTTPHeaders()
    for name in signed:
        for value in headers.get_all(name, []):
            received[name] = value
    request = AWSRequest(method=method, url="http://" + headers["host"] + target, data=body)
    request.headers = received
    request.context["timestamp"] = stamp
    signer = ExactSigner(Credentials(settings.access_key, settings.secret_key), settings.service, settings.region)
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    if not hmac.compare_digest(expected, given["signature"]):
        # The canonical request holds no secret, and is what a person compares.
        print("signature differs; the canonical request here was: " + json.dumps(canonical), flush=True)
        raise Forbidden("The request signature we calculated does not match the signature you provided")


class Function(BaseHTTPRequestHandler):
    """One connection; `settings` is set on the class."""

    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two writes: without this a keep-alive connection waits 40 ms for each.
    disable_nagle_algorithm = True
    settings = None
    throttled = {}
    lock = threading.Lock()

    def handle_any(self):
        # self.path has repeated slashes removed; a signature is over what was sent.
        target = self.requestline.split(" ")[1]
        body = self.read_body()
        try:
            if self.settings.access_key is not None:
                check_signature(self.settings, self.command, target, self.headers, body)
            if self.settings.api_key is not None:
                given = self.headers.get("x-api-key", "")
                if not hmac.compare_digest(given.encode(), self.settings.api_key.encode()):
                    raise Forbidden("Forbidden")
        except Forbidden as forbidden:
            error = "ForbiddenException" if self.settings.access_key is None else "InvalidSignatureException"
            self.answer(403, {"message": str(forbidden)}, {"x-amzn-ErrorType": error})
            return
        path, _, query = target.partition("?")
        if invoked := INVOKE.fullmatch(path):
            self.invoke(invoked, query, body)
            return
        headers = {}
        for name in self.headers.keys():
            headers[name.lower()] = ", ".join(self.headers.get_all(name))
        # A key that is told back would look like a leak to whoever searches the answers.
        if "x-api-key" in headers:
            headers["x-api-key"] = "(present)"
        self.answer(
            200,
            {
                "message": f"Hello, {self.name_of(query, body)}!",
                "method": self.command,
                "path": path,
                "query": query,
                "headers": headers,
                "body_sha256": hashlib.sha256(body).hexdigest(),
            },
        )

    def invoke(self, invoked, query, body):
        """Plays Lambda's Invoke API."""
        name = unquote(invoked["buffered"] or invoked["streamed"]).rsplit("function:", 1)[-1]
        kind = self.headers.get("x-amz-invocation-type", "RequestResponse")
        print(f"invoked {name} {kind} {query}", flush=True)
        if self.command != "POST":
            self.refuse(405, "MethodNotAllowedException")
        elif len(body) > LARGEST_EVENT.get(kind, LARGEST_EVENT["RequestResponse"]):
            self.refuse(413, "RequestTooLargeException")
        elif name.startswith("busy-") and self.is_throttled(name):
            self.refuse(429, "TooManyRequestsException")
        elif name not in FUNCTIONS and not name.startswith("busy-"):
            self.refuse(404, "ResourceNotFoundException")
        elif kind == "DryRun":
            self.give(204, b"")
        elif kind == "Event":
            self.give(202, b"")
        elif invoked["streamed"]:
            self.stream(name, body)
        else:
            function = FUNCTIONS.get(name, FUNCTIONS["echo"])
            returned, headers = function(json.loads(body), body)
            if self.headers.get("x-amz-log-type") == "Tail":
                headers["X-Amz-Log-Result"] = base64.b64encode(b"the end of the log").decode()
            self.give(200, returned, headers)

    def is_throttled(self, name):
        with self.lock:
            count = self.throttled[name] = self.throttled.get(name, 0) + 1
        return count <= int(name.removeprefix("busy-"))

    def refuse(self, status, error):
        sentence = json.dumps({"Type": "User", "Message": f"{error}: arn:aws:lambda:us-east-1:123456789012:function:x"})
        self.give(status, sentence.encode(), {"x-amzn-ErrorType": f"{error}:http://internal.example/"})

    def give(self, status, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, name, event):
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces, completion = STREAMS.get(name, STREAMS["echo"])(event)
        for piece in pieces:
            self.send_chunk(message("PayloadChunk", "application/octet-stream", piece))
        self.send_chunk(message("InvokeComplete", "application/json", json.dumps(completion).encode()))
        self.wfile.write(b"0\r\n\r\n")

    def send_chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def name_of(self, query, body):
        if names := parse_qs(query).get("name"):
            return names[0]
        try:
            return json.loads(body).get("name", "world")
        except (ValueError, AttributeError):
            return "world"

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def answer(self, status, content, headers=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any


def echo(event, body):
    return body, {}


def integration(event, body):
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain; charset=utf-8"},
        "multiValueHeaders": {"X-Twice": ["1", "2"]},
        "cookies": ["a=1", "b=2"],
        "body": f"Hello, {name}!",
    }
    return json.dumps(answer).encode(), {}


def crash(event, body):
    left = {"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "stackTrace": ["a line"]}
    return json.dumps(left).encode(), {"X-Amz-Function-Error": "Unhandled"}


def slow(event, body):
    time.sleep(5)
    return body, {}


FUNCTIONS = {"echo": echo, "integration": integration, "crash": crash, "slow": slow, "stream": echo, "stream-crash": echo}

HEAD = json.dumps({"statusCode": 202, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=1"]}).encode()
STREAMS = {
    "echo": lambda event: ([event], {}),
    "stream": lambda event: ([HEAD + bytes(8), *(b"data: %d\n\n" % number for number in range(100))], {}),
    "stream-crash": lambda event: ([HEAD + bytes(8), b"data: 0\n\n"], {"ErrorCode": "Runtime.ExitError"}),
}


def message(event, content_type, payload):
    """One message of an event stream, in AWS's framing."""
    fields = {":event-type": event, ":content-type": content_type, ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in fields.items()
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", binascii.crc32(prelude))
    return prelude + headers + payload + struct.pack("!I", binascii.crc32(prelude + headers + payload))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--access-key")
    parser.add_argument("--secret-key")
    parser.add_argument("--region")
    parser.add_argument("--service")
    parser.add_argument("--api-key")
    Function.settings = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Function)
    server.daemon_threads = True
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
