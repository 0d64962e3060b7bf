#!/usr/bin/env bash
# The entrypoint for bases that have none: makes the cluster when the volume is empty, then becomes the command. It obeys
# those variables of the official image's entrypoint that need no root:
#
#   POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE   the superuser's password (required for a new cluster)
#   POSTGRES_USER, POSTGRES_DB                    its name (postgres), and a database to make (that name)
#   POSTGRES_INITDB_ARGS                          further words for initdb
#   /docker-entrypoint-initdb.d/*.sql, *.sh       run once, in order, in that database
set -euo pipefail

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

password() {
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    head -n 1 "$POSTGRES_PASSWORD_FILE"
  else
    printf '%s\n' "${POSTGRES_PASSWORD:-}"
  fi
}

run_sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$user" "$@"; }

make_cluster() {
  local making=$PGDATA/making file words
  [ -n "$(password)" ] || die "a new cluster needs a password: set POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD)"
  # Made beside its place and moved when it is whole: a container that is killed meanwhile begins anew.
  rm -rf "$making"
  read -ra words <<<"${POSTGRES_INITDB_ARGS:-}"
  initdb --pgdata "$making" --username "$user" --pwfile <(password) --auth-local trust --auth-host scram-sha-256 \
    --no-instructions "${words[@]}"
  printf '\n# Other containers and hosts: always with a password.\nhost all all all scram-sha-256\n' >>"$making/pg_hba.conf"
  # On the socket alone: to the outside the server is not there yet.
  pg_ctl --pgdata "$making" --silent --wait --options "-c listen_addresses=''" start
  if [ "$database" != postgres ]; then
    run_sql --dbname postgres --set name="$database" <<<'create database :"name";'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sql) run_sql --dbname "$database" --file "$file" ;;
      *.sh) bash "$file" ;;
    esac
  done
  pg_ctl --pgdata "$making" --silent --wait --mode fast stop
  # The version file last: it is what says that the cluster is whole.
  find "$making" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
  mv "$making/PG_VERSION" "$PGDATA"
  rmdir "$making"
}

case ${1:-} in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" = postgres ] && [ ! -e "$PGDATA/PG_VERSION" ]; then
  make_cluster
fi
exec "$@"
