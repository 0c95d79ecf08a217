# shellcheck shell=bash
# What storing and restoring costs beside tar and zstd by hand. Sourced by `tests/bench`, which sets $times and $work.
#
# Both sides keep the same of a file and end on disk; ours also digests what it stores, and checks that before it unpacks
# any. Volumes and archives lie on a file system of their own, unpacked volumes on a new one each time: ext4 does not
# take an inode again that was freed a moment ago, and looks at each of them for every new file.

# The goals: of their speed, and of memory.
least_ratio=0.9 most_kib=61440

tar_flags=(--acls --xattrs '--xattrs-include=*' --numeric-owner)
by_hand_store() {
    tar --create --format=posix --sparse --one-file-system "${tar_flags[@]}" -C "$1/volume/_data" -f - . |
        zstd -q -T0 -3 -f -o "$1/by-hand.tar.zst"
    [ "$2" = unsynced ] || sync "$1/by-hand.tar.zst"
}
by_hand_restore() {
    mkdir "$1/unpack/volume/by-hand"
    zstd -q -d -c "$1/by-hand.tar.zst" |
        tar --extract --preserve-permissions --same-owner --delay-directory-restore "${tar_flags[@]}" -C "$1/unpack/volume/by-hand" -f -
    [ "$2" = unsynced ] || sync -f "$1/unpack/volume/by-hand"
}
export -f by_hand_store by_hand_restore

# once NAME COMMAND...: measures one run and keeps its milliseconds, KiB and CPU milliseconds in $work/NAME.
once() {
    local name=$1
    shift
    "$work/measure" 1 "$@" | awk '{ print $1, $4, $3 }' >>"$work/$name"
}

median() { sort -n -k "${2:-1},${2:-1}" "$work/$1" | awk -v field="${2:-1}" '{ all[NR] = $field } END { print all[int((NR + 1) / 2)] }'; }
memory() { awk '$2 > most { most = $2 } END { print most }' "$work/$1"; }

# compare WHAT OURS THEIRS UNSYNCED: prints a row; fails where a goal is missed.
compare() {
    local ours theirs unsynced kib
    ours=$(median "$2") theirs=$(median "$3") unsynced=$(median "$4") kib=$(memory "$2")
    awk -v what="$1" -v ours="$ours" -v theirs="$theirs" -v unsynced="$unsynced" -v kib="$kib" \
        -v cpu="$(median "$2" 3)" -v their_cpu="$(median "$3" 3)" -v least=$least_ratio -v most=$most_kib 'BEGIN {
        printf "%-8s %8.0f %8.0f %6.2f %11.0f %6.2f %9.2f %9d\n",
            what, ours, theirs, theirs / ours, unsynced, unsynced / ours, their_cpu / cpu, kib
        exit !(theirs / ours >= least && kib <= most)
    }'
}

# fresh FOLDER MIB: a new file system there, in the place of the one that was.
fresh() {
    ! mountpoint -q "$1" || umount "$1"
    local image
    image=$work/$(basename "$1").img
    rm -f "$image"
    truncate -s "$2M" "$image"
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$image"
    mkdir -p "$1"
    mount -o loop "$image" "$1"
}

# by_hand FUNCTION UNSYNCED: one of the two above, measured.
by_hand() {
    [ "$1" != store ] || rm -f "$folder/by-hand.tar.zst"
    once "hand-$1${2:+-$2}" bash -c "$(declare -p tar_flags); by_hand_$1 \"\$1\" \"\$2\"" - "$folder" "${2:-}"
}
ours() {
    case $1 in
        store) rm -rf "$folder/state" ;;
        restore) mkdir "$folder/unpack/volume/_data" && ln -s ../state "$folder/unpack/state" ;;
    esac
    once "ours-$1" "$program" "$1" "$folder${2:+/$2}"
}

# one WHAT WHO: restores go to a new file system.
one() {
    [ "$1" = store ] || { fresh "$folder/unpack" 2048 && mkdir "$folder/unpack/volume"; }
    sync -f "$folder"
    sync -f "$work"
    case $2 in
        ours) ours "$1" "$([ "$1" = store ] || echo unpack)" ;;
        *) by_hand "$1" "${2#hand}" ;;
    esac
}

bench_snapshot() {
    local folder=$work/snapshot program round what who failed=0
    program=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)/release/examples/snapshot
    trap 'umount -l "$work"/snapshot{/unpack,} 2>/dev/null || true; rm -rf "$work"' EXIT
    fresh "$folder" 8192
    "$program" make "$folder"
    printf '%s files, %s MiB, the median of %s runs in turn; a ratio above 1 is faster than by hand\n' \
        "$(find "$folder/volume" -type f | wc -l)" "$(du -sm "$folder/volume" | cut -f1)" "$times"
    printf '%-8s %8s %8s %6s %11s %6s %9s %9s\n' "" "ours ms" "by hand" ratio "without sync" ratio "CPU ratio" "peak KiB"
    for round in $(seq 0 "$times"); do
        # The first one warms the page cache; who is first changes from round to round.
        [ "$round" != 1 ] || rm -f "$work"/{ours,hand}-* "$work/verify"
        who="ours hand handunsynced"
        [ $((round % 2)) = 0 ] || who="handunsynced hand ours"
        for what in store restore; do
            for each in $who; do one "$what" "$each"; done
        done
        once verify "$program" verify "$folder"
    done
    compare store ours-store hand-store hand-store-unsynced || failed=1
    compare restore ours-restore hand-restore hand-restore-unsynced || failed=1
    printf '%-8s %8.0f\n' verify "$(median verify)"
    [ $failed = 0 ] || say "a goal is missed: at least $least_ratio of their speed, at most $most_kib KiB"
    return $failed
}
