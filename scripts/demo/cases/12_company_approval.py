"""A company applies: who matches is approved, gets a rep and a mail, in that order; of another one a person decides."""

RECIPE = "company_approval"
PREPARE = "insert into company_approval_criteria (position, industry, decision) values (10, '{Dental}', 'approve')"


def show(case):
    dental = case.store.sign_up("Bright Dental", extraFields=[{"fieldName": "Industry", "fieldValue": "Dental"}])
    other = case.store.sign_up("Unknown Trading", extraFields=[{"fieldName": "Industry", "fieldValue": "Other"}])
    case.trigger(f"two companies apply: a dentist ({dental}), which the criteria approve, and another ({other})")
    case.wait("the approval", lambda: str(case.store.company(dental)["companyStatus"]) == "1")
    rep = case.wait("its rep", lambda: case.store.rep_of(dental))
    case.arrived(f"store: company {dental} is Approved, {rep} looks after it")
    case.mailed(f"office@company-{dental}.example", "welcome to")
    [task] = case.wait("a task", lambda: case.database.rows("select title from tradeflow.tasks where subject = :'other' and decided_at is null", other=other))
    case.arrived(f"a task for a person: “{task['title']}”")
