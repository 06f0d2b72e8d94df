#!/usr/bin/env python3
"""What a Lambda function costs that is a gateway: its start, its first requests, its events, its memory, its package.

    bench/function.py BOOTSTRAP [--quick | --write]

BOOTSTRAP is the binary that `make lambda` packs, or the zip. Lambda is the double of its Runtime API in deploy/; AWS is moto
behind TLS, of which only the gateway's own CPU time counts. --write puts the table into docs/serverless.md.
"""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from processes import Program, cpu_seconds, resident_bytes
from tables import markdown, thousands, times

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "deploy"))

from runtime_api import RuntimeApi, rest_event  # noqa: E402

STARTS, QUICK_STARTS = 31, 9
EVENTS, QUICK_EVENTS = 10_000, 2_000
MEMORY_EVENTS = 1_000
ROUTES = 10  # in the file
REGION = "us-east-2"
MOTO = HERE.parent / "target" / "test-venv" / "bin" / "moto_server"
PAGE = HERE.parent / "docs" / "serverless.md"
BEGIN, END = "<!-- `make bench-lambda` writes from here -->", "<!-- to here -->"

NO_BAR = "no bar"

# name -> (what, unit, bar)
BARS = {
    "start": (f"exec to first poll, with a file of {ROUTES} routes", "ms", 5.0),
    "start_cpu": ("the same: CPU time of its own", "ms", None),
    "table_cpu": ("exec to first poll, with table and KMS over TLS: CPU time of its own", "ms", 15.0),
    "first": ("the first request that is proxied, from the event to the answer", "ms", 10.0),
    "signed": ("the first signed call to an AWS service, over TLS, all of its event: CPU time of its own", "ms", 2.0),
    "event": ("a warm event that the gateway answers itself: CPU time of its own", "µs", 60.0),
    "health": ("the same, answered by the control plane", "µs", None),
    "apart": ("a warm event that comes from another core: the same with the kernel's wake-ups between cores", "µs", None),
    "memory": (f"resident memory after {thousands(MEMORY_EVENTS)} events", "MB", 14.0),
    "zip": ("the zip", "MB", 8.0),
}


def main():
    binary, *options = sys.argv[1:] or [None]
    if not binary or options not in ([], ["--quick"], ["--write"]):
        sys.exit(__doc__)
    found, skipped = measure(Path(binary), "--quick" in options, print)
    print(table(found))
    for why in skipped:
        print(f"!! NOT MEASURED: {why}")
    if "--write" in options:
        text = PAGE.read_text()
        written = f"{BEGIN}\n\n{table(found)}\n\n{END}"
        PAGE.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: written, text, flags=re.DOTALL))


def table(found):
    return markdown(["a function", "bar", "measured", ""], rows(found))


def rows(found):
    verdicts = {True: "met", False: "**not met**", None: "not measured", NO_BAR: ""}
    for what, bar, value, met in bars(found):
        yield [what, bar, value, verdicts[met]]


def bars(found):
    """(what, bar, measured, whether it is met or None) for each figure."""
    for name, (what, unit, bar) in BARS.items():
        value = (found or {}).get(name)
        met = None if value is None else NO_BAR if bar is None else value <= bar
        yield f"{what}, {unit}", "" if bar is None else f"≤ {bar:g}", times(value, 1), met


def measure(package, quick, told):
    """Figures by name, and sentences that say what could not be measured."""
    found, skipped = {}, []
    with tempfile.TemporaryDirectory(prefix="gateward-function-") as place:
        place = Path(place)
        binary = unpacked(package, place)
        found["zip"] = size_of_zip(package, skipped)
        world = World(place)
        try:
            starts = QUICK_STARTS if quick else STARTS
            told(f"== {starts} starts of a function with a file")
            lives = [Function(binary, place, world.file_settings()) for _ in range(starts)]
            found["start"] = median(life.started_ms for life in lives)
            found["start_cpu"] = median(life.cpu_ms for life in lives)
            found["first"] = median(life.first_ms("/proxied") for life in lives)
            for life in lives:
                life.stop()
            told("== its events")
            serve_events(binary, place, world, QUICK_EVENTS if quick else EVENTS, found)
            if MOTO.exists() and shutil.which("openssl"):
                told("== starts with table and KMS, and signed calls")
                found |= with_aws(binary, place, world, QUICK_STARTS)
            else:
                skipped.append("with table and KMS: moto is not there (`make peers`), or openssl")
        finally:
            world.stop()
    return found, skipped


