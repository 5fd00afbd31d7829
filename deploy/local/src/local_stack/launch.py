"""Start one child of the stack the way it must run, then become it (exec).

Run as a script, so that it needs nothing but the standard library and no code runs between fork and exec of a
threaded parent. The child is told to end when its parent dies, even by SIGKILL, and as root it can be given an
unprivileged identity: PostgreSQL refuses to run as root.
"""

import argparse
import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
IDENTITIES = ("keep", "namespace", "nobody")


def unprivileged_user() -> pwd.struct_passwd:
    """Return `nobody`, or else any account that is not root (initdb wants one with a name)."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def enter_namespace() -> None:
    """Drop root's powers without changing the owner of files: be an unprivileged name for uid 0 in a user namespace."""
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not permitted")
    name = unprivileged_user()
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{name.pw_uid} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{name.pw_gid} {group} 1", encoding="ascii")


def become_nobody() -> None:
    """Give up root for good."""
    name = unprivileged_user()
    os.setgroups([])
    os.setgid(name.pw_gid)
    os.setuid(name.pw_uid)


def die_with(parent: int, death_signal: int) -> None:
    """Ask the kernel to signal this process when its parent dies (Linux only; elsewhere the next start cleans up)."""
    if sys.platform != "linux" or death_signal == 0:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def main() -> None:
    """Read the options, take the identity, become the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--death-signal", type=int, default=0)
    parser.add_argument("--identity", choices=IDENTITIES, default="keep")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    match options.identity:
        case "namespace":
            enter_namespace()
        case "nobody":
            become_nobody()
        case _:
            pass
    # after the change of identity, which would clear it
    die_with(options.parent, options.death_signal)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.execvp(options.command[0], options.command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"cannot start: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(126)
