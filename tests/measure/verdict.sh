# How long after the Engine's own fact an operator is told. Part of tests/bench.
#
# The fact is a timestamp of the Engine's: when the task that decides came to its state (plus the seconds that a rule
# waits by itself). Ours is when the outcome line is there to read, with the log's last words in it and all written down.

# What a reason is: the shell's script, further lines of the service, the fact as a jq program over the tasks in order
# of time, the seconds that a rule waits, and the goal in ms: 300 where an event tells it, 500 where none does.
verdict_reasons() {
    local any='restart_policy: { condition: any, delay: 200ms }' none='restart_policy: { condition: none }'
    local ended='[.[] | select(.Status.State == "failed" or .Status.State == "complete")]'
    local unhealthy='healthcheck: { test: [CMD, "false"], interval: 1s, retries: 1 }'
    printf '%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\n' \
        "healthy" "$sleeps" "$any" "" '[.[] | select(.Status.State == "running")] | last' 1 300 \
        "done" "sleep 0.5" "$none" "" "$ended | last" 0 300 \
        "failed for good" "sleep 0.5; echo no; exit 4" "$none" "" "$ended | last" 0 300 \
        "crash loop" "sleep 0.5; echo no; exit 3" "$any" "" "$ended | .[2]" 0 300 \
        "out of memory" "echo eat; tail /dev/zero" "$none, resources: { limits: { memory: 16M } }" "" "$ended | last" 0 300 \
        "unhealthy, exit 0" "$sleeps" "$none" "$unhealthy" "$ended | last" 0 300 \
        "no such program" "" "$any" "" "$ended | .[1]" 0 500 \
        "no place to run" "$sleeps" "$any, placement: { constraints: [node.labels.nowhere == 1] }" "" 'last' 10 500
}

sleeps="trap 'exit 0' TERM; sleep 1000000 & wait"

# verdict_app NAME SCRIPT DEPLOY MORE: a recipe of one service, and a configuration that names it alone.
verdict_app() {
    local dir=$work/recipe-$1 entrypoint
    entrypoint=$([ -z "$2" ] && echo '["/nowhere"]' || jq -cn --arg script "$2" '["sh", "-c", $script]')
    mkdir -p "$dir"
    printf 'services:\n  app:\n    image: standin:1.0.0\n    entrypoint: %s\n    deploy: { endpoint_mode: dnsrr, %s }\n    %s\n' \
        "$entrypoint" "$3" "$4" >"$dir/compose.yml"
    : >"$dir/.env.sample"
    git -C "$dir" init --quiet
    git -C "$dir" add --all
    git -C "$dir" -c user.name=bench -c user.email=bench@example.org commit --quiet --message "$version"
    git -C "$dir" tag "$version"
    {
        printf 'base_domain = "example.test"\nstate_dir = "%s"\nengine = "%s"\n' "$work/state" "$DOCKER_HOST"
        printf '[app.%s]\nrecipe = { url = "%s" }\nversion = "%s"\n' "$1" "$dir" "$version"
        printf 'gate = { stable_for = "1s", within = "120s" }\n'
    } >"$work/$1.toml"
}

# verdict_once NAME FACT WAITS: prints how many ms the outcome line came after the fact.
verdict_once() {
    local service=$1_example_test_app told fact filters
    told=$({ "$evenkeel" --config "$work/$1.toml" app "$1" 2>"$work/log" || true; } | { read -r _ && echo "$EPOCHREALTIME"; }) ||
        die "no outcome: $(tail -5 "$work/log")"
    filters=$(jq -rn --arg service "$service" '{service: [$service]} | tojson | @uri')
    fact=$(api "tasks?filters=$filters" | jq -r "sort_by(.Status.Timestamp) | $2 | .Status.Timestamp")
    curl --silent --fail --unix-socket "$work/engine/docker.sock" -X DELETE "http://engine/v1.41/services/$service"
    awk -v told="$told" -v fact="$(date -d "$fact" +%s.%N)" -v waits="$3" 'BEGIN { printf "%.0f\n", 1000 * (told - fact - waits) }'
}

bench_verdict() {
    local reason script deploy more fact waits goal number=0 round took missed=0
    times=${TIMES:-7}
    printf '%-20s %10s %9s %8s\n' "verdict" "median ms" "worst ms" "goal ms"
    while IFS=$'\x1f' read -r reason script deploy more fact waits goal <&3; do
        number=$((number + 1))
        took=()
        for round in $(seq "$times"); do
            verdict_app "v$number-$round" "$script" "$deploy" "$more"
            took+=("$(verdict_once "v$number-$round" "$fact" "$waits")")
        done
        printf '%s\n' "${took[@]}" | sort -n | awk -v reason="$reason" -v goal="$goal" '
            { all[NR] = $1 }
            END {
                median = all[int((NR + 1) / 2)]
                printf "%-20s %10d %9d %8d%s\n", reason, median, all[NR], goal, (median > goal ? "   not met" : "")
                exit (median > goal)
            }' || missed=1
    done 3< <(verdict_reasons)
    return $missed
}
