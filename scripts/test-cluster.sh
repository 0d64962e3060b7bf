#!/usr/bin/env bash
# Starts a private, throw-away Postgres that has the extension, prints how to connect, and lives until its standard
# input closes: whoever started it may end in any way, even SIGKILL, and nothing is left behind.
#
#   TRADEFLOW_STAGE=DIR              use the extension staged there instead of building it
#   TRADEFLOW_PG_SETTINGS='a=1 b=2'  further settings of the server; they win over the ones below
#
# On standard output: one line `conninfo=…`, then `ready`. On standard input, one word a line, each answered `ok`:
#   stop (fast) · crash (as SIGQUIT: sessions are cut, recovery follows) · start (again, on the same port)
#   upgrade (stop, pg_upgrade into a new cluster, start)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"

# The terminal's ctrl-C goes to the whole group; this script ends when its parent has ended, not before.
trap '' INT
dir=$(mktemp -d "${TMPDIR:-/tmp}/tradeflow-pg.XXXXXX")
clean_up() {
  pg_stop "$dir" immediate
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 0' TERM HUP

stage=${TRADEFLOW_STAGE:-}
if [ -z "$stage" ]; then
  stage=$(target_dir)/stage/dev
  DESTDIR=$stage PROFILE=dev "$project/scripts/install-extension.sh" >&2
fi

# No crash of the machine is to be survived here, so nothing waits for the disk; commits are still written at once
# (synchronous_commit stays on), for a crash of the server must lose none. Logical decoding is on because tables fed
# by logical replication are tested too.
settings=(fsync=off full_page_writes=off max_connections=200 shared_buffers=128MB
  max_wal_size=2GB wal_level=logical)
# shellcheck disable=SC2206 # one setting a word
settings+=(${TRADEFLOW_PG_SETTINGS:-})

pg_prepare "$dir" "$stage"
pg_start "$dir" any "${settings[@]}"
printf 'conninfo=%s\n' "$(pg_conninfo "$dir")"
echo ready

while read -r word; do
  case $word in
    start) pg_start "$dir" "$(cat "$dir/port")" "${settings[@]}" ;;
    stop) pg_stop "$dir" fast ;;
    crash) pg_stop "$dir" immediate ;;
    upgrade)
      pg_stop "$dir" fast
      pg_move "$dir"
      pg_start "$dir" "$(cat "$dir/port")" "${settings[@]}"
      ;;
    *) die "unknown word on standard input: $word (stop, crash, start, upgrade)" ;;
  esac
  echo ok
done
