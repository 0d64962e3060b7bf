-- 24_kinds_general: kinds that are not of one vendor.

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('email', 'smtp', 'claim_once', false, 'Sends a mail through the target''s SMTP server: a template by name, or subject and text.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["to"],
    "anyOf": [{"required": ["template"]}, {"required": ["text"]}],
    "examples": [{"to": "{{ facts.contact_email }}", "template": "quote_expiry"}],
    "properties": {
      "to": {"type": ["string", "array"], "items": {"type": ["string", "null"]}, "description": "an address, \"Name <address>\", several with commas, or a list"},
      "cc": {"type": ["string", "array", "null"], "items": {"type": ["string", "null"]}, "description": "as to"},
      "bcc": {"type": ["string", "array", "null"], "items": {"type": ["string", "null"]}, "description": "as to"},
      "reply_to": {"type": ["string", "array", "null"], "items": {"type": ["string", "null"]}, "description": "as to"},
      "from": {"type": ["string", "null"], "description": "one address; default: the target's sender"},
      "template": {"type": ["string", "null"], "description": "a row of tradeflow.templates"},
      "subject": {"type": ["string", "null"], "description": "replaces the template's"},
      "text": {"type": ["string", "null"], "description": "replaces the template's"},
      "html": {"type": ["string", "null"], "description": "replaces the template's"},
      "headers": {"type": ["object", "string", "null"], "additionalProperties": {"type": ["string", "number"]}, "description": "further headers: names and texts"}
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
  ('noop', 'http', 'idempotency_key', true, 'Does nothing, at once: for trying rules out, and for measuring the outbox.', true, $schema${
    "type": "object", "additionalProperties": false, "examples": [{}]
    }$schema$);
