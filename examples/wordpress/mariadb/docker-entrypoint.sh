#!/bin/bash
# First start: make the data directory, the database and its user from MARIADB_* or MYSQL_* (or *_FILE); then run the server.
set -eo pipefail

# file_env NAME [DEFAULT]: the value of MARIADB_NAME, MYSQL_NAME, or of the file that either one's _FILE names.
file_env() {
  local name=$1 value=${2-} prefix variable file
  for prefix in MARIADB MYSQL; do
    variable=${prefix}_$name file=${prefix}_${name}_FILE
    if [ -n "${!variable-}" ] && [ -n "${!file-}" ]; then
      echo "error: both $variable and $file are set" >&2
      exit 1
    fi
    if [ -n "${!variable-}" ]; then value=${!variable}; fi
    if [ -n "${!file-}" ]; then value=$(< "${!file}"); fi
  done
  printf '%s' "$value"
}

sql_quote() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }

setup() {
  local datadir=/var/lib/mysql root_password database user password
  root_password=$(file_env ROOT_PASSWORD) database=$(file_env DATABASE) user=$(file_env USER) password=$(file_env PASSWORD)
  if [ -z "$root_password" ] && [ -z "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD-}${MYSQL_ALLOW_EMPTY_PASSWORD-}${MARIADB_RANDOM_ROOT_PASSWORD-}${MYSQL_RANDOM_ROOT_PASSWORD-}" ]; then
    echo "error: set one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_FILE, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD" >&2
    exit 1
  fi
  if [ -z "$root_password" ] && [ -n "${MARIADB_RANDOM_ROOT_PASSWORD-}${MYSQL_RANDOM_ROOT_PASSWORD-}" ]; then
    root_password=$(head -c 24 /dev/urandom | base64)
    echo "generated root password: $root_password"
  fi
  # The health check logs in as a user that may do nothing else; its password lies beside the data.
  local health_password
  health_password=$(head -c 24 /dev/urandom | base64)
  echo "initialising the data directory"
  mariadb-install-db --user=mysql --datadir="$datadir" --skip-test-db --auth-root-authentication-method=normal >/dev/null
  # The temporary server listens on its socket only, so nobody sees it half set up.
  mariadbd --user=mysql --datadir="$datadir" --skip-networking --socket=/run/mysqld/setup.sock &
  local server=$!
  (umask 077; printf '[client]\nuser=healthcheck\npassword="%s"\nprotocol=tcp\nhost=127.0.0.1\nconnect-timeout=3\n' "$health_password" > "$datadir/.healthcheck.cnf")
  for _ in $(seq 300); do
    mariadb-admin --socket=/run/mysqld/setup.sock ping >/dev/null 2>&1 && break
    kill -0 "$server" || exit 1
    sleep 0.1
  done
  {
    echo "SET @@SESSION.SQL_LOG_BIN=0;"
    if [ -n "$database" ]; then echo "CREATE DATABASE IF NOT EXISTS \`${database//\`/\`\`}\`;"; fi
    if [ -n "$user" ] && [ -n "$password" ]; then
      echo "CREATE USER $(sql_quote "$user")@'%' IDENTIFIED BY $(sql_quote "$password");"
      if [ -n "$database" ]; then echo "GRANT ALL ON \`${database//\`/\`\`}\`.* TO $(sql_quote "$user")@'%';"; fi
    fi
    for host in localhost 127.0.0.1 ::1; do echo "CREATE USER 'healthcheck'@'$host' IDENTIFIED BY $(sql_quote "$health_password");"; done
    if [ -n "$root_password" ]; then
      echo "CREATE USER 'root'@'%' IDENTIFIED BY $(sql_quote "$root_password");"
      echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
      echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(sql_quote "$root_password");"
    fi
    echo "FLUSH PRIVILEGES;"
  } | mariadb --socket=/run/mysqld/setup.sock --user=root
  local client=(mariadb --socket=/run/mysqld/setup.sock --user=root "--password=$root_password")
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) . "$file" ;;
      *.sql) "${client[@]}" ${database:+"$database"} < "$file" ;;
      *.sql.gz) gunzip -c "$file" | "${client[@]}" ${database:+"$database"} ;;
    esac
  done
  mariadb-admin --socket=/run/mysqld/setup.sock --user=root "--password=$root_password" shutdown
  wait "$server"
  echo "ready for start up"
}

if [ "${1:0:1}" = - ]; then set -- mariadbd "$@"; fi
if [ "$1" = mariadbd ] || [ "$1" = mysqld ]; then
  chown mysql:mysql /var/lib/mysql /run/mysqld
  if [ ! -d /var/lib/mysql/mysql ]; then setup; fi
  set -- "$1" --user=mysql "${@:2}"
fi
exec "$@"
