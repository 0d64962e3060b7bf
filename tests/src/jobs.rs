//! The smallest thing that fires: a table `jobs`, each change of which is one action.
//!
//! For tests of what happens *after* a firing: delivery, leases, crashes.

use crate::database::Database;

/// Makes the table, and a rule `job` that fires at every insert and update of it, with one action.
///
/// `target` goes into `tradeflow.targets` under the name `there`; `params` are the action's.
pub async fn watch_jobs(db: &Database, target: &Target<'_>, kind: &str, params: &str) {
    db.sql(
        "create table jobs (id int primary key, recipient text, amount numeric, note text, n int);
         select tradeflow.watch('jobs');
         insert into tradeflow.rules (name, source) values ('job', 'public.jobs');",
    )
    .await;
    target.insert(db, "there").await;
    let statement =
        "insert into tradeflow.actions (rule, kind, target, params) values ('job', $1, 'there', $2::text::jsonb)";
    db.execute(statement, &[&kind, &params]).await;
}

/// A row of `tradeflow.targets`, less what has a default that serves tests.
#[derive(Default)]
pub struct Target<'a> {
    /// `smtp` or `http`.
    pub system: &'a str,
    /// Where.
    pub base_url: String,
    /// `env:NAME` or `file:/path`.
    pub secret: Option<&'a str>,
    /// For `basic`.
    pub username: Option<&'a str>,
    /// `none` when left empty.
    pub auth: &'a str,
    /// Standard Webhooks.
    pub signing_secret: Option<&'a str>,
    /// Loopback addresses are refused when this is set.
    pub refuse_private: bool,
    /// Seconds; 10 when 0.
    pub timeout: f64,
}

impl<'a> Target<'a> {
    /// An SMTP server.
    pub fn smtp(base_url: String) -> Self {
        Self { system: "smtp", base_url, ..Self::default() }
    }

    /// An HTTP server.
    pub fn http(base_url: String) -> Self {
        Self { system: "http", base_url, ..Self::default() }
    }

    /// Writes it.
    pub async fn insert(&self, db: &Database, name: &str) {
        let sender = (self.system == "smtp").then_some("Shop <shop@example.com>");
        let auth = if self.auth.is_empty() { "none" } else { self.auth };
        let timeout = if self.timeout == 0.0 { 10.0 } else { self.timeout };
        db.execute(
            "insert into tradeflow.targets (name, system, base_url, secret, username, auth, sender, signing_secret, allow_private, timeout)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, make_interval(secs => $10))",
            &[
                &name,
                &self.system,
                &self.base_url,
                &self.secret,
                &self.username,
                &auth,
                &sender,
                &self.signing_secret,
                &!self.refuse_private,
                &timeout,
            ],
        )
        .await;
    }
}

/// Parameters of a mail to the row's `recipient`.
pub const MAIL: &str =
    r#"{"to": "{{ facts.recipient }}", "subject": "Job {{ facts.id }}", "text": "Note: {{ facts.note }}"}"#;

/// Parameters of a POST of the row's `id`, `n` and `amount`.
pub const POST: &str = r#"{"path": "/jobs", "body": {"id": "{{ facts.id }}", "n": "{{ facts.n }}", "amount": "{{ facts.amount }}"}}"#;
