"""New companies get a rep, in turn by weight; the rep is told."""

from collections import Counter

from stage import REPS

RECIPE = "assign_sales_staff"
PREPARE = """
    insert into tradeflow.pool_members (pool, member, weight) values
      ('sales_reps', 'anna@example.com', 1), ('sales_reps', 'ben@example.com', 1), ('sales_reps', 'carla@example.com', 2)"""


def show(case):
    companies = [case.store.sign_up(name, companyStatus="1") for name in ("Abel", "Banach", "Cantor", "Dirichlet")]
    reps = Counter(case.wait(f"a rep of company {company}", lambda c=company: case.store.rep_of(c)) for company in companies)
    case.trigger(f"4 companies ({companies[0]} to {companies[-1]}) are there; the reps' weights are 1 : 1 : 2")
    case.arrived("store: " + ", ".join(f"{rep} looks after {many}" for rep, many in sorted(reps.items())))
    def told():
        mails = [mail for mail in case.stage.mails.all()[case.mails_before:] if set(REPS.values()) & set(mail["to"])]
        return mails if len(mails) >= len(companies) else None

    case.arrived(f"{len(case.wait('a mail to the rep of each', told))} mails to the reps, such as “{told()[0]['subject']}”")
