#!/usr/bin/env bash
# Fuzzes inputs from outside on stable Rust, with libFuzzer and the coverage counters of rustc's LLVM.
#   run.sh [SECONDS] [TARGET...]   fuzzes all targets or these, two at a time, each for 10 s or SECONDS
#   run.sh repeat TARGET FILE      repeats one input, with a backtrace
#   run.sh keep                    adds the inputs found by long runs to the corpora, minimized
# Needs Rust and a C++ compiler. On Debian and Ubuntu it installs the latter.
set -eu
cd "$(dirname "$0")/../.."

# shellcheck source=.ci/tools.sh
. .ci/tools.sh
have c++ || install_packages g++

# With --target the flags apply to the fuzzed code only, not to build scripts and macros, which run without a fuzzer.
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTFLAGS=$flags CARGO_INCREMENTAL=0 cargo build --locked --quiet --release --package starling-fuzz --features libfuzzer \
  --target "$host" --target-dir target/fuzz
fuzzer=target/fuzz/$host/release/starling-fuzz
corpora=protocol/fuzz/corpus
found=target/fuzz/found

# Fuzzes one target. New inputs go to target/fuzz; the corpora in the repository are only read.
fuzz() {
  mkdir -p "$found/$1" "$corpora/$1" target/fuzz/crashes
  local log=target/fuzz/$1.log
  if STARLING_FUZZ_TARGET=$1 "$fuzzer" -max_total_time="$2" -max_len=4096 -timeout=25 -rss_limit_mb=1024 \
    -artifact_prefix="target/fuzz/crashes/$1-" "$found/$1" "$corpora/$1" >"$log" 2>&1; then
    echo "$1: $(grep '^Done' "$log"), $(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -1)"
  else
    grep -E -A 3 'panicked at|ERROR' "$log" >&2 || tail -20 "$log" >&2
    echo "$1: FAILED, repeat with" >&2
    sed -n "s|.*Test unit written to |  protocol/fuzz/run.sh repeat $1 |p" "$log" >&2
    return 1
  fi
}

case "${1:-10}" in
repeat)
  STARLING_FUZZ_TARGET=$2 RUST_BACKTRACE=1 exec "$fuzzer" "$3"
  ;;
keep)
  for corpus in "$corpora"/*/; do
    target=$(basename "$corpus")
    kept=target/fuzz/kept/$target
    rm -rf "$kept" && mkdir -p "$kept" "$found/$target"
    STARLING_FUZZ_TARGET=$target "$fuzzer" -max_len=4096 -set_cover_merge=1 -use_counters=0 "$kept" \
      "$corpora/$target" "$found/$target" >"target/fuzz/$target.log" 2>&1
    # The inputs with the greatest coverage were written first. Inputs with a readable name were added by hand.
    find "$corpora/$target" -name '????????????????????????????????????????' -delete
    # shellcheck disable=SC2012  # libFuzzer names its inputs by their hashes.
    ls -tr "$kept" | head -n 40 | while read -r input; do cp "$kept/$input" "$corpora/$target"; done
  done
  ;;
*)
  seconds=${1:-10}
  targets=("${@:2}")
  if [ ${#targets[@]} -eq 0 ]; then
    for corpus in "$corpora"/*/; do targets+=("$(basename "$corpus")"); done
  fi
  failed=0
  for ((at = 0; at < ${#targets[@]}; at += 2)); do
    fuzz "${targets[at]}" "$seconds" & first=$!
    if [ $((at + 1)) -lt ${#targets[@]} ]; then fuzz "${targets[at + 1]}" "$seconds" || failed=1; fi
    wait $first || failed=1
  done
  exit $failed
  ;;
esac
