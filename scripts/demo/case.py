"""What a use case is shown with. A file of cases/ has `RECIPE`, and a function `show(case)` that has people do something in
the store and says what arrived:

    def show(case):
        quote = case.store.ask_for_quote(case.company, case.buyer, [line(201, "Hinge", 10, "9.90")])
        case.trigger("a buyer asks for a quote")
        deal = case.wait("a deal", lambda: case.hubspot.find("deals", "bc_quote_id", quote, "dealstage"))
        case.arrived(f"HubSpot: deal {deal['id']}, stage {deal['dealstage']}")

Settings to begin with: `SETTINGS = {"name": "value"}`. Tabs of the spreadsheet `demo` that people have made: `SHEETS = {"Tab": [header]}`;
one that is synced: `SYNCED = "demo/Tab/Key column"`.
What people set once the project is there, such as lines of decision tables: `PREPARE = "insert …"`, with the project's tables in the
search_path.
"""

import re
import time
from datetime import datetime, timedelta

from processes import Failed, wait
from stage import BUSY
from world import line  # noqa: F401: for the cases


class Case:
    """One use case, and everything it may touch."""

    def __init__(self, stage, recipe):
        self.stage, self.recipe = stage, recipe
        self.store, self.storefront, self.hubspot, self.sheet, self.database = stage.store, stage.storefront, stage.hubspot, stage.sheet, stage.database
        self.triggered, self.arrivals, self.began = None, [], None
        text = (stage.project / f"rules/{recipe}.sql").read_text(encoding="utf-8")
        known = self.database.rows("select name from tradeflow.rules order by name")
        self.rules = [row["name"] for row in known if re.search(rf"'{re.escape(row['name'])}'", text)]
        self.moved = False

    # ── What is there: a company with a buyer and a rep, the same at every run.

    @property
    def company(self):
        return self.stage.company["company_id"]

    @property
    def buyer(self):
        return self.stage.company["email"]

    @property
    def customer(self):
        """The buyer's number as a customer of the store."""
        return self.stage.company["bc_customer_id"]

    def new_company(self, name, **more):
        """An approved company with a buyer, and all that follows from it is over: its number, and the buyer's address."""
        company = self.store.sign_up(name, companyStatus="1", **more)
        buyer = f"buyer@company-{company}.example"
        self.store.join(company, buyer, "Grace", "Hopper")
        self.wait(f"company {company}", lambda: self.database.rows("select from store.company_users where company_id = :company", company=company))
        self.stage.settle()
        return company, buyer

    def setting(self, name):
        return self.database.one("select tradeflow.setting(:'name') as value", name=name)["value"]

    # ── What is said of it.

    def trigger(self, text):
        """What people did, in words."""
        self.triggered = text if self.triggered is None else f"{self.triggered}; {text}"

    def arrived(self, text):
        """What has arrived where. Say only what was asked from there."""
        self.arrivals.append(text)

    # ── Waiting.

    def wait(self, what, look, within=60):
        return wait(what, look, within, alive=self.stage.alive)

    def mails(self, to=None, subject=None, many=1):
        """Waits for so many mails since the case began, to somebody, whose subject has these words."""

        def found():
            mails = [m for m in self.stage.mails.all()[self.mails_before:]
                     if (to is None or to in m["to"]) and (subject is None or subject.lower() in m["subject"].lower())]
            return mails if len(mails) >= many else None

        about = " ".join(filter(None, [f"to {to}" if to else "", f"“{subject}”" if subject else ""]))
        return self.wait(f"{many} mail(s) {about}", found)

    def mailed(self, *arguments, **more):
        """The same, and tells them."""
        mails = self.mails(*arguments, **more)
        for mail in mails:
            self.arrived(f"mail to {', '.join(mail['to'])}: “{mail['subject']}”")
        return mails

    def fired(self, rule=None):
        """Waits until a rule of the recipe has fired since the case began, also when its time has yet to come."""
        rules = self.rules if rule is None else [rule]
        return self.wait(f"a firing of {', '.join(rules)}", lambda: self.database.rows(
            f"select firing_id, subject, state from tradeflow.firings where rule in ({quoted(rules)}) and firing_id > {self.firings_before}"))

    def settled(self):
        """Waits until nothing of the recipe is ready or running."""
        self.wait(f"the end of the actions of {self.recipe}", lambda: self.database.one(
            f"select not exists (select from tradeflow.outbox where rule in ({quoted(self.rules)}) and {BUSY}) as done")["done"])

    def sync(self, *resources):
        """What no webhook tells: `tradeflow sync once`."""
        self.stage.tradeflow.run("sync", "once", *resources)

    def pass_time(self, **ahead):
        """Days or hours go by for the database's timers: its test clock is moved. The next case begins today again."""
        now = datetime.fromisoformat(self.database.one("select tradeflow.now() as now")["now"])
        self.time_is(now + timedelta(**ahead))

    def time_is(self, time_):
        """The same, up to a time: a datetime, or the text of a timestamptz."""
        self.moved = True
        self.database.run("select tradeflow.set_clock(:'time')", time=str(time_))
        self.began = time.time()

    # ── Its run.

    def run(self, show):
        self.firings_before = self.database.one("select coalesce(max(firing_id), 0) as n from tradeflow.firings")["n"]
        self.actions_before = self.database.one("select coalesce(max(id), 0) as n from (select id from tradeflow.outbox union all select id from tradeflow.outbox_history) x")["n"]
        self.mails_before = len(self.stage.mails.all())
        self.began = 0
        try:
            show(self)
            self.wait(f"an action of {self.recipe}", self.delivery)
            self.settled()
        finally:
            if self.moved:
                self.database.run("select tradeflow.set_clock(null)")
        if not self.triggered or not self.arrivals:
            raise Failed(f"{self.recipe}: its file says neither trigger() nor arrived()")

    def delivery(self):
        """Milliseconds from the commit of the change (or the moment its time had come) to the end of each of its actions."""
        return [row["ms"] for row in self.database.rows(f"""
            select extract(epoch from h.finished_at - greatest(first.at, to_timestamp({self.began}))) * 1000 as ms
            from tradeflow.outbox_history h
            join lateral (
              select min(created_at) as at
              from (select created_at from tradeflow.outbox_history f where f.firing_id = h.firing_id
                    union all select created_at from tradeflow.outbox f where f.firing_id = h.firing_id) x) first on true
            where h.rule in ({quoted(self.rules)}) and h.state = 'done' and h.id > {self.actions_before}
              and h.finished_at > to_timestamp({self.began})
            order by 1""")]


def quoted(names):
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names) or "''"
