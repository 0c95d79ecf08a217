# shellcheck shell=bash
# How long an app's users wait for an upgrade, as a client sees it through the real Traefik every 10 ms: for a good version,
# by evenkeel and by hand, and for a bad one from the gate's No until the old version answers again. Sourced by
# `tests/bench`, which sets $work.
#
# A wait is taken apart by the log's lines and the Engine's own events. What the app takes to stop and to start, and the
# proxy to notice (it looks every 15 s), is nobody's doing; the rest is ours. By hand nothing is read back or judged.

most_kib=61440
app_stack=wiki_bench_example
app_service=${app_stack}_app

now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
stamped() { while IFS= read -r line; do printf '%s %s\n' "$(now)" "$line"; done; }
docker() { "$EVENKEEL_DOCKER_CLI" "$@"; }
quietly() { "$@" >"$work/log" 2>&1 || die "$*: $(tail -5 "$work/log")"; }
has_answered() { awk -v since="${2:-0}" -v page="$1" '$2 >= since && $3 == 200 && $4 == page { found = 1; exit } END { exit !found }' "$work/answers"; }

# until_so SECONDS COMMAND...: waits until it holds.
until_so() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || die "waited in vain: $*"
        sleep 0.1
    done
}

# --- the town -------------------------------------------------------------------------------------------------------

downtime_recipes() {
    local version number
    mkdir -p "$work/proxy" "$work/app"
    cp -r tests/fixtures/recipes/traefik/5.1.0+v3.6.12/. "$work/proxy"
    version=5.1.0+v3.6.12 commit "$work/proxy"
    cp -r tests/fixtures/recipes/standin-app/1.0.0+1.0.0/. "$work/app"
    # The stand-in's schema is its major version: 2.0.0 migrates the data, which the others refuse then.
    for number in 1.0.0 1.1.0 1.2.0; do
        sed -e '/^ *image:/a\    environment: ["VERSION=SHOWN", "BROKEN=IS_BROKEN"]' \
            "tests/fixtures/recipes/standin-app/1.0.0+1.0.0/compose.yml" |
            sed -e "s/SHOWN/$([ $number = 1.2.0 ] && echo 2.0.0 || echo $number)/" \
                -e "s/IS_BROKEN/$([ $number != 1.2.0 ] || echo 1)/" -e "s/1.0.0+1.0.0/$number+$number/" >"$work/app/compose.yml"
        version=$number+$number commit "$work/app"
    done
}

# declare_town VERSION: what the operator writes, with the app pinned to a version.
declare_town() {
    cat >"$work/config.toml" <<END
base_domain = "bench.example"
state_dir = "$work/state"
engine = "$DOCKER_HOST"
[network]
subnet = "10.200.0.0/16"
[proxy]
recipe = { url = "$work/proxy" }
version = "5.1.0+v3.6.12"
domain = "proxy.bench.example"
address = "$(cat "$work/engine/address")"
compose = ["compose.yml", "compose.host.yml", "compose.wildcard.yml"]
env = { WILDCARDS_ENABLED = "1", DOCKER_SOCKET = "$work/engine/docker.sock" }
certificate = { chain = "$work/chain.pem", key = "$work/key.pem" }
gate = { stable_for = "1s", within = "180s" }
[app.wiki]
recipe = { url = "$work/app" }
version = "$1+$1"
domain = "wiki.bench.example"
gate = { stable_for = "1s", within = "600s" }
END
}

certify() {
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=bench.example \
        -addext "subjectAltName=DNS:bench.example,DNS:*.bench.example" -keyout "$work/key.pem" -out "$work/chain.pem"
}

ours() { "$evenkeel" -v --config "$work/config.toml" "$@"; }

# --- the app and its data -------------------------------------------------------------------------------------------

# make_data BYTES: files of 10 MiB, a fifth of it text.
make_data() {
    local file
    mkdir "$work/files"
    for file in $(seq $((($1 + 10485759) / 10485760))); do
        { head -c 8388608 /dev/urandom && { yes "page $file of the user and the text that was written" || true; } | head -c 2097152; } \
            >"$work/files/$file"
    done
    sync -f "$work/files"
}

