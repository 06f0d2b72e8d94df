"""A Lambda function behind an API Gateway that wants a signature (AWS_IAM) or an API key.

It computes Signature V4 again with botocore over what came in, so that it is a judge with no code in common with
Gateward: method, path, query, the signed headers as received, and the digest of the body that really came.
Wrong signatures are answered with 403 and the sentence that AWS would say. What is right is answered with an echo.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
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
            self.answer(403, {"message": str(forbidden)})
            return
        path, _, query = target.partition("?")
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

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any


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
