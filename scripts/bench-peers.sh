#!/usr/bin/env bash
# Installs the job queues that the benchmark measures tradeflow against, with the Node they want, into the target folder;
# the versions are those of benches/peers/package-lock.json. Prints the folder. Installs nothing that is there already.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

from=$project/benches/peers
to=$(target_dir)/peers
command -v npm >/dev/null || die "there is no npm: run scripts/setup.sh bench, or leave the peers out (--only bulk)"
mkdir -p "$to"
if ! cmp --silent "$from/package-lock.json" "$to/installed"; then
  say "Installing the peers into $to…"
  cp "$from/package.json" "$from/package-lock.json" "$to"
  # Their Node is one of the packages, so npm's warning that the machine's own is too old says nothing.
  npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel error >&2
  cp "$from/package-lock.json" "$to/installed"
fi
cp "$from/worker.mjs" "$to"
printf '%s\n' "$to"
