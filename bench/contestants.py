"""Who is compared: an upstream with the speed of C, and nginx, HAProxy and Gateward in front of it.

Each is configured for speed: kept connections to the upstream, buffers that hold the largest body, no access log,
one thread. All listen on loopback, on ports that were free.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import admin
from processes import Program, free_port

ROUTE = "/api/v1/service{}/"
MIDDLE = ROUTE.format(250)  # of 500 routes, where requests go
CONNECTIONS = 10_500  # that a contestant must be able to hold
BODIES = {"100 B": "100", "1 KiB": "1k", "64 KiB": "64k"}  # and the end of the path that asks for it

# Debian keeps daemons out of the path of those who are not root.
DAEMONS = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Contestant:
    """One program under measurement. A subclass writes its configuration and says with what it is started."""

    name = ""
    label = ""
    stop_with = signal.SIGTERM

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.ports = {protocol: free_port() for protocol in ("http1", "http2", "tls")}
        self.program = None

    def start(self, cores, before=(), environment=None):
        """Starts it on `cores`; `before` is a command that runs it (callgrind)."""
        command, own_environment = self.command()
        environment = {**own_environment, **(environment or {})}
        self.program = Program([*before, *command], self.scratch / "log", cores, environment)
        self.program.await_port(self.ports["http1"])
        return self

    def command(self):
        raise NotImplementedError

    def stop(self):
        if self.program:
            self.program.stop(self.stop_with)
            self.program = None

    def write(self, name, text):
        path = self.scratch / name
        path.write_text(text)
        return path


class Upstream(Contestant):
    """nginx that answers by itself, with the body that the end of the path asks for."""

    name = "upstream"
    stop_with = signal.SIGQUIT

    def __init__(self, scratch, certificate):
        super().__init__(scratch)
        self.certificate = certificate

    def command(self):
        kib = "x" * 1024
        configuration = f"""{nginx_head(self.scratch)}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    large_client_header_buffers 8 64k;
    default_type application/json;
    server {{
        listen 127.0.0.1:{self.ports["http1"]} backlog=4096;
        listen 127.0.0.1:{self.ports["http2"]} http2;
        listen 127.0.0.1:{self.ports["tls"]} ssl;
        ssl_certificate {self.certificate.certificate};
        ssl_certificate_key {self.certificate.key};
        set $kib {kib};
        location / {{ return 200 {"x" * 100}; }}
        location ~ /1k$ {{ return 200 $kib; }}
        location ~ /64k$ {{ return 200 {"$kib" * 64}; }}
    }}
}}
"""
        return nginx(self.write("nginx.conf", configuration)), {}


class Nginx(Contestant):
    name, label = "nginx", "nginx"
    stop_with = signal.SIGQUIT

    def __init__(self, scratch, upstream_port, certificate, routes=1):
        super().__init__(scratch)
        self.upstream_port, self.certificate, self.routes = upstream_port, certificate, routes

    def command(self):
        prefixes = ["/"] if self.routes == 1 else [ROUTE.format(number) for number in range(self.routes)]
        locations = "\n".join(f"        location {prefix} {{ proxy_pass http://upstream; }}" for prefix in prefixes)
        configuration = f"""{nginx_head(self.scratch)}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_buffer_size 64k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 64k;
    proxy_buffers 4 128k;
    proxy_busy_buffers_size 256k;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:TLS:4m;
    upstream upstream {{
        server 127.0.0.1:{self.upstream_port};
        keepalive 512;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{self.ports["http1"]} backlog=4096;
        listen 127.0.0.1:{self.ports["http2"]} http2;
        listen 127.0.0.1:{self.ports["tls"]} ssl http2;
        ssl_certificate {self.certificate.certificate};
        ssl_certificate_key {self.certificate.key};
{locations}
    }}
}}
"""
        return nginx(self.write("nginx.conf", configuration)), {}


class Haproxy(Contestant):
    name, label = "haproxy", "HAProxy"

    def __init__(self, scratch, upstream_port, certificate, routes=1):
        super().__init__(scratch)
        self.upstream_port, self.certificate, self.routes = upstream_port, certificate, routes

    def command(self):
        choose = "default_backend upstream"
        if self.routes > 1:
            lines = "\n".join(f"{ROUTE.format(number)} upstream" for number in range(self.routes))
            choose = f"use_backend %[path,map_beg({self.write('routes.map', lines)})]"
        configuration = f"""
