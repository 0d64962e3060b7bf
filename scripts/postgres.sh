# shellcheck shell=bash
# A private Postgres in one folder: data, socket, log, port, password and a copy of the staged extension, all owned
# by the server's user and closed to others. Sourced by test-cluster.sh and demo.sh after common.sh.
#
# Local connections (the socket lies in the closed folder) need no password; TCP on the loopback address does.

pg_bin() { "$PG_CONFIG" --bindir; }

# pg_create DIR: makes the cluster, once.
pg_create() {
  local dir=$1 user
  user=$(server_user)
  mkdir -p "$dir"
  chmod 700 "$dir"
  head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$dir/password"
  chown -R "$user" "$dir"
  as_server_user mkdir -p "$dir/socket"
  as_server_user "$(pg_bin)/initdb" --pgdata="$dir/data" --username=postgres --pwfile="$dir/password" \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions \
    >"$dir/initdb.log" 2>&1 || {
    cat "$dir/initdb.log" >&2
    die "initdb failed (its output stands above)"
  }
}

# pg_give_extension DIR STAGE: copies the staged extension into the cluster's folder, since the server's user may not
# be able to read the checkout. The old copy is replaced by rename: running backends keep what they have mapped.
pg_give_extension() {
  local dir=$1 stage=$2 user
  user=$(server_user)
  rm -rf "$dir/extension.new" "$dir/extension.old"
  cp -r "$stage" "$dir/extension.new"
  chown -R "$user" "$dir/extension.new"
  [ ! -e "$dir/extension" ] || mv "$dir/extension" "$dir/extension.old"
  mv "$dir/extension.new" "$dir/extension"
  rm -rf "$dir/extension.old"
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
    options+=" -c extension_destdir=$dir/extension -c timezone=UTC -c log_timezone=UTC"
    for setting in "$@"; do options+=" -c $setting"; done
    as_server_user truncate -s 0 "$dir/log" 2>/dev/null || true
    if as_server_user "$(pg_bin)/pg_ctl" --pgdata="$dir/data" --log="$dir/log" --wait --timeout=120 \
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
  [ -e "$1/data/postmaster.pid" ] && as_server_user "$(pg_bin)/pg_ctl" --pgdata="$1/data" status >/dev/null 2>&1
}

# pg_stop DIR [MODE]
pg_stop() {
  local dir=$1 mode=${2:-fast}
  if pg_running "$dir"; then
    as_server_user "$(pg_bin)/pg_ctl" --pgdata="$dir/data" --mode="$mode" --wait stop >/dev/null 2>&1 || true
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
