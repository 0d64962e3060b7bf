//! Whom encrypted connections trust: the system's authorities and, on request, one more file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{pem::PemObject, CertificateDer};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

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

/// A client that encrypts and asks nobody who the server is: what libpq does for sslmode prefer and require, and what
/// a server with a home-made certificate (Debian's default) needs. For Postgres alone.
pub fn unverified_client_config() -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        .with_no_client_auth();
    Ok(config)
}

/// TLS for tokio-postgres, which asks for it by name even where the server is a socket file, which has none.
#[derive(Clone)]
pub struct PostgresTls(MakeRustlsConnect);

impl PostgresTls {
    pub fn new(config: ClientConfig) -> PostgresTls {
        PostgresTls(MakeRustlsConnect::new(config))
    }
}

impl<S> MakeTlsConnect<S> for PostgresTls
where
    MakeRustlsConnect: MakeTlsConnect<S>,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        // Of a socket file this is never used: its sslmode is disable.
        let name = if host.is_empty() { "localhost" } else { host };
        MakeTlsConnect::<S>::make_tls_connect(&mut self.0, name)
    }
}

/// Takes every certificate; that the server holds its key is still checked.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
