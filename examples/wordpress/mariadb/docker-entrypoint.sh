#!/bin/bash
# First start: make the data directory, the database and its user from MARIADB_* or MYSQL_* (or *_FILE) and what lies in
# /docker-entrypoint-initdb.d; then run the server as mysql.
set -eo pipefail

DATADIR=/var/lib/mysql SOCKET=/run/mysqld/mysqld.sock

# file_env NAME [DEFAULT]: set and export MARIADB_NAME and MYSQL_NAME from either, or from the file that either one's _FILE names.
file_env() {
  local name=$1 value=${2-} prefix variable file
  for prefix in MYSQL MARIADB; do
    variable=${prefix}_$name file=${prefix}_${name}_FILE
    if [ -n "${!variable-}" ] && [ -n "${!file-}" ]; then
      echo "error: both $variable and $file are set" >&2
      exit 1
    fi
    if [ -n "${!variable-}" ]; then value=${!variable}; fi
    if [ -n "${!file-}" ]; then value=$(< "${!file}"); fi
    unset "$file"
  done
  export "MARIADB_$name=$value" "MYSQL_$name=$value"
}

said() { [ -n "${!1-}" ] || [ -n "${!2-}" ]; }
sql_quote() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }
name_quote() { printf '`%s`' "${1//\`/\`\`}"; }
client() { MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --protocol=socket --socket="$SOCKET" --user=root "$@"; }

read_environment() {
  file_env ROOT_PASSWORD
  file_env ROOT_HOST %
  file_env DATABASE
  file_env USER
  file_env PASSWORD
  if [ -n "$MARIADB_ROOT_PASSWORD" ] || said MARIADB_ALLOW_EMPTY_ROOT_PASSWORD MYSQL_ALLOW_EMPTY_PASSWORD; then return; fi
  if ! said MARIADB_RANDOM_ROOT_PASSWORD MYSQL_RANDOM_ROOT_PASSWORD; then
    echo "error: set one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_FILE, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD" >&2
    exit 1
  fi
  MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
  MYSQL_ROOT_PASSWORD=$MARIADB_ROOT_PASSWORD
  echo "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
}

# The statements that make users and databases. The health check logs in as a user that may do nothing else; its password lies beside the data.
users() {
  local health_password=$1 host
  echo "SET @@SESSION.SQL_LOG_BIN=0;"
  if [ -n "$MARIADB_DATABASE" ]; then echo "CREATE DATABASE IF NOT EXISTS $(name_quote "$MARIADB_DATABASE");"; fi
  if [ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ]; then
    echo "CREATE USER $(sql_quote "$MARIADB_USER")@'%' IDENTIFIED BY $(sql_quote "$MARIADB_PASSWORD");"
    if [ -n "$MARIADB_DATABASE" ]; then echo "GRANT ALL ON $(name_quote "$MARIADB_DATABASE").* TO $(sql_quote "$MARIADB_USER")@'%';"; fi
  fi
  for host in localhost 127.0.0.1 ::1; do echo "CREATE USER 'healthcheck'@'$host' IDENTIFIED BY $(sql_quote "$health_password");"; done
  if [ "$MARIADB_ROOT_HOST" != localhost ]; then
    echo "CREATE USER 'root'@$(sql_quote "$MARIADB_ROOT_HOST") IDENTIFIED BY $(sql_quote "$MARIADB_ROOT_PASSWORD");"
    echo "GRANT ALL ON *.* TO 'root'@$(sql_quote "$MARIADB_ROOT_HOST") WITH GRANT OPTION;"
  fi
  echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(sql_quote "$MARIADB_ROOT_PASSWORD");"
  echo "FLUSH PRIVILEGES;"
}

# An executable script is run, any other is sourced, so that it may use what is defined here.
run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) echo "running $file"; client ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} < "$file" ;;
      *.sql.gz) echo "running $file"; gunzip -c "$file" | client ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} ;;
      *.sql.xz) echo "running $file"; xz -dc "$file" | client ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} ;;
    esac
  done
}

setup() {
  local health_password server
  read_environment
  health_password=$(head -c 24 /dev/urandom | base64)
  echo "initialising the data directory"
  mariadb-install-db --user=mysql --datadir="$DATADIR" --skip-test-db --auth-root-authentication-method=normal >/dev/null
  # The temporary server listens on its socket only, so nobody sees it half set up.
  mariadbd --user=mysql --datadir="$DATADIR" --skip-networking --socket="$SOCKET" &
  server=$!
  (umask 077; printf '[client]\nuser=healthcheck\npassword="%s"\nprotocol=tcp\nhost=127.0.0.1\nconnect-timeout=3\n' "$health_password" > "$DATADIR/.healthcheck.cnf")
  for _ in $(seq 300); do
    mariadb-admin --socket="$SOCKET" ping >/dev/null 2>&1 && break
    kill -0 "$server" || exit 1
    sleep 0.1
  done
  users "$health_password" | mariadb --socket="$SOCKET" --user=root
  run_init_files
  MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb-admin --socket="$SOCKET" --user=root shutdown
  wait "$server"
  echo "ready for start up"
}

if [ "${1:0:1}" = - ]; then set -- mariadbd "$@"; fi
if [ "$1" = mariadbd ] || [ "$1" = mysqld ]; then
  find "$DATADIR" /run/mysqld \! -user mysql -exec chown mysql:mysql '{}' +
  if [ ! -d "$DATADIR/mysql" ]; then setup; fi
  set -- "$1" --user=mysql "${@:2}"
fi
exec "$@"
