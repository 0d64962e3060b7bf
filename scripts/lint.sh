#!/usr/bin/env bash
# Everything that is checked without running the code. Stops at the first kind of finding.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

step() { say "── $*"; }

step "rustfmt"
cargo fmt --all --check

step "clippy (all crates, warnings are errors)"
cargo clippy --quiet --workspace --all-targets -- -D warnings

step "clippy with traces"
cargo clippy --quiet -p tradeflow-sidecar -p tradeflow-tests --features tradeflow-sidecar/otel,tradeflow-tests/otel --all-targets -- -D warnings

step "the extension compiles for Postgres 16, 17 and 18"
scripts/check-other-postgres.sh

step "shellcheck"
if command -v shellcheck >/dev/null; then
  shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh docker/*.sh docker/*/*.sh .ci/run
else
  say "(shellcheck is not installed: skipped)"
fi

step "python"
for file in scripts/*.py scripts/*/*.py scripts/*/*/*.py; do "$PYTHON" -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file"; done

step "alert rules"
scripts/alerts.sh

step "cargo-deny"
scripts/deny.sh