def serve_events(binary, place, world, events, found):
    """On one core, as a function of less than 1 769 MB has at most: where the double works on another, what a virtual
    machine takes to wake a core counts as the function's, and is most of all that it uses."""
    with one_core():
        life = Function(binary, place, world.file_settings())
        try:
            for _ in range(MEMORY_EVENTS):
                life.ask("/nowhere", 404)
            found["memory"] = resident_bytes(life.pid) / 1e6
            found["event"] = event_us(life, "/nowhere", 404, events)
            found["health"] = event_us(life, "/health", 200, events)
        finally:
            life.stop()
    life = Function(binary, place, world.file_settings())
    try:
        found["apart"] = event_us(life, "/nowhere", 404, events)
    finally:
        life.stop()


def event_us(life, path, status, events):
    for _ in range(MEMORY_EVENTS):
        life.ask(path, status)
    before = cpu_seconds(life.pid)
    for _ in range(events):
        life.ask(path, status)
    return (cpu_seconds(life.pid) - before) / events * 1e6


@contextmanager
def one_core():
    """This thread, and what it starts meanwhile: the double's threads, and the function."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def with_aws(binary, place, world, starts):
    with Aws(place) as aws:
        settings = world.file_settings() | aws.settings()
        del settings["GATEWARD_RESOURCES"], settings["GATEWARD_ROOT_KEY"]
        # The first one makes what the others open.
        Function(binary, place, settings).stop()
        lives = [Function(binary, place, settings) for _ in range(starts)]
        for life in lives:
            life.stop()
        signing = []
        for _ in range(starts):
            life = Function(binary, place, world.file_settings(aws) | {"GATEWARD_TLS_CA": str(aws.ca)})
            before = cpu_seconds(life.pid)
            life.ask("/signed", 200)
            signing.append((cpu_seconds(life.pid) - before) * 1000)
            life.stop()
    return {"table_cpu": median(life.cpu_ms for life in lives), "signed": median(signing)}


class Function:
    """A function that has started."""

    def __init__(self, binary, place, settings):
        self.api = RuntimeApi()
        environment = {**self.api.environment(REGION), **settings, "GATEWARD_DATA_DIR": str(place / "data")}
        self.log = place / "function.log"
        with self.log.open("ab") as log:
            before = time.monotonic_ns()
            # Without a preexec function or another directory, Popen is a vfork and an exec.
            self.process = subprocess.Popen([binary], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        try:
            self.started_ms = (self.api.started() - before) / 1e6
        except Exception as error:
            self.stop()
            raise SystemExit(f"{error}\n{self.log.read_text()[-2000:]}")
        self.cpu_ms = cpu_seconds(self.pid) * 1000

    def ask(self, path, expected):
        answer = self.api.invoke(rest_event("GET", path))
        if answer["statusCode"] != expected:
            raise SystemExit(f"{path}: {answer}")

    def first_ms(self, path):
        before = time.monotonic_ns()
        self.ask(path, 200)
        return (time.monotonic_ns() - before) / 1e6

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.api.close()


class World:
    """An upstream, and a file with routes to it."""

    def __init__(self, place):
        self.place = place
        self.upstream = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()

    def file_settings(self, aws=None):
        node = lambda port: {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}
        routes = [{"id": str(number), "uri": f"/service-{number}/*", "upstream": node(1)} for number in range(ROUTES)]
        routes.append({"id": "proxied", "uri": "/proxied", "upstream": node(self.upstream.server_port)})
        if aws:
            iam = {"accesskey": "AKIDEXAMPLE", "secretkey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "aws_region": REGION}
            plugin = {"function_uri": f"https://localhost:{aws.answering.port}/", "authorization": {"iam": iam}}
            routes.append({"id": "signed", "uri": "/signed", "plugins": {"aws-lambda": plugin}})
        file = self.place / ("signed.yaml" if aws else "routes.yaml")
        file.write_text(json.dumps({"routes": routes}) + "\n#END\n")
        return {
            "GATEWARD_STORE": "memory",
            "GATEWARD_ROOT_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "GATEWARD_ADMIN_ACCESS_ID": "p-bench",
            "GATEWARD_ADMIN_ACCESS_KEY": "b25seS1mb3ItdGhpcy1ydW4=",
            "GATEWARD_RESOURCES": str(file),
            "GATEWARD_LOG": "warn",
        }

    def stop(self):
        self.upstream.shutdown()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Aws:
    """moto behind TLS, and a function's endpoint behind the same."""

    def __init__(self, place):
        self.place, self.ca = place, place / "ca.pem"

    def __enter__(self):
        make_certificates(self.place)
        self.log = self.place / "moto.log"
        self.program = Program([MOTO, "-H", "127.0.0.1", "-p", "0"], self.log)
        deadline = time.monotonic() + 60
        while not (port := re.search(r"Running on http://127.0.0.1:(\d+)", self.log.read_text())):
            if time.monotonic() > deadline or self.program.process.poll() is not None:
                raise SystemExit(f"moto did not start: {self.log.read_text()[-1000:]}")
            time.sleep(0.05)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.moto_port = int(port[1])
        self.services, self.answering = TlsFront(self.place, self.moto_port), TlsFront(self.place, self.server.server_port)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in "ps"]
        keys = [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]
        billing = {"BillingMode": "PAY_PER_REQUEST"}
        self.call("dynamodb", "DynamoDB_20120810.CreateTable", {"TableName": "gateward", "AttributeDefinitions": attributes, "KeySchema": keys, **billing})
        self.key = self.call("kms", "TrentService.CreateKey", {})["KeyMetadata"]["Arn"]
        return self

    def __exit__(self, *_):
        self.program.stop()
        self.server.shutdown()

    def call(self, service, target, request):
        scope = f"AKIDEXAMPLE/20260101/{REGION}/{service}/aws4_request"
        headers = {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        url = f"http://127.0.0.1:{self.moto_port}/"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, json.dumps(request).encode(), headers), timeout=60) as answer:
            return json.load(answer)

    def settings(self):
        return {
            "AWS_ENDPOINT_URL": f"https://localhost:{self.services.port}",
            "GATEWARD_TLS_CA": str(self.ca),
            "GATEWARD_STORE": "dynamodb",
            "GATEWARD_ROOT_KEY_KMS": self.key,
        }


