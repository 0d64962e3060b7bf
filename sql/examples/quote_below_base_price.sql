-- A quote line is offered far below its base price: the owner learns of it.
--
-- width_bucket() gives the tier of the discount: 0 nothing, 1 from the warn percentage, 2 from the block percentage.
-- The condition compares the tier with the one before, so a line fires again only when it gets worse or breaks anew.
-- No base price, no discount: nullif() makes it NULL, and NULL is no "yes".
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_below_base_price', 'store.quote_items', 'A line''s discount reaches the warn or block percentage',
  $$
    width_bucket(1 - new.offered_price / nullif(new.base_price, 0),
                 array[tradeflow.setting('discount_warn_percent')::numeric / 100,
                       tradeflow.setting('discount_block_percent')::numeric / 100])
    > coalesce(
    width_bucket(1 - old.offered_price / nullif(old.base_price, 0),
                 array[tradeflow.setting('discount_warn_percent')::numeric / 100,
                       tradeflow.setting('discount_block_percent')::numeric / 100]), 0)
  $$,
  $$
    select q.quote_number, q.company_name, q.sales_rep_name, coalesce(q.currency_code, '') as currency_code,
           new.product_name, new.sku, new.quantity, new.base_price, new.offered_price, d.percent,
           d.percent >= tradeflow.setting('discount_block_percent')::numeric as block
    from store.quotes q,
         lateral (select round(100 * (1 - new.offered_price / new.base_price), 1) as percent) d
    where q.quote_id = new.quote_id
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description,
  condition = excluded.condition, query = excluded.query;

insert into tradeflow.templates (name, subject, text, html) values (
  'quote_below_base_price',
  '{{ "Stop" if facts.block else "Check" }}: {{ facts.percent }} % off in quote {{ facts.quote_number }}',
  $$Quote {{ facts.quote_number }} for {{ facts.company_name or "an unnamed company" }}{% if facts.sales_rep_name %} (by {{ facts.sales_rep_name }}){% endif %}
offers {{ facts.quantity }} × {{ facts.product_name }} at {{ facts.offered_price|money(facts.currency_code) }}
instead of {{ facts.base_price|money(facts.currency_code) }}: {{ facts.percent }} % off.
{% if facts.block %}
That is beyond {{ settings.discount_block_percent }} %: please stop it, or agree to it.
{% else %}
That is beyond {{ settings.discount_warn_percent }} %.
{% endif %}$$,
  $$<p>Quote <b>{{ facts.quote_number }}</b> for {{ facts.company_name or "an unnamed company" }}{% if facts.sales_rep_name %} (by {{ facts.sales_rep_name }}){% endif %}:</p>
<table cellpadding="6">
  <tr><td>Product</td><td>{{ facts.quantity }} × {{ facts.product_name }}</td></tr>
  <tr><td>Base price</td><td>{{ facts.base_price|money(facts.currency_code) }}</td></tr>
  <tr><td>Offered</td><td><b>{{ facts.offered_price|money(facts.currency_code) }}</b> ({{ facts.percent }} % off)</td></tr>
</table>
{% if facts.block %}<p><b>Beyond {{ settings.discount_block_percent }} %: please stop it, or agree to it.</b></p>
{% else %}<p>Beyond {{ settings.discount_warn_percent }} %.</p>{% endif %}$$)
on conflict (name) do update set subject = excluded.subject, text = excluded.text, html = excluded.html;

insert into tradeflow.actions (rule, step, kind, target, params) values (
  'quote_below_base_price', 1, 'email', 'smtp',
  '{"to": "{{ settings.owner_email }}", "template": "quote_below_base_price"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
