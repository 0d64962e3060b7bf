//! Tables with rules, and what the rules said, in words that assertions read well.

use futures_util::StreamExt;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::database::Database;

impl Database {
    /// Makes a table and watches it.
    pub async fn watch(&self, name: &str, columns: &str) {
        self.sql(&format!("create table {name} ({columns}); select tradeflow.watch('{name}')")).await;
    }

    /// Writes a rule with this condition.
    pub async fn rule(&self, name: &str, source: &str, condition: &str) {
        self.execute(
            "insert into tradeflow.rules (name, source, condition) values ($1, $2, $3)",
            &[&name, &source, &condition],
        )
        .await;
    }

    /// What fired since the last call, in order: `rule subject`. Takes it out of the outbox.
    pub async fn fired(&self) -> Vec<String> {
        self.column(
            "with gone as (delete from tradeflow.outbox returning id, rule, subject)
             select rule || ' ' || subject from gone order by id",
        )
        .await
    }

    /// The same with the event and the state: `rule subject event state`.
    pub async fn fired_in_detail(&self) -> Vec<String> {
        self.column(
            "with gone as (delete from tradeflow.outbox returning id, rule, subject, event, state)
             select concat_ws(' ', rule, subject, event, state) from gone order by id",
        )
        .await
    }

    /// The incidents since the last call: `kind rule subject sqlstate count: message`. Takes them away.
    pub async fn incidents(&self) -> Vec<String> {
        self.column(
            "with gone as (delete from tradeflow.incidents returning *)
             select format('%s %s %s %s %s: %s', kind, rule, coalesce(subject, '-'), coalesce(sqlstate, '-'), count, message)
             from gone order by id",
        )
        .await
    }

    /// A target for actions that nobody executes.
    pub async fn target(&self) {
        self.sql(
            "insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com')",
        )
        .await;
    }

    /// Gives a rule its first action.
    pub async fn action(&self, rule: &str) {
        self.execute(
            "insert into tradeflow.actions (rule, kind, target, params) values ($1, 'http', 'there', '{\"path\": \"/\"}')",
            &[&rule],
        )
        .await;
    }

    /// A session that listens, and the payloads of what it hears.
    pub async fn listen(&self, channel: &str) -> (Client, UnboundedReceiver<String>) {
        let config = self.cluster().config(self.name());
        let (client, mut connection) = config.connect(NoTls).await.expect("a further session");
        let (send, receive) = unbounded_channel();
        tokio::spawn(async move {
            let mut messages = futures_util::stream::poll_fn(|context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    // Nobody listens any more when the test is over.
                    let _ = send.send(notification.payload().to_owned());
                }
            }
        });
        client.batch_execute(&format!("listen {channel}")).await.expect("it listens");
        (client, receive)
    }
}
