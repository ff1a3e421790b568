#!/usr/bin/env bash
# Measures Starling beside a bare epoll server (the floor), axum's broadcast tutorial, NATS and Mosquitto, and prints a table
# for each workload. Needs a quiet machine with two cores; what else runs is measured too, and marked. `--short` shows in
# minutes that all of it works. STARLING_PEERS_MESSAGES is the number of messages in the store before posts are measured
# (1,000,000), STARLING_PEERS_JSON a folder for the figures of each round.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
# Debian puts servers where only root looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin
missing=()
for server in nats-server mosquitto; do
  have "$server" || missing+=("$server")
done
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
# The figures are those of the program that packages have.
export STARLING_PROFILE=${STARLING_PROFILE:-dist}
build_programs

messages=${STARLING_PEERS_MESSAGES:-1000000} readers=10000
common=("$@")
for argument in "$@"; do
  [ "$argument" != --short ] || { messages=2000 readers=1000; }
done
ulimit -n "$(ulimit -Hn)"
bench=$bin/starling-bench
everybody=--server=starling,floor,axum,nats,mosquitto
marked=()
# Runs one workload; its name is that of the file with its figures.
measure() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  [ -z "${STARLING_PEERS_JSON:-}" ] || set -- "$@" --json "$STARLING_PEERS_JSON/$name.json"
  "$bench" "$@" "${common[@]}" || marked+=("$name")
}
measure fanout fanout "$everybody" --rate 20,100,200
measure saturation fanout "$everybody" --saturate
measure readers fanout "$everybody" --readers "$readers" --rate 5
measure pairs pairs "$everybody"
measure posts posts --logged-in --before "$messages"
measure idle idle "$everybody" --connections 2000
measure idle-logged-in idle --logged-in --connections 10000
[ ${#marked[@]} -eq 0 ] || { printf 'marked, failed or above a limit: %s\n' "${marked[*]}" >&2; exit 1; }
