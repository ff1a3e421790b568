#!/usr/bin/env bash
# Changes the code in small ways (cargo-mutants) and says which of these mutants the unit tests let live. Each of those
# asks for a test, or for a line with a reason in .cargo/mutants.toml, which also names the files.
#   compose/mutants.sh               all files; some hours
#   compose/mutants.sh --only REGEX  some of them, such as protocol/src/replica or Replica::lag
#   compose/mutants.sh --survivors   those that the last run left, with the slow tests too; after new tests, or for good
#   compose/mutants.sh --in-diff     the lines that the last commit changed: a sample of 20, for 4 minutes at most
# It builds a copy in target/mutants; the checkout stays as it is. Results: target/mutants/mutants.out
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
folder=$PWD/target/mutants
in_diff_max=20 in_diff_seconds=240
usage() { sed -n '4,8s/^# *//p' "$0" >&2; exit 2; }

selection=() in_diff='' survivors=''
while [ $# -gt 0 ]; do
  case $1 in
  --only) [ $# -ge 2 ] || usage; selection+=(--re "$2"); shift 2 ;;
  --survivors) survivors=1; shift ;;
  --in-diff) in_diff=1; shift ;;
  *) usage ;;
  esac
done

mkdir -p "$folder"
if [ -n "$in_diff" ]; then
  # A shallow clone has no parent to compare with.
  if ! git rev-parse --quiet --verify HEAD^1 >/dev/null; then
    echo "not checked: the first parent of this commit is not here"
    exit 0
  fi
  git diff HEAD^1 -- '*.rs' >"$folder/change.diff"
  [ -s "$folder/change.diff" ] || { echo "no Rust code was changed"; exit 0; }
  selection+=(--in-diff "$folder/change.diff")
fi

install_cargo_mutants
if [ -n "$in_diff" ]; then
  count=$(cargo-mutants mutants --workspace --list "${selection[@]}" | wc -l)
  if [ "$count" -eq 0 ]; then
    echo "none of the changed lines is in the files of .cargo/mutants.toml"
    exit 0
  fi
  if [ "$count" -gt $in_diff_max ]; then
    shards=$(((count + in_diff_max - 1) / in_diff_max))
    selection+=(--sharding round-robin --shard "0/$shards")
    echo "$count mutants in the changed lines: one in $shards is tested"
  fi
fi

# The copy stays, and so does what was built of the dependencies. Its files are new each time: a build of the last mutant
# must not pass for one of the original.
rm -rf "$folder/tree"
mkdir "$folder/tree"
git ls-files -z --cached --others --exclude-standard --deduplicate |
  tar --create --null --files-from - --ignore-failed-read 2>/dev/null | tar --extract --touch --directory "$folder/tree"

# These take more than half of the time of all tests: they judge survivors.
slow_tests=(--skip claim_model --skip are_bounded)
if [ -n "$survivors" ]; then
  slow_tests=()
  selection+=(--iterate)
fi
export CARGO_TARGET_DIR=$folder/build CARGO_PROFILE_DEV_OPT_LEVEL=${survivors:-0} CARGO_PROFILE_DEV_DEBUG=none
command=(cargo-mutants mutants --workspace "${selection[@]}" --dir "$folder/tree" --in-place --output "$folder"
  --timeout 120 --colors never -- -- "${slow_tests[@]}")
[ -n "$in_diff" ] || exec "${command[@]}"

status=0
timeout --signal INT --kill-after 20 $in_diff_seconds "${command[@]}" || status=$?
results=$folder/mutants.out
case $status in
0) ;;
# A mutant that makes a test hang is found, too.
3) ;;
124)
  echo "stopped after $in_diff_seconds s, $(cat "$results"/{caught,missed,timeout,unviable}.txt | wc -l) mutants were tested"
  [ ! -s "$results/missed.txt" ] || exit 2
  ;;
*) exit $status ;;
esac
