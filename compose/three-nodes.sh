#!/usr/bin/env bash
# Starts a cluster of three nodes on this machine and stops it on Ctrl-C.
# Users reach them at http://127.0.0.1:8081, :8082 and :8083; data is kept in ./three-nodes.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked --release --quiet
starling=${CARGO_TARGET_DIR:-target}/release/starling
data=three-nodes
mkdir -p "$data"
[ -s "$data/secret" ] || (umask 077 && "$starling" cluster secret >"$data/secret")

nodes=()
for n in 1 2 3; do
  "$starling" serve \
    --listen "127.0.0.1:808$n" --data-dir "$data/node$n" \
    --public-url "http://127.0.0.1:808$n" \
    --cluster-listen "127.0.0.1:794$n" --cluster-secret-file "$data/secret" \
    --join 127.0.0.1:7941 --join 127.0.0.1:7942 --join 127.0.0.1:7943 &
  nodes+=($!)
done
trap 'trap - EXIT; kill "${nodes[@]}" 2>/dev/null; wait; exit' INT TERM EXIT
wait
