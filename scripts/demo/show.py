#!/usr/bin/env python3
"""The demo itself; scripts/demo.sh starts it beside a private Postgres. Sets the stage, shows each use case (a file of cases/),
and prints a line for each: what triggered it, what arrived where, and the time from commit to delivery."""

import argparse
import importlib.util
import shutil
import signal
import sys
import textwrap
import time
from pathlib import Path

from case import Case
from processes import Failed
from stage import Stage, hand_over

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
CASES = Path(__file__).resolve().parent / "cases"


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def note(text):
    print(f"  {text}", flush=True)


def cases(words):
    """The files of cases/ in their order, those that a word is in, as (number, module)."""
    found = []
    for file in sorted(CASES.glob("[0-9]*.py")):
        if words and not any(word in file.stem for word in words):
            continue
        spec = importlib.util.spec_from_file_location(f"case_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append((int(file.stem.split("_")[0]), module))
    return found


def set_stage(stage):
    everything = [module for _, module in cases([])]
    title("A mail server, the sample store, HubSpot and a spreadsheet")
    stage.start_mail()
    stage.start_vendors(synced=[module.SYNCED for module in everything if hasattr(module, "SYNCED")])
    stage.make_targets()
    hand_over(stage)
    note(f"mails can be seen at {BOLD}{stage.mails_url}{PLAIN}")
    note(f"the store's API is at {stage.store.url}")

    for module in everything:
        for tab, cells in getattr(module, "SHEETS", {}).items():
            stage.sheet.make("demo", tab, cells)

    title("tradeflow sync once: the store is copied, and nothing fires")
    resources = stage.load_store()
    note("rows, lines included: " + ", ".join(f"{row['resource']} {row['inserted']}" for row in resources if row["inserted"]))
    stage.choose_company()

    title("A project with every recipe: tradeflow new, recipe add, apply")
    recipes = stage.make_project({name: value for module in everything for name, value in getattr(module, "SETTINGS", {}).items()})
    for module in everything:
        if hasattr(module, "PREPARE"):
            stage.database.run(f"set search_path = rules, public; {module.PREPARE};")
    rules = stage.database.one("select count(*) as n, count(distinct coalesce(source, view)) as tables from tradeflow.rules")
    note(f"{len(recipes)} recipes, {rules['n']} rules; the rows already there fire nothing")
    note(f"its files are in {stage.project}")

    title("tradeflow run, and the store's webhooks")
    stage.start_sidecar()
    hooks = stage.tradeflow.json("hooks", "register")
    note(f"{len(hooks['created'])} webhooks registered; metrics at {stage.metrics}/metrics")
    return recipes


def show(stage, shown, recipes):
    """Each case in turn; what it has to say is printed as soon as it is there."""
    title("The store changes: one line a use case, and the time from commit to delivery")
    times, lost, table = [], [], Table()
    for number, module in shown:
        if module.RECIPE not in recipes:
            raise Failed(f"cases/{number:02}…: there is no recipe {module.RECIPE}")
        case = Case(stage, module.RECIPE)
        try:
            case.run(module.show)
        except Failed as error:
            lost.append(module.RECIPE)
            table.row(f"{number:2} {module.RECIPE}", case.triggered or "", f"NOT SHOWN: {error}", "")
            continue
        took = case.delivery()
        times += took
        table.row(f"{number:2} {module.RECIPE}", case.triggered, case.arrivals, span(took))
        # What this change causes elsewhere is over before the next one.
        stage.settle()
    print()
    if times:
        times.sort()
        note(f"From commit to delivery, {len(times)} actions: median {times[len(times) // 2]:.0f} ms, the slowest {times[-1]:.0f} ms.")
    return lost


def show_silence(stage):
    """A re-sync of all there is: nothing has changed, so nothing fires."""
    count = "select count(*) as n from tradeflow.firings"
    # What the actions wrote to the store comes back, and what that causes.
    for _ in range(2):
        stage.tradeflow.run("sync", "once")
        stage.settle()
    before = stage.database.one(count)["n"]
    read = sum(row["read"] for row in stage.tradeflow.json("sync", "once", "--since", "2000-01-01", "--fire")["resources"])
    note(f"The whole store synced again: {read} payloads read, {stage.database.one(count)['n'] - before} firings.")


class Table:
    """One row a use case, printed as soon as it is known; cells are wrapped."""

    def __init__(self):
        width = max(100, min(shutil.get_terminal_size((150, 0)).columns, 180)) - 2
        free = width - 32 - 12
        self.widths = [32, free * 2 // 5, free - free * 2 // 5, 12]
        self.row("use case", "what people do", "what arrives where", "time", DIM)

    def row(self, name, trigger, arrivals, time_taken, style=""):
        arrivals = [arrivals] if isinstance(arrivals, str) else arrivals
        cells = [[name], textwrap.wrap(trigger, self.widths[1] - 2), [], [time_taken]]
        for text in arrivals:
            cells[2] += textwrap.wrap(text, self.widths[2] - 2, subsequent_indent="  ")
        for n in range(max(map(len, cells))):
            parts = [(cell[n] if n < len(cell) else "").ljust(width) for cell, width in zip(cells, self.widths)]
            if not style:
                parts[0] = f"{BOLD}{parts[0]}{PLAIN}"
            print(f"  {style}{''.join(parts).rstrip()}{PLAIN if style else ''}", flush=True)


def span(took):
    if not took:
        return "(no action)"
    first, last = f"{took[0]:.0f}", f"{took[-1]:.0f}"
    return f"{last} ms" if first == last else f"{first}–{last} ms"


def try_next(stage):
    quote = stage.database.one("""
        select quote_id, line_key from store.quote_items join store.quotes using (quote_id)
        where status in (0, 2, 3) and base_price >= 10 order by coalesce(expired_at > now(), false) desc, quote_id, line_key limit 1""")["quote_id"]
    title("Try next")
    note(f"The mails:  {BOLD}{stage.mails_url}{PLAIN}")
    note(f"Metrics:    {stage.metrics}/metrics")
    note(f"A buyer's change in the store, which its webhook tells:")
    note(f"            curl -X PATCH -H 'content-type: application/json' -d '{{\"status\": 2}}' {stage.store.url}/_fake/quotes/{quote}")
    note(f"Commands:   {stage.folder}/tradeflow tail    (or: outbox list --state all, rules list, incidents list, doctor)")
    note(f"The rules:  cd {stage.project} && {stage.folder}/tradeflow test && {stage.folder}/tradeflow plan")
    note(f"SQL:        {stage.folder}/psql, then for example")
    for statement in ("select rule, subject, state, facts from tradeflow.firings order by firing_id desc limit 5;",
                      f"select jsonb_pretty(tradeflow.explain('quote_expiry_reminder', {quote}));",
                      "select tradeflow.set_clock(now() + interval '30 days');   -- and back: set_clock(null)"):
        print(f"                {statement}")


def stay(stage):
    """Until ctrl-C, or until something has ended by itself."""
    title("Running until ctrl-C")
    # demo.sh looks for it when it is interrupted.
    (stage.folder / "shown").touch()
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    while True:
        stage.alive()
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("folder", "binary", "fakes", "owner-url", "sidecar-url"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--stay", action="store_true", help="go on running until ctrl-C")
    parser.add_argument("words", nargs="*", help="show only the cases whose file has one of these words in its name")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    stage = Stage(Path(args.folder), args.binary, args.fakes, args.owner_url, args.sidecar_url, sys.executable)
    shown = cases(args.words)
    try:
        recipes = set_stage(stage)
        began = time.monotonic()
        lost = show(stage, shown, recipes)
        note(f"{len(shown) - len(lost)} of {len(shown)} use cases in {time.monotonic() - began:.0f} s.")
        show_silence(stage)
        try_next(stage)
        if lost:
            raise Failed(f"these did not do what they should: {', '.join(lost)}; the logs are in {stage.folder}")
        if args.stay:
            stay(stage)
    except Failed as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        stage.end()


if __name__ == "__main__":
    main()
