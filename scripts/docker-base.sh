#!/usr/bin/env bash
# Makes, without any registry of images, what scripts/docker-test.sh builds on:
#
#   docker-base.sh FOLDER [PACKAGE…]
#     FOLDER/debian.tar   a Debian 12 like debian:bookworm-slim, whose apt asks http://172.30.0.1/ alone
#     FOLDER/packages/    what apt is given there: PACKAGEs with all they need that this Debian does not have
#
# What is there already is kept; remove FOLDER to have it made anew, with Debian's newest.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$1
shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Two at once would write the same files.
exec 9>"$folder/made"
flock 9

# Where this machine gets Debian's packages from, if it is a Debian 12 itself; else from where mmdebstrap does.
sources() {
  local file
  # shellcheck disable=SC1091 # every Linux has it
  if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" != bookworm ]; then return; fi
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    if [ -s "$file" ]; then printf '%s\n' "$file"; fi
  done
}

if [ ! -e "$folder/debian.tar" ]; then
  say "Making a Debian 12 (some 40 MB are downloaded)…"
  # What -slim leaves out is left out here too.
  slim=()
  for path in doc man locale info lintian; do slim+=(--dpkgopt="path-exclude=/usr/share/$path/*"); done
  apt-config dump | grep -E '^Acquire::(http|https)::' >"$folder/apt.conf" || true
  mapfile -t from < <(sources)
  # shellcheck disable=SC2016 # $1 is the hook's
  mmdebstrap --quiet --format=tar --variant=apt --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "${slim[@]}" \
    --aptopt="$folder/apt.conf" \
    --customize-hook='echo "deb [trusted=yes] http://172.30.0.1/ ./" >"$1/etc/apt/sources.list"; rm -f "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
    --customize-hook="copy-out /var/lib/dpkg/status $folder" \
    bookworm "$folder/debian.tar.new" "${from[@]}" >"$folder/mmdebstrap.log" 2>&1 || {
    tail -n 10 "$folder/mmdebstrap.log" >&2
    die "mmdebstrap could not make a Debian (its last lines stand above)"
  }
  mv "$folder/debian.tar.new" "$folder/debian.tar"
fi

if [ "$(cat "$folder/packages/wanted" 2>/dev/null)" != "$*" ]; then
  say "Fetching Debian packages: $*"
  mkdir -p "$folder/packages/partial"
  # As if this machine were that Debian: apt finds out what is missing there.
  apt-get --quiet=2 --yes --download-only --no-install-recommends -o Dir::State::status="$folder/status" \
    -o Dir::Cache::archives="$folder/packages" -o APT::Sandbox::User=root install "$@" >"$folder/apt.log" 2>&1 || {
    tail -n 5 "$folder/apt.log" >&2
    die "apt-get could not fetch: $* (its last lines stand above; \`apt-get update\` may help)"
  }
  (cd "$folder/packages" && dpkg-scanpackages --multiversion . >Packages.new 2>/dev/null && mv Packages.new Packages)
  printf '%s\n' "$*" >"$folder/packages/wanted"
fi
