//! Whom encrypted connections trust: the system's authorities and, on request, one more file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{pem::PemObject, CertificateDer};
use rustls::ClientConfig;

/// Why no encrypted connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("tls.extra_ca_file: {path} cannot be read as PEM certificates: {reason}")]
    ExtraCa { path: PathBuf, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificates of `tls.extra_ca_file`, none when the key is empty.
pub fn extra_roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let Some(path) = file else { return Ok(Vec::new()) };
    let wrong = |reason: String| Error::ExtraCa { path: path.to_owned(), reason };
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|e| wrong(e.to_string()))?;
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".into()));
    }
    Ok(roots)
}

/// The cryptography every connection uses; stated here so that no library picks another.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A client that verifies names and certificates against the system's authorities and `extra`.
pub fn client_config(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider())?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}
