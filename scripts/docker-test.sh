#!/usr/bin/env bash
# Builds the images of docker/ and runs compose.yaml on a private Docker daemon, and looks whether it does what it
# promises. Needs root and Docker's programs (scripts/setup.sh docker), no registry of images: the base images are made
# here. Leaves nothing behind but what it downloaded, in ~/.cache/tradeflow/docker.
#
#   scripts/docker-test.sh                 with what `make test` builds (TRADEFLOW_BIN, TRADEFLOW_FAKES and TRADEFLOW_STAGE,
#                                          all set: with that); two to four minutes
#   scripts/docker-test.sh --from-source   compiles within the image, for release (CARGO_PROFILE=dev: quicker)
#   scripts/docker-test.sh --help
#
# Where that cannot be, it says why and is content; TRADEFLOW_DOCKER_TEST=required makes it fail instead.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

from_source=''
case ${1:-} in
  '') ;;
  --from-source) from_source=yes ;;
  --help) exec sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) die "unknown word $1 (see --help)" ;;
esac

skip() {
  [ "${TRADEFLOW_DOCKER_TEST:-}" != required ] || die "$*"
  printf '\nSKIPPED: the test of the images did not run: %s\n' "$*" >&2
  exit 0
}

[ "$(id -u)" = 0 ] || skip "a private Docker daemon needs root, and you are $(id -un)"
for program in dockerd docker docker-compose mmdebstrap dpkg-scanpackages unshare nsenter ip curl; do
  command -v "$program" >/dev/null || skip "$program is not installed (scripts/setup.sh docker does that)"
done
unshare --mount --net --pid --fork true 2>/dev/null || skip "root may not make namespaces here"

passed=0 begun=$SECONDS
title() { printf '\n── %s (%s s)\n' "$*" $((SECONDS - begun)); }
# check WHAT COMMAND…: the command's success is the test.
check() {
  local what=$1
  shift
  if ! "$@"; then
    printf '  FAILED  %s\n' "$what"
    failed "$what: $*"
  fi
  printf '  ok      %s\n' "$what"
  passed=$((passed + 1))
}
# until_true WHAT SECONDS COMMAND…: the same, asked again until it succeeds or the time is up.
until_true() {
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@"; do
    if [ $SECONDS -ge $end ]; then
      printf '  FAILED  %s (in vain for long enough)\n' "$what"
      failed "$what: $*"
    fi
    sleep 0.5
  done
  printf '  ok      %s\n' "$what"
  passed=$((passed + 1))
}
failed() {
  compose ps >&2 || true
  compose logs --no-color --tail 30 >&2 || true
  printf '\ndocker: %s passed, 1 failed\n' "$passed"
  die "$*"
}

# ── What the images are built on ────────────────────────────────────────────────────────────────────────────────────

work=$(mktemp -d)
server=''
finish() {
  local status=$?
  trap '' INT TERM
  if [ -n "$server" ]; then
    exec {to}>&-
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work/builder"
packages=(ca-certificates postgresql-15 python3-aiosmtpd)
if [ -n "$from_source" ]; then
  title "This machine's Rust, and the sources of the dependencies"
  # What rust:…-slim brings, then what docker/build.sh installs.
  packages+=(gcc libc6-dev binutils clang libclang-dev pkg-config postgresql-server-dev-15)
  mkdir -p "$work/builder/cargo"
  if [ -e "${CARGO_HOME:-$HOME/.cargo}/config.toml" ]; then cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$work/builder/cargo/"; fi
  CARGO_HOME=$work/builder/cargo cargo fetch --quiet --locked --target x86_64-unknown-linux-gnu
  cp -a "$(rustc --print sysroot)" "$work/builder/rust"
  rm -rf "$work/builder/rust/share"
  cat >"$work/builder/Dockerfile" <<'DOCKERFILE'
FROM debian-made-here
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY rust /usr/local
COPY cargo /usr/local/cargo
ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true
DOCKERFILE
else
  title "The artifacts of a debug build"
  if [ -z "${TRADEFLOW_BIN:-}" ] || [ -z "${TRADEFLOW_FAKES:-}" ] || [ -z "${TRADEFLOW_STAGE:-}" ]; then
    cargo build --quiet -p tradeflow-sidecar -p tradeflow-fakes
    TRADEFLOW_BIN=$(target_dir)/debug/tradeflow
    TRADEFLOW_FAKES=$(target_dir)/debug/tradeflow-fakes
    TRADEFLOW_STAGE=$(target_dir)/stage/dev
    DESTDIR=$TRADEFLOW_STAGE PROFILE=dev scripts/install-extension.sh
  fi
  artifacts=$work/builder/artifacts
  install -D "$TRADEFLOW_BIN" "$artifacts/sidecar/usr/local/bin/tradeflow"
  install -D "$TRADEFLOW_FAKES" "$artifacts/store/usr/local/bin/tradeflow-fakes"
  mkdir -p "$artifacts/postgres"
  cp -a "$TRADEFLOW_STAGE/usr" "$artifacts/postgres"
  find "$artifacts" -type f \( -name 'tradeflow*' -perm /111 -o -name '*.so' \) -exec strip --strip-debug {} +
  printf 'FROM debian-made-here\nCOPY artifacts /artifacts\n' >"$work/builder/Dockerfile"
fi

title "Debian"
base=${XDG_CACHE_HOME:-$HOME/.cache}/tradeflow/docker/$([ -n "$from_source" ] && echo source || echo local)
scripts/docker-base.sh "$base" "${packages[@]}"

title "A Docker daemon"
coproc daemon { scripts/docker-daemon.sh "$base/packages"; }
# shellcheck disable=SC2154 # coproc sets daemon_PID
from=${daemon[0]} to=${daemon[1]} server=$daemon_PID
inside='' ready=''
while IFS= read -r line <&"$from"; do
  case $line in
    host=*) export DOCKER_HOST=${line#host=} ;;
    pid=*) inside=${line#pid=} ;;
    ready)
      ready=yes
      break
      ;;
  esac
