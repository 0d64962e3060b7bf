//! The harness itself: what other tests take for granted.

use std::time::Duration;

use tradeflow_tests::cluster::Cluster;
use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::mail::MailSink;

#[tokio::test]
async fn databases_are_separate_and_dropped() {
    let one = Database::empty().await;
    let two = Database::empty().await;
    one.sql("create table only_here (id int)").await;
    assert!(two.one::<Option<String>>("select to_regclass('only_here')::text").await.is_none());
    let name = one.name().to_owned();
    drop(one);
    let query = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(two.one::<i64>(&query).await, 0);
}

#[tokio::test]
async fn tcp_asks_for_the_password() {
    let db = Database::empty().await;
    let good: tokio_postgres::Config = db.url().parse().expect("a URL");
    assert!(good.connect(tokio_postgres::NoTls).await.is_ok());
    let bad: tokio_postgres::Config = db.url_as("postgres", "wrong").parse().expect("a URL");
    let error = bad.connect(tokio_postgres::NoTls).await.err().expect("a wrong password is refused");
    assert_eq!(error.code().map(|code| code.code()), Some("28P01"));
}

#[tokio::test]
async fn a_cluster_comes_back_after_a_crash_and_leaves_nothing() {
    let mut cluster = Cluster::start();
    let folder = cluster.socket_folder().parent().expect("it lies in one").to_owned();
    let client = cluster.connect("postgres").await;
    client.batch_execute("create table kept (id int); insert into kept values (1)").await.expect("it works");
    let port = cluster.port();
    cluster.crash();
    assert!(client.simple_query("select 1").await.is_err());
    cluster.restart();
    assert_eq!(cluster.port(), port);
    let client = cluster.connect("postgres").await;
    assert_eq!(client.query("select * from kept", &[]).await.expect("it is back").len(), 1);
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_mail_server_obeys() {
    let mut sink = MailSink::start();
    sink.mode_for("temporary", 1);
    assert!(send(&sink, "first@example.com").contains("451"), "{}", sink.log());
    assert_eq!(send(&sink, "second@example.com"), "sent");
    let mails = sink.wait_for(1).await;
    assert_eq!(mails[0].to, ["second@example.com"]);
    assert_eq!(mails[0].subject, "Grüße");
    assert_eq!(sink.settled(Duration::from_millis(100)).await.len(), 1);
}

#[tokio::test]
async fn the_mail_server_speaks_tls_and_asks_for_a_login() {
    for options in [MailSink::with().starttls(), MailSink::with().implicit_tls()] {
        let sink = options.auth("user", "right").start();
        assert!(
            send(&sink, "a@example.com").contains("SMTP"),
            "neither TLS nor login were used: {}",
            sink.log()
        );
        assert!(sink.ca_file.as_ref().is_some_and(|file| file.exists()));
        assert!(sink.mails().is_empty());
    }
}

#[tokio::test]
async fn the_http_server_follows_its_script() {
    let sink = HttpSink::start();
    sink.script([
        Answer::status(503).header("retry-after", "1"),
        Answer::json(201, r#"{"id": 12345678901234567.89}"#),
    ]);
    let first = get(&sink, "/one?x=1").await;
    assert!(first.starts_with("HTTP/1.1 503") && first.contains("retry-after: 1"), "{first}");
    assert!(get(&sink, "/two").await.ends_with("12345678901234567.89}"));
    assert!(get(&sink, "/three").await.starts_with("HTTP/1.1 200"));
    let requests = sink.wait_for(3).await;
    assert_eq!(requests[0].uri.to_string(), "/one?x=1");
    assert_eq!(requests[1].text(), "body");
}

/// Sends one mail with Python's own client, without TLS or login; returns what came of it.
fn send(sink: &MailSink, to: &str) -> String {
    let script = format!(
        "import smtplib, email.message as e\n\
         m = e.EmailMessage(); m['Subject'] = 'Grüße'; m['To'] = '{to}'; m['From'] = 'a@example.com'\n\
         try:\n  s = smtplib.SMTP('127.0.0.1', {}, timeout=2); s.send_message(m); print('sent', end='')\n\
         except Exception as x: print(repr(x), end='')",
        sink.port()
    );
    let output =
        std::process::Command::new("/usr/bin/python3").args(["-c", &script]).output().expect("python runs");
    String::from_utf8(output.stdout).expect("text")
}

async fn get(sink: &HttpSink, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = sink.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}
