-- 16_kinds_google: rows of Google spreadsheets. Targets: base_url https://sheets.googleapis.com, secret: the JSON key of a
-- service account, with which the spreadsheets are shared. docs/actions/sheets.md has more about each.

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('sheets.upsert_rows', 'google', 'upsert_by_key', true, 'Writes rows, found by the values of their key columns; adds those that are not there.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "key", "rows"],
    "examples": [{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "Quotes", "key": "Quote", "rows": {"Quote": "{{ facts.quote_number }}", "Total": "{{ facts.grand_total }}"}}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "key": {"type": ["string", "array"], "minItems": 1, "items": {"type": "string"}, "description": "the key column's header, or several"},
      "rows": {"type": ["object", "array", "string"], "items": {"type": ["object", "string"]}, "description": "one row or a list: headers and values; null leaves a cell as it is"},
      "add_columns": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: adds columns that the header does not have"},
      "create": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: makes the tab when it is not there"}
    }}$schema$),
  ('sheets.delete_rows', 'google', 'upsert_by_key', true, 'Takes rows away that have these values, but for those to keep.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "where"],
    "examples": [{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "Lines", "where": {"Quote": "{{ facts.quote_number }}"}, "key": "Line", "keep": "{{ facts.line_keys }}"}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "where": {"type": ["object", "string"], "minProperties": 1, "description": "headers and the values that rows must have"},
      "key": {"type": ["string", "null"], "description": "with keep: the column whose values are compared"},
      "keep": {"type": ["array", "string", "null"], "description": "rows whose key is among these stay"}
    }}$schema$),
  ('sheets.write_back', 'google', 'upsert_by_key', true, 'Writes cells of a row that is there: what became of it.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "key", "value", "set"],
    "examples": [{"spreadsheet": "{{ facts.spreadsheet_id }}", "sheet": "{{ facts.sheet_name }}", "key": "Company", "value": "{{ facts.name }}", "set": {"Id": "{{ steps.company.company_id }}", "Error": ""}}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "key": {"type": "string", "description": "the key column's header"},
      "value": {"type": ["string", "number", "boolean"], "description": "its value in the row that is meant"},
      "set": {"type": ["object", "string"], "minProperties": 1, "description": "headers and values; \"\" empties a cell"},
      "add_columns": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: adds columns that the header does not have"}
    }}$schema$);
