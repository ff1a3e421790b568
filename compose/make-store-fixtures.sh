#!/usr/bin/env bash
# Makes a small store of each store version that ever landed, by a build of the last commit that wrote it, for the tests in
# node/tests/e2e/store_versions; 'bricked' is one of version 7 that this version can't start with any more. Usage: compose/make-store-fixtures.sh [VERSION …]; without one it makes those that are missing.
# A new version needs a line here, and its fixture, when the next one lands.
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A commits=(
  [1]=2bd46a9 [2]=3df4c83 [3]=85afa61 [4]=0f69145 [5]=87bc30c [6]=f912b47 [7]=666c15e [8]=a4bd3ea
  [bricked]=666c15e
)
fixtures=node/tests/fixtures/stores
target=${CARGO_TARGET_DIR:-$PWD/target}/old-versions
sources=$(mktemp --directory)
trap 'rm -rf "$sources"' EXIT
mkdir -p "$fixtures"
[ $# -gt 0 ] || set -- "${!commits[@]}"
made_all=true
for version in "$@"; do
  out=$fixtures/$version.tar.gz
  if [ -e "$out" ]; then
    echo "$out is there; remove it to make it again"
    continue
  fi
  source=$sources/$version
  mkdir "$source"
  git archive "${commits[$version]}" | tar --extract --touch --directory "$source"
  # The libraries of today: they are built already, and don't decide what a store holds.
  cp Cargo.lock "$source/"
  starts=()
  if [ "$version" = bricked ]; then
    mkdir "$source/node/examples"
    cp compose/old-starts.rs "$source/node/examples/starts.rs"
    starts=("$target/debug/examples/starts")
    (cd "$source" && CARGO_TARGET_DIR=$target cargo build --package starling-node --example starts)
  fi
  (cd "$source" && CARGO_TARGET_DIR=$target cargo build --package starling-node --bin starling)
  python3 compose/make-store-fixture.py "$target/debug/starling" "$out" "${starts[@]}" || made_all=false
done
$made_all
