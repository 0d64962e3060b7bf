#!/usr/bin/env bash
# What runs once before the others, and again at each `up`, when it finds everything done.
#
#   setup.sh secrets    passwords that nobody needs to know, one a file in /run/secrets; those that are there stay
#   setup.sh database   schema, the sidecar's login, the targets; TRADEFLOW_SAMPLE=sample: the sample store's first load, rules,
#                       webhooks
set -euo pipefail

share=/usr/local/share/tradeflow
secrets=/run/secrets
# Those that need nothing but the store and a mail server. `tradeflow recipe list` has all.
recipes="quote_below_base_price quote_expiry_reminder welcome_company_user quote_min_max_quantity approved_company_credit
  manual_payment_invoice late_payment loyalty_credit"

make_secrets() {
  local name
  # The group may read: the server of Postgres is another user (compose.yaml: group_add).
  umask 027
  for name in postgres_password sidecar_password; do
    if [ ! -s "$secrets/$name" ]; then
      head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$secrets/$name.new"
      mv "$secrets/$name.new" "$secrets/$name"
      echo "made $secrets/$name"
    fi
  done
}

make_database() {
  export PGHOST=postgres PGUSER=postgres PGDATABASE=$TRADEFLOW_DATABASE PGOPTIONS='-c client_min_messages=warning'
  PGPASSWORD=$(head -n 1 "$secrets/postgres_password")
  export PGPASSWORD
  export TRADEFLOW_DATABASE_URL="postgres://$PGUSER@$PGHOST/$PGDATABASE" TRADEFLOW_DATABASE_PASSWORD_FILE=$secrets/postgres_password
  sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

  tradeflow init
  sql --single-transaction --file "$share/setup/login.sql" --file "$share/setup/target.sql"
  if [[ ",${TRADEFLOW_SAMPLE:-}," != *,sample,* ]]; then
    echo "no sample store (COMPOSE_PROFILES does not name sample)"
    return
  fi
  # There is no depends_on for a service that may not be.
  for _ in $(seq 60); do
    if healthz 8080 /_fake/counts store 2>/dev/null; then break; fi
    sleep 1
  done
  if [ "$(sql --tuples-only --no-align --command 'select exists (select from tradeflow.rules)')" = t ]; then
    echo "the sample store and its rules are there: left as they are"
  else
    # The rules come last and together: they say that the sample is whole. Rows that are there fire nothing.
    tradeflow sync once
    local recipe
    rm -rf /tmp/shop
    tradeflow new /tmp/shop >/dev/null
    cd /tmp/shop
    for recipe in $recipes; do tradeflow recipe add "$recipe" >/dev/null; done
    tradeflow apply
    sql --command 'select name as rule, description from tradeflow.rules order by name'
  fi
  # Each time: a store that was restarted has forgotten them.
  tradeflow hooks register
}

case ${1:-} in
  secrets) make_secrets ;;
  database) make_database ;;
  *)
    echo "usage: setup.sh secrets|database" >&2
    exit 2
    ;;
esac
