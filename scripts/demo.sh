#!/usr/bin/env bash
# The main job, visible: a private Postgres with the extension, the sample store, three rules, a mail server and the
# sidecar; some quotes change, and what followed is told. Nothing outside the demo's folder is touched.
#
#   scripts/demo.sh           stays until ctrl-C when a person watches (DEMO_ONCE=1: ends after the report)
#   scripts/demo.sh --clean   removes the demo's folder
#
# DEMO_DIR: another folder than .run. PROFILE=release: optimised builds, which take three times as long to make.
# TRADEFLOW_BIN and TRADEFLOW_STAGE, both set: what was built already, as scripts/test.sh does.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
cd "$project"

database=tradeflow_demo
wanted_mails=4

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

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }

mkdir -p "$run"
# One demo at a time in a folder; children are started without this descriptor, so that none of them keeps it.
exec 9>"$run/lock"
flock --nonblock 9 || die "a demo is running already in $run"

sidecar='' sink=''
finish() {
  local status=$?
  trap '' INT TERM
  [ -z "$sidecar" ] || kill -TERM "$sidecar" 2>/dev/null || true
  [ -z "$sidecar" ] || wait "$sidecar" 2>/dev/null || true
  [ -z "$sink" ] || kill -TERM "$sink" 2>/dev/null || true
  [ -z "$sink" ] || wait "$sink" 2>/dev/null || true
  pg_stop "$run/pg"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

psql_demo() { psql -X -q -v ON_ERROR_STOP=1 "$(pg_conninfo "$run/pg") dbname=$database" "$@"; }
# Prints a statement as a person would type it, then runs it.
show() {
  printf '%s\n' "$1" | sed "s/^/  $dim│$plain /"
  psql_demo -c "$1"
}
value() { psql_demo -At -c "$1"; }

if [ -z "${TRADEFLOW_BIN:-}" ] || [ -z "${TRADEFLOW_STAGE:-}" ]; then
  title "Building tradeflow (the first time takes some minutes)"
  profile=${PROFILE:-dev}
  cargo build --quiet -p tradeflow-sidecar --profile "$profile"
  TRADEFLOW_BIN=$(target_dir)/$(profile_folder "$profile")/tradeflow
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
psql_demo -c "create extension tradeflow"
# The sidecar gets a login of its own that may execute actions and nothing else.
password=$(cat "$run/pg/password")
psql_demo -c "do \$\$ begin if to_regrole('demo_sidecar') is null then create role demo_sidecar; end if; end \$\$" \
  -c "alter role demo_sidecar login password '$password'" -c "grant tradeflow_executor to demo_sidecar"
# Two words for whoever wants to go on: psql and tradeflow, told where the database is.
owner_url=$(pg_url "$run/pg" "$database")
printf '#!/bin/sh\nexec psql "%s dbname=%s" "$@"\n' "$(pg_conninfo "$run/pg")" "$database" >"$run/psql"
printf '#!/bin/sh\nTRADEFLOW_DATABASE_URL="%s" exec "%s" "$@"\n' "$owner_url" "$TRADEFLOW_BIN" >"$run/tradeflow"
chmod 700 "$run/psql" "$run/tradeflow"
note "done: Postgres $(value 'show server_version' | cut -d ' ' -f 1), extension tradeflow $(value 'select tradeflow.version()')"

title "Loading the sample store, as the store's API returns it"
export TRADEFLOW_LOG=warn
"$run/tradeflow" init >"$run/init.log" 2>&1 || {
  cat "$run/init.log" >&2
  die "tradeflow init failed"
}
"$run/tradeflow" load sidecar/samples/store | sed 's/^/  /'

title "Starting a mail server and the sidecar"
rm -rf "$run/mails"
: >"$run/sink.log"
: >"$run/sidecar.log"
setpriv --pdeathsig TERM -- "$PYTHON" scripts/mail_sink.py --dir "$run/mails" >"$run/sink.log" 2>"$run/sink.err" </dev/null 9>&- &
sink=$!
# wait_until WHAT COMMAND…: polls for up to a minute, and tells the logs when it was in vain.
wait_until() {
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@"; then return; fi
    for child in $sink $sidecar; do
      kill -0 "$child" 2>/dev/null || break 2
    done
    sleep 0.1
  done
  tail -n 20 "$run/sidecar.log" "$run/sink.err" >&2
  die "$what did not happen (the logs' last lines stand above; all of them are in $run)"
}
listening() { grep -q '"listening"' "$run/sink.log"; }
wait_until "the start of the mail server" listening
port_of() { sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" "$run/sink.log" | head -n 1; }
mails_url=http://127.0.0.1:$(port_of http)/
psql_demo -v url="smtp://127.0.0.1:$(port_of smtp)" <<'SQL'
insert into tradeflow.targets (name, system, base_url, sender)
values ('smtp', 'smtp', :'url', 'Northwind Supply <quotes@northwind.example>');
SQL
sidecar_url=postgresql://demo_sidecar:$password@127.0.0.1:$(cat "$run/pg/port")/$database
TRADEFLOW_DATABASE_URL=$sidecar_url TRADEFLOW_LOG=info TRADEFLOW_LISTEN_ADDRESS=127.0.0.1:0 \
  setpriv --pdeathsig TERM -- "$TRADEFLOW_BIN" run >"$run/sidecar.log" 2>&1 </dev/null 9>&- &
sidecar=$!
note "mails can be seen at $bold$mails_url$plain"

title "A project with three recipes (the rows already there fire nothing)"
rm -rf "$run/shop"
"$run/tradeflow" new "$run/shop" >/dev/null
in_shop() { (cd "$run/shop" && "$run/tradeflow" "$@"); }
in_shop recipe add quote_below_base_price --set discount_warn_percent=20 >/dev/null
in_shop recipe add quote_expiry_reminder --set reminder_days=3 >/dev/null
in_shop recipe add welcome_company_user >/dev/null
in_shop apply | sed 's/^/  /'
note "Its files are in $run/shop: change one, then try plan, test, preview and apply there."
psql_demo -At -F ' · ' -c "select name, 'on ' || coalesce(source, view), description from tradeflow.rules order by name" | sed 's/^/  /'

title "Now the store changes"
# The first open quotes whose line is near its base price, so that the demo is the same every time.
read -r quote_a line_a quote_b line_b <<<"$(value "
  select string_agg(quote_id || ' ' || line_key, ' ' order by quote_id)
  from (select distinct on (quote_id) quote_id, line_key
        from store.quote_items join store.quotes using (quote_id)
        where status in (0, 2, 3) and company_name is not null and base_price >= 10 and offered_price >= base_price * 0.9 and line_key !~ '[ '']'
        order by quote_id, line_key limit 2) two")"
quote_c=$(value "select quote_id from store.quotes where status in (0, 2, 3) and contact_email is not null
  and grand_total > 0 and quote_id not in ($quote_a, $quote_b) order by quote_id limit 1")
company=$(value "select min(company_id) from store.company_sales_staff join store.companies using (company_id)")

note "A line at 25 % off, one at 40 % off:"
show "update store.quote_items set offered_price = round(base_price * 0.75, 2) where quote_id = $quote_a and line_key = '$line_a';"
show "update store.quote_items set offered_price = round(base_price * 0.60, 2) where quote_id = $quote_b and line_key = '$line_b';"
note "A new buyer at a company:"
show "insert into store.company_users (b2b_user_id, company_id, email, first_name, last_name, role, raw)
values (900001, $company, 'ada@example.com', 'Ada', 'Lovelace', 1, '{}');"
note "A quote that expires in three days and four seconds, so its reminder is due in four seconds:"
show "update store.quotes set expired_at = now() + interval '3 days 4 seconds' where quote_id = $quote_c;"
note "The same upsert again, as a re-sync does it: nothing has changed, so nothing fires:"
show "update store.quote_items set offered_price = offered_price, synced_at = now() where quote_id in ($quote_a, $quote_b);"

title "What came of it"
mails_came() { [ "$(grep -c '"event": "mail"' "$run/sink.log")" -ge $wanted_mails ]; }
queue_is_empty() { [ "$(value 'select count(*) from tradeflow.outbox')" = 0 ]; }
wait_until "the arrival of $wanted_mails mails" mails_came
wait_until "the end of all actions" queue_is_empty
psql_demo -At -f scripts/demo_firings.sql | "$PYTHON" scripts/demo_report.py "$run/sink.log"

title "Try next"
note "The mails:  $bold$mails_url$plain"
note "Metrics:    http://$(sed -nE 's#.*/metrics.*address=([0-9.:]+).*#\1#p' "$run/sidecar.log" | head -n 1)/metrics"
note "SQL:        $run/psql   (in another terminal), then for example"
sed 's/^/                /' <<SQL
table tradeflow.firings;
select rule, subject, state, run_at from tradeflow.outbox;
update store.quote_items set offered_price = base_price / 2 where quote_id = $quote_c;
update tradeflow.settings set value = '10' where name = 'discount_warn_percent';
select tradeflow.set_clock(now() + interval '30 days');   -- and back: set_clock(null)
SQL
note "Check:      $run/tradeflow doctor"

if [ -t 1 ] && [ -z "${DEMO_ONCE:-}" ]; then
  title "Running until ctrl-C"
  # The demo has done its work: ending it now is no failure.
  trap 'exit 0' INT
  wait -n "$sidecar" "$sink" || true
  tail -n 20 "$run/sidecar.log" "$run/sink.err" >&2
  die "the sidecar or the mail server has ended by itself"
fi
