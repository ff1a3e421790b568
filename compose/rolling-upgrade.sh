#!/usr/bin/env bash
# Upgrades three nodes from an older commit to this checkout, one after the other, while guests post (promise 12): nothing
# may be lost, no link refused, no alarm raised, and the older build must refuse the upgraded store.
#   compose/rolling-upgrade.sh [COMMIT]    the last commit before the wire had versions, unless another is given
# The first run builds that commit, in target/upgrade: some 5 minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "${1:-ebea59a6}^{commit}")
folder=$PWD/target/upgrade
old=$folder/$commit
if [ ! -x "$old" ]; then
  rm -rf "$folder/source"
  mkdir -p "$folder/source"
  git archive "$commit" | tar --extract --touch --directory "$folder/source"
  CARGO_TARGET_DIR=$folder/build \
    cargo build --locked --release --package starling-node --bin starling --manifest-path "$folder/source/Cargo.toml"
  cp "$folder/build/release/starling" "$old"
fi
STARLING_OLD_BINARY=$old cargo test --locked --release --workspace --test e2e \
  upgrade::three_nodes_are_upgraded_under_load_and_nothing_is_lost -- --exact --ignored --nocapture
