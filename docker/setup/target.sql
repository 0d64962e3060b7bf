-- Where mail goes: to the viewer, whose address is private. A target that was changed stays as it is.
insert into tradeflow.targets (name, system, base_url, sender, allow_private)
values ('smtp', 'smtp', 'smtp://mail:2525', 'Northwind Supply <quotes@northwind.example>', true)
on conflict (name) do nothing;
