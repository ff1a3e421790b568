#!/usr/bin/env bash
# Checks the OpenAPI and the AsyncAPI document of a running node as their readers do: lints both, generates a Python and a
# TypeScript client and runs a program with each, and runs a bot that was written only from the documents.
#   compose/clients.sh
# The tools come from the npm registry and from PyPI into target/tools, each pinned in compose/clients; the next run finds
# them there. It fails where they can't be had. STARLING=FILE before the command checks that binary.
set -eu
cd "$(dirname "$0")/.."
sources=$PWD/compose/clients
python_tools=$PWD/target/tools/python node_tools=$PWD/target/tools/node

fail() { echo "clients.sh: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
step() { echo "clients.sh: $1 (${SECONDS}s)"; }

install=()
have node || install+=(nodejs)
have npm || install+=(npm)
python3 -c 'import ensurepip' 2>/dev/null || install+=(python3-venv)
if [ ${#install[@]} -gt 0 ]; then
  have apt-get || fail "please install: ${install[*]}"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "${install[@]}" >/dev/null
fi
# Each folder of tools has the list that it was made from, once it is complete.
if ! cmp -s "$sources/requirements.txt" "$python_tools/requirements.txt"; then
  step "installing the Python tools"
  python3 -m venv --clear "$python_tools"
  "$python_tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$sources/requirements.txt" ||
    fail "cannot install the Python tools"
  cp "$sources/requirements.txt" "$python_tools/"
fi
if ! cmp -s "$sources/package.json" "$node_tools/installed.json"; then
  step "installing the Node tools"
  rm -rf "$node_tools"
  mkdir -p "$node_tools"
  cp "$sources/package.json" "$node_tools/"
  (cd "$node_tools" && npm install --no-audit --no-fund --no-package-lock --loglevel=error) >/dev/null ||
    fail "cannot install the Node tools"
  cp "$sources/package.json" "$node_tools/installed.json"
fi
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

starling=${STARLING-}
if [ -z "$starling" ]; then
  cargo build --release --quiet --package starling-node
  starling=${CARGO_TARGET_DIR:-target}/release/starling
fi
home=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$starling" serve --listen "127.0.0.1:$port" --data-dir "$home/data" \
  --auth-weak-hashes true --auth-memory-kib 64 --auth-passes 1 >"$home/log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null && wait "$node" || true; rm -rf "$home"' EXIT
get() { python3 -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' "$url$1"; }
for _ in $(seq 50); do
  if get /readyz >/dev/null 2>&1; then break; fi
  sleep 0.2
done

step "linting openapi.json"
get /api/openapi.json >"$home/openapi.json"
get /api/asyncapi.json >"$home/asyncapi.json"
tool() { "$node_tools/node_modules/.bin/$1" "${@:2}"; }
# Redocly passes with warnings; this does not.
tool redocly lint --config "$sources/redocly.yaml" --format json "$home/openapi.json" >"$home/lint.json" 2>"$home/lint.log" ||
  { cat "$home/lint.json" "$home/lint.log" >&2; fail "the OpenAPI document has errors"; }
python3 - "$home/lint.json" <<'PYTHON' || fail "the OpenAPI document has warnings"
import json, sys
problems = json.load(open(sys.argv[1]))["problems"]
for problem in problems:
    print(problem["ruleId"], problem["location"][0].get("pointer"), problem["message"], file=sys.stderr)
sys.exit(1 if problems else 0)
PYTHON

step "validating asyncapi.json"
# From there Node finds the tools.
cp "$sources/validate-asyncapi.cjs" "$node_tools/"
node "$node_tools/validate-asyncapi.cjs" "$home/asyncapi.json" || fail "the AsyncAPI document is not valid"

step "generating the Python client"
(cd "$home" && "$python_tools/bin/openapi-python-client" generate --path openapi.json --output-path python \
  --config "$sources/openapi-python-client.yaml" --fail-on-warning >"$home/python.log" 2>&1) ||
  { cat "$home/python.log" >&2; fail "cannot generate the Python client"; }
echo "$(find "$home/python" -name '*.py' | wc -l) files"
PYTHONPATH=$home/python "$python_tools/bin/python" "$sources/python_program.py" "$url" || fail "the Python program failed"

step "generating the TypeScript types"
program=$node_tools/program
rm -rf "$program"
mkdir -p "$program"
cp "$sources/tsconfig.json" "$sources/typescript-program.mts" "$program/"
tool openapi-typescript "$home/openapi.json" --output "$program/openapi.mts" >"$home/typescript.log" 2>&1 ||
  { cat "$home/typescript.log" >&2; fail "cannot generate the TypeScript types"; }
tool tsc --project "$program" || fail "the TypeScript program does not fit the types"
node "$program/typescript-program.mjs" "$url" || fail "the TypeScript program failed"

step "running the bot"
PYTHONPATH=$home/python "$python_tools/bin/python" "$sources/check_bot.py" "$url" || fail "the bot failed"

kill -0 "$node" 2>/dev/null || { tail -20 "$home/log" >&2; fail "the node has ended"; }
step "both documents hold"
