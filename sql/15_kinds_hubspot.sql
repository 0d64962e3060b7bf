-- 15_kinds_hubspot: records of HubSpot's CRM. Targets: base_url https://api.hubapi.com, secret: a service key or an app's token.
-- docs/actions/hubspot.md has more about each.

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params)
select
  'hubspot.upsert_' || o.singular, 'hubspot', 'upsert_by_key', true,
  format('Creates or changes a %s under a unique property of ours; up to 100 go into one request.', o.singular), true,
  jsonb_build_object(
    'type', 'object', 'additionalProperties', false, 'required', '["key"]'::jsonb,
    'examples', jsonb_build_array(o.example::jsonb),
    'properties', $schema${
      "key": {"type": ["string", "integer"], "description": "the value of the unique property"},
      "key_property": {"type": ["string", "null"], "pattern": "^[a-z][a-z0-9_]*$", "description": "its name; made when it is not there"},
      "match": {"type": ["string", "null"], "description": "one of the properties: a record of people's with the same value and without a key becomes ours"},
      "properties": {"type": ["object", "string"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "internal names and values; \"\" and null clear"},
      "owner_email": {"type": ["string", "null"], "description": "the owner is the user with this address"},
      "associate": {"type": ["array", "string"], "description": "records to be associated with",
        "items": {"type": "object", "additionalProperties": false, "required": ["to"], "properties": {
          "to": {"enum": ["deals", "contacts", "companies", "deal", "contact", "company"]},
          "id": {"type": ["string", "integer", "null"], "description": "the record's id"},
          "key": {"type": ["string", "integer", "null"], "description": "or the value of its unique property"},
          "key_property": {"type": ["string", "null"], "description": "default: bc_quote_id, bc_user_id, bc_company_id"},
          "required": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "false: does not wait for it"}}}},
      "always": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: also when nothing differs from what was written last"}
    }$schema$::jsonb || o.more::jsonb)
from (values
  ('deal', '{"key": "{{ facts.quote_id }}", "properties": {"dealname": "{{ facts.quote_number }}", "amount": "{{ facts.grand_total }}"}, "stage": "Quote sent", "forward_only": true}',
   '{"pipeline": {"type": ["string", "null"], "description": "id or label; default: whichever has the stage"},
     "stage": {"type": ["string", "null"], "description": "id or label"},
     "forward_only": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: a deal never goes back, and a closed one stays"}}'),
  ('contact', '{"key": "{{ facts.b2b_user_id }}", "properties": {"email": "{{ facts.email }}", "firstname": "{{ facts.first_name }}", "lastname": "{{ facts.last_name }}"}, "associate": [{"to": "companies", "key": "{{ facts.company_id }}"}]}', '{}'),
  ('company', '{"key": "{{ facts.company_id }}", "properties": {"name": "{{ facts.company_name }}"}}', '{}')
) o(singular, example, more);

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('hubspot.set_owner', 'hubspot', 'absolute_set', true, 'Sets who looks after a record; waits for the record to be there.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["object"],
    "anyOf": [{"required": ["id", "owner_email"]}, {"required": ["id", "owner_id"]}, {"required": ["key", "owner_email"]}, {"required": ["key", "owner_id"]}],
    "examples": [{"object": "companies", "key": "{{ facts.company_id }}", "owner_email": "{{ facts.sales_rep_email }}"}],
    "properties": {
      "object": {"enum": ["deals", "contacts", "companies", "deal", "contact", "company"]},
      "id": {"type": ["string", "integer"], "description": "the record's id"},
      "key": {"type": ["string", "integer"], "description": "or the value of its unique property"},
      "key_property": {"type": ["string", "null"], "description": "default: bc_quote_id, bc_user_id, bc_company_id"},
      "owner_email": {"type": ["string", "null"], "description": "the user's address; empty: nobody"},
      "owner_id": {"type": ["string", "integer"], "description": "or HubSpot's id of the owner"}
    }}$schema$);
