//! For tests: a server that answers logins as it is told, certificates, and a credential that counts its tokens.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use mssql_mock_tds::TerminalError;
use mssql_mock_tds::protocol::{
    Login7AuthInfo, PACKET_HEADER_SIZE, PacketHeader, PacketType, build_done_token,
    build_feature_ext_ack_fedauth, build_login_ack, build_prelogin_response_with_fedauth,
    build_routing_response, build_terminal_error_tokens, parse_login7_auth,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::compat::TokioAsyncWriteCompatExt as _;

use super::connect::Client;

/// A certificate that vouches for itself, and its key; both as PEM.
pub struct Certificate {
    pub pem: String,
    pub key: String,
}

impl Certificate {
    pub fn of(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

/// What a server does with a connection.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Lets the login in.
    Welcome,
    /// Refuses the login with an error of this number.
    Refuse(u32),
    /// Sends the login on to another host and port.
    SendOn(&'static str, u16),
    /// Hangs up before a word is said.
    HangUp,
    /// Never says a word.
    Stall,
}

/// A server that speaks TDS as far as a login goes, with `Encrypt=mandatory` and with `strict`.
pub struct ScriptedServer {
    pub address: SocketAddr,
    logins: Arc<Mutex<Vec<Login7AuthInfo>>>,
    connections: Arc<AtomicUsize>,
}

impl ScriptedServer {
    /// Gives each connection the next answer, and the last one to all that follow.
    pub async fn start(certificate: &Certificate, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            logins: Arc::default(),
            connections: Arc::default(),
        };
        let acceptor = acceptor(certificate);
        let (logins, connections) = (server.logins.clone(), server.connections.clone());
        let answers = answers.to_vec();
        tokio::spawn(async move {
            loop {
                let (line, _) = listener.accept().await.unwrap();
                let index = connections.fetch_add(1, Ordering::SeqCst);
                let answer = answers[index.min(answers.len() - 1)].clone();
                tokio::spawn(serve(line, acceptor.clone(), answer, logins.clone()));
            }
        });
        server
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What was said in logins.
    pub fn logins(&self) -> Vec<Login7AuthInfo> {
        self.logins.lock().unwrap().clone()
    }

    /// The tokens that came in logins.
    pub fn tokens(&self) -> Vec<String> {
        let tokens = self.logins().into_iter().filter_map(|login| {
            let bytes = login.access_token_bytes?;
            let units = bytes
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            Some(String::from_utf16(&units.collect::<Vec<_>>()).unwrap())
        });
        tokens.collect()
    }
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"tds/8.0".to_vec()];
    // They would come after the handshake, when the client takes no more packets of it.
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    mut line: TcpStream,
    acceptor: TlsAcceptor,
    answer: Answer,
    logins: Arc<Mutex<Vec<Login7AuthInfo>>>,
) {
    match answer {
        Answer::HangUp => return,
        Answer::Stall => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        Answer::Welcome | Answer::Refuse(_) | Answer::SendOn(..) => {}
    }
    let mut first = [0];
    let _ = line.peek(&mut first).await;
    if first[0] == PacketType::PreLogin as u8 {
        // Encrypt=mandatory: greetings first, and the handshake in packets.
        greet(&mut line).await;
        let (wrapped, unwrapped) = tokio::io::duplex(64 * 1024);
        tokio::spawn(unwrap_handshake(line, wrapped));
        if let Ok(mut line) = acceptor.accept(unwrapped).await {
            answer_login(&mut line, answer, logins).await;
        }
    } else if let Ok(mut line) = acceptor.accept(line).await {
        // Encrypt=strict. A client that does not trust the certificate does not come this far.
        greet(&mut line).await;
        answer_login(&mut line, answer, logins).await;
    }
}

async fn greet(line: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if let Some((PacketType::PreLogin, _)) = read_packet(line).await {
        let hello = build_prelogin_response_with_fedauth(true, true);
        line.write_all(&hello).await.unwrap();
    }
}

async fn answer_login(
    line: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: Answer,
    logins: Arc<Mutex<Vec<Login7AuthInfo>>>,
) {
    let Some((PacketType::Login7, body)) = read_packet(line).await else {
        return;
    };
    let login = parse_login7_auth(&body);
    let by_token = login.has_fedauth;
    logins.lock().unwrap().push(login);
    let answer = match answer {
        Answer::Refuse(number) => {
            let error = TerminalError::new(number, 14, "the server's words");
            packet(
                PacketType::TabularResult,
                &build_terminal_error_tokens(&error),
            )
        }
        Answer::SendOn(host, port) => build_routing_response(host, port).to_vec(),
        Answer::Welcome | Answer::HangUp | Answer::Stall => {
            let mut tokens = build_login_ack();
            if by_token {
                tokens.extend_from_slice(&build_feature_ext_ack_fedauth());
            }
            tokens.extend_from_slice(&build_done_token(0));
            packet(PacketType::TabularResult, &tokens)
        }
    };
    line.write_all(&answer).await.unwrap();
    // Until the client hangs up.
    let _ = line.read(&mut [0]).await;
}

/// Carries bytes between a client and TLS: in packets until the client sends its first bare record.
async fn unwrap_handshake(client: TcpStream, tls: DuplexStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_tls, mut to_tls) = tokio::io::split(tls);
    let handshake_is_over = AtomicBool::new(false);
    let inwards = async {
        let mut first = [0];
        while from_client
            .peek(&mut first)
            .await
            .is_ok_and(|read| read > 0)
        {
            if first[0] != PacketType::PreLogin as u8 {
                handshake_is_over.store(true, Ordering::SeqCst);
                let _ = tokio::io::copy(&mut from_client, &mut to_tls).await;
                return;
            }
            let (_, body) = read_packet(&mut from_client).await.unwrap();
            to_tls.write_all(&body).await.unwrap();
        }
    };
    let outwards = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_tls.read(&mut buffer).await {
            let bytes = &buffer[..read];
            let sent = if handshake_is_over.load(Ordering::SeqCst) {
                to_client.write_all(bytes).await
            } else {
                to_client
                    .write_all(&packet(PacketType::PreLogin, bytes))
                    .await
            };
            if sent.is_err() {
                return;
            }
        }
    };
    // Whoever hangs up first ends both.
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
}

