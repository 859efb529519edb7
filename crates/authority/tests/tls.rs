//! Which peers get a connection, which are refused, and why.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps says what it expected"
)]

use std::sync::Arc;
use std::time::Duration;

use remit_authority::Authority;
use remit_core::{Identity, Role};
use remit_identity::credential::Credential;
use remit_identity::join::{self, Invite, Renewal};
use remit_identity::tls::{self, Acceptor, Purpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

struct Mesh {
    authority: Authority,
    acceptor: Acceptor,
    listener: TcpListener,
    address: String,
    dir: tempfile::TempDir,
}

fn name(mesh: &str, role: Role) -> Identity {
    Identity::new(mesh, "default", role, "one").unwrap()
}

async fn mesh(name_of_mesh: &str) -> Mesh {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(&dir.path().join("ca"), name_of_mesh).unwrap();
    let own = authority.issue(&name(name_of_mesh, Role::Orchestrator), DAY).unwrap();
    let roles = [Role::Client, Role::AgentNode, Role::ToolNode];
    let acceptor = Acceptor::new(&own, &roles).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tls::local(&listener).unwrap().to_string();
    Mesh { authority, acceptor, listener, address, dir }
}

impl Mesh {
    fn issue(&self, role: Role, life: Duration) -> Credential {
        self.authority.issue(&name(self.authority.mesh(), role), life).unwrap()
    }

    async fn accept(&self) -> Result<tls::Accepted, tls::Refused> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(tcp, LIMIT).await
    }

    /// Dials with `credential`, and returns the acceptor's refusal.
    async fn refusal(&self, credential: &Credential) -> String {
        let dialled = tls::dial(&self.address, credential, Purpose::Peer, LIMIT);
        let (accepted, _) = tokio::join!(self.accept(), dialled);
        accepted.map(|_| ()).expect_err("the peer is refused").0
    }
}

#[tokio::test]
async fn a_member_is_known_by_its_certificate() {
    let mesh = mesh("home").await;
    let credential = mesh.issue(Role::ToolNode, DAY);
    for purpose in [Purpose::Peer, Purpose::Attempt] {
        let dialled = tls::dial(&mesh.address, &credential, purpose, LIMIT);
        let (accepted, dialled) = tokio::join!(mesh.accept(), dialled);
        let (accepted, (_, server)) = (accepted.unwrap(), dialled.unwrap());
        assert_eq!(accepted.purpose, purpose);
        let (identity, until) = accepted.peer.unwrap();
        assert_eq!(identity, *credential.identity());
        assert_eq!(until, credential.not_after());
        assert_eq!(server.role(), Role::Orchestrator);
    }
}

#[tokio::test]
async fn peer_of_another_authority_gets_nothing() {
    let (mesh, other) = (mesh("home").await, self::mesh("home").await);
    let why = mesh.refusal(&other.issue(Role::ToolNode, DAY)).await;
    // The peer is the first to notice that the server is of another authority.
    assert!(why.contains("127.0.0.1"), "{why}");
}

#[tokio::test]
async fn server_of_another_authority_is_refused() {
    let (mesh, other) = (mesh("home").await, self::mesh("home").await);
    let credential = other.issue(Role::ToolNode, DAY);
    let dialled = tls::dial(&mesh.address, &credential, Purpose::Peer, LIMIT);
    let (_, dialled) = tokio::join!(mesh.accept(), dialled);
    assert!(dialled.err().unwrap().0.contains("invalid peer certificate"));
}

#[tokio::test]
async fn forged_certificate_gets_nothing() {
    // A peer that trusts this mesh and shows a certificate of another authority.
    let (mesh, other) = (mesh("home").await, self::mesh("home").await);
    let forged = other.issue(Role::ToolNode, DAY).trusting(mesh.authority.certificate().to_vec());
    let why = mesh.refusal(&forged).await;
    assert!(why.contains("invalid peer certificate") && why.contains("tool-node/one"), "{why}");
}

#[tokio::test]
async fn peer_of_a_refused_role_gets_nothing() {
    let mesh = mesh("home").await;
    let why = mesh.refusal(&mesh.issue(Role::Orchestrator, DAY)).await;
    assert!(why.contains("orchestrator/one has the role orchestrator"), "{why}");
}

#[tokio::test]
async fn peer_of_another_mesh_gets_nothing() {
    let mesh = mesh("home").await;
    let stray = mesh.authority.issue(&name("away", Role::ToolNode), DAY).unwrap();
    let why = mesh.refusal(&stray).await;
    assert!(why.contains("spiffe://away/") && why.contains("another mesh than `home`"), "{why}");
}

#[tokio::test]
async fn expired_peer_gets_nothing() {
    let mesh = mesh("home").await;
    let why = mesh.refusal(&mesh.issue(Role::ToolNode, Duration::ZERO)).await;
    assert!(why.contains("expired") && why.contains("tool-node/one"), "{why}");
}

#[tokio::test]
async fn peer_without_a_certificate_gets_nothing() {
    let mesh = mesh("home").await;
    let why = refusal_of_plain_client(&mesh, &rustls::version::TLS13, b"remit/1").await;
    assert!(why.contains("sent no certificates"), "{why}");
}

#[tokio::test]
async fn peer_without_a_purpose_gets_nothing() {
    let mesh = mesh("home").await;
    let why = refusal_of_plain_client(&mesh, &rustls::version::TLS13, b"h2").await;
    assert!(why.contains("was refused"), "{why}");
}

