# shellcheck shell=bash
# A canonical's life beside the same by hand: a MariaDB that makes its system tables and loads a table at its first start.
# Sourced by `tests/bench`, which sets $work.
#
# By hand is what a person would type (`docker stack deploy`, `docker service scale`, tar and zstd) and a look every 100 ms
# until the Engine calls it healthy, or until no container is left: that is what the Engine and the app take. The gate's
# `stable_for` is 1 s, which by hand is waited for, too. Our part is what ours takes beyond that.

most_percent=15
hand_stack=hand_bench_example

now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
docker() { "$EVENKEEL_DOCKER_CLI" "$@"; }
ours() { "$evenkeel" --config "$work/config.toml" "$@"; }
quietly() { "$@" >"$work/log" 2>&1 || die "$*: $(tail -5 "$work/log")"; }

# took COMMAND...: sets $took, in ms.
took() {
    local began
    began=$(now)
    quietly "$@"
    took=$(($(now) - began))
}

until_so() {
    local deadline=$((SECONDS + 300))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || die "waited in vain: $*"
        sleep 0.1
    done
}

containers() { docker ps --all --quiet --filter "label=com.docker.stack.namespace=$1"; }
is_gone() { [ -z "$(docker ps --quiet --filter "label=com.docker.stack.namespace=$1")" ]; }
is_healthy() { [ -n "$(docker ps --quiet --filter "label=com.docker.stack.namespace=$1" --filter health=healthy)" ]; }

warm_recipe() {
    local number
    mkdir -p "$work/shop"
    for number in 1.0.0 1.1.0; do
        cat >"$work/shop/compose.yml" <<END
services:
  app:
    image: mariadb:10.11
    environment: ["MYSQL_ROOT_PASSWORD=bench", "MYSQL_DATABASE=shop", "MYSQL_USER=shop", "MYSQL_PASSWORD=bench", "RELEASE=$number"]
    volumes: ["data:/var/lib/mysql"]
    networks: [internal]
    stop_grace_period: 60s
    healthcheck:
      test: ["CMD-SHELL", "mysql -h 127.0.0.1 -u shop -pbench shop -e 'SELECT 1' || mariadb -h 127.0.0.1 -u shop -pbench shop -e 'SELECT 1'"]
      interval: 500ms
      timeout: 10s
      retries: 240
    deploy: { endpoint_mode: dnsrr }
volumes: { data: }
networks: { internal: }
END
        version=$number+10.11 commit "$work/shop"
    done
    echo >"$work/shop/.env.sample"
    cat >"$work/config.toml" <<END
base_domain = "bench.example"
state_dir = "$work/state"
engine = "$DOCKER_HOST"
[canonical.shop]
recipe = { url = "$work/shop" }
version = "1.0.0+10.11"
gate = { stable_for = "1s", within = "300s" }
END
}

by_hand_install() {
    quietly docker stack deploy --resolve-image never --detach=true --compose-file "$work/shop/compose.yml" $hand_stack
    until_so is_healthy $hand_stack
    sleep 1
}

by_hand_start() {
    quietly docker service scale --detach=true ${hand_stack}_app=1
    until_so is_healthy $hand_stack
    sleep 1
}

by_hand_stop() {
    quietly docker service scale --detach=true ${hand_stack}_app=0
    until_so is_gone $hand_stack
}

# What promoting is by hand, from idle: fresh volumes, an install, a stop, an archive that is read back.
by_hand_promote() {
    local volume=${hand_stack}_data place left
    left=$(containers $hand_stack)
    # shellcheck disable=SC2086
    [ -z "$left" ] || quietly docker rm --force $left
    quietly docker volume rm $volume
    by_hand_start
    by_hand_stop
    place=$(docker volume inspect --format '{{.Mountpoint}}' $volume)
    tar --create --xattrs --acls --numeric-owner --directory "$place" . | zstd --quiet --force -o "$work/hand.tar.zst"
    sync "$work/hand.tar.zst"
    zstd --quiet --test "$work/hand.tar.zst"
}

by_hand_remove() {
    local left
    quietly docker stack rm $hand_stack
    until_so is_gone $hand_stack
    left=$(containers $hand_stack)
    # shellcheck disable=SC2086
    [ -z "$left" ] || quietly docker rm --force $left
    quietly docker volume rm ${hand_stack}_data
    until_so has_no_network
}

has_no_network() { [ -z "$(docker network ls --quiet --filter "label=com.docker.stack.namespace=$hand_stack")" ]; }

# line WORDS OURS BY_HAND
line() {
    local percent
    percent=$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.0f", (a - b) * 100 / b }')
    printf '%-34s %9s %9s %9s\n' "$1" "$2" "$3" "$percent %"
    [ "$percent" -le $most_percent ] || { echo "the goal is $most_percent % at most" && failed=1; }
}

median() { sort -n "$work/$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# timed NAME COMMAND...: keeps what it took.
timed() {
    took "${@:2}"
    echo "$took" >>"$work/$1"
}

bench_warm() {
    local try version failed=0
    local tries=$times
    [ "$tries" != 40 ] || tries=5
    warm_recipe
    quietly ours swarm
    quietly ours canonical seed shop
    for try in $(seq "$tries"); do
        timed hand.install by_hand_install
        timed hand.idle by_hand_stop
        timed hand.deploy by_hand_start
        quietly by_hand_stop
        timed hand.promote by_hand_promote
        quietly by_hand_remove
        timed ours.deploy ours canonical deploy shop
        timed ours.idle ours canonical idle shop
        version=1.$((try % 2)).0+10.11
        timed ours.promote ours canonical promote shop --green --cold --version "$version"
    done
    printf '%-34s %9s %9s %9s\n' "median of $tries, ms" evenkeel "by hand" "our part"
    printf '%-34s %9s %9s\n' "cold install" "" "$(median hand.install)"
    line "deploy, on warm data" "$(median ours.deploy)" "$(median hand.deploy)"
    line "idle" "$(median ours.idle)" "$(median hand.idle)"
    line "promote, fresh to sealed" "$(median ours.promote)" "$(median hand.promote)"
    echo "warm is $(ratio "$(median hand.install)" "$(median ours.deploy)") times as fast as cold"
    return $failed
}
