-- 13_kinds_general: kinds that are not of one vendor.

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('email', 'smtp', 'claim_once', false, 'Sends a mail through the target''s SMTP server: a template by name, or subject and text.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["to"],
    "anyOf": [{"required": ["template"]}, {"required": ["text"]}],
    "examples": [{"to": "{{ facts.contact_email }}", "template": "quote_expiry"}],
    "properties": {
      "to": {"type": ["string", "object", "array"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "an address, {\"name\": …, \"email\": …}, \"Name <address>\", several with commas, or a list"},
      "cc": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "bcc": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "reply_to": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "from": {"type": ["string", "object", "null"], "required": ["email"], "description": "one address; default: the target's sender"},
      "template": {"type": ["string", "null"], "description": "a row of tradeflow.templates"},
      "subject": {"type": ["string", "null"], "description": "replaces the template's"},
      "text": {"type": ["string", "null"], "description": "replaces the template's"},
      "html": {"type": ["string", "null"], "description": "replaces the template's"},
      "headers": {"type": ["object", "string", "null"], "additionalProperties": {"type": ["string", "number"]}, "description": "further headers: names and texts"},
      "attachments": {"type": ["array", "string", "null"], "description": "files from hosts that email.attachment_hosts of the sidecar's configuration allows",
        "items": {"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
          "url": {"type": "string"}, "name": {"type": "string"}, "content_type": {"type": "string"}}}},
      "unsubscribe": {"type": ["string", "null"], "pattern": "^(https://|mailto:)", "description": "https://… or mailto:…, where the recipient gets no more of it"},
      "topic": {"type": ["string", "null"], "description": "what at_most counts; default: the rule"},
      "at_most": {"type": ["object", "null"], "additionalProperties": false, "required": ["count", "within"], "description": "{\"count\": 3, \"within\": \"7 days\"}",
        "properties": {"count": {"type": ["integer", "string"], "minimum": 1}, "within": {"type": "string"}}},
      "transactional": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: also to suppressed addresses, and not counted"}
    }}$schema$),
  ('http', 'http', 'idempotency_key', true, 'Sends an HTTP request to the target, with an idempotency key; the response is the result.', true, $schema${
    "type": "object", "additionalProperties": false,
    "examples": [{"method": "POST", "path": "/quotes/{{ facts.quote_id }}", "body": {"total": "{{ facts.grand_total }}"}}],
    "properties": {
      "method": {"type": ["string", "null"], "pattern": "(?i)^(get|head|post|put|patch|delete)$", "description": "GET, HEAD, POST (the default), PUT, PATCH or DELETE"},
      "url": {"type": ["string", "null"], "description": "of the target's scheme, host and port"},
      "path": {"type": ["string", "null"], "description": "below the target's base_url"},
      "headers": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "names and texts; null ones fall away"},
      "query": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "names and texts; null ones fall away"},
      "body": {"description": "JSON; text when headers give a content type that is not JSON"},
      "expect": {"type": ["integer", "string", "array", "null"], "minimum": 100, "maximum": 599, "pattern": "^\\s*[1-5][0-9][0-9]\\s*$",
                 "items": {"type": ["integer", "string"], "minimum": 100, "maximum": 599}, "description": "a status or a list of them that mean success; default: every 2xx"},
      "timeout": {"type": ["number", "string", "null"], "minimum": 0, "maximum": 86400, "description": "seconds, or \"10s\"; at most the target's"}
    }}$schema$),
  ('sql', 'none', 'in_database', true, 'Calls a function as the rule''s owner, in the transaction of the action''s own completion: exactly once. What it returns is the result''s value.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["function"],
    "examples": [{"function": "sales.pick_rep", "args": {"company": "{{ facts.company_id }}"}}],
    "properties": {
      "function": {"type": "string", "literal": true, "pattern": "^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)?$", "description": "schema.function"},
      "args": {"type": ["object", "string", "null"], "description": "its arguments by name"}
    }}$schema$),
  ('task', 'none', 'in_database', true, 'Asks a person: a row of tradeflow.tasks, to be decided with tradeflow.decide().', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["pool", "title"],
    "examples": [{"pool": "sales", "title": "Approve {{ facts.company_name }}?", "options": ["approve", "reject"], "due_in": "2 days"}],
    "properties": {
      "pool": {"type": "string", "description": "who should look: a team's name"},
      "title": {"type": "string", "description": "what is to be done, in one line"},
      "body": {"type": ["string", "null"], "description": "more about it"},
      "options": {"type": ["array", "string", "null"], "items": {"type": "string"}, "description": "the outcomes to choose from; without it any word is one"},
      "due_in": {"type": ["string", "null"], "description": "an interval such as \"2 days\""},
      "due_at": {"type": ["string", "null"], "description": "a time; wins over due_in"}
    }}$schema$),
  ('storefront_message', 'none', 'in_database', true, 'Stores a message for a buyer, which the storefront fetches from the sidecar; or takes one away.', true, $schema${
    "type": "object", "additionalProperties": false,
    "anyOf": [{"required": ["text", "customer_id"]}, {"required": ["text", "company_id"]}, {"required": ["text", "email"]}, {"required": ["remove"]}],
    "examples": [{"customer_id": "{{ facts.bc_customer_id }}", "page": "quote:{{ facts.quote_id }}", "level": "warning", "text": "The minimum quantity is 10."}],
    "properties": {
      "key": {"type": ["string", "null"], "description": "a later message under the same key replaces it; default: rule, subject and occurrence"},
      "customer_id": {"type": ["integer", "string", "null"], "description": "for this core customer"},
      "company_id": {"type": ["integer", "string", "null"], "description": "for every buyer of this company"},
      "email": {"type": ["string", "null"], "description": "for the customer with this address"},
      "page": {"type": ["string", "null"], "description": "where it is shown: quote:48002, cart, …; default: everywhere"},
      "level": {"enum": ["info", "success", "warning", "error", null], "description": "info by default"},
      "text": {"type": ["string", "null"], "description": "plain text"},
      "data": {"description": "more, for the theme's own script"},
      "expires_in": {"type": ["string", "null"], "description": "an interval such as \"7 days\""},
      "expires_at": {"type": ["string", "null"], "description": "a time; wins over expires_in"},
      "remove": {"type": ["boolean", "string", "null"], "description": "true: the message under the key goes"}
    }}$schema$),
  ('noop', null, 'idempotency_key', true, 'Does nothing, at once: for trying rules out, and for measuring the outbox.', true, $schema${
    "type": "object", "additionalProperties": false, "examples": [{}]
    }$schema$);
