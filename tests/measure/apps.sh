# What a look at many apps costs. Sourced by `tests/bench`, which sets $evenkeel, $times and $work.

# The goal: as many apps of one service are planned in so many milliseconds, and nothing is found to do. The least wall
# counts: whatever else the machine does can only add to it.
many=100 most_plan_ms=1000

# engine_cpu: milliseconds of processor time that the Engine has used.
engine_cpu() { awk -v tick="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / tick) }' "/proc/$(cat "$work/engine/dockerd.pid")/stat"; }

# Services that run nothing, since a hundred containers are another matter; each with a network, a config and a volume.
recipe_of_many() {
    local dir=$work/recipe-many
    mkdir "$dir"
    cat >"$dir/compose.yml" <<'END'
services:
  app:
    image: standin:1.0.0
    environment: ["DOMAIN=${DOMAIN}"]
    networks: [internal]
    volumes: ["data:/data"]
    configs: [{ source: conf, target: /conf }]
    deploy: { endpoint_mode: dnsrr, replicas: 0 }
networks: { internal: }
volumes: { data: }
configs: { conf: { file: conf, name: "${STACK_NAME}_conf_v1" } }
END
    echo 'DOMAIN=bench.example.com' >"$dir/.env.sample"
    echo 'calm = yes' >"$dir/conf"
    commit "$dir"
}

bench_apps() {
    local number config=$work/many.toml wall least cpu memory before
    recipe_of_many
    printf 'base_domain = "many.test"\nstate_dir = "%s"\nengine = "%s"\n' "$work/many" "$DOCKER_HOST" >"$config"
    for number in $(seq $many); do
        printf '[app.a%s]\nrecipe = { url = "%s" }\nversion = "%s"\n' "$number" "$work/recipe-many" "$version"
        printf 'gate = { stable_for = "1s" }\n'
    done >>"$config"
    "$evenkeel" --config "$config" app >/dev/null 2>"$work/log" || die "evenkeel app: $(tail -20 "$work/log")"
    printf '\n%8s  %-20s %9s %7s %9s %10s %10s\n' apps "" "wall ms" least "CPU ms" "peak KiB" "Engine CPU"
    for verb in plan status; do
        before=$(engine_cpu)
        read -r wall least cpu memory < <("$work/measure" "$times" "$evenkeel" --config "$config" "$verb")
        printf '%8s  %-20s %9s %7s %9s %10s %10s\n' "$many" "evenkeel $verb" "$wall" "$least" "$cpu" "$memory" \
            "$((($(engine_cpu) - before) / times))"
        [ "$verb" = plan ] || continue
        if awk -v least="$least" -v most="$most_plan_ms" 'BEGIN { exit !(least > most) }'; then
            echo "goal: a plan of $many apps takes at most $most_plan_ms ms; $least ms: NOT MET"
            failed=1
        fi
    done
}
