//! TLS (RFC 5246, RFC 8446) by rustls: what each side shows and demands, by address and by name, and what came of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use crate::peers::Peers;

/// One section of a configuration: how we appear and what we demand on one address, or on all others.
#[derive(Clone, Debug, Default)]
pub struct TlsDomain {
    /// For connections that we make; else for those that we take.
    pub is_client: bool,
    /// The address it is for (ours for a server, the peer's for a client); None: for all that have no section.
    pub address: Option<SocketAddr>,
    /// Certificate chain and key, as PEM, with the names that ask for it (none: for all names).
    pub identities: Vec<TlsIdentity>,
    /// Certificates of authorities, as PEM.
    pub authorities: Vec<u8>,
    /// Lists of revoked certificates, as PEM.
    pub revoked: Vec<u8>,
    /// Check the peer's certificate.
    pub verify: bool,
    /// Demand one.
    pub require: bool,
    /// Oldest version: 2 or 3 (TLS 1.2, TLS 1.3).
    pub oldest: u8,
    /// Names of cipher suites (IANA's); empty: all that are sound.
    pub ciphers: Vec<String>,
}

/// A certificate of ours.
#[derive(Clone, Debug, Default)]
pub struct TlsIdentity {
    /// Certificates, ours first, as PEM.
    pub chain: Vec<u8>,
    /// Its key, as PEM.
    pub key: Vec<u8>,
    /// Server names that it is for, in small letters.
    pub names: Vec<String>,
}

/// What a connection's handshake came to.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by IANA's name.
    pub cipher: String,
    /// The name that the peer asked for.
    pub server_name: Option<String>,
    /// The peer's certificate and what it sent with it, as DER.
    pub peer: Vec<Vec<u8>>,
    /// Ours.
    pub own: Option<Vec<u8>>,
    /// The peer's certificate was checked and is good.
    pub is_verified: bool,
}

/// Sections ready for use.
pub struct TlsContext {
    servers: Vec<Section<ServerConfig, Arc<Identities>>>,
    clients: Vec<Section<ClientConfig, Option<Vec<u8>>>>,
}

/// A section ready for use: where it holds, what rustls does, what we show, and whether peers are checked.
struct Section<Config, Own> {
    address: Option<SocketAddr>,
    config: Arc<Config>,
    own: Own,
    verifies: bool,
}

/// A TLS connection and what it needs to tell its facts.
pub(crate) struct Secured {
    pub(crate) connection: Connection,
    verifies: bool,
    own: Own,
}

enum Own {
    Server(Arc<Identities>),
    Client(Option<Vec<u8>>),
}

impl TlsContext {
    /// Make sections ready.
    ///
    /// # Errors
    /// In words: which file's content is not what it should be.
    pub fn new(domains: &[TlsDomain]) -> Result<TlsContext, String> {
        let mut context = TlsContext { servers: Vec::new(), clients: Vec::new() };
        for domain in domains {
            if domain.is_client {
                let own =
                    domain.identities.first().map(chain_of).transpose()?.and_then(|chain| chain.into_iter().next());
                let own = own.map(|certificate| certificate.to_vec());
                let config = Arc::new(client(domain)?);
                let (address, verifies) = (domain.address, domain.verify);
                context.clients.push(Section { address, config, own, verifies });
            } else {
                let identities = Arc::new(Identities::new(&domain.identities)?);
                let config = Arc::new(server(domain, identities.clone())?);
                let (address, verifies) = (domain.address, domain.verify);
                context.servers.push(Section { address, config, own: identities, verifies });
            }
        }
        Ok(context)
    }

    /// For a connection that came to an address of ours; None: there is no section for it.
    pub(crate) fn accept(&self, local: SocketAddr) -> Option<Secured> {
        let section = section_for(&self.servers, local)?;
        let connection = ServerConnection::new(section.config.clone()).ok()?;
        let own = Own::Server(section.own.clone());
        Some(Secured { connection: connection.into(), verifies: section.verifies, own })
    }

    /// For a connection to a peer who must show a name, or else his address.
    pub(crate) fn connect(&self, remote: SocketAddr, name: Option<&str>) -> Option<Secured> {
        let section = section_for(&self.clients, remote)?;
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned()).ok()?,
            None => ServerName::IpAddress(remote.ip().into()),
        };
        let connection = ClientConnection::new(section.config.clone(), name).ok()?;
        let own = Own::Client(section.own.clone());
        Some(Secured { connection: connection.into(), verifies: section.verifies, own })
    }
}

fn section_for<C, O>(all: &[Section<C, O>], address: SocketAddr) -> Option<&Section<C, O>> {
    let exact = all.iter().find(|one| one.address == Some(address));
    exact.or_else(|| all.iter().find(|one| one.address.is_none()))
}

