#!/bin/bash
# First start: make the cluster, user and database from POSTGRES_* (or *_FILE); then run the server as postgres.
set -eo pipefail

file_env() {
  local name=$1 file=${1}_FILE value=${2-}
  if [ -n "${!name-}" ] && [ -n "${!file-}" ]; then
    echo "error: both $name and $file are set" >&2
    exit 1
  fi
  if [ -n "${!name-}" ]; then value=${!name}; elif [ -n "${!file-}" ]; then value=$(< "${!file}"); fi
  printf '%s' "$value"
}

setup() {
  local user database password file
  user=$(file_env POSTGRES_USER postgres) password=$(file_env POSTGRES_PASSWORD)
  database=$(file_env POSTGRES_DB "$user")
  if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD-}" != trust ]; then
    echo "error: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust)" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  initdb --username="$user" --auth-host=scram-sha-256 --auth-local=trust --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS-} >/dev/null
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  # The temporary server listens on its socket only, so nobody sees it half set up.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
  local client=(psql -v ON_ERROR_STOP=1 --username "$user" --no-psqlrc)
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE :"database";\n' | "${client[@]}" --dbname postgres --set database="$database"
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) . "$file" ;;
      *.sql) "${client[@]}" --dbname "$database" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | "${client[@]}" --dbname "$database" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  echo "PostgreSQL init process complete; ready for start up."
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA" /run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then setup; fi
fi
exec "$@"