/// All packets of one message; only its last one says so.
async fn read_message(line: &mut TcpStream) -> Option<()> {
    const STATUS: usize = 1;
    const END_OF_MESSAGE: u8 = 0x01;
    loop {
        let mut header = [0; PACKET_HEADER_SIZE];
        line.peek(&mut header).await.ok()?;
        read_packet(line).await?;
        if header[STATUS] & END_OF_MESSAGE != 0 {
            return Some(());
        }
    }
}

async fn read_packet(line: &mut (impl AsyncRead + Unpin)) -> Option<(PacketType, Vec<u8>)> {
    let mut header = [0; PACKET_HEADER_SIZE];
    line.read_exact(&mut header).await.ok()?;
    let header = PacketHeader::parse(&mut &header[..]).unwrap();
    let mut body = vec![0; usize::from(header.length) - PACKET_HEADER_SIZE];
    line.read_exact(&mut body).await.ok()?;
    Some((header.packet_type, body))
}

fn packet(kind: PacketType, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(PACKET_HEADER_SIZE + body.len()).unwrap();
    let mut packet = Vec::new();
    PacketHeader::new(kind, length, 1).write(&mut packet);
    packet.extend_from_slice(body);
    packet
}

/// Gives one token, and remembers what it was asked for.
#[derive(Debug)]
pub struct CountingCredential {
    token: Secret,
    lasts: Duration,
    scopes: Mutex<Vec<String>>,
}

impl CountingCredential {
    /// Gives `token`, which ends after `lasts`.
    pub fn new(token: &'static str, lasts: Duration) -> Arc<Self> {
        Arc::new(Self {
            token: token.into(),
            lasts,
            scopes: Mutex::default(),
        })
    }

    /// The scopes that it was asked for, in their order.
    pub fn scopes(&self) -> Vec<String> {
        self.scopes.lock().unwrap().clone()
    }
}

