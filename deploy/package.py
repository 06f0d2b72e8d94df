"""Builds the package that AWS Lambda runs: target/lambda/gateward-ARCHITECTURE.zip, with `bootstrap` in it.

    python3 deploy/package.py [x86_64 | arm64]

The operating system of `provided.al2023` has glibc 2.34, and a binary that needs a newer one would not start there. So ours
brings its own: it starts sooner than one that is linked at its start, and takes less memory. Where the machine has no
libc.a (Debian's libc6-dev, Fedora's and Amazon's glibc-static), the binary needs the system's, and is looked at before it is
packed. The same binary gives the same package, byte for byte.
"""

import os
import pathlib
import re
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIPLES = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
NEWEST_GLIBC = (2, 34)
LARGEST = 8e6


def main():
    architecture = sys.argv[1] if len(sys.argv) > 1 else "x86_64"
    if architecture not in TRIPLES or len(sys.argv) > 2:
        sys.exit("usage: deploy/package.py [x86_64 | arm64]")
    triple = TRIPLES[architecture]
    libraries = pathlib.Path(output("rustc", "--print", "target-libdir", "--target", triple).strip())
    if not libraries.is_dir():
        sys.exit(f"this machine's Rust has no standard library for {triple}; `rustup target add {triple}` brings it")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    what = ["--profile", "lambda", "--package", "gateward", "--no-default-features", "--target", triple]
    if has_static_libc(triple):
        what += ["--config", f'target.{triple}.rustflags = ["-C", "target-feature=+crt-static"]']
    else:
        print("!! no libc.a: the function will be linked with the system's at each start, which costs it a millisecond and a megabyte", file=sys.stderr)
    subprocess.run(["cargo", "build", "--locked", *what], cwd=ROOT, check=True)
    binary = target / triple / "lambda" / "gateward"
    needed = newest_glibc(binary)
    if needed and needed > NEWEST_GLIBC:
        sys.exit(f"the binary needs glibc {dotted(needed)}, and Lambda has {dotted(NEWEST_GLIBC)}; build it on an older system")
    package = target / "lambda" / f"gateward-{architecture}.zip"
    package.parent.mkdir(parents=True, exist_ok=True)
    pack(binary, package)
    size = package.stat().st_size / 1e6
    if package.stat().st_size > LARGEST:
        print(f"!! the package is {size:.1f} MB, and should be at most {LARGEST / 1e6:.0f}", file=sys.stderr)
    shown = package.relative_to(ROOT) if package.is_relative_to(ROOT) else package
    print(f"{shown}: {size:.1f} MB, binary {binary.stat().st_size / 1e6:.1f} MB, needs {f'glibc {dotted(needed)}' if needed else 'no glibc'}")


def has_static_libc(triple):
    """Whether the C compiler that links for `triple` finds libc.a: it then names all of its path."""
    named = os.environ.get(f"CARGO_TARGET_{triple.upper().replace('-', '_')}_LINKER", "cc")
    return os.path.isabs(output(named, "-print-file-name=libc.a").strip())


def newest_glibc(binary):
    """The newest version of glibc that it asks for, if it needs any: one that brings its own names no interpreter."""
    if "INTERP" not in output("readelf", "--program-headers", "--wide", binary):
        return None
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output("objdump", "-T", binary))
    return max((int(major), int(minor)) for major, minor in versions)


def pack(binary, package):
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(entry, binary.read_bytes(), compresslevel=9)


def dotted(version):
    return ".".join(map(str, version))


def output(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    except FileNotFoundError:
        sys.exit(f"{command[0]} is needed, and not on this machine")


if __name__ == "__main__":
    main()
