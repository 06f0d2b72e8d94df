#!/usr/bin/env bash
# Sees to it that commands are there which a benchmark needs: `bench/tools.sh valgrind h2load`.
#
# What is missing is installed by apt-get where that may be done (root, on Debian or its kin). Elsewhere it says what is
# missing, and fails. What Debian starts by itself with a package is left stopped where the machine says so.
set -euo pipefail

package_of() {
    case "$1" in
    h2load) echo nghttp2-client ;;
    *) echo "$1" ;;
    esac
}

find_missing() {
    missing=()
    for command in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("$(package_of "$command")")
    done
}

find_missing "$@"
if ((${#missing[@]} > 0)) && ((EUID == 0)) && command -v apt-get >/dev/null; then
    echo "== installing ${missing[*]} (once)"
    export DEBIAN_FRONTEND=noninteractive
    {
        timeout 120 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } >/dev/null 2>&1 || true
    find_missing "$@"
fi
if ((${#missing[@]} > 0)); then
    echo "missing, and not to be installed from here: the packages ${missing[*]}" >&2
    exit 1
fi
