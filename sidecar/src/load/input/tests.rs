use super::*;

fn pointers(file: &str, text: &str) -> Vec<String> {
    payloads(file, text.as_bytes())
        .into_iter()
        .map(|(origin, found)| {
            let line = origin.line.map(|n| format!("{n}:")).unwrap_or_default();
            format!("{line}{}{}", origin.pointer, if found.is_ok() { "" } else { " refused" })
        })
        .collect()
}

#[test]
fn envelopes_are_unpacked() {
    assert_eq!(pointers("a.json", r#"{"quoteId":1}"#), [""]);
    assert_eq!(pointers("a.json", r#"[{"id":1},{"id":2}]"#), ["/0", "/1"]);
    assert_eq!(pointers("a.json", r#"{"code":200,"data":{"id":1},"meta":{"message":"SUCCESS"}}"#), ["/data"]);
    assert_eq!(pointers("a.json", r#"{"code":200,"data":[{"id":1}],"meta":{}}"#), ["/data/0"]);
    assert_eq!(
        pointers("a.json", r#"{"code":200,"data":{"list":[{"id":1}],"pagination":{}},"message":""}"#),
        ["/data/list/0"]
    );
    assert_eq!(pointers("a.json", r#"{"list":[{"id":1}]}"#), ["/list/0"]);
    assert_eq!(
        pointers("a.json", r#"[{"code":200,"data":{"id":1}},{"code":200,"data":{"id":2}}]"#),
        ["/0/data", "/1/data"]
    );
    assert_eq!(pointers("a.json", r#"{"code":200,"data":[]}"#), Vec::<String>::new());
    assert_eq!(pointers("a.json", ""), Vec::<String>::new());
    assert_eq!(pointers("a.json", "\u{feff}{\"id\":1}"), [""]);
}

#[test]
fn a_company_with_a_key_named_data_is_no_envelope() {
    assert_eq!(pointers("a.json", r#"{"companyId":1,"data":{"x":1}}"#), [""]);
}

#[test]
fn one_document_a_line() {
    assert_eq!(pointers("a.ndjson", "{\"id\":1}\n\n{broken\n[{\"id\":2}]\r\n"), ["1:", "3: refused", "4:/0"]);
    assert_eq!(pointers("a.json", "{\"id\":1}\n{\"id\":2}\n"), ["1:", "2:"]);
}

#[test]
fn broken_files_say_where() {
    let found = payloads("a.json", b"{\n  \"id\": 1,\n  \"name\": oops\n}");
    let [(_, Err(problem))] = &found[..] else { panic!("{found:?}") };
    assert!(problem.found.contains("line 3"), "{}", problem.found);
    assert_eq!(pointers("a.json", "{\"id\": 1"), [" refused"]);
    assert_eq!(pointers("a.json", "17"), [" refused"]);
    assert_eq!(pointers("a.json", "[{\"id\":1}, 3]"), ["/0", "/1 refused"]);
}

#[test]
fn an_answer_to_a_failed_request_is_no_payload() {
    let text = br#"{"code":404,"data":{"errMsg":"Quote not found"},"meta":{"message":"Not Found"}}"#;
    let found = payloads("a.json", text);
    let [(_, Err(problem))] = &found[..] else { panic!("{found:?}") };
    assert!(problem.found.contains("404") && problem.found.contains("Quote not found"), "{}", problem.found);
}

#[test]
fn directories_are_read_in_the_order_of_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["quotes/b.json", "quotes/a.ndjson", "companies/1.json", "other/x.json", "quotes/readme.txt"]
    {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, "{}").expect("a file");
    }
    let paths = [folder.path().to_path_buf(), folder.path().join("quotes/a.ndjson")];
    let found = sources(&paths).expect("files");
    let names: Vec<_> = found
        .iter()
        .map(|s| s.path.strip_prefix(folder.path()).expect("inside").to_str().expect("text"))
        .collect();
    assert_eq!(names, ["companies/1.json", "quotes/a.ndjson", "quotes/b.json", "other/x.json"]);
    let error = sources(&[folder.path().join("none")]).expect_err("no such file");
    assert!(error.to_string().contains("none"), "{error}");
}
