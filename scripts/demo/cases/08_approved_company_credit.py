"""A company is approved and gets credit to start with; approved again, it gets no more."""

RECIPE = "approved_company_credit"
SETTINGS = {"approved_credit_amount": "500"}


def show(case):
    company = case.store.sign_up("Curie Instruments")
    buyer = "marie@curie.example"
    case.store.join(company, buyer, "Marie", "Curie")
    for status in ("1", "2", "1"):
        case.wait(f"status {status}", lambda: case.database.rows("select from store.companies where company_id = :company", company=company))
        case.store.patch("companies", company, companyStatus=status)
        case.wait(f"status {status}", lambda: case.database.rows("select from store.companies where company_id = :company and status = :status", company=company, status=status))
        case.stage.settle()
    case.trigger(f"company {company} is approved, rejected, and approved again")
    case.wait("its credit", lambda: case.store.credit(company) > 0)
    case.arrived(f"store: {case.store.credit(company):.2f} of credit")
    case.mailed(buyer, "credit")
