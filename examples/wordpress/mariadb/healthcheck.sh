#!/bin/bash
# Healthy when every test named holds (default: --connect). The server of the first start does not listen on the network, so it never passes.
set -eo pipefail

ask() { mariadb --defaults-file=/var/lib/mysql/.healthcheck.cnf --skip-column-names --batch --execute "$1"; }

[ $# -gt 0 ] || set -- --connect
for test; do
  case $test in
    --connect) [ "$(ask 'select 1')" = 1 ] ;;
    --innodb_initialized) [ "$(ask "select 1 from information_schema.engines where engine = 'innodb' and support in ('YES', 'DEFAULT')")" = 1 ] ;;
    *) echo "unknown test: $test; known are --connect and --innodb_initialized" >&2; exit 2 ;;
  esac
done
