#!/usr/bin/env bash
# All use cases, visible: a private Postgres with the extension, and beside it (scripts/demo/show.py) the sample store, HubSpot,
# a spreadsheet, a mail server and the sidecar. People change something in the store, and what followed where is told.
# Nothing outside the demo's folder is touched.
#
#   scripts/demo.sh           stays until ctrl-C when a person watches (DEMO_ONCE=1: ends after the report)
#   scripts/demo.sh WORD…     only the use cases with such a word in the name of their file in scripts/demo/cases
#   scripts/demo.sh --clean   removes the demo's folder
#
# DEMO_DIR: another folder than .run. PROFILE=release: optimised builds, which take three times as long to make.
# TRADEFLOW_BIN, TRADEFLOW_FAKES and TRADEFLOW_STAGE, all set: what was built already, as scripts/test.sh does.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
cd "$project"

database=tradeflow_demo

# The project's .run, unless the server's user cannot get there (a checkout under /root) or the path of the socket
# would be longer than the 107 bytes a socket may have.
choose_folder() {
  local near=$project/.run far
  far=/var/tmp/tradeflow-demo-$(id -un)-$(printf '%s' "$project" | cksum | cut -d ' ' -f 1)
  if [ -d "$project" ] && as_server_user test -x "$project" && [ ${#near} -le 70 ]; then
    echo "$near"
  else
    echo "$far"
  fi
}
run=${DEMO_DIR:-$(choose_folder)}

if [ "${1:-}" = --clean ]; then
  # Without Debian's packages there is no server's user, and then no demo has run either.
  if [ -d "$run/pg/server" ]; then pg_stop "$run/pg"; fi
  rm -rf "$run"
  exit
fi

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }

mkdir -p "$run"
# One demo at a time in a folder; children are started without this descriptor, so that none of them keeps it.
exec 9>"$run/lock"
flock --nonblock 9 || die "a demo is running already in $run"

show=''
finish() {
  local status=$?
  trap '' INT TERM
  if [ -n "$show" ]; then
    kill -TERM "$show" 2>/dev/null || true
    wait "$show" 2>/dev/null || true
  fi
  pg_stop "$run/pg"
  exit "$status"
}
trap finish EXIT
# Once all is shown the demo has done its work: ending it then is no failure.
rm -f "$run/shown"
trap 'if [ -e "$run/shown" ]; then exit 0; else exit 130; fi' INT
trap 'exit 143' TERM HUP

psql_demo() { psql -X -q -v ON_ERROR_STOP=1 "$(pg_conninfo "$run/pg") dbname=$database" "$@"; }
value() { psql_demo -At -c "$1"; }

if [ -z "${TRADEFLOW_BIN:-}" ] || [ -z "${TRADEFLOW_FAKES:-}" ] || [ -z "${TRADEFLOW_STAGE:-}" ]; then
  title "Building tradeflow (the first time takes some minutes)"
  profile=${PROFILE:-dev}
  cargo build --quiet -p tradeflow-sidecar -p tradeflow-fakes --profile "$profile"
  TRADEFLOW_BIN=$(target_dir)/$(profile_folder "$profile")/tradeflow
  TRADEFLOW_FAKES=$(target_dir)/$(profile_folder "$profile")/tradeflow-fakes
  TRADEFLOW_STAGE=$(target_dir)/stage/$profile
  DESTDIR=$TRADEFLOW_STAGE PROFILE=$profile scripts/install-extension.sh
  note "done"
fi

title "Starting a private Postgres in $run/pg"
case ${DEMO_DIR:-$run} in "$project"/* | "${DEMO_DIR:-}") ;; *) note "(not below the checkout: the server's user \"$(server_user)\" has no way to it there)" ;; esac
# A demo that was killed may have left its server.
if [ -d "$run/pg/server" ]; then pg_stop "$run/pg"; fi
pg_prepare "$run/pg" "$TRADEFLOW_STAGE" 9>&-
pg_start "$run/pg" any 9>&-
psql -X -q "$(pg_conninfo "$run/pg") dbname=postgres" \
  -c "drop database if exists $database with (force)" -c "create database $database" 2>"$run/psql.log"
owner_url=$(pg_url "$run/pg" "$database")
TRADEFLOW_DATABASE_URL=$owner_url TRADEFLOW_LOG=warn "$TRADEFLOW_BIN" init >"$run/init.log" 2>&1 || {
  cat "$run/init.log" >&2
  die "tradeflow init failed"
}
# The sidecar gets a login of its own: it may execute actions and, since webhooks come to it, write the store's tables.
password=$(cat "$run/pg/password")
psql_demo -c "do \$\$ begin if to_regrole('demo_sidecar') is null then create role demo_sidecar; end if; end \$\$" \
  -c "alter role demo_sidecar login password '$password'" -c "grant tradeflow_executor, tradeflow_sync to demo_sidecar" 2>>"$run/psql.log"
printf '#!/bin/sh\nexec psql -X -q "%s dbname=%s" "$@"\n' "$(pg_conninfo "$run/pg")" "$database" >"$run/psql"
chmod 700 "$run/psql"
note "done: Postgres $(value 'show server_version' | cut -d ' ' -f 1), extension tradeflow $(value 'select tradeflow.version()')"

stay=()
if [ -t 1 ] && [ -z "${DEMO_ONCE:-}" ]; then stay=(--stay); fi
"$PYTHON" -B scripts/demo/show.py --folder "$run" --binary "$TRADEFLOW_BIN" --fakes "$TRADEFLOW_FAKES" --owner-url "$owner_url" \
  --sidecar-url "postgresql://demo_sidecar:$password@127.0.0.1:$(cat "$run/pg/port")/$database" "${stay[@]}" "$@" 9>&- &
show=$!
wait "$show"
