# A server that nobody reaches but whoever may enter its folder of sockets. Sourced by the others.

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

# Name each database that has a shop in it which knows whose it is.
each_shop() {
    local database databases is_known found=''
    databases=$(private_psql postgres \
        --command "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    for database in $databases; do
        is_known=$(private_psql "$database" \
            --command "SELECT to_regclass('payments_installation') IS NOT NULL")
        [ "$is_known" = f ] || { found=1; printf '%s\n' "$database"; }
    done
    [ -n "$found" ] ||
        echo "No shop of release 0.2 or later is in it: NOTHING IS CLOSED. Give it no keys." >&2
}
