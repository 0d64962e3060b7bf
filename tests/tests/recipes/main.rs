//! Each recipe end to end: a change in the store → `tradeflow sync` → rule → sidecar → what arrives where.
//!
//! One file a recipe; what each must do stands in its *acceptance* and *beyond the obvious*, told by `docs/recipes/`. Their YAML
//! tests are run by `project::recipes`. How a test is written: the head of [`scene`].

mod assign_sales_staff;
mod company_approval;
mod company_segments;
mod credit;
mod crm;
mod deals;
mod import_companies_from_sheet;
mod invoices;
mod late_payment;
mod quantities;
mod quote_expiry_reminder;
mod quote_to_sheet;
mod scene;
mod together;
mod welcome_company_user;
