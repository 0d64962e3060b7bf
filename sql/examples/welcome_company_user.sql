-- Somebody joins a company: a welcome that says how quoting works and who looks after them.
--
-- The query joins what the changed row does not have; its columns are what the mail can say. A rep assigned to several
-- companies is one row here: a query that returned two would send two mails.
insert into tradeflow.rules (name, source, events, description, condition, query) values (
  'welcome_company_user', 'store.company_users', '{insert}', 'A user was added to a company',
  $$ new.email is not null and new.company_id is not null $$,
  $$
    select new.email, coalesce(new.first_name, 'there') as first_name, new.role_name, c.company_name, rep.name as rep_name, rep.email as rep_email
    from store.companies c
    left join lateral (
      select s.name, s.email
      from store.company_sales_staff a join store.sales_staff s using (sales_staff_id)
      where a.company_id = c.company_id
      order by a.assigned_at desc nulls last, s.sales_staff_id
      limit 1) rep on true
    where c.company_id = new.company_id
  $$)
on conflict (name) do update set source = excluded.source, events = excluded.events, description = excluded.description,
  condition = excluded.condition, query = excluded.query;

insert into tradeflow.templates (name, subject, text, html) values (
  'welcome_company_user',
  'Welcome to {{ settings.shop_name }}, {{ facts.first_name }}',
  $$Hello {{ facts.first_name }},

you can now buy for {{ facts.company_name }}{% if facts.role_name %} as {{ facts.role_name }}{% endif %}.
To ask for a quote, fill the cart and choose "Request a quote"; we answer within one working day.
{% if facts.rep_name %}
Your contact is {{ facts.rep_name }}{% if facts.rep_email %}, {{ facts.rep_email }}{% endif %}.
{% endif %}
{{ settings.shop_name }}$$,
  $$<p>Hello {{ facts.first_name }},</p>
<p>you can now buy for <b>{{ facts.company_name }}</b>{% if facts.role_name %} as {{ facts.role_name }}{% endif %}.</p>
<p>To ask for a quote, fill the cart and choose “Request a quote”; we answer within one working day.</p>
{% if facts.rep_name %}<p>Your contact is <b>{{ facts.rep_name }}</b>{% if facts.rep_email %}, <a href="mailto:{{ facts.rep_email }}">{{ facts.rep_email }}</a>{% endif %}.</p>{% endif %}
<p>{{ settings.shop_name }}</p>$$)
on conflict (name) do update set subject = excluded.subject, text = excluded.text, html = excluded.html;

insert into tradeflow.actions (rule, step, kind, target, params) values (
  'welcome_company_user', 1, 'email', 'smtp',
  '{"to": "{{ facts.email }}", "template": "welcome_company_user"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
