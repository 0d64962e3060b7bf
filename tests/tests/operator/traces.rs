//! From the change to the delivery under one trace id.
//!
//! The spans are tested with a sidecar and tests that have feature otel: `FEATURES=otel scripts/test.sh traces`.

use tradeflow_tests::database::Database;
use tradeflow_tests::http::HttpSink;
use tradeflow_tests::jobs::{watch_jobs, Target, POST};
use tradeflow_tests::sidecar::Sidecar;

/// A trace that a client is in.
const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn the_outbox_keeps_what_the_session_said_and_http_carries_it_on() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    db.sql(&format!("set tradeflow.traceparent = '{CLIENT}'; insert into jobs values (1)")).await;
    assert_eq!(db.one::<String>("select traceparent from tradeflow.outbox").await, CLIENT);
    db.sql("reset tradeflow.traceparent; insert into jobs values (2)").await;
    let _sidecar = Sidecar::start(&db);
    let requests = sink.wait_for(2).await;
    let of = |id: u32| {
        let request = requests.iter().find(|r| r.json()["id"] == id).expect("it came");
        request.header("traceparent").to_owned()
    };
    assert_eq!((of(1).as_str(), of(2).as_str()), (CLIENT, ""));
    db.until("select count(*) = 2 from tradeflow.outbox_history").await;
    assert_eq!(
        db.one::<String>("select traceparent from tradeflow.outbox_history where subject = '1'").await,
        CLIENT
    );
}

/// Bad input: anything may be in a setting.
#[tokio::test]
async fn what_is_no_trace_is_ignored() {
    let db = Database::with_extension().await;
    watch_jobs(&db, &Target::http("http://127.0.0.1:9".into()), "http", POST).await;
    for bad in [
        "",
        "x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; drop table jobs",
    ] {
        db.execute("select set_config('tradeflow.traceparent', $1, false)", &[&bad]).await;
        db.sql("insert into jobs select coalesce(max(id), 0) + 1 from jobs").await;
    }
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where traceparent is null").await, 7);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 7);
}

/// Later steps belong to the trace of the first.
#[tokio::test]
async fn every_step_has_the_trace_of_its_firing() {
    let db = super::jobs().await;
    db.sql(&format!(
        "set tradeflow.traceparent = '{CLIENT}'; insert into jobs values (1); reset tradeflow.traceparent;
         select tradeflow.claim('w', 1, '1 minute');
         select tradeflow.complete('{{1}}', '{{1}}', array['{{}}'::jsonb])"
    ))
    .await;
    assert_eq!(db.one::<String>("select traceparent from tradeflow.outbox where step = 2").await, CLIENT);
}

#[cfg(not(feature = "otel"))]
#[tokio::test]
async fn an_endpoint_without_the_feature_is_refused() {
    let db = Database::with_extension().await;
    let said = tradeflow_tests::sidecar::Tradeflow::on(&db, ["run"])
        .env("TRADEFLOW_TRACES_ENDPOINT", "http://localhost:4318")
        .run();
    assert!(said.failure().contains("--features otel"), "{}", said.stderr);
}

#[cfg(feature = "otel")]
mod spans {
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{status::StatusCode, Span};
    use prost::Message;
    use tradeflow_tests::http::Answer;

    use super::*;

