#!/bin/sh
# Options or a configuration file are the server's; the server gets the data directory and gives up root.
set -e

case $1 in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
  if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis:redis '{}' +
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
  fi
  umask 0077
  # A container is reached from others only: "protected" would answer nobody.
  case "$*" in
    *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
  esac
fi
exec "$@"
