# Layers and images without a Docker daemon. Sourced by `build`.
#
# A layer is a folder under $layers, filled once by `fill_<name> ROOT VERSION`; ROOT shows it on top of the layers below it.
# An image is a docker-archive tarball under $cache that names its layers. Mounts live in this process's own mount
# namespace, so none outlives it.

cache=$(realpath -m "${IMAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/test-images}")
layers=$cache/layers

# layer NAME[-VERSION] LOWER...: make that layer unless it is there.
layer() {
    local name=$1 dir=$layers/$1 lower='' root start=$SECONDS
    shift
    [ ! -d "$dir" ] || return 0
    say "layer $name"
    rm -rf "$dir.new" "$dir.work" "$dir.root"
    mkdir -p "$dir.new" "$dir.work" "$dir.root"
    root=$dir.new
    if [ $# -gt 0 ]; then
        for below in "$@"; do lower=$layers/$below${lower:+:$lower}; done
        root=$dir.root
        mount -t overlay overlay -o "redirect_dir=off,lowerdir=$lower,upperdir=$dir.new,workdir=$dir.work" "$root"
    fi
    "fill_${name%%-*}" "$root" "${name#*-}" >&2
    mountpoint -q "$root" && umount -R "$root"
    mv "$dir.new" "$dir"
    rm -rf "$dir.work" "$dir.root"
    say "layer $name: $((SECONDS - start)) s, $(du -sm "$dir" | cut -f1) MB"
}

# in_root ROOT COMMAND...: run it there, with /proc and this machine's name resolution.
in_root() {
    local root=$1
    shift
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
    for file in /etc/resolv.conf /etc/hosts; do
        touch "$root$file"
        mountpoint -q "$root$file" || mount --bind "$file" "$root$file"
    done
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# The apt sources of this machine for $debian, as sources.list lines.
apt_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        grep -E " $debian(-updates|-security)? main\$" | sort -u
}

# apt_install ROOT PACKAGE...: leaves neither lists nor sources nor packages behind.
apt_install() {
    local root=$1
    shift
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    mount --bind "$cache/apt/lists" "$root/var/lib/apt/lists"
    mount --bind "$cache/apt/archives" "$root/var/cache/apt/archives"
    apt_sources >"$root/etc/apt/sources.list"
    apt-config dump --no-empty Acquire >"$root/etc/apt/apt.conf.d/00build"
    in_root "$root" apt-get -qq update
    in_root "$root" apt-get -qq -y --no-install-recommends install "$@" >"$cache/apt/log" 2>&1 || die "$(tail -20 "$cache/apt/log")"
    umount "$root/var/lib/apt/lists" "$root/var/cache/apt/archives"
    rm -rf "$root"/etc/apt/{sources.list,apt.conf.d/00build} "$root"/var/cache/apt/*.bin "$root"/var/log/{apt,dpkg.log,alternatives.log} "$root"/var/cache/debconf/*-old
}

# unpack_deb ROOT PACKAGE: its files only, no scripts, no dependencies.
unpack_deb() {
    local dir
    dir=$(mktemp -d)
    (cd "$dir" && apt-get -qq download "$2" 2>/dev/null)
    dpkg-deb -x "$dir"/*.deb "$1"
    rm -rf "$dir"
}

# layer_tar DIR FILE: a removed file is a 0/0 character device in an overlay, and an empty .wh.NAME in an image.
layer_tar() {
    local gone
    gone=$(mktemp -d)
    (cd "$1" && find . -type c -exec stat -c '%t%T %n' {} +) | sed -n 's/^00 //p' >"$gone.list"
    while read -r file; do
        mkdir -p "$gone/${file%/*}"
        : >"$gone/${file%/*}/.wh.${file##*/}"
    done <"$gone.list"
    tar --sort=name --numeric-owner --mtime=@0 --anchored --no-wildcards --exclude-from="$gone.list" -C "$1" -cf "$2" .
    (cd "$gone" && find . -name '.wh.*') | tar --mtime=@0 -C "$gone" -T - -rf "$2"
    rm -rf "$gone" "$gone.list"
}

# pack NAME TAG LAYER... <CONFIG: the tarball of an image whose config (Env, Cmd, ...) is the jq value on stdin.
pack() {
    local out=$cache/$1-r$revision.tar tag=$2 dir sum ids='' files='' config
    shift 2
    dir=$(mktemp -d -p "$cache")
    config=$(jq -cn "$(cat)")
    for name in "$@"; do
        layer_tar "$layers/$name" "$dir/layer"
        sum=$(sha256sum <"$dir/layer" | cut -d' ' -f1)
        mv "$dir/layer" "$dir/$sum.tar"
        ids="$ids sha256:$sum" files="$files $sum.tar"
    done
    jq -cn --argjson config "$config" --arg arch "$(dpkg --print-architecture)" --arg ids "$ids" \
        '{architecture: $arch, os: "linux", created: "1970-01-01T00:00:00Z", config: $config,
          rootfs: {type: "layers", diff_ids: ($ids | split(" ")[1:])}}' >"$dir/config"
    sum=$(sha256sum <"$dir/config" | cut -d' ' -f1)
    mv "$dir/config" "$dir/$sum.json"
    jq -cn --arg config "$sum.json" --arg tag "$tag" --arg files "$files" \
        '[{Config: $config, RepoTags: [$tag], Layers: ($files | split(" ")[1:])}]' >"$dir/manifest.json"
    tar -C "$dir" -cf "$out.new" manifest.json "$sum.json" $files
    mv "$out.new" "$out"
    rm -rf "$dir"
}
