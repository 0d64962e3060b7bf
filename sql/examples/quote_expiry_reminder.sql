-- An open quote expires in some days: its buyer is reminded once.
--
-- fire_at says when the mail is due. Until then it waits in the outbox: a quote that is extended moves its reminder,
-- and when the time comes the condition is asked again, so one that was ordered meanwhile reminds nobody.
-- Status: 0 New, 2 In Process, 3 Updated by customer.
insert into tradeflow.rules (name, source, description, condition, fire_at) values (
  'quote_expiry_reminder', 'store.quotes', 'An open quote is about to expire',
  $$ new.status in (0, 2, 3) and new.contact_email is not null and new.expired_at > tradeflow.now() $$,
  $$ new.expired_at - tradeflow.setting('reminder_days')::int * interval '1 day' $$)
on conflict (name) do update set source = excluded.source, description = excluded.description,
  condition = excluded.condition, fire_at = excluded.fire_at;

insert into tradeflow.templates (name, subject, text, html) values (
  'quote_expiry_reminder',
  'Your quote {{ facts.quote_number }} expires on {{ facts.expired_at|date("%d %B") }}',
  $$Hello {{ facts.contact_name or "there" }},

your quote {{ facts.quote_number }} over {{ facts.grand_total|money(facts.currency_code or "") }} is good until {{ facts.expired_at|date("%d %B %Y") }}.
{% if facts.sales_rep_name %}
{{ facts.sales_rep_name }}{% if facts.sales_rep_email %} ({{ facts.sales_rep_email }}){% endif %} is glad to help with anything still open.
{% endif %}
{{ settings.shop_name }}$$,
  $$<p>Hello {{ facts.contact_name or "there" }},</p>
<p>your quote <b>{{ facts.quote_number }}</b> over {{ facts.grand_total|money(facts.currency_code or "") }} is good until
<b>{{ facts.expired_at|date("%d %B %Y") }}</b>.</p>
{% if facts.sales_rep_name %}<p>{{ facts.sales_rep_name }}{% if facts.sales_rep_email %} ({{ facts.sales_rep_email }}){% endif %} is glad to help with anything still open.</p>{% endif %}
<p>{{ settings.shop_name }}</p>$$)
on conflict (name) do update set subject = excluded.subject, text = excluded.text, html = excluded.html;

insert into tradeflow.actions (rule, step, kind, target, params) values (
  'quote_expiry_reminder', 1, 'email', 'smtp',
  '{"to": "{{ facts.contact_email }}", "template": "quote_expiry_reminder"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
