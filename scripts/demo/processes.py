"""Programs that run beside the demo: started, waited for by what they print, ended with it."""

import ctypes
import json
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """What went wrong, in words for whoever watches."""


def wait(what, look, within=60.0, alive=None):
    """Asks `look` again and again until it says something; `alive` raises when waiting is in vain."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if alive:
            alive()
        if time.monotonic() > end:
            raise Failed(f"{what}: nothing within {within:.0f} s")
        time.sleep(0.02)


class Process:
    """A program with its output in a file. It ends with us, however we end."""

    def __init__(self, name, command, folder, env=None):
        self.name, self.log = name, folder / f"{name}.log"

        def with_parent():
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=with_parent)

    def lines(self):
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def alive(self):
        if self.process.poll() is not None:
            last = "\n".join(self.lines()[-20:])
            raise Failed(f"{self.name} has ended by itself ({self.log}):\n{last}")

    def first(self, of):
        """The first line of which `of` makes something."""
        return wait(f"{self.name}: its start", lambda: next(filter(None, map(of, self.lines())), None), alive=self.alive)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Program:
    """`tradeflow` in a folder, run to its end."""

    def __init__(self, binary, env, folder):
        self.binary, self.env, self.folder = binary, env, folder

    def run(self, *arguments, folder=None, ok=(0,)):
        done = subprocess.run([self.binary, *arguments], cwd=folder or self.folder, env={**os.environ, **self.env},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise Failed(f"tradeflow {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments, **more):
        return json.loads(self.run(*arguments, "--json", **more))


class Database:
    """The demo's database, asked by psql."""

    def __init__(self, psql):
        self.psql = psql

    def run(self, statements, **variables):
        names = [f"--set={name}={value}" for name, value in variables.items()]
        done = subprocess.run([self.psql, "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", *names], input=statements,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{done.stderr.strip()}\nin: {statements.strip()}")
        return done.stdout.strip()

    def rows(self, query, **variables):
        """The rows of a query, each as a dictionary."""
        query = query.strip().rstrip(";")
        return json.loads(self.run(f"select coalesce(json_agg(x), '[]') from ({query}) x;", **variables))

    def one(self, query, **variables):
        """The only row of a query."""
        rows = self.rows(query, **variables)
        if len(rows) != 1:
            raise Failed(f"{len(rows)} rows, one is expected of: {query}")
        return rows[0]
