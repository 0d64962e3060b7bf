"""Somebody joins a company and is welcomed, with the name of the rep who looks after them."""

RECIPE = "welcome_company_user"


def show(case):
    case.store.join(case.company, "ada@example.com", "Ada", "Lovelace")
    case.trigger(f"Ada Lovelace joins company {case.company}")
    [mail] = case.mailed("ada@example.com", "welcome")
    rep = case.database.one("select s.name from store.company_sales_staff a join store.sales_staff s using (sales_staff_id) where a.company_id = :company limit 1",
                            company=case.company)["name"]
    if rep in mail["text"]:
        case.arrived(f"it names their rep, {rep}")