impl Secured {
    /// The facts of a finished handshake.
    pub(crate) fn facts(&self) -> TlsFacts {
        let connection = &self.connection;
        let peer: Vec<Vec<u8>> =
            connection.peer_certificates().unwrap_or_default().iter().map(|one| one.to_vec()).collect();
        let server_name = match connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        let own = match &self.own {
            Own::Client(own) => own.clone(),
            Own::Server(identities) => {
                identities.find(server_name.as_deref()).and_then(|one| Some(one.cert.first()?.to_vec()))
            }
        };
        TlsFacts {
            version: if connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
                "TLSv1.3"
            } else {
                "TLSv1.2"
            },
            cipher: connection.negotiated_cipher_suite().map_or(String::new(), |one| format!("{:?}", one.suite())),
            is_verified: self.verifies && !peer.is_empty(),
            server_name,
            peer,
            own,
        }
    }
}

// -- what we show -------------------------------------------------------------------------------------------------

/// Our certificates by the name that a peer asks for.
struct Identities {
    all: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|(names, _)| names)).finish()
    }
}

impl Identities {
    fn new(identities: &[TlsIdentity]) -> Result<Identities, String> {
        let made = |identity: &TlsIdentity| {
            let chain = chain_of(identity)?;
            let key =
                ring::sign::any_supported_type(&key_of(identity)?).map_err(|error| format!("the key: {error}"))?;
            let certified = CertifiedKey::new(chain, key);
            match certified.keys_match() {
                Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                    Err("the key does not belong to the certificate".to_owned())
                }
                _ => Ok((identity.names.clone(), Arc::new(certified))),
            }
        };
        Ok(Identities { all: identities.iter().map(made).collect::<Result<_, String>>()? })
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let is_for = |names: &Vec<String>| name.as_ref().is_some_and(|name| names.contains(name));
        let named = self.all.iter().find(|(names, _)| is_for(names));
        named.or_else(|| self.all.iter().find(|(names, _)| names.is_empty())).map(|(_, key)| key)
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

fn chain_of(identity: &TlsIdentity) -> Result<Vec<CertificateDer<'static>>, String> {
    certificates(&identity.chain).and_then(|chain| match chain.is_empty() {
        true => Err("there is no certificate in the file".to_owned()),
        false => Ok(chain),
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| format!("a certificate: {error}"))
}

fn key_of(identity: &TlsIdentity) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| format!("the key: {error}"))
}

// -- what we demand -----------------------------------------------------------------------------------------------

fn provider(ciphers: &[String]) -> Result<Arc<CryptoProvider>, String> {
    let mut provider = ring::default_provider();
    if !ciphers.is_empty() {
        let is_meant = |name: &str| ciphers.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        provider.cipher_suites.retain(|one| is_meant(&format!("{:?}", one.suite())));
        if provider.cipher_suites.is_empty() {
            let known: Vec<String> =
                ring::default_provider().cipher_suites.iter().map(|one| format!("{:?}", one.suite())).collect();
            return Err(format!("none of the cipher suites is known; there are {}", known.join(", ")));
        }
    }
    Ok(Arc::new(provider))
}

static FROM_TLS_1_2: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
static FROM_TLS_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(oldest: u8) -> &'static [&'static SupportedProtocolVersion] {
    if oldest >= 3 {
        FROM_TLS_1_3
    } else {
        FROM_TLS_1_2
    }
}

fn roots(domain: &TlsDomain) -> Result<Arc<RootCertStore>, String> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(&domain.authorities)?);
    if added == 0 {
        return Err("there are no certificates of authorities to check by".to_owned());
    }
    Ok(Arc::new(store))
}

fn revocations(domain: &TlsDomain) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    CertificateRevocationListDer::pem_slice_iter(&domain.revoked)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a list of revoked certificates: {error}"))
}

fn server(domain: &TlsDomain, identities: Arc<Identities>) -> Result<ServerConfig, String> {
    let provider = provider(&domain.ciphers)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(domain.oldest))
        .map_err(|error| error.to_string())?;
    let builder = if domain.verify {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(domain)?, provider)
            .with_crls(revocations(domain)?)
            .allow_unknown_revocation_status();
        let verifier = if domain.require { verifier } else { verifier.allow_unauthenticated() };
        builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
    } else {
        builder.with_no_client_auth()
    };
    Ok(builder.with_cert_resolver(identities))
}

fn server_checks(domain: &TlsDomain, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(roots(domain)?, provider)
        .with_crls(revocations(domain)?)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| error.to_string())
}

fn client(domain: &TlsDomain) -> Result<ClientConfig, String> {
    let provider = provider(&domain.ciphers)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(domain.oldest))
        .map_err(|error| error.to_string())?;
    let checks = domain.verify.then(|| server_checks(domain, provider.clone())).transpose()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Peers { checks, provider }));
    let mut config = match domain.identities.first() {
        Some(identity) => builder
            .with_client_auth_cert(chain_of(identity)?, key_of(identity)?)
            .map_err(|error| format!("the certificate: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(1024);
    Ok(config)
}
