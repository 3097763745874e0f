#!/bin/bash
# First start: make the cluster, user and database from POSTGRES_* (or *_FILE) and what lies in /docker-entrypoint-initdb.d; then run the
# server as postgres. POSTGRES_INITDB_ARGS, POSTGRES_INITDB_WALDIR, POSTGRES_HOST_AUTH_METHOD and PGDATA count as well.
set -eo pipefail

# file_env NAME [DEFAULT]: set and export NAME, from itself or from the file that NAME_FILE names.
file_env() {
  local name=$1 file=${1}_FILE value=${2-}
  if [ -n "${!name-}" ] && [ -n "${!file-}" ]; then
    echo "error: both $name and $file are set" >&2
    exit 1
  fi
  if [ -n "${!name-}" ]; then value=${!name}; elif [ -n "${!file-}" ]; then value=$(< "${!file}"); fi
  export "$name=$value"
  unset "$file"
}

client() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" "$@"; }

# An executable script is run, any other is sourced, so that it may use what is defined here.
run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) echo "running $file"; client --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) echo "running $file"; gunzip -c "$file" | client --dbname "$POSTGRES_DB" ;;
      *.sql.xz) echo "running $file"; xz -dc "$file" | client --dbname "$POSTGRES_DB" ;;
    esac
  done
}

setup() {
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD-}" != trust ]; then
    echo "error: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust)" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --auth-host=scram-sha-256 --auth-local=trust --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    ${POSTGRES_INITDB_WALDIR:+--waldir "$POSTGRES_INITDB_WALDIR"} $POSTGRES_INITDB_ARGS >/dev/null
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  # The temporary server listens on its socket only, so nobody sees it half set up.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
  if [ "$POSTGRES_DB" != postgres ]; then
    printf 'CREATE DATABASE :"database";\n' | client --dbname postgres --set database="$POSTGRES_DB"
  fi
  run_init_files
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  echo "PostgreSQL init process complete; ready for start up."
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
    find "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres:postgres '{}' +
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then setup; else echo "a database is there already; nothing to set up"; fi
fi
exec "$@"
