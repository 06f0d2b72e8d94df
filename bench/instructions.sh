#!/usr/bin/env bash
# Counts the user instructions of a proxied GET: one route of 500, 8 request headers, 64 kept connections, one data thread.
#
#     bench/instructions.sh           measures, and fails if it is more than 3 % worse than bench/baseline.txt
#     bench/instructions.sh --save    measures, and makes the figure the baseline
#
# Instructions repeat, where times do not. The gateway runs under callgrind twice, with different numbers of requests:
# the difference leaves out what the process does once. The routes are put before, by a run outside callgrind.
#
# It builds with the profile `release`, as fresh clones do: the whole-program optimisation of `dist` takes minutes, and
# saves another few per cent. PROFILE=dist measures that (and should not be saved). The profiles of callgrind stay
# in target/bench, for callgrind_annotate.
set -euo pipefail
cd "$(dirname "$0")/.."

routes=500
connections=64
few=2000
many=8000
tolerance=3 # per cent
profile=${PROFILE:-release}

case "${1:-}" in
"" | --save) mode=${1:-} ;;
*)
    echo "usage: bench/instructions.sh [--save]" >&2
    exit 2
    ;;
esac
if ! command -v valgrind >/dev/null; then
    echo "not measured: valgrind is not installed" >&2
    exit 0
fi

cargo build --quiet --locked --profile "$profile" --package gateward
gateway=${CARGO_TARGET_DIR:-target}/$profile/gateward
results=${CARGO_TARGET_DIR:-target}/bench
mkdir -p "$results"

scratch=$(mktemp -d)
started=()
stop_all() {
    for process in "${started[@]}"; do
        kill "$process" 2>/dev/null || true
    done
    wait
    rm -rf "$scratch"
}
trap stop_all EXIT

key=only-for-this-run
export GATEWARD_DATA_DIR=$scratch/data GATEWARD_DATA_THREADS=1
export GATEWARD_PROXY_LISTEN=127.0.0.1:0 GATEWARD_CONTROL_LISTEN=127.0.0.1:0
export GATEWARD_ADMIN_ACCESS_ID=p-bench GATEWARD_ADMIN_ACCESS_KEY=$key GATEWARD_APISIX_ADMIN_KEY=$key

# Runs `serve` behind the command that the arguments are; sets `process`, and the ports it got: `traffic`, `control`.
start_gateway() {
    local log=$scratch/gateway.log line
    : >"$log"
    "$@" "$gateway" serve --log info >"$log" 2>&1 &
    process=$!
    started+=("$process")
    for _ in {1..600}; do
        # Without colours, if the log has any.
        line=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -m 1 'serving.*traffic' || true)
        if [[ $line =~ traffic[^0-9]*127\.0\.0\.1:([0-9]+).*control[^0-9]*127\.0\.0\.1:([0-9]+) ]]; then
            traffic=${BASH_REMATCH[1]}
            control=${BASH_REMATCH[2]}
            python3 bench/traffic.py ready "http://127.0.0.1:$control"
            return
        fi
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    echo "the gateway does not serve:" >&2
    cat "$log" >&2
    exit 1
}

stop_gateway() {
    kill -TERM "$process"
    wait "$process" || true
}

# Sets `instructions` to what the whole process takes that answers $1 GETs.
count_instructions() {
    local profile_of_run=$results/callgrind.$1
    start_gateway nice -n 10 valgrind --quiet --tool=callgrind --callgrind-out-file="$profile_of_run"
    python3 bench/traffic.py gets "$traffic" "$connections" "$1"
    stop_gateway
    instructions=$(awk '$1 == "totals:" { print $2 }' "$profile_of_run")
}

python3 bench/traffic.py upstream >"$scratch/upstream" &
started+=($!)
until [[ -s $scratch/upstream ]]; do sleep 0.1; done

start_gateway env
python3 bench/traffic.py routes "http://127.0.0.1:$control" "$key" "$routes" "127.0.0.1:$(cat "$scratch/upstream")"
stop_gateway

count_instructions "$few"
for_few=$instructions
count_instructions "$many"
measured=$(((instructions - for_few) / (many - few)))
echo "proxied GET, one route of $routes, 8 headers: $measured user instructions (profile $profile)"

if [[ $mode == --save ]]; then
    echo "$measured" >bench/baseline.txt
    exit 0
fi
baseline=$(cat bench/baseline.txt)
if ((measured * 100 > baseline * (100 + tolerance))); then
    echo "that is more than $tolerance % above the baseline, $baseline" >&2
    exit 1
fi
echo "the baseline is $baseline"
