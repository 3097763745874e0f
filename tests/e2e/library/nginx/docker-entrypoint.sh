#!/bin/bash
# Before the server: *.envsh in /docker-entrypoint.d are sourced, executable *.sh run, in order.
set -e

if [ "$1" = nginx ]; then
  for file in /docker-entrypoint.d/*; do
    [ -x "$file" ] || { echo "$file is not executable, passed over"; continue; }
    case $file in
      *.envsh) . "$file" ;;
      *.sh) "$file" ;;
    esac
  done
fi
exec "$@"
