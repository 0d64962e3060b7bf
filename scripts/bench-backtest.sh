#!/usr/bin/env bash
# How many logged changes a backtest replays in a second: on a private Postgres, with a release build of the extension.
#
#   scripts/bench-backtest.sh [ROWS [RUNS]]     200,000 rows (400,000 logged changes) and 9 runs if not told otherwise
#   PROFILE=dev scripts/bench-backtest.sh       with a debug build: for trying, not for quoting
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

rows=${1:-200000} runs=${2:-9} profile=${PROFILE:-release}
TRADEFLOW_STAGE=$(target_dir)/stage/$profile
export TRADEFLOW_STAGE
DESTDIR=$TRADEFLOW_STAGE PROFILE=$profile scripts/install-extension.sh

# The server ends when this script does, however that comes: its standard input closes then.
coproc cluster { scripts/test-cluster.sh; }
# shellcheck disable=SC2154 # coproc sets cluster_PID
from=${cluster[0]} to=${cluster[1]} server=$cluster_PID
finish() {
  exec {to}>&-
  wait "$server" 2>/dev/null || true
}
trap finish EXIT
while IFS= read -r line <&"$from"; do
  case $line in
    conninfo=*) conninfo=${line#conninfo=} ;;
    ready) break ;;
  esac
done
[ -n "${conninfo:-}" ] || die "the private Postgres did not come up (its reason stands above)"

mkdir -p "$(target_dir)/bench"
file=$(target_dir)/bench/backtest-$(date -u +%Y-%m-%dT%H%M%SZ).json
psql "$conninfo dbname=postgres" --no-psqlrc --set ON_ERROR_STOP=1 --set rows="$rows" --set runs="$runs" -f benches/sql/backtest.sql | tee "$file"
say "written to $file"
