"""Lives the life of the function with a binary: it starts with the environment that it was given, answers behind its stage,
issues a credential, and revokes that when its time is over.

AWS is moto, and Lambda the double of its Runtime API.
"""

import http.server
import json
import os
import pathlib
import subprocess
import threading
import time
import zipfile

from runtime_api import TICK, Failed, RuntimeApi, rest_event

REGION = "us-east-2"


def live(binary, place, aws, variables, access_id, access_key):
    """Ends the program with what went wrong, and with what the function printed."""
    runtime_api, producer = RuntimeApi(), Producer()
    log = place / "function.log"
    with log.open("wb") as output:
        environment = {
            "PATH": os.environ["PATH"],
            **runtime_api.environment(REGION),
            **variables,
            "AWS_ENDPOINT_URL": aws,
            "GATEWARD_VAULT_AWS_ENDPOINT_URL": aws,
            # Outside Lambda, /tmp is everybody's.
            "GATEWARD_DATA_DIR": str(place / "data"),
        }
        program = unpacked(pathlib.Path(binary), place)
        process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        runtime_api.started()
        tell_the_story(runtime_api, producer, access_id, access_key)
    except (Failed, AssertionError) as failed:
        raise SystemExit(f"the function: {failed}\n{log.read_text()}")
    finally:
        process.terminate()
        process.wait(timeout=30)
        runtime_api.close()
        producer.close()
    assert process.returncode == 0, f"the function ended with {process.returncode}:\n{log.read_text()}"
    assert access_key not in log.read_text(), "the access key stands in the log"


def tell_the_story(runtime_api, producer, access_id, access_key):
    def ask(method, path, expected, **body):
        event = rest_event(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = runtime_api.invoke(event)
        assert answer["statusCode"] == expected, f"{method} {path}: {answer}"
        return json.loads(answer["body"])

    ask("GET", "/health", 200)
    ask("GET", "/ready", 200)
    ask("POST", "/auth", 401, **{"access-id": access_id, "access-key": "d3Jvbmc="})
    token = ask("POST", "/auth", 200, **{"access-id": access_id, "access-key": access_key})["token"]
    secret = {"name": "/db/reader", "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke")}
    ask("POST", "/api/v2/dynamic-secret-create-custom", 200, token=token, **secret, **{"user-ttl": "1s", "payload": "p"})
    issued = ask("POST", "/get-dynamic-secret-value", 200, token=token, name="/db/reader")
    assert producer.made == [issued["user"]], (producer.made, issued)
    deadline = time.monotonic() + 30
    while not producer.revoked and time.monotonic() < deadline:
        assert runtime_api.invoke(TICK) is None
    assert producer.revoked == producer.made, (producer.revoked, producer.made)


def unpacked(binary, place):
    if binary.suffix != ".zip":
        return binary.resolve()
    with zipfile.ZipFile(binary) as package:
        program = pathlib.Path(package.extract("bootstrap", place))
    program.chmod(0o755)
    return program


class Producer:
    """Makes credentials, and remembers which are gone."""

    def __init__(self):
        made, revoked = self.made, self.revoked = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/sync/create":
                    # What is asked without an input only wants to know whether all is well.
                    user = f"user-{len(made)}"
                    if asked.get("client_info", {}).get("access_id") != "p-custom":
                        made.append(user)
                    answer = {"id": user, "response": {"user": user}}
                else:
                    revoked.extend(one for one in asked["ids"] if one in made)
                    answer = {"revoked": asked["ids"]}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, call):
        return f"http://127.0.0.1:{self.server.server_port}/sync/{call}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
