#!/usr/bin/env bash
# The services of compose.yaml on a machine without containers: the same steps, as processes of this user.
#   docker/bare.sh install             an environment for them (ADEPT_VENV names one that is there)
#   docker/bare.sh start [SERVICE...]  postgres artifacts mlflow user head worker; without a name the first four
#   docker/bare.sh status              which of them answer
#   docker/bare.sh stop                all that start has started, the last one first
#   docker/bare.sh upgrade             the database, after one of MLflow; PostgreSQL must be started, MLflow must not
#   docker/bare.sh env                 the lines that point a search to the tracking server; source them
# Everything is kept below ADEPT_STATE [/var/lib/adept-search for root, else ~/.local/state/adept-search].
# All but Ray's own ports, which want its token, listens on 127.0.0.1 only. Ports: MLFLOW_PORT, POSTGRES_PORT,
# ARTIFACTS_PORT (and four after it), HEAD_PORT, DASHBOARD_PORT, AGENT_PORT (and the one after it, for a worker).
# NODE_ADDRESS: Ray's own, where it finds a wrong one. ALLOWED_HOSTS, ALLOWED_ORIGINS: of a proxy before MLflow.
# PostgreSQL wants the programs of Debian's package postgresql, and nothing of its service.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
steps=$here/steps
if [[ $EUID == 0 ]]; then state=/var/lib/adept-search; else state=$HOME/.local/state/adept-search; fi
state=${ADEPT_STATE:-$state}
venv=${ADEPT_VENV:-$state/venv}
tracking=(postgres artifacts mlflow user)
order=("${tracking[@]}" head worker)
mlflow_port=${MLFLOW_PORT:-5000} postgres_port=${POSTGRES_PORT:-5499} artifacts_port=${ARTIFACTS_PORT:-8333}
head_port=${HEAD_PORT:-6379} dashboard_port=${DASHBOARD_PORT:-8265} agent_port=${AGENT_PORT:-52365}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# The newest PostgreSQL of Debian's is in no PATH.
postgres_programs() {
    local newest
    newest=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
    [[ -n $newest ]] && echo "$newest" && return
    command -v postgres >/dev/null && dirname "$(readlink -f "$(command -v postgres)")" && return
    return 1
}

# describe SERVICE: its variables, as compose.yaml gives them, one a line.
describe() {
    local node=()
    [[ -z ${NODE_ADDRESS:-} ]] || node=("NODE_ADDRESS=$NODE_ADDRESS")
    lines HOST=127.0.0.1 "SECRETS=$state/secrets" "DATA=$state/$1/data" "SCRATCH=$state/$1/scratch"
    case $1 in
        postgres) lines "PORT=$postgres_port" "SECRETS=$state/postgres/secrets" ;;
        artifacts) lines "PORT=$artifacts_port" ;;
        mlflow)
            lines "PORT=$mlflow_port" DATABASE_HOST=127.0.0.1 "DATABASE_PORT=$postgres_port" \
                "ARTIFACTS_URL=http://127.0.0.1:$artifacts_port"
            ;;
        user) lines "MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow_port" ;;
        head)
            lines "PORT=$head_port" "DASHBOARD_PORT=$dashboard_port" "AGENT_PORT=$agent_port" "${node[@]}" \
                "HOME=$state/head/home" "RAY_FOLDER=$state/ray"
            ;;
        worker) lines "HEAD=${HEAD:-127.0.0.1:$head_port}" "AGENT_PORT=$((agent_port + 1))" "${node[@]}" ;;
    esac
}

lines() {
    printf '%s\n' "$@"
}

# become SERVICE COMMAND...: in its environment, and PostgreSQL as a user who is not root. Replaces this process.
become() {
    local service=$1 variables user=() programs
    shift
    mapfile -t variables < <(describe "$service")
    if [[ $service == postgres && $EUID == 0 ]]; then user=(runuser -u postgres --); fi
    cd "$state/$service"  # where its user may be; the clone may lie in a folder that is root's alone
    programs=$(postgres_programs || true)  # a machine of Ray's alone has none
    exec "${user[@]}" env "PATH=$venv/bin${programs:+:$programs}:$PATH" "${variables[@]}" "$@"
}

