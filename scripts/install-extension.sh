#!/usr/bin/env bash
# Builds the extension and puts it where Postgres looks: the library into pkglibdir, control file and SQL into
# sharedir/extension, as told by PG_CONFIG. With DESTDIR everything goes below that folder instead, which needs no
# rights: packages are made so, and tests and demo put it into their private servers (scripts/postgres.sh).
#
#   scripts/install-extension.sh                          # into the Postgres of PG_CONFIG (root, or sudo)
#   DESTDIR=/tmp/stage scripts/install-extension.sh       # staged
#   PROFILE=dev scripts/install-extension.sh              # a debug build
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

profile=${PROFILE:-release}
destdir=${DESTDIR:-}
major=$(pg_major)
control=$project/extension/tradeflow.control
version=$(sed -nE "s/^default_version *= *'([^']+)'.*/\1/p" "$control")
[ -n "$version" ] || die "$control names no default_version"

cargo build --manifest-path "$project/Cargo.toml" --quiet -p tradeflow-extension --profile "$profile" \
  --no-default-features --features "pg$major"

library=$(target_dir)/$(profile_folder "$profile")/libtradeflow.so
[ -f "$library" ] || die "cargo built no $library"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

script=$made/tradeflow--$version.sql
{
  # CREATE EXTENSION skips this line; psql, fed the file by hand, stops at it.
  printf '%s\n' '\echo Use "CREATE EXTENSION tradeflow" to load this file. \quit'
  for file in "$project"/sql/[0-9]*.sql; do
    printf '\n-- %s\n' "$(basename "$file")"
    cat "$file"
  done
} >"$script"

libdir=$destdir$("$PG_CONFIG" --pkglibdir)
sharedir=$destdir$("$PG_CONFIG" --sharedir)/extension
changed=0

# Replaced by rename, and only when different: a server that has the old library mapped goes on with it unharmed.
put() {
  local from=$1 to=$2
  if cmp -s "$from" "$to"; then return; fi
  [ -n "$destdir" ] || say "install $to"
  as_owner mkdir -p "$(dirname "$to")"
  as_owner install -m "$3" "$from" "$to.new"
  as_owner mv -f "$to.new" "$to"
  changed=1
}

# Folders one may write to need no root.
as_owner() {
  if [ -n "$destdir" ] || [ -w "$libdir" ] && [ -w "$sharedir" ]; then "$@"; else as_root "$@"; fi
}

put "$library" "$libdir/tradeflow.so" 755
put "$control" "$sharedir/tradeflow.control" 644
put "$script" "$sharedir/tradeflow--$version.sql" 644
for upgrade in "$project"/sql/upgrade/*.sql; do
  [ ! -e "$upgrade" ] || put "$upgrade" "$sharedir/$(basename "$upgrade")" 644
done

if [ -z "$destdir" ]; then
  if [ "$changed" = 1 ]; then
    say "tradeflow $version is installed for Postgres $major. In a database: create extension tradeflow;"
  else
    say "tradeflow $version for Postgres $major was already up to date."
  fi
fi
