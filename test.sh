#!/usr/bin/env bash
# Installs what the tests need (Chromium and Firefox, for the tests of pages) and runs all of them.
# Needs Rust; on Debian or Ubuntu nothing else. Elsewhere install the browsers yourself first.
set -eu
cd "$(dirname "$0")"

# shellcheck source=.ci/tools.sh
. .ci/tools.sh

install=()
have cc || install+=(gcc libc6-dev)
have ip || install+=(iproute2)
have sysctl || install+=(procps)
have chromium || have chromium-browser || have google-chrome || install+=(chromium)
# Ubuntu has no firefox-esr, and its firefox is a snap: there, install one yourself.
have firefox-esr || have firefox || install+=(firefox-esr)
[ ${#install[@]} -eq 0 ] || install_packages "${install[@]}"

# Release: the simulator and whole clusters run in these tests; one build serves them and the binaries.
# One test program at a time: several start clusters, which share the machine's cores.
cargo test --locked --workspace --release "$@"