prepare() {
    local service=$1
    mkdir -p "$state/log" "$state/$service/data" "$state/$service/scratch" "$state/$service/home"
    chmod 711 "$state" "$state/$service"
    chmod 700 "$state/$service/scratch" "$state/log"
    [[ $service == postgres ]] || return 0
    mkdir -p "$state/postgres/secrets"
    chmod 700 "$state/postgres/secrets" "$state/postgres/data"
    install -m 400 "$state/secrets/postgres_password" "$state/postgres/secrets/postgres_password"
    install -D -m 755 -t "$state/postgres/steps" "$steps"/*.sh
    if [[ $EUID == 0 ]]; then
        chown -R postgres "$state/postgres"
        runuser -u postgres -- test -x "$state/postgres/data" ||
            fail "user postgres cannot reach $state: give ADEPT_STATE a folder whose parents all may enter"
    fi
}

# started PID: when, in the kernel's ticks. A number may have another process when the machine was started anew.
started() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

running() {
    local pid when
    [[ -s $state/$1/pid ]] && read -r pid when <"$state/$1/pid" && [[ $(started "$pid") == "$when" ]]
}

# step SERVICE NAME: a script where the service's user can read it.
step() {
    if [[ $1 == postgres ]]; then echo "$state/postgres/steps/$2.sh"; else echo "$steps/$2.sh"; fi
}

healthy() {
    (become "$1" "$(step "$1" health)" "$1") >/dev/null 2>&1
}

start() {
    local service=$1 end=$((SECONDS + 180))
    prepare "$service"
    if [[ $service == user ]]; then
        (become user "$steps/user.sh") >>"$state/log/user.log" 2>&1 || {
            tail -n 5 "$state/log/user.log" >&2
            fail "the tracking server has no user for searches; all that was said is in $state/log/user.log"
        }
        return
    fi
    if ! running "$service"; then
        rm -f "$state/$service/pid"
        # A session of its own: stop ends the service with all that it has started.
        # shellcheck disable=SC2016  # the variables are the inner shell's
        become "$service" setsid bash -c 'echo "$$ $(cut -d " " -f 22 /proc/$$/stat)" >"$0" && exec "$@"' \
            "$state/$service/pid" "$(step "$service" "$service")" >>"$state/log/$service.log" 2>&1 </dev/null &
        until running "$service" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
    fi
    until healthy "$service"; do
        if ! running "$service" || ((SECONDS > end)); then
            tail -n 20 "$state/log/$service.log" >&2
            fail "$service does not answer; what it said last is above, all of it in $state/log/$service.log"
        fi
        sleep 0.5
    done
    echo "$service answers"
}

stop() {
    local service=$1 pid
    running "$service" || return 0
    read -r pid _ <"$state/$service/pid"
    # PostgreSQL's own way to end at once and in order; the others end with all that they have started.
    if [[ $service == postgres ]]; then kill -INT "$pid"; else kill -TERM -- "-$pid"; fi
    for _ in $(seq 60); do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.5
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
    rm -f "$state/$service/pid"
    echo "$service stopped"
}

names() {
    local name
    for name in "$@"; do
        [[ " ${order[*]} " == *" $name "* ]] || fail "no service $name: use ${order[*]}"
    done
}

main() {
    case ${1:-} in
        install)
            SOURCE=$(dirname "$here") "$steps/install.sh" dependencies "$venv" project cluster server
            SOURCE=$(dirname "$here") "$steps/install.sh" project "$venv"
            ;;
        start)
            shift
            names "$@"
            (($#)) || set -- "${tracking[@]}"
            [[ " $* " != *" postgres "* ]] || postgres_programs >/dev/null ||
                fail "there is no PostgreSQL here: apt-get install postgresql"
            [[ -x $venv/bin/mlflow ]] ||
                fail "$venv holds no environment: run docker/bare.sh install, or set ADEPT_VENV"
            mkdir -p "$state"
            "$here/make-secrets.sh" "$state/secrets"
            for service in "${order[@]}"; do
                [[ " $* " != *" $service "* ]] || start "$service"
            done
            ;;
        status)
            for service in "${order[@]}"; do
                [[ $service != user ]] || continue
                if ! running "$service"; then
                    echo "$service is not started"
                elif healthy "$service"; then
                    echo "$service answers"
                else
                    echo "$service does not answer"
                fi
            done
            ;;
        stop)
            for ((place = ${#order[@]} - 1; place >= 0; place--)); do stop "${order[place]}"; done
            ;;
        upgrade)
            running postgres || fail "PostgreSQL is not started: docker/bare.sh start postgres"
            ! running mlflow || fail "MLflow is running: docker/bare.sh stop, then start postgres alone"
            prepare mlflow
            (become mlflow "$steps/mlflow.sh" upgrade)
            ;;
        env)
            # The password stays in its file: what is printed may end in a terminal's history.
            echo "export MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow_port MLFLOW_TRACKING_USERNAME=search"
            echo "MLFLOW_TRACKING_PASSWORD=\$(cat '$state/secrets/mlflow_password') && export MLFLOW_TRACKING_PASSWORD"
            ;;
        *)
            sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
            exit 2
            ;;
    esac
}

main "$@"; exit # in one line: the file may be another one by now
