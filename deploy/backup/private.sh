# A server that nobody reaches but whoever may enter its folder of sockets. Sourced by the others.

# Before anything is copied for hours: what it takes, and who.
private_can_start() {
    local program
    for program in pg_ctl pg_controldata pg_isready psql; do
        command -v "$program" >/dev/null || {
            echo "$program is not in the PATH; on Debian it is in /usr/lib/postgresql/15/bin." >&2
            exit 1
        }
    done
    [ "$(id -u)" -ne 0 ] || { echo "Run this as the account of PostgreSQL, not as root." >&2; exit 1; }
}

private_start() {
    # Not in TMPDIR: the path of a socket may have a hundred characters.
    private_sockets=$(mktemp --directory /tmp/holdfast-restore-XXXXXXXX)
    echo 'local all all trust' > "$private_sockets/pg_hba.conf"
    # Debian keeps the settings outside of the data; a backup has none then, and needs none here.
    [ -e "$1/postgresql.conf" ] || touch -- "$1/postgresql.conf"
    # It archives nothing, or it would write into the shop's own archive.
    pg_ctl start --pgdata="$1" --silent --wait --timeout=86400 \
        --log="$private_sockets/log" --options="-c listen_addresses= -c port=5432 \
        -c unix_socket_directories=$private_sockets -c hba_file=$private_sockets/pg_hba.conf \
        -c archive_mode=off -c hot_standby=off -c ssl=off -c synchronous_standby_names=" ||
        private_failed
    # While it replays the log, nobody can ask it anything; pg_ctl does not wait for the end of that.
    until pg_isready --quiet --host="$private_sockets" --port=5432; do
        pg_ctl status --pgdata="$1" --silent >/dev/null || private_failed
        sleep 0.2
    done
}

private_failed() {
    echo "The server did not start:" >&2
    tail -n 5 "$private_sockets/log" >&2
    exit 1
}

private_stop() {
    [ ! -e "$1/postmaster.pid" ] || pg_ctl stop --pgdata="$1" --silent --mode=fast
    rm -rf -- "$private_sockets"
}

private_psql() {
    local database=$1
    shift
    # Nothing of the surroundings may lead it to another server.
    env --unset=PGSERVICE --unset=PGHOSTADDR PGHOST="$private_sockets" PGPORT=5432 \
        PGUSER="${RESTORE_AS:-postgres}" PGOPTIONS= \
        psql --no-psqlrc --quiet --tuples-only --no-align --dbname="$database" "$@"
}

# Find out whether the log was replayed to where the archive ends, and not to a hole in it.
private_require_the_end() {
    local data=$1 parent lsn size low last newest
    # By where the new line of history left the one before.
    read -r parent lsn _ < <(grep -E '^[0-9]+' "$data/pg_wal/$2.history" | tail -n 1)
    size=$(LC_ALL=C pg_controldata "$data" | sed -n 's/^Bytes per WAL segment: *//p')
    low=$((16#${lsn#*/}))
    last=$(printf '%08X%08X%08X' "$parent" "$((16#${lsn%/*}))" "$((low / size))")
    newest=$(find "$3" -regextype egrep -regex '.*/[0-9A-F]{24}\.gz' -name "${last:0:8}*" \
        -printf '%f\n' | LC_ALL=C sort | tail -n 1)
    if [[ ${newest%.gz} > $last ]]; then
        {
            echo "The log has a hole: $last or the one before it is missing or broken in $3,"
            echo "and $newest is there. It ends so early:"
            grep -o 'last completed transaction was at log time .*' "$private_sockets/log" || true
            echo "Bring it back; or restore to that moment, and all that came later is lost."
        } >&2
        exit 1
    fi
}

# Name each database that has a shop in it which knows whose it is.
each_shop() {
    local database databases is_known found=''
    databases=$(private_psql postgres \
        --command "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    while IFS= read -r database; do
        is_known=$(private_psql "$database" \
            --command "SELECT to_regclass('payments_installation') IS NOT NULL")
        [ "$is_known" = f ] || { found=1; printf '%s\n' "$database"; }
    done <<< "$databases"
    [ -n "$found" ] ||
        echo "No shop of release 0.2 or later is in it: NOTHING IS CLOSED. Give it no keys." >&2
}