global
    nbthread 1
    # It wants two files a connection, and is not to fail where that is more than it may have.
    no strict-limits
    maxconn {CONNECTIONS}
    tune.bufsize 81920
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
frontend clients
    bind 127.0.0.1:{self.ports["http1"]} backlog 4096
    bind 127.0.0.1:{self.ports["http2"]} proto h2
    bind 127.0.0.1:{self.ports["tls"]} ssl crt {self.certificate.both} alpn h2,http/1.1
    {choose}
backend upstream
    server upstream 127.0.0.1:{self.upstream_port}
"""
        return [found("haproxy"), "-db", "-f", str(self.write("haproxy.cfg", configuration))], {}


class Gateward(Contestant):
    """`gateward serve` with a store of its own. What it serves is put by its Admin API, after the start."""

    name, label = "gateward", "Gateward"
    no_tls = None  # why it takes no TLS, once that is known
    key = "only-for-this-run"

    def __init__(self, scratch, binary, threads=1, settings=None):
        super().__init__(scratch)
        self.binary, self.threads, self.settings = binary, threads, settings or {}
        self.ports["control"] = free_port()

    def command(self):
        control = f"127.0.0.1:{self.ports['control']}"
        environment = {
            "GATEWARD_DATA_DIR": str(self.scratch / "data"),
            "GATEWARD_DATA_THREADS": str(self.threads),
            "GATEWARD_PROXY_LISTEN": f"127.0.0.1:{self.ports['http1']},127.0.0.1:{self.ports['http2']}",
            "GATEWARD_CONTROL_LISTEN": control,
            "GATEWARD_ADMIN_ACCESS_ID": "p-bench",
            "GATEWARD_ADMIN_ACCESS_KEY": self.key,
            "GATEWARD_APISIX_ADMIN_KEY": self.key,
            "GATEWARD_LOG": "warn",
            **self.settings,
        }
        if self.takes("tls-listen"):
            environment["GATEWARD_TLS_LISTEN"] = f"127.0.0.1:{self.ports['tls']}"
        return [str(self.binary), "serve"], environment

    def start(self, cores, before=(), environment=None):
        super().start(cores, before, environment)
        self.program.await_port(self.ports["control"])
        self.api = admin.Admin(f"http://127.0.0.1:{self.ports['control']}", self.key)
        self.api.await_ready()
        return self

    def serve_tls(self, certificate):
        """Puts the certificate, or remembers why that cannot be."""
        self.no_tls = None
        if not self.takes("tls-listen"):
            self.no_tls = "this build has no setting tls_listen"
            return
        pair = {"cert": certificate.certificate.read_text(), "key": certificate.key.read_text()}
        try:
            self.api.put("ssls/bench", {**pair, "snis": ["localhost"]})
        except admin.Refused as refused:
            self.no_tls = str(refused)

    def takes(self, flag):
        """Whether this build of `serve` has the setting."""
        help_text = subprocess.run([str(self.binary), "serve", "--help"], capture_output=True, text=True, check=True)
        return f"--{flag} " in help_text.stdout


class Certificate:
    """A certificate for localhost that signs itself, as PEM files."""

    def __init__(self, scratch):
        self.certificate, self.key, self.both = (Path(scratch, name) for name in ("cert.pem", "key.pem", "both.pem"))
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        command += f" -addext subjectAltName=DNS:localhost -keyout {self.key} -out {self.certificate}"
        subprocess.run(command.split(), check=True, capture_output=True)
        self.both.write_text(self.certificate.read_text() + self.key.read_text())


def nginx_head(scratch):
    """What both nginx have: one worker, which keeps the user (it reads files of a private directory), all in `scratch`."""
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
error_log {scratch}/error.log crit;
pid {scratch}/pid;
events {{ worker_connections 20000; }}"""


def nginx(configuration):
    return [found("nginx"), "-p", str(configuration.parent), "-c", str(configuration), "-e", "stderr"]


def found(daemon):
    return shutil.which(daemon, path=DAEMONS) or daemon
