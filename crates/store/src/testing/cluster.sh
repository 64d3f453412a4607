# cluster.sh PROGRAMS SETTING... : a temporary PostgreSQL that ends with whoever holds our input.
# Says on its output the cluster's folder, and then "ready" or what initdb complains of. From then on
# each line of the input is a command, answered by a line: "stop" (as if the power went), "start",
# "fork" (the next start begins a new timeline, as a promotion or a restored backup does).
set -eu
# Whoever started us may be gone when we write; the cleaning up comes first.
trap '' HUP INT TERM PIPE
programs=$1
shift

# In /tmp, since the path of a socket is limited to about 100 bytes.
folder=$(mktemp -d /tmp/vitrine-pg.XXXXXX)
trap 'rm -rf "$folder"' EXIT
echo "$folder"

"$programs/initdb" -D "$folder/data" -U postgres -A trust --no-locale -E UTF8 \
    --no-sync >"$folder/log" 2>&1 || {
    cat "$folder/log"
    exit 1
}

# The settings become "-c SETTING" each.
for setting in "$@"; do
    set -- "$@" -c "$setting"
    shift
done
start() {
    "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c shared_buffers=32MB \
        "$@" >>"$folder/log" 2>&1 </dev/null &
    server=$!
}
# An immediate stop: a SIGKILL would leave a shared memory segment behind.
stop() {
    kill -QUIT "$server" 2>/dev/null || true
    wait "$server" || true
}
start "$@"
echo ready

# Ends when the last holder of the other end is gone, also by SIGKILL.
while read -r command; do
    case $command in
    stop) stop ;;
    start) start "$@" ;;
    fork)
        echo "restore_command = 'false'" >>"$folder/data/postgresql.auto.conf"
        touch "$folder/data/recovery.signal"
        ;;
    esac
    # Nobody may be listening any more.
    echo done || true
done
stop
