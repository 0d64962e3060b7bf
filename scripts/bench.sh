#!/usr/bin/env bash
# Builds everything for release and runs the benchmark on a private Postgres. Arguments go to it: --help lists them.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

TRADEFLOW_STAGE=$(target_dir)/stage/release
export TRADEFLOW_STAGE
DESTDIR=$TRADEFLOW_STAGE PROFILE=release scripts/install-extension.sh
# Which sources the library and the sidecar under test were built from: the figures are theirs, wherever the benchmark itself comes from.
changes=$(git status --porcelain -- Cargo.lock Cargo.toml extension sidecar sql)
printf '%s%s\n' "$(git rev-parse --short HEAD)" "${changes:+ with changes}" >"$TRADEFLOW_STAGE/commit"
cargo build --quiet --release -p tradeflow-sidecar -p tradeflow-bench
TRADEFLOW_BIN=$(target_dir)/release/tradeflow
export TRADEFLOW_BIN

# Durable, as in production. What runs by itself at moments of its own choosing (autovacuum, checkpoints) would land
# in one half of a pair: the benchmark vacuums and checkpoints between pairs instead.
export TRADEFLOW_PG_SETTINGS='fsync=on full_page_writes=on wal_level=replica shared_buffers=1GB
  max_wal_size=16GB min_wal_size=2GB checkpoint_timeout=1d autovacuum=off'

exec "$(target_dir)/release/tradeflow-bench" "$@"
