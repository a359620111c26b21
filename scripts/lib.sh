# shellcheck shell=bash
# What scripts/check, scripts/test and scripts/run share: Debian packages and the virtual environment. To be sourced,
# with `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
# Debian keeps mosquitto and the like off an ordinary user's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="isr-edge: no service starts while its packages are installed"

# The terminal may be gone while everything is being stopped; that is no reason to stop half-way.
say() { printf '%s\n' "$*" >&2 || true; }

die() {
    say "$@"
    exit 1
}

# --- Debian packages --------------------------------------------------------------------------------------------------

# Those of the named packages that are not installed, one per line. Where there is no dpkg, nothing can be said.
missing_debian() {
    local package
    command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

# Installs what is missing of the named packages. Fails, having said what to do, where that cannot be.
need_debian() {
    local missing
    mapfile -t missing < <(missing_debian "$@")
    ((${#missing[@]})) || return 0
    if ! may_install "${missing[@]}"; then
        say "Missing Debian packages: ${missing[*]}"
        say "Install them with:  sudo apt-get install --no-install-recommends ${missing[*]}"
        return 1
    fi
    say "Installing Debian packages: ${missing[*]}"
    install_debian "${missing[@]}"
}

# Whether we are root, or may become it: a person at a terminal is asked first.
may_install() {
    local answer
    ((EUID == 0)) && return 0
    command -v sudo >/dev/null || return 1
    [[ -t 0 && -t 2 ]] || { sudo -n true 2>/dev/null; return; }
    read -r -p "These Debian packages are missing: $*. Install them with sudo? [Y/n] " answer || return 1
    [[ ${answer:-y} == [Yy]* ]] && sudo -v
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# `env`, because sudo drops variables.
apt_as_root() {
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# A subshell, so that the trap and the log are its own.
install_debian() (
    set -euo pipefail
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    plan=$(simulated "$@") || die "apt-get cannot install them:"$'\n'"$(grep '^E:' <<<"$plan")"
    removed=$(awk '$1 == "Remv" { print $2 }' <<<"$plan" | xargs)
    [[ -z $removed ]] || die "Not done: installing $* would remove $removed. Decide yourself which of them you need."

    trap 'rm -f "$log"; allow_service_starts' EXIT
    refuse_service_starts
    apt_as_root install -y --no-install-recommends --no-remove "$@" >"$log" 2>&1 ||
        { tail -n 15 "$log" >&2 && die "apt-get could not install: $*"; }
    disable_services "$@"
)

# What apt-get would do, after fetching the lists where they are old, or do not lead anywhere.
simulated() {
    local fresh
    fresh=$(find /var/lib/apt/lists /var/lib/apt/lists/partial -maxdepth 0 -mtime -1 2>/dev/null)
    if [[ -n $fresh ]] && compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
        simulate "$@" 2>/dev/null && return
    fi
    apt_as_root update >/dev/null 2>&1 || say "apt-get update failed; going on with the lists that are there."
    simulate "$@" 2>&1
}

simulate() { LC_ALL=C apt-get -q -s install --no-install-recommends "$@"; }

# invoke-rc.d asks this file before it starts anything. One that is there already is left alone.
refuse_service_starts() {
    [[ -e $POLICY ]] && return
    printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

# The mark also finds what an earlier, killed run may have left.
allow_service_starts() {
    if grep -qs "$POLICY_MARK" "$POLICY"; then as_root rm -f "$POLICY"; fi
}

# policy-rc.d keeps services from starting now; this keeps them from starting at the next boot, or (a sound server) at
# somebody's login. To be called with packages that were not there before: those that were stay as their owner wants
# them. What came along as a dependency (dbus, say) may be needed by others and is left alone too.
disable_services() {
    local unit
    while read -r unit; do
        disable_unit --system "$unit"
    done < <(package_files 's#^(/usr)?/lib/systemd/system/([^/]+)$#\2#p' "$@")
    while read -r unit; do
        disable_unit --global "$unit"
    done < <(package_files 's#^/usr/lib/systemd/user/([^/]+)$#\1#p' "$@")
    while read -r unit; do
        as_root update-rc.d "$unit" disable >/dev/null 2>&1 || say "Could not disable /etc/init.d/$unit."
    done < <(package_files 's#^/etc/init\.d/([^/]+)$#\1#p' "$@")
}

# Only what is enabled: most units of a package are pulled in by others and have no switch of their own.
disable_unit() {
    local scope=$1 unit=$2 now=()
    if ! command -v systemctl >/dev/null; then
        # No systemd yet, but the packages have noted already what it is to start.
        [[ $scope == --system ]] || scope=--user
        as_root deb-systemd-helper "$scope" disable "$unit" >/dev/null 2>&1 || say "Could not disable $unit."
    elif [[ $(systemctl "$scope" is-enabled "$unit" 2>/dev/null) == enabled ]]; then
        [[ $scope == --global || ! -d /run/systemd/system ]] || now=(--now)
        as_root systemctl "$scope" disable "${now[@]}" "$unit" >/dev/null 2>&1 || say "Could not disable $unit."
    fi
}

# Names that a sed expression picks from the files of packages.
package_files() {
    local expression=$1
    shift
    dpkg -L "$@" 2>/dev/null | sed -nE "$expression" | sort -u
}

# --- Python -----------------------------------------------------------------------------------------------------------

# A Python from 3.11 on that runs and can do `test`, a piece of code. Each is tried, for a pyenv shim may stand on the
# path and lead nowhere.
python_that() {
    local name path
    for name in python3.13 python3.12 python3.11 python3; do
        while read -r path; do
            if "$path" -c "import sys; assert sys.version_info >= (3, 11); $1" 2>/dev/null; then
                echo "$path"
                return
            fi
        done < <(type -aP "$name")
    done
    return 1
}

find_python() { python_that 'import ensurepip, venv'; }

# Debian packages that a virtual environment needs here: none where it is there, or a Python has all it takes.
python_packages() {
    venv_runs || find_python >/dev/null || echo "python3 python3-venv"
}

venv_runs() { [[ -x $VENV/bin/python ]] && "$VENV/bin/python" -c '' 2>/dev/null; }

# Makes or renews the virtual environment, for "run" or for "dev". Nothing is done while pyproject.toml and the folder
# are those of the last time. One at a time: the lock is pyproject.toml itself.
need_venv() {
    local purpose=$1 state stamp=$VENV/.isr-stamp
    state="$(sha256sum <"$ROOT/pyproject.toml") $ROOT"
    (
        flock 9
        # What is good for the tests is good for running.
        if venv_runs && grep -qxF -e "$purpose $state" -e "dev $state" "$stamp" 2>/dev/null; then exit 0; fi
        make_venv "$purpose" "$state" "$stamp"
    ) 9<"$ROOT/pyproject.toml"
}

make_venv() {
    local purpose=$1 state=$2 stamp=$3 python what=$ROOT
    [[ $purpose == run ]] || what="${ROOT}[$purpose]"
    # One that was copied from another folder, or whose Python is gone, cannot be mended.
    if ! venv_runs || ! grep -qF -- "$ROOT" "$stamp" 2>/dev/null; then
        python=$(find_python) || die "No Python from 3.11 on that can make a virtual environment."
        say "Making the virtual environment .venv with $("$python" --version)"
        "$python" -m venv --clear "$VENV"
    fi
    say "Installing Python packages"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e "$what"
    # Some machines get soundfile without its library.
    "$VENV/bin/python" -c 'import soundfile' 2>/dev/null || need_debian libsndfile1 || return 1
    printf '%s\n' "$purpose $state" >"$stamp"
}
