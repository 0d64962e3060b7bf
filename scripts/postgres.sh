# shellcheck shell=bash
# A private Postgres in one folder: the server's programs with the staged extension installed into them, data, socket,
# log, port and password, all owned by the server's user and closed to others. Sourced by test-cluster.sh and demo.sh
# after common.sh.
#
# Local connections (the socket lies in the closed folder) need no password; TCP on the loopback address does.

# pg_program DIR NAME: a program of the private installation.
pg_program() { printf '%s/server%s/%s\n' "$1" "$("$PG_CONFIG" --bindir)" "$2"; }

# pg_prepare DIR STAGE: the installation, anew each time, and the cluster unless there is one.
#
# Postgres finds its libraries and extensions from where its program lies. So the programs are copied, all other files
# of the machine's Postgres are linked, and the staged extension is put beside them: installed as `make install` does it,
# for this server alone, without rights and without touching the machine's own.
pg_prepare() {
  local dir=$1 stage=$2 user folder program
  user=$(server_user)
  mkdir -p "$dir"
  chmod 700 "$dir"
  rm -rf "$dir/server"
  for folder in --pkglibdir --sharedir; do
    folder=$("$PG_CONFIG" $folder)
    mkdir -p "$dir/server$(dirname "$folder")"
    cp --recursive --symbolic-link "$folder" "$dir/server$folder"
  done
  mkdir -p "$dir/server$("$PG_CONFIG" --bindir)"
  for program in postgres initdb pg_ctl; do
    cp "$("$PG_CONFIG" --bindir)/$program" "$(pg_program "$dir" "$program")"
  done
  # --remove-destination: an extension that is installed on the machine too is not written through its link.
  cp --recursive --remove-destination "$stage/." "$dir/server"
  if [ ! -e "$dir/data/PG_VERSION" ]; then
    rm -rf "$dir/data"
    head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$dir/password"
  fi
  mkdir -p "$dir/socket"
  chown -R "$user" "$dir"
  [ -e "$dir/data/PG_VERSION" ] || pg_create "$dir"
}

pg_create() {
  local dir=$1
  as_server_user "$(pg_program "$dir" initdb)" --pgdata="$dir/data" --username=postgres --pwfile="$dir/password" \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions \
    >"$dir/initdb.log" 2>&1 || {
    cat "$dir/initdb.log" >&2
    die "initdb failed (its output stands above)"
  }
}

# pg_move DIR: what a change of the major version does, here from a version to itself: pg_upgrade takes the stopped cluster
# along into a new one, which takes its place.
pg_move() {
  local dir=$1 name
  for name in pg_controldata pg_dump pg_dumpall pg_resetwal pg_restore pg_upgrade psql vacuumdb; do
    cp "$("$PG_CONFIG" --bindir)/$name" "$(pg_program "$dir" "$name")"
  done
  as_server_user mv "$dir/data" "$dir/before"
  pg_create "$dir"
  # It writes a script into the working directory.
  as_server_user env -C "$dir" "$(pg_program "$dir" pg_upgrade)" --username=postgres --socketdir="$dir/socket" --jobs=2 \
    --old-bindir="$(dirname "$(pg_program "$dir" postgres)")" --new-bindir="$(dirname "$(pg_program "$dir" postgres)")" \
    --old-datadir="$dir/before" --new-datadir="$dir/data" >"$dir/pg_upgrade.log" 2>&1 || {
    cat "$dir/pg_upgrade.log" >&2
    find "$dir/data/pg_upgrade_output.d" -name '*.log' -exec tail -n 20 {} + >&2 || true
    die "pg_upgrade failed (its output stands above)"
  }
  rm -rf "$dir/before"
}

free_port() {
  "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# pg_start DIR PORT|any [SETTING=VALUE…]: starts the server. A free port is chosen before Postgres takes it, so another
# program may be quicker: then the next one is tried.
pg_start() {
  local dir=$1 wanted=$2 setting options port
  shift 2
  for _ in 1 2 3 4 5; do
    if [ "$wanted" = any ]; then port=$(free_port); else port=$wanted; fi
    options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir/socket"
    options+=" -c timezone=UTC -c log_timezone=UTC"
    for setting in "$@"; do options+=" -c $setting"; done
    as_server_user truncate -s 0 "$dir/log" 2>/dev/null || true
    if as_server_user "$(pg_program "$dir" pg_ctl)" --pgdata="$dir/data" --log="$dir/log" --wait --timeout=120 \
      --options="$options" start >/dev/null 2>&1; then
      printf '%s\n' "$port" >"$dir/port"
      return
    fi
    grep -q 'Address already in use' "$dir/log" || break
  done
  tail -n 20 "$dir/log" >&2 || true
  die "the private Postgres in $dir did not start (its log's last lines stand above)"
}

pg_running() {
  [ -e "$1/data/postmaster.pid" ] && as_server_user "$(pg_program "$1" pg_ctl)" --pgdata="$1/data" status >/dev/null 2>&1
}

# pg_stop DIR [MODE]
pg_stop() {
  local dir=$1 mode=${2:-fast}
  if pg_running "$dir"; then
    as_server_user "$(pg_program "$dir" pg_ctl)" --pgdata="$dir/data" --mode="$mode" --wait stop >/dev/null 2>&1 || true
  fi
}

# pg_conninfo DIR: libpq words for the socket, with the password that TCP would need.
pg_conninfo() {
  printf 'host=%s/socket port=%s user=postgres password=%s\n' "$1" "$(cat "$1/port")" "$(cat "$1/password")"
}

# pg_url DIR DATABASE: the ordinary URL, over TCP.
pg_url() {
  printf 'postgresql://postgres:%s@127.0.0.1:%s/%s\n' "$(cat "$1/password")" "$(cat "$1/port")" "$2"
}
