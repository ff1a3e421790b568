#!/usr/bin/env bash
# Real nodes on this machine under checked load, while every kind of fault comes: ten minutes over five nodes unless
# told otherwise. Says how it goes, and writes a report in Markdown.
#   compose/chaos.sh [--seconds N] [--nodes N] [--report FILE]
# A run is repeated with STARLING_TEST_SEED=… before the command. Filling a disk needs root, for a small tmpfs.
set -eu
cd "$(dirname "$0")/.."
seconds=600 nodes=5 report=target/chaos.md
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2 ;;
    --nodes) nodes=$2 ;;
    --report) report=$2 ;;
    *) sed -n '2,5s/^# *//p' "$0" >&2; exit 2 ;;
  esac
  shift 2 || { echo "chaos.sh: $1 wants a value" >&2; exit 2; }
done
case $report in /*) ;; *) report=$PWD/$report ;; esac
commit=$(git describe --always --dirty 2>/dev/null || true)
STARLING_CHAOS_SECONDS=$seconds STARLING_CHAOS_NODES=$nodes STARLING_CHAOS_REPORT=$report \
  STARLING_CHAOS_COMMIT=$commit RUST_BACKTRACE=0 \
  cargo test --locked --release --package starling-node --test chaos long -- --exact --ignored --nocapture
echo "the report is in $report"
