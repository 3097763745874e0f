#!/bin/bash
# First start: copy WordPress into the web root and write wp-config.php from WORDPRESS_* (or *_FILE); then run Apache.
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

php_quote() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }

write_config() {
  local key
  {
    echo "<?php"
    echo "define('DB_NAME', $(php_quote "$(file_env WORDPRESS_DB_NAME wordpress)"));"
    echo "define('DB_USER', $(php_quote "$(file_env WORDPRESS_DB_USER wordpress)"));"
    echo "define('DB_PASSWORD', $(php_quote "$(file_env WORDPRESS_DB_PASSWORD)"));"
    echo "define('DB_HOST', $(php_quote "$(file_env WORDPRESS_DB_HOST mysql)"));"
    echo "define('DB_CHARSET', $(php_quote "$(file_env WORDPRESS_DB_CHARSET utf8mb4)"));"
    echo "define('DB_COLLATE', $(php_quote "$(file_env WORDPRESS_DB_COLLATE)"));"
    for key in AUTH_KEY SECURE_AUTH_KEY LOGGED_IN_KEY NONCE_KEY AUTH_SALT SECURE_AUTH_SALT LOGGED_IN_SALT NONCE_SALT; do
      echo "define('$key', $(php_quote "$(file_env "WORDPRESS_$key" "$(head -c 48 /dev/urandom | base64 -w0)")"));"
    done
    echo "\$table_prefix = $(php_quote "$(file_env WORDPRESS_TABLE_PREFIX wp_)");"
    if [ -n "${WORDPRESS_DEBUG-}" ]; then echo "define('WP_DEBUG', true);"; fi
    # One copy serves every address under which it is reached; behind a proxy, https is honoured.
    echo "if (isset(\$_SERVER['HTTP_X_FORWARDED_PROTO']) && strpos(\$_SERVER['HTTP_X_FORWARDED_PROTO'], 'https') !== false) { \$_SERVER['HTTPS'] = 'on'; }"
    echo "define('WP_HTTP_BLOCK_EXTERNAL', $([ -n "${WORDPRESS_BLOCK_EXTERNAL-}" ] && echo true || echo false));"
    echo "define('FS_METHOD', 'direct');"
    printf '%s\n' "${WORDPRESS_CONFIG_EXTRA-}"
    echo "if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }"
    echo "require_once ABSPATH . 'wp-settings.php';"
  } > wp-config.php.new
  chown www-data:www-data wp-config.php.new
  mv wp-config.php.new wp-config.php
}

case $1 in
  apache2*)
    if [ ! -e index.php ] && [ ! -e wp-includes/version.php ]; then
      echo "WordPress not found in $PWD, copying"
      cp -a /usr/src/wordpress/. .
    fi
    if [ ! -s wp-config.php ]; then write_config; fi
    # What apache2ctl would set up; running it would leave a shell as the first process, deaf to signals.
    . /etc/apache2/envvars
    mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR"
    # A pid file left by a crash would keep Apache from starting.
    rm -f "$APACHE_PID_FILE"
    ;;
esac
exec "$@"
