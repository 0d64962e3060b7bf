#!/bin/sh
# Makes of a plain Debian what the official image is already: Postgres 15 and an entrypoint. The official image is left
# as it is.
set -eu
here=$(dirname "$0")

if [ ! -x /usr/lib/postgresql/15/bin/postgres ]; then
  apt-get update
  # The entrypoint makes the cluster, on the volume.
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold \
    postgresql-15
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
fi

if ! command -v docker-entrypoint.sh >/dev/null; then
  install -m 755 "$here/entrypoint.sh" /usr/local/bin/docker-entrypoint.sh
  install -d /docker-entrypoint-initdb.d
  # A volume that is new takes over owner and mode.
  install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
  # A tmpfs that is mounted here is root's, and has this mode.
  install -d -o postgres -g postgres -m 3777 /var/run/postgresql
fi
rm -rf "$here"
