#!/usr/bin/env bash
# Lints the shell scripts and the JavaScript, in a few seconds; installs the linters if they are missing.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=.ci/tools.sh
. .ci/tools.sh
have shellcheck || install_packages shellcheck
install_linters
shellcheck --external-sources .ci/run .ci/*.sh test.sh compose/*.sh protocol/fuzz/*.sh
oxlint --config .ci/oxlint.json --deny-warnings web/assets node/tests/e2e/scripts