mountpoint_of_app() { docker volume inspect -f '{{.Mountpoint}}' "${app_stack}_data"; }

# install_app: version 1.0.0, with the data in its volume.
install_app() {
    declare_town 1.0.0
    quietly ours app wiki
    mv "$work/files" "$(mountpoint_of_app)/"
    begin_asking
    until_so 120 has_answered 1.0.0
}

is_without_containers() { [ -z "$(docker ps --all --quiet --filter "label=com.docker.swarm.service.name=$app_service")" ]; }

# remove_app: all of it but the data, which is moved out.
remove_app() {
    end_asking
    mv "$(mountpoint_of_app)/files" "$work/files"
    quietly docker service rm "$app_service"
    until_so 60 is_without_containers
    quietly docker volume rm "${app_stack}_data"
    rm -rf "$work/state/wiki"
}

begin_asking() {
    : >"$work/answers"
    "$(dirname "$evenkeel")/examples/asking" "$(cat "$work/engine/address"):443" wiki.bench.example >"$work/answers" &
    echo $! >"$work/asking.pid"
    # Not the function above: what is ended later has to be the program itself.
    "$EVENKEEL_DOCKER_CLI" events --filter type=container --filter event=die --filter event=start --filter event=health_status \
        --format '{{.TimeNano}} {{index .Actor.Attributes "com.docker.swarm.service.name"}} {{.Action}}' >"$work/events" &
    echo $! >"$work/events.pid"
}

end_asking() {
    local file
    for file in "$work/asking.pid" "$work/events.pid"; do
        [ ! -e "$file" ] || { kill "$(cat "$file")" && wait "$(cat "$file")"; } 2>/dev/null || true
        rm -f "$file"
    done
}

# --- one run and what it took ---------------------------------------------------------------------------------------

# upgrade VERSION WORD: one run that ends so, whose log comes to $work/lines with its times. Sets peak.
upgrade() {
    declare_town "$1"
    # shellcheck disable=SC2016
    "$work/measure" 1 bash -c '"$@" >"$0" || true' "$work/told" "$evenkeel" -v --config "$work/config.toml" app wiki 2>&1 >"$work/used" |
        stamped >"$work/lines"
    grep -q "$2" "$work/told" || die "wanted $2: $(cat "$work/told"; tail -5 "$work/lines")"
    read -r _ _ _ peak <"$work/used"
    [ "$peak" -le "$most" ] || most=$peak
}

# by_hand: what an operator types.
by_hand() {
    local from
    from=$(mountpoint_of_app)
    {
        echo "$(now) step=stop"
        quietly docker service scale --detach=false "$app_service=0"
        until_so 60 is_without_containers
        echo "$(now) step=snapshot"
        tar --create --format=posix --sparse --one-file-system --acls --xattrs '--xattrs-include=*' --numeric-owner -C "$from" -f - . |
            zstd -q -T0 -3 -f -o "$work/by-hand.tar.zst"
        sync "$work/by-hand.tar.zst"
        echo "$(now) stored"
        echo "$(now) step=deploy"
        quietly docker service update --detach=true --env-add VERSION=1.2.0 --replicas 1 "$app_service"
        until_so 120 has_answered 1.2.0
    } >"$work/lines"
    rm "$work/by-hand.tar.zst"
}

# line WORDS: when the log first said so.
line() { awk -v words="$1" 'gsub(/"/, "") >= 0 && index($0, words) { print $1; exit }' "$work/lines"; }
# event SINCE WORDS: when the Engine said so of the app.
event() { awk -v since="$1" -v of="$app_service" -v words="$2" '$1 / 1e6 >= since && $2 == of && index($0, words) { printf "%.0f\n", $1 / 1e6; exit }' "$work/events"; }
first_answer() { awk -v since="$1" -v page="$2" '$1 >= since && $3 == 200 && $4 == page { printf "%.0f\n", $2; exit }' "$work/answers"; }
last_answer() { awk -v before="$1" -v page="$2" '$2 < before && $3 == 200 && $4 == page { last = $2 } END { printf "%.0f\n", last }' "$work/answers"; }

