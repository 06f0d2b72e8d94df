"""Configures a Gateward through its Admin API, as anybody would: consumers, certificates and routes by PUT."""

import json
import time
import urllib.error
import urllib.request

READY_SECONDS = 90


class Refused(Exception):
    """The gateway does not take a resource; the message is its own."""


class Admin:
    def __init__(self, url, key):
        self.url, self.key = url, key

    def put(self, path, resource):
        request = urllib.request.Request(
            f"{self.url}/apisix/admin/{path}",
            data=json.dumps(resource).encode(),
            headers={"X-API-KEY": self.key, "Content-Type": "application/json"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{path.partition('/')[0]}: {error.code}: {message(error)}") from error

    def await_ready(self):
        """Waits until what is stored is served."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/ready", timeout=60):
                    return
            except urllib.error.HTTPError as error:
                if time.monotonic() > deadline:
                    raise Refused(f"not ready: {message(error)}") from error
                time.sleep(0.05)


def message(error):
    """The sentence in an answer that refuses, whichever of the usual fields has it."""
    text = error.read().decode(errors="replace")
    try:
        answer = json.loads(text)
        return answer.get("error_msg") or answer.get("message") or text
    except (ValueError, AttributeError):
        return text


def route(uri, upstream_port, plugins=None):
    resource = {"uri": uri, "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{upstream_port}": 1}}}
    if plugins:
        resource["plugins"] = plugins
    return resource


KEY = "a-key-of-the-bench"
CONSUMER = {"username": "bench", "plugins": {"key-auth": {"key": KEY}}}
KEY_HEADER = {"apikey": KEY}

# A limit that is counted, and never reached.
TWO_PLUGINS = {
    "key-auth": {},
    "limit-count": {"count": 2_000_000_000, "time_window": 3600, "key_type": "var", "key": "remote_addr"},
}


SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # one of AWS's examples


def functions(upstream_port):
    """A function at the upstream's address, in each way to call it: plugins by the name of the way."""
    iam = {"accesskey": "AKIDEXAMPLE", "secretkey": SECRET_KEY, "aws_region": "us-east-1", "service": "execute-api"}
    url = {"function_uri": f"http://127.0.0.1:{upstream_port}/"}
    named = {"function_name": "bench", "payload_version": "2.0", "host": "127.0.0.1", "port": upstream_port}
    named |= {"disable_https": True, "aws_region": "us-east-1", "aws_key": "AKIDEXAMPLE", "aws_secret": SECRET_KEY}
    ways = {
        "apikey": {**url, "authorization": {"apikey": "a-key-of-the-bench"}},
        "function": {**url, "authorization": {"iam": iam}},
        "named": named,
    }
    return {way: {"aws-lambda": settings} for way, settings in ways.items()}


REFERENCES = 10
SECRETS = {f"BENCH_SECRET_{number}": f"value-of-secret-{number}" for number in range(REFERENCES)}


def ten_headers(values):
    return {"proxy-rewrite": {"headers": {"set": {f"X-Secret-{number}": value for number, value in enumerate(values)}}}}


LITERALS = ten_headers(SECRETS.values())
TEN_REFERENCES = ten_headers(f"{{vault://env/bench-secret-{number}}}" for number in range(REFERENCES))
