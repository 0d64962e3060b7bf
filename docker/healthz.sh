#!/bin/bash
# healthz PORT PATH [HOST]: whether the server of this container, or of another, answers 200. The images bring no HTTP client; bash can do it.
set -eu
exec 3<>"/dev/tcp/${3:-127.0.0.1}/$1"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
IFS= read -r status <&3
# To its end: a server whose answer nobody reads may complain.
cat <&3 >/dev/null
[[ $status == HTTP/1.?\ 200* ]]
