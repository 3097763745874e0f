#!/bin/bash
# /etc/nginx/templates/**/NAME.template becomes /etc/nginx/conf.d/**/NAME, with the environment's variables in it and nginx's own left alone.
set -e

from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates} to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
[ -d "$from" ] || exit 0
defined=$(env | sed -n "s/^\(${NGINX_ENVSUBST_FILTER:-[A-Za-z_]}[A-Za-z0-9_]*\)=.*/\${\1}/p")
find "$from" -follow -type f -name "*$suffix" -printf '%P\n' | while read -r name; do
  mkdir -p "$to/$(dirname "$name")"
  envsubst "$defined" < "$from/$name" > "$to/${name%"$suffix"}"
  echo "made $to/${name%"$suffix"}"
done
