#!/usr/bin/env bash
# Counts the instructions that a node takes for five things (node/benches/instructions), under callgrind, and compares
# them with the baseline beside the scenarios. More than 10 % more fails, and so does more than 10 % less: a gain that is
# not written down can be lost unseen.
#   compose/count-instructions.sh           compares
#   compose/count-instructions.sh --write   writes the baseline anew, for a change that is meant; its commit says why
# The load of the machine doesn't matter. The compiler does, and whatever else the release profile says.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
baseline=node/benches/instructions/baseline.txt
scenarios=(post deliver-to-100 replicate resume page-read)
percent_max=10
case ${1-} in
'' | --write) ;;
*) sed -n '2,7s/^# *//p' "$0" >&2; exit 2 ;;
esac

have valgrind || install_packages valgrind
program=$(cargo build --locked --release --workspace --bench instructions --message-format json |
  sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')
counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT

count() {
  if ! valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
    --toggle-collect='*turn::counted*' "$program" "$1" >"$counts/$1.log" 2>&1; then
    cat "$counts/$1.log" >&2
    return 1
  fi
  sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' "$counts/$1.log" >"$counts/$1"
  [ "$(cat "$counts/$1")" -gt 0 ] || { echo "$0: $1: nothing was counted" >&2; return 1; }
}

pids=()
for scenario in "${scenarios[@]}"; do
  count "$scenario" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done

if [ "${1-}" = --write ]; then
  {
    echo "# Instructions of each scenario, by $(rustc --version | cut -d' ' -f1,2); compose/count-instructions.sh --write"
    for scenario in "${scenarios[@]}"; do echo "$scenario $(cat "$counts/$scenario")"; done
  } >"$baseline"
  cat "$baseline"
  exit
fi

failed=0
for scenario in "${scenarios[@]}"; do
  awk -v name="$scenario" -v now="$(cat "$counts/$scenario")" -v max="$percent_max" '
    $1 == name { before = $2 }
    END {
      if (!before) { print name ": not in the baseline"; exit 1 }
      percent = 100 * (now - before) / before
      printf "%-15s %12d instructions, %+.1f %% against the baseline\n", name, now, percent
      exit percent > max || percent < -max
    }' "$baseline" || failed=1
done
if [ $failed = 1 ]; then
  echo "$0: more than $percent_max % from the baseline; if that is meant, write it anew: $0 --write" >&2
  exit 1
fi
