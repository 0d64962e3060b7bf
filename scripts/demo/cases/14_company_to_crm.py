"""Companies that were created in bulk, of which no webhook tells, and their people are found by the sync and are in HubSpot."""

RECIPE = "company_to_crm"


def show(case):
    companies = [{"companyName": f"Bulk {n}", "companyEmail": f"office@bulk{n}.example", "companyPhone": "+1 555 010 1000", "addressLine1": "1 Main Street",
                  "city": "Springfield", "state": "Illinois", "zipCode": "62701", "country": "United States",
                  "adminFirstName": "Buyer", "adminLastName": f"No {n}", "adminEmail": f"buyer@bulk{n}.example", "adminPhoneNumber": "+1 555 010 1000"} for n in range(1, 9)]
    case.store.b2b("companies/bulk", "POST", companies)
    case.sync("companies", "company-users")
    case.trigger("8 companies with their buyers are created in bulk, without webhooks; then tradeflow sync once")

    def contacts():
        found = [case.hubspot.find("contacts", "email", company["adminEmail"], "company", "lastname") for company in companies]
        return found if all(found) else None

    found = case.wait("8 contacts", contacts)
    of = sorted(contact["company"] for contact in found)
    case.arrived(f"HubSpot: {len(found)} contacts, of the companies {of[0]} to {of[-1]}")
