//! What goes wrong on purpose can be said over HTTP, to the fake of any vendor.

use serde_json::{json, Value};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;

/// Asks with curl, as people at a demo do: status and body.
fn curl(method: &str, url: &str, body: &Value) -> (String, String) {
    let output = std::process::Command::new("curl")
        .args(["-s", "-X", method, "-w", "\n%{http_code}", "-d", &body.to_string(), url])
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_vendor_is_down_until_it_is_up_again() {
    let (crm, office) = (HubSpot::start(), Google::start());
    for url in [crm.url(), office.url()] {
        let ask = || curl("GET", &format!("{url}/v4/anything"), &json!({})).0;
        let faults = format!("{url}/_fake/faults");
        assert_eq!(ask(), "401", "it is up, and strict");
        assert_eq!(curl("POST", &faults, &json!({"fault": {"status": {"status": 503}}})).0, "204");
        assert_eq!((ask(), ask()), ("503".to_owned(), "503".to_owned()));
        assert_eq!(curl("DELETE", &faults, &json!({})).0, "204");
        assert_eq!(ask(), "401");
        let some = json!({"method": "GET", "path": "/v4/*", "count": 1, "skip": 1, "fault": {"html": {"status": 502}}});
        assert_eq!(curl("POST", &faults, &some).0, "204");
        assert_eq!((ask(), ask(), ask()), ("401".into(), "502".into(), "401".into()));
        let (status, said) = curl("POST", &faults, &json!({"fault": "sulks"}));
        assert!(status == "422" && said.contains("unknown variant `sulks`"), "{said}");
    }
}
