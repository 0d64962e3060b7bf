//! A report that CI systems read.

use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use crate::project::Error;

pub fn write(report: &Report, path: &Path) -> Result<(), Error> {
    let mut junit = quick_junit::Report::new("tradeflow");
    junit.set_time(Duration::from_secs_f64(report.seconds));
    let mut files: Vec<&str> = report.tests.iter().map(|t| t.file.as_str()).collect();
    files.dedup();
    for file in files {
        let mut suite = TestSuite::new(file);
        for test in report.tests.iter().filter(|t| t.file == file) {
            let status = match test.failures.is_empty() {
                true => TestCaseStatus::success(),
                false => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(test.failures[0].lines().next().unwrap_or_default());
                    status.set_description(test.failures.join("\n"));
                    status
                }
            };
            let mut case = TestCase::new(test.name.as_str(), status);
            case.set_classname(file).set_time(Duration::from_secs_f64(test.seconds));
            suite.add_test_case(case);
        }
        junit.add_test_suite(suite);
    }
    let text = junit.to_string().map_err(|e| Error::File { path: path.to_owned(), reason: e.to_string() })?;
    std::fs::write(path, text).map_err(|e| Error::File { path: path.to_owned(), reason: e.to_string() })
}
