#!/usr/bin/env bash
# Takes the picture in the README again: compose/quick-room.png. Needs Chromium and Python 3.
# Run it by hand after the page has changed; CI does not, so that it rewrites no tracked file.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked --release --quiet
python3 compose/screenshots.py "${CARGO_TARGET_DIR:-target}/release/starling" "${1:-compose/quick-room.png}"
