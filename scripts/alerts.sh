#!/usr/bin/env bash
# Checks the alert rules, and by docker/observability/alerts.test.yaml what raises each of them. promtool is the machine's, or is
# taken out of Debian's package once and kept outside the checkout: installing the package would start a server.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project/docker/observability"

tools=${XDG_CACHE_HOME:-$HOME/.cache}/tradeflow/tools
PATH=$PATH:$tools/bin

if ! command -v promtool >/dev/null; then
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  if (cd "$unpacked" && apt-get download prometheus && dpkg-deb --extract ./prometheus_*.deb .) >"$unpacked/log" 2>&1; then
    mkdir -p "$tools/bin"
    install "$unpacked/usr/bin/promtool" "$tools/bin/promtool"
  else
    say "!! promtool could not be had: the alert rules were NOT checked."
    say "!! $(tail -n 1 "$unpacked/log")"
    exit 0
  fi
fi

promtool check rules alerts.yaml >/dev/null
promtool test rules alerts.test.yaml
# Each has a state that raises it.
sed -n 's/.*- alert: //p' alerts.yaml | while read -r alert; do
  grep -q "$alert" alerts.test.yaml || die "docker/observability/alerts.test.yaml raises no $alert"
done
