#!/usr/bin/env bash
# Starts one node on loopback with fresh data that takes this machine for its proxy, floods it with wrong logins from
# 1,000 forwarded addresses while people talk and log in, and stops it. Arguments are passed on to
# `starling-bench flood`; without any: the limits of the promise (p99 of live messages 50 ms, a right login 5 s).
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
build_programs
data=$(mktemp -d)
port=$((20000 + $$ % 20000))
# shellcheck disable=SC2317  # The trap calls it.
stop() {
  kill "$pid" 2>/dev/null || true
  wait
  rm -rf "$data"
}
"$bin/starling" serve --listen "127.0.0.1:$port" --data-dir "$data/node" --trusted-proxy 127.0.0.1 \
  >"$data/log" 2>&1 &
pid=$!
trap stop EXIT
ready() { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 | grep -q ' 200 '; }
for _ in $(seq 200); do
  if (ready) 2>/dev/null; then
    [ $# -gt 0 ] || set -- --p99-ms 50 --login-ms 5000
    "$bin/starling-bench" flood --node "http://127.0.0.1:$port" "$@"
    exit
  fi
  sleep 0.05
done
echo "the node did not become ready:" >&2
cat "$data/log" >&2
exit 1
