# What quickstart and check share. Sourced by bash.
RUNTIME_PACKAGES="python3-venv ca-certificates libseccomp2 libnftables1 nftables mmdebstrap tini busybox-static"
TEST_PACKAGES="iproute2 iptables netbase procps docker-registry skopeo umoci apache2-utils openssl openssh-client chromium chromium-driver qemu-system-x86 e2fsprogs cpio kmod git bzip2 zstd curl"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
need_root() { [ "$(id -u)" = 0 ] || die "run this as root: containers need namespaces, mounts and bridges (sudo $0)"; }

# install_packages NAME...: install the missing ones only; says so when it does.
install_packages() {
  local missing=() name
  command -v dpkg-query >/dev/null || die "this script knows Debian and Ubuntu; elsewhere install: $*"
  for name; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq
  # No service of these packages is to start by being installed.
  local policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; made=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || { [ -z "$made" ] || rm -f $policy; die "apt-get could not install ${missing[*]}"; }
  [ -z "$made" ] || rm -f $policy
}

# find_python: a Python of at least 3.11, the distribution's own first (version managers' shims start slowly).
find_python() {
  local candidate
  for candidate in /usr/bin/python3 /usr/bin/python3.1[1-9] "$(command -v python3 || true)"; do
    [ -x "$candidate" ] && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
  done
  die "Python 3.11 or newer is needed; this machine has $(python3 --version 2>&1)"
}

# make_venv DIRECTORY [EXTRA]: a virtual environment with this checkout installed; left alone when nothing has changed since.
make_venv() {
  local venv=$1 extra=${2-} stamp=$1/.installed-${2:-base} state
  state=$(cat pyproject.toml; [ -n "$extra" ] || find compose runtime -type f -not -name '*.pyc' -printf '%p %T@\n' | sort)
  if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(sha256sum <<< "$state")" ]; then return; fi
  say "installing pycompose into $venv"
  [ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv"
  if [ -n "$extra" ]; then
    "$venv/bin/pip" install -q --disable-pip-version-check --config-settings editable_mode=compat -e ".[$extra]"
    rm -f "$venv"/.installed-base
  else
    "$venv/bin/pip" install -q --disable-pip-version-check .
    rm -rf build ./*.egg-info "$venv"/.installed-dev
  fi
  sha256sum <<< "$state" > "$stamp"
}

# link_command VENV: make `pycompose` something one can type.
link_command() {
  ln -sfn "$PWD/$1/bin/pycompose" /usr/local/bin/pycompose
  hash -r
}
