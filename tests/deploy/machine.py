"""Follows docs/operations.md on a bare machine, from nothing to a paid order through the edge.

The machine is a clean Debian that systemd boots in a container of systemd's own, with no network
but its loopback. The commands are the document's, taken from its sections word by word; what nobody
does by rote, such as editing a file, is written below. Then the shop is upgraded, its processes are
killed, frozen and stopped, and it is told for how long nobody was served. As root, on Debian:
`make machine`.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from config.supervisor import PROJECT
from config.version import version

DOCUMENT = (PROJECT / "docs" / "operations.md").read_text()
MACHINE = Path(os.environ.get("MACHINE") or "/var/tmp/holdfast-machine")
MIRROR = "http://deb.debian.org/debian"
# What the document installs by apt-get is there already, since the machine has no network.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "adduser", "iproute2", "procps", "openssl", "curl"),
    *("ca-certificates", "python3", "python3-venv", "postgresql", "nginx-light"),
)
NEEDED = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "nsenter": "util-linux",
}
BOOT_SECONDS = 60
STEP_SECONDS = 300
CERTIFICATE = "/etc/letsencrypt/live/shop.example.com"
# What the machine is upgraded to: the same, under another name.
NEXT = f"{version()}.post1"
# Instead of what asks somebody, or a machine elsewhere.
INSTEAD = (
    (r"^apt-get install .*", ""),
    # deploy/environment and site.conf show these very values.
    (r"^editor .*", ""),
    (
        r"^certbot .*(?:\n  .*)*",
        f"mkdir -p {CERTIFICATE} && openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
        "-subj /CN=shop.example.com -addext subjectAltName=DNS:shop.example.com "
        f"-keyout {CERTIFICATE}/privkey.pem -out {CERTIFICATE}/fullchain.pem 2>/dev/null\n"
        f"cp {CERTIFICATE}/fullchain.pem /usr/local/share/ca-certificates/shop.crt\n"
        "update-ca-certificates >/dev/null\n"
        "echo 127.0.0.1 shop.example.com >>/etc/hosts",
    ),
    (
        r"^holdfast createsuperuser",
        "holdfast createsuperuser --no-input --username ada --email ada@example.com",
    ),
    # A few lines below, where its secret is wanted.
    (r"^holdfast create_api_client .*", ""),
    (
        r"^secret=.*",
        "secret=$(holdfast create_api_client erp --name 'The ERP' | "
        "sed -n 's/client_secret: *//p')",
    ),
)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def commands(title: str) -> list[str]:
    """Return the blocks of commands below a heading, up to the next heading of any kind."""
    [text] = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", DOCUMENT, re.M | re.S)
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M).strip("\n") for block in blocks]


# The sections, where their commands are given, and how many of their blocks.
FOLLOWED = (
    ("The shop", "/srv/release", 1),
    ("In front of it", "/opt/holdfast/current/share/holdfast", 1),
    ("A first order", "/root", 2),
)
UPGRADE = ("Upgrades", "/srv/release", 2)


def script(title: str, blocks: int) -> str:
    """Return what a section says, with what is done here instead of what asks somebody."""
    release = NEXT if title == UPGRADE[0] else version()
    text = "\n".join(commands(title)[:blocks])
    text = re.sub(r"^release=.*", f"release={release}", text, flags=re.M)
    for theirs, here in INSTEAD:
        # As it stands: no backslash in it has a meaning for `sub`.
        text = re.sub(theirs, here.replace("\\", r"\\"), text, flags=re.M)
    return text


def prepared() -> Path:
    """Return the root of a machine that nobody has used, with the wheel and what it wants."""
    clean, root = MACHINE / "clean", MACHINE / "root"
    if not clean.exists():
        say("Making a clean Debian ...")
        unfinished = MACHINE / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        MACHINE.mkdir(parents=True, exist_ok=True)
        options = ["--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm"]
        with (MACHINE / "log").open("w") as log:
            run("debootstrap", *options, str(unfinished), MIRROR, stdout=log)
        unfinished.rename(clean)
    say("Making the wheel ...")
    shutil.rmtree(root, ignore_errors=True)
    run("cp", "--archive", str(clean), str(root))
    release = root / "srv" / "release"
    python = sys.executable
    wheel = ("-m", "build", "--no-isolation", "--wheel", "--outdir", str(release))
    run(python, *wheel)
    run(python, *wheel, str(renamed(MACHINE / "next")))
    locked = ("--no-deps", "--require-hashes", "--requirement", "requirements.lock")
    run(python, "-m", "pip", "download", "-qq", *locked, "--dest", str(release / "wheels"))
    return root


def renamed(folder: Path) -> Path:
    """Return a copy of what a wheel is made of, as another release."""
    shutil.rmtree(folder, ignore_errors=True)
    aside = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "dist", "node_modules")
    shutil.copytree(PROJECT, folder, ignore=aside)
    project = folder / "pyproject.toml"
    told = project.read_text()
    project.write_text(told.replace(f'version = "{version()}"', f'version = "{NEXT}"'))
    return folder


def run(*command: str, stdout: object = subprocess.DEVNULL) -> None:
    subprocess.run(command, cwd=PROJECT, check=True, stdout=stdout)  # type: ignore[call-overload]


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.pid = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Machine"]:
        options = ["--private-network", "--register=no", "--keep-unit", "--boot"]
        with (MACHINE / "boot").open("w") as log:
            nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={self.root}", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_booted(nspawn)
            yield self
        finally:
            # Told twice at most: the first asks the machine to shut down in order.
            for number in (signal.SIGTERM, signal.SIGKILL):
                if nspawn.poll() is None:
                    nspawn.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        nspawn.wait(BOOT_SECONDS)

    def _wait_until_booted(self, nspawn: "subprocess.Popen[bytes]") -> None:
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and nspawn.poll() is None:
            if found := children.read_text().split():
                self.pid = int(found[0])
                state = self._shell("systemctl is-system-running; ip link set lo up")
                if state.stdout.startswith(("running", "degraded")):
                    return
            time.sleep(0.5)
        raise SystemExit(f"The machine did not boot: see {MACHINE / 'boot'}.")

    def _shell(self, script: str, folder: str = "/root") -> "subprocess.CompletedProcess[str]":
        enter = ("nsenter", "--target", str(self.pid), "--all")
        bash = ("bash", "-euo", "pipefail", "-c", f"cd {folder}\n{script}")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        settings = ["HOME=/root", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/release/wheels"]
        settings += ["DJANGO_SUPERUSER_PASSWORD=a-long-one-for-this-machine"]
        return subprocess.run(
            [*enter, "env", "-i", path, *settings, *bash],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )

    def follow(self, title: str, script: str, *, folder: str = "/root") -> str:
        say(f'Following "{title}" ...')
        told = self._shell(script, folder)
        if told.returncode:
            raise SystemExit(f"{title} failed:\n{told.stdout}{told.stderr}")
        return told.stdout

    def tell(self, what: str, script: str) -> None:
        told = self._shell(f"{WATCHING}\n{script}")
        say(f"{what}: {' '.join(told.stdout.split()) or told.stderr}")

    @contextlib.contextmanager
    def asked_all_the_time(self, what: str) -> Iterator[None]:
        """Tell how long nobody was served in the meantime, at the longest."""
        self._shell(f"touch /run/asking\n{WATCHING}\nlongest_silence >/run/silence 2>/dev/null &")
        try:
            yield
        finally:
            self.tell(what, "rm /run/asking; sleep 3; cat /run/silence")


# How long nobody is served; and how long until a unit runs as another process.
WATCHING = """
ask() { curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' "$1" || true; }
shop=https://shop.example.com
millis() { echo $(( ($(date +%s%N) - began) / 1000000 )) ms; }
began=$(date +%s%N)
served() { sleep 0.3; until [ "$(ask $shop/health/live)" = 200 ]; do sleep 0.1; done; millis; }
replaced() {
    until [ "$(main $1)" != $2 ] && systemctl --quiet is-active $1; do sleep 0.2; done
    millis
}
main() { systemctl show -P MainPID $1; }
longest_silence() {
    local last=$(date +%s%N) now longest=0
    while [ -e /run/asking ]; do
        if [ "$(ask $shop/health/live)" = 200 ]; then
            now=$(date +%s%N)
            [ $((now - last)) -le $longest ] || longest=$((now - last))
            last=$now
        fi
        sleep 0.05
    done
    echo $((longest / 1000000)) ms
}
# Of all processes of a unit, in MB: what they share is counted once.
memory() {
    for process in $(main $1) $(pgrep -P $(main $1)); do cat /proc/$process/smaps_rollup; done |
        awk -v unit=$1 '/^Pss:/ {sum += $2} END {printf "%s %d MB ", unit, sum / 1024}'
}
"""
TRIALS = {
    "What its processes hold": (
        "for unit in web worker payments-worker; do memory holdfast-$unit; done"
    ),
    "The web server is restarted, served again after": ("systemctl restart holdfast-web; served"),
    "The web server's main process is killed, served again after": (
        "kill -9 $(main holdfast-web); served"
    ),
    "One of its workers is killed, served again after": (
        "kill -9 $(pgrep -P $(main holdfast-web) | tail -1); served"
    ),
    "The worker is killed, another runs after": (
        "was=$(main holdfast-worker); kill -9 $was; replaced holdfast-worker $was"
    ),
    "The worker is frozen, another runs after": (
        "was=$(main holdfast-worker); kill -STOP $was; replaced holdfast-worker $was"
    ),
    "PostgreSQL is away for 20 s, ready again after": (
        "systemctl stop postgresql@15-main; sleep 20; systemctl start postgresql@15-main\n"
        "began=$(date +%s%N)\n"
        'until [ "$(ask http://127.0.0.1:8000/health/ready)" = 200 ]; do sleep 0.1; done; millis'
    ),
    "Everything is told to stop, stopped after": (
        "systemctl stop holdfast-web holdfast-worker holdfast-payments-worker; millis"
    ),
}


def main() -> int:
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing or os.geteuid():
        say(f"As root, with: apt-get install {' '.join(NEEDED.values())}")
        return 1
    with Machine(prepared()).running() as machine:
        for title, folder, blocks in FOLLOWED:
            said = machine.follow(title, script(title, blocks), folder=folder)
        if not said.strip().endswith("paid"):
            raise SystemExit(f"The order is not paid:\n{said}")
        say("An order is paid, through the edge.")
        with machine.asked_all_the_time("While it is upgraded, nobody is served for"):
            title, folder, blocks = UPGRADE
            machine.follow(title, script(title, blocks), folder=folder)
        for what, trial in TRIALS.items():
            machine.tell(what, trial)
    return 0


if __name__ == "__main__":
    sys.exit(main())
