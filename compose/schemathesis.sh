#!/usr/bin/env bash
# Fuzzes a running node by its own OpenAPI document, in the name of a user and of an administrator: no answer may be a
# 500, or be other than the document says.
#   compose/schemathesis.sh          in short, at least 3,000 requests
#   compose/schemathesis.sh --long   at least 5,000 requests
# SEED=… before the command repeats a run. schemathesis comes from PyPI into target/schemathesis.
set -eu
cd "$(dirname "$0")/.."
version=4.32.5
examples=5 requests_min=3000
case ${1-} in
'') ;;
--long) examples=50 requests_min=5000 ;;
*) sed -n '2,6s/^# *//p' "$0" >&2; exit 2 ;;
esac
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}

# shellcheck source=.ci/tools.sh
. .ci/tools.sh
venv=$PWD/target/schemathesis
if ! "$venv/bin/st" --version 2>/dev/null | grep -q "$version"; then
  make_venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

cargo build --locked --release --quiet --package starling-node
starling=${CARGO_TARGET_DIR:-target}/release/starling
home=$(mktemp -d) limits=()
port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
# It asks more often than anybody may.
for limit in $("$starling" serve --help | grep -o -- '^ *--limit-[a-z-]*'); do limits+=("$limit" 0); done
"$starling" serve --listen "127.0.0.1:$port" --data-dir "$home/data" \
  --auth-weak-hashes true --auth-memory-kib 64 --auth-passes 1 "${limits[@]}" >"$home/log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null && wait "$node" || true; rm -rf "$home"' EXIT
ready() { "$venv/bin/python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "$url/readyz" 2>/dev/null; }
for _ in $(seq 50); do
  if ready; then break; fi
  sleep 0.2
done

# It asks in the name of somebody and of an administrator, who have contacts, rooms and messages.
echo correct horse | "$starling" user add --admin --password-stdin root --data-dir "$home/data" >/dev/null
"$venv/bin/python" compose/schemathesis-world.py "$url" "$home"

# Not checked: that a method which an address does not take is answered 405, as the contract has 400 for it; and that
# whatever fits the schemas is accepted, as they do not say all (a cursor is opaque, a name has no controls).
echo "schemathesis.sh: SEED=$seed compose/schemathesis.sh ${1-}"
# There, as it leaves a folder of its own where it runs.
cd "$home"
passed=true requests=0
for user in ann root; do
  "$venv/bin/st" --config-file "$user.toml" run "$url/api/openapi.json" --seed "$seed" --max-examples "$examples" --no-color \
    --checks all --exclude-checks unsupported_method,positive_data_acceptance --continue-on-failure --warnings off \
    --generation-database none >"$user.out" 2>&1 || { passed=false; cat "$user.out" >&2; }
  asked=$(sed -n 's/^ *\([0-9]*\) generated.*/\1/p' "$user.out")
  echo "schemathesis.sh: ${asked:-no} requests as $user"
  requests=$((requests + ${asked:-0}))
done
if ! kill -0 "$node" 2>/dev/null; then
  echo "schemathesis.sh: the node has ended" >&2
  tail -20 "$home/log" >&2
  passed=false
fi
$passed || exit 1
echo "schemathesis.sh: $requests requests, none answered otherwise than the document says"
[ "$requests" -ge "$requests_min" ] || { echo "schemathesis.sh: that is less than $requests_min" >&2; exit 1; }
