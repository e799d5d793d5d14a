#!/usr/bin/env bash
# Builds deploy/Dockerfile where there is no Docker, and serves from the image. As root, on Debian.
#
# buildah reads the Dockerfile as Docker does. What its FROM names is replaced by a clean Debian of
# the same release, made by debootstrap once and kept in IMAGES: so nothing is asked but Debian's
# mirror and PyPI. The server runs in a network of its own, in which there is nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

IMAGES=${IMAGES:-/var/tmp/holdfast-images}
BASE=docker.io/library/python:3.11-slim-bookworm
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt

for program in buildah debootstrap unshare setpriv curl; do
    command -v "$program" >/dev/null || {
        echo "Missing: $program. Install it as root: apt-get install buildah debootstrap util-linux curl" >&2
        exit 1
    }
done
[ "$(id -u)" -eq 0 ] || { echo "This makes a root file system, so it wants to be root." >&2; exit 1; }

store() { buildah --root "$IMAGES/storage" --runroot "$IMAGES/run" "$@"; }

if ! store inspect --type image "$BASE" >/dev/null 2>&1; then
    echo "Making a clean Debian ..."
    root=$(mktemp -d)
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        bookworm "$root" http://deb.debian.org/debian >"$root.log"
    # As the official image has it.
    ln -s python3 "$root/usr/bin/python"
    # Whom this machine trusts, which may be a proxy of its own.
    cp "$CERTIFICATES" "$root$CERTIFICATES"
    base=$(store from scratch)
    store add --quiet "$base" "$root" / >/dev/null
    store config --env SSL_CERT_FILE="$CERTIFICATES" --env PIP_CERT="$CERTIFICATES" "$base"
    store commit --quiet --rm "$base" "$BASE" >/dev/null
    rm -rf --one-file-system "$root" "$root.log"
fi

echo "Building ..."
ignored=deploy/Dockerfile.dockerignore
store bud --quiet --isolation chroot --network host --pull-never --layers \
    --ignorefile "$ignored" --file deploy/Dockerfile --tag holdfast .


container=$(store from --pull-never localhost/holdfast)
finish() {
    store umount "$container" >/dev/null
    store rm "$container" >/dev/null
}
trap finish EXIT
root=$(store mount "$container")
told() { store inspect --type container --format "{{range .OCIv1.Config.$1}}{{println .}}{{end}}" "$container"; }
mapfile -t environment < <(told Env | sed '/^$/d')
mapfile -t command < <(told Cmd | sed '/^$/d')
user=$(store inspect --type container --format '{{.OCIv1.Config.User}}' "$container")
[ "${user%%:*}" -gt 0 ] || { echo "The image runs as root." >&2; exit 1; }
# What an operator fills in, as deploy/environment shows it.
mapfile -t filled_in < <(grep -E '^[A-Z]' deploy/environment)

# As compose.yaml has it: nothing can be written but /tmp and the volumes, and secrets are files.
inside() {
    ip link set lo up
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    for folder in static media; do
        mount -t tmpfs -o "uid=${user%%:*},gid=${user##*:},mode=755" tmpfs "$root/var/lib/holdfast/$folder"
    done
    mkdir "$root/run/secrets"
    for name in SECRET_KEY TOKEN_KEY METRICS_TOKEN; do
        head -c 48 /dev/urandom | base64 >"$root/run/secrets/$name"
        environment+=("${name}_FILE=/run/secrets/$name")
    done
    # The process that calls this becomes the program, so that it can be told to stop.
    as_told() {
        exec chroot "$root" setpriv --reuid "${user%%:*}" --regid "${user##*:}" --clear-groups \
            --no-new-privs --inh-caps=-all --bounding-set=-all \
            env -i -C /var/lib/holdfast "${environment[@]}" "${filled_in[@]}" "$@"
    }
    (as_told holdfast collectstatic --no-input --verbosity 0)
    (as_told holdfast check --deploy --fail-level WARNING)
    as_told "${command[@]}" &
    server=$!
    for attempt in {1..60}; do
        sleep 0.5
        if curl --silent --fail http://127.0.0.1:8000/health/live; then
            echo
            echo "It answers, half a second and $attempt attempts after \`${command[*]}\`."
            curl --silent --fail --output /dev/null --header 'Host: shop.example.com' \
                --header 'X-Forwarded-Proto: https' http://127.0.0.1:8000/static/api/favicon.svg
            kill "$server"
            wait "$server"
            echo "Told to stop, it has ended by itself."
            return
        fi
        kill -0 "$server" || return 1
    done
    return 1
}
echo "Serving ..."
export root user
unshare --mount --net --pid --fork --kill-child bash -euo pipefail -c \
    "$(declare -p environment command filled_in); $(declare -f inside); inside"
