#!/usr/bin/env bash
# Figures of the code's structure, of this checkout or of another commit: the largest circle of files that import each
# other in each crate, imports against the layers of ARCHITECTURE.md, lines in test programs.
#   compose/structure.sh [COMMIT]
set -eu
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
  STARLING_MEASURE=$(mktemp -d)
  export STARLING_MEASURE
  trap 'rm -rf "$STARLING_MEASURE"' EXIT
  git archive "$1" | tar --extract --directory "$STARLING_MEASURE"
fi
cargo test --locked --quiet --package starling-node --test tidy figures -- --nocapture | grep ': '
