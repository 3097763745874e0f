#!/bin/sh
set -e
[ "$(id -u)" != 0 ] || exec gosu redis "$0" "$@"
exec "$@"
