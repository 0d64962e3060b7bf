#!/usr/bin/env bash
# Checks licences, sources and duplicates of the dependencies (deny.toml), and known vulnerabilities when their list can
# be had. cargo-deny is built from crates.io on first use and kept outside the checkout.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/tradeflow/tools
PATH=$tools/bin:$PATH

if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
  say "Building cargo-deny $version from crates.io into $tools (once; some minutes)…"
  # A tool that runs for a second need not be optimised: this halves the time it takes to build.
  built=$(mktemp -d)
  trap 'rm -rf "$built"' EXIT
  env CARGO_TARGET_DIR="$built" CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo install --quiet --locked --version "$version" --root "$tools" cargo-deny
fi

cargo deny --log-level error --all-features check bans licenses sources

# The list of vulnerabilities is a git repository, which not every machine reaches. An unreachable list is no finding,
# but it is said aloud; a finding fails.
log=$(mktemp)
trap 'rm -rf "$log" "${built:-}"' EXIT
if timeout 120 cargo deny --log-level error fetch db >"$log" 2>&1; then
  cargo deny --log-level error --all-features check --disable-fetch advisories
else
  say "!! The list of known vulnerabilities could not be fetched: dependencies were NOT checked against it."
  say "!! $(grep -m 1 -i error "$log" || tail -n 1 "$log")"
fi
