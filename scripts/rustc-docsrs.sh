#!/usr/bin/env bash
# rustc as cargo's RUSTC_WRAPPER: pgrx's bindings crate, and no other, is told that its documentation is being built,
# which makes it take the bindings it ships.
rustc=$1
shift
case " $* " in
  *' --crate-name pgrx_pg_sys '*) exec "$rustc" "$@" --cfg docsrs ;;
  *) exec "$rustc" "$@" ;;
esac
