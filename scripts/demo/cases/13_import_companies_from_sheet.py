"""Rows of a spreadsheet become companies; what is wrong with a row is written into it."""

RECIPE = "import_companies_from_sheet"
SETTINGS = {"import_spreadsheet": "demo", "import_tab": "Companies"}
SHEETS = {"Companies": [["Company", "Email", "First name", "Last name"]]}
SYNCED = "demo/Companies/Company"


def show(case):
    case.sheet.write("demo", "Companies", ["Fermat & Sons", "pierre@fermat.example", "Pierre", "Fermat"])
    case.sheet.write("demo", "Companies", ["Galois Ltd", "evariste at galois", "Évariste", "Galois"])
    case.sync("sheet_rows")
    case.trigger("two rows are added to a spreadsheet, one with a bad e-mail address")

    def row(name):
        return next(row for row in case.sheet.rows("demo", "Companies") if row["Company"] == name)

    good = case.wait("the company's id in its row", lambda: row("Fermat & Sons").get("Company id") and row("Fermat & Sons"))
    company = case.store.company(int(good["Company id"]))
    case.arrived(f"store: company {good['Company id']} “{company['companyName']}”; its row says “{good['Outcome']}”")
    bad = case.wait("what is wrong, in the row", lambda: row("Galois Ltd").get("Outcome"))
    case.arrived(f"spreadsheet: the other row says “{bad}”")
