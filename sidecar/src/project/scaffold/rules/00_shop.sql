-- What all rules and mails of this shop share. The files of this folder are run in the order of their names.
--
-- A setting is text; rules read it with tradeflow.setting('name'), mails as {{ settings.name }}. The word behind a line says
-- what the value must be. `on conflict … do update`: the value here counts, one changed in the database is drift.
insert into tradeflow.settings (name, value, description) values
  ('shop_name', 'Northwind Supply', 'How the shop calls itself in mails'),                            -- text
  ('shop_url', 'https://shop.example.com', 'Where mails lead to'),                                    -- url
  ('owner_email', 'owner@example.com', 'Who is told what needs a decision'),                          -- email
  ('time_zone', 'UTC', 'Zone in which days are counted, and dates written')                           -- time zone
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Where mail goes out. `do nothing`: each environment has its own, which operators set; this one is for a first try.
insert into tradeflow.targets (name, system, base_url, sender, allow_private) values
  ('smtp', 'smtp', 'smtp://localhost:25', 'Northwind Supply <quotes@example.com>', true)
on conflict (name) do nothing;
