-- 14_kinds_bigcommerce: what a BigCommerce store can be told. Targets: base_url https://api.bigcommerce.com/stores/<store hash>,
-- secret: the access token. docs/actions/bigcommerce.md has more about each.

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('bigcommerce.update_quote', 'bigcommerce', 'absolute_set', true, 'Changes a quote: notes, message, expiry, whether it may be checked out; archives it. Read back afterwards.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["quote_id"], "minProperties": 2,
    "examples": [{"quote_id": "{{ facts.quote_id }}", "created_at": "{{ facts.created_at }}", "allow_checkout": false, "notes": "Below the minimum price."}],
    "properties": {
      "quote_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the quote"},
      "created_at": {"type": ["string", "null"], "description": "when the quote was created: the store wants to know; taken from the facts of a quote by itself"},
      "notes": {"type": ["string", "null"], "description": "note to the buyer"},
      "legal_terms": {"type": ["string", "null"]},
      "message": {"type": ["string", "null"], "description": "posted to the buyer, once"},
      "expires_on": {"type": ["string", "null"], "description": "a day: 2026-12-24"},
      "allow_checkout": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "whether the buyer may take it to the checkout"},
      "display_discount": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$"},
      "title": {"type": ["string", "null"]},
      "reference_number": {"type": ["string", "null"]},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}, "description": "names and values; the others stay"},
      "archive": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: for good"}
    }}$schema$),
  ('bigcommerce.link_order_to_quote', 'bigcommerce', 'look_up_first', true, 'Makes a quote Ordered, with the order that came of it. It cannot be changed any more then.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["quote_id", "bc_order_id"],
    "examples": [{"quote_id": "{{ facts.quote_id }}", "created_at": "{{ facts.created_at }}", "bc_order_id": "{{ facts.bc_order_id }}"}],
    "properties": {
      "quote_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the quote"},
      "created_at": {"type": ["string", "null"], "description": "when the quote was created"},
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id, which the buyer sees"}
    }}$schema$),
  ('bigcommerce.set_company_status', 'bigcommerce', 'absolute_set', true, 'Approves, rejects, deactivates a company, or makes it wait.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "status"],
    "examples": [{"company_id": "{{ facts.company_id }}", "status": "approved"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "status": {"type": ["integer", "string"], "minimum": 0, "maximum": 3, "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$",
                 "description": "pending, approved, rejected, inactive, or 0 to 3"},
      "only_if": {"type": ["array", "string", "integer", "null"], "minimum": 0, "maximum": 3, "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$", "items": {"type": ["integer", "string"], "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$"},
                  "description": "a status or a list of them: of a company that has another by then the firing is cancelled; somebody decided meanwhile"}
    }}$schema$),
  ('bigcommerce.set_payment_terms', 'bigcommerce', 'absolute_set', true, 'Sets the days a company has to pay.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id"],
    "anyOf": [{"required": ["days"]}, {"required": ["enabled"]}],
    "examples": [{"company_id": "{{ facts.company_id }}", "days": 30}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "days": {"enum": [0, 5, 15, 30, 45, 60, "0", "5", "15", "30", "45", "60", null], "description": "0, 5, 15, 30, 45 or 60"},
      "enabled": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "false: the store's terms count"}
    }}$schema$),
  ('bigcommerce.update_company_extra_fields', 'bigcommerce', 'absolute_set', true, 'Sets extra fields of a company; up to ten companies go into one request.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "fields"],
    "examples": [{"company_id": "{{ facts.company_id }}", "fields": {"Segment": "gold"}}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "fields": {"type": ["object", "string"], "minProperties": 1, "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                 "description": "labels and values; null empties; the others stay"},
      "only_if": {"type": ["object", "string", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                  "description": "labels and values: of a company that has others by then the firing is cancelled; null: the field is empty"}
    }}$schema$),
  ('bigcommerce.assign_sales_staff', 'bigcommerce', 'absolute_set', true, 'Assigns a sales rep to a company, or takes one away.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id"],
    "anyOf": [{"required": ["sales_staff_id"]}, {"required": ["email"]}],
    "examples": [{"company_id": "{{ facts.company_id }}", "sales_staff_id": "{{ steps.pick.value }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "sales_staff_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the rep's id; not a super admin's"},
      "email": {"type": "string", "description": "the rep's address, instead of the id"},
      "assigned": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "false: takes the rep away"},
      "exclusive": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: and nobody else"},
      "only_if_none": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: when somebody else looks after the company by then, the firing is cancelled"}
    }}$schema$),
  ('bigcommerce.add_company_credit', 'bigcommerce', 'absolute_set', true, 'Adds to (or takes from) what a company has left of its credit, once for each key; by way of tradeflow.ledger_entries.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "amount"],
    "examples": [{"company_id": "{{ facts.company_id }}", "amount": "{{ facts.total * 0.02 }}", "key": "loyalty order {{ facts.bc_order_id }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "amount": {"type": ["number", "string"], "pattern": "^-?[0-9]+([.][0-9]+)?$", "description": "added; negative: taken away, down to nothing"},
      "key": {"type": ["string", "null"], "description": "what it is for; counts once, whoever asks; default: this action"},
      "currency": {"type": ["string", "null"], "pattern": "^[A-Za-z]{3}$", "description": "refuses to add to a credit in another currency"},
      "cap": {"type": ["number", "string", "null"], "pattern": "^[0-9]+([.][0-9]+)?$", "description": "all that was ever added sums up to no more"},
      "reason": {"type": ["string", "null"], "description": "for people, in the ledger"},
      "enable": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: enables the credit of a company that has none, limited to what it has"}
    }}$schema$),
  ('bigcommerce.create_invoice_from_order', 'bigcommerce', 'look_up_first', true, 'Makes the invoice of an order, unless there is one.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["bc_order_id"],
    "examples": [{"bc_order_id": "{{ facts.bc_order_id }}"}],
    "properties": {
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id; B2B Edition's own is looked up"},
      "due_on": {"type": ["string", "null"], "description": "a day: 2026-12-24; default: by the store's terms"}
    }}$schema$),
  ('bigcommerce.create_invoice', 'bigcommerce', 'deterministic_id', true, 'Makes an invoice under a number that is unique in the store.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "amount", "currency"],
    "examples": [{"company_id": "{{ facts.company_id }}", "number": "R-{{ facts.bc_order_id }}", "amount": "{{ facts.total }}", "currency": "{{ facts.currency_code }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "number": {"type": ["string", "null"], "description": "the same at every attempt; default: made of the action's id"},
      "amount": {"type": ["number", "string"], "pattern": "^[0-9]+([.][0-9]+)?$", "description": "what is to be paid"},
      "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$", "description": "ISO 4217 code"},
      "due_on": {"type": ["string", "null"], "description": "a day: 2026-12-24"},
      "order_number": {"type": ["string", "integer", "null"]},
      "purchase_order_number": {"type": ["string", "integer", "null"]},
      "external_id": {"type": ["string", "integer", "null"]},
      "pdf_url": {"type": ["string", "null"], "description": "where its PDF is"},
      "details": {"type": ["object", "string", "null"], "description": "as the API has them: header, lines"}
    }}$schema$),
  ('bigcommerce.set_order_status', 'bigcommerce', 'absolute_set', true, 'Sets the status of an order, or what its payment method is called; nothing is sent when it has it.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["bc_order_id"],
    "anyOf": [{"required": ["status"]}, {"required": ["payment_method"]}],
    "examples": [{"bc_order_id": "{{ facts.bc_order_id }}", "status": "awaiting payment"}],
    "properties": {
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id"},
      "status": {"type": ["integer", "string", "null"], "minimum": 0, "maximum": 14, "description": "an id, 0 to 14, or the system's label: awaiting payment"},
      "payment_method": {"type": ["string", "null"], "description": "the payment method's name as the order shows it"}
    }}$schema$),
  ('bigcommerce.create_company', 'bigcommerce', 'look_up_first', true, 'Creates a company with its admin, unless there is one that matches.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["name", "admin", "address"],
    "examples": [{"name": "{{ facts.name }}", "admin": {"first_name": "{{ facts.first }}", "last_name": "{{ facts.last }}", "email": "{{ facts.email }}"}, "address": {"country": "{{ facts.country }}"}}],
    "properties": {
      "name": {"type": "string"},
      "email": {"type": ["string", "null"], "description": "the company's; default: the admin's"},
      "phone": {"type": ["string", "number", "null"]},
      "address": {"type": "object", "additionalProperties": false, "required": ["country"], "description": "the store wants at least the country", "properties": {
        "line1": {"type": ["string", "null"]}, "line2": {"type": ["string", "null"]}, "city": {"type": ["string", "null"]}, "state": {"type": ["string", "null"], "description": "its full name"},
        "zip": {"type": ["string", "integer", "null"]}, "country": {"type": "string", "description": "its name, or two letters"}}},
      "admin": {"type": "object", "additionalProperties": false, "required": ["first_name", "last_name", "email"], "properties": {
        "first_name": {"type": "string"}, "last_name": {"type": "string"}, "email": {"type": "string"}, "phone": {"type": ["string", "number", "null"]}}},
      "customer_group_id": {"type": ["integer", "string", "null"], "description": "stores in independent mode only"},
      "catalog_id": {"type": ["integer", "string", "null"]},
      "channel_ids": {"type": ["array", "string", "null"], "items": {"type": ["integer", "string"]}},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}},
      "match": {"type": ["string", "null"], "description": "the extra field whose value tells companies apart; without it the admin's address does"},
      "send_mail": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: the store welcomes the admin"}
    }}$schema$),
  ('bigcommerce.create_company_user', 'bigcommerce', 'look_up_first', true, 'Adds a buyer to a company, unless the address is its already. A consumer with the address is converted.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "email", "first_name", "last_name"],
    "examples": [{"company_id": "{{ steps.company.company_id }}", "email": "{{ facts.email }}", "first_name": "{{ facts.first }}", "last_name": "{{ facts.last }}", "role": "junior"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "email": {"type": "string"},
      "first_name": {"type": "string"},
      "last_name": {"type": "string"},
      "phone": {"type": ["string", "number", "null"]},
      "role": {"type": ["string", "integer", "null"], "minimum": 0, "maximum": 2, "pattern": "(?i)^(admin|senior|junior|[0-2])$", "description": "admin, senior or junior (the default)"},
      "company_role_id": {"type": ["integer", "string", "null"], "description": "wins over role"},
      "channel_ids": {"type": ["array", "string", "null"], "items": {"type": ["integer", "string"]}, "description": "default: [1]"},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}},
      "send_mail": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: the store welcomes the buyer"}
    }}$schema$);
