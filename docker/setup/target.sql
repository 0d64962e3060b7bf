-- Where mail goes: to the viewer, whose address is private; and the sample store. A target that was changed stays as it is.
insert into tradeflow.targets (name, system, base_url, secret, sender, allow_private) values
  ('smtp', 'smtp', 'smtp://mail:2525', null, 'Northwind Supply <quotes@northwind.example>', true),
  ('bigcommerce', 'bigcommerce', 'http://store:8080/stores/abc123', 'env:BIGCOMMERCE_ACCESS_TOKEN', null, true)
on conflict (name) do nothing;
