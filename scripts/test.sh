#!/usr/bin/env bash
# Runs the tests on one private Postgres for all of them. Arguments go to the test runner: a word picks tests by name.
#
# The runner is cargo-nextest when it is there and `cargo test` when not: the tests pass under both, and building
# nextest on a fresh machine takes longer than it saves.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

packages=(--workspace)
# FEATURES=otel: sidecar and tests with traces.
if [ -n "${FEATURES:-}" ]; then
  packages+=(--features "tradeflow-sidecar/$FEATURES,tradeflow-tests/$FEATURES")
fi

cargo build --quiet -p tradeflow-sidecar -p tradeflow-fakes ${FEATURES:+--features "tradeflow-sidecar/$FEATURES"}
TRADEFLOW_STAGE=$(target_dir)/stage/dev
export TRADEFLOW_STAGE
DESTDIR=$TRADEFLOW_STAGE PROFILE=dev scripts/install-extension.sh
TRADEFLOW_BIN=$(target_dir)/debug/tradeflow
TRADEFLOW_FAKES=$(target_dir)/debug/tradeflow-fakes
export TRADEFLOW_BIN TRADEFLOW_FAKES

# The server ends when this script does, however that comes: its standard input closes then.
coproc cluster { scripts/test-cluster.sh; }
# Kept at once: bash forgets them when the coprocess ends.
# shellcheck disable=SC2154 # coproc sets cluster_PID
from=${cluster[0]} to=${cluster[1]} server=$cluster_PID
finish() {
  exec {to}>&-
  wait "$server" 2>/dev/null || true
}
trap finish EXIT
while IFS= read -r line <&"$from"; do
  case $line in
    conninfo=*) export TRADEFLOW_TEST_PG=${line#conninfo=} ;;
    ready) break ;;
  esac
done
[ -n "${TRADEFLOW_TEST_PG:-}" ] || die "the private Postgres did not come up (its reason stands above)"

if cargo nextest --version >/dev/null 2>&1; then
  # nextest has no documentation tests.
  [ $# -gt 0 ] || cargo test --quiet --doc "${packages[@]}"
  cargo nextest run "${packages[@]}" --no-fail-fast "$@"
else
  cargo test "${packages[@]}" --no-fail-fast "$@"
fi
