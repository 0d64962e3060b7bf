-- Values that the example rules and mails read. Changing one changes every rule that mentions it, at once.
insert into tradeflow.settings (name, value, description) values
  ('shop_name', 'Northwind Supply', 'Name in mails'),
  ('owner_email', 'owner@northwind.example', 'Who is told about discounts'),
  ('discount_warn_percent', '20', 'A discount from this percentage on is reported'),
  ('discount_block_percent', '35', 'A discount from this percentage on is reported as one to stop'),
  ('reminder_days', '3', 'How many days before its expiry a quote is reminded of'),
  ('time_zone', 'UTC', 'Zone of dates in mails')
on conflict (name) do nothing;
