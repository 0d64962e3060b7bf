#!/usr/bin/env bash
# Type-checks the extension for the Postgres versions Debian 12 has no headers of. pgrx ships the bindings it made of
# those headers for its documentation; DOCS_RS makes it use them. That proves no behaviour, only that it compiles.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

# A target folder of its own: the variable would make the next ordinary build bind the headers again.
CARGO_TARGET_DIR=$(target_dir)/other-postgres
export CARGO_TARGET_DIR
for major in "${@:-16 17 18}"; do
  for one in $major; do
    DOCS_RS=1 RUSTC_WRAPPER=$project/scripts/rustc-docsrs.sh cargo check --quiet -p tradeflow-extension --no-default-features --features "pg$one" ||
      die "the extension does not compile for Postgres $one"
  done
done