    /// The spans that a collector was sent.
    fn collected(collector: &HttpSink) -> Vec<Span> {
        let decoded = collector.requests().into_iter().map(|request| {
            assert_eq!(
                (request.uri.path(), request.header("content-type")),
                ("/v1/traces", "application/x-protobuf")
            );
            ExportTraceServiceRequest::decode(request.body).expect("an export of spans")
        });
        decoded
            .flat_map(|export| export.resource_spans)
            .flat_map(|of| of.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    async fn sidecar(db: &Database, collector: &HttpSink) -> Sidecar {
        Sidecar::command(db).env("TRADEFLOW_TRACES_ENDPOINT", &collector.url()).start()
    }

    /// Stops it: what was not sent yet is sent then.
    fn stop(mut sidecar: Sidecar) {
        sidecar.terminate();
        assert_eq!(sidecar.wait(Duration::from_secs(20)), 0);
    }

    #[tokio::test]
    async fn go_from_the_clients_to_the_destination() {
        let db = Database::with_extension().await;
        let (sink, collector) = (HttpSink::start(), HttpSink::start());
        watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
        let sidecar = sidecar(&db, &collector).await;
        db.sql(&format!("set tradeflow.traceparent = '{CLIENT}'; insert into jobs values (1)")).await;
        let request = sink.wait_for(1).await.remove(0);
        stop(sidecar);

        let spans = collected(&collector);
        let named = |name: &str| {
            spans
                .iter()
                .find(|span| span.name == name)
                .unwrap_or_else(|| panic!("{name} is missing: {spans:#?}"))
        };
        let (firing, delivery) = (named("firing job"), named("http there"));
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().all(|span| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(hex(&firing.parent_span_id), "b7ad6b7169203331");
        assert_eq!(delivery.parent_span_id, firing.span_id);
        let expected = format!("00-{}-{}-01", hex(&delivery.trace_id), hex(&delivery.span_id));
        assert_eq!(request.header("traceparent"), expected);
        assert!(firing.start_time_unix_nano < firing.end_time_unix_nano);
        assert!(firing.end_time_unix_nano <= delivery.end_time_unix_nano);
        assert_eq!(delivery.status.as_ref().map(|s| s.code()), Some(StatusCode::Ok));
        let keys: Vec<&str> = delivery.attributes.iter().map(|a| a.key.as_str()).collect();
        for key in ["tradeflow.action_id", "tradeflow.attempt", "tradeflow.idempotency_key"] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }

    /// Nobody named a trace: the firing has one of its own, which all its steps and attempts share.
    #[tokio::test]
    async fn share_a_trace_without_a_client_too() {
        let db = Database::with_extension().await;
        let (sink, collector) = (HttpSink::start(), HttpSink::start());
        watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
        db.sql("insert into tradeflow.actions (rule, step, kind, target, params) values ('job', 2, 'http', 'there', '{\"path\": \"/second\"}')").await;
        sink.script([Answer::status(503).header("retry-after", "0")]);
        let sidecar = sidecar(&db, &collector).await;
        db.sql("insert into jobs values (1); insert into jobs values (2)").await;
        db.until("select count(*) = 4 from tradeflow.outbox_history where state = 'done'").await;
        stop(sidecar);

        let spans = collected(&collector);
        let mut traces: Vec<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
        traces.sort();
        traces.dedup();
        assert_eq!(traces.len(), 2, "one a firing");
        let firings: Vec<&Span> = spans.iter().filter(|span| span.name == "firing job").collect();
        assert_eq!(firings.len(), 2);
        assert!(firings.iter().all(|firing| firing.parent_span_id.is_empty()));
        let deliveries: Vec<&Span> = spans.iter().filter(|span| span.name == "http there").collect();
        assert_eq!(deliveries.len(), 5, "four actions, one of them twice");
        for delivery in &deliveries {
            let firing = firings.iter().find(|f| f.trace_id == delivery.trace_id).expect("its firing");
            assert_eq!(delivery.parent_span_id, firing.span_id);
        }
        let failed: Vec<&&Span> = deliveries
            .iter()
            .filter(|d| d.status.as_ref().is_some_and(|s| s.code() == StatusCode::Error))
            .collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].status.as_ref().is_some_and(|s| s.message.contains("503")), "{failed:#?}");
    }

    #[tokio::test]
    async fn are_not_sent_when_the_client_does_not_sample() {
        let db = Database::with_extension().await;
        let (sink, collector) = (HttpSink::start(), HttpSink::start());
        watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
        let sidecar = sidecar(&db, &collector).await;
        let client = CLIENT.replace("-01", "-00");
        db.sql(&format!("set tradeflow.traceparent = '{client}'; insert into jobs values (1)")).await;
        let request = sink.wait_for(1).await.remove(0);
        stop(sidecar);
        let header = request.header("traceparent");
        assert!(
            header.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && header.ends_with("-00"),
            "{header}"
        );
        assert_eq!(collected(&collector).len(), 0);
    }

    #[tokio::test]
    async fn a_collector_that_is_away_holds_up_nothing() {
        let db = Database::with_extension().await;
        let sink = HttpSink::start();
        watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
        let sidecar = Sidecar::command(&db).env("TRADEFLOW_TRACES_ENDPOINT", "http://127.0.0.1:1").start();
        db.sql("insert into jobs values (1)").await;
        sink.wait_for(1).await;
        db.until("select count(*) = 1 from tradeflow.outbox_history").await;
        stop(sidecar);
    }

    #[tokio::test]
    async fn a_broken_endpoint_is_refused() {
        let db = Database::with_extension().await;
        let said = tradeflow_tests::sidecar::Tradeflow::on(&db, ["run"])
            .env("TRADEFLOW_TRACES_ENDPOINT", "localhost:4318")
            .run();
        assert!(said.failure().contains("http://localhost:4318"), "{}", said.stderr);
    }
}