class TlsFront:
    """Takes TLS off, and hands on what comes."""

    def __init__(self, place, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(place / "leaf.pem", place / "leaf.key")
        self.behind = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            client = self.context.wrap_socket(connection, server_side=True)
            server = socket.create_connection(self.behind)
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            copy(client, server)
        except OSError:
            pass  # a function that was stopped


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def make_certificates(place):
    """An authority, and a certificate of its for localhost, as AWS's own: ECDSA on P-256."""
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    extension = place / "leaf.ext"
    extension.write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for command in (
        f"req -x509 {new} -subj /CN=authority -keyout {place}/ca.key -out {place}/ca.pem",
        f"req {new} -subj /CN=localhost -keyout {place}/leaf.key -out {place}/leaf.csr",
        f"x509 -req -in {place}/leaf.csr -CA {place}/ca.pem -CAkey {place}/ca.key -CAcreateserial -days 2 -extfile {extension} -out {place}/leaf.pem",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)


def unpacked(package, place):
    if package.suffix != ".zip":
        return package.resolve()
    with zipfile.ZipFile(package) as archive:
        binary = Path(archive.extract("bootstrap", place))
    binary.chmod(0o755)
    return binary


def size_of_zip(package, skipped):
    if package.suffix == ".zip":
        return package.stat().st_size / 1e6
    skipped.append("the zip: what was given is a binary")
    return None


if __name__ == "__main__":
    main()
