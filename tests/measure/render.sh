# What reading a recipe costs, beside `docker stack config` of the same files. Sourced by `tests/bench`, which sets
# $evenkeel, $times and $work.

# The goals. A recipe of 20 services with 5 overlays is rendered in so many milliseconds, the program's start among them;
# a hostile text of ten megabytes is refused in so many, with so much memory. The least wall counts: whatever else the
# machine does can only add to it.
most_ms=5 most_hostile_ms=1000 most_hostile_kib=$((100 * 1000 * 1000 / 1024))
# The Docker CLI is killed after so many seconds.
patience=20

repeat() { head -c "$2" < <(yes "$1" | tr -d '\n'); } # repeat TEXT BYTES

# a_service NUMBER: one as recipes have it.
a_service() {
    cat <<END
  service$1:
    image: registry.example.org/team/service$1:\${VERSION$1:-1.2.3}
    command: ["serve", "--domain", "\${DOMAIN}", "--price", "\$\$5"]
    environment:
      - DOMAIN
      - DATABASE_URL=postgres://user@db/\${STACK_NAME}_$1
      - LOG_LEVEL=\${LOG_LEVEL:-info}
      - FEATURES=a,b,c
    networks: [proxy, internal]
    volumes: ["data$1:/var/lib/service", "/etc/localtime:/etc/localtime:ro"]
    secrets: [{ source: key$1, mode: 0400 }]
    configs: [{ source: entry, target: /entry.sh, mode: 0555 }]
    healthcheck: { test: ["CMD", "curl", "-f", "http://localhost:8080"], interval: 30s, timeout: 10s, retries: 10 }
    deploy:
      update_config: { failure_action: rollback, order: start-first }
      restart_policy: { condition: on-failure }
      resources: { limits: { cpus: "0.5", memory: 512M } }
      labels:
        - traefik.enable=true
        - "traefik.http.routers.\${STACK_NAME}-$1.rule=Host(\`service$1.\${DOMAIN}\`)"
        - "traefik.http.routers.\${STACK_NAME}-$1.entrypoints=web-secure"
        - "traefik.http.services.\${STACK_NAME}-$1.loadbalancer.server.port=8080"
END
}

# large FOLDER: 20 services and 5 overlays that each change all of them.
large() {
    local number overlay
    mkdir "$1"
    printf 'DOMAIN=bench.example.org\nLOG_LEVEL=info\n' >"$1/.env.sample"
    printf '#!/bin/sh\n' >"$1/entry.sh"
    {
        echo 'services:'
        for number in $(seq 20); do a_service "$number"; done
        printf 'networks: { proxy: { external: true }, internal: }\nvolumes:\n'
        for number in $(seq 20); do echo "  data$number:"; done
        echo 'secrets:'
        for number in $(seq 20); do echo "  key$number: { external: true, name: \"\${STACK_NAME}_key${number}_v1\" }"; done
        printf 'configs: { entry: { file: entry.sh, name: "${STACK_NAME}_entry_v1" } }\n'
    } >"$1/compose.yml"
    for overlay in $(seq 5); do
        echo 'services:'
        for number in $(seq 20); do
            printf '  service%s:\n    environment: { OVERLAY%s: "${DOMAIN}" }\n    deploy: { labels: ["overlay%s=on"] }\n' \
                "$number" "$overlay" "$overlay"
        done
    done | split --lines=61 --numeric-suffixes=1 --suffix-length=1 --additional-suffix=.yml - "$1/compose.overlay"
}

# The hostile texts, one function each: prints a compose file. Ten megabytes are more than is read, and the file's size
# says so; those with `read` in their name are as long as is read.
ten=10000000 one=1000000
numbered() { sed '$d' < <(head -c "$2" < <(seq -f "$1" 1 "$2")); } # numbered FORMAT BYTES: whole lines, one a number
merges_of() { printf 'x-m: &m { image: a }\nservices:\n'; numbered '  k%.0f: { <<: *m }' "$1"; }
hostile_text() { printf 'services: { a: { image: "'; repeat x $ten; echo '" } }'; }
hostile_dollars() { printf 'services: { a: { image: "'; repeat '$' $ten; echo '" } }'; }
hostile_aliases() { printf 'x-a: &a {}\nx-b: ['; repeat '*a, ' $ten; echo ']'; }
hostile_brackets() { repeat '[' $ten; }
hostile_keys() { printf 'services:\n'; numbered '  k%.0f: {}' $ten; }
hostile_items() { printf 'services: { a: { image: a, dns:\n'; numbered '  [%.0f],' $ten; }
hostile_merge_keys() { merges_of $ten; }
hostile_nesting() { repeat '{a: ' $ten; }
hostile_bomb() { hostile_laughs; repeat '# laugh|' $ten | tr '|' '\n'; }
hostile_read_items() { printf 'x-a:\n'; numbered '- %.0f' $one; printf 'services: { a: { image: 1 } }\n'; }
hostile_read_merge_keys() { merges_of $one; echo '  a: b'; }
hostile_read_nesting() { repeat '{a: ' $one; }
hostile_read_names() { printf 'services:\n'; numbered '  k%.0f: {}' $one; echo '  a: b'; }
hostile_read_dollars() { printf 'services: { a: { image: "'; repeat '$' $one; echo 'a-" } }'; }
hostile_read_references() { printf 'services: { a: { image: "'; repeat '${LONG}' $one; echo '" } }'; }
hostile_read_aliases() { printf 'x-a: &a [x]\nx-b: ['; repeat '*a, ' $one; echo ']'; }
hostile_read_brackets() { repeat '[' $one; }
hostile_read_keys() { printf 'services:\n'; repeat '  a: b|' $one | tr '|' '\n'; }
hostile_read_controls() { repeat $'\001|' $one | tr '|' '\n'; }
hostile_laughs() {
    local level
    echo 'x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]'
    for level in $(seq 1 30); do echo "x-$level: &a$level [$(repeat "*a$((level - 1)), " 60)]"; done
}
hostile_long_string() { printf 'x-a: &a '; repeat y 500000; printf '\nx-b: ['; repeat '*a, ' 400000; echo ']'; }
hostile_merges() {
    local level
    echo "x-0: &m0 { $(for level in $(seq 500); do printf 'k%s: v, ' "$level"; done) }"
    for level in $(seq 1 200); do echo "x-$level: &m$level { <<: [$(repeat "*m$((level - 1)), " 400)] }"; done
}
hostile_indent() { local level; for level in $(seq 0 1200); do printf '%*sa:\n' "$level" ''; done; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / b }'; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'; }
render_row() { printf '%-24s %8s %8s %7s %9s   %9s %10s   %s\n' "$@"; }

