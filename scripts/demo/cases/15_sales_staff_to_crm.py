"""A company is given to another rep: its record in HubSpot has another owner."""

RECIPE = "sales_staff_to_crm"
PREPARE = "insert into crm_owners (sales_rep_email, owner_email) values ('carla@example.com', 'anna@example.com') on conflict do nothing"


def show(case):
    company, _ = case.new_company("Hypatia Optics")

    def owner():
        record = case.hubspot.find("companies", "bc_company_id", company, "hubspot_owner_id")
        return record and record.get("hubspot_owner_id")

    case.sync("sales-staff")
    case.stage.settle()
    case.wait("an owner", owner)
    rep, wanted = ("Ben Bruns", "70002") if owner() != "70002" else ("Anna Ames", "70001")
    case.store.assign(case.stage.reps[rep], company)
    case.sync("sales-staff")
    case.wait("the new owner", lambda: owner() == wanted)
    case.trigger(f"company {company} is given to {rep}; no webhook tells, tradeflow sync once does")
    case.arrived(f"HubSpot: the company's owner is {wanted}")