done
[ -n "$ready" ] || skip "no Docker daemon can be started here (its reason stands above)"

# ── Build ───────────────────────────────────────────────────────────────────────────────────────────────────────────

# Everything by the builder that every Docker has; the settings of .env are the defaults, but for these.
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 TRADEFLOW_TAG=test
export DEBIAN_IMAGE=debian-made-here POSTGRES_IMAGE=debian-made-here RUST_IMAGE=builder-made-here
export TRADEFLOW_POSTGRES_PORT=15432 TRADEFLOW_MAIL_PORT=18025 TRADEFLOW_METRICS_PORT=19187 TRADEFLOW_STORE_PORT=18080
compose() { docker-compose --ansi never --file docker/compose.yaml "$@"; }

title "Base images"
docker import --change 'CMD ["bash"]' "$base/debian.tar" debian-made-here >/dev/null
docker build --quiet --tag builder-made-here "$work/builder" >/dev/null 2>"$work/log" || {
  cat "$work/log" >&2
  die "the builder image could not be made"
}
rm -rf "$work/builder"

title "The images"
if ! compose build >"$work/log" 2>&1; then
  tail -n 60 "$work/log" >&2
  die "docker-compose build failed (its last lines stand above)"
fi

# With brought artifacts nothing is compiled; but cargo must find every crate in what the build is given (.dockerignore).
cargo_finds_all_crates() {
  mkdir -p "$work/manifests"
  docker build --quiet --file docker/Dockerfile --target manifests --tag manifests --build-arg RUST_IMAGE . >/dev/null 2>&1 &&
    docker run --rm manifests tar -C /manifests -c . | tar -C "$work/manifests" -x &&
    (cd "$work/manifests" && cargo metadata --no-deps --offline --format-version 1 >/dev/null)
}
check "cargo finds every crate" cargo_finds_all_crates

megabytes() { echo $(($(docker image inspect --format '{{.Size}}' "$1") / 1000000)); }
debian=$(megabytes debian-made-here)
printf '  %-10s %4s MB   (Debian alone: %s MB)\n' \
  sidecar "$(megabytes tradeflow/sidecar:test)" "$debian" store "$(megabytes tradeflow/store:test)" "$debian" mail "$(megabytes tradeflow/mail:test)" "$debian" \
  postgres "$(megabytes tradeflow/postgres:test)" "$debian" setup "$(megabytes tradeflow/setup:test)" "$debian"
at_most() { [ "$(megabytes "$1")" -le $((debian + $2)) ]; }
# A debug build is three times as large as what is shipped.
check "the sidecar's image is Debian and a few megabytes" at_most tradeflow/sidecar:test "$([ -n "$from_source" ] && [ "${CARGO_PROFILE:-release}" = release ] && echo 40 || echo 120)"
check "the sample store's is no larger" at_most tradeflow/store:test 120
check "the mail viewer's is Debian and Python" at_most tradeflow/mail:test 80
check "Postgres' is Debian, Postgres and the extension" at_most tradeflow/postgres:test 400
without() { # IMAGE PATH…: none of these is in it
  local image=$1
  shift
  # shellcheck disable=SC2016 # expanded in the container
  docker run --rm --entrypoint sh "$image" -c 'for p; do if ls -d $p >/dev/null 2>&1; then echo "has $p"; exit 1; fi; done' sh "$@"
}
for image in sidecar store mail postgres setup; do
  check "$image has no sources, compiler or package lists" without "tradeflow/$image:test" \
    /src /target /manifests /usr/bin/gcc /usr/bin/clang /usr/local/cargo /artifacts '/var/lib/apt/lists/*Packages*'
done

# ── Run ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

title "Up"
compose up --detach --no-build >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  failed "docker-compose up"
}
services=(postgres mail store sidecar sync)
container() { compose ps --quiet "$1"; }
inspect() { docker inspect --format "$2" "$(container "$1")"; }
is() { [ "$(inspect "$1" "$2")" = "$3" ]; }
for service in "${services[@]}"; do
  until_true "$service is healthy" 90 is "$service" '{{.State.Health.Status}}' healthy
done
check "setup has ended well" is setup '{{.State.Status}} {{.State.ExitCode}}' 'exited 0'