# known NAME...: dies where one of these moments was not seen.
known() {
    local name
    for name; do [ -n "${!name}" ] || die "nobody saw when it was: $name; $(cat "$work/lines" "$work/events")"; done
}

# took WHAT OLD NEW: prints the row of an upgrade; sets own, what it took without the app and the proxy.
took() {
    local stop copy stored deploy last died started healthy answered
    stop=$(line step=stop) copy=$(line step=snapshot) stored=$(line stored) deploy=$(line step=deploy)
    died=$(event "$stop" die) started=$(event "$deploy" start) healthy=$(event "$deploy" 'health_status: healthy')
    answered=$(first_answer "$deploy" "$3") last=$(last_answer "${answered:-0}" "$2")
    known stop copy stored deploy died started healthy answered last
    own=$((started - died))
    printf '%-16s %8d %8d %8d %8d %9d %8d %8d %8d %8d\n' "$1" $((answered - last)) $((died - last)) $((copy - died)) $((stored - copy)) \
        $((deploy - stored)) $((started - deploy)) $((healthy - started)) $((answered - healthy)) "$own"
}

# came_back WHAT: prints the row of a way back.
came_back() {
    local no restore deploy started healthy answered
    no=$(line step=withdraw) restore=$(line step=restore) deploy=$(line step=redeploy)
    started=$(event "$deploy" start) healthy=$(event "$deploy" 'health_status: healthy') answered=$(first_answer "$deploy" 1.0.0)
    known no restore deploy started healthy answered
    printf '%-16s %8d %8d %8d %9s %8d %8d %8d\n' "$1" $((answered - no)) $((restore - no)) $((deploy - restore)) "" $((started - deploy)) \
        $((healthy - started)) $((answered - healthy))
}

one_size() {
    local size=$1 own mine peak
    make_data "$(numfmt --from=iec "$size")"
    install_app
    upgrade 1.1.0 upgraded
    until_so 120 has_answered 1.1.0
    took "$size evenkeel" 1.0.0 1.1.0
    mine=$own
    # Room for the archive by hand.
    rm -rf "$work/state/wiki/snapshots"
    by_hand
    took "$size by hand" 1.1.0 1.2.0
    awk -v what="$size" -v ours="$mine" -v theirs="$own" -v kib="$peak" \
        'BEGIN { printf "%-16s by hand / own: %.2f; peak %d KiB\n", what, theirs / ours, kib }'
    remove_app

    install_app
    upgrade 1.2.0 rolled-back
    until_so 120 has_answered 1.0.0 "$(line step=redeploy)"
    came_back "$size way back" >>"$work/back"
    # Its own data: 2.0.0 had migrated it, and the failed data says so.
    [ "$(cat "$(mountpoint_of_app)/schema")" = 1 ] || die "the old version runs on migrated data"
    grep -qx 2 "$(dirname "$(mountpoint_of_app)")"/evenkeel-*-failed/schema || die "the failed version had not migrated anything"
    ! has_answered 2.0.0 || say "$size: the failed version was seen by users"
    awk -v what="$size" -v kib="$peak" 'BEGIN { printf "%-16s peak %d KiB\n", what, kib }' >>"$work/back"
    remove_app
    rm -rf "$work/files"
}

bench_downtime() {
    local size most=0
    [ $# -gt 0 ] || set -- 10M 1G 5G
    downtime_recipes
    certify
    declare_town 1.0.0
    quietly ours swarm
    quietly ours proxy
    : >"$work/back"
    printf '%-16s %8s %8s %8s %8s %9s %8s %8s %8s %8s\n' "ms" down "app ends" proof store "read back" deploy "app up" proxy own
    for size; do one_size "$size"; done
    printf '\n%-16s %8s %8s %8s %9s %8s %8s %8s\n' "ms, from the No" answers withdraw restore "" deploy "app up" proxy
    cat "$work/back"
    printf 'goal: memory of at most %s KiB; %s KiB: %s\n' "$most_kib" "$most" "$([ "$most" -le $most_kib ] && echo met || echo NOT MET)"
    [ "$most" -le $most_kib ]
}
