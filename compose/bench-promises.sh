#!/usr/bin/env bash
# Measures every promise that has a number, over real processes on this machine (some 25 minutes), and fails if one
# is missed. For quiet machines: what else runs is measured too. `cargo bench -p starling-node --bench NAME -- --help`
# says how each can be made shorter.
set -u
cd "$(dirname "$0")/.." || exit
# The figures are those of the program that packages have.
export STARLING_PROFILE=dist
missed=()
compose/bench-three-nodes.sh --copied-percent 99.9 || missed+=("copies")
compose/bench-attack.sh || missed+=("attack")
for arguments in "failover" "split" "catch_up" "catch_up -- --origins 1" "migration"; do
  # shellcheck disable=SC2086
  cargo bench --locked --quiet --profile dist --package starling-node --bench $arguments || missed+=("$arguments")
done
[ ${#missed[@]} -eq 0 ] || { printf 'missed: %s\n' "${missed[@]}" >&2; exit 1; }
