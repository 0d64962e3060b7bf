#!/usr/bin/env python3
"""Writes what of an upgrade script can be written by a program.

    scripts/upgrade_script.py freeze REF       sql/upgrade/tradeflow--V.sql: the whole script of the version V at REF
    scripts/upgrade_script.py update OLD NEW   the part of sql/upgrade/tradeflow--OLD--NEW.sql between its markers

`update` compares the frozen script of OLD with sql/*.sql statement by statement. New statements are taken as they are,
changed functions and comments replaced, changed triggers, views and indexes made anew, rights granted again. What it
cannot know stands before or behind and is written by hand: columns and checks of tables that have rows. It names those
tables; the tests (life::upgrade) prove that the result is what a new installation has.
"""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BEGIN = "-- From here on: written by scripts/upgrade_script.py"
END = "-- Up to here: written by scripts/upgrade_script.py"
PATTERN = re.compile(
    r"""--[^\n]*|(?P<dollar>\$[A-Za-z_]*\$).*?(?P=dollar)|'(?:[^']|'')*'|"[^"]*"|;""", re.DOTALL)


def statements(text):
    """The statements of a script, each without the comments before it."""
    found, begin = [], 0
    for token in PATTERN.finditer(text):
        if token.group() == ";":
            found.append(text[begin : token.end()])
            begin = token.end()
    return [s for s in (re.sub(r"\A(?:\s*--[^\n]*\n|\s)+", "", s) for s in found) if s]


def spaced(statement):
    return re.sub(r"\s+", " ", statement).strip()


def identity(statement):
    """What a statement makes, so that it can be replaced."""
    text = spaced(statement)
    for pattern in (
        r"create (function) ([\w.]+)\s*\((.*?)\) ?returns",
        r"create (?:constraint )?(trigger) (\w+) .*? on ([\w.]+)",
        r"create (?:unique )?(index) (\w+) on ([\w.]+)",
        r"create (view|table|type|event trigger|sequence) ([\w.]+)",
    ):
        if match := re.match(pattern, text, re.IGNORECASE):
            return match.groups()
    return None


def signature(arguments):
    """The types of a function's arguments, as DROP FUNCTION wants them: the list without defaults."""
    return re.sub(r" default ('[^']*'(::\w+)?|[^,)]+)", "", arguments, flags=re.IGNORECASE)


def script(files):
    return "\n".join(f"\n-- {name}\n{text}" for name, text in files)


def freeze(ref):
    def show(path):
        return subprocess.run(["git", "show", f"{ref}:{path}"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout

    version = re.search(r"^default_version *= *'([^']+)'", show("extension/tradeflow.control"), re.MULTILINE).group(1)
    names = subprocess.run(["git", "ls-tree", "--name-only", ref, "sql/"], cwd=PROJECT, check=True, capture_output=True, text=True)
    files = [Path(n).name for n in names.stdout.split() if re.match(r"sql/\d\w+\.sql$", n)]
    target = PROJECT / f"sql/upgrade/tradeflow--{version}.sql"
    target.write_text(
        f"-- The script of version {version}, as it was released. Frozen: it is what upgrades begin with in the tests.\n"
        '\\echo Use "CREATE EXTENSION tradeflow" to load this file. \\quit\n'
        + script((name, show(f"sql/{name}")) for name in sorted(files)))
    print(target)


def update(old, new):
    before = (PROJECT / f"sql/upgrade/tradeflow--{old}.sql").read_text().split("\\quit\n", 1)[1]
    known = statements(before)
    same = {spaced(s) for s in known}
    replaced = {identity(s): s for s in known if identity(s)}
    wanted = [s for file in sorted((PROJECT / "sql").glob("[0-9]*.sql")) for s in statements(file.read_text())]
    made = {identity(s) for s in wanted}

    lines, tables = [], []
    # A function of other arguments or another result is another one.
    for what, statement in replaced.items():
        if what[0] == "function" and what not in made:
            lines.append(f"drop function {what[1]}({signature(what[2])});")
    for statement in wanted:
        what = identity(statement)
        again = re.match(r"(grant|revoke|do|alter function)\s", statement, re.IGNORECASE)
        if spaced(statement) in same and not again:
            continue
        if what in replaced and what[0] == "function":
            statement = re.sub(r"\Acreate function", "create or replace function", statement)
        elif what in replaced and what[0] == "table":
            tables.append(what[1])
            continue
        elif what in replaced and what[0] == "view":
            lines.append(f"drop view {what[1]};")
        elif what in replaced and what[0] == "trigger":
            lines.append(f"drop trigger {what[1]} on {what[2]};")
        elif what in replaced and what[0] == "index":
            lines.append(f"drop index tradeflow.{what[1]};")
        lines.append(statement)
    target = PROJECT / f"sql/upgrade/tradeflow--{old}--{new}.sql"
    text = target.read_text() if target.exists() else f"-- {old} to {new}.\n\n{BEGIN}\n{END}\n"
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    target.write_text(f"{head}{BEGIN}\n\n" + "\n\n".join(lines) + f"\n\n{END}{tail}")
    print(target)
    print("changed tables, by hand above the marker:", ", ".join(tables) or "none")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["freeze", ref]:
            freeze(ref)
        case ["update", old, new]:
            update(old, new)
        case _:
            sys.exit(__doc__)