#[async_trait]
impl TokenCredential for CountingCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.scopes.lock().unwrap().push(scopes.join(" "));
        Ok(AccessToken::new(
            self.token.clone(),
            OffsetDateTime::now_utc() + self.lasts,
        ))
    }
}

/// Status of a DONE: more follows; rows were counted; a request was cancelled.
pub const MORE: u16 = 0x01;
pub const COUNTED: u16 = 0x10;
const CANCELLED: u16 = 0x20;

/// What a server does about a request.
#[derive(Clone)]
pub enum Reply {
    /// Says this.
    Say(Tokens),
    /// Says nothing until it is told to stop, and then that it has.
    Stall,
    /// Hangs up.
    HangUp,
}

/// The tokens of an answer, as a server writes them (MS-TDS 2.2.7).
#[derive(Default, Clone)]
pub struct Tokens(Vec<u8>);

impl Tokens {
    fn sized(mut self, token: u8, content: &[u8]) -> Self {
        self.0.push(token);
        self.0
            .extend(u16::try_from(content.len()).unwrap().to_le_bytes());
        self.0.extend(content);
        self
    }

    fn login_ack(self) -> Self {
        let mut content = vec![1, 0x74, 0, 0, 4, 0];
        content.extend([15, 0, 0, 0]);
        self.sized(0xad, &content)
    }

    fn words(self, token: u8, number: i32, class: u8, words: &str) -> Self {
        let utf16: Vec<u8> = words.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut content = number.to_le_bytes().to_vec();
        content.extend([1, class]);
        content.extend(u16::try_from(words.len()).unwrap().to_le_bytes());
        content.extend(utf16);
        // No names of a server and a procedure; line 1.
        content.extend([0, 0, 1, 0, 0, 0]);
        self.sized(token, &content)
    }

    pub fn error(self, number: i32, words: &str) -> Self {
        self.words(0xaa, number, 16, words)
    }

    pub fn message(self, words: &str) -> Self {
        self.words(0xab, 0, 0, words)
    }

    pub fn committed(self) -> Self {
        self.sized(0xe3, &[9, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0])
    }

    pub fn one_row(mut self) -> Self {
        // One column of type INT, called a; a row with 7 in it.
        self.0
            .extend([0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0x38, 1, b'a', 0]);
        self.0.extend([0xd1, 7, 0, 0, 0]);
        self
    }

    pub fn done(mut self, status: u16, rows: u64) -> Self {
        self.0.push(0xfd);
        self.0.extend(status.to_le_bytes());
        self.0.extend([0, 0]);
        self.0.extend(rows.to_le_bytes());
        self
    }
}

/// A client of a server that lets it in and gives each request the next reply. Nothing is encrypted.
pub async fn client_of(replies: &[Reply]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let replies = replies.to_vec();
    tokio::spawn(async move {
        let (mut line, _) = listener.accept().await.unwrap();
        // A version, and no encryption.
        let version = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
        let options = [15, 0, 0, 0, 0, 0, 2];
        say(&mut line, &[&version[..], &options[..]].concat()).await;
        say(&mut line, &Tokens::default().login_ack().done(0, 0).0).await;
        for reply in replies {
            match reply {
                Reply::Say(tokens) => say(&mut line, &tokens.0).await,
                Reply::Stall => {
                    let _ = read_packet(&mut line).await;
                    say(&mut line, &Tokens::default().done(CANCELLED, 0).0).await;
                }
                Reply::HangUp => {
                    let _ = read_packet(&mut line).await;
                    return;
                }
            }
        }
        // Until the client hangs up.
        let _ = line.read(&mut [0]).await;
    });
    super::transcript::prepare();
    let mut config = tiberius::Config::new();
    config.encryption(tiberius::EncryptionLevel::NotSupported);
    config.authentication(tiberius::AuthMethod::sql_server("me", "secret"));
    let line = TcpStream::connect(address).await.unwrap();
    Client::connect(config, line.compat_write()).await.unwrap()
}

/// Reads a request, of one packet or more, and says something.
async fn say(line: &mut TcpStream, content: &[u8]) {
    if read_message(line).await.is_some() {
        let answer = packet(PacketType::TabularResult, content);
        line.write_all(&answer).await.unwrap();
    }
}
