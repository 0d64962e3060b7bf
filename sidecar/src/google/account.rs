//! A service account: its key file, and the signed statement that a token is given for.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{RsaKeyPair, RSA_PKCS1_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::PrivatePkcs8KeyDer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{json, Value as Json};

/// The clocks of this host and of Google's may differ by so many seconds.
const SKEW: i64 = 30;

/// Who we are to Google.
pub struct Account {
    pub email: String,
    pub token_uri: String,
    key_id: Option<String>,
    key: RsaKeyPair,
}

/// Why a key cannot be used. Never holds a part of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    #[error("the secret is not the JSON key of a service account (Google Cloud console: IAM, service accounts, keys, add key, JSON)")]
    NoKeyFile,
    #[error("the key file has no {0}")]
    Missing(&'static str),
    #[error("the private key of the key file cannot be read: {0}")]
    Key(String),
    #[error("nothing could be signed with the private key")]
    Sign,
}

impl Account {
    /// Reads a key file.
    pub fn read(file: &SecretString) -> Result<Account, Unusable> {
        let json: Json = serde_json::from_str(file.expose_secret()).map_err(|_| Unusable::NoKeyFile)?;
        let text = |key: &'static str| json[key].as_str().map(str::to_owned).ok_or(Unusable::Missing(key));
        let pem = text("private_key")?;
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| Unusable::Key(e.to_string()))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|e| Unusable::Key(e.to_string()))?;
        Ok(Account {
            email: text("client_email")?,
            token_uri: json["token_uri"].as_str().unwrap_or("https://oauth2.googleapis.com/token").to_owned(),
            key_id: json["private_key_id"].as_str().map(str::to_owned),
            key,
        })
    }

    /// The statement (a JWT, RS256) that asks for a token with these scopes.
    pub fn assertion(&self, scopes: &str, now: DateTime<Utc>) -> Result<String, Unusable> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = id.clone().into();
        }
        let issued = now.timestamp() - SKEW;
        let claims = json!({"iss": self.email, "scope": scopes, "aud": self.token_uri, "iat": issued, "exp": issued + 3600});
        let encode = |part: &Json| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Unusable::Sign)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_said_and_not_shown() {
        let read =
            |text: &str| Account::read(&SecretString::from(text.to_owned())).err().map(|e| e.to_string());
        assert!(read("hunter2").is_some_and(|e| e.contains("JSON key") && !e.contains("hunter2")));
        assert!(read(r#"{"client_email": "a@b"}"#).is_some_and(|e| e.contains("private_key")));
        let broken = r#"{"client_email": "a@b", "private_key": "hunter2"}"#;
        assert!(read(broken).is_some_and(|e| e.contains("cannot be read") && !e.contains("hunter2")));
    }
}
