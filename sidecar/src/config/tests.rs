use super::*;

fn load(file: &str, env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tradeflow.toml");
    std::fs::write(&path, file).unwrap();
    Config::load(Sources {
        file: Some(path),
        env: env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        flags: flags.iter().map(|(k, v)| (*k, v.to_string())).collect(),
    })
}

#[test]
fn the_default_file_is_a_whole_configuration() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(config.concurrency, 128);
    assert_eq!(config.lease, Duration::from_secs(60));
    assert_eq!(config.completion_flush, Duration::from_millis(3));
    assert!(config.listen && config.database_url.is_empty() && config.tls.extra_ca_file.is_none());
    assert_eq!(config.secrets.env[0], "TRADEFLOW_*");
}

#[test]
fn every_key_of_the_default_file_is_explained() {
    let lines: Vec<&str> = DEFAULT_FILE.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        if is_key {
            let above = lines[i - 1];
            let explained =
                above.starts_with("# ") || above.contains(" = ") && lines[i - 2].starts_with("# ");
            assert!(explained, "no comment above `{line}`");
        }
    }
}

#[test]
fn later_sources_win() {
    let file = "concurrency = 2\nclaim_batch = 3\nlease = \"90s\"\n";
    let env = [("TRADEFLOW_CONCURRENCY", "4"), ("TRADEFLOW_CLAIM_BATCH", "5")];
    let config = load(file, &env, &[("concurrency", "6")]).unwrap();
    assert_eq!((config.concurrency, config.claim_batch), (6, 5));
    assert_eq!(config.lease, Duration::from_secs(90));
}

#[test]
fn sections_and_lists_are_read_from_the_environment() {
    let env = [("TRADEFLOW_SECRETS_ENV", "A_*, B"), ("TRADEFLOW_TLS_EXTRA_CA_FILE", "/x.pem")];
    let config = load("", &env, &[]).unwrap();
    assert_eq!(config.secrets.env, ["A_*", "B"]);
    assert_eq!(config.tls.extra_ca_file.as_deref(), Some(Path::new("/x.pem")));
}

#[test]
fn sheets_are_named_in_a_word_or_a_table() {
    let file = "[sheets]\nsynced = [\"1AbC/Companies/Email\", { spreadsheet = \"2\", tab = \"A/B, C\", key = \"id\" }]";
    let config = load(file, &[], &[]).unwrap();
    let names: Vec<String> = config.sheets.synced.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["1AbC/Companies/Email", "2/A/B, C/id"]);
    let config = load("", &[("TRADEFLOW_SHEETS_SYNCED", "1/Companies/Email, 2/Quotes/No")], &[]).unwrap();
    assert_eq!(config.sheets.synced[1].to_string(), "2/Quotes/No");
    let wrong = |text: &str| load(&format!("[sheets]\nsynced = [{text}]"), &[], &[]).unwrap_err().to_string();
    assert!(wrong("\"1AbC/Companies\"").contains("spreadsheet id/tab/key column"));
    assert!(wrong("\"1//Email\"").contains("spreadsheet id/tab/key column"));
    assert!(wrong("\"1/A/x\", \"1/A/y\"").contains("names tab 1/A twice"));
}

#[test]
fn database_url_of_the_environment_is_the_last_resort() {
    let usual = ("DATABASE_URL", "postgres://usual");
    let config = load("", &[usual], &[]).unwrap();
    assert_eq!(config.database_url.expose(), "postgres://usual");
    let config = load("database_url = \"postgres://file\"", &[usual], &[]).unwrap();
    assert_eq!(config.database_url.expose(), "postgres://file");
}

#[test]
fn an_unknown_key_names_itself_the_file_and_the_nearest_key() {
    let message = load("[secrets]\ndirectorys = []\n", &[], &[]).unwrap_err().to_string();
    assert!(message.contains("`secrets.directorys`"), "{message}");
    assert!(message.contains("tradeflow.toml"), "{message}");
    assert!(message.contains("did you mean `secrets.directories`?"), "{message}");
}

#[test]
fn a_misspelt_variable_is_refused_and_others_are_not() {
    let message = load("", &[("TRADEFLOW_CONCURENCY", "2")], &[]).unwrap_err().to_string();
    assert!(message.contains("did you mean `TRADEFLOW_CONCURRENCY`?"), "{message}");
    assert!(load("", &[("TRADEFLOW_API_TOKEN", "x"), ("TRADEFLOW_CONFIG", "y")], &[]).is_ok());
}

#[test]
fn a_wrong_value_names_key_and_source() {
    let message = load("lease = \"soon\"\n", &[], &[]).unwrap_err().to_string();
    assert!(message.contains("lease") && message.contains("not a duration"), "{message}");
    let message = load("", &[("TRADEFLOW_CONCURRENCY", "many")], &[]).unwrap_err().to_string();
    assert!(message.contains("TRADEFLOW_CONCURRENCY"), "{message}");
    let message = load("concurrency = 0\n", &[], &[]).unwrap_err().to_string();
    assert!(message.contains("`concurrency` must be between 1 and 10000, not 0"), "{message}");
    for key in ["database_pool_size", "target_concurrency", "claim_batch", "completion_batch"] {
        let message = load(&format!("{key} = 1000000000000\n"), &[], &[]).unwrap_err().to_string();
        assert!(message.contains(&format!("`{key}` must be between 1 and 10000")), "{message}");
    }
}

#[test]
fn the_database_url_never_shows_itself() {
    let config = load("database_url = \"postgres://me:hunter2@host/db\"", &[], &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
