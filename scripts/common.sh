# shellcheck shell=bash
# What every script here shares: where things are, who runs the server, how to speak to the user.
# Sourced, never run.

set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export project

default_pg_config=/usr/lib/postgresql/15/bin/pg_config
PG_CONFIG=${PG_CONFIG:-$default_pg_config}

# Debian's interpreter: python3-aiosmtpd is installed for this one, not for whichever python3 comes first in PATH.
PYTHON=${TRADEFLOW_PYTHON:-/usr/bin/python3}
export PYTHON

say() { printf '%s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Exported only when it is another one than .cargo/config.toml names, so that a plain `cargo build` and these
# scripts see the same environment and pgrx does not bind the headers again at every change of hands.
if [ "$PG_CONFIG" != "$default_pg_config" ]; then
  export PGRX_PG_CONFIG_PATH=$PG_CONFIG
fi

# Runs a command as root: directly, or through sudo, which may ask for a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root: $*   (run it as root, or install sudo)"
  fi
}

# Postgres refuses to run as root: under root the server runs as Debian's user `postgres`, otherwise as oneself.
server_user() {
  if [ "$(id -u)" != 0 ]; then
    id -un
  elif getent passwd postgres >/dev/null; then
    printf 'postgres\n'
  else
    die "there is no user 'postgres' to run a private server as: run scripts/setup.sh first"
  fi
}

# Changes directory first: a checkout under /root is closed to the server's user, and a program that cannot read
# its working directory complains or fails.
as_server_user() {
  local user
  user=$(server_user)
  if [ "$user" = "$(id -un)" ]; then
    (cd / && "$@")
  else
    (cd / && setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- \
      env HOME=/nonexistent USER="$user" LOGNAME="$user" "$@")
  fi
}

pg_major() {
  [ -x "$PG_CONFIG" ] || die "no pg_config at $PG_CONFIG: run scripts/setup.sh, or set PG_CONFIG=/path/to/pg_config"
  "$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
}

target_dir() {
  local dir=${CARGO_TARGET_DIR:-target}
  case $dir in
    /*) printf '%s\n' "$dir" ;;
    *) printf '%s\n' "$project/$dir" ;;
  esac
}

# profile_folder PROFILE: where cargo puts what it builds with that profile.
profile_folder() {
  case $1 in
    dev) echo debug ;;
    *) printf '%s\n' "$1" ;;
  esac
}
