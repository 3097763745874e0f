#!/bin/bash
set -e
[ "$1" != postgres ] || [ -s "$PGDATA/PG_VERSION" ] || gosu postgres initdb
exec gosu postgres "$@"