async fn refusal_of_plain_client(
    mesh: &Mesh,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[u8],
) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let dialling = async {
        let tcp = TcpStream::connect(&mesh.address).await.unwrap();
        let name = "orchestrator.invalid".try_into().unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    let (accepted, _) = tokio::join!(mesh.accept(), dialling);
    accepted.map(|_| ()).expect_err("the peer is refused").0
}

/// A client that verifies no certificate.
#[derive(Debug)]
struct AnyServer;

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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[tokio::test]
async fn peer_over_tls_1_2_gets_nothing() {
    // A ClientHello that offers at most TLS 1.2, as an old client sends it.
    let mesh = mesh("home").await;
    let hello = tls_1_2_hello();
    let dialling = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut tcp = TcpStream::connect(&mesh.address).await.unwrap();
        tcp.write_all(&hello).await.unwrap();
        let mut answer = Vec::new();
        let _ended = tcp.read_to_end(&mut answer).await;
        answer
    };
    let (accepted, answer) = tokio::join!(mesh.accept(), dialling);
    let why = accepted.map(|_| ()).expect_err("the peer is refused").0;
    assert!(why.contains("was refused"), "{why}");
    assert!(answer.is_empty() || answer[0] == 21, "at most an alert is answered");
}

fn tls_1_2_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    body.extend([0, 16]);
    body.extend(groups);
    body.extend(signatures);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[tokio::test]
async fn joining_gives_a_credential_that_works() {
    let mesh = mesh("home").await;
    let secret = [7; 32];
    let invite =
        Invite { address: mesh.address.clone(), authority_hash: mesh.authority.hash(), secret };
    let line = invite.to_string();
    assert_eq!(line.parse::<Invite>().unwrap(), invite);
    assert!(!format!("{invite:?}").contains(line.rsplit(',').next().unwrap()));
    let serving = async {
        let mut accepted = mesh.accept().await.unwrap();
        assert_eq!((accepted.purpose, accepted.peer), (Purpose::Join, None));
        let request = join::read_request(&mut accepted.stream).await.unwrap();
        assert_eq!(request.secret, secret);
        let leaf = mesh
            .authority
            .sign(&request.signing_request, &name("home", Role::ToolNode), None, DAY)
            .unwrap();
        let reply = Ok((leaf, mesh.authority.certificate().to_vec()));
        join::write_reply(&mut accepted.stream, reply).await.unwrap();
    };
    let (_, joined) = tokio::join!(serving, join::redeem(&invite, Role::ToolNode, LIMIT));
    let joined = joined.unwrap();
    let dir = mesh.dir.path().join("joined");
    joined.save(&dir).unwrap();
    let joined = Credential::load(&dir).unwrap().unwrap();
    let dialled = tls::dial(&mesh.address, &joined, Purpose::Peer, LIMIT);
    let (accepted, dialled) = tokio::join!(mesh.accept(), dialled);
    dialled.unwrap();
    assert_eq!(accepted.unwrap().peer.unwrap().0, name("home", Role::ToolNode));
}

#[tokio::test]
async fn an_invite_of_another_mesh_is_not_redeemed() {
    let mesh = mesh("home").await;
    let invite = Invite { address: mesh.address.clone(), authority_hash: [1; 32], secret: [7; 32] };
    let (_, joined) = tokio::join!(mesh.accept(), join::redeem(&invite, Role::ToolNode, LIMIT));
    assert!(joined.err().unwrap().0.contains("its authority is not the one"));
}

#[tokio::test]
async fn a_renewed_credential_has_the_same_name_and_a_new_key() {
    let mesh = mesh("home").await;
    let old = mesh.issue(Role::AgentNode, DAY);
    let renewal = Renewal::prepare(&old).unwrap();
    let leaf = mesh.authority.sign(renewal.signing_request(), old.identity(), None, DAY).unwrap();
    let renewed = renewal.complete(&leaf, mesh.authority.certificate()).unwrap();
    assert_eq!(renewed.identity(), old.identity());
    let (accepted, _) =
        tokio::join!(mesh.accept(), tls::dial(&mesh.address, &renewed, Purpose::Peer, LIMIT));
    accepted.unwrap();
    let stolen = Renewal::prepare(&old).unwrap();
    let why = stolen.complete(&leaf, mesh.authority.certificate()).err().unwrap().0;
    assert!(!why.is_empty(), "a certificate for another key is refused");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    Authority::load_or_create(dir.path(), "home").unwrap();
    let key = dir.path().join("authority-key.der");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Authority::load_or_create(dir.path(), "home").err().unwrap().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_credential_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let mesh = mesh("home").await;
    let dir = mesh.dir.path().join("node");
    mesh.issue(Role::ToolNode, DAY).save(&dir).unwrap();
    let file = dir.join("credential.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Credential::load(&dir).err().unwrap().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_signing_request_by_another_key_is_refused() {
    let mesh = mesh("home").await;
    let renewal = Renewal::prepare(&mesh.issue(Role::ToolNode, DAY)).unwrap();
    let mut request = renewal.signing_request().to_vec();
    mesh.authority.sign(&request, &name("home", Role::ToolNode), None, DAY).unwrap();
    *request.last_mut().unwrap() ^= 1;
    assert!(mesh.authority.sign(&request, &name("home", Role::ToolNode), None, DAY).is_err());
}