# goal WHAT LIMIT UNIT VALUE [CPU]: says whether it is met, and fails where it is not. A wall clock above it says nothing
# of a program that the processor had no time for.
goal() {
    local verdict="NOT MET"
    if ! over "$4" "$2"; then verdict=met; elif [ $# = 5 ] && ! over "$5" "$2"; then
        verdict="NOT SHOWN, the machine is busy: CPU $5 $3"; fi
    echo "goal: $1 at most $2 $3; $4 $3: $verdict"
    [ "$verdict" = met ]
}

# theirs FILE...: sets their_wall and their_memory. What the Docker CLI refuses counts too.
theirs() {
    local files=()
    for file in "$@"; do files+=(--compose-file "$file"); done
    read -r their_wall _ _ their_memory < <("$work/measure" "$runs" sh -c '"$@" 2>/dev/null || true' sh \
        timeout --signal KILL "$patience" "$EVENKEEL_DOCKER_CLI" stack config "${files[@]}") || their_wall=- their_memory=-
    over "$their_wall" $((patience * 1000)) && their_wall=killed
    return 0
}

# bench_render: fails where a goal is not met.
bench_render() {
    local wall least cpu memory dir="$work/large" runs=$times failed=0 files=(compose.yml compose.overlay{1..5}.yml)
    large "$dir"
    render_row recipe "wall ms" least "CPU ms" "peak KiB" "docker ms" "peak KiB" ""
    read -r wall least cpu memory < <("$work/measure" "$runs" "$evenkeel" --help)
    render_row "evenkeel --help" "$wall" "$least" "$cpu" "$memory" "" "" "what starting costs"
    read -r wall least cpu memory < <("$work/measure" "$runs" "$evenkeel" render --recipe "$dir" --stack large \
        --compose "$(IFS=:; echo "${files[*]}")" 2>/dev/null)
    theirs "${files[@]/#/$dir/}"
    render_row "20 services, 5 overlays" "$wall" "$least" "$cpu" "$memory" "$their_wall" "$their_memory" \
        "$(ratio "$their_wall" "$wall") x wall, $(ratio "$their_memory" "$memory") x memory"
    goal "rendering takes" "$most_ms" ms "$least" "$cpu" || failed=1
    echo
    bench_hostile || failed=1
    return $failed
}

bench_hostile() {
    local name dir verdict wall least cpu memory failed=0 runs most_wall=0 most_cpu=0 most_memory=0
    render_row "hostile text" "wall ms" least "CPU ms" "peak KiB" "docker ms" "peak KiB" "ours says"
    for name in $(compgen -A function hostile_); do
        dir=$work/$name runs=3
        mkdir "$dir"
        "$name" >"$dir/compose.yml"
        { printf 'LONG='; repeat z 100000; } >"$dir/.env.sample"
        if "$evenkeel" render --recipe "$dir" --stack hostile >/dev/null 2>"$work/log"; then verdict=TAKEN failed=1; else
            verdict=$(head -1 "$work/log" | cut -c 1-70); fi
        read -r wall least cpu memory < <("$work/measure" "$runs" sh -c '! "$@" 2>/dev/null' sh "$evenkeel" render --recipe "$dir" --stack hostile)
        runs=1
        theirs "$dir/compose.yml"
        render_row "${name#hostile_}" "$wall" "$least" "$cpu" "$memory" "$their_wall" "$their_memory" "$verdict"
        over "$least" "$most_wall" && most_wall=$least
        over "$cpu" "$most_cpu" && most_cpu=$cpu
        over "$memory" "$most_memory" && most_memory=$memory
        rm -r "$dir"
    done
    goal "refusing each takes" "$most_hostile_ms" ms "$most_wall" "$most_cpu" || failed=1
    goal "and memory of" "$most_hostile_kib" KiB "$most_memory" || failed=1
    return $failed
}