title "What a container may do"
# All processes of a container, as the machine sees them.
no_process_of_root() {
  local users
  users=$(docker top "$(container "$1")" -eo pid,uid | awk 'NR > 1 {print $2}')
  [ -n "$users" ] && ! grep -qx 0 <<<"$users"
}
cannot_write() { [[ $(docker exec --user 0 "$(container "$1")" touch /usr/local/written 2>&1) == *'Read-only file system'* ]]; }
only_locally() { [ "$(inspect "$1" '{{json .HostConfig.PortBindings}}' | grep -o '"HostIp":"[^"]*"' | sort -u)" = '"HostIp":"127.0.0.1"' ]; }
for service in "${services[@]}"; do
  check "$service: no process is root's" no_process_of_root "$service"
  check "$service: cannot write to its image" cannot_write "$service"
  check "$service: no capability, none to be had, memory and processes are limited" is "$service" \
    '{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{ne (print .HostConfig.Memory) "0"}} {{ne (print .HostConfig.PidsLimit) "0"}}' \
    '[] [ALL] [no-new-privileges:true] true true'
  [ "$service" = sync ] || check "$service: reachable from this machine alone" only_locally "$service"
done
no_password_shows() {
  local password text containers
  mapfile -t containers < <(compose ps --quiet)
  text=$(docker inspect "${containers[@]}" && compose logs --no-color && compose config) || return 1
  for password in postgres_password sidecar_password; do
    password=$(docker exec "$(container sidecar)" cat "/run/secrets/$password")
    [ ${#password} -ge 20 ] || return 1
    if [[ $text == *"$password"* ]]; then return 1; fi
  done
}
check "no password is in an environment, a log or compose's words" no_password_shows

title "A change in the store becomes a mail"
there() { nsenter --target "$inside" --net -- curl --silent --show-error --fail --max-time 10 "http://127.0.0.1:$1"; }
answers() { [[ $(there "$1") == *"$2"* ]]; }
sql() { compose exec -T postgres psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 -U postgres -d tradeflow -c "$1"; }
says() { [ "$(sql "$1")" = "$2" ]; }
# What people do in the store: METHOD PATH JSON, as tradeflow-fakes takes it.
in_store() { nsenter --target "$inside" --net -- curl --silent --show-error --fail --max-time 10 -X "$1" -H 'content-type: application/json' -d "$3" "http://127.0.0.1:18080/_fake/$2"; }
a_line() { printf '{"product": 201, "name": "Hinge", "quantity": 10, "price": "10.00", "offered": "%s"}' "$1"; }
ask_for_quote() {
  quote=$(in_store POST quotes "{\"company\": 1001, \"email\": \"ada@example.com\", \"lines\": [$(a_line 9.00)]}" | tr -dc 0-9)
  [ -n "$quote" ]
}
change() { in_store PUT "quotes/$quote/lines" "[$(a_line "$1")]" >/dev/null; }
check "the sample store is there" says 'select count(*) from store.quotes' 320
check "and its rules" says 'select count(*) >= 3 from tradeflow.rules' t
check "loading it sent nothing" answers 18025/mails.json '[]'
check "a buyer asks for a quote, at 10 % off" ask_for_quote
check "a rep offers it at 25 % off: over the warning" change 7.50
until_true "a webhook has told, and the viewer has the mail" 30 answers 18025/mails.json 'Check: 25.0 % off in quote'
check "its page shows it" answers 18025/ 'Check: 25.0 % off in quote'
check "the sidecar is healthy" answers 19187/healthz ''
check "and counts" answers 19187/metrics tradeflow_
check "an invoice is changed in the store, of which no webhook tells" in_store PATCH "invoices/$(sql 'select min(invoice_id) from store.invoices')" '{"purchaseOrderNumber": "PO-NEW"}'
until_true "sync watch finds it" 60 says "select count(*) from store.invoices where purchase_order_number = 'PO-NEW'" 1
check "doctor finds nothing wrong" compose exec -T sidecar tradeflow doctor

title "Again, and after a restart"
check "up again" compose up --detach --no-build
until_true "setup has run again" 60 is setup '{{.State.Status}} {{.State.ExitCode}}' 'exited 0'
check "and left what was there" says "select count(*) from tradeflow.firings where rule = 'quote_below_base_price'" 1
check "Postgres restarts" compose restart postgres
until_true "it is healthy again" 60 is postgres '{{.State.Health.Status}}' healthy
check "the price drops further" change 6.00
until_true "the sidecar has come back by itself" 60 answers 18025/mails.json 'Stop: 40.0 % off in quote'
check "the sidecar stops when it is told to" compose stop sidecar
check "and not by force" is sidecar '{{.State.ExitCode}}' 0

title "Down"
check "everything goes" compose down --volumes
nothing_left() {
  local left
  left=$(docker ps --all --quiet && docker volume ls --quiet && docker network ls --quiet --filter type=custom) && [ -z "$left" ]
}
check "no container, volume or network is left" nothing_left

printf '\ndocker: %s passed, 0 failed\n' "$passed"
