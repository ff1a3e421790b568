#!/usr/bin/env bash
# Starts two nodes on loopback with fresh data and attacks one of them from 127.0.0.2, with all that one machine and one
# address can do (`starling-bench attack`), while people of 127.0.0.1 talk there. Fails if one of the promises is missed:
# the 99th percentile of their messages' latency stays under 50 ms and none is lost, /readyz answers all the time, and a
# new node joins within 5 s. `--seconds N` makes it shorter than a minute, `--p99-ms N` sets another limit for machines
# whose cores the attacker, the people and three nodes share.
# STARLING_BIN names a folder with both programs; otherwise they are built.
set -eu
cd "$(dirname "$0")/.."
seconds=60 p99_ms=50
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2 ;;
    --p99-ms) p99_ms=$2 ;;
    *) echo "usage: $0 [--seconds N] [--p99-ms N]" >&2; exit 2 ;;
  esac
  shift 2
done
files=$(ulimit -Hn)
[ "$files" = unlimited ] || [ "$files" -ge 20000 ] || {
  echo "$0: needs 20,000 open files, the hard limit is $files (ulimit -Hn)" >&2
  exit 1
}
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
bin=${STARLING_BIN:-}
[ -n "$bin" ] || build_programs
data=$(mktemp -d)
pids=()
stop() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$data"
}
trap stop EXIT
now_ms() { echo $(($(date +%s%N) / 1000000)); }
ask() { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3 && cat <&3; }
ready() { (ask "$1" /readyz | head -n 1 | grep -q ' 200 ') 2>/dev/null; }
# Whether a node and both others call each other in sync.
joined() { [ "$( (ask "$1" /metrics | grep -cE '^starling_peer_in_s[a-z]+\{.*\} 1') 2>/dev/null)" = 2 ]; }

"$bin/starling" cluster secret >"$data/secret"
chmod 600 "$data/secret"
base=$((20000 + $$ % 2000 * 10))
join=(--join "127.0.0.1:$((base + 1))" --join "127.0.0.1:$((base + 2))")
serve() {
  "$bin/starling" serve --listen "127.0.0.1:$((base + $1))" --data-dir "$data/node$1" \
    --cluster-listen "127.0.0.1:$((base + $1))" --cluster-secret-file "$data/secret" "${join[@]}" >"$data/log$1" 2>&1 &
  pids+=($!)
}
serve 1
attacked=$!
serve 2
for n in 1 2; do
  for _ in $(seq 400); do
    if ready "$((base + n))"; then continue 2; fi
    sleep 0.05
  done
  echo "node $n did not become ready:" >&2
  cat "$data/log$n" >&2
  exit 1
done

"$bin/starling-bench" attack --node "127.0.0.1:$((base + 1))" --cluster "127.0.0.1:$((base + 1))" \
  --duration "$((seconds + 10))" >"$data/attack" 2>&1 &
attack=$!
pids+=("$attack")
sleep 1
"$bin/starling-bench" quick --node "http://127.0.0.1:$((base + 1))" --pid "$attacked" --rate 50 --senders 10 --receivers 10 \
  --duration "$seconds" --p99-ms "$p99_ms" >"$data/people" 2>&1 &
people=$!
missed=()

# Asked every quarter of a second until the people have finished; half-way a node joins.
begin=$(now_ms) third="" asked=0 unanswered=0 took=""
while kill -0 "$people" 2>/dev/null; do
  asked=$((asked + 1))
  if ! timeout 2 bash -c "$(declare -f ask ready); ready $((base + 1))"; then unanswered=$((unanswered + 1)); fi
  if [ -z "$third" ] && [ $(($(now_ms) - begin)) -ge $((seconds * 500)) ]; then
    third=$(now_ms)
    serve 3
    while [ $(($(now_ms) - third)) -lt 10000 ]; do
      if ready "$((base + 3))" && joined "$((base + 3))"; then took=$(($(now_ms) - third)); break; fi
      sleep 0.05
    done
  fi
  sleep 0.25
done
wait "$people" || missed+=("the messages of others")
[ "$asked" -gt 0 ] && [ "$unanswered" -eq 0 ] || missed+=("/readyz: $unanswered of $asked not answered within 2 s")
[ -n "$took" ] && [ "$took" -le 5000 ] || missed+=("a new node joined after ${took:-more than 10000} ms")
kill -0 "$attack" 2>/dev/null || missed+=("the attack ended early")
wait "$attack" || missed+=("the attack failed")
cat "$data/people" "$data/attack"
echo "attack: /readyz answered $((asked - unanswered)) of $asked times; a new node joined after ${took:-?} ms"
[ ${#missed[@]} -eq 0 ] || { printf 'missed: %s\n' "${missed[@]}" >&2; exit 1; }
