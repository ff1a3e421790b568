#!/usr/bin/env bash
# Starts three nodes (or STARLING_NODES) on loopback with fresh data, runs `starling-bench quick` over them, and stops
# them. Arguments are passed on to it; without any: 500 messages a second for 60 s to 30 receivers. With `posts` as the
# first argument it runs `starling-bench posts` on one of them.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
build_programs
data=$(mktemp -d)
pids=()
stop() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$data"
}
trap stop EXIT

if [ "${1:-}" = posts ]; then
  # One program stands for many people here.
  while read -r limit; do
    export "STARLING_LIMITS_${limit^^}=0"
  done < <(sed -n 's/^| .limits\.\([a-z_]*\).*/\1/p' README.md)
fi
(umask 077 && "$bin/starling" cluster secret >"$data/secret")
numbers=$(seq "${STARLING_NODES:-3}")
base=$((20000 + $$ % 2000 * 10))
join=() nodes=()
for n in $numbers; do
  join+=(--join "127.0.0.1:$((base + n))")
  nodes+=(--node "http://127.0.0.1:$((base + n))")
done
for n in $numbers; do
  "$bin/starling" serve --listen "127.0.0.1:$((base + n))" --data-dir "$data/node$n" \
    --cluster-listen "127.0.0.1:$((base + n))" --cluster-secret-file "$data/secret" "${join[@]}" \
    >"$data/log$n" 2>&1 &
  pids+=($!)
done
ready() { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 | grep -q ' 200 '; }
for n in $numbers; do
  for _ in $(seq 200); do
    if (ready "$((base + n))") 2>/dev/null; then continue 2; fi
    sleep 0.05
  done
  echo "node $n did not become ready:" >&2
  cat "$data/log$n" >&2
  exit 1
done
watch=()
for pid in "${pids[@]}"; do watch+=(--pid "$pid"); done
if [ "${1:-}" = posts ]; then
  # Acks wait for a second copy, for 200 ms at most: where nearly all take less, nearly all have it.
  "$bin/starling-bench" posts "${nodes[@]:0:2}" "${watch[@]:0:2}" "${@:2}"
else
  "$bin/starling-bench" quick "${nodes[@]}" "${watch[@]}" "$@"
fi
