"""The stage: mail server, fake store, HubSpot and spreadsheet, the sidecar, a project with every recipe, all beside the demo's
Postgres."""

import json
import os
import re
import shutil
from pathlib import Path

from processes import Failed, Database, Process, Program, wait
from world import HubSpot, Mails, Sheet, Store, Storefront

PROJECT = Path(__file__).resolve().parent.parent.parent
HOOKS = "hooks.northwind.example"
# Anna and Ben are owners in HubSpot too.
REPS = {"Anna Ames": "anna@example.com", "Ben Bruns": "ben@example.com", "Carla Cohn": "carla@example.com"}
# An action that is executed now, or would be if nothing were before it.
BUSY = "(state = 'running' or state = 'ready' and run_at <= tradeflow.now())"


class Stage:
    """Everything that runs, told where the demo's folder and its Postgres are."""

    def __init__(self, folder, binary, fakes, owner_url, sidecar_url, python):
        self.folder, self.binary, self.fakes, self.python = folder, binary, fakes, python
        self.owner_url, self.sidecar_url = owner_url, sidecar_url
        self.database = Database(str(folder / "psql"))
        self.project = folder / "shop"
        self.processes = []

    # ── Programs.

    def start(self, *arguments, **more):
        process = Process(*arguments, folder=self.folder, **more)
        self.processes.append(process)
        return process

    def end(self):
        for process in reversed(self.processes):
            process.end()

    def alive(self):
        for process in self.processes:
            process.alive()

    def start_mail(self):
        shutil.rmtree(self.folder / "mails", ignore_errors=True)
        sink = self.start("mail", [self.python, "-u", str(PROJECT / "scripts/mail_sink.py"), "--dir", "mails"])
        listening = sink.first(lambda text: json.loads(text) if text.startswith('{"event": "listening"') else None)
        self.smtp, self.mails_url = f"smtp://127.0.0.1:{listening['smtp']}", f"http://127.0.0.1:{listening['http']}/"
        self.mails = Mails(self.mails_url)

    def start_vendors(self, synced):
        vendors = self.start("vendors", [self.fakes, "--store", str(PROJECT / "sidecar/samples/store"),
                                         "--hubspot", "127.0.0.1:0", "--google", "127.0.0.1:0"])

        def line_of(vendor):
            return vendors.first(lambda text: dict(word.split("=", 1) for word in text.split()[1:]) if text.startswith(f"{vendor} url=") else None)

        store, crm, office = line_of("bigcommerce"), line_of("hubspot"), line_of("google")
        self.store = Store(store["url"], store["token"], store["store_hash"])
        # Reps without companies so far: whom new companies are given to.
        self.reps = {name: self.store.hire(name, address) for name, address in REPS.items()}
        self.hubspot = HubSpot(crm["url"], crm["token"])
        self.sheet = Sheet(office["url"])
        self.office_url = office["url"]
        # As an operator gives them: names of variables and files in rows, their values in the environment.
        self.secrets = {
            "BIGCOMMERCE_ACCESS_TOKEN": store["token"],
            "BIGCOMMERCE_CLIENT_SECRET": store["client_secret"],
            "HUBSPOT_TOKEN": crm["token"],
            "GOOGLE_SERVICE_ACCOUNT": (self.folder / office["key"]).read_text(encoding="utf-8"),
            "TRADEFLOW_BIGCOMMERCE_STORE_HASH": store["store_hash"],
            "TRADEFLOW_BIGCOMMERCE_CORE_URL": store["url"],
            "TRADEFLOW_BIGCOMMERCE_B2B_URL": store["url"],
            "TRADEFLOW_BIGCOMMERCE_REQUESTS_PER_MINUTE": "0",
            "TRADEFLOW_HOOKS_URL": f"https://{HOOKS}/hooks/bigcommerce",
            "TRADEFLOW_SHEETS_BASE_URL": office["url"],
            "TRADEFLOW_SHEETS_SYNCED": ",".join(synced),
            "TRADEFLOW_STOREFRONT_ORIGINS": "https://shop.northwind.example",
            "TRADEFLOW_STOREFRONT_CLIENT_ID": "northwind-theme",
        }
        self.tradeflow = Program(self.binary, {"TRADEFLOW_DATABASE_URL": self.owner_url, "TRADEFLOW_LOG": "warn", **self.secrets}, self.folder)

    def start_sidecar(self):
        sidecar = self.start("sidecar", [self.binary, "run"], env={
            **self.secrets, "TRADEFLOW_DATABASE_URL": self.sidecar_url, "TRADEFLOW_LOG": "info", "TRADEFLOW_LISTEN_ADDRESS": "127.0.0.1:0"})

        def address(text):
            found = re.search(r"/metrics.*address=\"?([0-9.:]+)", re.sub(r"\x1b\[[0-9;]*m", "", text))
            return found and found.group(1)

        self.metrics = f"http://{sidecar.first(address)}"
        # A reverse proxy's work: the store calls a public address, the sidecar listens here.
        self.store.route(HOOKS, self.metrics)
        self.storefront = Storefront(self.metrics, self.secrets["TRADEFLOW_STOREFRONT_CLIENT_ID"], self.secrets["BIGCOMMERCE_CLIENT_SECRET"])

    # ── The database and the project.

    def make_targets(self):
        self.database.run("""
            insert into tradeflow.targets (name, system, base_url, secret, sender, allow_private) values
              ('smtp', 'smtp', :'smtp', null, 'Northwind Supply <quotes@northwind.example>', true),
              ('bigcommerce', 'bigcommerce', :'store', 'env:BIGCOMMERCE_ACCESS_TOKEN', null, true),
              ('hubspot', 'hubspot', :'crm', 'env:HUBSPOT_TOKEN', null, true),
              ('sheets', 'google', :'office', 'env:GOOGLE_SERVICE_ACCOUNT', null, true);
            """, smtp=self.smtp, store=f"{self.store.url}/stores/{self.store.hash}", crm=self.hubspot.url, office=self.office_url)

    def load_store(self):
        return self.tradeflow.json("sync", "once")["resources"]

    def make_project(self, settings):
        """Every recipe there is, with those settings that the cases want. Returns their names."""
        shutil.rmtree(self.project, ignore_errors=True)
        self.tradeflow.run("new", str(self.project), "--name", "shop")
        recipes = self.tradeflow.json("recipe", "list")
        left = dict(settings)
        for recipe in recipes:
            own = {setting["name"] for setting in recipe["settings"]} & left.keys()
            values = [f"--set={name}={left.pop(name)}" for name in sorted(own)]
            self.tradeflow.run("recipe", "add", recipe["name"], *values, folder=self.project)
        shop = self.project / "rules/00_shop.sql"
        text = shop.read_text(encoding="utf-8")
        for name, value in left.items():
            text, times = re.subn(rf"\('{name}', '[^']*'", f"('{name}', '{value}'", text)
            if times != 1:
                raise Failed(f"no recipe and no line of 00_shop.sql has the setting {name}")
        shop.write_text(text, encoding="utf-8")
        self.tradeflow.run("apply", folder=self.project)
        broken = self.database.rows("select name, invalid from tradeflow.rules where invalid is not null")
        if broken:
            raise Failed(f"rules that do not work: {broken}")
        return [recipe["name"] for recipe in recipes]

    def choose_company(self):
        """The first approved company with a buyer and a rep: the same at every run."""
        self.company = self.database.one("""
            select c.company_id, c.company_name, u.email, u.bc_customer_id
            from store.companies c
            join store.company_sales_staff using (company_id)
            join store.company_users u using (company_id)
            where c.status = 1 and u.email is not null
            order by c.company_id, u.b2b_user_id limit 1""")

    def settle(self):
        """Waits until every webhook is worked off, and nothing is due or running. What is tried again later is not waited for."""
        wait("the end of all actions", lambda: self.database.one(f"""
            select not exists (select from tradeflow.sync_events where done_at is null)
               and not exists (select from tradeflow.outbox where {BUSY}) as done""")["done"], alive=self.alive)


def hand_over(stage):
    """Two words for whoever wants to go on: psql (made by demo.sh) and tradeflow, with what they need to know."""
    script = stage.folder / "tradeflow"
    exports = "".join(f"export {name}={shell(value)}\n" for name, value in stage.tradeflow.env.items())
    script.write_text(f'#!/bin/sh\n{exports}exec {shell(stage.binary)} "$@"\n', encoding="utf-8")
    os.chmod(script, 0o700)


def shell(text):
    return "'" + text.replace("'", "'\\''") + "'"
