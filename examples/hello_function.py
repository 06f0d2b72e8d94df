#!/usr/bin/env python3
"""A function behind AWS_IAM, small enough to read: it recomputes the Signature V4 of each request, and says hello.

Usage: hello_function.py PORT [SECRET_KEY]

Needs nothing but Python 3. The secret access key is the path of the home directory unless another is given, because
that is what the sample route of `gateward dev` signs with. How a signature is made:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit


def signature(secret, method, target, headers, signed, scope, body):
    """The signature of a request, as AWS would compute it."""
    url = urlsplit(target)
    query = sorted((quote(n, "-_.~"), quote(v, "-_.~")) for n, v in parse_qsl(url.query, keep_blank_values=True))
    canonical = "\n".join(
        [method, quote(url.path, "/-_.~"), "&".join(f"{n}={v}" for n, v in query)]
        + [f"{name}:{' '.join(headers[name].split())}" for name in signed.split(";")]
        + ["", signed, hashlib.sha256(body).hexdigest()]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Function(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secret = ""

    def answer(self, status, body):
        text = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(",") if part)
        if scheme != "AWS4-HMAC-SHA256" or not {"Credential", "SignedHeaders", "Signature"} <= parts.keys():
            return self.answer(403, {"message": "Missing Authentication Token"})
        access_key, _, scope = parts["Credential"].partition("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        expected = signature(
            self.secret, self.command, self.path, headers, parts["SignedHeaders"], scope, body
        )
        if not hmac.compare_digest(expected, parts["Signature"]):
            return self.answer(403, {"message": "The signature does not match the secret."})
        name = dict(parse_qsl(urlsplit(self.path).query)).get("name", "world")
        self.answer(200, {"message": f"Hello, {name}!", "signed_by": access_key, "scope": scope})

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1])
    Function.secret = sys.argv[2] if len(sys.argv) > 2 else os.environ["HOME"]
    ThreadingHTTPServer(("127.0.0.1", port), Function).serve_forever()
