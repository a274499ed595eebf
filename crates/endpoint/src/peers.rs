//! Whom we take a server for that we call by TLS.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Who has a certificate of an authority for the name that is called (RFC 5922 §7); anybody, if a configuration says that
/// certificates are not checked. That the peer has the certificate's key is checked in any case.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) checks: Option<Arc<WebPkiServerVerifier>>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(checks) = &self.checks else { return Ok(ServerCertVerified::assertion()) };
        // The name is what is checked last: without it the certificate is good in every other respect.
        let found = checks.verify_server_cert(certificate, others, name, ocsp, now);
        let is_for_another = matches!(
            found,
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        );
        if found.is_err() && !is_for_another {
            return found;
        }
        match (named_by(certificate, name), found) {
            (Some(true), _) => Ok(ServerCertVerified::assertion()),
            (Some(false), Ok(_)) => {
                let presented = vec!["by no SIP domain and no whole DNS name".to_owned()];
                Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into())
            }
            (_, found) => found,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate is for a domain: if it names SIP domains it is for those, otherwise for its DNS names as they are
/// written, as wildcards mean nothing in SIP (RFC 5922 §7.2). `None`: an address is called, which the library compares.
fn named_by(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Option<bool> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut domains = certificate.valid_uri_names().filter_map(sip_domain).peekable();
    let has_domains = domains.peek().is_some();
    match name {
        ServerName::DnsName(name) if has_domains => Some(domains.any(|one| one.eq_ignore_ascii_case(name.as_ref()))),
        ServerName::DnsName(name) => {
            Some(certificate.valid_dns_names().any(|one| one.eq_ignore_ascii_case(name.as_ref())))
        }
        _ => None,
    }
}

/// The domain that a SIP URI of a certificate is for; one with a user part is none's (RFC 5922 §7.1).
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_domain = scheme.eq_ignore_ascii_case("sip") && !rest.contains(['@', ';', '?', ':']);
    is_domain.then_some(rest)
}
