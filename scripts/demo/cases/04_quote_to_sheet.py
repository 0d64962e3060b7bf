"""The lines of quotes are rows of a spreadsheet; what people add there stays, and a name that looks like a formula is text."""

from case import line

RECIPE = "quote_to_sheet"
SETTINGS = {"quotes_spreadsheet": "demo", "quotes_sheet": "Quotes"}
SHEETS = {"Quotes": [["Line", "Our note"]]}


def show(case):
    formula = '=HYPERLINK("http://bad.example")'
    quote = case.store.ask_for_quote(case.company, case.buyer, [line(201, formula, 10, "9.90"), line(202, "Lock", 2, "40.00")])

    def rows(many):
        found = [row for row in case.sheet.rows("demo", "Quotes") if str(row.get("Line", "")).startswith(f"{quote}/")]
        return found if len(found) == many else None

    case.wait("two rows", lambda: rows(2))
    case.store.change_lines(quote, [line(201, formula, 12, "9.90")])
    [row] = case.wait("one row", lambda: rows(1))
    case.wait("the quantity", lambda: str(rows(1)[0]["Quantity"]) == "12")
    case.trigger(f"quote {quote} has two lines, one of them named {formula}; then one is taken away, the other changed")
    case.arrived(f"spreadsheet: first 2 rows, then 1: 12 × “{row['Product']}”, as text")
