#!/usr/bin/env bash
# The long forms of what `make test` does in short: the model's larger searches, and a storm of 100,000 actions over three
# sidecars. TRADEFLOW_CHAOS_ACTIONS and TRADEFLOW_CHAOS_SEED choose another length and another order of mishaps.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project"

cargo test --quiet -p tradeflow-model -- --ignored
NEXTEST_PROFILE=chaos TRADEFLOW_CHAOS_ACTIONS=${TRADEFLOW_CHAOS_ACTIONS:-100000} scripts/test.sh a_storm -- --nocapture
