#!/usr/bin/env bash
# Installs what is missing on a Debian machine that has Rust: Postgres with its headers, clang for the bindings
# of those headers, the Python mail server of the demo and the tests, and what lets a test set a sidecar's clock. Says
# what it installs; installs nothing twice. A further word adds what a habit needs: lint, test (the pooler of the tests),
# docker (make docker-test), bench (what installs the peers of the benchmark).
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(build-essential openssl pkg-config clang libclang-dev postgresql-15 postgresql-server-dev-15 python3 python3-aiosmtpd libfaketime)
case ${1:-} in
  lint) packages+=(shellcheck) ;;
  test) packages+=(pgbouncer) ;;
  docker)
    packages+=(mmdebstrap iproute2 iptables curl)
    # Docker's own packages are no less good, and Debian's would replace them.
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v docker-compose >/dev/null || packages+=(docker-compose)
    ;;
  bench) command -v npm >/dev/null || packages+=(npm) ;;
esac

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

# Debian starts a server on the machine's usual port as soon as the first server package is installed. Nobody asked
# for that one: it is switched off for the time of this installation. A machine that has Postgres keeps its ways.
without_default_server() {
  local switch=/etc/postgresql-common/createcluster.d/tradeflow-setup.conf status=0
  as_root mkdir -p "$(dirname "$switch")"
  echo 'create_main_cluster = false' | as_root tee "$switch" >/dev/null
  "$@" || status=$?
  as_root rm -f "$switch"
  return "$status"
}

# Debian starts pgbouncer too, now and at every boot. The tests start their own, and nobody asked for that one.
without_default_pooler() {
  local policy=/usr/sbin/policy-rc.d status=0 ours=
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  "$@" || status=$?
  [ -z "$ours" ] || as_root rm -f "$policy"
  as_root systemctl disable pgbouncer >/dev/null 2>&1 || true
  return "$status"
}

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "missing: ${missing[*]}. This script installs Debian packages; install their equivalents here by hand."
  say "Installing Debian packages: ${missing[*]}"
  apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
  }
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # Lists that are there may be fresh enough: the update, which is slow and fails as a whole when one foreign
  # source of the machine is out of reach, is the second try.
  if installed postgresql-common; then install=(apt_install); else install=(without_default_server apt_install); fi
  if [[ " ${missing[*]} " = *" pgbouncer "* ]]; then install=(without_default_pooler "${install[@]}"); fi
  if ! "${install[@]}"; then
    say "Refreshing the package lists first…"
    as_root apt-get update >>"$log" 2>&1 || say "(apt-get update reported errors; going on with what it has)"
    "${install[@]}" || {
      tail -n 20 "$log" >&2
      die "apt-get could not install: ${missing[*]} (its last lines stand above)"
    }
  fi
fi

command -v cargo >/dev/null || die "there is no cargo in PATH: install Rust 1.95 (rustup) and come back"
[ -x "$PG_CONFIG" ] || die "no pg_config at $PG_CONFIG: set PG_CONFIG=/path/to/pg_config"
"$PYTHON" -c 'import aiosmtpd' 2>/dev/null || die "$PYTHON has no module aiosmtpd: install python3-aiosmtpd, or set TRADEFLOW_PYTHON to an interpreter that has it"
