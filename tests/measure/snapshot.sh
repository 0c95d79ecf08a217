# shellcheck shell=bash
# What storing and restoring costs beside tar and zstd by hand. Sourced by `tests/bench`, which sets $times and $work.

# The goals: of their speed, and of memory.
least_ratio=0.9 most_kib=61440

tar_flags=(--acls --xattrs '--xattrs-include=*' --numeric-owner)
by_hand_store() {
    tar --create --format=posix --sparse --one-file-system "${tar_flags[@]}" -C "$1/volume/_data" -f - . |
        zstd -q -T0 -3 -f -o "$1/by-hand.tar.zst"
    sync "$1/by-hand.tar.zst"
}
by_hand_restore() {
    mkdir "$1/volume/by-hand"
    zstd -q -d -c "$1/by-hand.tar.zst" |
        tar --extract --preserve-permissions --same-owner --delay-directory-restore "${tar_flags[@]}" -C "$1/volume/by-hand" -f -
    sync -f "$1/volume/by-hand"
}
export -f by_hand_store by_hand_restore

# once NAME COMMAND...: measures one run and keeps its milliseconds and KiB in $work/NAME.
once() {
    local name=$1
    shift
    "$work/measure" 1 "$@" | awk '{ print $1, $4 }' >>"$work/$name"
}

median() { sort -n "$work/$1" | awk '{ wall[NR] = $1 } END { print wall[int((NR + 1) / 2)] }'; }
memory() { awk '$2 > most { most = $2 } END { print most }' "$work/$1"; }

# compare WHAT OURS THEIRS: prints a row; fails where a goal is missed.
compare() {
    local ours theirs kib
    ours=$(median "$2") theirs=$(median "$3") kib=$(memory "$2")
    printf '%-8s %10.0f %10.0f %8.2f %12d\n' "$1" "$ours" "$theirs" "$(awk "BEGIN { print $theirs / $ours }")" "$kib"
    awk "BEGIN { exit !($theirs / $ours >= $least_ratio && $kib <= $most_kib) }"
}

bench_snapshot() {
    local folder=$work/snapshot program round failed=0
    program=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)/release/examples/snapshot
    mkdir "$folder"
    "$program" make "$folder"
    printf '%s files, %s MiB, the median of %s runs in turn; a ratio above 1 is faster than by hand\n' \
        "$(find "$folder/volume" -type f | wc -l)" "$(du -sm "$folder/volume" | cut -f1)" "$times"
    printf '%-8s %10s %10s %8s %12s\n' "" "ours ms" "by hand ms" "ratio" "peak KiB"
    for round in $(seq 0 "$times"); do
        # The first one warms the page cache.
        [ "$round" != 1 ] || rm -f "$work"/{ours,hand}-{store,restore} "$work/verify"
        rm -rf "$folder/state" "$folder/by-hand.tar.zst" "$folder"/volume/{evenkeel-*,by-hand}
        sync -f "$folder"
        once ours-store "$program" store "$folder"
        once hand-store bash -c "$(declare -p tar_flags); by_hand_store \"\$1\"" - "$folder"
        once verify "$program" verify "$folder"
        sync -f "$folder"
        once ours-restore "$program" restore "$folder"
        once hand-restore bash -c "$(declare -p tar_flags); by_hand_restore \"\$1\"" - "$folder"
    done
    compare store ours-store hand-store || failed=1
    compare restore ours-restore hand-restore || failed=1
    printf '%-8s %10.0f\n' verify "$(median verify)"
    [ $failed = 0 ] || say "a goal is missed: at least $least_ratio of their speed, at most $most_kib KiB"
    return $failed
}
