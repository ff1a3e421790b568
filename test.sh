#!/usr/bin/env bash
# Installs what the tests need (Chromium and Firefox, for the tests of pages) and runs all of them.
# Needs Rust; on Debian or Ubuntu nothing else. Elsewhere install the browsers yourself first.
set -eu
cd "$(dirname "$0")"

have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install=()
have cc || install+=(gcc libc6-dev)
have ip || install+=(iproute2)
have sysctl || install+=(procps)
have chromium || have chromium-browser || have google-chrome || install+=(chromium)
# Ubuntu has no firefox-esr, and its firefox is a snap: there, install one yourself.
have firefox-esr || have firefox || install+=(firefox-esr)
if [ ${#install[@]} -gt 0 ]; then
  have apt-get || { echo "test.sh: please install: ${install[*]}" >&2; exit 1; }
  echo "test.sh: installing ${install[*]}"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "${install[@]}" >/dev/null
fi

# Release: the simulator and whole clusters run in these tests; one build serves them and the binaries.
# One test program at a time: several start clusters, which share the machine's cores.
cargo test --workspace --release "$@"
