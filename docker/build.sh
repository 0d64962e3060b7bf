#!/usr/bin/env bash
# The steps of the Dockerfile's stage `build`. Each is a layer, so a changed source recompiles the project and not what
# it stands on; that takes no feature of BuildKit.
#
#   build.sh manifests DIR   in the sources: copies what decides about dependencies to DIR
#   build.sh packages        Debian's packages that compiling takes
#   build.sh dependencies    in such a DIR: compiles the dependencies
#   build.sh artifacts       in the sources: compiles the project into /artifacts/sidecar, /artifacts/postgres and /artifacts/store
#
# A builder image that brings /artifacts is taken at its word and nothing is compiled: for pipelines that compile
# elsewhere, and for the test of these images (scripts/docker-test.sh).
set -euo pipefail

out=/artifacts
profile=${CARGO_PROFILE:-release}
brought() { [ -d "$out/sidecar" ] && [ -d "$out/postgres" ] && [ -d "$out/store" ]; }

manifests() {
  local file
  mkdir -p "$1"
  find . -type f \( -name Cargo.toml -o -name Cargo.lock -o -path './.cargo/*' \) -exec cp --parents -t "$1" {} +
  # Cargo wants the sources of every target to exist. An empty main fits all of them, libraries too.
  find . -type f \( -name build.rs -o -path '*/src/lib.rs' -o -path '*/src/main.rs' -o -path '*/src/bin/*.rs' \
    -o -path '*/tests/*.rs' -o -path '*/benches/*.rs' -o -path '*/examples/*.rs' \) -print |
    while IFS= read -r file; do
      mkdir -p "$1/$(dirname "$file")"
      echo 'fn main() {}' >"$1/$file"
    done
}

packages() {
  if brought; then return; fi
  apt-get update
  # Debian's package would start a cluster, of which nothing here has use.
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold \
    binutils clang libclang-dev pkg-config postgresql-server-dev-15
  rm -rf /var/lib/apt/lists/*
}

dependencies() {
  if brought; then return; fi
  # Each as it is compiled later on: the features of shared dependencies are united within one call.
  cargo build --locked --profile "$profile" -p tradeflow-sidecar -p tradeflow-fakes
  cargo build --locked --profile "$profile" -p tradeflow-extension --no-default-features --features pg15
}

artifacts() {
  if brought; then return; fi
  local folder=$profile
  if [ "$profile" = dev ]; then folder=debug; fi
  # The copied sources are older than what was compiled of the empty ones; cargo goes by time.
  find . -name '*.rs' -exec touch {} +
  cargo build --locked --profile "$profile" -p tradeflow-sidecar -p tradeflow-fakes
  install -D -m 755 "$CARGO_TARGET_DIR/$folder/tradeflow" "$out/sidecar/usr/local/bin/tradeflow"
  install -D -m 755 "$CARGO_TARGET_DIR/$folder/tradeflow-fakes" "$out/store/usr/local/bin/tradeflow-fakes"
  DESTDIR=$out/postgres PROFILE=$profile scripts/install-extension.sh
  # Names of functions stay, for backtraces.
  find "$out" -type f \( -name 'tradeflow*' -perm /111 -o -name '*.so' \) -exec strip --strip-debug {} +
}

"$@"
