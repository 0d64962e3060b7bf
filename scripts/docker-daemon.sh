#!/usr/bin/env bash
# A private Docker daemon that lives until its standard input closes: whoever started it may end in any way, even
# SIGKILL, and nothing is left behind. It has network, processes and mounts of its own (namespaces), so it touches no
# rule of the machine's firewall, no bridge, no other daemon; its containers reach each other and nothing else.
#
#   docker-daemon.sh FOLDER    FOLDER is served by HTTP to the containers, at http://172.30.0.1/
#
# On standard output: `host=unix://…` for DOCKER_HOST, `pid=…` of a process within its network (nsenter), then `ready`.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

address=172.30.0.1

# The first process of the namespaces: when it ends, the kernel ends all the others.
inside() {
  local dir=$1 served=$2
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  ip link set lo up
  echo '{}' >"$dir/daemon.json"
  (cd "$served" && exec "$PYTHON" -m http.server --bind 0.0.0.0 80) >"$dir/http.log" 2>&1 &
  dockerd --config-file "$dir/daemon.json" --data-root "$dir/data" --exec-root "$dir/run" --pidfile "$dir/pid" \
    --host "unix://$dir/docker.sock" --bip "$address/24" --exec-opt native.cgroupdriver=cgroupfs \
    --cgroup-parent "/$(basename "$dir")" >"$dir/log" 2>&1 &
  wait $!
}

if [ "${1:-}" = --inside ]; then
  inside "$2" "$3"
  exit
fi

served=$(cd "$1" && pwd)
parent=${TMPDIR:-/tmp}

# Its files, and its groups of processes: the kernel ends the processes in its own time, and only then lets go of these.
remove() {
  local dir=$1 groups
  for _ in $(seq 50); do
    mapfile -t groups < <(find /sys/fs/cgroup -maxdepth 2 -name "$(basename "$dir")" -type d)
    [ ${#groups[@]} -gt 0 ] || break
    find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
  done
  rm -rf "$dir"
}

# What a killed one left: nobody holds its lock.
for old in "$parent"/tradeflow-docker.*; do
  [ -e "$old/lock" ] || continue
  if (exec 8<"$old/lock" && flock --nonblock 8); then remove "$old"; fi
done

trap '' INT
dir=$(mktemp -d "$parent/tradeflow-docker.XXXXXX")
exec 9>"$dir/lock"
flock 9
daemon=''
clean_up() {
  if [ -n "$daemon" ]; then
    kill -KILL "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  remove "$dir"
}
trap clean_up EXIT
trap 'exit 0' TERM HUP

# --kill-child and --pdeathsig: this script's end is the end of all of it. Descriptor 9 (the lock) stays here.
setpriv --pdeathsig KILL -- unshare --mount --net --pid --fork --kill-child=KILL -- \
  "${BASH_SOURCE[0]}" --inside "$dir" "$served" </dev/null >"$dir/inside.log" 2>&1 9>&- &
daemon=$!

answers() { docker --host "unix://$dir/docker.sock" info >/dev/null 2>&1; }
for _ in $(seq 300); do
  if answers; then break; fi
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.2
done
if ! answers; then
  tail -n 5 "$dir/inside.log" "$dir/log" >&2 || true
  die "dockerd did not start (its last lines stand above)"
fi

printf 'host=unix://%s/docker.sock\n' "$dir"
printf 'pid=%s\n' "$(pgrep --parent "$daemon")"
echo ready
# Until the end of standard input.
cat >/dev/null
