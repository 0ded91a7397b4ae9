"""Calls lapidary."""
import json
import subprocess


class Refused(Exception):
    """lapidary did not write the output; `code` is its exit code."""

    def __init__(self, code, reason):
        super().__init__(f"exit code {code}: {reason}")
        self.code, self.reason = code, reason


def run(lapidary, *arguments):
    """What a run of the program prints.

    Raises `Refused` when it exits with anything but 0.
    """
    done = subprocess.run([lapidary, *arguments], capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    try:
        error = json.loads(done.stdout)["error"]
        reason = " ".join([error["message"], *error.get("causes", [])])
    except (ValueError, KeyError):
        reason = done.stderr or done.stdout
    raise Refused(done.returncode, " ".join(reason.split())[:600])


def passes(lapidary):
    """Every pass that loses nothing: names and whether it is exact."""
    listed = json.loads(run(lapidary, "--json", "passes"))["passes"]
    return {entry["name"]: entry["accuracy"] == "exact" for entry in listed if entry["accuracy"] != "lossy"}


def optimize(lapidary, source, target, only=None):
    """Writes the optimized `source` to `target` unverified; returns how many rewrites each pass made.

    `only` names the passes to run; none of them means reading and writing alone.
    """
    chosen = [] if only is None else ["--only", ",".join(only) or "none"]
    report = json.loads(run(lapidary, "--json", "--threads", "1", "optimize", source, "-o", target, "--verify", "off", *chosen))
    return {entry["pass"]: entry["rewrites"] for entry in report["passes"]}
