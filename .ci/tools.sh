# shellcheck shell=bash
# Installs the tools that the scripts need beyond Rust. What cannot be installed ends the script: nothing is skipped.
# Sourced by the scripts, from the root of the project, under `set -e`.

have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs these packages of Debian or Ubuntu; elsewhere asks for them.
install_packages() {
  have apt-get || { echo "$0: please install: $*" >&2; exit 1; }
  echo "$0: installing $*"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Makes an empty virtual environment of Python in this folder.
make_venv() {
  python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
  python3 -m venv --clear "$1"
}

# Installs the linters of .ci/tools.txt, in exactly these versions, and puts them first into PATH.
install_linters() {
  local folder=$PWD/target/tools
  if ! cmp --silent .ci/tools.txt "$folder/installed.txt"; then
    echo "$0: installing the linters of .ci/tools.txt"
    make_venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
      --requirement .ci/tools.txt
    cp .ci/tools.txt "$folder/installed.txt"
  fi
  PATH=$folder/bin:$PATH
}

# Builds both programs and sets $bin to their folder. STARLING_PROFILE names the profile: `dist` is what packages have and
# the README's figures are of; unless it is set, `release`, which tests and CI have built anyway.
build_programs() {
  local profile=${STARLING_PROFILE:-release}
  cargo build --locked --quiet --workspace --profile "$profile"
  # shellcheck disable=SC2034  # The caller uses it.
  bin=${CARGO_TARGET_DIR:-target}/$profile
}
